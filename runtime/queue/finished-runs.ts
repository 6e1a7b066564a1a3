/**
 * The completed jobs. Neighbours that complete in one commit, as those of one claim do, share their entries: the place ('F')
 * holds a digest for each of them, and the standings ('s'), which differ in the results alone, are one record. Both lie under
 * the key of the first of them. A job leaves either when it gets something of its own, or is forgotten.
 *
 * While a commit goes on, what has completed and what has left is held here; {@link FinishedRuns.flush} writes it, each entry
 * once.
 */
import type { FinishedState } from '../core/lifecycle.ts'
import { digestBytes, writeDigest } from '../store/digest.ts'
import {
  finishedKey,
  instantOfFinishedKey,
  type KeyRange,
  queueOfFinishedKey,
  seqOfKey,
  sharedStandingsKey,
  standingKey,
  stateOfFinishedKey
} from '../store/keys.ts'
import {
  type JobSpec,
  type Standing,
  sharedStandingsCodec,
  standingCodec,
  standingOfCompleted
} from '../store/records.ts'
import type { Reader, Transaction } from '../store/store.ts'

/** Jobs of one entry: so many digests fill a page of the store. */
export const finishedRunMax = 220
/** A longer result is for a record of its own. */
const resultCharsMax = 100

/** Whether nothing is to be said of the job but when it ran, and its result. */
export function mayShare({ rules }: JobSpec, standing: Standing): boolean {
  const { result } = standing
  return (
    standing.state === 'completed' &&
    standing.made === 1 &&
    standing.failures === 0 &&
    standing.crashes === 0 &&
    standing.startedAtMs !== null &&
    standing.dueAtMs === null &&
    standing.error === null &&
    standing.progress === null &&
    standing.logs.length === 0 &&
    standing.history.length === 0 &&
    standing.dependencies === null &&
    standing.startTurn === null &&
    standing.journal === null &&
    (result === null || (result.length > 0 && result.length <= resultCharsMax && !result.includes('\n'))) &&
    rules?.keepMs?.completed === undefined
  )
}

interface Completed {
  seq: number
  spec: JobSpec
  standing: Standing
  bytes: number
}

/** An entry of standings. */
export interface StandingsRun {
  first: number
  startedAtMs: number
  finishedAtMs: number
  /** undefined: of a job that has left. */
  results: (string | null | undefined)[]
}

interface PlacesRun {
  key: Buffer
  state: FinishedState
  queue: number
  finishedAtMs: number
  first: number
  /** undefined: of a job that has left. */
  digests: (Buffer | undefined)[]
}

export function jobsOfFinishedEntry(value: Buffer): number {
  return Math.max(Math.floor(value.length / digestBytes), 1)
}

/** The entry that stands for a finished job, perhaps among others. */
export interface FinishedEntry {
  key: Buffer
  /** Of all of them. */
  value: Buffer
  count: number
  /** Of the job. */
  digest: Buffer
}

export function findFinished(
  reader: Reader,
  state: FinishedState,
  queue: number,
  finishedAtMs: number,
  seq: number
): FinishedEntry | undefined {
  const own = finishedKey(state, queue, finishedAtMs, seq)
  const value = reader.get(own)
  if (value !== undefined) return entryOf(own, value, 0)
  const start = finishedKey(state, queue, finishedAtMs, Math.max(seq - finishedRunMax + 1, 0))
  for (const entry of reader.entries({ start, end: own, reverse: true, limit: 1 })) {
    const at = seq - seqOfKey(entry.key)
    return at < jobsOfFinishedEntry(entry.value) ? entryOf(Buffer.from(entry.key), entry.value, at) : undefined
  }
  return undefined
}

function entryOf(key: Buffer, value: Buffer, at: number): FinishedEntry {
  return { key, value, count: jobsOfFinishedEntry(value), digest: digestAt(value, at) }
}

function digestAt(value: Buffer, at: number): Buffer {
  return value.subarray(at * digestBytes, (at + 1) * digestBytes)
}

/**
 * The finished jobs of a range one by one, in order. `value`: the digest of the job
 *
 * @param bound place of a job, perhaps inside of an entry: they begin after it, or in reverse before it
 */
export function* finishedPlaces(
  reader: Reader,
  { start, end }: KeyRange,
  { bound, reverse = false }: { bound?: Buffer | undefined; reverse?: boolean } = {}
): Iterable<{ key: Buffer; value: Buffer; seq: number }> {
  if (reverse) {
    const before = bound === undefined || bound.compare(end) > 0 ? end : bound
    for (const { key, value } of reader.entries({ start, end: before, reverse })) {
      const count = jobsOfFinishedEntry(value)
      for (let at = count - 1; at >= 0; at--) {
        const place = placeAt(key, value, at)
        if (count === 1 || place.key.compare(before) < 0) yield place
      }
    }
    return
  }
  if (bound !== undefined) {
    for (const { key, value } of reader.entries({ start, end: bound, reverse: true, limit: 1 })) {
      yield* behind(key, value, bound)
    }
  }
  for (const { key, value } of reader.entries({ start: bound ?? start, end })) yield* behind(key, value, bound)
}

