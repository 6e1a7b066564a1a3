/**
 * The values of the store. Each is `crc:4 body`, where `body` is MessagePack and `crc` the CRC-32 of key and body, so
 * that a flipped bit or a value under the wrong key is seen when it is read. Records are arrays, without field names;
 * a field is only ever added at the end, and `formatVersion` grows when an old reader could misread a new record.
 */
import { Packr, RESERVE_START_SPACE } from 'msgpackr'
import { type BackoffRule, backoffDefault } from '../core/backoff.ts'
import { RuntimeError } from '../core/errors.ts'
import type { AttemptView, DependencyCounts, JobError, JobLogLine, ParentFailureRule } from '../core/job.ts'
import type { JournalEntry } from '../core/journal.ts'
import type { FinishedState, JobState } from '../core/lifecycle.ts'
import { finishedStates, jobStates } from '../core/lifecycle.ts'
import { checksumOf } from './checksum.ts'
import { packPlain, unpackPlain } from './plain-values.ts'

/**
 * 2: keys, dependencies, rate limits and retention; an older version would not see the jobs of keys.
 * 3: documents and journals; an older version would run two jobs of one document at a time.
 * 4: entries that several ready, running or finished jobs share; an older version would see but one of them.
 * 5: records of what was asked for that several jobs share; as above.
 */
export const formatVersion = 5

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
  /** What only some jobs ask for; null: nothing of it. */
  rules: JobRules | null
}

/** What several jobs ask for. */
export type SpecKind = Omit<JobSpec, 'id' | 'params' | 'runAtMs' | 'event' | 'rules'>

/** What was asked for of jobs with consecutive numbers and ids that the store made, without `event` and `rules`. */
export interface SharedSpecs {
  count: number
  /** Begins their ids. */
  tag: string
  kinds: SpecKind[]
  /** For each job, which of them; empty: all are of the first. */
  kindOf: number[]
  /** Of each job; empty: all at once. */
  runAtMs: (number | null)[]
  /** JSON texts, a line each. */
  params: string
}

/** Stored by name, and only what is there. */
export interface JobRules {
  key?: string
  keyConcurrency?: number
  /** Waiting this long counts as one more `priority`. */
  ageingMs?: number
  /** Cancelled if not started by then. */
  expiresAtMs?: number
  retryOn?: readonly string[]
  noRetryOn?: readonly string[]
  /** JSON text of the request of the job that follows. */
  onSuccess?: string
  onFailure?: string
  /** Absent: `fail`. */
  onParentFailure?: ParentFailureRule
  /** How long it is kept once finished; absent: as the retention of its queue says. */
  keepMs?: { [State in FinishedState]?: number }
  /** Until then no other job of this id is made. */
  throttledUntilMs?: number
  /** Name of the document whose method it is. */
  document?: string
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
  /** Of a job that depends on others. */
  dependencies: DependencyCounts | null
  /** The turn of its queue at which it was started, where the starts of the queue are counted. */
  startTurn: number | null
  /** What is kept besides for the job; null: nothing. */
  journal: JournalTotals | null
}

/** `bytes`: of the results and errors of its steps, and the payloads of its signals. `signals`: those that nothing has taken. */
export interface JournalTotals {
  entries: number
  bytes: number
  signals: number
  /** Number of the next signal. */
  nextSignal: number
  /** The `order` of the next call that is over. */
  nextOrder: number
}

export interface PastAttempt {
  attempt: number
  startedAtMs: number
  finishedAtMs: number
  outcome: AttemptView['outcome']
  error: JobError | null
}

export interface QueueRecord {
  name: string
  paused: boolean
  /** When the pause ends by itself; null: it does not. */
  pausedUntilMs: number | null
}

export type StateCounts = Record<JobState, number>

/** What is counted of a queue. */
export interface QueueTotals {
  counts: StateCounts
  /** Grows with every start that takes part in taking turns; never falls. */
  turn: number
  /** When the jobs without a key last had their turn. */
  unkeyedTurn: number
  /** Entries in the window of the rate limit of the queue. */
  starts: number
  /** Finished jobs that the retention of the queue looks after: how many, and the bytes of their records. */
  retained: Record<FinishedState, { count: number; bytes: number }>
}

/**
 * The jobs of one key in one queue, or of one document, while any is ready, holds the group, or started within the window of
 * a rate limit.
 */
