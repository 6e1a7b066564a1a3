/**
 * The values of the store. Each is `crc:4 body`, where `body` is MessagePack and `crc` the CRC-32 of key and body, so
 * that a flipped bit or a value under the wrong key is seen when it is read. Records are arrays, without field names;
 * a field is only ever added at the end, and `formatVersion` grows when an old reader could misread a new record.
 */
import { crc32 } from 'node:zlib'
import { Packr } from 'msgpackr'
import { type BackoffRule, backoffDefault } from '../core/backoff.ts'
import { RuntimeError } from '../core/errors.ts'
import type { JobError, JobLogLine } from '../core/job.ts'
import type { JobState } from '../core/lifecycle.ts'
import { jobStates } from '../core/lifecycle.ts'

export const formatVersion = 1

/** What was asked for at enqueue. Written once; only a retry with new params writes it again. */
export interface JobSpec {
  id: string
  method: string
  queue: number
  /** JSON text. */
  params: string
  enqueuedAtMs: number
  /** null: at once. */
  runAtMs: number | null
  atFront: boolean
  priority: number
  timeoutMs: number
  attemptsMax: number
  backoff: BackoffRule
  jobName: string | null
  softTimeoutMs: number | null
  /** The scheduler event whose job this is. */
  event: string | null
}

/** What is kept of a scheduler event between restarts. */
export interface EventRecord {
  id: string
  /** Of expression, zone and spread: while it stays, so does the next instant. */
  timing: string
  /** Of everything that is configured: tells whether that has changed. */
  fingerprint: string
  /** null: it never fires again. */
  nextAtMs: number | null
  paused: boolean
  skipsNext: boolean
  /** The instant of the last run. */
  lastAtMs: number | null
  lastJob: string | null
  lastOutcome: 'completed' | 'failed' | 'cancelled' | null
  lastDurationMs: number | null
  /** An instant that runs when the job of the last one has finished (`overlap: queue`). */
  queuedAtMs: number | null
  runs: number
  failures: number
  skips: number
  misses: number
}

export interface SchedulerRecord {
  paused: boolean
  /** No events fire, and no job is claimed. */
  maintenance: boolean
}

/** What has become of a job since. */
export interface Standing {
  state: JobState
  /** Attempts started. */
  made: number
  /** Attempts that failed, since enqueue or the last retry by hand; at `attemptsMax` the job is failed. */
  failures: number
  /** Ends of the host process under the job. */
  crashes: number
  /** When it is due, while scheduled. */
  dueAtMs: number | null
  startedAtMs: number | null
  finishedAtMs: number | null
  error: JobError | null
  /** JSON text. */
  result: string | null
  progress: { percent: number; stage: string | null } | null
  logs: JobLogLine[]
  /** Attempts before the last one. */
  history: PastAttempt[]
}

export interface PastAttempt {
  attempt: number
  startedAtMs: number
  finishedAtMs: number
  outcome: 'failed' | 'completed' | 'cancelled' | 'interrupted' | 'crashed' | 'retryLater'
  error: JobError | null
}

export interface QueueRecord {
  name: string
  paused: boolean
}

export type StateCounts = Record<JobState, number>

export interface Counters {
  nextSeq: number
  nextQueue: number
}

/** The process that owns the data directory. */
export interface Owner {
  pid: number
  /** Tells a process from a later one with the same pid; empty where the platform does not say. */
  birth: string
}

/** The standing of a job that has only been enqueued. */
export function initialStanding(spec: JobSpec, state: 'scheduled' | 'ready'): Standing {
  return {
    state,
    made: 0,
    failures: 0,
    crashes: 0,
    dueAtMs: spec.runAtMs,
    startedAtMs: null,
    finishedAtMs: null,
    error: null,
    result: null,
    progress: null,
    logs: [],
    history: []
  }
}

