/** The main route of a job on interpreters other than Node: the supervisor and its hosts run on them, this test on Node. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Runtime } from '../../runtime/core/api.ts'
import { descendantsOf, hostsOf } from '../isolation/process-tree.ts'
import { connected, nextEvents, untilIdle } from '../support/connected.ts'
import { isAlive } from '../support/processes.ts'
import { absence, type Interpreter, interpreters } from './interpreters.ts'
import { becomes, type Served, serveOn } from './serve-on.ts'

const limit = { timeout: 60_000 }

const actors = `
import { version } from './version.js'

export async function run(params, ctx) {
  ctx.progress(50, 'half')
  ctx.log.info('told')
  console.log('printed')
  await new Promise((resolve) => setTimeout(resolve, 10))
  const { deno, bun } = process.versions
  return { params, version, interpreter: deno ? 'deno' : bun ? 'bun' : 'node' }
}

export function fail() {
  throw new RangeError('out of range')
}

export function spin() {
  while (true) {}
}

export function spinOnce(_params, ctx) {
  while (ctx.attempt === 1) {}
  return 'done'
}

export function crash() {
  process.kill(process.pid, 'SIGKILL')
}
`

async function scene(t: TestContext, interpreter: Interpreter): Promise<Served & { runtime: Runtime }> {
  const served = await serveOn(t, interpreter, {
    'actors/jobs.js': actors,
    'actors/version.js': 'export const version = 1\n',
    'actors/typed.ts': 'export const run = (params: { text: string }): string => params.text\n'
  })
  return { ...served, runtime: await connected(t, served.project.socketPath) }
}

for (const interpreter of interpreters) {
  describe(`on ${interpreter.name}`, { skip: absence(interpreter) }, () => {
    it('runs jobs in hosts of the same interpreter, in JavaScript and TypeScript', limit, async (t) => {
      const { runtime } = await scene(t, interpreter)
      const { id } = await runtime.enqueue('jobs.run', { month: 3 })
      const { result, logs, progress } = await runtime.job.wait(id)
      assert.deepEqual(result, { params: { month: 3 }, version: 1, interpreter: interpreter.name })
      assert.deepEqual(
        logs.map(({ level, message }) => `${level} ${message}`),
        ['info told', 'info printed']
      )
      assert.deepEqual(progress, { percent: 50, stage: 'half' })
      const { error } = await runtime.enqueue('jobs.fail', {}, { isAsync: false })
      assert.deepEqual([error?.code, error?.name, error?.message], ['THROWN', 'RangeError', 'out of range'])
      const typed = await runtime.enqueue('typed.run', { text: 'typed' }, { isAsync: false })
      assert.equal(typed.result, 'typed', typed.error?.message)
    })

    it('kills at the deadline, and the next job runs', limit, async (t) => {
      const { runtime, pid } = await scene(t, interpreter)
      await runtime.enqueue('jobs.run', {}, { isAsync: false })
      const { seen } = await nextEvents(runtime, 'started')
      const { id } = await runtime.enqueue('jobs.spin', {}, { timeout: '1s' })
      const [started] = await seen
      const killed = await runtime.job.wait(id)
      assert.equal(killed.error?.code, 'TIMEOUT')
      const lateMs = Date.parse(killed.finishedAt!) - Date.parse(started!.at) - 1_000
      t.diagnostic(`settled ${lateMs} ms after the deadline`)
      assert.ok(lateMs < 500, `${lateMs} ms late`)
      assert.equal((await runtime.enqueue('jobs.run', {}, { isAsync: false })).state, 'completed')
      await becomes(
        () => hostsOf(pid).length === 1,
        10_000,
        () => 'the host with the thread that spins is replaced'
      )
    })

    it('counts the end of a host as a crash of its job, and goes on', limit, async (t) => {
      const { runtime } = await scene(t, interpreter)
      const { id } = await runtime.enqueue('jobs.crash')
      const { error, crashes } = await runtime.job.wait(id)
      assert.deepEqual([error?.code, crashes], ['HOST_CRASHED', 3])
      assert.equal((await runtime.enqueue('jobs.run', {}, { isAsync: false })).state, 'completed')
    })

    it('reloads, and refuses to where a module does not load', limit, async (t) => {
      const { runtime, project } = await scene(t, interpreter)
      await runtime.enqueue('jobs.run', {}, { isAsync: false })
      project.write('actors/version.js', 'export const version = 2\n')
      project.write('actors/broken.js', 'export function run( {}\n')
      await assert.rejects(runtime.reload(), /broken\.js/)
      project.write('actors/broken.js', 'export function run() {}\n')
      await runtime.reload()
      const { result } = await runtime.enqueue('jobs.run', {}, { isAsync: false })
      assert.equal((result as { version: number }).version, 2)
    })

    it('ends at once at the second signal; the job runs again', limit, async (t) => {
      const first = await scene(t, interpreter)
      const { seen } = await nextEvents(first.runtime, 'started')
      const { id } = await first.runtime.enqueue('jobs.spinOnce')
      await seen
      first.signal('SIGTERM')
      await first.logged('"stopping')
      const { code, stderr } = await first.end('SIGTERM')
      assert.equal(code, 0, stderr)
      await first.again()
      const { state, result } = await (await connected(t, first.project.socketPath)).job.wait(id)
      assert.deepEqual([state, result], ['completed', 'done'])
    })

    it('loses nothing to a kill -9, and stops with 0', limit, async (t) => {
      const first = await scene(t, interpreter)
      const { seen } = await nextEvents(first.runtime, 'started', 2)
      const spinning = await first.runtime.enqueueMany(Array(2).fill({ method: 'jobs.spinOnce' }))
      await seen
      const waiting = await first.runtime.enqueueMany(Array(100).fill({ method: 'jobs.run' }))
      const hosts = hostsOf(first.pid)
      assert.equal(hosts.length, 1)
      await first.end('SIGKILL')
      await becomes(
        () => hosts.every((pid) => !isAlive(pid)),
        10_000,
        () => 'hosts end with their supervisor'
      )

      const second = await first.again()
      const runtime = await connected(t, first.project.socketPath)
      await untilIdle(runtime)
      for (const id of [...spinning.ids, ...waiting.ids]) assert.equal((await runtime.job.get(id)).state, 'completed')
      const processes = descendantsOf(second.pid)
      const { code, stderr } = await second.end('SIGTERM')
      assert.equal(code, 0, stderr)
      assert.deepEqual(processes.filter(isAlive), [])
    })
  })
}
