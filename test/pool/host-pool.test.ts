/** The hosts of one queue: when they start, which of them gets a job, and when they end. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { Outcome } from '../../runtime/core/pool.ts'
import type { Timers } from '../../runtime/core/timers.ts'
import { children, isAlive, stillAlive } from '../support/processes.ts'
import { startHostPool, writeModule } from './pool-fixture.ts'

const timeout = 30_000
const goneMsMax = 2_000

/** Timers that go off when the test says so. */
class FakeTimers implements Timers {
  readonly #pending = new Set<{ delayMs: number; action: () => void }>()

  after(delayMs: number, action: () => void): () => void {
    const timer = { delayMs, action }
    this.#pending.add(timer)
    return () => this.#pending.delete(timer)
  }

  pending(delayMs: number): number {
    return [...this.#pending].filter((timer) => timer.delayMs === delayMs).length
  }

  fire(delayMs: number): void {
    for (const timer of [...this.#pending].filter((each) => each.delayMs === delayMs)) {
      this.#pending.delete(timer)
      timer.action()
    }
  }
}

const modules = {
  'a.js': `
import { pbkdf2Sync } from 'node:crypto'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
export const pid = () => process.pid
export const forever = (params, ctx) => { ctx.log.info(process.pid); return new Promise(() => {}) }
export function withChild(params, ctx) {
  const child = spawn('sleep', ['300'])
  child.once('spawn', () => { ctx.log.info(process.pid); ctx.log.info(child.pid) })
  return new Promise(() => {})
}
export async function until({ file }, ctx) {
  ctx.log.info(process.pid)
  while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 5))
  return process.pid
}
export function stuck(params, ctx) { ctx.log.info('in'); pbkdf2Sync('a', 'b', 2 ** 30, 64, 'sha512') }
export const kill = () => { process.kill(process.pid, 'SIGKILL'); return new Promise(() => {}) }`
}

function result(outcome: Outcome): number {
  assert.equal(outcome.type, 'completed', JSON.stringify(outcome))
  return Number((outcome as Outcome & { type: 'completed' }).result)
}

test('a host is started with the first job and ended after some time without any', { timeout }, async (t) => {
  const timers = new FakeTimers()
  const { pool, heard, run, outcome, folder } = startHostPool(t, modules, { idleMs: 5_000, timers })
  assert.deepEqual(children(), [])
  const pid = result(await outcome('a.pid'))
  assert.deepEqual(children(), [pid])
  assert.equal(timers.pending(5_000), 1)

  const file = join(folder, 'go')
  const busy = run('a.until', { file })
  assert.equal(timers.pending(5_000), 0, 'a host with a job is not idle')
  writeFileSync(file, '')
  assert.equal(result(await heard.outcomeOf(busy)), pid)

  timers.fire(5_000)
  assert.deepEqual(await stillAlive([pid], goneMsMax), [])
  const next = result(await outcome('a.pid'))
  assert.notEqual(next, pid)
  await pool.stop()
  assert.equal(timers.pending(5_000), 0)
})

test('issue 8.1: a host that was started ahead runs the first job, and ends after some time where none comes', {
  timeout
}, async (t) => {
  const timers = new FakeTimers()
  const { pool, outcome } = startHostPool(t, modules, { idleMs: 5_000, timers })
  pool.start()
  const [ahead] = children()
  timers.fire(5_000)
  assert.deepEqual(await stillAlive([ahead!], goneMsMax), [])

  pool.start()
  const [second] = children()
  assert.equal(result(await outcome('a.pid')), second)
})

test('a host that is kept warm starts at once, and no time without jobs ends it', { timeout }, async (t) => {
  const timers = new FakeTimers()
  const { pool, outcome } = startHostPool(t, modules, { idleMs: null, timers })
  pool.start()
  pool.start()
  const warm = children()
  assert.equal(warm.length, 1)
  for (const _ of [1, 2]) assert.equal(result(await outcome('a.pid')), warm[0])
  assert.equal(timers.pending(5_000), 0)
})

test('after renew the old host finishes its job with the old code and ends; new jobs see the new code', {
  timeout
}, async (t) => {
  const code = (version: number) => `${modules['a.js']}
    export async function version(params, ctx) { return [${version}, await until(params, ctx)] }`
  const { pool, heard, run, folder } = startHostPool(t, { 'a.js': code(1) }, { threads: 2 })
  const [later, now] = [join(folder, 'later'), join(folder, 'now')]
  writeFileSync(now, '')
  const old = run('a.version', { file: later })
  await heard.first((said) => said.id === old && said.type === 'log')
  writeModule(folder, 'a.js', code(2))
  pool.renew()
  const versionOf = async (id: string) => {
    const ended = await heard.outcomeOf(id)
    return JSON.parse((ended as Outcome & { type: 'completed' }).result) as [version: number, pid: number]
  }
  const [version, pid] = await versionOf(run('a.version', { file: now }))
  assert.equal(version, 2)
  assert.equal(children().length, 2)
  writeFileSync(later, '')
  const [oldVersion, oldPid] = await versionOf(old)
  assert.equal(oldVersion, 1)
  assert.notEqual(pid, oldPid)
  assert.deepEqual(await stillAlive([oldPid], goneMsMax), [])
  assert.ok(isAlive(pid))
})

/** The log comes from before the native call; the thread is in it once the process burns time. */
async function computing(pid: number): Promise<void> {
  const ticks = () => Number(readFileSync(`/proc/${pid}/stat`, 'latin1').split(' ')[13])
  const before = ticks()
  while (ticks() < before + 10) await setImmediate()
}

test('a thread that does not end: another host takes over, the old one ends after its other jobs', {
  timeout
}, async (t) => {
  const { pool, heard, run, outcome, folder } = startHostPool(t, modules, { threads: 2 })
  const file = join(folder, 'go')
  const healthy = run('a.until', { file })
  const stuck = run('a.stuck')
  const { line } = await heard.first((said) => said.id === healthy && said.type === 'log')
  await heard.first((said) => said.id === stuck && said.type === 'log')
  const oldPid = Number(line!.message)
  await computing(oldPid)
  pool.kill(stuck)
  assert.equal(result(await outcome('a.pid')), oldPid, 'until the other host is ready, a new thread of the old one')
  let pid = oldPid
  while (pid === oldPid) {
    const ended = await outcome('a.pid')
    // The old host gives back what it has not begun when the other is ready.
    if (ended.type !== 'givenBack') pid = result(ended)
  }
  assert.ok(isAlive(oldPid), 'it has a job')
  writeFileSync(file, '')
  assert.equal(result(await heard.outcomeOf(healthy)), oldPid)
  assert.deepEqual(await stillAlive([oldPid], goneMsMax), [])
  assert.deepEqual(children(), [pid])
  assert.equal(heard.of(stuck).at(-1)?.type, 'log', 'nothing is told of it after the kill')
})

test('stop ends all hosts and what their jobs have started, and tells nothing more', { timeout }, async (t) => {
  const { pool, heard, run } = startHostPool(t, modules, { threads: 3 })
  const ids = [run('a.withChild'), run('a.forever'), run('a.withChild', {}, { alone: true })]
  await Promise.all(ids.map((id) => heard.first((said) => said.id === id && said.type === 'log')))
  for (const id of [ids[0], ids[2]]) {
    await heard.first(() => heard.of(id!).filter(({ type }) => type === 'log').length === 2)
  }
  const pids = ids.flatMap((id) => heard.lines(id).map((line) => Number(line.slice('info '.length))))
  assert.equal(new Set(pids).size, 4, 'two hosts, two children')
  assert.ok(pids.every(isAlive))
  const starting = run('a.forever', {}, { alone: true })
  const said = heard.said.length
  await Promise.all([pool.stop(), pool.stop()])
  assert.deepEqual(children(), [])
  assert.deepEqual(await stillAlive(pids, goneMsMax), [])
  assert.equal(heard.said.length, said)
  assert.deepEqual(heard.of(starting), [])
})

test('a job can be killed while its host starts', { timeout }, async (t) => {
  const { pool, heard, run, outcome } = startHostPool(t, modules)
  const [id, alone] = [run('a.forever'), run('a.forever', {}, { alone: true })]
  pool.kill(id)
  pool.kill(alone)
  const pid = result(await outcome('a.pid'))
  assert.deepEqual([heard.of(id), heard.of(alone)], [[], []])
  assert.deepEqual(
    await stillAlive(
      children().filter((child) => child !== pid),
      goneMsMax
    ),
    [],
    'the host of the one'
  )
})

test('a host that ends takes its jobs along, each told so; only a job alone in its host is to blame', {
  timeout
}, async (t) => {
  const { heard, run, outcome } = startHostPool(t, modules, { threads: 2 })
  const neighbour = run('a.forever')
  await heard.startOf(neighbour)
  const message = 'The host process of the job was ended by SIGKILL.'
  const cause = { outOfMemory: false, message }
  for (const id of [run('a.kill'), neighbour]) {
    assert.deepEqual(await heard.outcomeOf(id), { type: 'crashed', cause, alone: false })
  }
  const pid = result(await outcome('a.pid'))
  const blamed = run('a.kill', {}, { alone: true })
  assert.deepEqual(await heard.outcomeOf(blamed), { type: 'crashed', cause, alone: true })
  const alone = result(await heard.outcomeOf(run('a.pid', {}, { alone: true })))
  assert.notEqual(alone, pid)
  assert.deepEqual(await stillAlive([alone], goneMsMax), [], 'it was made for one job')
  assert.equal(result(await outcome('a.pid')), pid)
})

test('a host that cannot start is not held against its job: it is to run again later', { timeout }, async (t) => {
  const env = { NODE_OPTIONS: '--no-such-flag' }
  const { outcome } = startHostPool(t, modules, { env })
  const ended = (await outcome('a.pid')) as Outcome & { type: 'retryLater' }
  assert.equal(ended.type, 'retryLater')
  assert.equal(ended.delayMs, 1_000)
  assert.match(ended.message, /ended with exit code 9[\s\S]*no-such-flag is not allowed in NODE_OPTIONS/)
})
