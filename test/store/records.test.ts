/** Every record comes back as it was written, and is refused when a bit of it flips or when it lies under another key. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { Packr, pack, unpack } from 'msgpackr'
import { type BackoffRule, backoffDefault } from '../../runtime/core/backoff.ts'
import { jobErrorCodes, RuntimeError } from '../../runtime/core/errors.ts'
import type { JobError, JobLogLine } from '../../runtime/core/job.ts'
import type { JournalEntry } from '../../runtime/core/journal.ts'
import { finishedStates, jobStates } from '../../runtime/core/lifecycle.ts'
import { attemptsMax, durationMsMax, instantMsMax, priorityMax, priorityMin } from '../../runtime/core/limits.ts'
import { checksumOf } from '../../runtime/store/checksum.ts'
import {
  claimKey,
  countsKey,
  documentKey,
  eventKey,
  groupKey,
  idKey,
  jobKey,
  journalKey,
  metaKey,
  parentKey,
  preparedKey,
  queueKey,
  reminderKey,
  rotationKey,
  runningKey,
  sharedStandingsKey,
  signalKey,
  standingKey,
  throttleKey,
  untoldKey
} from '../../runtime/store/keys.ts'
import { packPlain, unpackPlain } from '../../runtime/store/plain-values.ts'
import {
  type ClaimRecord,
  type Counters,
  claimCodec,
  countersCodec,
  type DocumentRecord,
  documentCodec,
  type EventRecord,
  eventCodec,
  type GrowthRecord,
  groupCodec,
  growthCodec,
  initialStanding,
  type JobRules,
  type JobSpec,
  jobRecordCodec,
  journalCodec,
  type KeyGroup,
  noTotals,
  type Owner,
  ownerCodec,
  type ParentRecord,
  type PastAttempt,
  type PreparedRecord,
  parentCodec,
  preparedCodec,
  type QueueRecord,
  type QueueTotals,
  queueCodec,
  type ReminderRecord,
  reminderCodec,
  type SchedulerRecord,
  type SharedSpecs,
  type SharedStandings,
  type SignalRecord,
  type SpecKind,
  type Standing,
  schedulerCodec,
  seqCodec,
  setAsideCodec,
  sharedStandingsCodec,
  signalCodec,
  specCodec,
  standingCodec,
  type ThrottleRecord,
  throttleCodec,
  totalsCodec,
  unseal
} from '../../runtime/store/records.ts'

// Any text of whole characters: what JSON and UTF-8 can carry.
const text = fc.string({ unit: 'binary', maxLength: 40 })
const count = fc.oneof(fc.constantFrom(0, 1, 127, 128, 65536), fc.integer({ min: 0, max: attemptsMax }))
const instant = fc.integer({ min: 0, max: instantMsMax })
const orNull = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null })
const number = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
const seqs = fc.oneof(fc.constantFrom(1, 2 ** 32, 2 ** 48 - 1), fc.integer({ min: 0, max: 2 ** 48 - 1 }))

/** Objects as programs make them, where `fc.record` also draws ones without a prototype. */
function record<T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<T>
}

