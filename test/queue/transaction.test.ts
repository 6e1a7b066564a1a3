/** Transactions (issue 6.4): everything they ask for in one commit, or nothing. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { ErrorCode } from '../../runtime/core/errors.ts'
import type { TransactionOperation } from '../../runtime/core/transaction.ts'
import { Died, documentVersion, type OpenQueue, openQueue, queueConfig } from './open-queue.ts'
import { assertInvariants, entriesByKind } from './store-invariants.ts'

const configs = [queueConfig('default'), queueConfig('small', { maxQueued: 2 })]
const configsByName = new Map(configs.map((config) => [config.name, config]))
const noTrace = () => undefined

async function opened(test: TestContext): Promise<OpenQueue> {
  const open = await openQueue(...configs)
  test.after(open.close)
  return open
}

/** Jobs `first`, `second` and `taken`, and a document `d.Account/old`, of a store that has just committed. */
async function prefilled(test: TestContext): Promise<OpenQueue & { oldRevision: number }> {
  const open = await opened(test)
  await open.queue.enqueue(['first', 'second', 'taken'].map((jobId) => ({ method: 'a.x', jobId })))
  // So that the counts of each queue are there.
  await open.queue.enqueue([{ method: 'a.x', jobId: 'gone', queue: 'small' }])
  await open.queue.remove('gone')
  await open.queue.transaction([{ op: 'setState', type: 'd.Account', name: 'old', state: { balance: 1 } }], noTrace)
  return { ...open, oldRevision: open.queue.documents.get({ type: 'd.Account', name: 'old' }).revision }
}

function everything({ store }: OpenQueue): string[] {
  return [...entriesByKind(store.reader).values()]
    .flat()
    .map(({ key, value }) => `${key.toString('hex')} ${value.toString('hex')}`)
}

function holds({ store, tag }: OpenQueue): void {
  assertInvariants(store.reader, tag, configsByName)
}

function stateOf({ queue }: OpenQueue, name: string): unknown {
  return queue.documents.get({ type: 'd.Account', name }).state
}

test('issue 6.4: jobs, states and cancellations are one commit', async (t) => {
  const open = await prefilled(t)
  const { queue, told, events } = open
  events.length = 0
  const { jobs } = await queue.transaction(
    [
      { op: 'cancel', id: 'first' },
      { op: 'enqueue', job: { method: 'a.x', params: { n: 1 } } },
      { op: 'setState', type: 'd.Account', name: 'new', state: [1, 'ü'] },
      { op: 'enqueue', job: { method: 'a.y', jobId: 'child', dependsOn: [0] } },
      { op: 'enqueue', job: { method: 'd.Account.add', document: 'old' } },
      { op: 'removeState', type: 'd.Account', name: 'old' },
      { op: 'removeState', type: 'd.Account', name: 'never there' }
    ],
    noTrace
  )
  assert.deepEqual(
    jobs.map(({ state, deduplicated }) => [state, deduplicated]),
    [
      ['ready', false],
      ['scheduled', false],
      ['ready', false]
    ]
  )
  assert.equal(jobs[1]!.id, 'child')
  assert.deepEqual(queue.get(jobs[0]!.id).params, { n: 1 })
  assert.equal(queue.get('first').state, 'cancelled')
  const { state, version } = queue.documents.get({ type: 'd.Account', name: 'new' })
  assert.deepEqual([state, version], [[1, 'ü'], documentVersion])
  assert.throws(() => stateOf(open, 'old'), { code: 'DOCUMENT_UNKNOWN' })
  assert.deepEqual(
    events.map(({ type, job }) => [type, job === jobs[0]!.id ? 'job' : job]),
    [
      ['cancelled', 'first'],
      ['enqueued', 'job'],
      ['enqueued', 'child'],
      ['enqueued', jobs[2]!.id]
    ]
  )
  assert.equal(told.ready.at(-1), 'default')
  holds(open)
})

