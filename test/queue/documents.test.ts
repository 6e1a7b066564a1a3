/** Documents in the queue: their jobs run one at a time and in order, over all queues, and their state is as they left it. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import type { EnqueueRequest } from '../../runtime/core/job.ts'
import { documentPageBytesMax, stateSentBytesMax } from '../../runtime/core/limits.ts'
import type { ClaimedJob } from '../../runtime/queue/claimed-job.ts'
import { DocumentWalk, step, walkQueues } from './document-walk.ts'
import { type OpenQueue, openQueue, queueConfig } from './open-queue.ts'
import { assertInvariants } from './store-invariants.ts'

const noTrace = { progress: null, logs: [] }
const error = { code: 'THROWN', name: 'Error', message: 'no' } as const
const type = 'd.Doc'

async function open(test: TestContext, ...queues: ReturnType<typeof queueConfig>[]): Promise<OpenQueue> {
  const opened = await openQueue(...(queues.length === 0 ? [queueConfig('default'), queueConfig('long')] : queues))
  test.after(() => opened.close())
  return opened
}

function call(document: string, jobId: string, options: Partial<EnqueueRequest> = {}): EnqueueRequest {
  return { method: `${type}.run`, document, jobId, ...options }
}

async function ids({ queue }: OpenQueue, name: string, max = 10): Promise<string[]> {
  return (await queue.claim(name, max)).map(({ id }) => id)
}

function completed(state: unknown) {
  return {
    type: 'completed',
    result: 'null',
    effects: { document: { state: JSON.stringify(state), version: 1 } }
  } as const
}

async function put({ queue }: OpenQueue, name: string, state: unknown): Promise<void> {
  await queue.enqueue([{ method: `${type}.run`, document: name, priority: 9 }])
  const [job] = await queue.claim('default', 1)
  assert.equal(job?.document?.name, name)
  await queue.settle(job!, completed(state), noTrace)
}

test('issue 6.1: documents do what a plain list of states does, over any operations and crashes', async () => {
  const seen = new Map<string, number>()
  let opened = await openQueue(...walkQueues)
  try {
    const steps = fc.array(step, { minLength: 1, maxLength: 60, size: 'max' })
    await fc.assert(
      fc.asyncProperty(steps, async (steps) => {
        opened = await opened.fresh()
        const walk = new DocumentWalk(opened, seen)
        for (const step of steps) await walk.perform(step)
        await walk.drain()
        opened = walk.open
      }),
      { numRuns: Number(process.env.DOCUMENT_WALKS ?? 60) }
    )
    for (const what of ['conflict', 'refused', 'reopen']) assert((seen.get(what) ?? 0) > 0, `${what} was never met`)
  } finally {
    await opened.close()
  }
})

test('issue 6.1: the jobs of a document run in the order of enqueueing, in whatever queues they are', async (test) => {
  const opened = await open(test)
  const { queue } = opened
  await queue.enqueue([call('x', '1'), call('x', '2', { queue: 'long' }), call('x', '3'), call('y', 'other')])
  const [first, other, ...none] = await queue.claim('default', 10)
  assert.deepEqual([first!.id, other!.id, none.length], ['1', 'other', 0])
  assert.deepEqual(await ids(opened, 'long'), [])
  await queue.settle(first!, completed([1]), noTrace)
  assert.deepEqual(await ids(opened, 'default'), [])
  assert.deepEqual(opened.told.ready.at(-1), 'long', 'the queue of the next job is woken')
  const [second] = await queue.claim('long', 10)
  assert.equal(second!.id, '2')
  assert.equal(second!.document!.state, '[1]')
  await queue.settle(second!, completed([1, 2]), noTrace)
  assert.deepEqual(await ids(opened, 'default'), ['3'])
})

test('issue 6.1: what is at front, and larger priorities, come first in a document as well', async (test) => {
  const opened = await open(test)
  const { queue } = opened
  const options: Partial<EnqueueRequest>[] = [
    {},
    { priority: 1 },
    { atFront: true },
    { atFront: true },
    { queue: 'long', priority: 2 }
  ]
  await queue.enqueue(options.map((each, at) => call('x', String(at + 1), each)))
  const order: string[] = []
  for (;;) {
    const [job] = [...(await queue.claim('default', 1)), ...(await queue.claim('long', 1))]
    if (job === undefined) break
    order.push(job.id)
    await queue.settle(job, completed(order), noTrace)
  }
  assert.deepEqual(order, ['4', '3', '5', '2', '1'])
})

test('issue 6.1: a job that waits for its next attempt holds its document; so does one that asked to run later', async (test) => {
  const opened = await open(test)
  const { queue, clock } = opened
  await queue.enqueue([
    call('x', '1', { attempts: 2, backoff: { type: 'fixed', delay: 5 } }),
    call('x', '2', { queue: 'long' })
  ])
  const endings = [
    { type: 'failed', error, final: false },
    { type: 'retryLater', delayMs: 5_000, message: '' }
  ] as const
  for (const ending of endings) {
    const [job] = await queue.claim('default', 1)
    assert.equal(job!.id, '1')
    await queue.settle(job!, ending, noTrace)
    assert.deepEqual([await ids(opened, 'default'), await ids(opened, 'long')], [[], []])
    clock.nowMs += 5_000
    await queue.promoteDue(clock.nowMs)
  }
  await queue.cancel('1', () => undefined)
  assert.deepEqual(await ids(opened, 'long'), ['2'])
})

test('issue 6.1: documents, keys and jobs without either take turns', async (test) => {
  const opened = await open(test)
  const { queue } = opened
  const many = (of: string, options: Partial<EnqueueRequest>): EnqueueRequest[] =>
    [1, 2, 3].map((at) => ({ method: 'a.b', jobId: `${of} ${at}`, ...options }))
  await queue.enqueue([
    ...many('x', { method: `${type}.run`, document: 'x' }),
    ...many('y', { method: `${type}.run`, document: 'y' }),
    ...many('key', { key: 'k', keyConcurrency: 1 }),
    ...many('plain', {})
  ])
  const order: string[] = []
  for (let turn = 0; turn < 12; turn++) {
    const [job] = await queue.claim('default', 1)
    order.push(job!.id)
    await queue.settle(job!, { type: 'completed', result: 'null' }, noTrace)
  }
  for (const round of [0, 1, 2]) {
    const of = order.slice(round * 4, round * 4 + 4)
    const expected = ['key', 'plain', 'x', 'y'].map((name) => `${name} ${round + 1}`)
    assert.deepEqual(of.toSorted(), expected, `round ${round}: ${order}`)
  }
})

test('issue 6.1: jobs of a document do not overtake those of an ageing queue, nor the other way round', async (test) => {
  const opened = await open(test, queueConfig('default'), queueConfig('aged', { ageingMs: 1_000 }))
  const { queue, clock } = opened
  await queue.enqueue([
    call('x', '1', { queue: 'aged' }),
    call('x', '2'),
    { method: 'a.b', queue: 'aged', jobId: 'plain' }
  ])
  clock.nowMs += 3_600_000
  await queue.enqueue([call('x', '3', { queue: 'aged' })])
  assert.deepEqual(await ids(opened, 'default'), [], 'the first is in the other queue')
  const claimed = await queue.claim('aged', 10)
  assert.deepEqual(claimed.map(({ id }) => id).toSorted(), ['1', 'plain'])
  for (const job of claimed) await queue.settle(job, { type: 'completed', result: 'null' }, noTrace)
  assert.deepEqual(await ids(opened, 'aged'), [])
  assert.deepEqual(await ids(opened, 'default'), ['2'])
  assertInvariants(opened.store.reader, opened.tag, new Map())
})

test('issue 6.1: a document and a key of another method are no reason to refuse; what does not fit together is', async (test) => {
  const { queue } = await open(test)
  const refused: [EnqueueRequest, RegExp][] = [
    [{ method: `${type}.run` }, /no document is named.*enqueueDoc\("d\.Doc", name, "run"/],
    [{ method: 'a.b', document: 'x' }, /plain function/],
    [call('x', '1', { key: 'k' }), /its document is its key/],
    [call('x', '1', { key: 'k', keyConcurrency: 2 }), /its document is its key/],
    [{ method: 'a.b', onSuccess: { method: `${type}.run` } }, /no document is named/],
    [{ method: 'a.b', onFailure: { method: 'a.c', document: 'x' } }, /plain function/]
  ]
  for (const [request, message] of refused) {
    await assert.rejects(queue.enqueue([request]), { code: 'PARAMS_INVALID', message })
  }
  assert.deepEqual(queue.list({}).jobs, [])
})

test('issue 6.1: a job that follows another may be a call of a document', async (test) => {
  const { queue } = await open(test)
  await queue.enqueue([{ method: 'a.b', onSuccess: { method: `${type}.run`, document: 'x' } }])
  const [job] = await queue.claim('default', 1)
  await queue.settle(job!, { type: 'completed', result: '1' }, noTrace)
  const [next] = await queue.claim('default', 1)
  assert.deepEqual(next!.document?.name, 'x')
  assert.deepEqual(queue.get(next!.id).document, { type, name: 'x' })
})

test('issue 6.1: a claim brings the state along; a large one is asked for, and refused once it has changed', async (test) => {
  const opened = await open(test)
  const { queue } = opened
  const large = 'x'.repeat(stateSentBytesMax)
  await put(opened, 'small', { a: 1 })
  await put(opened, 'large', large)
  await queue.enqueue([call('new', 'n'), call('small', 's'), call('large', 'l')])
  const claimed = await queue.claim('default', 10)
  const of = (name: string): ClaimedJob => claimed.find(({ document }) => document?.name === name)!
  const { revision, nextRevision, state } = of('new').document!
  assert.deepEqual([revision, state], [null, undefined])
  assert.equal(of('small').document!.state, '{"a":1}')
  assert.equal(of('small').document!.version, 1)
  assert.equal(of('large').document!.state, undefined)
  assert.equal(queue.documents.stateOf(of('large')), JSON.stringify(large))
  assert.throws(() => queue.documents.stateOf(of('new')), { code: 'DOCUMENT_CHANGED' })
  await queue.documents.remove({ type, name: 'large' })
  assert.throws(() => queue.documents.stateOf(of('large')), { code: 'DOCUMENT_CHANGED' })
  await queue.settle(of('new'), completed(1), noTrace)
  assert.equal(queue.documents.get({ type, name: 'new' }).revision, nextRevision)
})

test('issue 6.1: documents are listed by type and name, a page at a time, bounded by count and by bytes', async (test) => {
  const opened = await open(test)
  const { queue } = opened
  const half = 'x'.repeat(documentPageBytesMax / 2)
  for (const name of ['b', 'a', 'c']) await put(opened, name, half)
  await queue.enqueue([{ method: 'd.Other.run', document: 'z' }])
  const [other] = await queue.claim('default', 1)
  await queue.settle(other!, completed({}), noTrace)
  const names = (filter: object) => queue.documents.list(filter).documents.map((each) => each.name)
  assert.deepEqual(names({}), ['a', 'b'], 'as many as there is room for')
  const first = queue.documents.list({ type, limit: 1 })
  assert.deepEqual([first.documents[0]!.name, first.cursor !== null], ['a', true])
  const rest = queue.documents.list({ type, cursor: first.cursor! })
  assert.deepEqual(
    rest.documents.map(({ name }) => name),
    ['b', 'c']
  )
  assert.equal(rest.cursor, null)
  assert.deepEqual(names({ cursor: queue.documents.list({ limit: 2 }).cursor }), ['c', 'z'])
  assert.deepEqual(names({ type: 'd.Do' }), [], 'another type')
  assert.throws(() => queue.documents.list({ type: 'd.Other', cursor: first.cursor! }), { code: 'PARAMS_INVALID' })
  const { state, version, bytes, reminders } = queue.documents.get({ type: 'd.Other', name: 'z' })
  assert.deepEqual({ state, version, bytes, reminders }, { state: {}, version: 1, bytes: 2, reminders: [] })
})

test('issue 6.1: a document that is removed is gone, and made anew under another revision', async (test) => {
  const opened = await open(test)
  const { queue, clock } = opened
  const id = { type, name: 'x' }
  await put(opened, 'x', 1)
  const { revision, createdAt } = queue.documents.get(id)
  await queue.documents.remove(id)
  assert.throws(() => queue.documents.get(id), { code: 'DOCUMENT_UNKNOWN' })
  await assert.rejects(queue.documents.remove(id), { code: 'DOCUMENT_UNKNOWN' })
  clock.nowMs += 1_000
  await put(opened, 'x', 1)
  const again = queue.documents.get(id)
  assert(again.revision > revision)
  assert.notEqual(again.createdAt, createdAt)
})

test('issue 6.1: a job at front that is replaced by one of a document takes its place along', async (test) => {
  const opened = await open(test)
  const { queue } = opened
  await queue.enqueue([{ method: 'a.b', key: 'k', atFront: true, jobId: 'job', queue: 'long' }])
  // The document is changed before the key loses its job.
  await queue.enqueue([
    { method: `${type}.run`, document: 'x', jobId: 'other' },
    {
      method: `${type}.run`,
      document: 'x',
      atFront: true,
      jobId: 'job',
      queue: 'long',
      deduplicate: { keepLast: true }
    }
  ])
  assertInvariants(opened.store.reader, opened.tag, new Map())
  assert.deepEqual(
    (await queue.claim('long', 2)).map(({ id }) => id),
    ['job']
  )
})
