/**
 * What was asked for of jobs ('J'). Neighbours that were enqueued in one commit and ask for nothing special share a record, about as
 * long as a page of the store, under the number of the first of them. A job leaves it when something else is asked of it, or
 * when it is forgotten.
 *
 * While a commit goes on, the record that grows by what is enqueued and those that jobs have left are held here;
 * {@link SpecRuns.flush} writes them, each once. Who reads through {@link SpecRuns.find} sees what is held.
 */
import type { BackoffRule } from '../core/backoff.ts'
import { jobKey, jobRange, type KeyRange, seqOfKey } from '../store/keys.ts'
import { isSharedSpecs, type JobSpec, jobRecordCodec, type SpecKind } from '../store/records.ts'
import type { Reader, Transaction } from '../store/store.ts'
import { makeId } from './job-id.ts'

/** Jobs of one record. */
export const specRunMax = 200
/** Of the texts of a record: with the rest of it a page of the store, less its head. */
const textCharsMax = 3_600
/** What is longer is for a record of its own. */
const paramsCharsMax = 1_000
const kindsMax = 8
/** About what a record takes beside texts: for each kind, and for each job. */
const kindBytes = 40
const jobBytes = 10

export interface FoundSpec {
  spec: JobSpec
  /** Of its record; where that is shared, about its part of it. */
  bytes: number
}

/** A record that several share. */
interface Run {
  first: number
  tag: string
  kinds: SpecKind[]
  kindOf: number[]
  runAtMs: (number | null)[]
  /** undefined: of a job that has left. */
  params: (string | undefined)[]
}

/** Whether nothing is asked for but what a {@link SpecKind} says, a time, and params. */
function mayShare({ params, event, rules }: JobSpec): boolean {
  return rules === null && event === null && params.length <= paramsCharsMax && !params.includes('\n')
}

/** @returns as the store has it; inside of a commit {@link SpecRuns.find} tells */
export function findSpec(reader: Reader, seq: number): FoundSpec | undefined {
  const found = findRecord(reader, seq)
  return found === undefined || 'spec' in found ? found : specIn(found, seq)
}

/** The bytes of the record that a job has, alone or with others. */
export function findSpecRecord(reader: Reader, seq: number): Buffer | undefined {
  return findEntry(reader, seq)?.value
}

/** The jobs of a range of keys one by one, in order. @param range all of {@link jobRange}, or what is before a job */
export function* jobsIn(
  reader: Reader,
  range: KeyRange = jobRange,
  reverse = false
): Iterable<{ key: Buffer; seq: number }> {
  for (const { key, value } of reader.entries({ ...range, reverse })) {
    const first = seqOfKey(key)
    const count = jobsOfSpecRecord(key, value)
    for (let at = 0; at < count; at++) {
      const seq = first + (reverse ? count - 1 - at : at)
      const own = seq === first ? key : jobKey(seq)
      if (own.compare(range.end) < 0) yield { key: own, seq }
    }
  }
}

/** @returns for how many jobs a record stands, from that of its key on */
export function jobsOfSpecRecord(key: Buffer, value: Buffer): number {
  const opened = open(key, value)
  return 'spec' in opened ? 1 : opened.params.length
}

function findRecord(reader: Reader, seq: number): Run | FoundSpec | undefined {
  const entry = findEntry(reader, seq)
  if (entry === undefined) return undefined
  const opened = open(entry.key, entry.value)
  const isOfJob = 'spec' in opened ? seqOfKey(entry.key) === seq : holds(opened, seq)
  return isOfJob ? opened : undefined
}

/** The entry in which the job is if it is there: its own, or the one before. */
function findEntry(reader: Reader, seq: number): { key: Buffer; value: Buffer } | undefined {
  const key = jobKey(seq)
  const value = reader.get(key)
  if (value !== undefined) return { key, value }
  const before = { start: jobKey(Math.max(seq - specRunMax + 1, 0)), end: key, reverse: true, limit: 1 }
  for (const entry of reader.entries(before)) return entry
  return undefined
}

/** Neighbours ask for the same record one after the other. */
let lastRead: { key: Buffer; value: Buffer; run: Run } | undefined

