import type { JobLogLine } from '../core/job.ts'
import type { JobMessage } from '../core/pool.ts'
import { type Standing, standingOfClaimed } from '../store/records.ts'
import type { RunningClaims } from './running-claims.ts'
import type { StoredJob } from './stored-job.ts'

/** For how many jobs a claim has room. */
export interface ClaimRoom {
  /** Those that may be any jobs. */
  threads: number
  /** All of them; beyond `threads` only simple ones. */
  jobs: number
}

/** A job that is now running; `seq` and `attempt` name this attempt when it is settled. */
export interface ClaimedJob extends Omit<JobMessage, 'file'> {
  seq: number
}

/**
 * A job that an entry of its claim holds, with what was read of it: while it is held there, nothing has become of it, and
 * what was asked for never changes while a job runs. A copy of it, as goes to a thread, holds no more than its fields.
 */
export class HeldJob implements ClaimedJob {
  readonly seq: number
  readonly id: string
  readonly queue: string
  readonly method: string
  readonly params: string
  readonly attempt = 1
  readonly attemptsMax: number
  readonly timeoutMs: number
  readonly softTimeoutMs: number | null
  readonly alone = false
  readonly startIsCounted = false
  readonly #job: StoredJob
  readonly #claim: number

  constructor(job: StoredJob, claim: number, queue: string) {
    const { id, method, params, attemptsMax, timeoutMs, softTimeoutMs } = job.spec
    this.seq = job.seq
    this.id = id
    this.queue = queue
    this.method = method
    this.params = params
    this.attemptsMax = attemptsMax
    this.timeoutMs = timeoutMs
    this.softTimeoutMs = softTimeoutMs
    this.#job = job
    this.#claim = claim
  }

  /** @returns the job, while its claim holds it */
  static jobOf(claimed: ClaimedJob, claims: RunningClaims): StoredJob | undefined {
    if (!(#job in claimed)) return undefined
    const { seq, spec, specBytes } = claimed.#job
    const claim = claimed.#claim
    const startedAtMs = claims.startOf(claim, seq)
    if (startedAtMs === undefined) return undefined
    return { seq, spec, specBytes, standing: standingOfClaimed(spec, startedAtMs), claim, isShared: false }
  }
}

/** What an attempt said while it ran. */
export interface AttemptTrace {
  progress: Standing['progress']
  logs: JobLogLine[]
}
