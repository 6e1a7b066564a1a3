/** What running jobs ask: answered once it is on disk, only to the attempt that asked, and in nobody's way. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { EventStream } from '../../runtime/core/events.ts'
import type { JobQuestion } from '../../runtime/core/pool.ts'
import { Dispatcher } from '../../runtime/dispatcher/dispatcher.ts'
import type { DurableQueue } from '../../runtime/queue/durable-queue.ts'
import { DueWork } from '../../runtime/scheduler/due-work.ts'
import { type OpenQueue, openQueue, queueConfig } from '../queue/open-queue.ts'
import { FakePool, FakeTimers } from './fake-pool.ts'

const config = queueConfig('default', { timeoutMs: 10_000 })
const dayMs = 86_400_000
const begin: JobQuestion = { type: 'beginStep', index: 0, name: 'charge' }
const catalogue = {
  known: (method: string) => {
    const documentType = method.startsWith('d.') ? 'd.Doc' : null
    return { method, file: '/a.js', functionName: 'x', sourceHash: '', documentType }
  }
}

/** @param overrides methods of the queue that the test does itself */
function dispatch(open: OpenQueue, overrides: Partial<DurableQueue> = {}, methods = catalogue) {
  const queue = new Proxy(open.queue, {
    get(target, name) {
      if (name in overrides) return overrides[name as keyof DurableQueue]
      const value = target[name as keyof DurableQueue]
      return typeof value === 'function' ? value.bind(target) : value
    }
  })
  const timers = new FakeTimers(open.clock)
  let pool!: FakePool
  const dispatcher = new Dispatcher({
    config,
    queue,
    catalogue: methods as never,
    pool: (listener) => {
      pool = new FakePool(listener)
      return pool
    },
    timers,
    clock: open.clock,
    events: new EventStream()
  })
  open.claimFor(dispatcher)
  dispatcher.start()
  return { dispatcher, pool, timers, next: () => wakeUp(dispatcher, pool) }
}

/** As a supervisor that is told that jobs are ready. */
function wakeUp(dispatcher: Dispatcher, pool: FakePool) {
  const next = pool.next()
  dispatcher.wake()
  return next
}

async function openWith(t: TestContext, ...ids: string[]): Promise<OpenQueue> {
  const open = await openQueue(config)
  t.after(() => open.close())
  await open.queue.enqueue(ids.map((jobId) => ({ method: 'a.x', jobId })))
  return open
}

/** Whether the promise is still open after everything that is under way has happened. */
async function isOpen(promise: Promise<unknown>): Promise<boolean> {
  for (let turn = 0; turn < 10; turn++) await nextTurn()
  return Promise.race([promise.then(() => false), Promise.resolve(true)])
}

test('issue 6.5: a question is answered with what is on disk by then, a refusal with its code', async (t) => {
  const open = await openWith(t, 'job')
  const { pool, next } = dispatch(open)
  await next()
  const first = pool.ask('job', begin)
  const waits = pool.ask('job', { type: 'waitFor', index: 1, name: 'go', untilMs: null })
  assert.deepEqual(await first, { type: 'answered', value: { run: 1, wasCut: false } })
  assert.equal(open.queue.get('job').steps![0]!.runs, 1)
  assert.deepEqual(await waits, { type: 'answered', value: { state: 'waiting' } })
  const refused = await pool.ask('job', { type: 'sleep', index: 0, name: 'charge', untilMs: 0 })
  assert.equal(refused.type === 'refused' && refused.code, 'JOB_STATE')
  const jobs = [{ method: 'a.x', jobId: 'job' }]
  const exists = await pool.ask('job', { type: 'enqueue', index: 2, name: 'enqueue a.x', jobs })
  assert.deepEqual(exists.type === 'refused' && [exists.code, exists.data.id], ['JOB_EXISTS', 'job'])
})

test('issue 6.5: a suspended job leaves its slot to the next, and its questions end with its attempt', async (t) => {
  const open = await openWith(t, 'first', 'second')
  const { pool, next } = dispatch(open)
  assert.equal((await next()).id, 'first')
  await pool.ask('first', { type: 'waitFor', index: 0, name: 'go', untilMs: null })
  const second = pool.next()
  const late = pool.ask('first', begin)
  pool.end('first', { type: 'suspended', entries: [0] })
  assert.equal((await second).id, 'second')
  assert.equal(open.queue.get('first').state, 'scheduled')
  assert.equal(await isOpen(late), true)
  assert.equal(pool.answers.length, 1)
  pool.listener.asked('first', 99, begin)
  assert.equal(await isOpen(late), true)
  await open.queue.signal('first', 'go', 1)
  const again = pool.next()
  pool.end('second', { type: 'completed', result: '1' })
  assert.deepEqual([(await again).id, (await again).attempt], ['first', 2])
})

test('issue 6.5: an answer that comes late does not reach the next attempt of the same job', async (t) => {
  const open = await openWith(t, 'job')
  let release = () => {}
  let calls = 0
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const ask = (async (job: never, question: never) => {
    if (calls++ === 0) await held
    return open.queue.ask(job, question)
  }) as DurableQueue['ask']
  const { dispatcher, pool, next } = dispatch(open, { ask })
  await next()
  const first = pool.ask('job', begin)
  await open.queue.cancel('job', () => undefined)
  dispatcher.cancelled('job')
  await open.queue.retry('job')
  assert.equal((await next()).attempt, 2)
  release()
  assert.equal(await isOpen(first), true)
  assert.deepEqual(pool.answers, [])
  assert.deepEqual(await pool.ask('job', begin), { type: 'answered', value: { run: 1, wasCut: false } })
})