const large = 'x'.repeat(9 * 1024 * 1024)
const deep = JSON.parse('['.repeat(70) + ']'.repeat(70))
const refusals: [ErrorCode, TransactionOperation][] = [
  ['METHOD_UNKNOWN', { op: 'enqueue', job: { method: 'z.unknown' } }],
  ['QUEUE_UNKNOWN', { op: 'enqueue', job: { method: 'a.x', queue: 'nowhere' } }],
  ['PARAMS_INVALID', { op: 'enqueue', job: { method: 'a.x', delay: 1, runAt: 1 } }],
  ['PARAMS_INVALID', { op: 'enqueue', job: { method: 'd.Account.add' } }],
  ['PAYLOAD_TOO_LARGE', { op: 'enqueue', job: { method: 'a.x', params: large } }],
  ['JOB_EXISTS', { op: 'enqueue', job: { method: 'a.x', jobId: 'taken' } }],
  ['JOB_EXISTS', { op: 'enqueue', job: { method: 'a.x', jobId: 'one' } }],
  ['JOB_UNKNOWN', { op: 'enqueue', job: { method: 'a.x', dependsOn: ['nobody'] } }],
  ['QUEUE_FULL', { op: 'enqueue', job: { method: 'a.x', queue: 'small' } }],
  ['JOB_UNKNOWN', { op: 'cancel', id: 'nobody' }],
  ['METHOD_UNKNOWN', { op: 'setState', type: 'z.Unknown', name: 'n', state: 1 }],
  ['PAYLOAD_TOO_LARGE', { op: 'setState', type: 'd.Account', name: 'n', state: large }],
  ['PARAMS_INVALID', { op: 'setState', type: 'd.Account', name: 'n', state: deep }],
  ['PARAMS_INVALID', { op: 'setState', type: 'd.Account', name: 'n', state: undefined }],
  ['PARAMS_INVALID', { op: 'setState', type: 'd.Account', name: 'n', state: 1, id: 'first' } as TransactionOperation],
  ['PARAMS_INVALID', { op: 'cancel' } as unknown as TransactionOperation],
  ['DOCUMENT_CHANGED', { op: 'setState', type: 'd.Account', name: 'old', state: 1, revision: 0 }],
  ['DOCUMENT_CHANGED', { op: 'setState', type: 'd.Account', name: 'old', state: 1, revision: null }],
  ['DOCUMENT_CHANGED', { op: 'removeState', type: 'd.Account', name: 'never there', revision: 1 }]
]

test('issue 6.4: whatever is refused, and wherever it stands, nothing of the transaction is there', async (t) => {
  const open = await prefilled(t)
  const { queue } = open
  const good: TransactionOperation[] = [
    { op: 'cancel', id: 'first' },
    { op: 'enqueue', job: { method: 'a.x', jobId: 'one' } },
    { op: 'setState', type: 'd.Account', name: 'old', state: { balance: 2 } },
    { op: 'enqueue', job: { method: 'a.x', queue: 'small' } },
    { op: 'enqueue', job: { method: 'a.x', queue: 'small', dependsOn: ['one'] } },
    { op: 'cancel', id: 'second' },
    { op: 'setState', type: 'd.Account', name: 'new', state: 'new' }
  ]
  const before = everything(open)
  for (const [code, operation] of refusals) {
    for (let position = 0; position <= good.length; position++) {
      const operations = good.toSpliced(position, 0, operation)
      const beside = queue.enqueue([{ method: 'a.x', jobId: 'beside' }])
      await assert.rejects(
        queue.transaction(operations, noTrace),
        { code },
        `${JSON.stringify(operation).slice(0, 200)} at ${position}`
      )
      assert.equal((await beside)[0]!.state, 'ready')
      await queue.remove('beside')
      const counters = (entry: string) => entry.startsWith(Buffer.from('M').toString('hex'))
      assert.deepEqual(
        everything(open).filter((entry) => !counters(entry)),
        before.filter((entry) => !counters(entry)),
        `${code} at ${position}`
      )
    }
  }
  holds(open)
  const { jobs } = await queue.transaction(good, noTrace)
  assert.equal(jobs.length, 3)
  holds(open)
})

