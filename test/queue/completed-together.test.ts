/** Jobs that complete together share entries (finished-runs.ts); nobody who looks or changes them sees it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AttemptEnd } from '../../runtime/queue/attempts.ts'
import { finishedRunMax } from '../../runtime/queue/finished-runs.ts'
import { type OpenQueue, openQueue, queueConfig } from './open-queue.ts'
import { assertInvariants, entriesByKind } from './store-invariants.ts'

const count = 300
const keepAll = { ageMs: null, count: null, bytes: null }

function assertSound({ store, tag }: OpenQueue): void {
  assertInvariants(store.reader, tag, new Map([['default', queueConfig('default')]]))
}

/** 300 jobs, of two methods in turn, whose results are their numbers. @returns their ids, the first enqueued first */
async function completedTogether(open: OpenQueue): Promise<string[]> {
  const { queue } = open
  await queue.enqueue(Array.from({ length: count }, (_, n) => ({ method: `a.${n % 2 === 0 ? 'even' : 'odd'}` })))
  const jobs = await queue.claim('default', count)
  const ends = jobs.map((job, n): AttemptEnd => {
    return { job, ending: { type: 'completed', result: `${n}` }, trace: { progress: null, logs: [] } }
  })
  await queue.settleAll(ends.reverse())
  const kinds = entriesByKind(open.store.reader)
  const entries = Math.ceil(count / finishedRunMax)
  assert.deepEqual(
    ['F', 's', 'S'].map((kind) => kinds.get(kind)?.length ?? 0),
    [entries, entries, 0]
  )
  assertSound(open)
  return jobs.map(({ id }) => id)
}

/** In pages of seven. */
function listed({ queue }: OpenQueue, filter: object = {}): { id: string; result: unknown }[] {
  const jobs: { id: string; result: unknown }[] = []
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = queue.list({ state: 'completed', limit: 7, ...filter, ...(cursor === undefined ? {} : { cursor }) })
    jobs.push(...page.jobs.map(({ id, result }) => ({ id, result })))
    cursor = page.cursor
  }
  return jobs
}

test('they are found by id and in lists, page by page and by filter, with the results of their own', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const ids = await completedTogether(open)
  for (const [n, id] of ids.entries()) {
    const { state, result } = open.queue.get(id)
    assert.deepEqual([state, result], ['completed', n])
  }
  const newestFirst = ids.map((id, n) => ({ id, result: n })).reverse()
  assert.deepEqual(listed(open), newestFirst)
  assert.deepEqual(
    listed(open, { queue: 'default', method: 'a.odd' }),
    newestFirst.filter(({ result }) => result % 2 === 1)
  )
  assert.deepEqual(listed(open, { method: 'a.none' }), [])
})

test('some of them are removed, and some run again, while the others stay as they are', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const { queue } = open
  const ids = await completedTogether(open)
  const removed = new Set([0, 5, 6, 100, 219, 220, 299])
  await Promise.all([...removed].map((n) => queue.remove(ids[n]!)))
  assertSound(open)
  const again = [1, 50, 51, 221]
  for (const n of again) await queue.retry(ids[n]!)
  assertSound(open)
  const left = ids.map((id, n) => ({ id, result: n })).filter(({ result }) => !removed.has(result))
  const others = left.filter(({ result }) => !again.includes(result)).reverse()
  assert.deepEqual(listed(open), others)
  const jobs = await queue.claim('default', 10)
  assert.deepEqual(
    jobs.map(({ id, attempt }) => [id, attempt]),
    again.map((n) => [ids[n], 2])
  )
  // At the same instant as before.
  const trace = { progress: null, logs: [] }
  await queue.settleAll(jobs.map((job) => ({ job, ending: { type: 'completed', result: '"again"' }, trace })))
  assertSound(open)
  assert.equal(queue.get(ids[50]!).result, 'again')
  assert.deepEqual(new Set(listed(open).map(({ id }) => id)), new Set(left.map(({ id }) => id)))
  assert.equal(await queue.purge('default', ['completed']), left.length)
  assertSound(open)
  const kinds = entriesByKind(open.store.reader)
  assert.deepEqual(
    ['F', 's', 'S', 'J'].map((kind) => kinds.get(kind)?.length ?? 0),
    [0, 0, 0, 0]
  )
})

test('retention forgets the first of them, by count, by bytes and by age', async (t) => {
  for (const [rule, isRight] of [
    [{ ...keepAll, count: 130 }, (left: number) => left === 130],
    [{ ...keepAll, bytes: 10_000 }, (left: number) => left > 20 && left < 200],
    [{ ...keepAll, ageMs: 1_000 }, (left: number) => left === 0]
  ] as const) {
    const first = await openQueue(queueConfig('default'))
    t.after(first.close)
    const ids = await completedTogether(first)
    const config = queueConfig('default', { retention: { completed: rule, failed: keepAll, cancelled: keepAll } })
    const open = await first.reopen(config)
    open.clock.nowMs += 2_000
    for (let next: number | null = 0; next !== null && next <= open.clock.nowMs; ) {
      next = await open.queue.upkeep(open.clock.nowMs)
      assertSound(open)
    }
    const left = listed(open).map(({ id }) => id)
    assert(isRight(left.length), `${JSON.stringify(rule)} keeps ${left.length}`)
    assert.deepEqual(left, ids.slice(count - left.length).reverse())
  }
})

test('a job that completes alone is completed for what comes later in the same commit', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(() => open.close())
  const said = { progress: null, logs: [] }
  await open.queue.enqueue([{ method: 'a.x', jobId: 'x' }])
  const [job] = await open.queue.claim('default', 1)
  const [settled, cancelled] = await Promise.all([
    open.queue.settle(job!, { type: 'completed', result: 'null' }, said),
    open.queue.cancel('x', () => said)
  ])
  assert.deepEqual([settled, cancelled.state, cancelled.changed], [true, 'completed', false])
  assert.equal(open.queue.get('x').state, 'completed')
})