export interface KeyGroup {
  /** Stands for the key or document in the keys of the store while this record exists; unique over all queues. */
  number: number
  /** Jobs that count against the concurrency. */
  held: number
  /** When the group last had its turn. */
  turn: number
  /** Entries in the window of the rate limit of the key. */
  starts: number
  /** The entry under which the group can be found, among those that may start or those that must wait; null: neither. */
  place: Buffer | null
  /** Only of a document: its ready jobs, by queue. */
  ready: readonly (readonly [queue: number, count: number])[]
  /** Only of a document, else 0: the queue whose turns `turn` counts. */
  turnOf: number
}

/** A job as those that depend on it see it. */
export interface ParentRecord {
  id: string
  /** null: it has not finished. */
  state: FinishedState | null
  /** JSON text; null: none, or too large to be handed on. */
  result: string | null
  /** The child goes on whatever the end of this one is. */
  anyEnd: boolean
}

/** A window in which no second job of an id is made. */
export interface ThrottleRecord {
  untilMs: number
  /** How the job ended, once it has been forgotten. */
  state: FinishedState | null
}

/** Used bytes of the store over time, oldest first. */
export type GrowthRecord = [atMs: number, usedBytes: number][]

export interface Counters {
  nextSeq: number
  nextQueue: number
  nextGroup: number
  /** Entries of jobs that wait for others. */
  links: number
  /** Of the states of documents. */
  nextRevision: number
  nextClaim: number
}

/** Running jobs of one claim of which nothing else is known than that it started them. */
export interface ClaimRecord {
  startedAtMs: number
  /** Their numbers: the first of each run of consecutive ones, and how many it has. */
  runs: number[]
}

/** The standings of completed jobs with consecutive numbers that differ in nothing but their results. */
export interface SharedStandings {
  startedAtMs: number
  finishedAtMs: number
  count: number
  /** JSON texts, a line each, which is empty for none; empty as a whole where no job has one. */
  results: string
}

/** The state of a document. */
export interface DocumentRecord {
  /** JSON text. */
  state: string
  /** Of the class that wrote it. */
  version: number
  revision: number
  createdAtMs: number
  updatedAtMs: number
  reminders: number
}

/** A call that a document has asked for. */
export interface ReminderRecord {
  method: string
  /** JSON text. */
  params: string
  queue: string | null
  cron: string | null
  timezone: string | null
  nextAtMs: number
  /** Number of the job of the last call. */
  lastSeq: number | null
}

export interface SignalRecord {
  name: string
  /** JSON text. */
  payload: string
  atMs: number
}

/** Operations that wait for the decision of the program that prepared them. */
export interface PreparedRecord {
  outbox: string
  /** JSON text of a list of `TransactionOperation`. */
  operations: string
  count: number
  preparedAtMs: number
  undecidedAtMs: number
}

/** An entry that cannot be used any more, as it was found. */
export interface SetAsideRecord {
  /** Why, in words. */
  reason: string
  atMs: number
  value: Buffer
}

/** The process that owns the data directory. */
export interface Owner {
  pid: number
  /** Tells a process from a later one with the same pid; empty where the platform does not say. */
  birth: string
}

/** The standing of a job of which nothing has become yet. The order of the fields is the format. */
const untouched: Standing = {
  state: 'ready',
  made: 0,
  failures: 0,
  crashes: 0,
  dueAtMs: null,
  startedAtMs: null,
  finishedAtMs: null,
  error: null,
  result: null,
  progress: null,
  logs: [],
  history: [],
  dependencies: null,
  startTurn: null,
  journal: null
}

/** The standing of a job that has only been enqueued. */
export function initialStanding(spec: JobSpec, state: 'scheduled' | 'ready'): Standing {
  const standing = copyOfStanding(untouched)
  standing.state = state
  standing.dueAtMs = spec.runAtMs
  return standing
}

/** The standing of a job of which nothing has become but that it was started. */
export function standingOfClaimed(spec: JobSpec, startedAtMs: number): Standing {
  const standing = copyOfStanding(untouched)
  standing.state = 'running'
  standing.made = 1
  standing.dueAtMs = spec.runAtMs
  standing.startedAtMs = startedAtMs
  return standing
}

/** The standing of a job that completed at its first attempt, and said nothing. */
export function standingOfCompleted(startedAtMs: number, finishedAtMs: number, result: string | null): Standing {
  const standing = copyOfStanding(untouched)
  standing.state = 'completed'
  standing.made = 1
  standing.startedAtMs = startedAtMs
  standing.finishedAtMs = finishedAtMs
  standing.result = result
  return standing
}

