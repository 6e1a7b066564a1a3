/** When the keys that wait for their rate limit get their turn, where the clock or the configuration has changed meanwhile. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { QueueConfig } from '../../runtime/core/config.ts'
import { startRange } from '../../runtime/store/keys.ts'
import { type OpenQueue, openQueue, queueConfig } from './open-queue.ts'
import { assertInvariants, entriesByKind } from './store-invariants.ts'

const limited = (max: number, perMs: number) => queueConfig('default', { keyRateLimit: { max, perMs } })
const noTrace = { progress: null, logs: [] }

async function ids(open: OpenQueue): Promise<string[]> {
  return (await open.queue.claim('default', 10)).map(({ id }) => id)
}

/** Two jobs of a key of which one may start in an hour: the first is done, the second waits. */
async function blocked(): Promise<OpenQueue> {
  const open = await openQueue(limited(1, 3_600_000))
  await open.queue.enqueue([1, 2].map((number) => ({ method: 'a.b', key: 'k', jobId: `job ${number}` })))
  const [first, ...others] = await open.queue.claim('default', 10)
  assert.deepEqual([first!.id, others], ['job 1', []])
  await open.queue.settle(first!, { type: 'completed', result: 'null' }, noTrace)
  assert.deepEqual(await ids(open), [])
  return open
}

test('issue 5.3: a key waits for its limit no longer than its span, though the clock was set back', async () => {
  const open = await blocked()
  try {
    open.clock.nowMs -= 24 * 3_600_000
    assert.deepEqual(await ids(open), [])
    const toldAtMs = open.told.readyAt.at(-1)![1]
    assert(toldAtMs <= open.clock.nowMs + 3_600_001, 'told when to ask again')
    open.clock.nowMs += 3_600_001
    assert.deepEqual(await ids(open), ['job 2'])
  } finally {
    await open.close()
  }
})

test('issue 5.3: a key that waits starts at once where its limit was taken away, and in time where it was shortened', async () => {
  const configurations: [QueueConfig, waitMs: number][] = [
    [queueConfig('default'), 0],
    [limited(1, 1_000), 1_001]
  ]
  for (const [config, waitMs] of configurations) {
    let open = await blocked()
    try {
      open = await open.reopen(config)
      if (waitMs > 0) {
        assert.deepEqual(await ids(open), [])
        open.clock.nowMs += waitMs - 1
        assert.deepEqual(await ids(open), [])
        open.clock.nowMs += 1
      }
      assert.deepEqual(await ids(open), ['job 2'])
      assertInvariants(open.store.reader, open.tag, new Map([['default', config]]))
    } finally {
      await open.close()
    }
  }
})

test('issue 5.3: a key that may start its next job by a limit that was lowered since may not', async () => {
  let open = await openQueue(limited(2, 1_000))
  try {
    await open.queue.enqueue([1, 2].map((number) => ({ method: 'a.b', key: 'k', jobId: `job ${number}` })))
    const [first] = await open.queue.claim('default', 1)
    await open.queue.settle(first!, { type: 'completed', result: 'null' }, noTrace)
    open = await open.reopen(limited(1, 1_000))
    assert.deepEqual(await ids(open), [])
    open.clock.nowMs += 1_000
    assert.deepEqual(await ids(open), [])
    open.clock.nowMs += 1
    assert.deepEqual(await ids(open), ['job 2'])
  } finally {
    await open.close()
  }
})

test('of a limit that was taken away nothing is left behind, however much had started', async () => {
  let open = await openQueue(limited(5_000, 3_600_000))
  try {
    const jobs = 2_500
    await open.queue.enqueue(Array.from({ length: jobs }, () => ({ method: 'a.b', key: 'k', resultTtl: 0 })))
    const claimed = await open.queue.claim('default', jobs)
    assert.equal(claimed.length, jobs)
    await Promise.all(claimed.map((job) => open.queue.settle(job, { type: 'completed', result: 'null' }, noTrace)))
    assert.equal([...open.store.reader.keys(startRange(1, 1))].length, jobs)
    open = await open.reopen(queueConfig('default'))
    for (let turn = 0; turn < 10; turn++) {
      assert.deepEqual(await ids(open), [])
      open.clock.nowMs += 3_600_000
    }
    assert.deepEqual([...entriesByKind(open.store.reader).keys()], ['C', 'M', 'Q'])
  } finally {
    await open.close()
  }
})

test('issue 8.3: that no key has its turn is remembered, and forgotten by a commit that fails or gives one its turn', async () => {
  const open = await openQueue(limited(1, 1_000))
  const enqueue = (jobId: string) => open.queue.enqueue([{ method: 'a.b', key: 'k', jobId }])
  try {
    assert.deepEqual(await ids(open), [])
    await enqueue('first')
    open.setDiskFull(true)
    await assert.rejects(ids(open), { code: 'STORAGE_FULL' })
    open.setDiskFull(false)
    const [first] = await open.queue.claim('default', 10)
    assert.equal(first?.id, 'first')
    await open.queue.settle(first, { type: 'completed', result: 'null' }, noTrace)
    await enqueue('second')
    assert.deepEqual(await ids(open), [], 'blocked by the limit')
    open.clock.nowMs += 1_001
    open.setDiskFull(true)
    await assert.rejects(ids(open), { code: 'STORAGE_FULL' })
    open.setDiskFull(false)
    assert.deepEqual(await ids(open), ['second'])
  } finally {
    await open.close()
  }
})
