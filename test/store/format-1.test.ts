/** A data directory that format 1 wrote (see format-1/README.md) opens as it was left, and everything works on its jobs. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { QueueConfig } from '../../runtime/core/config.ts'
import type { JobView, QueueView } from '../../runtime/core/job.ts'
import { type EventRecord, formatVersion } from '../../runtime/store/records.ts'
import { type OpenQueue, openQueueIn, queueConfig } from '../queue/open-queue.ts'
import { assertInvariants } from '../queue/store-invariants.ts'
import { expectedOf, openCopy, unpack } from './format-fixture.ts'

type Claims = Record<string, [id: string, attempt: number][]>
interface Expected {
  nowMs: number
  queues: QueueView[]
  event: EventRecord
  order: Claims
  due: Claims
  views: JobView[]
}

const expected = expectedOf<Expected>(1)
const names = expected.queues.map(({ queue }) => queue)
const keepAll = { ageMs: null, count: null, bytes: null }
const noTrace = { progress: null, logs: [] }
const dayMs = 24 * 3_600_000

function open(test: TestContext, options: Partial<QueueConfig> = {}): Promise<OpenQueue> {
  return openCopy(
    test,
    1,
    expected.nowMs,
    names.map((name) => queueConfig(name, options))
  )
}

async function claimAll({ queue }: OpenQueue): Promise<Claims> {
  const claims: Claims = {}
  for (const name of names) claims[name] = (await queue.claim(name, 100)).map(({ id, attempt }) => [id, attempt])
  return claims
}

/** Of `found` only the fields that `known` has; what later formats show besides is for other tests. */
function likewise<T extends object>(found: T, known: T): Partial<T> {
  return Object.fromEntries(Object.keys(known).map((name) => [name, found[name as keyof T]])) as Partial<T>
}

function assertConsistent({ store, tag }: OpenQueue): void {
  assertInvariants(store.reader, tag, new Map(names.map((name) => [name, queueConfig(name)])))
}

test('a directory whose marker says format 1 is opened, and says the present format afterwards', async (test) => {
  const directory = unpack(test, 1)
  const marker = () => JSON.parse(readFileSync(join(directory, 'actor-runtime.json'), 'utf8'))
  const before = marker()
  assert.equal(before.format, 1)
  for (let time = 0; time < 2; time++) {
    const { close } = await openQueueIn(directory, expected.nowMs, ...names.map((name) => queueConfig(name)))
    assert.deepEqual(marker(), { ...before, format: formatVersion })
    await close()
  }
})

test('every job of format 1 is there as it was, what ran is brought back, and the counts agree', async (test) => {
  const opened = await open(test)
  const { queue, recovered } = opened
  assert.equal(recovered, 2)
  const ids = queue.list({ limit: 1000 }).jobs.map(({ id }) => id)
  assert.deepEqual(
    ids,
    expected.views.map(({ id }) => id)
  )
  for (const view of expected.views) {
    const found = queue.get(view.id)
    assert.deepEqual(likewise(found, view), view, view.id)
    const { key, keyConcurrency, dependencies, expiresAt } = found
    assert.deepEqual({ key, keyConcurrency, dependencies, expiresAt }, emptyOptions)
  }
  assert.deepEqual(
    queue.queues().map((view, at) => likewise(view, expected.queues[at]!)),
    expected.queues
  )
  assert.deepEqual(queue.schedule.get('hourly'), expected.event)
  assertConsistent(opened)
})
const emptyOptions = { key: null, keyConcurrency: null, dependencies: null, expiresAt: null }

test('jobs of format 1 are claimed in their order, and become due in their time', async (test) => {
  const opened = await open(test)
  const { queue, clock } = opened
  assert.deepEqual(await queue.claim('paused', 10), [])
  await queue.setPaused('paused', false)
  assert.deepEqual(await claimAll(opened), expected.order)
  clock.nowMs += dayMs
  assert.equal(await queue.promoteDue(clock.nowMs), null)
  assert.deepEqual(await claimAll(opened), expected.due)
  assertConsistent(opened)
})

test('jobs of both formats wait in one order', async (test) => {
  const opened = await open(test)
  const { queue } = opened
  await queue.enqueue([
    { method: 'a.b', jobId: 'new plain' },
    { method: 'a.b', jobId: 'new front', atFront: true },
    { method: 'a.b', jobId: 'new key', key: 'k', priority: 5 }
  ])
  const order = (await queue.claim('default', 100)).map(({ id }) => id)
  const old = expected.order.default!.map(([id]) => id)
  const low = old.pop()!
  // Of equal priority the new key comes first: the jobs without one have just had their turns, at front.
  const highest = old.splice(0, old.indexOf('highest') + 1)
  assert.deepEqual(order, ['new front', ...highest, 'new key', ...old, 'new plain', low])
  assertConsistent(opened)
})

test('finished jobs of format 1 pass filters, are retried, removed and purged', async (test) => {
  const opened = await open(test)
  const { queue } = opened
  const failed = expected.views.filter(({ state }) => state === 'failed').map(({ id }) => id)
  const list = (filter: object) => queue.list({ state: 'failed', ...filter }).jobs.map(({ id }) => id)
  assert.deepEqual(list({ jobName: 'a label', errorCode: 'THROWN', method: 'a.b' }), failed)
  assert.deepEqual(list({ jobName: 'another' }), [])
  assert.deepEqual(list({ errorCode: 'TIMEOUT' }), [])

  await queue.retry(failed[0]!, { again: true })
  assert.equal(queue.get(failed[0]!).state, 'ready')
  assert.deepEqual((await queue.bulk({ type: 'retry' }, { state: 'failed' })).changed, failed.length - 1)
  const [job] = await queue.claim('default', 1)
  await queue.settle(job!, { type: 'completed', result: '1' }, noTrace)
  await queue.remove(job!.id)
  assertConsistent(opened)

  const waiting = ['completed', 'failed', 'cancelled', 'ready', 'scheduled'] as const
  const { counts } = queue.queue('default')
  const jobs = waiting.reduce((sum, state) => sum + counts[state], 0)
  assert.equal(await queue.purge('default', waiting), jobs)
  assert.equal(queue.list({ queue: 'default' }).jobs.length, 0)
  assertConsistent(opened)
})

test('retention counts the finished jobs of format 1 and forgets the oldest of them first', async (test) => {
  const completed = { ...keepAll, count: 3 }
  const opened = await open(test, {
    retention: { completed, failed: { ...keepAll, ageMs: dayMs }, cancelled: keepAll }
  })
  const { queue, clock } = opened
  const finished = (state: string) =>
    expected.views.filter((view) => view.state === state && view.queue === 'default').map(({ id }) => id)
  const listed = (state: 'completed' | 'failed' | 'cancelled') =>
    queue.list({ state, queue: 'default' }).jobs.map(({ id }) => id)
  const nextAtMs = await queue.upkeep(clock.nowMs)
  assert.deepEqual(listed('completed'), finished('completed').slice(0, 3))
  assert.deepEqual(listed('failed'), finished('failed'))
  const failedAtMs = Math.min(
    ...expected.views.filter(({ state }) => state === 'failed').map(({ finishedAt }) => Date.parse(finishedAt!))
  )
  assert.equal(nextAtMs, failedAtMs + dayMs)
  clock.nowMs += dayMs
  for (let atMs = await queue.upkeep(clock.nowMs); atMs !== null; atMs = await queue.upkeep(clock.nowMs))
    assert(atMs <= clock.nowMs)
  assert.deepEqual(listed('failed'), [])
  assert.deepEqual(listed('cancelled'), finished('cancelled'))
  assertConsistent(opened)
})