export function encodeSpec(key: Buffer, spec: JobSpec): Buffer {
  const { backoff } = spec
  return seal(key, [
    spec.id,
    spec.method,
    spec.queue,
    spec.params,
    spec.enqueuedAtMs,
    spec.runAtMs,
    spec.atFront,
    spec.priority,
    spec.timeoutMs,
    spec.attemptsMax,
    // The common case, the default, takes one byte.
    isDefault(backoff) ? null : fieldsOf(backoff),
    spec.jobName,
    spec.softTimeoutMs,
    spec.event
  ])
}

export function decodeSpec(key: Buffer, value: Buffer): JobSpec {
  const [
    id,
    method,
    queue,
    params,
    enqueuedAtMs,
    runAtMs,
    atFront,
    priority,
    timeoutMs,
    attemptsMax,
    backoff,
    jobName,
    softTimeoutMs,
    event
  ] = unseal(key, value) as SpecFields
  const [type, delayMs, maxMs, jitter] = backoff ?? fieldsOf(backoffDefault)
  return {
    id,
    method,
    queue,
    params,
    enqueuedAtMs,
    runAtMs,
    atFront,
    priority,
    timeoutMs,
    attemptsMax,
    backoff: { type, delayMs, maxMs, jitter },
    jobName,
    softTimeoutMs,
    event
  }
}

type SpecFields = [
  id: string,
  method: string,
  queue: number,
  params: string,
  enqueuedAtMs: number,
  runAtMs: number | null,
  atFront: boolean,
  priority: number,
  timeoutMs: number,
  attemptsMax: number,
  backoff: BackoffFields | null,
  jobName: string | null,
  softTimeoutMs: number | null,
  event: string | null
]

type BackoffFields = [type: BackoffRule['type'], delayMs: number, maxMs: number, jitter: number]

function fieldsOf({ type, delayMs, maxMs, jitter }: BackoffRule): BackoffFields {
  return [type, delayMs, maxMs, jitter]
}

function isDefault(backoff: BackoffRule): boolean {
  return fieldsOf(backoff).every((field, index) => field === fieldsOf(backoffDefault)[index])
}

export function encodeStanding(key: Buffer, standing: Standing): Buffer {
  return seal(key, [
    jobStates.indexOf(standing.state),
    standing.made,
    standing.failures,
    standing.crashes,
    standing.dueAtMs,
    standing.startedAtMs,
    standing.finishedAtMs,
    standing.error,
    standing.result,
    standing.progress,
    standing.logs,
    standing.history
  ])
}

export function decodeStanding(key: Buffer, value: Buffer): Standing {
  const [state, made, failures, crashes, dueAtMs, startedAtMs, finishedAtMs, error, result, progress, logs, history] =
    unseal(key, value) as StandingFields
  return {
    state: jobStates[state]!,
    made,
    failures,
    crashes,
    dueAtMs,
    startedAtMs,
    finishedAtMs,
    error,
    result,
    progress,
    logs,
    history
  }
}

type StandingFields = [
  state: number,
  made: number,
  failures: number,
  crashes: number,
  dueAtMs: number | null,
  startedAtMs: number | null,
  finishedAtMs: number | null,
  error: JobError | null,
  result: string | null,
  progress: Standing['progress'],
  logs: JobLogLine[],
  history: PastAttempt[]
]

export function encodeQueue(key: Buffer, queue: QueueRecord): Buffer {
  return seal(key, [queue.name, queue.paused])
}

export function decodeQueue(key: Buffer, value: Buffer): QueueRecord {
  const [name, paused] = unseal(key, value) as [string, boolean]
  return { name, paused }
}

export function encodeCounts(key: Buffer, counts: StateCounts): Buffer {
  return seal(
    key,
    jobStates.map((state) => counts[state])
  )
}

export function decodeCounts(key: Buffer, value: Buffer): StateCounts {
  const numbers = unseal(key, value) as number[]
  return Object.fromEntries(jobStates.map((state, at) => [state, numbers[at] ?? 0])) as StateCounts
}