function open(key: Buffer, value: Buffer): Run | FoundSpec {
  if (lastRead?.key.equals(key) === true && lastRead.value.equals(value)) return lastRead.run
  const record = jobRecordCodec.decode(key, value)
  if (!isSharedSpecs(record)) return { spec: record, bytes: value.length }
  const { tag, kinds, kindOf, runAtMs, params } = record
  const run = { first: seqOfKey(key), tag, kinds, kindOf, runAtMs, params: params.split('\n') }
  lastRead = { key: Buffer.from(key), value: Buffer.from(value), run }
  return run
}

function holds({ first, params }: Run, seq: number): boolean {
  return seq >= first && seq < first + params.length
}

/** @returns undefined: it has left */
function specIn(run: Run, seq: number): FoundSpec | undefined {
  const at = seq - run.first
  const params = run.params[at]
  return params === undefined ? undefined : { spec: specAt(run, at, params), bytes: params.length + jobBytes }
}

/** Field by field; see {@link copyOfStanding}. */
function specAt({ first, tag, kinds, kindOf, runAtMs }: Run, at: number, params: string): JobSpec {
  const kind = kinds[kindOf[at] ?? 0]!
  return {
    id: makeId(tag, first + at),
    method: kind.method,
    queue: kind.queue,
    params,
    enqueuedAtMs: kind.enqueuedAtMs,
    runAtMs: runAtMs[at] ?? null,
    atFront: kind.atFront,
    priority: kind.priority,
    timeoutMs: kind.timeoutMs,
    attemptsMax: kind.attemptsMax,
    backoff: kind.backoff,
    jobName: kind.jobName,
    softTimeoutMs: kind.softTimeoutMs,
    event: null,
    rules: null
  }
}

export class SpecRuns {
  readonly #transaction: Transaction
  readonly #tag: string
  /** Not written yet. `chars`: of its texts, with what stands beside them */
  #growing: (Run & { chars: number }) | undefined
  /** Those that jobs have left, by the number of the first. */
  readonly #changed = new Map<number, Run>()
  /** The last one that was asked for, as its other jobs are next. */
  #last: Run | undefined

  /** @param tag begins the ids that the store makes */
  constructor(transaction: Transaction, tag: string) {
    this.#transaction = transaction
    this.#tag = tag
  }

  find(seq: number): FoundSpec | undefined {
    const found = this.#find(seq)
    return found === undefined || 'spec' in found ? found : specIn(found, seq)
  }

  /** Of a job that is new. @param hasMadeId its id follows from its number @returns the bytes that it takes */
  add(seq: number, spec: JobSpec, hasMadeId: boolean): number {
    if (!hasMadeId || !mayShare(spec)) return this.#put(seq, spec)
    this.#transaction.willWrite()
    const run = this.#roomFor(seq, spec)
    run.kindOf.push(kindIn(run, spec))
    run.runAtMs.push(spec.runAtMs)
    run.params.push(spec.params)
    run.chars += spec.params.length + jobBytes
    return spec.params.length + jobBytes
  }

  /** Something else is asked of a job. @returns the bytes that it takes */
  replace(seq: number, spec: JobSpec): number {
    this.remove(seq)
    this.flush()
    return this.#put(seq, spec)
  }

  remove(seq: number): void {
    const found = this.#find(seq)
    if (found === undefined) return
    if ('spec' in found) {
      this.#transaction.remove(jobKey(seq))
      return
    }
    this.#transaction.willWrite()
    this.#changeable(found).params[seq - found.first] = undefined
  }

  flush(): void {
    this.forget()
    for (const run of this.#changed.values()) {
      if (run.params[0] === undefined) this.#transaction.remove(jobKey(run.first))
      this.#write(run)
    }
    this.#changed.clear()
    this.#writeGrowing()
  }

  /** The records have been changed by others. */
  forget(): void {
    this.#last = undefined
  }

