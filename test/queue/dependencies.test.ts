/** Jobs that depend on others (issue 5.4). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type OpenQueue, openQueue, queueConfig } from './open-queue.ts'

async function untilNothingIsLeft({ queue, clock }: OpenQueue): Promise<number> {
  for (let pieces = 0; ; pieces++) {
    const nextAtMs = await queue.upkeep(clock.nowMs)
    if (nextAtMs === null || nextAtMs > clock.nowMs) return pieces
  }
}

test('issue 5.4: many parents that end in one commit tell a bounded number of children there, upkeep the others', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const { queue } = open
  const parents = await queue.enqueue(Array.from({ length: 50 }, () => ({ method: 'a.x', delay: 100 })))
  const ids = parents.map(({ id }) => id)
  for (const id of ids) await queue.enqueue(Array.from({ length: 40 }, () => ({ method: 'a.x', dependsOn: [id] })))
  const change = { type: 'cancel', traceOf: () => undefined } as const
  // Two commits of 25 parents, each with room for 500 children.
  assert.equal((await queue.bulk(change, { state: 'scheduled', limit: 50 })).changed, 50)
  const { failed, cancelled, scheduled } = queue.queue('default').counts
  assert.deepEqual([cancelled, failed, scheduled], [50, 1_000, 1_000])
  assert.ok((await untilNothingIsLeft(open)) >= 9)
  const { counts } = queue.queue('default')
  assert.deepEqual([counts.cancelled, counts.failed, counts.scheduled], [50, 2_000, 0])
})

test('issue 5.4: children that go with each other are told once, and what waits for another job is still told', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const { queue } = open
  const notKept = { failed: { age: 0 } }
  await queue.enqueue([{ method: 'a.parent', jobId: 'other' }])
  const [claimed] = await queue.claim('default', 1)
  await queue.enqueue([
    { method: 'a.parent', jobId: 'removed' },
    { method: 'a.child', jobId: 'child', dependsOn: ['removed', 'other'] },
    { method: 'a.grandchild', dependsOn: ['removed', 'child'], retention: notKept },
    { method: 'a.grandchild', dependsOn: ['removed', 'child'], retention: notKept },
    { method: 'a.waiting', jobId: 'waiting', dependsOn: ['other'] }
  ])
  await queue.remove('removed')
  assert.deepEqual(queue.get('child').dependencies, { total: 2, completed: 0, failed: 0, cancelled: 1 })
  await queue.settle(claimed!, { type: 'completed', result: 'null' }, { progress: null, logs: [] })
  assert.equal(queue.get('waiting').state, 'ready')
  assert.deepEqual(queue.get('child').dependencies, { total: 2, completed: 1, failed: 0, cancelled: 1 })
})

test('issue 5.4: many jobs that are removed in one commit let go of their parents in pieces, and leave nothing behind', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const { queue } = open
  const parents = await queue.enqueue(
    Array.from({ length: 30 }, (_, at) => ({ method: 'a.x', jobId: `p${at}`, delay: 9 }))
  )
  const ids = parents.map(({ id }) => id)
  await queue.enqueue(Array.from({ length: 60 }, () => ({ method: 'a.child', dependsOn: ids })))
  assert.equal((await queue.bulk({ type: 'remove' }, { state: 'scheduled', method: 'a.child' })).changed, 60)
  await untilNothingIsLeft(open)
  for (const id of ids) await queue.cancel(id, () => undefined)
  assert.deepEqual(queue.queue('default').counts, {
    ...queue.queue('default').counts,
    scheduled: 0,
    failed: 0,
    cancelled: 30
  })
  const left = [...open.store.reader.keys({ start: Buffer.from('A'), end: Buffer.from('B') })]
  const links = [...open.store.reader.keys({ start: Buffer.from('P'), end: Buffer.from('Q') })]
  assert.deepEqual([left, links], [[], []])
})
