/** What is kept of finished jobs (issue 5.6). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openQueue, queueConfig } from './open-queue.ts'

const nothing = { progress: null, logs: [] }
const done = { type: 'completed', result: '1' } as const
const keepAll = { ageMs: null, count: null, bytes: null }

test('issue 5.6: a commit of upkeep that is rolled back and done again forgets the oldest all the same', async (t) => {
  const retention = { completed: { ...keepAll, count: 1 }, failed: keepAll, cancelled: keepAll }
  const { queue, store, clock, close } = await openQueue(queueConfig('default', { retention }))
  t.after(close)
  for (const jobId of ['first', 'second', 'third']) {
    await queue.enqueue([{ method: 'a.x', jobId }])
    const [job] = await queue.claim('default', 1)
    await queue.settle(job!, done, nothing)
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