/**
 * Field by field: V8 gives what is spread and then changed a shape of its own, which takes a microsecond to make, and to read
 * from it again and again.
 */
export function copyOfStanding(of: Standing): Standing {
  return {
    state: of.state,
    made: of.made,
    failures: of.failures,
    crashes: of.crashes,
    dueAtMs: of.dueAtMs,
    startedAtMs: of.startedAtMs,
    finishedAtMs: of.finishedAtMs,
    error: of.error,
    result: of.result,
    progress: of.progress,
    logs: of.logs,
    history: of.history,
    dependencies: of.dependencies,
    startTurn: of.startTurn,
    journal: of.journal
  }
}

/** A scheduler event that has never run and is not planned. The order of the fields is the format. */
export const freshEvent: EventRecord = {
  id: '',
  timing: '',
  fingerprint: '',
  nextAtMs: null,
  paused: false,
  skipsNext: false,
  lastAtMs: null,
  lastJob: null,
  lastOutcome: null,
  lastDurationMs: null,
  queuedAtMs: null,
  runs: 0,
  failures: 0,
  skips: 0,
  misses: 0
}

interface Codec<T> {
  encode(key: Buffer, record: T): Buffer
  /** @throws RuntimeError `STORAGE_FAILED` where the checksum does not hold */
  decode(key: Buffer, value: Buffer): T
}

interface Packing<V> {
  pack(value: V): unknown
  unpack(value: unknown): V
}

/**
 * @param fields each with the value that it has where an older record does not hold it; **their order is the format**
 * @param packings of fields that are stored in another form
 */
function codec<T extends object>(fields: Fields<T>, packings: Packings<T> = {}): Codec<T> {
  const packing = listPacking(fields, packings)
  return {
    encode: (key, record) => seal(key, packing.pack(record)),
    decode: (key, value) => packing.unpack(unseal(key, value))
  }
}

type Fields<T> = { readonly [K in keyof T]-?: T[K] }
type Packings<T> = { readonly [K in keyof T]?: Packing<T[K]> }

function listPacking<T extends object>(fields: Fields<T>, packings: Packings<T>): Packing<T> {
  const names = Object.keys(fields) as (keyof T)[]
  const packing = names.map((name) => packings[name] as Packing<unknown> | undefined)
  return {
    pack: (record) => {
      const values: unknown[] = []
      for (let at = 0; at < names.length; at++) {
        const value = record[names[at]!]
        const packed = packing[at]
        values.push(packed === undefined ? value : packed.pack(value))
      }
      return values
    },
    unpack: (list) => {
      const values = list as unknown[]
      // A copy has all fields from the start, so that records have one shape.
      const record = { ...fields } as T
      for (let at = 0; at < values.length; at++) {
        const packed = packing[at]
        record[names[at]!] = (packed === undefined ? values[at] : packed.unpack(values[at])) as T[keyof T]
      }
      return record
    }
  }
}

const statePacking: Packing<JobState> = {
  pack: (state) => jobStates.indexOf(state),
  unpack: (index) => jobStates[index as number]!
}

/** The common case, the default, takes one byte. */
const backoffPacking: Packing<BackoffRule> = {
  pack: ({ type, delayMs, maxMs, jitter, delaysMs }) => {
    const { delayMs: none, maxMs: max } = backoffDefault
    if (type === backoffDefault.type && delayMs === none && maxMs === max && jitter === 0) return null
    return [type, delayMs, maxMs, jitter, ...delaysMs]
  },
  unpack: (fields) => {
    if (fields === null) return backoffDefault
    const [type, delayMs, maxMs, jitter, ...delaysMs] = fields as [BackoffRule['type'], ...number[]]
    return { type, delayMs: delayMs!, maxMs: maxMs!, jitter: jitter!, delaysMs }
  }
}

/** What an older record of a job does not hold. */
const specDefaults: JobSpec = {
  id: '',
  method: '',
  queue: 0,
  params: '{}',
  enqueuedAtMs: 0,
  runAtMs: null,
  atFront: false,
  priority: 0,
  timeoutMs: 0,
  attemptsMax: 1,
  backoff: backoffDefault,
  jobName: null,
  softTimeoutMs: null,
  event: null,
  rules: null
}
const otherSpecCodec = codec<JobSpec>(specDefaults, { backoff: backoffPacking })
const specFields = Object.keys(specDefaults).length

