/** Scheduled jobs that have come due. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openQueue, queueConfig } from './open-queue.ts'

test('a promotion ends after a bounded number of jobs, and says that more are due', async (t) => {
  const { queue, clock, close } = await openQueue(queueConfig('default'))
  t.after(close)
  await queue.enqueue(Array.from({ length: 2_500 }, () => ({ method: 'a.x', delay: 1 })))
  const dueAtMs = clock.nowMs + 1_000
  await queue.enqueue([{ method: 'a.x', delay: 60 }])
  const laterMs = clock.nowMs + 60_000
  clock.nowMs += 5_000
  const ready: number[] = []
  const next: (number | null)[] = []
  do {
    next.push(await queue.promoteDue(clock.nowMs))
    ready.push(queue.queue('default').counts.ready)
  } while (next.at(-1)! <= clock.nowMs)
  assert.deepEqual(ready, [1_000, 2_000, 2_500])
  assert.deepEqual(next, [dueAtMs, dueAtMs, laterMs])
})
