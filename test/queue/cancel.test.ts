/** Cancelling, against whatever else happens to the job in the same commit (issue 5.7). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openQueue, queueConfig } from './open-queue.ts'

test('issue 5.7: a job that is cancelled in the commit of its claim does not start, and the next one is looked for', async (t) => {
  const { queue, told, close } = await openQueue(queueConfig('default'))
  t.after(close)
  await queue.enqueue([
    { method: 'a.x', jobId: 'first' },
    { method: 'a.x', jobId: 'second' }
  ])
  told.ready.length = 0
  const claim = queue.claim('default', 1)
  const cancel = queue.cancel('first', () => undefined)
  assert.deepEqual(await claim, [])
  assert.deepEqual(await cancel, { id: 'first', state: 'cancelled', changed: true })
  assert.deepEqual(told.ready, ['default'])
  const [next] = await queue.claim('default', 1)
  assert.equal(next?.id, 'second')
})

test('issue 5.7: of jobs that are claimed together, those cancelled in that commit alone do not start', async (t) => {
  const { queue, close } = await openQueue(queueConfig('default'))
  t.after(close)
  await queue.enqueue(['a', 'b', 'c'].map((jobId) => ({ method: 'a.x', jobId })))
  const claim = queue.claim('default', 3)
  const bulk = queue.bulk({ type: 'cancel', traceOf: () => undefined }, { state: 'running', limit: 2 })
  assert.deepEqual(
    (await claim).map(({ id }) => id),
    ['c']
  )
  assert.equal((await bulk).changed, 2)
  assert.equal(queue.queue('default').counts.running, 1)
})

test('issue 7.7: a job that goes back to scheduled while all of its queue are cancelled is not passed over', async (t) => {
  const { queue, close } = await openQueue(queueConfig('default'))
  t.after(close)
  await queue.enqueue([{ method: 'a.x', jobId: 'again' }])
  const [job] = await queue.claim('default', 1)
  const bulk = queue.bulk({ type: 'cancel', traceOf: () => undefined }, { queue: 'default' })
  const later = { type: 'retryLater', delayMs: 1_000, message: 'later' } as const
  const settled = queue.settle(job!, later, { progress: null, logs: [] })
  assert.deepEqual([(await bulk).changed, await settled, queue.get('again').state], [1, false, 'cancelled'])
})