  #find(seq: number): Run | FoundSpec | undefined {
    const [growing, last] = [this.#growing, this.#last]
    if (growing !== undefined && holds(growing, seq)) return growing
    if (last !== undefined && holds(last, seq)) return last
    const found = findRecord(this.#transaction, seq)
    if (found === undefined || 'spec' in found) return found
    this.#last = this.#changed.get(found.first) ?? found
    return this.#last
  }

  #changeable(run: Run): Run {
    if (run === this.#growing || this.#changed.get(run.first) === run) return run
    const changed = { ...run, params: [...run.params] }
    this.#changed.set(run.first, changed)
    this.#last = changed
    return changed
  }

  #roomFor(seq: number, spec: JobSpec): Run & { chars: number } {
    const run = this.#growing
    if (run !== undefined && run.first + run.params.length === seq && run.params.length < specRunMax) {
      const isKnown = run.kinds.some((kind) => isOfKind(spec, kind))
      const chars = run.chars + spec.params.length + jobBytes + (isKnown ? 0 : charsOfKind(spec))
      if (chars <= textCharsMax && (isKnown || run.kinds.length < kindsMax)) return run
    }
    this.#writeGrowing()
    this.#growing = { first: seq, tag: this.#tag, kinds: [], kindOf: [], runAtMs: [], params: [], chars: 0 }
    return this.#growing
  }

  #writeGrowing(): void {
    const run = this.#growing
    this.#growing = undefined
    if (run !== undefined) this.#write(run)
  }

  /** What is left of it; one alone has its record to itself. */
  #write(run: Run): void {
    const { first, tag, kinds, kindOf, runAtMs, params } = run
    for (let from = 0; from < params.length; ) {
      let to = from
      while (to < params.length && params[to] !== undefined) to++
      if (to - from === 1) this.#put(first + from, specAt(run, from, params[from]!))
      else if (to > from) {
        const key = jobKey(first + from)
        const shared = {
          count: to - from,
          tag,
          kinds,
          kindOf: kinds.length === 1 ? [] : kindOf.slice(from, to),
          runAtMs: runAtMs.every((atMs) => atMs === null) ? [] : runAtMs.slice(from, to),
          params: params.slice(from, to).join('\n')
        }
        this.#transaction.put(key, jobRecordCodec.encode(key, shared))
      }
      from = to + 1
    }
  }

  #put(seq: number, spec: JobSpec): number {
    const key = jobKey(seq)
    const value = jobRecordCodec.encode(key, spec)
    this.#transaction.put(key, value)
    return value.length
  }
}

/** @returns which of the kinds of the run it is, which there is room for */
function kindIn(run: Run & { chars: number }, spec: JobSpec): number {
  const last = run.kinds.length - 1
  // Neighbours are mostly of one kind.
  if (last >= 0 && isOfKind(spec, run.kinds[last]!)) return last
  const known = run.kinds.findIndex((kind) => isOfKind(spec, kind))
  if (known >= 0) return known
  run.chars += charsOfKind(spec)
  return run.kinds.push(kindOf(spec)) - 1
}

function kindOf(spec: JobSpec): SpecKind {
  return {
    method: spec.method,
    queue: spec.queue,
    enqueuedAtMs: spec.enqueuedAtMs,
    atFront: spec.atFront,
    priority: spec.priority,
    timeoutMs: spec.timeoutMs,
    attemptsMax: spec.attemptsMax,
    backoff: spec.backoff,
    jobName: spec.jobName,
    softTimeoutMs: spec.softTimeoutMs
  }
}

function charsOfKind({ method, jobName, backoff }: JobSpec): number {
  return kindBytes + method.length + (jobName?.length ?? 0) + 9 * backoff.delaysMs.length
}

function isOfKind(spec: JobSpec, kind: SpecKind): boolean {
  return (
    spec.method === kind.method &&
    spec.queue === kind.queue &&
    spec.enqueuedAtMs === kind.enqueuedAtMs &&
    spec.atFront === kind.atFront &&
    spec.priority === kind.priority &&
    spec.timeoutMs === kind.timeoutMs &&
    spec.attemptsMax === kind.attemptsMax &&
    spec.jobName === kind.jobName &&
    spec.softTimeoutMs === kind.softTimeoutMs &&
    isSameBackoff(spec.backoff, kind.backoff)
  )
}

function isSameBackoff(one: BackoffRule, other: BackoffRule): boolean {
  return (
    one === other ||
    (one.type === other.type &&
      one.delayMs === other.delayMs &&
      one.maxMs === other.maxMs &&
      one.jitter === other.jitter &&
      one.delaysMs.length === other.delaysMs.length &&
      one.delaysMs.every((delayMs, at) => delayMs === other.delaysMs[at]))
  )
}
