/** What a job leaves behind is its own affair: the log of the job says so, and no other job pays. And the notice before the kill. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EnqueueOptions } from '../../runtime/core/job.ts'
import { embedded } from './embedded.ts'

const leaving: Record<string, { body: string; left: RegExp }> = {
  timer: { body: `setTimeout(() => { throw new Error('left behind') }, 40)`, left: /Timeout/ },
  interval: { body: `setInterval(() => { throw new Error('left behind') }, 40)`, left: /Timeout/ },
  quietInterval: { body: 'setInterval(() => {}, 40)', left: /Timeout/ },
  rejection: { body: `pause(40).then(() => Promise.reject(new Error('left behind')))`, left: /Timeout/ },
  asyncFunction: { body: `void (async () => { await pause(40); throw new Error('left behind') })()`, left: /Timeout/ },
  server: { body: `createServer().listen(0)`, left: /TCPServerWrap/ },
  child: {
    body: `spawn('sleep', ['0.1']).on('exit', () => { throw new Error('left behind') })`,
    left: /ProcessWrap/
  },
  thread: {
    body: `new Worker('setTimeout(() => { throw new Error("left behind") }, 40)', { eval: true })`,
    left: /Worker/
  },
  immediates: { body: `(function again() { setImmediate(again) })()`, left: /Immediate/ }
}

const actors = `
import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { threadId, Worker } from 'node:worker_threads'
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
${Object.entries(leaving)
  .map(([name, { body }]) => `export function ${name}() { ${body}; return threadId }`)
  .join('\n')}
export function quietThread() {
  new Worker('setInterval(() => {}, 1000)', { eval: true }).unref()
  return threadId
}
export function unseenTimer() {
  setTimeout(() => { throw new Error('left behind') }, 40).unref()
  return threadId
}
export function unseenRejection() {
  setTimeout(() => { void Promise.reject(new Error('left behind')) }, 40).unref()
  return threadId
}
export async function next() {
  await pause(100)
  return threadId
}
export async function tidy() {
  const timer = setInterval(() => {}, 10)
  setTimeout(() => {}, 5)
  clearInterval(timer)
  return threadId
}
export function cleansUp(params, ctx) {
  const startedMs = performance.now()
  return new Promise((resolve) => {
    ctx.signal.addEventListener('abort', () => {
      setTimeout(() => resolve({ afterMs: performance.now() - startedMs, reason: ctx.signal.reason.name }), 50)
    })
  })
}
export const ignores = () => new Promise(() => {})
export const aborted = (params, ctx) => pause(100).then(() => ctx.signal.aborted)
`

for (const isolation of ['process', 'inline'] as const) {
  test(`what a job left behind fails no other job, and its thread is replaced, isolation ${isolation}`, {
    timeout: 60_000
  }, async (t) => {
    const { runtime } = await embedded(t, { 'actors/a.js': actors }, { default: { isolation, backgroundWorkers: 1 } })
    const run = async (method: string) => {
      const job = await runtime.job.wait((await runtime.enqueue(method)).id)
      assert.deepEqual([job.state, job.error, job.crashes, job.attempts.made], ['completed', undefined, 0, 1], method)
      return job
    }
    for (const [name, { left }] of Object.entries(leaving)) {
      const job = await run(`a.${name}`)
      assert.equal(job.logs.length, 1, name)
      assert.equal(job.logs[0]!.level, 'warn')
      assert.match(job.logs[0]!.message, /^The job left behind: .*\. Its thread is replaced\.$/, name)
      assert.match(job.logs[0]!.message, left)
      const next = await run('a.next')
      assert.notEqual(next.result, job.result, `${name}: another thread`)
      assert.deepEqual(next.logs, [], name)
    }
    for (const method of ['a.tidy', 'a.quietThread']) {
      const [one, other] = [await run(method), await run('a.next')]
      assert.equal(one.result, other.result, 'what is cleared, ends soon or holds no reference costs no thread')
      assert.deepEqual(one.logs, [])
    }
  })

  test(`what nobody sees a job leave behind fails no other job either, isolation ${isolation}`, {
    timeout: 60_000
  }, async (t) => {
    const { runtime } = await embedded(t, { 'actors/a.js': actors }, { default: { isolation, backgroundWorkers: 1 } })
    const run = (method: string) => runtime.enqueue(method, {}, { isAsync: false })
    for (const method of ['a.unseenTimer', 'a.unseenRejection']) {
      const one = await run(method)
      const beside = await run('a.next')
      assert.deepEqual([beside.state, beside.error, beside.result], ['completed', undefined, one.result], method)
      assert.notEqual((await run('a.next')).result, one.result, `${method}: the thread is replaced after that`)
    }
  })

  test(`softTimeout tells a job before its deadline, isolation ${isolation}`, { timeout: 60_000 }, async (t) => {
    const workers = {
      default: { isolation, timeout: '1s', backgroundWorkers: 1 },
      soft: { isolation, timeout: '1s', softTimeout: '800ms', backgroundWorkers: 1 }
    }
    const { runtime } = await embedded(t, { 'actors/a.js': actors }, workers)
    const run = (method: string, options: EnqueueOptions) => runtime.enqueue(method, {}, { isAsync: false, ...options })
    const cases: [options: EnqueueOptions, afterMs: number][] = [
      [{ queue: 'soft' }, 200],
      [{ queue: 'soft', softTimeout: '500ms' }, 500],
      [{ softTimeout: '700ms' }, 300],
      [{ softTimeout: '1s', timeout: '1500ms' }, 500]
    ]
    // The deadline runs from before the module is loaded, the job's own clock from after that.
    for (const queue of ['default', 'soft']) await run('a.next', { queue, timeout: '20s' })
    for (const [options, expectedMs] of cases) {
      const { state, result, error } = await run('a.cleansUp', options)
      assert.deepEqual([state, error], ['completed', undefined], JSON.stringify(options))
      const { afterMs, reason } = result as { afterMs: number; reason: string }
      assert.equal(reason, 'TimeoutError')
      assert.ok(afterMs >= expectedMs - 50 && afterMs < expectedMs + 400, `${afterMs} ms, ${JSON.stringify(options)}`)
    }
    assert.equal((await run('a.ignores', { queue: 'soft' })).error?.code, 'TIMEOUT', 'the deadline holds all the same')
    assert.equal((await run('a.aborted', {})).result, false, 'without softTimeout there is no notice')
  })
}

test('a softTimeout that cannot be is refused', async (t) => {
  const { runtime } = await embedded(t, { 'actors/a.js': actors }, { default: { timeout: '1s' } })
  for (const softTimeout of [-1, 'soon', Number.NaN, null, true] as never[]) {
    const refused = runtime.enqueue('a.next', {}, { softTimeout })
    await assert.rejects(refused, { code: 'PARAMS_INVALID', message: /softTimeout/ }, String(softTimeout))
  }
  await assert.rejects(runtime.enqueue('a.next', {}, { softTimeout: 1 }), {
    message: /shorter than the timeout of 1 s/
  })
  for (const softTimeout of ['soon', -1]) {
    const queue = embedded(t, {}, { q: { timeout: '1s', softTimeout } })
    await assert.rejects(queue, { code: 'CONFIG_INVALID', message: /softTimeout/ })
  }
})