test('issue 6.4: a refusal in the commit, beside others', async (t) => {
  const open = await prefilled(t)
  const { queue } = open
  const refused = [
    { op: 'cancel', id: 'first' },
    ...Array.from({ length: 3 }, () => ({ op: 'enqueue', job: { method: 'a.x', queue: 'small' } }))
  ] as TransactionOperation[]
  const [before, transaction, after] = await Promise.allSettled([
    queue.enqueue([{ method: 'a.x', jobId: 'before' }]),
    queue.transaction(refused, noTrace),
    queue.transaction([{ op: 'setState', type: 'd.Account', name: 'beside', state: 1 }], noTrace)
  ])
  assert.deepEqual([before.status, transaction.status, after.status], ['fulfilled', 'rejected', 'fulfilled'])
  assert.equal(queue.get('first').state, 'ready')
  assert.equal(stateOf(open, 'beside'), 1)
  assert.equal(open.told.cancelled.length, 0)
  holds(open)
})

test('issue 6.4: operations are done in their order, the jobs together where the first of them stands', async (t) => {
  const open = await prefilled(t)
  const { queue } = open
  const again = { method: 'a.again', jobId: 'first', deduplicate: true }
  await queue.transaction(
    [
      { op: 'cancel', id: 'first' },
      { op: 'enqueue', job: again }
    ],
    noTrace
  )
  assert.deepEqual([queue.get('first').method, queue.get('first').state], ['a.again', 'ready'])
  const { jobs } = await queue.transaction(
    [
      { op: 'enqueue', job: again },
      { op: 'cancel', id: 'first' }
    ],
    noTrace
  )
  assert.deepEqual(jobs, [{ id: 'first', state: 'cancelled', deduplicated: true }])
  assert.equal(queue.get('first').state, 'cancelled')
  const own = { method: 'a.x', jobId: 'own' }
  await queue.transaction(
    [
      { op: 'enqueue', job: own },
      { op: 'cancel', id: 'own' },
      { op: 'cancel', id: 'own' }
    ],
    noTrace
  )
  assert.equal(queue.get('own').state, 'cancelled')
  await assert.rejects(
    queue.transaction(
      [
        { op: 'cancel', id: 'later' },
        { op: 'enqueue', job: { ...own, jobId: 'later' } }
      ],
      noTrace
    ),
    { code: 'JOB_UNKNOWN' }
  )
  holds(open)
})

test('issue 6.4: what is cancelled first makes room in a full queue', async (t) => {
  const open = await opened(t)
  const { queue } = open
  await queue.enqueue(['a', 'b'].map((jobId) => ({ method: 'a.x', jobId, queue: 'small' })))
  const another: TransactionOperation = { op: 'enqueue', job: { method: 'a.x', queue: 'small' } }
  await assert.rejects(queue.transaction([another, { op: 'cancel', id: 'a' }], noTrace), { code: 'QUEUE_FULL' })
  await queue.transaction([{ op: 'cancel', id: 'a' }, another], noTrace)
  assert.equal(queue.get('a').state, 'cancelled')
  holds(open)
})

test('issue 6.4: of a document the last operation counts, and conditions are about what it was before', async (t) => {
  const open = await prefilled(t)
  const { queue, oldRevision } = open
  const old = { type: 'd.Account', name: 'old' }
  await queue.transaction(
    [
      { op: 'setState', ...old, state: 1, revision: oldRevision },
      { op: 'removeState', ...old, revision: oldRevision },
      { op: 'setState', ...old, state: 2, revision: oldRevision },
      { op: 'setState', type: 'd.Account', name: 'new', state: 1, revision: null },
      { op: 'removeState', type: 'd.Account', name: 'new', revision: null }
    ],
    noTrace
  )
  const { state, revision } = queue.documents.get(old)
  assert.equal(state, 2)
  assert.ok(revision > oldRevision)
  assert.throws(() => stateOf(open, 'new'), { code: 'DOCUMENT_UNKNOWN' })
  const changed = await queue
    .transaction([{ op: 'setState', ...old, state: 3, revision: oldRevision }], noTrace)
    .catch((error) => error)
  assert.deepEqual([changed.code, changed.data], ['DOCUMENT_CHANGED', { ...old, revision }])
})

test('issue 6.4: of transactions on one document in one commit, the first that has read it wins', async (t) => {
  const open = await prefilled(t)
  const { queue, oldRevision } = open
  const write = (state: number) =>
    queue.transaction([{ op: 'setState', type: 'd.Account', name: 'old', state, revision: oldRevision }], noTrace)
  const outcomes = await Promise.allSettled([write(1), write(2), write(3)])
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected']
  )
  assert.equal(stateOf(open, 'old'), 1)
})

