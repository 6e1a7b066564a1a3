/**
 * The ready jobs without a key or document ('R'). Jobs that were enqueued one after the other stand next to each other there,
 * so one entry may stand for a **run** of them: consecutive numbers, one queue and rank, not at front, none with a standing. It
 * lies under the key of its first job.
 *
 * While a commit goes on, the run that grows by what is enqueued and the rest of the one that jobs are taken from are held
 * here; {@link ReadyRuns.flush} writes them. Where the run that grows is all that is ready of a queue, its jobs are claimed
 * without having been written: one that a free thread takes at once leaves no trace among the ready.
 */
import { type KeyRange, placeOfReadyKey, type ReadyPlace, readyKey, readyRange } from '../store/keys.ts'
import type { Reader, Transaction } from '../store/store.ts'

/** Jobs of one entry. */
export const readyRunMax = 1_000

interface Run {
  queue: number
  rank: number
  first: number
  count: number
}

const empty = Buffer.alloc(0)
const hasRecord = Buffer.of(1)
const countBytes = 4

/** @returns for how many jobs the value of an entry stands, from that of its key on */
export function jobsOfReadyEntry(value: Buffer): number {
  return value.length === countBytes ? value.readUInt32BE(0) : 1
}

/** @returns what is stored for jobs of a run */
function readyRunValue(count: number): Buffer {
  if (count === 1) return empty
  const value = Buffer.allocUnsafe(countBytes)
  value.writeUInt32BE(count, 0)
  return value
}

/** The entry that stands for a job, perhaps among others. `value`: of the entry */
export interface ReadyEntry {
  first: number
  count: number
  value: Buffer
}

export function findReady(reader: Reader, queue: number, place: ReadyPlace): ReadyEntry | undefined {
  const key = readyKey(queue, place)
  const value = reader.get(key)
  const { seq, atFront } = place
  if (value !== undefined) return { first: seq, count: atFront ? 1 : jobsOfReadyEntry(value), value }
  if (atFront) return undefined
  const start = readyKey(queue, { ...place, seq: Math.max(seq - readyRunMax + 1, 0) })
  for (const entry of reader.entries({ start, end: key, reverse: true, limit: 1 })) {
    const first = placeOfReadyKey(entry.key).seq
    const count = jobsOfReadyEntry(entry.value)
    return seq < first + count ? { first, count, value: entry.value } : undefined
  }
  return undefined
}

/** The jobs of a range one by one, in order. @param behind place of a job, perhaps inside of a run; they begin after it */
export function* readyPlaces(
  reader: Reader,
  { start, end }: KeyRange,
  behind?: Buffer
): Iterable<{ key: Buffer; seq: number; hasStanding: boolean }> {
  if (behind !== undefined) {
    for (const { key, value } of reader.entries({ start, end: behind, reverse: true, limit: 1 })) {
      yield* membersOf(key, value, behind)
    }
  }
  const from = behind === undefined ? start : behind
  for (const { key, value } of reader.entries({ start: from, end })) yield* membersOf(key, value, behind)
}

function* membersOf(key: Buffer, value: Buffer, behind: Buffer | undefined) {
  const place = placeOfReadyKey(key)
  const count = jobsOfReadyEntry(value)
  const queue = key.readUInt16BE(1)
  for (let at = 0; at < count; at++) {
    const seq = place.seq + at
    const own = at === 0 ? key : readyKey(queue, { ...place, seq })
    if (behind === undefined || own.compare(behind) > 0) yield { key: own, seq, hasStanding: value.length === 1 }
  }
}

/** Takes one job out of the entry that stands for it. */
export function cutReady(transaction: Transaction, queue: number, place: ReadyPlace): void {
  const runs = new ReadyRuns(transaction)
  runs.take(queue, place, false)
  runs.flush()
}

export class ReadyRuns {
  readonly #transaction: Transaction
  /** Not written yet. */
  #growing: Run | undefined
  /** Its entry is gone, and what is left of it not written yet. */
  #shrinking: Run | undefined

  constructor(transaction: Transaction) {
    this.#transaction = transaction
  }

  place(queue: number, place: ReadyPlace, hasStanding: boolean): void {
    const { atFront, rank, seq } = place
    if (atFront || hasStanding) {
      this.#transaction.put(readyKey(queue, place), hasStanding ? hasRecord : empty)
      return
    }
    this.#transaction.willWrite()
    const run = this.#growing
    const follows = run !== undefined && run.queue === queue && run.rank === rank && seq === run.first + run.count
    if (follows && run.count < readyRunMax) {
      run.count++
      return
    }
    this.#write(run)
    this.#growing = { queue, rank, first: seq, count: 1 }
  }

  /** @returns the run that grows, where it is all of the `ready` jobs of the queue: none of them is written */
  unwritten(queue: number, ready: number): Readonly<Run> | undefined {
    const run = this.#growing
    return run?.queue === queue && run.count === ready ? run : undefined
  }

  take(queue: number, place: ReadyPlace, hasStanding: boolean): void {
    const { atFront, rank, seq } = place
    if (atFront || hasStanding) {
      this.#transaction.remove(readyKey(queue, place))
      return
    }
    const held = [this.#shrinking, this.#growing].find((run) => run !== undefined && isFirstOf(run, queue, rank, seq))
    if (held !== undefined) {
      this.#transaction.willWrite()
      held.first++
      held.count--
      return
    }
    this.flush()
    const found = findReady(this.#transaction, queue, place)
    if (found === undefined) return
    this.#transaction.remove(readyKey(queue, { atFront, rank, seq: found.first }))
    this.#write({ queue, rank, first: found.first, count: seq - found.first })
    this.#shrinking = { queue, rank, first: seq + 1, count: found.first + found.count - seq - 1 }
  }

  flush(): void {
    const [one, other] = [this.#shrinking, this.#growing]
    this.#shrinking = undefined
    this.#growing = undefined
    this.#write(one)
    this.#write(other)
  }

  #write(run: Run | undefined): void {
    if (run === undefined || run.count === 0) return
    const { queue, rank, first, count } = run
    this.#transaction.put(readyKey(queue, { atFront: false, rank, seq: first }), readyRunValue(count))
  }
}

function isFirstOf(run: Run, queue: number, rank: number, seq: number): boolean {
  return run.count > 0 && run.first === seq && run.queue === queue && run.rank === rank
}

/** Whether `key` may be one of a ready job without a key or document. */
export function isReadyKey(key: Buffer): boolean {
  return key[0] === readyMark
}

const readyMark = readyRange(0).start[0]