/** As of {@link codec}; field by field, as each claim reads one for each of its jobs. */
export const specCodec: Codec<JobSpec> = {
  encode: (key, spec) =>
    seal(key, [
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
      backoffPacking.pack(spec.backoff),
      spec.jobName,
      spec.softTimeoutMs,
      spec.event,
      spec.rules
    ]),
  decode: (key, value) => specOfFields(key, value, unseal(key, value) as unknown[])
}

function specOfFields(key: Buffer, value: Buffer, values: readonly unknown[]): JobSpec {
  if (values.length !== specFields) return otherSpecCodec.decode(key, value)
  return {
    id: values[0] as string,
    method: values[1] as string,
    queue: values[2] as number,
    params: values[3] as string,
    enqueuedAtMs: values[4] as number,
    runAtMs: values[5] as number | null,
    atFront: values[6] as boolean,
    priority: values[7] as number,
    timeoutMs: values[8] as number,
    attemptsMax: values[9] as number,
    backoff: backoffPacking.unpack(values[10]),
    jobName: values[11] as string | null,
    softTimeoutMs: values[12] as number | null,
    event: values[13] as string | null,
    rules: values[14] as JobRules | null
  }
}

const sharedSpecFields = 6

/** The record of one job, or of several. */
export const jobRecordCodec: Codec<JobSpec | SharedSpecs> = {
  encode: (key, record) => {
    if (!isSharedSpecs(record)) return specCodec.encode(key, record)
    const { count, tag, kinds, kindOf, runAtMs, params } = record
    return seal(key, [count, kinds.map(kindPacking.pack), tag, kindOf, runAtMs, params])
  },
  decode: (key, value) => {
    const values = unseal(key, value) as unknown[]
    if (!areShared(values)) return specOfFields(key, value, values)
    const [count, kinds, tag, kindOf, runAtMs, params] = values as [
      number,
      unknown[],
      string,
      number[],
      (number | null)[],
      string
    ]
    return { count, tag, kinds: kinds.map(kindPacking.unpack), kindOf, runAtMs, params }
  }
}

export function isSharedSpecs(record: JobSpec | SharedSpecs): record is SharedSpecs {
  return 'kinds' in record
}

/** @param values what was sealed: a record of one begins with the id of the job */
function areShared(values: readonly unknown[]): boolean {
  return values.length === sharedSpecFields && typeof values[0] === 'number'
}

/** @param sealed what {@link unseal} returned of a record of jobs @returns of how many */
export function jobsOfSealed(sealed: unknown): number {
  return Array.isArray(sealed) && areShared(sealed) ? (sealed[0] as number) : 1
}

/** The order of the fields is the format. */
const kindPacking = listPacking<SpecKind>(
  {
    method: '',
    queue: 0,
    enqueuedAtMs: 0,
    atFront: false,
    priority: 0,
    timeoutMs: 0,
    attemptsMax: 1,
    backoff: backoffDefault,
    jobName: null,
    softTimeoutMs: null
  },
  { backoff: backoffPacking }
)

export const standingCodec = codec<Standing>(untouched, { state: statePacking })

export const queueCodec = codec<QueueRecord>({ name: '', paused: false, pausedUntilMs: null })

export const totalsCodec: Codec<QueueTotals> = {
  encode: (key, { counts, turn, unkeyedTurn, starts, retained }) =>
    seal(key, [
      ...jobStates.map((state) => counts[state]),
      turn,
      unkeyedTurn,
      starts,
      ...finishedStates.flatMap((state) => [retained[state].count, retained[state].bytes])
    ]),
  decode: (key, value) => {
    const numbers = unseal(key, value) as number[]
    const totals = noTotals()
    jobStates.forEach((state, at) => {
      totals.counts[state] = numbers[at]!
    })
    const rest = numbers.slice(jobStates.length)
    if (rest.length === 0) {
      // Written by format 1, which kept everything and did not know the bytes.
      for (const state of finishedStates) totals.retained[state].count = totals.counts[state]
      return totals
    }
    const [turn, unkeyedTurn, starts, ...kept] = rest
    Object.assign(totals, { turn, unkeyedTurn, starts })
    finishedStates.forEach((state, at) => {
      totals.retained[state] = { count: kept[2 * at]!, bytes: kept[2 * at + 1]! }
    })
    return totals
  }
}

export function noTotals(): QueueTotals {
  return {
    counts: { scheduled: 0, ready: 0, running: 0, completed: 0, failed: 0, cancelled: 0 },
    turn: 0,
    unkeyedTurn: 0,
    starts: 0,
    retained: { completed: { count: 0, bytes: 0 }, failed: { count: 0, bytes: 0 }, cancelled: { count: 0, bytes: 0 } }
  }
}

