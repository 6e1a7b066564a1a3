/** Jobs that are claimed ahead of free threads: what becomes of them whatever happens. A queue on a real store, a pool of the test's. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { EventStream, type JobEvent } from '../../runtime/core/events.ts'
import type { JobMessage, Outcome } from '../../runtime/core/pool.ts'
import { Dispatcher } from '../../runtime/dispatcher/dispatcher.ts'
import { type OpenQueue, openQueue, queueConfig } from '../queue/open-queue.ts'
import { FakePool, FakeTimers } from './fake-pool.ts'

const threads = 2
const config = queueConfig('default', { backgroundWorkers: threads, timeoutMs: 10_000 })
const done: Outcome = { type: 'completed', result: '1' }
const catalogue = {
  known: (method: string) => ({ method, file: '/a.js', functionName: 'x', sourceHash: '', documentType: null })
}

interface Bench {
  open: OpenQueue
  pool: FakePool
  timers: FakeTimers
  dispatcher: Dispatcher
  events: JobEvent[]
  /** Until everything that is under way has happened. */
  settled: () => Promise<void>
  /** All that run end well, `ms` later. */
  round: (ms: number) => Promise<void>
  states: () => string[]
}

async function bench(t: TestContext, jobs: number): Promise<Bench> {
  const open = await openQueue(config)
  t.after(() => open.close())
  await open.queue.enqueue(Array.from({ length: jobs }, (_, index) => ({ method: 'a.x', jobId: `j${index}` })))
  const events: JobEvent[] = []
  const stream = new EventStream()
  stream.subscribe({}, (event) => events.push(event))
  const timers = new FakeTimers(open.clock)
  let pool!: FakePool
  const dispatcher = new Dispatcher({
    config,
    queue: open.queue,
    catalogue: catalogue as never,
    pool: (listener) => {
      pool = new FakePool(listener, threads)
      return pool
    },
    timers,
    clock: open.clock,
    events: stream
  })
  open.claimFor(dispatcher)
  dispatcher.start()
  const settled = async () => {
    for (let turn = 0; turn < 10; turn++) await nextTurn()
  }
  const round = async (ms: number) => {
    open.clock.nowMs += ms
    pool.endAll(done)
    await settled()
  }
  const states = () => Array.from({ length: jobs }, (_, index) => open.queue.get(`j${index}`).state)
  await settled()
  return { open, pool, timers, dispatcher, events, settled, round, states }
}

/** As many rounds as it takes until some wait in the pool. */
async function untilAhead({ pool, round }: Bench): Promise<readonly JobMessage[]> {
  for (let rounds = 0; pool.waiting.length === 0; rounds++) {
    assert(rounds < 20, 'none is claimed ahead')
    await round(1)
  }
  return pool.waiting
}

test('issue 8.3: a claim is the last of its commit, and takes what becomes ready in the same one', async (t) => {
  const { open, dispatcher } = await bench(t, 0)
  dispatcher.wake()
  await open.queue.enqueue([{ method: 'a.x', jobId: 'j' }])
  assert.equal(open.queue.get('j').state, 'running')
})

test('issue 8.3: quick jobs are claimed ahead, in order, and each is settled once', async (t) => {
  const all = await bench(t, 200)
  assert.deepEqual(all.pool.given, ['j0', 'j1'])
  await untilAhead(all)
  for (let rounds = 0; all.pool.running.length > 0; rounds++) {
    assert(rounds < 100)
    await all.round(1)
  }
  assert.deepEqual(
    all.pool.given,
    Array.from({ length: 200 }, (_, index) => `j${index}`)
  )
  assert.deepEqual(new Set(all.states()), new Set(['completed']))
})

