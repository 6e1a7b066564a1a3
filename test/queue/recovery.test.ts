/** What was running when the last supervisor died comes back in pieces, of which only the first is waited for. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type OpenQueue, openQueue, queueConfig } from './open-queue.ts'
import { assertInvariants } from './store-invariants.ts'

const configs = [queueConfig('many'), queueConfig('few')]
const byName = new Map(configs.map((config) => [config.name, config]))
const noTrace = { progress: null, logs: [] }
const done = { type: 'completed', result: '"done"' } as const

const assertSound = ({ store, tag }: OpenQueue) => assertInvariants(store.reader, tag, byName)
const few = ['cancelled', 'retried', 'signalled', 'document', 'left'] as const

/** 1,500 jobs of claims run, then a few of another queue. */
async function crashed(): Promise<OpenQueue> {
  const open = await openQueue(...configs)
  const { queue } = open
  await queue.enqueue(Array.from({ length: 1_600 }, () => ({ method: 'a.b', queue: 'many' })))
  for (let n = 0; n < 3; n++) assert.equal((await queue.claim('many', 500)).length, 500)
  await queue.enqueue(
    few.map((jobId) => ({
      jobId,
      queue: 'few',
      ...(jobId === 'document' ? { method: 'd.Doc.run', document: 'x' } : { method: 'a.b' })
    }))
  )
  await queue.enqueue([{ jobId: 'second', method: 'd.Doc.run', document: 'x', queue: 'few' }])
  assert.equal((await queue.claim('few', 10)).length, few.length)
  return open.reopen()
}

async function upkeep({ queue, clock }: OpenQueue): Promise<number> {
  let pieces = 0
  for (let next: number | null = 0; next !== null && next <= clock.nowMs; pieces++) {
    next = await queue.upkeep(clock.nowMs)
  }
  return pieces
}

const counts = ({ queue }: OpenQueue, name: string) => {
  const { ready, running } = queue.queue(name).counts
  return { ready, running }
}

test('the start waits for a first piece; upkeep brings back the others, which may be used meanwhile', async (t) => {
  const open = await crashed()
  t.after(open.close)
  const { queue } = open
  assert.equal(open.recovered, 1_500 + few.length)
  assert.deepEqual(counts(open, 'many'), { ready: 350, running: 1_250 })
  assert.deepEqual(counts(open, 'few'), { ready: 1, running: few.length })
  assertSound(open)

  await queue.cancel('cancelled', () => undefined)
  await queue.cancel('retried', () => undefined)
  await queue.retry('retried')
  const [again, ...none] = await queue.claim('few', 10)
  assert.deepEqual([again!.id, again!.attempt, none.length], ['retried', 2, 0])
  await queue.signal('signalled', 'go')
  assertSound(open)

  assert((await upkeep(open)) > 1)
  assertSound(open)
  assert.deepEqual(counts(open, 'many'), { ready: 1_600, running: 0 })
  assert.deepEqual(counts(open, 'few'), { ready: 4, running: 1 })
  assert.equal(queue.get('retried').state, 'running')
  for (const id of ['signalled', 'document', 'left']) {
    const { state, history } = queue.get(id)
    assert.equal(state, 'ready')
    assert.deepEqual(
      history.map(({ outcome }) => outcome),
      ['interrupted']
    )
  }
  assert.equal(queue.get('cancelled').state, 'cancelled')
  assert.equal(await queue.settle(again!, done, noTrace), true)
  const claimed = await queue.claim('few', 10)
  assert.deepEqual(claimed.map(({ id }) => id).sort(), ['document', 'left', 'signalled'])
  assertSound(open)
})

test('a job that is claimed in the commit that would bring it back is left alone', async (t) => {
  const open = await crashed()
  t.after(open.close)
  const { queue, clock } = open
  // 250 have come back; five more pieces, and the next one has those of the other queue.
  for (let n = 0; n < 5; n++) await queue.upkeep(clock.nowMs)
  assert.deepEqual(counts(open, 'many'), { ready: 1_600, running: 0 })
  await queue.cancel('retried', () => undefined)
  await queue.retry('retried')
  const [claimed] = await Promise.all([queue.claim('few', 10), queue.upkeep(clock.nowMs)])
  assert.deepEqual(
    claimed.map(({ id, attempt }) => [id, attempt]),
    [['retried', 2]]
  )
  assert.equal(queue.get('retried').state, 'running')
  await upkeep(open)
  assert.equal(queue.get('retried').state, 'running')
  assert.equal(await queue.settle(claimed[0]!, done, noTrace), true)
  assertSound(open)
})

test('a stop between two pieces leaves the rest to the next start', async (t) => {
  let open = await crashed()
  t.after(open.close)
  await open.queue.upkeep(open.clock.nowMs)
  assert.deepEqual(counts(open, 'many'), { ready: 600, running: 1_000 })
  const claimed = await open.queue.claim('many', 100)
  assert.equal(claimed.length, 100)
  open = await open.reopen()
  assert.equal(open.recovered, 1_000 + few.length + 100)
  assert.deepEqual(counts(open, 'many'), { ready: 750, running: 850 })
  await upkeep(open)
  assert.deepEqual(counts(open, 'many'), { ready: 1_600, running: 0 })
  assert.deepEqual(counts(open, 'few'), { ready: few.length + 1, running: 0 })
  assertSound(open)
})

test('a piece that the disk refuses is tried again', async (t) => {
  const open = await crashed()
  t.after(open.close)
  open.setDiskFull(true)
  await assert.rejects(open.queue.upkeep(open.clock.nowMs), { code: 'STORAGE_FULL' })
  assert.deepEqual(counts(open, 'many'), { ready: 350, running: 1_250 })
  open.setDiskFull(false)
  await upkeep(open)
  assert.deepEqual(counts(open, 'many'), { ready: 1_600, running: 0 })
  assertSound(open)
})
