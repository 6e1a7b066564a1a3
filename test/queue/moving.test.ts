/** Jobs that go to another queue (issue 5.7). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openQueue, queueConfig } from './open-queue.ts'

test('issue 5.3, 5.7: a job that is moved ages as the queue does to which it goes, and no longer as the one it left', async (t) => {
  const { queue, clock, close } = await openQueue(queueConfig('plain'), queueConfig('aged', { ageingMs: 1_000 }))
  t.after(close)
  await queue.enqueue([
    { method: 'a.x', jobId: 'from aged', queue: 'aged' },
    { method: 'a.x', jobId: 'from plain', queue: 'plain', priority: 1 },
    { method: 'a.x', jobId: 'urgent in aged', queue: 'aged', priority: 5 },
    { method: 'a.x', jobId: 'unimportant in plain', queue: 'plain', priority: -5 }
  ])
  clock.nowMs += 100
  await queue.move('from aged', 'plain')
  await queue.move('from plain', 'aged')
  const claimed = async (name: string) => (await queue.claim(name, 9)).map(({ id }) => id)
  assert.deepEqual(await claimed('plain'), ['from aged', 'unimportant in plain'])
  assert.deepEqual(await claimed('aged'), ['urgent in aged', 'from plain'])
})
