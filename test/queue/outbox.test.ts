/** What is prepared (issue 6.4): it happens with its commit, whatever has become true since, or not at all. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { ErrorCode } from '../../runtime/core/errors.ts'
import type { TransactionOperation } from '../../runtime/core/transaction.ts'
import { preparedRange } from '../../runtime/store/keys.ts'
import { Died, documentVersion, type OpenQueue, openQueue, queueConfig } from './open-queue.ts'
import { assertInvariants, entriesByKind } from './store-invariants.ts'

const configs = [queueConfig('default'), queueConfig('small', { maxQueued: 2 })]
const configsByName = new Map(configs.map((config) => [config.name, config]))
const noTrace = () => undefined
const outbox = 'orders'

async function opened(test: TestContext): Promise<OpenQueue> {
  const open = await openQueue(...configs)
  test.after(open.close)
  return open
}

function preparedIn({ store }: OpenQueue): number {
  return [...store.reader.keys(preparedRange)].length
}

function holds({ store, tag }: OpenQueue): void {
  assertInvariants(store.reader, tag, configsByName)
}

const order: TransactionOperation[] = [
  { op: 'enqueue', job: { method: 'a.mail', jobId: 'mail', params: { to: 'ü' } } },
  { op: 'enqueue', job: { method: 'a.pack', jobId: 'pack', dependsOn: [0] } },
  { op: 'setState', type: 'd.Order', name: '7', state: { paid: true } },
  { op: 'removeState', type: 'd.Order', name: 'draft' },
  { op: 'cancel', id: 'reminder' }
]

async function withReminder(open: OpenQueue): Promise<void> {
  await open.queue.enqueue([{ method: 'a.remind', jobId: 'reminder', delay: 60 }])
  await open.queue.transaction([{ op: 'setState', type: 'd.Order', name: 'draft', state: {} }], noTrace)
}

function isUntouched({ queue }: OpenQueue): void {
  for (const id of ['mail', 'pack']) assert.throws(() => queue.get(id), { code: 'JOB_UNKNOWN' })
  assert.throws(() => queue.documents.get({ type: 'd.Order', name: '7' }), { code: 'DOCUMENT_UNKNOWN' })
  assert.deepEqual(queue.documents.get({ type: 'd.Order', name: 'draft' }).state, {})
  assert.equal(queue.get('reminder').state, 'scheduled')
}

function isDone({ queue }: OpenQueue): void {
  assert.deepEqual(queue.get('mail').params, { to: 'ü' })
  assert.deepEqual([queue.get('mail').state, queue.get('pack').state], ['ready', 'scheduled'])
  const { state, version } = queue.documents.get({ type: 'd.Order', name: '7' })
  assert.deepEqual([state, version], [{ paid: true }, documentVersion])
  assert.throws(() => queue.documents.get({ type: 'd.Order', name: 'draft' }), { code: 'DOCUMENT_UNKNOWN' })
  assert.equal(queue.get('reminder').state, 'cancelled')
}

test('issue 6.4: what is prepared is seen by nobody until it is committed, and then all of it', async (t) => {
  const open = await opened(t)
  const { queue, clock } = open
  await withReminder(open)
  const view = await queue.outbox.prepare({ outbox, operations: order, timeout: '30s' })
  assert.deepEqual(
    { ...view, id: '' },
    {
      id: '',
      outbox,
      operations: 5,
      preparedAt: new Date(clock.nowMs).toISOString(),
      undecidedAt: new Date(clock.nowMs + 30_000).toISOString()
    }
  )
  assert.deepEqual(queue.outbox.list(outbox), [view])
  assert.deepEqual(queue.outbox.list(undefined), [view])
  assert.deepEqual(queue.outbox.list('others'), [])
  isUntouched(open)
  holds(open)
  clock.nowMs += 3_600_000
  const jobs = await queue.outbox.commit(view.id, noTrace)
  assert.deepEqual(
    jobs.map(({ id, deduplicated }) => [id, deduplicated]),
    [
      ['mail', false],
      ['pack', false]
    ]
  )
  isDone(open)
  assert.equal(queue.get('mail').enqueuedAt, new Date(clock.nowMs).toISOString())
  holds(open)
  assert.equal(preparedIn(open), 0)
  for (const decide of [() => queue.outbox.commit(view.id, noTrace), () => queue.outbox.abort(view.id)]) {
    await assert.rejects(decide(), { code: 'OUTBOX_UNKNOWN' })
  }
})

test('issue 6.4: what is aborted has never been, and a list is sorted by age', async (t) => {
  const open = await opened(t)
  const { queue, clock } = open
  await withReminder(open)
  const ids: string[] = []
  for (let n = 0; n < 5; n++) {
    ids.push((await queue.outbox.prepare({ outbox, operations: order })).id)
    clock.nowMs += 1_000
  }
  const listed = queue.outbox.list(outbox)
  assert.deepEqual(
    listed.map(({ id }) => id),
    ids
  )
  assert.equal(Date.parse(listed[0]!.undecidedAt) - Date.parse(listed[0]!.preparedAt), 60_000)
  for (const id of ids) await queue.outbox.abort(id)
  assert.equal(preparedIn(open), 0)
  isUntouched(open)
  await assert.rejects(queue.outbox.commit(ids[0]!, noTrace), { code: 'OUTBOX_UNKNOWN' })
  holds(open)
})

test('issue 6.4: what speaks against an operation is told as it is prepared, and nothing is stored', async (t) => {
  const open = await opened(t)
  const { queue } = open
  await withReminder(open)
  await queue.enqueue(['x', 'y'].map((jobId) => ({ method: 'a.x', jobId, queue: 'small' })))
  const refusals: [ErrorCode, TransactionOperation][] = [
    ['METHOD_UNKNOWN', { op: 'enqueue', job: { method: 'z.unknown' } }],
    ['QUEUE_UNKNOWN', { op: 'enqueue', job: { method: 'a.x', queue: 'nowhere' } }],
    ['JOB_EXISTS', { op: 'enqueue', job: { method: 'a.x', jobId: 'reminder' } }],
    ['JOB_UNKNOWN', { op: 'enqueue', job: { method: 'a.x', dependsOn: ['nobody'] } }],
    ['QUEUE_FULL', { op: 'enqueue', job: { method: 'a.x', queue: 'small' } }],
    ['JOB_UNKNOWN', { op: 'cancel', id: 'nobody' }],
    ['METHOD_UNKNOWN', { op: 'setState', type: 'z.Unknown', name: 'n', state: 1 }],
    ['PARAMS_INVALID', { op: 'setState', type: 'd.Order', name: 'n', state: 1, revision: null }],
    ['PARAMS_INVALID', { op: 'removeState', type: 'd.Order', name: 'n', revision: 1 }],
    ['PARAMS_INVALID', { op: 'setState', type: 'd.Order', name: 'n', state: undefined }]
  ]
  for (const [code, operation] of refusals) {
    for (let position = 0; position <= order.length; position++) {
      const operations = order.toSpliced(position, 0, operation)
      await assert.rejects(queue.outbox.prepare({ outbox, operations }), { code }, JSON.stringify(operation))
    }
  }
  assert.equal(preparedIn(open), 0)
  isUntouched(open)
  holds(open)
})

test('issue 6.4: once prepared, nothing speaks against it', async (t) => {
  const open = await opened(t)
  const { queue } = open
  await queue.enqueue(['parent', 'reminder'].map((jobId) => ({ method: 'a.x', jobId })))
  const jobs = [
    { method: 'a.x', jobId: 'full', queue: 'small' },
    { method: 'a.x', jobId: 'used' },
    { method: 'a.x', jobId: 'child', dependsOn: ['parent'] },
    { method: 'a.x', jobId: 'both', dependsOn: ['used', 'parent', 0] },
    { method: 'a.x', jobId: 'newest', deduplicate: { keepLast: true as const } },
    { method: 'a.x', jobId: 'late', expires: '2026-01-01T00:01:00Z' },
    { method: 'a.x', jobId: 'soft', softTimeout: 290 },
    { method: 'a.x', jobId: 'followed', onSuccess: { method: 'a.next', queue: 'small' } },
    { method: 'd.Order.pay', jobId: 'document', document: '7' }
  ]
  const { id } = await queue.outbox.prepare({
    outbox,
    operations: [{ op: 'cancel', id: 'reminder' }, ...jobs.map((job) => ({ op: 'enqueue' as const, job }))]
  })
  await queue.enqueue(['s1', 's2'].map((jobId) => ({ method: 'a.x', jobId, queue: 'small' })))
  await queue.enqueue([{ method: 'a.other', jobId: 'used' }])
  await queue.enqueue([{ method: 'a.x', jobId: 'newest' }])
  await queue.remove('parent')
  await queue.remove('reminder')
  // All that is left of the configuration is the default queue, with a shorter timeout.
  const changed = [queueConfig('default', { timeoutMs: 100_000 })]
  const after = await open.reopen(...changed)
  after.clock.nowMs += 120_000
  const admitted = await after.queue.outbox.commit(id, noTrace)
  assert.deepEqual(
    admitted.map(({ id, deduplicated }) => [id, deduplicated]),
    [
      ['full', false],
      ['used', true],
      ['child', false],
      ['both', false],
      ['newest', true],
      ['late', false],
      ['soft', false],
      ['followed', false],
      ['document', false]
    ]
  )
  const { queue: later } = after
  assert.equal(later.get('full').queue, 'default')
  assert.equal(later.get('used').method, 'a.other')
  assert.equal(later.get('child').state, 'ready')
  assert.equal(later.get('both').state, 'scheduled')
  assert.equal(later.get('document').document!.name, '7')
  await later.upkeep(after.clock.nowMs)
  assert.deepEqual([later.get('late').state, later.get('late').error!.name], ['cancelled', 'Expired'])
  assert.equal(preparedIn(after), 0)
})

test('issue 6.4: jobs of one call whose ids have become one by now are one job', async (t) => {
  const open = await opened(t)
  const { queue } = open
  const newest = { method: 'a.x', jobId: 'x', deduplicate: { keepLast: true as const } }
  const operations = [{ method: 'a.x', jobId: 'x~next' }, newest, newest].map((job) => ({
    op: 'enqueue' as const,
    job
  }))
  const { id } = await queue.outbox.prepare({ outbox, operations })
  const reversed = await queue.outbox.prepare({ outbox, operations: operations.toReversed() })
  await queue.enqueue([{ method: 'a.x', jobId: 'x' }])
  await queue.claim('default', 1)
  const jobs = await queue.outbox.commit(id, noTrace)
  assert.deepEqual(
    jobs.map(({ id, deduplicated }) => [id, deduplicated]),
    [
      ['x~next', false],
      ['x~next', true],
      ['x~next', true]
    ]
  )
  await queue.remove('x~next')
  const others = await queue.outbox.commit(reversed.id, noTrace)
  assert.deepEqual(
    others.map(({ id, deduplicated }) => [id, deduplicated]),
    [
      ['x~next', false],
      ['x~next', true],
      ['x~next', true]
    ]
  )
  holds(open)
})

test('issue 6.4: a process that dies between any two commits leaves each decision done or not done', async (t) => {
  const open = await opened(t)
  await withReminder(open)
  open.dieAfter(0)
  await assert.rejects(open.queue.outbox.prepare({ outbox, operations: order }), Died)
  const second = await open.reopen()
  assert.equal(preparedIn(second), 0)
  second.dieAfter(1)
  await assert.rejects(second.queue.outbox.prepare({ outbox, operations: order }), Died)
  const third = await second.reopen()
  const [prepared] = third.queue.outbox.list(outbox)
  isUntouched(third)
  third.dieAfter(0)
  await assert.rejects(third.queue.outbox.commit(prepared!.id, noTrace), Died)
  const fourth = await third.reopen()
  assert.deepEqual(fourth.queue.outbox.list(outbox), [prepared])
  isUntouched(fourth)
  fourth.dieAfter(1)
  await assert.rejects(fourth.queue.outbox.commit(prepared!.id, noTrace), Died)
  const fifth = await fourth.reopen()
  assert.equal(preparedIn(fifth), 0)
  isDone(fifth)
  await assert.rejects(fifth.queue.outbox.commit(prepared!.id, noTrace), { code: 'OUTBOX_UNKNOWN' })
  holds(fifth)
})

test('issue 6.4: on a full disk an entry stays prepared; once there is room, it can be committed', async (t) => {
  const open = await openQueue(...configs)
  t.after(open.close)
  const { queue } = open
  await withReminder(open)
  const large = [1, 2, 3, 4].map(
    (n): TransactionOperation => ({ op: 'setState', type: 'd.Order', name: `n${n}`, state: 'z'.repeat(32 * 1024) })
  )
  const { id } = await queue.outbox.prepare({ outbox, operations: [...order, ...large] })
  const entries = () => [...entriesByKind(open.store.reader).values()].flat()
  const before = entries()
  open.setDiskFull(true)
  await assert.rejects(queue.outbox.commit(id, noTrace), { code: 'STORAGE_FULL' })
  await assert.rejects(queue.outbox.prepare({ outbox, operations: large }), { code: 'STORAGE_FULL' })
  assert.deepEqual(entries(), before)
  isUntouched(open)
  open.setDiskFull(false)
  await queue.outbox.commit(id, noTrace)
  isDone(open)
  for (let n = 1; n <= 4; n++) assert.ok(queue.documents.get({ type: 'd.Order', name: `n${n}` }).bytes > 32 * 1024)
})