const error: fc.Arbitrary<JobError> = fc.record(
  {
    code: fc.constantFrom(...(Object.keys(jobErrorCodes) as JobError['code'][])),
    name: text,
    message: text,
    stack: text,
    thrownCode: fc.oneof(text, fc.integer())
  },
  { requiredKeys: ['code', 'name', 'message'], noNullPrototype: true }
)
const logLine: fc.Arbitrary<JobLogLine> = record({
  at: instant.map((atMs) => new Date(atMs).toISOString()),
  level: fc.constantFrom('debug', 'info', 'warn', 'error'),
  message: text
})
const pastAttempt: fc.Arbitrary<PastAttempt> = record({
  attempt: count,
  startedAtMs: instant,
  finishedAtMs: instant,
  outcome: fc.constantFrom('failed', 'completed', 'cancelled', 'interrupted', 'crashed', 'retryLater', 'suspended'),
  error: orNull(error)
})
const span = fc.integer({ min: 0, max: durationMsMax })
const jitter = fc.double({ min: 0, max: 1, noNaN: true })
const waits: fc.Arbitrary<BackoffRule> = fc.oneof(
  record<BackoffRule>({
    type: fc.constantFrom('fixed', 'exponential'),
    delayMs: span,
    maxMs: span,
    jitter,
    delaysMs: fc.constant([])
  }),
  record<BackoffRule>({
    type: fc.constant('list'),
    delayMs: fc.oneof(span, fc.constant(backoffDefault.delayMs)),
    maxMs: fc.oneof(span, fc.constant(backoffDefault.maxMs)),
    jitter: fc.oneof(jitter, fc.constant(0)),
    delaysMs: fc.array(span, { minLength: 1, maxLength: 20 })
  })
)
const names = fc.array(text, { maxLength: 3 })
/** Only what is asked for is there. */
const rules: fc.Arbitrary<JobRules> = fc.record(
  {
    key: text,
    keyConcurrency: count,
    ageingMs: span,
    expiresAtMs: instant,
    retryOn: names,
    noRetryOn: names,
    onSuccess: fc.json(),
    onFailure: fc.json(),
    onParentFailure: fc.constantFrom('fail' as const, 'cancel' as const, 'release' as const),
    keepMs: fc.record({ completed: span, failed: span, cancelled: span }, { requiredKeys: [], noNullPrototype: true }),
    throttledUntilMs: instant,
    document: text
  },
  { requiredKeys: [], noNullPrototype: true }
)
const spec: fc.Arbitrary<JobSpec> = record({
  id: text,
  method: text,
  queue: fc.integer({ min: 0, max: 65535 }),
  params: fc.json(),
  enqueuedAtMs: instant,
  runAtMs: orNull(instant),
  atFront: fc.boolean(),
  priority: fc.integer({ min: priorityMin, max: priorityMax }),
  timeoutMs: fc.integer({ min: 1, max: durationMsMax }),
  attemptsMax: count,
  backoff: fc.oneof(fc.constant(backoffDefault), waits),
  jobName: orNull(text),
  softTimeoutMs: orNull(fc.integer({ min: 1, max: durationMsMax })),
  event: orNull(fc.string()),
  rules: orNull(rules)
})
const specKind: fc.Arbitrary<SpecKind> = spec.map(
  ({ id: _, params: __, runAtMs: ___, event: ____, rules: _____, ...of }) => of
)
const sharedSpecs: fc.Arbitrary<SharedSpecs> = record({
  count,
  tag: text,
  kinds: fc.array(specKind, { minLength: 1, maxLength: 8 }),
  kindOf: fc.array(fc.nat(7), { maxLength: 20 }),
  runAtMs: fc.array(orNull(instant), { maxLength: 20 }),
  params: fc.array(fc.json(), { maxLength: 20 }).map((params) => params.join('\n'))
})
const standing: fc.Arbitrary<Standing> = record({
  state: fc.constantFrom(...jobStates),
  made: count,
  failures: count,
  crashes: count,
  dueAtMs: orNull(instant),
  startedAtMs: orNull(instant),
  finishedAtMs: orNull(instant),
  error: orNull(error),
  result: orNull(fc.json()),
  progress: orNull(
    record({
      percent: fc.double({ min: 0, max: 100, noNaN: true }),
      stage: orNull(text)
    })
  ),
  logs: fc.array(logLine, { maxLength: 4 }),
  history: fc.array(pastAttempt, { maxLength: 4 }),
  dependencies: orNull(record({ total: count, completed: count, failed: count, cancelled: count })),
  journal: orNull(record({ entries: count, bytes: number, signals: count, nextSignal: number, nextOrder: number })),
  startTurn: orNull(seqs)
})
const queue: fc.Arbitrary<QueueRecord> = record({
  name: text,
  paused: fc.boolean(),
  pausedUntilMs: orNull(instant)
})
const kept = record({ count: number, bytes: number })
const totals: fc.Arbitrary<QueueTotals> = record({
  counts: record({
    scheduled: number,
    ready: number,
    running: number,
    completed: number,
    failed: number,
    cancelled: number
  }),
  turn: number,
  unkeyedTurn: number,
  starts: number,
  retained: record({ completed: kept, failed: kept, cancelled: kept })
})
const finishedState = fc.constantFrom(...finishedStates)
const place = { atFront: false, rank: 5, seq: 1 }
const group: fc.Arbitrary<KeyGroup> = record({
  number: seqs,
  held: count,
  turn: number,
  starts: count,
  place: orNull(fc.tuple(count, seqs).map(([of, turn]) => rotationKey(of % 65536, place, turn))),
  ready: fc.array(fc.tuple(fc.nat(65535), count), { maxLength: 3 }),
  turnOf: fc.nat(65535)
})
const parent: fc.Arbitrary<ParentRecord> = record({
  id: text,
  state: orNull(finishedState),
  result: orNull(fc.json()),
  anyEnd: fc.boolean()
})
const throttle: fc.Arbitrary<ThrottleRecord> = record({ untilMs: instant, state: orNull(finishedState) })
const growth: fc.Arbitrary<GrowthRecord> = fc.array(fc.tuple(instant, number), { maxLength: 48 })
const event: fc.Arbitrary<EventRecord> = record({
  id: text,
  timing: text,
  fingerprint: text,
  nextAtMs: orNull(instant),
  paused: fc.boolean(),
  skipsNext: fc.boolean(),
  lastAtMs: orNull(instant),
  lastJob: orNull(text),
  lastOutcome: orNull(finishedState),
  lastDurationMs: orNull(span),
  queuedAtMs: orNull(instant),
  runs: number,
  failures: number,
  skips: number,
  misses: number
})
const scheduler: fc.Arbitrary<SchedulerRecord> = record({ paused: fc.boolean(), maintenance: fc.boolean() })
const counters: fc.Arbitrary<Counters> = record({
  nextSeq: number,
  nextQueue: count,
  nextGroup: number,
  nextRevision: fc.nat(),
  nextClaim: number,
  links: number
})
const claim: fc.Arbitrary<ClaimRecord> = record({ startedAtMs: instant, runs: fc.array(number, { maxLength: 20 }) })
const document: fc.Arbitrary<DocumentRecord> = record({
  state: fc.json(),
  version: count,
  revision: number,
  createdAtMs: instant,
  updatedAtMs: instant,
  reminders: count
})
const reminder: fc.Arbitrary<ReminderRecord> = record({
  method: text,
  params: fc.json(),
  queue: orNull(text),
  cron: orNull(text),
  timezone: orNull(text),
  nextAtMs: instant,
  lastSeq: orNull(seqs)
})
const journalEntry: fc.Arbitrary<JournalEntry> = record({
  index: fc.nat(65535),
  kind: fc.constantFrom('step', 'sleep', 'signal', 'enqueue'),
  name: text,
  state: fc.constantFrom('open', 'done', 'timedOut', 'failed'),
  result: orNull(fc.json()),
  runs: count,
  cuts: count,
  startedAtMs: instant,
  finishedAtMs: orNull(instant),
  untilMs: orNull(instant),
  error: orNull(error),
  order: orNull(count)
})
const signal: fc.Arbitrary<SignalRecord> = record({ name: text, payload: fc.json(), atMs: instant })
const prepared: fc.Arbitrary<PreparedRecord> = record({
  outbox: text,
  operations: fc.json(),
  count,
  preparedAtMs: instant,
  undecidedAtMs: instant
})
const shared: fc.Arbitrary<SharedStandings> = record({
  startedAtMs: instant,
  finishedAtMs: instant,
  count,
  results: fc.array(fc.json(), { maxLength: 250 }).map((results) => results.join('\n'))
})
const owner: fc.Arbitrary<Owner> = record({ pid: count, birth: text })

