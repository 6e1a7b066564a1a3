/**
 * Whatever is done to a queue, in whatever order and sharing whatever commits: the entries of its store follow from its jobs,
 * and when the jobs are gone and time has passed, nothing is left of them.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { countsKey } from '../../runtime/store/keys.ts'
import { noTotals, totalsCodec } from '../../runtime/store/records.ts'
import { type OpenQueue, openQueue } from './open-queue.ts'
import { queueConfigs, RandomUse, steps } from './random-operations.ts'
import { assertInvariants, entriesByKind } from './store-invariants.ts'

const isLong = process.env.LONG === '1'
const configs = new Map(queueConfigs.map((config) => [config.name, config]))
const yearMs = 365 * 86_400_000

test('the store follows from the jobs after every commit, and nothing is left behind when they are gone', async () => {
  const done = new Map<string, number>()
  await fc.assert(
    fc.asyncProperty(steps(20, 40), fc.constantFrom('remove', 'bulk', 'purge'), async (sequence, way) => {
      const open = await openQueue(...queueConfigs)
      try {
        const use = new RandomUse(open, done)
        for (const step of sequence) {
          await use.perform(step)
          assertInvariants(open.store.reader, open.tag, configs)
        }
        await removeAll(use.open, way)
        assertInvariants(open.store.reader, open.tag, configs)
        await letTimePass(use.open)
        assertNothingLeft(use.open)
      } finally {
        await open.close()
      }
    }),
    { numRuns: isLong ? 500 : 30 }
  )
  const often = ['enqueue', 'claim', 'start', 'settle', 'settleAll', 'pass', 'promote', 'upkeep']
  const sometimes = [
    'cancel',
    'retry',
    'remove',
    'move',
    'bulk',
    'purge',
    'pause',
    'fan',
    'gather',
    'crash',
    'ask',
    'signal'
  ]
  assert((done.get('document jobs') ?? 0) >= 20, 'jobs of documents')
  const refusals = ['JOB_EXISTS', 'JOB_UNKNOWN', 'JOB_STATE', 'PARAMS_INVALID', 'QUEUE_FULL']
  for (const name of often) assert((done.get(name) ?? 0) >= 25, `${name}: ${done.get(name)} times`)
  for (const name of [...sometimes, ...refusals]) assert((done.get(name) ?? 0) >= 1, `${name}: ${done.get(name)} times`)
})

test('issue 5.7: a bulk change leaves alone what an earlier job of the same commit has taken along', async () => {
  const open = await openQueue(...queueConfigs)
  try {
    const { queue } = open
    await queue.enqueue([
      { method: 'a.b', jobId: 'parent', delay: 60 },
      { method: 'a.b', jobId: 'released', dependsOn: ['parent'], onParentFailure: 'release' },
      { method: 'a.b', jobId: 'failed', dependsOn: ['parent'] }
    ])
    const { changed } = await queue.bulk({ type: 'cancel', traceOf: () => undefined }, { state: 'scheduled' })
    assert.equal(changed, 1)
    const states = ['parent', 'released', 'failed'].map((id) => queue.get(id).state)
    assert.deepEqual(states, ['cancelled', 'ready', 'failed'])
    assertInvariants(open.store.reader, open.tag, configs)
  } finally {
    await open.close()
  }
})

test('issue 5.1, 5.4: a job that goes by two ids in one call is replaced once, and depended on once', async () => {
  const open = await openQueue(...queueConfigs)
  try {
    const { queue } = open
    await queue.enqueue([{ method: 'a.b', jobId: 'x~next', delay: 60 }])
    const newest = { method: 'a.b', jobId: 'x', deduplicate: { keepLast: true as const } }
    const same = { method: 'a.b', jobId: 'x~next', deduplicate: { debounce: 5 } }
    const both = await queue.enqueue([newest, same])
    assert.deepEqual(
      both.map(({ id, deduplicated }) => [id, deduplicated]),
      [
        ['x~next', true],
        ['x~next', true]
      ]
    )
    assertInvariants(open.store.reader, open.tag, configs)
    await assert.rejects(queue.enqueue([same, newest]), { code: 'JOB_EXISTS' })
    await queue.enqueue([{ method: 'a.b', jobId: 'child', dependsOn: ['x', 'x~next'] }, newest])
    assertInvariants(open.store.reader, open.tag, configs)
    const [job] = await queue.claim('default', 10)
    assert.equal(job!.id, 'x~next')
    await queue.settle(job!, { type: 'completed', result: '1' }, { progress: null, logs: [] })
    assert.equal(queue.get('child').state, 'ready')
  } finally {
    await open.close()
  }
})

/** A job that ends may bring others with it, so again until none is left. */
async function removeAll({ queue }: OpenQueue, way: string): Promise<void> {
  for (;;) {
    await all((cursor) => queue.bulk({ type: 'cancel', traceOf: () => undefined }, cursor))
    const { jobs } = queue.list({ limit: 1000 })
    if (jobs.length === 0) break
    if (way === 'purge') {
      for (const { name } of queueConfigs) {
        await queue.purge(name, ['scheduled', 'ready', 'completed', 'failed', 'cancelled'])
      }
    } else if (way === 'bulk') {
      for (const state of ['scheduled', 'ready', 'completed', 'failed', 'cancelled'] as const) {
        await all((cursor) => queue.bulk({ type: 'remove' }, { ...cursor, state }))
      }
    } else {
      await Promise.allSettled(jobs.map(({ id }) => queue.remove(id)))
    }
  }
  for (const document of queue.documents.list({}).documents) await queue.documents.remove(document)
}

async function all(step: (at: { cursor?: string }) => Promise<{ cursor: string | null }>): Promise<void> {
  let cursor: string | null = null
  do {
    ;({ cursor } = await step(cursor === null ? {} : { cursor }))
  } while (cursor !== null)
}

/** As a supervisor does it: upkeep until there is nothing to do, and each queue is asked for jobs. */
async function letTimePass({ queue, clock }: OpenQueue): Promise<void> {
  for (const { name } of queueConfigs) await queue.setPaused(name, false)
  for (let pass = 0; pass < 3; pass++) {
    clock.nowMs += yearMs
    assert.equal(await queue.promoteDue(clock.nowMs), null)
    for (let atMs = await queue.upkeep(clock.nowMs); atMs !== null; atMs = await queue.upkeep(clock.nowMs))
      assert(atMs <= clock.nowMs)
    for (const { name } of queueConfigs) assert.deepEqual(await queue.claim(name, 10), [])
  }
}

function assertNothingLeft({ store, queue }: OpenQueue): void {
  const left = entriesByKind(store.reader)
  assert.deepEqual([...left.keys()], ['C', 'M', 'Q'], 'kinds of entries')
  assert.deepEqual(
    left.get('M')!.map(({ key }) => key.toString('latin1', 1)),
    ['counters', 'growth', 'owner']
  )
  for (const [number, { queue: name }] of queue.queues().entries()) {
    const key = countsKey(number + 1)
    const value = store.reader.get(key)
    if (value === undefined) continue
    const { turn, unkeyedTurn, ...totals } = totalsCodec.decode(key, value)
    const { turn: _, unkeyedTurn: __, ...none } = noTotals()
    assert.deepEqual(totals, none, `totals of ${name}`)
    assert(unkeyedTurn <= turn)
  }
}