test('issue 6.5: while the disk is full a question is asked again every second, as long as its attempt runs', async (t) => {
  const open = await openWith(t, 'job')
  let isFull = true
  let calls = 0
  const ask = (async (job: never, question: never) => {
    calls++
    if (isFull) throw new RuntimeError('STORAGE_FULL', 'full')
    return open.queue.ask(job, question)
  }) as DurableQueue['ask']
  const { pool, timers, next } = dispatch(open, { ask })
  await next()
  const answer = pool.ask('job', begin)
  for (let second = 1; second <= 3; second++) {
    assert.equal(await isOpen(answer), true)
    assert.equal(calls, second)
    if (second === 3) isFull = false
    assert.equal(timers.runNext(), 1_000)
  }
  assert.deepEqual(await answer, { type: 'answered', value: { run: 1, wasCut: false } })
  isFull = true
  const given = pool.ask('job', { type: 'endStep', index: 0, result: '1' })
  assert.equal(await isOpen(given), true)
  pool.end('job', { type: 'completed', result: '1' })
  const before = calls
  while (timers.delaysMs.length > 0) {
    timers.runNext()
    await nextTurn()
  }
  assert.deepEqual([await isOpen(given), calls], [true, before])
})

test('issue 6.5: no stop waits for a question', async (t) => {
  const open = await openWith(t, 'job', 'other')
  const ask = (() => new Promise(() => {})) as DurableQueue['ask']
  const { dispatcher, pool, timers, next } = dispatch(open, { ask })
  await next()
  pool.ask('job', begin)
  const stopped = dispatcher.stop(30_000)
  assert.equal(await isOpen(stopped), true)
  while (timers.delaysMs.includes(30_000) || pool.killed.length === 0) timers.runNext()
  await stopped
  assert.deepEqual(pool.killed, ['job'])
  const { history } = open.queue.get('job')
  assert.equal(history.length, 1)
})

test('issue 6.1: the state of a document is answered; one that has changed meanwhile begins the attempt again', async (t) => {
  const open = await openWith(t, 'job')
  let hasChanged = false
  const stateOf = ({ attempt }: { attempt: number }) => {
    if (hasChanged) throw new RuntimeError('DOCUMENT_CHANGED', 'changed')
    return `{"attempt":${attempt}}`
  }
  const documents = { stateOf } as unknown as DurableQueue['documents']
  const { pool, next } = dispatch(open, { documents })
  await next()
  const value = { state: '{"attempt":1}' }
  assert.deepEqual(await pool.ask('job', { type: 'state' }), { type: 'answered', value })
  hasChanged = true
  const again = pool.next()
  pool.ask('job', { type: 'state' })
  assert.equal((await again).attempt, 2)
  assert.deepEqual(pool.killed, ['job'])
  const { history, state } = open.queue.get('job')
  assert.deepEqual([history.map(({ outcome }) => outcome), state], [['interrupted'], 'running'])
})

test('issue 6.1: a method that was a function and is one of a class by now, or the other way round, is gone', async (t) => {
  const open = await openWith(t)
  const { queue } = open
  await queue.enqueue([
    { method: 'a.x', jobId: 'plain' },
    { method: 'd.Doc.run', document: 'x', jobId: 'document' }
  ])
  const known = (method: string) => ({ ...catalogue.known(method), documentType: method === 'a.x' ? 'a' : null })
  const { dispatcher, pool } = dispatch(open, {}, { known })
  dispatcher.wake()
  for (let turn = 0; turn < 100 && queue.queue('default').counts.failed < 2; turn++) await nextTurn()
  assert.deepEqual(pool.running, [])
  assert.deepEqual(
    ['plain', 'document'].map((id) => queue.get(id).error!.name),
    ['MethodUnknown', 'MethodUnknown']
  )
})

test('issue 6.5: a job sleeps for three days over two restarts of the supervisor, and the timer of what is due wakes it', async (t) => {
  let open = await openQueue(config)
  t.after(() => open.close())
  const { clock } = open
  await open.queue.enqueue([{ method: 'a.x', jobId: 'job' }])
  const untilMs = clock.nowMs + 3 * dayMs
  const sleep: JobQuestion = { type: 'sleep', index: 0, name: 'wait', untilMs }
  const first = dispatch(open)
  await first.next()
  assert.deepEqual(await first.pool.ask('job', sleep), { type: 'answered', value: { isOver: false } })
  first.pool.end('job', { type: 'suspended', entries: [0] })
  await first.dispatcher.stop(0)
  for (const downMs of [dayMs, dayMs / 2]) {
    clock.nowMs += downMs
    open = await open.reopen()
    const { dispatcher, pool, timers } = dispatch(open)
    const next = pool.next()
    const dueJobs = new DueWork((nowMs) => open.queue.promoteDue(nowMs), timers, clock)
    dueJobs.start()
    const stopsAtMs = downMs === dayMs ? clock.nowMs + dayMs : Number.POSITIVE_INFINITY
    while (clock.nowMs < Math.min(stopsAtMs, untilMs)) {
      timers.runNext()
      for (let turn = 0; turn < 3; turn++) await nextTurn()
      assert.equal(open.queue.get('job').state, clock.nowMs < untilMs ? 'scheduled' : 'running')
    }
    if (clock.nowMs >= untilMs) {
      assert.equal(clock.nowMs, untilMs)
      const job = await next
      assert.deepEqual([job.attempt, job.journal![0]!.untilMs], [2, untilMs])
      assert.deepEqual(await pool.ask('job', sleep), { type: 'answered', value: { isOver: true } })
      pool.end('job', { type: 'completed', result: '1' })
    }
    await dueJobs.stop()
    await dispatcher.stop(0)
  }
  const { state, history } = open.queue.get('job')
  assert.deepEqual([state, history.map(({ outcome }) => outcome)], ['completed', ['suspended', 'completed']])
})