/** One kind of record: its keys, its values, and the way there and back. */
interface Kind<T> {
  name: string
  keys: fc.Arbitrary<Buffer>
  values: fc.Arbitrary<T>
  codec: { encode: (key: Buffer, value: T) => Buffer; decode: (key: Buffer, value: Buffer) => T }
}

const queueNumbers = fc.nat(65535)
const kinds = [
  kind({ name: 'spec', keys: seqs.map(jobKey), values: spec, codec: specCodec }),
  kind({
    name: 'specs of several',
    keys: seqs.map(jobKey),
    values: fc.oneof(spec, sharedSpecs),
    codec: jobRecordCodec
  }),
  kind({
    name: 'standing',
    keys: fc.oneof(seqs.map(standingKey), seqs.map(runningKey)),
    values: standing,
    codec: standingCodec
  }),
  kind({
    name: 'shared standings',
    keys: seqs.map(sharedStandingsKey),
    values: shared,
    codec: sharedStandingsCodec
  }),
  kind({ name: 'claim', keys: seqs.map(claimKey), values: claim, codec: claimCodec }),
  kind({ name: 'queue', keys: queueNumbers.map(queueKey), values: queue, codec: queueCodec }),
  kind({ name: 'totals', keys: queueNumbers.map(countsKey), values: totals, codec: totalsCodec }),
  kind({
    name: 'group',
    keys: fc.tuple(queueNumbers, text).map(([of, key]) => groupKey(of, key)),
    values: group,
    codec: groupCodec
  }),
  kind({
    name: 'parent',
    keys: fc.oneof(
      fc.tuple(seqs, seqs).map(([child, of]) => parentKey(child, of)),
      seqs.map(untoldKey)
    ),
    values: parent,
    codec: parentCodec
  }),
  kind({
    name: 'document',
    keys: fc.tuple(text, text).map(([type, name]) => documentKey({ type, name })),
    values: document,
    codec: documentCodec
  }),
  kind({
    name: 'reminder',
    keys: fc.tuple(text, text, text).map(([type, name, of]) => reminderKey({ type, name }, of)),
    values: reminder,
    codec: reminderCodec
  }),
  kind({
    name: 'journal entry',
    keys: fc.tuple(seqs, fc.nat(65535)).map(([of, index]) => journalKey(of, index)),
    values: journalEntry,
    codec: journalCodec
  }),
  kind({
    name: 'signal',
    keys: fc.tuple(seqs, seqs).map(([of, at]) => signalKey(of, at)),
    values: signal,
    codec: signalCodec
  }),
  kind({
    name: 'prepared',
    keys: text.map(preparedKey),
    values: prepared,
    codec: preparedCodec
  }),
  kind({ name: 'throttle', keys: text.map(throttleKey), values: throttle, codec: throttleCodec }),
  kind({ name: 'growth', keys: fc.constant(metaKey('growth')), values: growth, codec: growthCodec }),
  kind({ name: 'event', keys: text.map(eventKey), values: event, codec: eventCodec }),
  kind({ name: 'scheduler', keys: fc.constant(metaKey('scheduler')), values: scheduler, codec: schedulerCodec }),
  kind({ name: 'counters', keys: fc.constant(metaKey('counters')), values: counters, codec: countersCodec }),
  kind({ name: 'owner', keys: fc.constant(metaKey('owner')), values: owner, codec: ownerCodec }),
  kind({ name: 'seq of an id', keys: text.map(idKey), values: seqs, codec: seqCodec })
]

