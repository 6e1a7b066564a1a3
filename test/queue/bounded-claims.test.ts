/** One claim does a bounded amount of work, however much has come due while nobody looked (issue 5.3, 5.5). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { moveBatchMax } from '../../runtime/core/limits.ts'
import { openQueue, queueConfig } from './open-queue.ts'

const many = 3 * moveBatchMax + 5
const nothing = { progress: null, logs: [] }
const done = { type: 'completed', result: '1' } as const

test('issue 5.5: a claim cancels a bounded number of expired jobs, and wakes the queue until one is found that may start', async (t) => {
  const { queue, clock, told, close } = await openQueue(queueConfig('default'))
  t.after(close)
  await queue.enqueue(Array.from({ length: many }, () => ({ method: 'a.x', expires: 1 })))
  await queue.enqueue([{ method: 'a.x', jobId: 'last' }])
  clock.nowMs += 2_000
  const cancelled: number[] = []
  for (let claimed = 0; claimed === 0; ) {
    told.ready.length = 0
    claimed = (await queue.claim('default', 1)).length
    cancelled.push(queue.queue('default').counts.cancelled)
    if (claimed === 0) assert.deepEqual(told.ready, ['default'], 'nobody would look for the others')
  }
  assert.deepEqual(cancelled, [moveBatchMax, 2 * moveBatchMax, 3 * moveBatchMax, many])
  assert.equal(queue.get('last').state, 'running')
})

test('issue 5.3: a claim unblocks a bounded number of keys, and asks to be called again at once for the others', async (t) => {
  const limits = { keyRateLimit: { max: 1, perMs: 1_000 } }
  const { queue, clock, told, close } = await openQueue(queueConfig('default', limits))
  t.after(close)
  const jobs = Array.from({ length: many }, (_, at) => ({ method: 'a.x', key: `key ${at}` }))
  await queue.enqueue([...jobs, ...jobs])
  const first = await queue.claim('default', 2 * many)
  assert.equal(first.length, many)
  await Promise.all(first.map((job) => queue.settle(job, done, nothing)))
  assert.deepEqual(await queue.claim('default', 2 * many), [])
  clock.nowMs += 5_000
  const claims: number[] = []
  for (let left = many; left > 0; left -= claims.at(-1)!) {
    told.readyAt.length = 0
    claims.push((await queue.claim('default', 2 * many)).length)
    assert.ok(claims.at(-1)! > 0)
    if (left > claims.at(-1)!) assert.ok(told.readyAt.some(([, atMs]) => atMs <= clock.nowMs))
  }
  assert.deepEqual(claims, [moveBatchMax, moveBatchMax, moveBatchMax, 5])
})
