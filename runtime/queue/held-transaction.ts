/**
 * A transaction in which some entries are held back (spec-runs.ts, ready-runs.ts, running-claims.ts, finished-runs.ts). Who looks at them, or walks through any
 * entries, finds them written: so nobody reads what is not true any more, and nothing is written inside of a walk.
 */
import type { Scan } from '../store/engine.ts'
import { claimRange, finishedRange, jobRange, sharedStandingsRange, standingKey } from '../store/keys.ts'
import type { Transaction } from '../store/store.ts'
import { FinishedRuns } from './finished-runs.ts'
import { isReadyKey, ReadyRuns } from './ready-runs.ts'
import { type ClaimMemory, RunningClaims } from './running-claims.ts'
import { SpecRuns } from './spec-runs.ts'

const claimMark = claimRange.start[0]
const jobMark = jobRange.start[0]!
const finishedMark = finishedRange('completed', 0).start[0]
const sharedMark = sharedStandingsRange.start[0]
const standingMark = standingKey(0)[0]

export class HeldTransaction implements Transaction {
  readonly specs: SpecRuns
  readonly ready: ReadyRuns
  readonly claims: RunningClaims
  readonly finished: FinishedRuns
  readonly #transaction: Transaction

  /** @param tag begins the ids that the store makes */
  constructor(transaction: Transaction, memory: ClaimMemory, tag: string) {
    this.#transaction = transaction
    this.specs = new SpecRuns(transaction, tag)
    this.ready = new ReadyRuns(transaction)
    this.claims = new RunningClaims(transaction, memory)
    this.finished = new FinishedRuns(transaction)
  }

  flush(): void {
    this.specs.flush()
    this.#flushPlaces()
  }

  #flushPlaces(): void {
    this.ready.flush()
    this.claims.flush()
    this.finished.flush()
  }

  get(key: Buffer): Buffer | undefined {
    this.#flushToRead(key)
    return this.#transaction.get(key)
  }

  has(key: Buffer): boolean {
    this.#flushToRead(key)
    return this.#transaction.has(key)
  }

  entries(scan: Scan): Iterable<{ key: Buffer; value: Buffer }> {
    this.#flushToWalk(scan)
    return this.#transaction.entries(scan)
  }

  keys(scan: Scan): Iterable<Buffer> {
    this.#flushToWalk(scan)
    return this.#transaction.keys(scan)
  }

  put(key: Buffer, value: Buffer): void {
    this.#willChange(key)
    this.#transaction.put(key, value)
  }

  remove(key: Buffer): void {
    this.#willChange(key)
    this.#transaction.remove(key)
  }

  willWrite(): void {
    this.#transaction.willWrite()
  }

  #willChange(key: Buffer): void {
    this.#flushFor(key)
    if (key[0] === claimMark) this.claims.forget()
    else if (key[0] === sharedMark) this.finished.forget()
    else if (key[0] === jobMark) this.specs.forget()
  }

  /** What is asked for is read through `specs`, which writes nothing. */
  #flushToWalk({ start, end }: Scan): void {
    if (start[0]! <= jobMark && jobMark <= end[0]!) this.specs.flush()
    this.#flushPlaces()
  }

  /** One that completes alone has its standing to itself. */
  #flushToRead(key: Buffer): void {
    if (key[0] === standingMark) this.finished.flush()
    else this.#flushFor(key)
  }

  #flushFor(key: Buffer): void {
    if (key[0] === claimMark) this.claims.flush()
    else if (key[0] === jobMark) this.specs.flush()
    else if (key[0] === finishedMark || key[0] === sharedMark) this.finished.flush()
    else if (isReadyKey(key)) this.ready.flush()
  }
}