export function noCounts(): StateCounts {
  return { scheduled: 0, ready: 0, running: 0, completed: 0, failed: 0, cancelled: 0 }
}

export function encodeCounters(key: Buffer, counters: Counters): Buffer {
  return seal(key, [counters.nextSeq, counters.nextQueue])
}

export function decodeCounters(key: Buffer, value: Buffer): Counters {
  const [nextSeq, nextQueue] = unseal(key, value) as [number, number]
  return { nextSeq, nextQueue }
}

export function encodeOwner(key: Buffer, owner: Owner): Buffer {
  return seal(key, [owner.pid, owner.birth])
}

export function decodeOwner(key: Buffer, value: Buffer): Owner {
  const [pid, birth] = unseal(key, value) as [number, string]
  return { pid, birth }
}

export function encodeEvent(key: Buffer, event: EventRecord): Buffer {
  return seal(key, [
    event.id,
    event.timing,
    event.fingerprint,
    event.nextAtMs,
    event.paused,
    event.skipsNext,
    event.lastAtMs,
    event.lastJob,
    event.lastOutcome,
    event.lastDurationMs,
    event.queuedAtMs,
    event.runs,
    event.failures,
    event.skips,
    event.misses
  ])
}

export function decodeEvent(key: Buffer, value: Buffer): EventRecord {
  const [
    id,
    timing,
    fingerprint,
    nextAtMs,
    paused,
    skipsNext,
    lastAtMs,
    lastJob,
    lastOutcome,
    lastDurationMs,
    queuedAtMs,
    runs,
    failures,
    skips,
    misses
  ] = unseal(key, value) as EventFields
  return {
    id,
    timing,
    fingerprint,
    nextAtMs,
    paused,
    skipsNext,
    lastAtMs,
    lastJob,
    lastOutcome,
    lastDurationMs,
    queuedAtMs,
    runs,
    failures,
    skips,
    misses
  }
}

type EventFields = [
  id: string,
  timing: string,
  fingerprint: string,
  nextAtMs: number | null,
  paused: boolean,
  skipsNext: boolean,
  lastAtMs: number | null,
  lastJob: string | null,
  lastOutcome: EventRecord['lastOutcome'],
  lastDurationMs: number | null,
  queuedAtMs: number | null,
  runs: number,
  failures: number,
  skips: number,
  misses: number
]

export function encodeScheduler(key: Buffer, { paused, maintenance }: SchedulerRecord): Buffer {
  return seal(key, [paused, maintenance])
}

export function decodeScheduler(key: Buffer, value: Buffer): SchedulerRecord {
  const [paused, maintenance] = unseal(key, value) as [boolean, boolean]
  return { paused, maintenance }
}

export function encodeSeq(key: Buffer, seq: number): Buffer {
  return seal(key, seq)
}

export function decodeSeq(key: Buffer, value: Buffer): number {
  return unseal(key, value) as number
}

const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true })
const crcBytes = 4

function seal(key: Buffer, record: unknown): Buffer {
  const body = packr.pack(record)
  const value = Buffer.allocUnsafe(crcBytes + body.length)
  value.writeUInt32BE(crc32(body, crc32(key)), 0)
  body.copy(value, crcBytes)
  return value
}

/** @throws RuntimeError `STORAGE_FAILED` where the checksum does not hold. */
export function unseal(key: Buffer, value: Buffer): unknown {
  const body = value.subarray(crcBytes)
  if (value.length <= crcBytes || value.readUInt32BE(0) !== crc32(body, crc32(key))) {
    throw new RuntimeError(
      'STORAGE_FAILED',
      `Cannot read a record of the store: the checksum of the entry ${describeKey(key)} does not match. The store is damaged; restore a backup.`,
      { key: key.toString('hex') }
    )
  }
  return packr.unpack(body)
}

function describeKey(key: Buffer): string {
  return `${String.fromCharCode(key[0] ?? 0)}:${key.subarray(1).toString('hex')}`
}
