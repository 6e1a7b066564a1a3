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

/** In the order in which they come back, with the claim that held the job when this life began; 0: none did. */
interface OldJob {
  seq: number
  claim: number
}

export class Recovery {
  readonly #running: OldJob[]
  /** Numbers of jobs that may still be in an attempt of the old life. */
  readonly #left: Set<number>
  #next = 0

  constructor(reader: Reader) {
    const running: OldJob[] = []
    for (const key of reader.keys(runningRange)) running.push({ seq: seqOfKey(key), claim: 0 })
    for (const { key, value } of reader.entries(claimRange)) {
      const claim = seqOfKey(key)
      for (const seq of seqsOfRuns(claimCodec.decode(key, value).runs)) running.push({ seq, claim })
    }
    this.#running = running.sort((one, other) => one.seq - other.seq)
    this.#left = new Set(running.map(({ seq }) => seq))
  }

  /** Jobs that were running when this life began. */
  get count(): number {
    return this.#running.length
  }

  get isOver(): boolean {
    return this.#next >= this.#running.length
  }

  /** @param max jobs */
  piece(commit: QueueCommit, max: number): void {
    const end = Math.min(this.#next + max, this.#running.length)
    for (let at = this.#next; at < end; at++) {
      const { seq, claim } = this.#running[at]!
      if (!this.#left.has(seq) || commit.hasClaimed(seq)) continue
      const job = oldJob(commit, seq, claim)
      if (job?.standing.state === 'running') endAttempt(commit, job, { type: 'interrupted' }, 0)
    }
    // A commit that fails has brought nobody back.
    commit.after.later(() => {
      for (; this.#next < end; this.#next++) this.#left.delete(this.#running[this.#next]!.seq)
    })
  }

  /** This life has claimed the job. */
  forget(seq: number): void {
    this.#left.delete(seq)
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