export const groupCodec = codec<KeyGroup>({ number: 0, held: 0, turn: 0, starts: 0, place: null, ready: [], turnOf: 0 })

export const parentCodec = codec<ParentRecord>({ id: '', state: null, result: null, anyEnd: false })

export const throttleCodec = codec<ThrottleRecord>({ untilMs: 0, state: null })

export const growthCodec: Codec<GrowthRecord> = {
  encode: seal,
  decode: (key, value) => unseal(key, value) as GrowthRecord
}

export const initialCounters: Counters = {
  nextSeq: 1,
  nextQueue: 1,
  nextGroup: 1,
  links: 0,
  nextRevision: 1,
  nextClaim: 1
}

export const claimCodec = codec<ClaimRecord>({ startedAtMs: 0, runs: [] })

export const sharedStandingsCodec = codec<SharedStandings>({ startedAtMs: 0, finishedAtMs: 0, count: 0, results: '' })

export const countersCodec = codec<Counters>(initialCounters)

export const documentCodec = codec<DocumentRecord>({
  state: 'null',
  version: 1,
  revision: 0,
  createdAtMs: 0,
  updatedAtMs: 0,
  reminders: 0
})

export const reminderCodec = codec<ReminderRecord>({
  method: '',
  params: '{}',
  queue: null,
  cron: null,
  timezone: null,
  nextAtMs: 0,
  lastSeq: null
})

export const journalCodec = codec<JournalEntry>({
  index: 0,
  kind: 'step',
  name: '',
  state: 'open',
  result: null,
  runs: 0,
  cuts: 0,
  startedAtMs: 0,
  finishedAtMs: null,
  untilMs: null,
  error: null,
  order: null
})

export const signalCodec = codec<SignalRecord>({ name: '', payload: 'null', atMs: 0 })

export const preparedCodec = codec<PreparedRecord>({
  outbox: '',
  operations: '[]',
  count: 0,
  preparedAtMs: 0,
  undecidedAtMs: 0
})

export const setAsideCodec = codec<SetAsideRecord>({ reason: '', atMs: 0, value: Buffer.alloc(0) })

export const ownerCodec = codec<Owner>({ pid: 0, birth: '' })

export const eventCodec = codec<EventRecord>(freshEvent)

export const schedulerCodec = codec<SchedulerRecord>({ paused: false, maintenance: false })

/** The number of the job that has a chosen id. */
export const seqCodec: Codec<number> = {
  encode: seal,
  decode: (key, value) => unseal(key, value) as number
}

const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true })
const crcBytes = 4

function seal(key: Buffer, record: unknown): Buffer {
  const plain = Array.isArray(record) ? packPlain(record, crcBytes) : undefined
  const value = plain ?? packr.pack(record, RESERVE_START_SPACE + crcBytes)
  value.writeUInt32BE(checksumOf(key, value, crcBytes), 0)
  return value
}

/** @throws RuntimeError `STORAGE_FAILED` where the checksum does not hold. */
export function unseal(key: Buffer, value: Buffer): unknown {
  if (value.length <= crcBytes || value.readUInt32BE(0) !== checksumOf(key, value, crcBytes)) {
    throw new RecordDamaged(key)
  }
  return unpackPlain(value, crcBytes) ?? packr.unpack(value.subarray(crcBytes))
}

/** Kinds of entries whose value has no checksum: what they say follows from other records. All others are sealed. */
const unsealedKinds = new Set(['R', 'G', 'W', 'F', 'Z', 'T', 'B', 'V', 'A', 'N'].map((letter) => letter.charCodeAt(0)))

export function isSealed(key: Buffer): boolean {
  return !unsealedKinds.has(key[0]!)
}

/** A record fails its checksum. The queue sets it aside (queue/set-aside.ts) and tries again. */
export class RecordDamaged extends RuntimeError {
  readonly key: Buffer

  constructor(key: Buffer) {
    super(
      'STORAGE_FAILED',
      `Cannot read a record of the store: the checksum of the entry ${describeKey(key)} does not match. Stop the supervisor and run "runtime verify --repair", or restore a backup.`,
      { key: key.toString('hex') }
    )
    this.key = Buffer.from(key)
  }
}

export function describeKey(key: Buffer): string {
  return `${String.fromCharCode(key[0] ?? 0)}:${key.subarray(1).toString('hex')}`
}
