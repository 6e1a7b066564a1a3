/**
 * Walking through the jobs of a selection, a page at a time. The order is that of the place:
 * - without a state: newest enqueued first
 * - completed, failed, cancelled: the last to finish first
 * - ready: queue by queue, those without a key in the order in which they will run, then key by key
 * - scheduled: the first due first, those that depend on others last · running: the first enqueued first
 *
 * A cursor is the key of the last entry looked at, so that a walk is stable while jobs come and go; there is none when no
 * entry follows. A page looks at a bounded number of entries, so with a filter that few jobs pass it may hold fewer jobs than
 * asked for, and still have a cursor; so may one of large jobs. Jobs are passed over without being read where the digest of a finished one
 * (store/digest.ts), or the bytes of its record, rule out that it passes.
 */
import { RuntimeError } from '../core/errors.ts'
import { instantToMs } from '../core/instant.ts'
import type { JobSelection } from '../core/job.ts'
import { type FinishedState, isFinished, type JobState } from '../core/lifecycle.ts'
import { listPageBytesMax } from '../core/limits.ts'
import { digestTest } from '../store/digest.ts'
import { finishedKey, finishedRange, jobRange, type KeyRange, noInstantMs } from '../store/keys.ts'
import type { Reader } from '../store/store.ts'
import { finishedPlaces } from './finished-runs.ts'
import { type Place, placesIn, rangesOf, spansQueues } from './places.ts'
import type { QueueRegistry } from './queue-registry.ts'
import { jobsIn } from './spec-runs.ts'
import { readJob, recordHolds, type StoredJob } from './stored-job.ts'

export interface WalkRequest {
  selection: JobSelection
  /** Text of the page before. */
  cursor: string | undefined
  /** Most jobs in the page. */
  limit: number
  /** Most entries looked at, where a job that is read counts as {@link readCost}. */
  looksMax: number
}

export interface WalkPage {
  jobs: StoredJob[]
  cursor: string | null
  /** What it cost, as in {@link WalkRequest.looksMax}. */
  looks: number
}

const readCost = 16
const recordCost = 4
/** Of a large record, so many bytes cost as much as an entry. */
const bytesPerLook = 1024

/** @throws RuntimeError `QUEUE_UNKNOWN`, `PARAMS_INVALID` for a cursor that is none */
export function walkJobs(reader: Reader, registry: QueueRegistry, request: WalkRequest): WalkPage {
  const { selection, limit } = request
  const queue = selection.queue === undefined ? undefined : registry.require(selection.queue, 'look for jobs of')
  const walk = walkOf(selection, queue, registry)
  const passes = filterOf(selection, queue)
  const mayPass = digestTest(selection)
  const texts = textsOf(selection, walk)
  const jobs: StoredJob[] = []
  let looks = 0
  let bytes = 0
  let last: Buffer | undefined
  for (const { key, value, seq } of placesOf(reader, walk, cursorOf(request.cursor, walk))) {
    const isFull = jobs.length >= limit || bytes >= listPageBytesMax
    if (last !== undefined && (isFull || looks >= request.looksMax)) {
      return { jobs, cursor: last.toString('base64url'), looks }
    }
    last = key
    looks++
    if (walk.hasDigests && !mayPass(value!)) continue
    if (texts.length > 0) {
      looks += recordCost
      if (!recordHolds(reader, seq, texts)) continue
    }
    looks += readCost
    const job = readJob(reader, seq)
    if (job === undefined) continue
    const jobBytes = bytesOf(job)
    looks += Math.floor(jobBytes / bytesPerLook)
    if (!passes(job)) continue
    jobs.push(job)
    bytes += jobBytes
  }
  return { jobs, cursor: null, looks }
}

/** About what it takes to show the job. */
function bytesOf({ specBytes, standing: { result, error, logs, history } }: StoredJob): number {
  const errors = [error, ...history.map((attempt) => attempt.error)]
  const texts = [
    result,
    ...logs.map(({ message }) => message),
    ...errors.flatMap((each) => [each?.message, each?.stack])
  ]
  return texts.reduce((sum, text) => sum + (text?.length ?? 0), specBytes)
}

/** What the record of a job that passes must hold; digests say the rest of it cheaper. */
function textsOf({ text, method, jobName, key }: JobSelection, { hasDigests }: Walk): Buffer[] {
  const texts = hasDigests ? [text] : [text, method, jobName, key]
  return texts.filter((each) => each !== undefined).map((each) => Buffer.from(each))
}

interface Walk {
  /** One after the other; or, merged by time, all at once from their ends. */
  ranges: KeyRange[]
  order: 'forward' | 'newestFirst'
  hasDigests: boolean
  state: JobState | undefined
}

