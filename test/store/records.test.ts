/** Every record comes back as it was written, and is refused when a bit of it flips or when it lies under another key. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type BackoffRule, backoffDefault } from '../../runtime/core/backoff.ts'
import { jobErrorCodes, RuntimeError } from '../../runtime/core/errors.ts'
import type { JobError, JobLogLine } from '../../runtime/core/job.ts'
import { jobStates } from '../../runtime/core/lifecycle.ts'
import { attemptsMax, durationMsMax, instantMsMax, priorityMax, priorityMin } from '../../runtime/core/limits.ts'
import { countsKey, idKey, jobKey, metaKey, queueKey, runningKey, standingKey } from '../../runtime/store/keys.ts'
import {
  type Counters,
  decodeCounters,
  decodeCounts,
  decodeOwner,
  decodeQueue,
  decodeSeq,
  decodeSpec,
  decodeStanding,
  encodeCounters,
  encodeCounts,
  encodeOwner,
  encodeQueue,
  encodeSeq,
  encodeSpec,
  encodeStanding,
  initialStanding,
  type JobSpec,
  type Owner,
  type PastAttempt,
  type QueueRecord,
  type Standing,
  type StateCounts
} from '../../runtime/store/records.ts'

// Any text of whole characters: what JSON and UTF-8 can carry.
const text = fc.string({ unit: 'binary', maxLength: 40 })
const count = fc.oneof(fc.constantFrom(0, 1, 127, 128, 65536), fc.integer({ min: 0, max: attemptsMax }))
const instant = fc.integer({ min: 0, max: instantMsMax })
const orNull = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null })
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
  outcome: fc.constantFrom('failed', 'completed', 'cancelled', 'interrupted', 'crashed', 'retryLater'),
  error: orNull(error)
})
const waits: fc.Arbitrary<BackoffRule> = record({
  type: fc.constantFrom('fixed' as const, 'exponential' as const),
  delayMs: fc.integer({ min: 0, max: durationMsMax }),
  maxMs: fc.integer({ min: 0, max: durationMsMax }),
  jitter: fc.double({ min: 0, max: 1, noNaN: true })
})
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
  event: orNull(fc.string())
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
  history: fc.array(pastAttempt, { maxLength: 4 })
})
const queue: fc.Arbitrary<QueueRecord> = record({ name: text, paused: fc.boolean() })
const number = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
const counts: fc.Arbitrary<StateCounts> = record({
  scheduled: number,
  ready: number,
  running: number,
  completed: number,
  failed: number,
  cancelled: number
})
const counters: fc.Arbitrary<Counters> = record({ nextSeq: number, nextQueue: count })
const owner: fc.Arbitrary<Owner> = record({ pid: count, birth: text })

/** One kind of record: its keys, its values, and the way there and back. */
interface Kind<T> {
  name: string
  keys: fc.Arbitrary<Buffer>
  values: fc.Arbitrary<T>
  encode: (key: Buffer, value: T) => Buffer
  decode: (key: Buffer, value: Buffer) => T
}

const kinds = [
  kind({ name: 'spec', keys: seqs.map(jobKey), values: spec, encode: encodeSpec, decode: decodeSpec }),
  kind({
    name: 'standing',
    keys: fc.oneof(seqs.map(standingKey), seqs.map(runningKey)),
    values: standing,
    encode: encodeStanding,
    decode: decodeStanding
  }),
  kind({
    name: 'queue',
    keys: fc.nat(65535).map(queueKey),
    values: queue,
    encode: encodeQueue,
    decode: decodeQueue
  }),
  kind({
    name: 'counts',
    keys: fc.nat(65535).map(countsKey),
    values: counts,
    encode: encodeCounts,
    decode: decodeCounts
  }),
  kind({
    name: 'counters',
    keys: fc.constant(metaKey('counters')),
    values: counters,
    encode: encodeCounters,
    decode: decodeCounters
  }),
  kind({ name: 'owner', keys: fc.constant(metaKey('owner')), values: owner, encode: encodeOwner, decode: decodeOwner }),
  kind({ name: 'seq of an id', keys: text.map(idKey), values: seqs, encode: encodeSeq, decode: decodeSeq })
]

/** Hides the type of the values, so that kinds of different values fit in one list. */
function kind<T>(of: Kind<T>): Kind<unknown> {
  return of as Kind<unknown>
}

const damaged = (error: unknown) => error instanceof RuntimeError && error.code === 'STORAGE_FAILED'

for (const { name, keys, values, encode, decode } of kinds) {
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

describe('record: details', () => {
  it('the first standing of a job comes back as it was written', () => {
    const key = standingKey(7)
    fc.assert(
      fc.property(spec, fc.constantFrom('scheduled' as const, 'ready' as const), (of, state) => {
        const first = initialStanding(of, state)
        assert.deepEqual(decodeStanding(key, encodeStanding(key, first)), first)
        assert.equal(first.dueAtMs, of.runAtMs)
      })
    )
  })

  it('the message names the entry, so that it can be found', () => {
    const key = jobKey(258)
    assert.throws(() => decodeSpec(key, Buffer.from('nonsense')), /J:000000000102.*restore a backup/)
  })
})
