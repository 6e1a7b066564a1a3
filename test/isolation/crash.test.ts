/** What ends a process ends no more than the host of the job, and it is that job which answers for it. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { JobView } from '../../runtime/core/job.ts'
import { crashesMax } from '../../runtime/core/limits.ts'
import { connected, nextEvents } from '../support/connected.ts'
import { isAlive, stillAlive } from '../support/processes.ts'
import { TestProject } from '../support/supervisor-process.ts'
import { embedded } from './embedded.ts'

const hostGoneMsMax = 1_000

const actors = `
import { spawn } from 'node:child_process'
import { appendFileSync, existsSync, writeSync } from 'node:fs'
import { join } from 'node:path'

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const forever = () => new Promise(() => {})

export const pid = () => process.pid
export function kill({ signal }) {
  process.kill(process.pid, signal)
  return forever()
}
export function lastWords() {
  writeSync(2, 'first line\\nthe disk of this job is on fire\\n')
  process.kill(process.pid, 'SIGKILL')
  return forever()
}
export const exit = () => process.exit(7)
export const abort = () => process.abort()
export function timer() {
  setTimeout(() => { throw new RangeError('from a timer') }, 1)
  return forever()
}
export function crashOnce({ file }) {
  if (existsSync(file)) return process.pid
  appendFileSync(file, 'crashed')
  process.kill(process.pid, 'SIGKILL')
  return forever()
}
export async function witness({ folder, name }) {
  await pause(100)
  appendFileSync(join(folder, name), 'done ')
  return process.pid
}
export async function slow({ ms }) {
  await pause(ms)
  return process.pid
}
export async function wait(params, ctx) {
  const child = spawn(process.execPath, ['-e', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)'])
  await new Promise((resolve) => child.once('spawn', resolve))
  const grandchild = spawn('sh', ['-c', 'sleep 300 & echo $!; wait'])
  const line = await new Promise((resolve) => grandchild.stdout.once('data', resolve))
  ctx.log.info([process.pid, child.pid, grandchild.pid, String(line).trim()].join(' '))
  return forever()
}
`

const ofOwnThread: [method: string, code: string, message: RegExp][] = [
  ['a.exit', 'WORKER_EXITED', /process\.exit.*code 7/],
  // Node refuses it in a thread.
  ['a.abort', 'THROWN', /abort\(\) is not supported in workers/],
  ['a.timer', 'WORKER_EXITED', /not caught: from a timer/]
]

test('what ends only the thread of a job fails the job: it is an attempt, and no crash', {
  timeout: 60_000
}, async (t) => {
  const { runtime } = await embedded(t, { 'actors/a.js': actors }, { default: { backgroundWorkers: 1 } })
  const host = await runtime.enqueue('a.pid', {}, { isAsync: false })
  for (const [method, code, message] of ofOwnThread) {
    const { id } = await runtime.enqueue(method)
    const job = await runtime.job.wait(id)
    assert.deepEqual([job.state, job.error?.code, job.crashes, job.attempts.made], ['failed', code, 0, 1], method)
    assert.match(job.error!.message, message)
  }
  assert.equal((await runtime.enqueue('a.pid', {}, { isAsync: false })).result, host.result, 'the host lives on')
})

const ofHost: [method: string, params: object, message: RegExp][] = [
  ['a.kill', { signal: 'SIGKILL' }, /was ended by SIGKILL/],
  ['a.kill', { signal: 'SIGSEGV' }, /was ended by SIGSEGV/],
  ['a.kill', { signal: 'SIGABRT' }, /was ended by SIGABRT/],
  ['a.lastWords', {}, /was ended by SIGKILL[\s\S]*last words:\nfirst line\nthe disk of this job is on fire$/]
]

test('a job that always ends its host is failed after three crashes, with the cause', {
  timeout: 60_000
}, async (t) => {
  const { runtime } = await embedded(t, { 'actors/a.js': actors })
  for (const [method, params, message] of ofHost) {
    const { id } = await runtime.enqueue(method, params, { attempts: 1 })
    const startedMs = performance.now()
    const job = await runtime.job.wait(id)
    t.diagnostic(`${method} ${JSON.stringify(params)}: ${Math.round(performance.now() - startedMs)} ms`)
    assert.deepEqual([job.state, job.error?.code, job.crashes], ['failed', 'HOST_CRASHED', crashesMax])
    assert.match(job.error!.message, message)
    assert.deepEqual(
      job.history.map(({ attempt, outcome, error }) => [attempt, outcome, error?.code]),
      ['crashed', 'crashed', 'failed'].map((outcome) => [1, outcome, 'HOST_CRASHED']),
      'a crash uses up no attempt'
    )
    assert.deepEqual(job.attempts, { made: 1, max: 1 })
  }
})

test('a job that crashed once runs alone next and completes, its neighbour as well', { timeout: 60_000 }, async (t) => {
  const { runtime, folder } = await embedded(t, { 'actors/a.js': actors }, { default: { backgroundWorkers: 2 } })
  const { ids } = await runtime.enqueueMany([
    { method: 'a.slow', params: { ms: 500 } },
    { method: 'a.crashOnce', params: { file: join(folder, 'crashed') } }
  ])
  const [neighbour, crashed] = (await Promise.all(ids.map((id) => runtime.job.wait(id)))) as [JobView, JobView]
  for (const { state, attempts, history, crashes, error } of [neighbour, crashed]) {
    assert.deepEqual([state, attempts.made, crashes, error], ['completed', 1, 1, undefined])
    assert.deepEqual(
      history.map(({ outcome }) => outcome),
      ['crashed', 'completed']
    )
  }
  assert.notEqual(neighbour.result, crashed.result, 'each alone in its host')
})

test('a poison job among 50 healthy ones on 4 threads: it fails, they complete, another queue sees nothing', {
  timeout: 120_000
}, async (t) => {
  const { runtime, folder } = await embedded(t, { 'actors/a.js': actors }, { default: { backgroundWorkers: 4 } })
  const healthy = Array.from({ length: 50 }, (_, n) => ({ method: 'a.witness', params: { folder, name: `w${n}` } }))
  const poison = { method: 'a.kill', params: { signal: 'SIGKILL' } }
  const { seen } = await nextEvents(runtime, 'started')
  const elsewhere = await runtime.enqueue('a.slow', { ms: 3_000 }, { queue: 'long' })
  await seen
  const startedMs = performance.now()
  const { ids } = await runtime.enqueueMany([...healthy.slice(0, 10), poison, ...healthy.slice(10)])
  const jobs = await Promise.all(ids.map((id) => runtime.job.wait(id)))
  const tookMs = performance.now() - startedMs

  const [poisoned, others] = [jobs[10]!, jobs.toSpliced(10, 1)]
  assert.deepEqual([poisoned.state, poisoned.error?.code, poisoned.crashes], ['failed', 'HOST_CRASHED', crashesMax])
  for (const { state, attempts, crashes, error } of others) {
    assert.deepEqual([state, attempts.made, error], ['completed', 1, undefined])
    assert.ok(crashes <= 1, 'at most the one crash in the host they shared')
  }
  const witnesses = readdirSync(folder).filter((name) => /^w\d+$/.test(name))
  assert.equal(witnesses.length, 50)
  const crashed = others.filter(({ crashes }) => crashes > 0).length
  // Once where the host held more jobs than threads, so that the culprit was not known, and once where it was among four.
  assert.ok(crashed <= 2 * 4, `${crashed} neighbours on 4 threads`)
  t.diagnostic(`51 jobs in ${Math.round(tookMs)} ms; ${crashed} neighbours ran again, alone`)
  assert.ok(tookMs < 30_000, `${tookMs} ms`)

  const { state, attempts, crashes } = await runtime.job.wait(elsewhere.id)
  assert.deepEqual([state, attempts.made, crashes], ['completed', 1, 0])
})

test('when the supervisor is killed, its hosts and what their jobs have started end too', {
  timeout: 60_000
}, async (t) => {
  const project = new TestProject(t)
  project.write('actors/a.js', actors)
  const supervisor = await project.serve()
  const runtime = await connected(t, project.socketPath)
  const { seen } = await nextEvents(runtime, 'log', 2)
  await runtime.enqueueMany([{ method: 'a.wait' }, { method: 'a.wait', queue: 'long' }])
  const pids = (await seen).flatMap(({ log }) => log!.message.split(' ').map(Number))
  assert.equal(pids.filter(isAlive).length, 8)

  await supervisor.end('SIGKILL')
  const killedMs = performance.now()
  assert.deepEqual(await stillAlive(pids, hostGoneMsMax), [])
  t.diagnostic(`2 hosts and 6 processes gone ${Math.round(performance.now() - killedMs)} ms after their supervisor`)
})
