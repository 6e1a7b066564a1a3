/**
 * The running jobs that one claim took and that have nothing of their own yet share an entry ('x'): when they were started, and
 * their numbers. All else about them follows: it is the first attempt of a job of which nothing has become before. One that
 * gets something of its own while it runs, such as progress or a journal, leaves the entry and has a record ('X') from then on.
 *
 * What a commit changes of them is written by {@link RunningClaims.flush}. Between commits they are remembered, so that an
 * end need not read them: a claim is taken out of the memory by the commit that changes it, and put back once that is on disk.
 */
import { claimKey, claimRange, seqOfKey } from '../store/keys.ts'
import { claimCodec } from '../store/records.ts'
import type { Reader, Transaction } from '../store/store.ts'

export interface Claim {
  startedAtMs: number
  seqs: Set<number>
}

export type ClaimMemory = Map<number, Claim>

interface OpenClaim extends Claim {
  isChanged: boolean
}

export class RunningClaims {
  readonly #transaction: Transaction
  readonly #memory: ClaimMemory
  readonly #open = new Map<number, OpenClaim>()

  constructor(transaction: Transaction, memory: ClaimMemory) {
    this.#transaction = transaction
    this.#memory = memory
  }

  begin(number: number, startedAtMs: number): void {
    this.#open.set(number, { startedAtMs, seqs: new Set(), isChanged: false })
  }

  add(number: number, seq: number): void {
    this.#change(number)?.seqs.add(seq)
  }

  /** @returns when it was started; undefined: it is not among the jobs of that claim any more */
  startOf(number: number, seq: number): number | undefined {
    const claim = this.#load(number)
    return claim?.seqs.has(seq) === true ? claim.startedAtMs : undefined
  }

  remove(number: number, seq: number): void {
    this.#change(number)?.seqs.delete(seq)
  }

  flush(): void {
    for (const [number, claim] of this.#open) {
      if (!claim.isChanged) continue
      claim.isChanged = false
      const key = claimKey(number)
      if (claim.seqs.size === 0) this.#transaction.remove(key)
      else
        this.#transaction.put(key, claimCodec.encode(key, { startedAtMs: claim.startedAtMs, runs: runsOf(claim.seqs) }))
    }
  }

  /** The entries have been changed by others. */
  forget(): void {
    this.#open.clear()
    this.#memory.clear()
  }

  /** What was flushed is on disk. */
  remember(): void {
    for (const [number, claim] of this.#open) if (claim.seqs.size > 0) this.#memory.set(number, claim)
  }

  #change(number: number): OpenClaim | undefined {
    const claim = this.#load(number)
    if (claim !== undefined) claim.isChanged = true
    this.#transaction.willWrite()
    return claim
  }

  #load(number: number): OpenClaim | undefined {
    let claim = this.#open.get(number)
    if (claim !== undefined) return claim
    const remembered = this.#memory.get(number) ?? this.#read(number)
    if (remembered === undefined) return undefined
    // If this commit fails, the entry is as it was, and is read again.
    this.#memory.delete(number)
    claim = { ...remembered, isChanged: false }
    this.#open.set(number, claim)
    return claim
  }

  #read(number: number): Claim | undefined {
    const key = claimKey(number)
    const value = this.#transaction.get(key)
    if (value === undefined) return undefined
    const { startedAtMs, runs } = claimCodec.decode(key, value)
    return { startedAtMs, seqs: new Set(seqsOfRuns(runs)) }
  }
}

/** The claim that holds a job which has no record of its own. */
export function claimOf(reader: Reader, seq: number): { claim: number; startedAtMs: number } | undefined {
  for (const { key, value } of reader.entries(claimRange)) {
    const { startedAtMs, runs } = claimCodec.decode(key, value)
    for (let at = 0; at < runs.length; at += 2) {
      if (seq >= runs[at]! && seq < runs[at]! + runs[at + 1]!) return { claim: seqOfKey(key), startedAtMs }
    }
  }
  return undefined
}

/** All jobs that claims hold, by their numbers. */
export function claimedSeqs(reader: Reader): number[] {
  const seqs: number[] = []
  for (const { key, value } of reader.entries(claimRange)) {
    for (const seq of seqsOfRuns(claimCodec.decode(key, value).runs)) seqs.push(seq)
  }
  return seqs.sort((one, other) => one - other)
}

export function* seqsOfRuns(runs: readonly number[]): Iterable<number> {
  for (let at = 0; at < runs.length; at += 2) {
    for (let seq = runs[at]!; seq < runs[at]! + runs[at + 1]!; seq++) yield seq
  }
}

/** First number and length of each run of consecutive ones, in order. */
export function runsOf(seqs: Iterable<number>): number[] {
  const sorted = [...seqs]
  if (sorted.some((seq, at) => at > 0 && seq < sorted[at - 1]!)) sorted.sort((one, other) => one - other)
  const runs: number[] = []
  let next = -1
  for (const seq of sorted) {
    if (seq === next) runs[runs.length - 1]!++
    else runs.push(seq, 1)
    next = seq + 1
  }
  return runs
}
