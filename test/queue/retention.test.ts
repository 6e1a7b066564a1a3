/** What is forgotten of a queue, and that nothing is passed over. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openQueue, queueConfig } from './open-queue.ts'

const keepAll = { ageMs: null, count: null, bytes: null }
const noTrace = { progress: null, logs: [] }

test('issue 5.6: of jobs that finish within one millisecond none is passed over, in whatever order they finish', async () => {
  const retention = { completed: { ...keepAll, count: 1 }, failed: keepAll, cancelled: keepAll }
  const { queue, clock, close } = await openQueue(queueConfig('default', { retention }))
  try {
    await queue.enqueue([1, 2, 3, 4].map((number) => ({ method: 'a.b', jobId: `job ${number}` })))
    const claimed = await queue.claim('default', 4)
    for (const job of claimed.toReversed()) {
      await queue.settle(job, { type: 'completed', result: 'null' }, noTrace)
      await queue.upkeep(clock.nowMs)
    }
    assert.deepEqual(queue.queue('default').counts.completed, 1)
    assert.equal(await queue.upkeep(clock.nowMs), null)
    assert.equal(queue.list({ state: 'completed' }).jobs.length, 1)
  } finally {
    await close()
  }
})

test('issue 5.6: a place gains no more than what one commit brings, however many jobs a commit finishes', async () => {
  const kept = 50
  const perCommit = 500
  const retention = { completed: { ...keepAll, count: kept }, failed: keepAll, cancelled: keepAll }
  const { queue, clock, close } = await openQueue(queueConfig('default', { retention }))
  try {
    for (let round = 0; round < 10; round++) {
      await queue.enqueue(Array.from({ length: perCommit }, () => ({ method: 'a.b' })))
      const claimed = await queue.claim('default', perCommit)
      await Promise.all([
        ...claimed.map((job) => queue.settle(job, { type: 'completed', result: 'null' }, noTrace)),
        queue.upkeep(clock.nowMs)
      ])
    }
    const { completed } = queue.queue('default').counts
    assert.ok(completed <= kept + 2 * perCommit, `${completed} jobs where ${kept} are to be kept`)
  } finally {
    await close()
  }
})

test('issue 5.6: a commit of upkeep that is rolled back and done again forgets the oldest all the same', async (t) => {
  const retention = { completed: { ...keepAll, count: 1 }, failed: keepAll, cancelled: keepAll }
  const { queue, store, clock, close } = await openQueue(queueConfig('default', { retention }))
  t.after(close)
  for (const jobId of ['first', 'second', 'third']) {
    await queue.enqueue([{ method: 'a.x', jobId }])
    const [job] = await queue.claim('default', 1)
    await queue.settle(job!, { type: 'completed', result: '1' }, noTrace)
    clock.nowMs += 10
  }
  const upkeep = queue.upkeep(clock.nowMs)
  const defect = store.transact((transaction) => {
    transaction.put(Buffer.from('zz'), Buffer.from('1'))
    throw new Error('a defect takes the commit down')
  })
  await assert.rejects(defect, /a defect/)
  await upkeep
  assert.deepEqual(
    queue.list({}).jobs.map(({ id }) => id),
    ['third']
  )
})