/** Hides the type of the values, so that kinds of different values fit in one list. */
function kind<T>(of: Kind<T>): Kind<unknown> {
  return of as Kind<unknown>
}

const damaged = (error: unknown) => error instanceof RuntimeError && error.code === 'STORAGE_FAILED'

for (const {
  name,
  keys,
  values,
  codec: { encode, decode }
} of kinds) {
  describe(`record: ${name}`, () => {
    it('comes back as it was written', () => {
      fc.assert(
        fc.property(keys, values, (key, value) => {
          assert.deepEqual(decode(key, encode(key, value)), value)
        }),
        { numRuns: 300 }
      )
    })

    it('is refused when any one bit is flipped', () => {
      fc.assert(
        fc.property(keys, values, (key, value) => {
          const bytes = encode(key, value)
          for (let bit = 0; bit < bytes.length * 8; bit++) {
            bytes[bit >> 3]! ^= 1 << (bit & 7)
            assert.throws(() => decode(key, bytes), damaged, `bit ${bit}`)
            bytes[bit >> 3]! ^= 1 << (bit & 7)
          }
          assert.deepEqual(decode(key, bytes), value)
        }),
        { numRuns: 5 }
      )
    })

    it('is refused when it is cut, or under another key', () => {
      const others = fc.oneof(...kinds.map((of) => of.keys))
      fc.assert(
        fc.property(keys, values, others, fc.nat(), (key, value, other, cut) => {
          const bytes = encode(key, value)
          assert.throws(() => decode(key, bytes.subarray(0, cut % bytes.length)), damaged)
          fc.pre(!other.equals(key))
          assert.throws(() => decode(other, bytes), damaged)
        }),
        { numRuns: 200 }
      )
    })
  })
}

/** As an older version wrote it: without the fields that came later. */
function cutAfter(fields: number, key: Buffer, value: Buffer): Buffer {
  return sealed(key, (unseal(key, value) as unknown[]).slice(0, fields))
}

/** The form of every record, written out: CRC-32 of key and body, then MessagePack. */
function sealed(key: Buffer, record: unknown): Buffer {
  const body = new Packr({ useRecords: false }).pack(record)
  const crc = Buffer.alloc(4)
  crc.writeUInt32BE(crc32(body, crc32(key)))
  return Buffer.concat([crc, body])
}