test('issue 8.3: what is given back is ready as before, runs in its old place, and no more are claimed ahead', async (t) => {
  const all = await bench(t, 200)
  const { open, pool, settled } = all
  const ids = [...(await untilAhead(all))].map(({ id }) => id)
  const before = pool.given.length
  pool.giveBack(ids)
  await settled()
  assert.equal(pool.given.length, before)
  for (const id of ids) {
    const { state, attempts, startedAt } = open.queue.get(id)
    assert.deepEqual([state, attempts.made, startedAt], ['ready', 0, null])
  }
  await all.round(1)
  assert.deepEqual(pool.given.slice(before), ids.slice(0, threads))
  assert.equal(pool.waiting.length, 0)
})

test('issue 8.3: a job that waits can be cancelled; the others go on', async (t) => {
  const all = await bench(t, 200)
  const { open, pool, dispatcher } = all
  const [first] = await untilAhead(all)
  await open.queue.cancel(first!.id, () => undefined)
  dispatcher.cancelled(first!.id)
  assert.deepEqual(pool.killed, [first!.id])
  while (pool.running.length > 0) await all.round(1)
  assert.equal(all.states().filter((state) => state === 'completed').length, 199)
  assert.equal(open.queue.get(first!.id).state, 'cancelled')
})

test('issue 8.3: a start that was not told by the pool is told with the end', async (t) => {
  const all = await bench(t, 200)
  const [first] = await untilAhead(all)
  while (pool(all).running.length > 0) await all.round(1)
  assert.deepEqual(
    all.events.filter(({ job }) => job === first!.id).map(({ type }) => type),
    ['started']
  )
})

test('issue 8.3: the deadline of a job that was late to be told of runs from its start', async (t) => {
  const all = await bench(t, 1)
  const { open, timers, settled } = all
  pool(all).listener.started('j0', 4_000)
  assert.deepEqual(timers.delaysMs, [6_000])
  timers.runNext()
  await settled()
  assert.equal(open.queue.get('j0').error?.code, 'TIMEOUT')
})

test('issue 8.3: what ends while others run shares a settle, where nothing is ready; one that ends alone does not wait, nor does a stop', async (t) => {
  const all = await bench(t, 200)
  const { open, timers, dispatcher, settled, round } = all
  await untilAhead(all)
  while (pool(all).running.length > 0) await round(1)
  const settles: string[][] = []
  const settleAll = open.queue.settleAll.bind(open.queue)
  open.queue.settleAll = async (ends) => {
    settles.push(ends.map(({ job }) => job.id))
    await settleAll(ends)
    open.clock.nowMs += 1
  }
  const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
  await open.queue.enqueue(ids.map((jobId) => ({ method: 'a.x', jobId })))
  await settled()
  const end = async (id: string) => {
    pool(all).end(id, done)
    await settled()
  }
  await end('a')
  assert.deepEqual(settles, [['a']])
  await end('b')
  await end('c')
  assert.equal(settles.length, 1)
  assert.equal(open.queue.get('b').state, 'running')
  assert.equal(timers.runNext(), 2)
  await settled()
  assert.deepEqual(settles[1], ['b', 'c'])
  // Jobs are ready for which there was no room: a thread may be waiting.
  dispatcher.ready()
  await end('d')
  assert.deepEqual(settles[2], ['d'])
  await open.queue.enqueue([{ method: 'a.x', jobId: 'i' }])
  await settled()
  await end('e')
  assert.equal(settles.length, 3)
  const stopped = dispatcher.stop(1_000)
  assert.deepEqual(settles[3], ['e'])
  for (const id of ['f', 'g', 'h', 'i']) await end(id)
  await stopped
  assert.deepEqual(settles.slice(4), [['f'], ['g'], ['h'], ['i']])
})

test('issue 8.3: a stop lets those that wait end; at its deadline they are ready again', async (t) => {
  const all = await bench(t, 200)
  const { timers, dispatcher, open } = all
  const ids = [...(await untilAhead(all))].map(({ id }) => id)
  const running = pool(all).running.length
  const stopped = dispatcher.stop(1_000)
  timers.runNext()
  await stopped
  assert.equal(pool(all).killed.length, running)
  for (const id of ids) assert.equal(open.queue.get(id).state, 'ready')
})

function pool({ pool }: Bench): FakePool {
  return pool
}
