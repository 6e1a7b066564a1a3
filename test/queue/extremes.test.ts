/** The largest and oddest values that a request may hold. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { durationMsMax, instantMsMax, nameCharsMax, priorityMax, priorityMin } from '../../runtime/core/limits.ts'
import { openQueue, queueConfig } from './open-queue.ts'

const nothing = { progress: null, logs: [] }
const done = { type: 'completed', result: '1' } as const
const long = '🧵'.repeat(nameCharsMax)

test('issue 5.1, 5.3: ids and keys of the most characters, each of four bytes, work in every form of deduplicate', async (t) => {
  const limits = { keyRateLimit: { max: 9, perMs: 1_000 } }
  const { queue, clock, close } = await openQueue(queueConfig('default', limits))
  t.after(close)
  const request = { method: 'a.x', jobId: long, key: long, keyConcurrency: 1, jobName: long }
  for (const deduplicate of [true, { for: 60 }, { debounce: 0 }, { keepLast: true as const }]) {
    const [added] = await queue.enqueue([{ ...request, deduplicate }])
    assert.deepEqual([added!.id, added!.deduplicated], [long, false])
    await queue.promoteDue(clock.nowMs)
    const [job] = await queue.claim('default', 1)
    const [next] = await queue.enqueue([{ ...request, deduplicate: { keepLast: true } }])
    assert.equal(next!.id, `${long}~next`)
    await queue.settle(job!, done, nothing)
    await queue.cancel(next!.id, () => undefined)
    assert.equal(queue.list({ key: long, state: 'completed' }).jobs.length, 1)
    for (const id of [long, next!.id]) await queue.remove(id)
  }
})

test('issue 5.3: with ageing the extremes of priority are first and last, whatever a step of it takes', async (t) => {
  for (const ageingMs of [1, 1_000, durationMsMax]) {
    const { queue, close } = await openQueue(queueConfig('default', { ageingMs }))
    t.after(close)
    const priorities = [0, priorityMin, priorityMax]
    await queue.enqueue(priorities.map((priority) => ({ method: 'a.x', priority, jobId: `of ${priority}` })))
    const claimed = await queue.claim('default', 9)
    assert.deepEqual(
      claimed.map(({ id }) => id),
      [`of ${priorityMax}`, 'of 0', `of ${priorityMin}`]
    )
  }
})

test('a job of the last instant that can be stored is scheduled, found, and expires after it', async (t) => {
  const { queue, clock, close } = await openQueue(queueConfig('default'))
  t.after(close)
  const runAt = new Date(instantMsMax - 1)
  await queue.enqueue([{ method: 'a.x', jobId: 'last', runAt, expires: new Date(instantMsMax) }])
  await queue.enqueue([{ method: 'a.x', jobId: 'waits', dependsOn: ['last'] }])
  assert.equal(await queue.promoteDue(clock.nowMs), instantMsMax - 1)
  assert.equal(await queue.upkeep(clock.nowMs), instantMsMax)
  clock.nowMs = instantMsMax
  await queue.upkeep(clock.nowMs)
  assert.deepEqual([queue.get('last').error!.name, queue.get('waits').state], ['Expired', 'failed'])
})

test('jobs of a queue that is no longer configured can be looked at, cancelled, moved and purged, and a key that they held is free', async (t) => {
  const keyed = { method: 'a.x', queue: 'gone', key: 'k', keyConcurrency: 1 }
  const open = await openQueue(queueConfig('default'), queueConfig('gone', { rateLimit: { max: 2, perMs: 1_000 } }))
  t.after(open.close)
  await open.queue.enqueue(['one', 'two', 'three', 'four'].map((jobId) => ({ ...keyed, jobId })))
  await open.queue.claim('gone', 1)
  const { queue, recovered } = await open.reopen(queueConfig('default'))
  assert.equal(recovered, 1)
  assert.deepEqual([queue.queue('gone').configured, queue.queue('gone').counts.ready], [false, 4])
  await queue.move('one', 'default')
  await queue.move('two', 'default')
  await queue.cancel('three', () => undefined)
  assert.equal(await queue.purge('gone', ['ready', 'cancelled']), 2)
  const [one] = await queue.claim('default', 9)
  assert.equal(one!.id, 'one')
  await queue.settle(one!, done, nothing)
  assert.deepEqual(
    (await queue.claim('default', 9)).map(({ id }) => id),
    ['two']
  )
})