describe('record: written by format 1', () => {
  it('a spec: whatever came later is not asked for', () => {
    fc.assert(
      fc.property(seqs.map(jobKey), spec, (key, of) => {
        const old = specCodec.decode(key, cutAfter(14, key, specCodec.encode(key, of)))
        assert.deepEqual(old, { ...of, rules: null })
      })
    )
  })

  it('a backoff had four fields, and no list', () => {
    const key = jobKey(3)
    const rest = ['one', 'a.b', 1, '{}', 5, null, false, 0, 1000, 2]
    const old = specCodec.decode(key, sealed(key, [...rest, ['exponential', 200, 9000, 0.5], null, null, null]))
    assert.deepEqual(old.backoff, { type: 'exponential', delayMs: 200, maxMs: 9000, jitter: 0.5, delaysMs: [] })
    assert.deepEqual(specCodec.decode(key, sealed(key, [...rest, null, null, null, null])).backoff, backoffDefault)
  })

  it('a standing: it depends on nothing, and its start is not counted', () => {
    fc.assert(
      fc.property(seqs.map(standingKey), standing, (key, of) => {
        const old = standingCodec.decode(key, cutAfter(12, key, standingCodec.encode(key, of)))
        assert.deepEqual(old, { ...of, dependencies: null, startTurn: null, journal: null })
      })
    )
  })

  it('a queue is paused without an end; no group has a number yet', () => {
    fc.assert(
      fc.property(queue, counters, (of, numbers) => {
        const key = queueKey(1)
        const oldQueue = queueCodec.decode(key, cutAfter(2, key, queueCodec.encode(key, of)))
        assert.deepEqual(oldQueue, { ...of, pausedUntilMs: null })
        const meta = metaKey('counters')
        const oldCounters = countersCodec.decode(meta, cutAfter(2, meta, countersCodec.encode(meta, numbers)))
        assert.deepEqual(oldCounters, { ...numbers, nextGroup: 1, nextClaim: 1, links: 0, nextRevision: 1 })
      })
    )
  })

  it('counts: every finished job is one that retention looks after, of no known bytes', () => {
    const key = countsKey(1)
    const old = totalsCodec.decode(key, sealed(key, [1, 2, 3, 4, 5, 6]))
    assert.deepEqual(old, {
      ...noTotals(),
      counts: { scheduled: 1, ready: 2, running: 3, completed: 4, failed: 5, cancelled: 6 },
      retained: { completed: { count: 4, bytes: 0 }, failed: { count: 5, bytes: 0 }, cancelled: { count: 6, bytes: 0 } }
    })
    assert.deepEqual(totalsCodec.decode(key, totalsCodec.encode(key, old)), old)
  })
})

describe('record: written by format 2', () => {
  it('a standing without a journal, a group that is of a key, counters before the first state of a document', () => {
    fc.assert(
      fc.property(standing, group, counters, (of, ofGroup, numbers) => {
        const key = standingKey(7)
        const old = standingCodec.decode(key, cutAfter(14, key, standingCodec.encode(key, of)))
        assert.deepEqual(old, { ...of, journal: null })
        const record = groupKey(1, 'k')
        const oldGroup = groupCodec.decode(record, cutAfter(5, record, groupCodec.encode(record, ofGroup)))
        assert.deepEqual(oldGroup, { ...ofGroup, ready: [], turnOf: 0 })
        const meta = metaKey('counters')
        const oldCounters = countersCodec.decode(meta, cutAfter(4, meta, countersCodec.encode(meta, numbers)))
        assert.deepEqual(oldCounters, { ...numbers, nextRevision: 1, nextClaim: 1 })
      })
    )
  })
})

/** As format 3 has them: other fields may only follow. `decode` of an empty record gives all fields in their order. */
const fieldsOfFormat3 = [
  [
    specCodec,
    'id method queue params enqueuedAtMs runAtMs atFront priority timeoutMs attemptsMax backoff jobName softTimeoutMs event rules'
  ],
  [
    standingCodec,
    'state made failures crashes dueAtMs startedAtMs finishedAtMs error result progress logs history dependencies startTurn journal'
  ],
  [queueCodec, 'name paused pausedUntilMs'],
  [groupCodec, 'number held turn starts place ready turnOf'],
  [parentCodec, 'id state result anyEnd'],
  [throttleCodec, 'untilMs state'],
  [countersCodec, 'nextSeq nextQueue nextGroup links nextRevision'],
  [documentCodec, 'state version revision createdAtMs updatedAtMs reminders'],
  [reminderCodec, 'method params queue cron timezone nextAtMs lastSeq'],
  [journalCodec, 'index kind name state result runs cuts startedAtMs finishedAtMs untilMs error order'],
  [signalCodec, 'name payload atMs'],
  [preparedCodec, 'outbox operations count preparedAtMs undecidedAtMs'],
  [setAsideCodec, 'reason atMs value'],
  [ownerCodec, 'pid birth'],
  [
    eventCodec,
    'id timing fingerprint nextAtMs paused skipsNext lastAtMs lastJob lastOutcome lastDurationMs queuedAtMs runs failures skips misses'
  ],
  [schedulerCodec, 'paused maintenance']
] as const