function* behind(key: Buffer, value: Buffer, bound: Buffer | undefined) {
  const count = jobsOfFinishedEntry(value)
  for (let at = 0; at < count; at++) {
    const place = placeAt(key, value, at)
    if (bound === undefined || place.key.compare(bound) > 0) yield place
  }
}

function placeAt(key: Buffer, value: Buffer, at: number): { key: Buffer; value: Buffer; seq: number } {
  const seq = seqOfKey(key) + at
  if (at === 0) return { key, value: digestAt(value, 0), seq }
  const own = Buffer.from(key)
  own.writeUIntBE(seq, own.length - 6, 6)
  return { key: own, value: digestAt(value, at), seq }
}

/** @returns the entry that holds the standing of a job, perhaps among others */
export function findStandings(reader: Reader, seq: number): StandingsRun | undefined {
  const start = sharedStandingsKey(Math.max(seq - finishedRunMax + 1, 0))
  for (const { key, value } of reader.entries({ start, end: sharedStandingsKey(seq + 1), reverse: true, limit: 1 })) {
    const run = decodeStandings(key, value)
    return seq < run.first + run.results.length ? run : undefined
  }
  return undefined
}

/** A page of jobs asks for the same entry again and again. */
let lastRead: { key: Buffer; value: Buffer; run: StandingsRun } | undefined

function decodeStandings(key: Buffer, value: Buffer): StandingsRun {
  if (lastRead?.key.equals(key) === true && lastRead.value.equals(value)) return lastRead.run
  const { startedAtMs, finishedAtMs, count, results } = sharedStandingsCodec.decode(key, value)
  const lines = results === '' ? [] : results.split('\n')
  const run = {
    first: seqOfKey(key),
    startedAtMs,
    finishedAtMs,
    results: Array.from({ length: count }, (_, at) => lines[at] || null)
  }
  lastRead = { key: Buffer.from(key), value: Buffer.from(value), run }
  return run
}

/** @returns undefined: the run holds no standing of this job */
export function standingInRun(run: StandingsRun | undefined, seq: number): Standing | undefined {
  const result = run?.results[seq - run.first]
  if (run === undefined || result === undefined) return undefined
  return standingOfCompleted(run.startedAtMs, run.finishedAtMs, result)
}

export class FinishedRuns {
  readonly #transaction: Transaction
  #completed: Completed[] = []
  /** Those that jobs have left, by the number of the first. */
  readonly #standings = new Map<number, StandingsRun>()
  /** By the key. */
  readonly #places = new Map<string, PlacesRun>()
  /** The last ones that were asked for, as those of their neighbours are next. */
  #lastStandings: StandingsRun | undefined
  #lastPlaces: PlacesRun | undefined

  constructor(transaction: Transaction) {
    this.#transaction = transaction
  }

  /** Of a job that {@link mayShare}: its place and its standing. @param bytes as its digest tells */
  place(seq: number, spec: JobSpec, standing: Standing, bytes: number): void {
    this.#transaction.willWrite()
    this.#completed.push({ seq, spec, standing, bytes })
  }

