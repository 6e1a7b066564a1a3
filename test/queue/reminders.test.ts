/** Calls that documents ask for: once or again and again, durable, taken back, gone with the document. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { ReminderChange } from '../../runtime/core/document.ts'
import { iso } from '../../runtime/core/instant.ts'
import { documentPageBytesMax, reminderParamsBytesMax, remindersMax } from '../../runtime/core/limits.ts'
import { nextInstantOf } from '../../runtime/scheduler/cron/next-instant.ts'
import { type OpenQueue, openQueue, queueConfig } from './open-queue.ts'
import { assertInvariants, entriesByKind } from './store-invariants.ts'

const noTrace = { progress: null, logs: [] }
const x = { type: 'd.Doc', name: 'x' }

async function open(test: TestContext): Promise<OpenQueue> {
  const opened = await openQueue(queueConfig('default'), queueConfig('long'))
  test.after(() => opened.close())
  return opened
}

/** A job of the document completes and asks for these. @returns the job as it is shown then */
async function ask({ queue }: OpenQueue, reminders: unknown[], state: string | null = '{}') {
  const [enqueued] = await queue.enqueue([{ method: 'd.Doc.run', document: 'x', atFront: true }])
  const [job] = await queue.claim('default', 1)
  assert.equal(job!.id, enqueued!.id)
  const document = state === null ? {} : { document: { state, version: 1 } }
  const effects = { ...document, reminders: reminders as ReminderChange[] }
  await queue.settle(job!, { type: 'completed', result: 'null', effects }, noTrace)
  return queue.get(job!.id)
}

function set(name: string, when: object): ReminderChange {
  return { type: 'set', name, method: 'ring', ...when }
}

/** Upkeep as the supervisor does it. @returns when the next is due */
async function upkeep({ queue, clock }: OpenQueue): Promise<number | null> {
  for (;;) {
    const nextAtMs = await queue.upkeep(clock.nowMs)
    if (nextAtMs === null || nextAtMs > clock.nowMs) return nextAtMs
  }
}

function calls({ queue }: OpenQueue): unknown[] {
  return queue
    .list({ method: 'd.Doc.ring' })
    .jobs.map(({ queue, params, document }) => [queue, params, document])
    .reverse()
}

async function finishAll({ queue }: OpenQueue): Promise<void> {
  for (const job of await queue.claim('default', 10)) {
    await queue.settle(job, { type: 'completed', result: 'null' }, noTrace)
  }
}

function consistent({ store, tag }: OpenQueue): void {
  assertInvariants(store.reader, tag, new Map())
}

test('issue 6.6: a reminder calls a method of its document once, at its time, over a restart', async (test) => {
  let opened = await open(test)
  const startMs = opened.clock.nowMs
  const params = { because: 'due' }
  await ask(opened, [set('later', { delay: '1h', params, queue: 'long' }), set('at', { at: iso(startMs + 1_000) })])
  assert.equal(opened.told.upkeepAt.at(-1), startMs + 1_000)
  assert.deepEqual(opened.queue.documents.get(x).reminders, [
    { name: 'at', method: 'ring', params: {}, nextAt: iso(startMs + 1_000), cron: null, timezone: null },
    { name: 'later', method: 'ring', params, nextAt: iso(startMs + 3_600_000), cron: null, timezone: null }
  ])
  opened = await opened.reopen()
  opened.clock.nowMs = startMs + 999
  assert.equal(await upkeep(opened), startMs + 1_000)
  assert.deepEqual(calls(opened), [])
  opened.clock.nowMs++
  assert.equal(await upkeep(opened), startMs + 3_600_000)
  assert.deepEqual(calls(opened), [['default', {}, x]])
  assert.deepEqual(opened.told.ready.at(-1), 'default')
  consistent(opened)
  opened.clock.nowMs = startMs + 3_600_000
  assert.equal(await upkeep(opened), null)
  assert.deepEqual(calls(opened).slice(1), [['long', params, x]])
  assert.deepEqual(opened.queue.documents.get(x).reminders, [])
  consistent(opened)
})

test('issue 6.6: a cron reminder calls again and again; of missed instants one is made up for', async (test) => {
  const opened = await open(test)
  const { clock } = opened
  const startMs = clock.nowMs
  await ask(opened, [set('tick', { cron: 'every 10000' })])
  for (const [afterMs, nextMs] of [
    [10_000, 20_000],
    [20_000, 30_000],
    [75_000, 80_000]
  ] as const) {
    clock.nowMs = startMs + afterMs
    assert.equal(await opened.queue.upkeep(clock.nowMs), startMs + nextMs, 'in one piece, however long it was')
    await finishAll(opened)
  }
  assert.equal(calls(opened).length, 3)
  assert.equal(opened.queue.documents.get(x).reminders[0]!.cron, 'every 10000')
  consistent(opened)
})