function walkOf({ state, since, until }: JobSelection, queue: number | undefined, registry: QueueRegistry): Walk {
  if (state === undefined) {
    return { ranges: [jobRange], order: 'newestFirst', hasDigests: false, state }
  }
  const queues = spansQueues(state) ? [0] : queue === undefined ? registry.numbers : [queue]
  if (!isFinished(state)) {
    return { ranges: queues.flatMap((number) => rangesOf(state, number)), order: 'forward', hasDigests: false, state }
  }
  const ranges = queues.map((number) => spanOf(state, number, instantToMs(since), instantToMs(until)))
  return { ranges, order: 'newestFirst', hasDigests: true, state }
}

/** The jobs of a place that finished from `sinceMs` on, before `untilMs`. */
function spanOf(
  state: FinishedState,
  queue: number,
  sinceMs: number | undefined,
  untilMs: number | undefined
): KeyRange {
  const { start, end } = finishedRange(state, queue)
  return {
    start: sinceMs === undefined ? start : finishedKey(state, queue, sinceMs, 0),
    end: untilMs === undefined ? end : finishedKey(state, queue, untilMs, 0)
  }
}

function cursorOf(text: string | undefined, { ranges }: Walk): Buffer | undefined {
  if (text === undefined) return undefined
  const cursor = Buffer.from(text, 'base64url')
  if (ranges.some((range) => isIn(cursor, range))) return cursor
  throw new RuntimeError(
    'PARAMS_INVALID',
    'Cannot look for jobs: the cursor does not belong to a list with this filter. Use the cursor of the page before, with the same filter.'
  )
}

function isIn(key: Buffer, { start, end }: KeyRange): boolean {
  return key.compare(start) >= 0 && key.compare(end) < 0
}

/** The places of the walk, from behind the cursor. */
function placesOf(reader: Reader, walk: Walk, cursor: Buffer | undefined): Iterable<Place> {
  return walk.order === 'newestFirst' ? placesBefore(reader, walk, cursor) : placesBehind(reader, walk, cursor)
}

function placesBefore(reader: Reader, { ranges, hasDigests }: Walk, cursor: Buffer | undefined): Iterable<Place> {
  const lists = ranges.map((range) => {
    const older = before(range, cursor)
    return hasDigests ? finishedPlaces(reader, older, { reverse: true }) : jobsIn(reader, older, true)
  })
  return newestFirst(lists)
}

function* placesBehind(reader: Reader, { ranges, state }: Walk, cursor: Buffer | undefined): Iterable<Place> {
  const first = cursor === undefined ? 0 : ranges.findIndex((range) => isIn(cursor, range))
  for (const [index, range] of ranges.slice(first).entries()) {
    yield* placesIn(reader, state!, range, index === 0 ? cursor : undefined)
  }
}

const timeAndSeqBytes = 12

/** The part of a range that is older than the cursor, which may be a key of another queue. */
function before({ start, end }: KeyRange, cursor: Buffer | undefined): KeyRange {
  if (cursor === undefined) return { start, end }
  const place = start.subarray(0, cursor.length - Math.min(timeAndSeqBytes, cursor.length - 1))
  const older = Buffer.concat([place, cursor.subarray(place.length)])
  return { start, end: older.compare(end) < 0 ? older : end }
}

/** Merges lists that each run from the newest to the oldest. */
function* newestFirst(lists: Iterable<Place>[]): Iterable<Place> {
  if (lists.length === 1) {
    yield* lists[0]!
    return
  }
  const iterators = lists.map((list) => list[Symbol.iterator]())
  try {
    const heads = iterators.map((iterator) => iterator.next().value as Place | undefined)
    for (;;) {
      const newest = heads.reduce<number>((best, head, index) => (isNewer(head, heads[best]) ? index : best), 0)
      const head = heads[newest]
      if (head === undefined) return
      yield head
      heads[newest] = iterators[newest]!.next().value as Place | undefined
    }
  } finally {
    for (const iterator of iterators) iterator.return?.()
  }
}

function isNewer(entry: Place | undefined, other: Place | undefined): boolean {
  if (entry === undefined || other === undefined) return entry !== undefined
  const { key } = entry
  const than = other.key
  return key.compare(than, than.length - timeAndSeqBytes, than.length, key.length - timeAndSeqBytes) > 0
}

function filterOf(selection: JobSelection, queue: number | undefined): (job: StoredJob) => boolean {
  const { state, method, jobName, key, errorCode, text } = selection
  const sinceMs = instantToMs(selection.since) ?? 0
  const untilMs = instantToMs(selection.until) ?? noInstantMs
  return ({ spec, standing }) => {
    const atMs = standing.finishedAtMs ?? spec.enqueuedAtMs
    return (
      (state === undefined || standing.state === state) &&
      (queue === undefined || spec.queue === queue) &&
      (method === undefined || spec.method === method) &&
      (jobName === undefined || spec.jobName === jobName) &&
      (key === undefined || spec.rules?.key === key) &&
      (errorCode === undefined || (standing.error?.code === errorCode && isFinished(standing.state))) &&
      atMs >= sinceMs &&
      atMs < untilMs &&
      (text === undefined || spec.params.includes(text))
    )
  }
}
