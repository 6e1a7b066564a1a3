/**
 * Brings back to ready what was running when the last supervisor died. A first piece is part of the start; the others are done
 * by upkeep, a commit each, so that the first job need not wait for them. What is left when this supervisor ends is running on
 * disk, and so is the affair of the next one.
 *
 * Meanwhile anybody may cancel a job of the old life, and retry it: once this life has claimed it, it is not to be interrupted.
 */
import { claimRange, runningRange, seqOfKey } from '../store/keys.ts'
import { claimCodec, standingOfClaimed } from '../store/records.ts'
import type { Reader } from '../store/store.ts'
import { endAttempt } from './attempts.ts'
import type { QueueCommit } from './commit.ts'
import { seqsOfRuns } from './running-claims.ts'
import { readFreshJob, readJob, type StoredJob } from './stored-job.ts'

export class Recovery {
  /** Numbers of the jobs, in the order in which they come back. Two lists of numbers: an object for each of them costs more than the rest. */
  #seqs: number[] = []
  /** The claim that held each of them when this life began; 0: none did. */
  #claims: number[] = []
  /** This life has claimed them, so they are not in an attempt of the old one any more. */
  readonly #claimedAgain = new Set<number>()
  #next = 0

  constructor(reader: Reader) {
    for (const key of reader.keys(runningRange)) this.#add(seqOfKey(key), 0)
    for (const { key, value } of reader.entries(claimRange)) {
      const claim = seqOfKey(key)
      for (const seq of seqsOfRuns(claimCodec.decode(key, value).runs)) this.#add(seq, claim)
    }
    const [seqs, claims] = [this.#seqs, this.#claims]
    if (seqs.every((seq, at) => at === 0 || seq > seqs[at - 1]!)) return
    const order = seqs.map((_, at) => at).sort((one, other) => seqs[one]! - seqs[other]!)
    this.#seqs = order.map((at) => seqs[at]!)
    this.#claims = order.map((at) => claims[at]!)
  }

  #add(seq: number, claim: number): void {
    this.#seqs.push(seq)
    this.#claims.push(claim)
  }

  /** Jobs that were running when this life began. */
  get count(): number {
    return this.#seqs.length
  }

  get isOver(): boolean {
    return this.#next >= this.#seqs.length
  }

  /** @param max jobs */
  piece(commit: QueueCommit, max: number): void {
    const end = Math.min(this.#next + max, this.#seqs.length)
    for (let at = this.#next; at < end; at++) {
      const seq = this.#seqs[at]!
      if (this.#claimedAgain.has(seq) || commit.hasClaimed(seq)) continue
      const job = oldJob(commit, seq, this.#claims[at]!)
      if (job?.standing.state === 'running') endAttempt(commit, job, { type: 'interrupted' }, 0)
    }
    // A commit that fails has brought nobody back.
    commit.after.later(() => {
      this.#next = end
    })
  }

  /** This life has claimed the job. */
  forget(seq: number): void {
    if (seq <= (this.#seqs.at(-1) ?? 0)) this.#claimedAgain.add(seq)
  }
}

/** Most are where they were, and need not be looked for among the claims. */
function oldJob(commit: QueueCommit, seq: number, claim: number): StoredJob | undefined {
  const startedAtMs = claim === 0 ? undefined : commit.transaction.claims.startOf(claim, seq)
  if (startedAtMs === undefined) return readJob(commit.transaction, seq)
  const job = readFreshJob(commit.transaction, seq)
  if (job === undefined) return undefined
  job.standing = standingOfClaimed(job.spec, startedAtMs)
  job.claim = claim
  return job
}