test('issue 6.6: while the job of the last call is unfinished a call is left out', async (test) => {
  const opened = await open(test)
  const { clock } = opened
  await ask(opened, [set('tick', { cron: 'every 10000' })])
  for (let turn = 0; turn < 3; turn++) {
    clock.nowMs += 10_000
    assert.equal(await upkeep(opened), clock.nowMs + 10_000)
    assert.equal(calls(opened).length, 1)
  }
  await finishAll(opened)
  clock.nowMs += 10_000
  await upkeep(opened)
  assert.equal(calls(opened).length, 2)
  consistent(opened)
})

test('issue 6.6: a cron expression that never fires again ends its reminder with the last call', async (test) => {
  const opened = await open(test)
  const { clock } = opened
  await ask(opened, [set('twice', { cron: `every 10000 until ${clock.nowMs + 20_000}` })])
  for (const left of [1, 0]) {
    clock.nowMs += 10_000
    await upkeep(opened)
    await finishAll(opened)
    assert.equal(opened.queue.documents.get(x).reminders.length, left)
  }
  assert.equal(calls(opened).length, 2)
  consistent(opened)
})

test('issue 6.6: one of the same name is replaced, one that is taken back does not call', async (test) => {
  const opened = await open(test)
  const { clock, queue } = opened
  await ask(opened, [set('a', { delay: 1 }), set('b', { delay: 1 }), set('c', { delay: 1 })])
  await ask(opened, [set('a', { delay: 2 }), { type: 'cancel', name: 'b' }, { type: 'cancel', name: 'nobody' }], null)
  assert.deepEqual(
    queue.documents.get(x).reminders.map(({ name }) => name),
    ['a', 'c']
  )
  const view = await queue.documents.cancelReminder(x, 'c')
  assert.deepEqual(
    view.reminders.map(({ name }) => name),
    ['a']
  )
  assert.deepEqual((await queue.documents.cancelReminder(x, 'c')).reminders, view.reminders)
  await assert.rejects(queue.documents.cancelReminder({ ...x, name: 'y' }, 'c'), { code: 'DOCUMENT_UNKNOWN' })
  consistent(opened)
  clock.nowMs += 1_000
  await upkeep(opened)
  assert.deepEqual(calls(opened), [])
  clock.nowMs += 1_000
  await upkeep(opened)
  assert.equal(calls(opened).length, 1)
})

test('issue 6.6: reminders go with their document', async (test) => {
  const opened = await open(test)
  const { clock, queue, store } = opened
  await ask(opened, [set('a', { delay: 1 }), set('tick', { cron: 'every 10000' })])
  await queue.documents.remove(x)
  const kinds = entriesByKind(store.reader)
  assert.deepEqual([kinds.get('r'), kinds.get('Z')], [undefined, undefined])
  clock.nowMs += 60_000
  assert.equal(await upkeep(opened), null)
  assert.deepEqual(calls(opened), [])
})

test('issue 6.6: a revision is of the state: reminders change none, and a state keeps its reminders', async (test) => {
  const opened = await open(test)
  const { queue } = opened
  await ask(opened, [set('a', { delay: 9 })])
  const { revision } = queue.documents.get(x)
  await ask(opened, [set('b', { delay: 9 })], null)
  assert.equal(queue.documents.get(x).revision, revision)
  await ask(opened, [], '{"n":1}')
  assert.equal(queue.documents.get(x).reminders.length, 2)
  consistent(opened)
})