test('issue 6.4: a running job is cancelled with what it has said, and its thread is killed', async (t) => {
  const open = await prefilled(t)
  const { queue, told } = open
  const [claimed] = await queue.claim('default', 1)
  const trace = { progress: { percent: 40, stage: null }, logs: [] }
  const asked: string[][] = []
  await queue.transaction([{ op: 'cancel', id: claimed!.id }], (...which) => {
    asked.push(which)
    return trace
  })
  assert.deepEqual(asked, [['default', claimed!.id]])
  const { state, progress } = queue.get(claimed!.id)
  assert.deepEqual([state, progress], ['cancelled', trace.progress])
  assert.deepEqual(told.cancelled, [claimed!.id])
  assert.equal(await queue.settle(claimed!, { type: 'completed', result: '1' }, trace), false)
  holds(open)
})

test('issue 6.4: the state of a document is set while its job runs, which then runs again', async (t) => {
  const open = await opened(t)
  const { queue } = open
  await queue.enqueue([{ method: 'd.Account.add', document: 'x' }])
  const [claimed] = await queue.claim('default', 1)
  await queue.transaction([{ op: 'setState', type: 'd.Account', name: 'x', state: 'by hand' }], noTrace)
  const effects = { document: { state: '"by the job"', version: 1 } }
  await queue.settle(claimed!, { type: 'completed', result: '1', effects }, { progress: null, logs: [] })
  assert.equal(stateOf(open, 'x'), 'by hand')
  const { state, history } = queue.get(claimed!.id)
  assert.deepEqual([state, history.map(({ outcome }) => outcome)], ['ready', ['interrupted']])
  const [again] = await queue.claim('default', 1)
  assert.equal(again!.document!.state, '"by hand"')
})

test('issue 6.4: a process that dies before the commit leaves nothing of it, after it all of it', async (t) => {
  const open = await prefilled(t)
  const operations: TransactionOperation[] = [
    { op: 'cancel', id: 'first' },
    ...Array.from(
      { length: 20 },
      (_, n): TransactionOperation => ({ op: 'enqueue', job: { method: 'a.x', jobId: `n${n}` } })
    ),
    ...Array.from(
      { length: 5 },
      (_, n): TransactionOperation => ({ op: 'setState', type: 'd.Account', name: `n${n}`, state: n })
    )
  ]
  const before = everything(open)
  open.dieAfter(0)
  await assert.rejects(open.queue.transaction(operations, noTrace), Died)
  const second = await open.reopen()
  assert.deepEqual(everything(second), before)
  second.dieAfter(1)
  await assert.rejects(second.queue.transaction(operations, noTrace), Died)
  const third = await second.reopen()
  assert.equal(third.queue.get('first').state, 'cancelled')
  assert.equal(third.queue.queue('default').counts.ready, 2 + 20)
  for (let n = 0; n < 5; n++) assert.equal(stateOf(third, `n${n}`), n)
  holds(third)
})

test('issue 6.4: on a full disk nothing of a transaction is there; once there is room, all of it', async (t) => {
  const open = await openQueue(...configs)
  t.after(open.close)
  const { queue } = open
  await queue.enqueue([{ method: 'a.x', jobId: 'first' }])
  const operations: TransactionOperation[] = [
    { op: 'cancel', id: 'first' },
    ...[1, 2, 3, 4].flatMap((n): TransactionOperation[] => [
      { op: 'enqueue', job: { method: 'a.y', jobId: `y${n}`, params: 'y'.repeat(32 * 1024) } },
      { op: 'setState', type: 'd.Account', name: `n${n}`, state: 'z'.repeat(32 * 1024) }
    ])
  ]
  const before = everything(open)
  open.setDiskFull(true)
  await assert.rejects(queue.transaction(operations, noTrace), { code: 'STORAGE_FULL' })
  assert.deepEqual(everything(open), before)
  assert.equal(open.told.cancelled.length, 0)
  open.setDiskFull(false)
  await queue.transaction(operations, noTrace)
  assert.equal(queue.get('first').state, 'cancelled')
  for (let n = 1; n <= 4; n++) {
    assert.equal(queue.get(`y${n}`).state, 'ready')
    assert.equal((stateOf(open, `n${n}`) as string).length, 32 * 1024)
  }
  holds(open)
})
