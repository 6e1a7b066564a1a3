/** The job that follows another, in the commit that ends it (issue 5.4). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Json } from '../../runtime/core/job.ts'
import { openQueue, queueConfig } from './open-queue.ts'

const nothing = { progress: null, logs: [] }

test('issue 5.4: a follow-up whose own params hold a "job" receives the followed one in its place', async (t) => {
  const { queue, close } = await openQueue(queueConfig('default'))
  t.after(close)
  const params: Json = { job: 'own', after: [1, 2] }
  await queue.enqueue([{ method: 'a.x', jobId: 'x', params: { n: 1 }, onSuccess: { method: 'a.next', params } }])
  const [job] = await queue.claim('default', 1)
  await queue.settle(job!, { type: 'completed', result: '{"ok":true}' }, nothing)
  const [next] = queue.list({ state: 'ready' }).jobs
  assert.deepEqual(next!.params, {
    after: [1, 2],
    job: { id: 'x', method: 'a.x', state: 'completed', result: { ok: true }, params: { n: 1 } }
  })
})
