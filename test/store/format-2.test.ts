/** A data directory that format 2 wrote (see format-2/README.md) opens as it was left, and everything works on its jobs. */
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

type Claims = Record<string, [id: string, attempt: number, parents: unknown[]][]>
interface Expected {
  nowMs: number
  recovered: number
  options: Record<string, Partial<QueueConfig>>
  queues: QueueView[]
  event: EventRecord
  order: Claims
  due: Claims
  views: JobView[]
}

const expected = expectedOf<Expected>(2)
const configs = Object.entries(expected.options).map(([name, options]) => queueConfig(name, options))
const noTrace = { progress: null, logs: [] }
const dayMs = 24 * 3_600_000

const open = (test: TestContext) => openCopy(test, 2, expected.nowMs, configs)

async function claimAll({ queue }: OpenQueue): Promise<Claims> {
  const claims: Claims = {}
  for (const { name } of configs) {
    const jobs = await queue.claim(name, 100)
    claims[name] = jobs.map(({ id, attempt, parents = [] }) => [id, attempt, [...parents]])
  }
  return claims
}

function assertConsistent({ store, tag }: OpenQueue): void {
  assertInvariants(store.reader, tag, new Map(configs.map((config) => [config.name, config])))
}

test('a directory whose marker says format 2 is opened, and says the present one afterwards', async (test) => {
  const directory = unpack(test, 2)
  const marker = () => JSON.parse(readFileSync(join(directory, 'actor-runtime.json'), 'utf8'))
  const before = marker()
  assert.equal(before.format, 2)
  assert.equal(formatVersion, 5)
  for (let time = 0; time < 2; time++) {
    const { close } = await openQueueIn(directory, expected.nowMs, ...configs)
    assert.deepEqual(marker(), { ...before, format: 5 })
    await close()
  }
})

test('every job of format 2 is there as it was, what ran is brought back, and the counts agree', async (test) => {
  const opened = await open(test)
  const { queue, recovered } = opened
  assert.equal(recovered, expected.recovered)
  const ids = queue.list({ limit: 1000 }).jobs.map(({ id }) => id)
  assert.deepEqual(
    ids,
    expected.views.map(({ id }) => id)
  )
  for (const view of expected.views) assert.deepEqual(queue.get(view.id), view, view.id)
  assert.deepEqual(queue.queues(), expected.queues)
  assert.deepEqual(queue.schedule.get('hourly'), expected.event)
  assertConsistent(opened)
})

test('jobs of format 2 are claimed in their order, those of keys in their turns, and become due in their time', async (test) => {
  const opened = await open(test)
  const { queue, clock } = opened
  await queue.setPaused('paused', false)
  assert.deepEqual(await claimAll(opened), expected.order)
  assertConsistent(opened)
  clock.nowMs += dayMs
  await queue.promoteDue(clock.nowMs)
  assert.deepEqual(await claimAll(opened), expected.due)
  assertConsistent(opened)
})

test('documents take their turns among the keys of format 2, in queues of it', async (test) => {
  const opened = await open(test)
  const { queue } = opened
  const call = (jobId: string, of: string) => ({ method: 'd.Doc.run', document: 'x', jobId, queue: of })
  await queue.enqueue([call('x 1', 'aged'), call('x 2', 'default')])
  assertConsistent(opened)
  const aged = await queue.claim('aged', 100)
  const others = await queue.claim('default', 100)
  const old = (name: string) => expected.order[name]!.map(([id]) => id)
  const without = (jobs: { id: string }[]) => jobs.map(({ id }) => id).filter((id) => !id.startsWith('x '))
  assert.deepEqual([without(aged), without(others)], [old('aged'), old('default')])
  assert(aged.some(({ id }) => id === 'x 1'))
  assert.equal(others.length, old('default').length, 'the second call waits for the first')
  const effects = { document: { state: '[1]', version: 1 } }
  await queue.settle(aged.find(({ id }) => id === 'x 1')!, { type: 'completed', result: 'null', effects }, noTrace)
  const [second] = await queue.claim('default', 1)
  assert.deepEqual([second!.id, second!.document!.state], ['x 2', '[1]'])
  assertConsistent(opened)
})

test('jobs of format 2 run to their end: parents release their children, keys their next job, and all can be removed', async (test) => {
  const opened = await open(test)
  const { queue, clock } = opened
  await queue.setPaused('paused', false)
  for (let turn = 0; turn < 40; turn++) {
    for (const { name } of configs) {
      for (const job of await queue.claim(name, 100)) {
        await queue.settle(job, { type: 'completed', result: 'null' }, noTrace)
      }
    }
    clock.nowMs += 3_600_000
    await queue.promoteDue(clock.nowMs)
    for (let atMs = await queue.upkeep(clock.nowMs); atMs !== null && atMs <= clock.nowMs; ) {
      atMs = await queue.upkeep(clock.nowMs)
    }
  }
  for (const { counts } of queue.queues()) assert.deepEqual([counts.scheduled, counts.ready, counts.running], [0, 0, 0])
  assertConsistent(opened)
  for (const { name } of configs) await queue.purge(name, ['completed', 'failed', 'cancelled'])
  assert.deepEqual(queue.list({}).jobs, [])
  assertConsistent(opened)
})
