/** Input that means harm, or is simply wrong: each is refused with its documented code, and the supervisor goes on. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { errorCodes } from '../../runtime/core/errors.ts'
import { frameBytesMax, jsonDepthMax, payloadBytesMax } from '../../runtime/core/limits.ts'
import { type Message, RawClient } from '../rpc/raw-client.ts'
import { connected } from '../support/connected.ts'
import { type SupervisorProcess, TestProject } from '../support/supervisor-process.ts'

/** Everything here can be imported by the path that a bad method names, if anybody did. */
const outside = (marker: string) => `
import { writeFileSync } from 'node:fs'
writeFileSync(${JSON.stringify(marker)}, '')
export function run() {}
`

async function scene(t: TestContext) {
  const project = new TestProject(t)
  const marker = join(project.folder, 'imported')
  project.write('actors/a.js', 'export function ping() {\n  return "pong"\n}\nexport const text = "no function"\n')
  project.write('outside.js', outside(marker))
  const supervisor = await project.serve()
  const client = await RawClient.connect(t, project.socketPath)
  return { project, supervisor, client, marker }
}

async function expectAlive(t: TestContext, project: TestProject, { pid }: SupervisorProcess): Promise<void> {
  const runtime = await connected(t, project.socketPath)
  assert.equal((await runtime.status()).pid, pid)
  const { id } = await runtime.enqueue('a.ping')
  assert.equal((await runtime.job.wait(id)).result, 'pong')
}

function expectRefused(answer: Message, code: keyof typeof errorCodes, what: string): void {
  assert.deepEqual([answer?.error?.code, answer?.error?.data?.code], [errorCodes[code].rpc, code], what)
}

const limit = { timeout: 60_000 }

describe('hostile input', () => {
  it('a method that is none is refused, and nothing is imported', limit, async (t) => {
    const { project, supervisor, client, marker } = await scene(t)
    const methods = [
      'a.pong',
      'b.ping',
      'a.text',
      'a',
      '',
      '.',
      '..',
      'a.ping.',
      '../outside.run',
      '...outside.run',
      'a/../../outside.run',
      `${project.folder}/outside.run`,
      `file://${project.folder}/outside.run`,
      'data:text/javascript,0.run',
      'a\u0000.ping',
      'constructor',
      '__proto__',
      'a.constructor',
      'a.__proto__',
      'a.toString',
      'a.default',
      'a.ping.call',
      'constructor.constructor',
      'child_process.execSync',
      'node:child_process.execSync',
      `a.${'x'.repeat(100_000)}`
    ]
    for (const method of methods) {
      expectRefused(await client.ask('enqueue', { method }), 'METHOD_UNKNOWN', method.slice(0, 100))
      const many = await client.ask('enqueueMany', { jobs: [{ method: 'a.ping' }, { method }] })
      expectRefused(many, 'METHOD_UNKNOWN', method.slice(0, 100))
    }
    assert.equal(existsSync(marker), false, 'a module outside the actors folder was imported')
    assert.deepEqual((await client.ask('job.list', {})).result.jobs, [], 'all or none of enqueueMany')
    await expectAlive(t, project, supervisor)
  })

  it('options out of their range are refused', limit, async (t) => {
    const { project, supervisor, client } = await scene(t)
    const enqueue = (options: object) => client.ask('enqueue', { method: 'a.ping', ...options })
    expectRefused(await enqueue({ queue: 'nowhere' }), 'QUEUE_UNKNOWN', 'queue')
    expectRefused(await enqueue({ queue: '__proto__' }), 'QUEUE_UNKNOWN', 'queue')
    for (const options of [
      { timeout: -1 },
      { timeout: 0 },
      { timeout: '-5s' },
      { delay: 1e300 },
      { runAt: 'tomorrow' },
      { attempts: 0 },
      { attempts: 1.5 },
      { priority: '1' },
      { jobId: '' },
      { jobId: 7 },
      { jobName: 'x'.repeat(1_000) },
      { unheardOf: true },
      { method: 7 },
      { params: nested(100) },
      { params: nested(jsonDepthMax + 1) }
    ]) {
      expectRefused(await enqueue(options), 'PARAMS_INVALID', JSON.stringify(options).slice(0, 100))
    }
    const polluting =
      '{"jsonrpc":"2.0","id":1,"method":"enqueue","params":{"method":"a.ping","__proto__":{"queue":"long"}}}'
    client.write(`${polluting}\n`)
    expectRefused(await client.next(), 'PARAMS_INVALID', '__proto__')
    await expectAlive(t, project, supervisor)
  })

  it('params that are too large are refused, a frame that is too large ends its connection only', limit, async (t) => {
    const { project, supervisor, client } = await scene(t)
    const params = { text: 'x'.repeat(payloadBytesMax) }
    expectRefused(await client.ask('enqueue', { method: 'a.ping', params }), 'PAYLOAD_TOO_LARGE', 'payload')
    client.write(Buffer.alloc(frameBytesMax + 4 * 1024 * 1024, 'x'))
    expectRefused(await client.next(), 'FRAME_TOO_LARGE', 'frame')
    assert.equal(await client.next(), undefined, 'the connection is closed')
    await expectAlive(t, project, supervisor)
  })
})

function nested(depth: number): unknown {
  return JSON.parse('['.repeat(depth) + ']'.repeat(depth))
}
