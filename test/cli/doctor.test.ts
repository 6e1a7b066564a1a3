import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { doctor } from '../../runtime/cli/commands/doctor.ts'
import { Output } from '../../runtime/cli/output.ts'
import type { DoctorView, Finding, Runtime } from '../../runtime/core/api.ts'

/** The rules are tested in test/supervisor/doctor.test.ts. */
async function examine(view: DoctorView, json = false) {
  let printed = ''
  const stream = { write: (text: string) => (printed += text) }
  const output = new Output(json, { stdout: stream, stderr: stream } as never)
  const runtime = { doctor: async () => view } as unknown as Runtime
  return { code: await doctor({ runtime, output }), printed }
}

const problem: Finding = { severity: 'problem', about: { queue: 'q' }, what: 'It is\nbroken.', advice: 'Mend it.' }
const warning: Finding = { severity: 'warning', about: { store: '/d' }, what: 'It is odd.', advice: 'Look at it.' }

describe('doctor', () => {
  it('finds nothing where nothing is wrong', async () => {
    const healthy = { ok: true, findings: [] }
    assert.deepEqual(await examine(healthy), { code: 0, printed: 'Nothing is wrong.\n' })
    const { printed } = await examine(healthy, true)
    assert.deepEqual(JSON.parse(printed), { ok: true, findings: [] })
  })

  it('tells each thing that is wrong, with what to do, and ends with 1', async () => {
    const view = { ok: false, findings: [problem, warning] }
    assert.deepEqual(await examine(view), {
      code: 1,
      printed: 'problem  It is broken.\n  Mend it.\nwarning  It is odd.\n  Look at it.\n'
    })
    const { code, printed } = await examine(view, true)
    assert.deepEqual([code, JSON.parse(printed)], [1, view])
  })

  it('ends with 0 where there are only warnings', async () => {
    assert.equal((await examine({ ok: true, findings: [warning] })).code, 0)
  })
})
