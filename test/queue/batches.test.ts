/** Claims of more jobs than there are threads, and ends that are settled together. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EnqueueRequest } from '../../runtime/core/job.ts'
import { aheadParamsBytesMax, claimParamsBytesMax } from '../../runtime/core/limits.ts'
import type { Ending } from '../../runtime/queue/attempts.ts'
import type { ClaimedJob } from '../../runtime/queue/claimed-job.ts'
import { runningKey } from '../../runtime/store/keys.ts'
import { type OpenQueue, openQueue, queueConfig } from './open-queue.ts'
import { assertInvariants, entriesByKind } from './store-invariants.ts'

const configs = [queueConfig('default'), queueConfig('rated', { rateLimit: { max: 3, perMs: 1000 } })]
const trace = { progress: { percent: 50, stage: null }, logs: [] }
const done: Ending = { type: 'completed', result: '1' }
const givenBack: Ending = { type: 'givenBack', hostEnded: false }

function check({ store, tag }: OpenQueue): void {
  assertInvariants(store.reader, tag, new Map(configs.map((config) => [config.name, config])))
}

/** But for what counts claims. */
function entriesOf({ store }: OpenQueue) {
  const entries = entriesByKind(store.reader)
  entries.delete('M')
  return entries
}

const ids = (jobs: readonly ClaimedJob[]) => jobs.map(({ id }) => id)

async function enqueue({ queue }: OpenQueue, ...jobs: Partial<EnqueueRequest>[]): Promise<void> {
  await queue.enqueue(jobs.map((job) => ({ method: 'a.b', ...job })))
}

const notSimple: Record<string, Partial<EnqueueRequest>> = {
  'of a key': { key: 'k' },
  'of a document': { method: 'd.Doc.run', document: 'k' },
  'with large params': { params: { text: 'x'.repeat(aheadParamsBytesMax) } },
  'that depends on another': { dependsOn: ['parent'], onParentFailure: 'release' }
}

for (const [what, job] of Object.entries(notSimple)) {
  test(`a claim beyond the threads ends before a job ${what}, and within them takes it`, async (t) => {
    const open = await openQueue(...configs)
    t.after(open.close)
    await enqueue(open, { jobId: 'parent' })
    await open.queue.cancel('parent', () => undefined)
    await enqueue(open, { jobId: 'one' }, { jobId: 'two' }, { jobId: 'odd', ...job }, { jobId: 'behind' })
    assert.deepEqual(
      ids(await open.queue.claim('default', { threads: 1, jobs: 9 })),
      ['one', 'two'].slice(0, job.key || job.document ? 1 : 2)
    )
    check(open)
    const rest = ids(await open.queue.claim('default', { threads: 3, jobs: 9 }))
    assert.ok(rest.includes('odd') && rest.includes('behind'), String(rest))
    check(open)
  })
}

test('a claim takes no more than it has room for, nor more params beyond the threads than a bound', async (t) => {
  const open = await openQueue(...configs)
  t.after(open.close)
  await enqueue(
    open,
    ...Array.from({ length: 100 }, () => ({ params: { text: 'x'.repeat(aheadParamsBytesMax - 100) } }))
  )
  assert.equal((await open.queue.claim('default', { threads: 2, jobs: 5 })).length, 5)
  assert.equal((await open.queue.claim('default', { threads: 3, jobs: 2 })).length, 2)
  const claimed = await open.queue.claim('default', { threads: 1, jobs: 100 })
  const bytes = claimed.reduce((sum, { params }) => sum + params.length, 0)
  assert.ok(bytes <= claimParamsBytesMax && bytes > claimParamsBytesMax - aheadParamsBytesMax, String(bytes))
  check(open)
})

test('starts that a rate limit counts are those of threads', async (t) => {
  const open = await openQueue(...configs)
  t.after(open.close)
  await enqueue(open, ...Array.from({ length: 5 }, () => ({ queue: 'rated' })))
  assert.equal((await open.queue.claim('rated', { threads: 2, jobs: 5 })).length, 2)
  check(open)
})

test('what expired is cancelled, also beyond the threads, and the next one taken', async (t) => {
  const open = await openQueue(...configs)
  t.after(open.close)
  await enqueue(open, { jobId: 'a' }, { jobId: 'late', expires: 1 }, { jobId: 'b' })
  open.clock.nowMs += 2000
  assert.deepEqual(ids(await open.queue.claim('default', { threads: 1, jobs: 2 })), ['a', 'b'])
  assert.equal(open.queue.get('late').state, 'cancelled')
  check(open)
})

test('a job that is given back is as it was before its claim', async (t) => {
  const open = await openQueue(...configs)
  t.after(open.close)
  await enqueue(open, { jobId: 'fresh' }, { jobId: 'again', attempts: 3, backoff: { type: 'fixed', delay: 0 } })
  const [fresh, again] = await open.queue.claim('default', 2)
  await open.queue.settleAll([
    { job: fresh!, ending: givenBack, trace },
    {
      job: again!,
      ending: { type: 'failed', final: false, error: { code: 'THROWN', name: 'E', message: 'no' } },
      trace
    }
  ])
  await open.queue.promoteDue(open.clock.nowMs)
  const before = { jobs: open.queue.list({}), entries: entriesOf(open) }
  open.clock.nowMs += 1000
  open.events.length = 0
  const claimed = await open.queue.claim('default', { threads: 2, jobs: 2 })
  assert.deepEqual(ids(claimed), ['fresh', 'again'])
  await open.queue.settleAll(claimed.map((job) => ({ job, ending: givenBack, trace: { progress: null, logs: [] } })))
  assert.deepEqual({ jobs: open.queue.list({}), entries: entriesOf(open) }, before)
  assert.deepEqual(
    open.events.map(({ type }) => type),
    ['ready', 'ready']
  )
  check(open)
})

test('attempts end together; one that was cancelled is passed over', async (t) => {
  const open = await openQueue(...configs)
  t.after(open.close)
  await enqueue(open, ...['a', 'b', 'c', 'd'].map((jobId) => ({ jobId })))
  const jobs = await open.queue.claim('default', { threads: 1, jobs: 4 })
  await open.queue.cancel('b', () => undefined)
  await open.queue.settleAll(jobs.map((job) => ({ job, ending: job.id === 'c' ? givenBack : done, trace })))
  assert.deepEqual(
    jobs.map(({ id }) => open.queue.get(id).state),
    ['completed', 'cancelled', 'ready', 'completed']
  )
  check(open)
})

test('a damaged record among those that end together is the affair of its job alone', async (t) => {
  const open = await openQueue(...configs)
  t.after(open.close)
  await enqueue(open, {}, {}, {})
  const jobs = await open.queue.claim('default', { threads: 1, jobs: 3 })
  await open.queue.storeTraces([{ job: jobs[1]!, trace }])
  await open.store.transact((transaction) => {
    const key = runningKey(jobs[1]!.seq)
    const value = Buffer.from(transaction.get(key)!)
    value[value.length - 1]! ^= 1
    transaction.put(key, value)
  })
  await open.queue.settleAll(jobs.map((job) => ({ job, ending: done, trace })))
  assert.equal(open.queue.get(jobs[0]!.id).state, 'completed')
  assert.equal(open.queue.get(jobs[2]!.id).state, 'completed')
  assert.ok(open.queue.setAside() > 0)
  await open.reopen()
  check(open)
})