test('issue 6.6: reminders that cannot be are refused with the attempt, and nothing of it happens', async (test) => {
  const opened = await open(test)
  const refused: [string, RegExp, unknown][] = [
    ['PARAMS_INVALID', /give one of at, delay and cron/, set('a', {})],
    ['PARAMS_INVALID', /give one of at, delay and cron/, set('a', { delay: 1, cron: 'every 1' })],
    ['PARAMS_INVALID', /timezone needs cron/, set('a', { delay: 1, timezone: 'UTC' })],
    ['PARAMS_INVALID', /Cannot use "now and then"/, set('a', { cron: 'now and then' })],
    ['PARAMS_INVALID', /never fires again/, set('a', { cron: 'every 10 until 20' })],
    ['PARAMS_INVALID', /names no method/, { type: 'set', name: 'a', delay: 1 }],
    ['PARAMS_INVALID', /names no method/, { ...set('a', { delay: 1 }), method: 'other.Doc.run' }],
    ['PARAMS_INVALID', /delay/, set('a', { delay: 'soon' })],
    ['PARAMS_INVALID', /name/, set('', { delay: 1 })],
    ['PARAMS_INVALID', /reminder/, 7],
    ['PAYLOAD_TOO_LARGE', /params of 20002 bytes/, set('a', { delay: 1, params: 'x'.repeat(20_000) })],
    ['QUEUE_UNKNOWN', /nowhere/, set('a', { delay: 1, queue: 'nowhere' })]
  ]
  for (const [code, message, change] of refused) {
    const { state, error } = await ask(opened, [change])
    assert.deepEqual([state, error?.thrownCode], ['failed', code], JSON.stringify(change))
    assert.match(error!.message, message)
    assert.deepEqual(opened.queue.documents.list({}).documents, [])
  }
  const many = Array.from({ length: remindersMax }, (_, at) => set(String(at), { delay: 9 }))
  assert.equal((await ask(opened, many)).state, 'completed')
  assert.equal(
    (await ask(opened, [set('0', { delay: 9 })], null)).state,
    'completed',
    'one that is replaced is no more'
  )
  const full = await ask(opened, [set('one more', { delay: 9 })], null)
  assert.match(full.error!.message, /at most 1000 reminders/)
  const exchange = [set('one more', { delay: 9 }), { type: 'cancel', name: '0' }, { type: 'cancel', name: 'nobody' }]
  assert.equal((await ask(opened, exchange, null)).state, 'completed', 'one that goes makes room')
  consistent(opened)
})

test('issue 6.6: a document without a state has no reminders', async (test) => {
  const opened = await open(test)
  const { error } = await ask(opened, [set('a', { delay: 1 })], null)
  assert.equal(error?.thrownCode, 'DOCUMENT_UNKNOWN')
  assert.equal((await ask(opened, [{ type: 'cancel', name: 'a' }], null)).state, 'completed')
})

test('issue 6.6: the names of document and reminder fit into a key of the store, or are refused', async (test) => {
  const { queue, ...opened } = await open(test)
  const name = '\u{10ffff}'.repeat(255)
  const reminders: ReminderChange[] = [set('\u{10ffff}'.repeat(255), { delay: 1 })]
  await queue.enqueue([{ method: 'd.Doc.run', document: name, jobId: 'job' }])
  const [job] = await queue.claim('default', 1)
  const effects = { document: { state: '1', version: 1 }, reminders }
  await queue.settle(job!, { type: 'completed', result: 'null', effects }, noTrace)
  assert.match(queue.get('job').error!.message, /takes 2045 bytes. Use shorter names/)
  consistent({ queue, ...opened })
})

test('issue 6.6: a reminder whose queue is configured no longer calls in the default queue', async (test) => {
  let opened = await open(test)
  await ask(opened, [set('a', { delay: 1, queue: 'long' })])
  opened = await opened.reopen(queueConfig('default'))
  opened.clock.nowMs += 1_000
  await upkeep(opened)
  assert.deepEqual(calls(opened), [['default', {}, x]])
})

test('issue 6.6: the cron of reminders is that of the scheduler: expressions, labels, zones', () => {
  const next = nextInstantOf(60)
  const fromMs = Date.UTC(2026, 0, 1)
  assert.equal(next('30 4 * * *', null, fromMs), Date.UTC(2026, 0, 1, 4, 30))
  assert.equal(next('30 4 * * *', 'Asia/Kolkata', fromMs), Date.UTC(2026, 0, 1, 23))
  assert.equal(next('daily', null, fromMs), Date.UTC(2026, 0, 2))
  assert.throws(() => next('nonsense', null, fromMs), { code: 'PARAMS_INVALID' })
  assert.throws(() => next('daily', 'Nowhere/Land', fromMs), { code: 'PARAMS_INVALID' })
})

test('issue 6.6: reminders count into the bytes of a page of documents', async (test) => {
  const opened = await open(test)
  const { queue } = opened
  const params = 'x'.repeat(reminderParamsBytesMax - 2)
  const fitting = Math.ceil(documentPageBytesMax / reminderParamsBytesMax)
  const reminders = Array.from({ length: fitting }, (_, at) => set(String(at), { delay: 9, params }))
  for (const name of ['one', 'two']) {
    await queue.enqueue([{ method: 'd.Doc.run', document: name }])
    const [job] = await queue.claim('default', 1)
    const effects = { document: { state: '{}', version: 1 }, reminders }
    await queue.settle(job!, { type: 'completed', result: 'null', effects }, noTrace)
  }
  const { documents, cursor } = queue.documents.list({})
  assert.deepEqual(
    documents.map(({ name }) => name),
    ['one']
  )
  assert.deepEqual(
    queue.documents.list({ cursor: cursor! }).documents.map(({ name }) => name),
    ['two']
  )
})