  standingOf(seq: number): Standing | undefined {
    return standingInRun(this.#find(seq), seq)
  }

  /** The standing of a job is to be in no shared entry any more. */
  leaveStandings(seq: number): void {
    const run = this.#find(seq)
    if (run === undefined) return
    this.#transaction.willWrite()
    let changed = this.#standings.get(run.first)
    if (changed === undefined) {
      changed = { ...run, results: [...run.results] }
      this.#standings.set(run.first, changed)
      this.#lastStandings = changed
    }
    changed.results[seq - run.first] = undefined
  }

  /** @returns the digest that the place of a job held */
  takePlace(state: FinishedState, queue: number, finishedAtMs: number, seq: number): Buffer | undefined {
    this.#writeCompleted()
    let run = this.#lastPlaces
    if (run === undefined || !isInPlaces(run, state, queue, finishedAtMs, seq)) {
      const found = findFinished(this.#transaction, state, queue, finishedAtMs, seq)
      if (found === undefined) return undefined
      if (found.count === 1) {
        this.#transaction.remove(found.key)
        return found.digest
      }
      run = this.#open(found)
    }
    this.#transaction.willWrite()
    const at = seq - run.first
    const digest = run.digests[at]
    run.digests[at] = undefined
    return digest
  }

  #open({ key, value, count }: FinishedEntry): PlacesRun {
    const name = key.toString('latin1')
    let run = this.#places.get(name)
    if (run === undefined) {
      run = {
        key,
        state: stateOfFinishedKey(key),
        queue: queueOfFinishedKey(key),
        finishedAtMs: instantOfFinishedKey(key),
        first: seqOfKey(key),
        digests: Array.from({ length: count }, (_, at) => digestAt(value, at))
      }
      this.#places.set(name, run)
    }
    this.#lastPlaces = run
    return run
  }

  flush(): void {
    this.#writeChanged()
    this.#writeCompleted()
  }

  #find(seq: number): StandingsRun | undefined {
    this.#writeCompleted()
    const last = this.#lastStandings
    if (last !== undefined && seq >= last.first && seq < last.first + last.results.length) return last
    const found = findStandings(this.#transaction, seq)
    if (found === undefined) return undefined
    this.#lastStandings = this.#standings.get(found.first) ?? found
    return this.#lastStandings
  }

  /** The entries have been changed by others. */
  forget(): void {
    this.#lastStandings = undefined
    this.#lastPlaces = undefined
  }

  #writeChanged(): void {
    this.forget()
    for (const run of this.#standings.values()) {
      if (run.results[0] === undefined) this.#transaction.remove(sharedStandingsKey(run.first))
      for (const [from, to] of stretchesOf(run.results)) {
        this.#writeStandings(run.first + from, run, run.results.slice(from, to) as (string | null)[])
      }
    }
    this.#standings.clear()
    for (const { key, state, queue, finishedAtMs, first, digests } of this.#places.values()) {
      if (digests[0] === undefined) this.#transaction.remove(key)
      for (const [from, to] of stretchesOf(digests)) {
        const value = Buffer.concat(digests.slice(from, to) as Buffer[])
        this.#transaction.put(finishedKey(state, queue, finishedAtMs, first + from), value)
      }
    }
    this.#places.clear()
  }

  #writeStandings(
    first: number,
    { startedAtMs, finishedAtMs }: { startedAtMs: number; finishedAtMs: number },
    all: readonly (string | null)[]
  ): void {
    const key = sharedStandingsKey(first)
    const results = all.every((result) => result === null) ? '' : all.join('\n')
    this.#transaction.put(
      key,
      sharedStandingsCodec.encode(key, { startedAtMs, finishedAtMs, count: all.length, results })
    )
  }

  #writeCompleted(): void {
    if (this.#completed.length === 0) return
    // One may come back to a place that it has left in this commit.
    this.#writeChanged()
    const completed = this.#completed
    this.#completed = []
    // The threads of a claim end its jobs in turn.
    if (!isInOrder(completed)) completed.sort(byPlace)
    for (let from = 0; from < completed.length; ) {
      let to = from + 1
      while (to < completed.length && to - from < finishedRunMax && follows(completed[to - 1]!, completed[to]!)) to++
      this.#writeRun(completed, from, to)
      from = to
    }
  }

  #writeRun(completed: readonly Completed[], from: number, to: number): void {
    const { seq, spec, standing } = completed[from]!
    const digests = Buffer.allocUnsafe((to - from) * digestBytes)
    for (let at = from; at < to; at++) {
      const { bytes, spec: own } = completed[at]!
      writeDigest(digests, (at - from) * digestBytes, bytes, own.method, own.jobName, own.rules?.key ?? null)
    }
    this.#transaction.put(finishedKey('completed', spec.queue, standing.finishedAtMs!, seq), digests)
    if (to - from === 1) {
      const key = standingKey(seq)
      this.#transaction.put(key, standingCodec.encode(key, standing))
      return
    }
    const results: (string | null)[] = []
    for (let at = from; at < to; at++) results.push(completed[at]!.standing.result)
    const [startedAtMs, finishedAtMs] = [standing.startedAtMs!, standing.finishedAtMs!]
    this.#writeStandings(seq, { startedAtMs, finishedAtMs }, results)
  }
}

function isInPlaces(run: PlacesRun, state: FinishedState, queue: number, finishedAtMs: number, seq: number): boolean {
  return (
    seq >= run.first &&
    seq < run.first + run.digests.length &&
    run.finishedAtMs === finishedAtMs &&
    run.queue === queue &&
    run.state === state
  )
}

function follows(one: Completed, other: Completed): boolean {
  return (
    other.seq === one.seq + 1 &&
    other.spec.queue === one.spec.queue &&
    other.standing.startedAtMs === one.standing.startedAtMs
  )
}

function isInOrder(completed: readonly Completed[]): boolean {
  for (let at = 1; at < completed.length; at++) if (completed[at]!.seq < completed[at - 1]!.seq) return false
  return true
}

function byPlace(one: Completed, other: Completed): number {
  return one.spec.queue - other.spec.queue || one.seq - other.seq
}

/** From where to where something is left. */
function stretchesOf(list: readonly unknown[]): [from: number, to: number][] {
  const stretches: [number, number][] = []
  for (let at = 0; at < list.length; at++) {
    if (list[at] === undefined) continue
    const from = at
    while (at < list.length && list[at] !== undefined) at++
    stretches.push([from, at])
  }
  return stretches
}
