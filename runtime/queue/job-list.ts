/**
 * Lists of jobs, page by page, without ever reading the whole store: each list walks one index.
 *
 * - no state: by enqueueing, newest first
 * - ready: in the order in which they will run, queue by queue · scheduled: by due time · running: by enqueueing
 * - completed, failed, cancelled: the last to finish first
 *
 * A cursor is the key of the last entry looked at, so that a page is stable while jobs come and go; there is none when no
 * entry follows. One page looks at a bounded number of entries: with a filter that few jobs pass it may hold fewer jobs than
 * asked for, and still have a cursor.
 */
import { RuntimeError } from '../core/errors.ts'
import type { JobFilter, JobPage, JobView } from '../core/job.ts'
import { isFinished, type JobState } from '../core/lifecycle.ts'
import { jobRange, type KeyRange, seqOfKey, seqOfReadyKey } from '../store/keys.ts'
import type { Reader } from '../store/store.ts'
import { placeOf } from './places.ts'
import type { QueueRegistry } from './queue-registry.ts'
import { readJob, type StoredJob } from './stored-job.ts'

const pageDefault = 50
const entriesPerPageMax = 20_000

/** @throws RuntimeError `QUEUE_UNKNOWN`, `PARAMS_INVALID` for a cursor that is none */
export function listJobs(
  reader: Reader,
  registry: QueueRegistry,
  filter: JobFilter,
  view: (job: StoredJob) => JobView
): JobPage {
  const limit = filter.limit ?? pageDefault
  const queue = filter.queue === undefined ? undefined : registry.require(filter.queue, 'list the jobs of')
  const walk = walkOf(filter.state, queue, registry)
  const jobs: JobView[] = []
  let looked = 0
  let last: Buffer | undefined
  for (const key of keysOf(reader, walk, cursorOf(filter, walk))) {
    if (last !== undefined && (jobs.length === limit || looked === entriesPerPageMax)) {
      return { jobs, cursor: last.toString('base64url') }
    }
    const job = readJob(reader, walk.seqOf(key))
    if (job !== undefined && passes(job, filter, queue)) jobs.push(view(job))
    last = key
    looked++
  }
  return { jobs, cursor: null }
}

interface Walk {
  /** One after the other; or, merged by time, all at once from their ends. */
  ranges: KeyRange[]
  order: 'forward' | 'newestFirst'
  seqOf: (key: Buffer) => number
}

function walkOf(state: JobState | undefined, queue: number | undefined, registry: QueueRegistry): Walk {
  if (state === undefined) return { ranges: [jobRange], order: 'newestFirst', seqOf: seqOfKey }
  const spansQueues = state === 'scheduled' || state === 'running'
  const all = spansQueues ? [0] : [...registry.names].map((name) => registry.numberOf(name)!)
  return {
    ranges: (queue === undefined ? all : [queue]).map((number) => placeOf(state, number).range),
    order: isFinished(state) ? 'newestFirst' : 'forward',
    seqOf: state === 'ready' ? seqOfReadyKey : seqOfKey
  }
}

function cursorOf({ cursor: text }: JobFilter, { ranges }: Walk): Buffer | undefined {
  if (text === undefined) return undefined
  const cursor = Buffer.from(text, 'base64url')
  if (ranges.some((range) => isIn(cursor, range))) return cursor
  throw new RuntimeError('PARAMS_INVALID', 'Cannot list jobs: the cursor does not belong to a list with this filter.')
}

function isIn(key: Buffer, { start, end }: KeyRange): boolean {
  return key.compare(start) >= 0 && key.compare(end) < 0
}

/** The keys of the walk, from behind the cursor. */
function keysOf(reader: Reader, { ranges, order }: Walk, cursor: Buffer | undefined): Iterable<Buffer> {
  if (order === 'newestFirst') {
    const before = ranges.map(({ start, end }) => ({
      start,
      // The end of a key is its time and seq; up to there each range has the same form.
      end: cursor === undefined ? end : Buffer.concat([start, cursor.subarray(start.length)])
    }))
    return newestFirst(before.map((range) => reader.keys({ ...range, reverse: true })))
  }
  const first = cursor === undefined ? 0 : ranges.findIndex((range) => isIn(cursor, range))
  const behind = ranges.slice(first).map(({ start, end }, index) => ({
    start: cursor !== undefined && index === 0 ? Buffer.concat([cursor, Buffer.of(0)]) : start,
    end
  }))
  return oneAfterTheOther(behind.map((range) => reader.keys(range)))
}

function* oneAfterTheOther(lists: Iterable<Buffer>[]): Iterable<Buffer> {
  for (const list of lists) yield* list
}

/** Merges lists that each run from the newest to the oldest. */
function* newestFirst(lists: Iterable<Buffer>[]): Iterable<Buffer> {
  const iterators = lists.map((list) => list[Symbol.iterator]())
  try {
    const heads = iterators.map((iterator) => iterator.next().value as Buffer | undefined)
    for (;;) {
      const newest = heads.reduce<number>((best, head, index) => (isNewer(head, heads[best]) ? index : best), 0)
      const key = heads[newest]
      if (key === undefined) return
      yield key
      heads[newest] = iterators[newest]!.next().value as Buffer | undefined
    }
  } finally {
    for (const iterator of iterators) iterator.return?.()
  }
}

const timeAndSeqBytes = 12

function isNewer(key: Buffer | undefined, other: Buffer | undefined): boolean {
  if (key === undefined || other === undefined) return key !== undefined
  return key.subarray(-timeAndSeqBytes).compare(other.subarray(-timeAndSeqBytes)) > 0
}

function passes({ spec, standing }: StoredJob, filter: JobFilter, queue: number | undefined): boolean {
  return (
    (filter.state === undefined || standing.state === filter.state) &&
    (queue === undefined || spec.queue === queue) &&
    (filter.method === undefined || spec.method === filter.method) &&
    (filter.jobName === undefined || spec.jobName === filter.jobName)
  )
}