describe('record: written by format 3', () => {
  it('each field has its place, and so have the states of a job', () => {
    const key = jobKey(1)
    for (const [codec, fields] of fieldsOfFormat3) {
      const found = Object.keys(codec.decode(key, sealed(key, [])))
      const known = fields.split(' ')
      assert.deepEqual(found.slice(0, known.length), known)
    }
    assert.deepEqual(jobStates.slice(0, 6), ['scheduled', 'ready', 'running', 'completed', 'failed', 'cancelled'])
    assert.deepEqual(finishedStates.slice(0, 3), ['completed', 'failed', 'cancelled'])
  })
})

describe('record: details', () => {
  it('the default backoff takes one byte, however it was made', () => {
    const key = jobKey(3)
    fc.assert(
      fc.property(spec, (of) => {
        const fields = unseal(key, specCodec.encode(key, { ...of, backoff: { ...backoffDefault } })) as unknown[]
        const stored = fields[Object.keys(of).indexOf('backoff')]
        assert.equal(stored, null)
        assert.equal(new Packr({ useRecords: false }).pack(stored).length, 1)
      })
    )
  })

  it('the first standing of a job comes back as it was written', () => {
    const key = standingKey(7)
    fc.assert(
      fc.property(spec, fc.constantFrom('scheduled' as const, 'ready' as const), (of, state) => {
        const first = initialStanding(of, state)
        assert.deepEqual(standingCodec.decode(key, standingCodec.encode(key, first)), first)
        assert.equal(first.dueAtMs, of.runAtMs)
      })
    )
  })

  it('the message names the entry, so that it can be found', () => {
    const key = jobKey(258)
    assert.throws(() => specCodec.decode(key, Buffer.from('nonsense')), /J:000000000102.*restore a backup/)
  })
})

describe('how records are written', () => {
  const plain = fc.oneof(
    fc.constantFrom(
      null,
      true,
      false,
      [],
      0,
      -0,
      127,
      128,
      2 ** 32 - 1,
      2 ** 32,
      -1,
      -33,
      1.5,
      Number.MAX_SAFE_INTEGER
    ),
    fc.integer(),
    fc.double({ noNaN: true }),
    fc.string({ unit: 'binary', maxLength: 80 }),
    fc.string({ maxLength: 80 }),
    fc.string({ minLength: 1_000, maxLength: 2_000 })
  )

  it('lists of plain values are read as they were written', () => {
    fc.assert(
      fc.property(fc.array(plain, { maxLength: 15 }), (values) => {
        const expected = values.map((value) => (value === 0 ? 0 : value))
        const foreign = unpackPlain(pack(values), 0)
        if (foreign !== undefined) assert.deepEqual(foreign, expected)
        const packed = packPlain(values, 4)
        if (packed === undefined) return
        assert.deepEqual(unpack(packed.subarray(4)), expected)
        assert.deepEqual(unpackPlain(packed, 4), expected)
      }),
      { numRuns: 2_000 }
    )
    assert.ok(packPlain(['é'.repeat(64), null, 1_700_000_000_000], 4) !== undefined)
    assert.equal(packPlain(['x'.repeat(5_000)], 4), undefined)
    assert.equal(packPlain([[1]], 4), undefined)
  })

  it('a checksum is the CRC-32 of key and body', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 30 }),
        fc.uint8Array({ minLength: 4, maxLength: 400, size: 'max' }),
        (keyBytes, valueBytes) => {
          const [key, value] = [Buffer.from(keyBytes), Buffer.from(valueBytes)]
          assert.equal(checksumOf(key, value, 4), crc32(value.subarray(4), crc32(key)))
        }
      )
    )
  })
})
