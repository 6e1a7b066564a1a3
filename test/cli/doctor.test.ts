import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { doctor } from '../../runtime/cli/commands/doctor.ts'
import { Output } from '../../runtime/cli/output.ts'
import type { Runtime, StatusView } from '../../runtime/core/api.ts'
import type { QueueView } from '../../runtime/core/job.ts'
import type { SchedulerView } from '../../runtime/core/scheduler-event.ts'
import { eventView, queueView, statusView } from './fake-service.ts'

const idle: QueueView['counts'] = { scheduled: 0, ready: 0, running: 0, completed: 9, failed: 0, cancelled: 1 }

async function examine(status: StatusView, schedule: SchedulerView, json = false) {
  let printed = ''
  const stream = { write: (text: string) => (printed += text) }
  const output = new Output(json, { stdout: stream, stderr: stream } as never)
  const runtime = { status: async () => status, schedule: { list: async () => schedule } } as unknown as Runtime
  return { code: await doctor({ runtime, output }), printed }
}

describe('doctor', () => {
  it('finds nothing where nothing is wrong', async () => {
    const healthy = statusView({ queues: [queueView({ counts: idle })] })
    const events = [eventView({ next: '2999-01-01T00:00:00.000Z' })]
    assert.deepEqual(await examine(healthy, { state: 'active', events }), { code: 0, printed: 'Nothing is wrong.\n' })
    const { printed } = await examine(healthy, { state: 'active', events }, true)
    assert.deepEqual(JSON.parse(printed), { ok: true, findings: [] })
  })

  it('tells each thing that is wrong, with what to do', async () => {
    const status = statusView({
      state: 'storageFull',
      queues: [
        queueView({ queue: 'old', configured: false, counts: { ...idle, ready: 2 } }),
        queueView({ queue: 'held', paused: true, counts: { ...idle, scheduled: 1 } }),
        queueView({ queue: 'bad', counts: { ...idle, failed: 3 } })
      ]
    })
    const events = [
      eventView({ event: 'cron x:a.run', state: 'invalid', problem: 'it never fires', next: null }),
      eventView({ event: 'hourly:a.late', next: '2020-01-01T00:00:00.000Z' }),
      eventView({ event: 'daily:a.fails', next: '2999-01-01T00:00:00.000Z', lastOutcome: 'failed', lastJob: 'j1' })
    ]
    const { code, printed } = await examine(status, { state: 'paused', events })
    assert.equal(code, 1)
    const expected = [
      /disk takes no writes/,
      /Queue "old" is not configured any more, and 2 jobs wait/,
      /Queue "held" is paused, and 1 job/,
      /Queue "bad" holds 3 failed jobs/,
      /The scheduler is paused/,
      /"cron x:a.run" cannot run: it never fires/,
      /"hourly:a.late" is overdue since 2020/,
      /last run of scheduler event "daily:a.fails" failed/
    ]
    for (const words of expected) assert.match(printed, words)
    assert.equal(printed.trimEnd().split('\n').length, 2 * expected.length, 'each with its advice')
    const maintenance = await examine(statusView({ queues: [] }), { state: 'maintenance', events: [] })
    assert.match(maintenance.printed, /Maintenance mode is on/)
  })
})
