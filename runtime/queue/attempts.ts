/** The end of an attempt: which arrow it takes out of running, and what it leaves in the history of the job. */
import { backoffDelayMs } from '../core/backoff.ts'
import { iso } from '../core/instant.ts'
import type { JobError } from '../core/job.ts'
import { crashesMax, instantMsMax } from '../core/limits.ts'
import type { Outcome } from '../core/pool.ts'
import type { Standing } from '../store/records.ts'
import type { AttemptTrace, ClaimedJob } from './claimed-job.ts'
import type { QueueCommit } from './commit.ts'
import { withAttempt } from './history.ts'
import { keepErrors, resumesAtMs } from './journal.ts'
import type { StoredJob } from './stored-job.ts'

/** How an attempt ended. `interrupted`: killed because the supervisor stops, or found running after it died. */
export type Ending = Outcome | { type: 'interrupted' }

/** How an attempt ended, and what it said. */
export interface AttemptEnd {
  job: ClaimedJob
  ending: Ending
  trace: AttemptTrace
}

/** @param random from 0 to 1, exclusive; for the jitter of the backoff */
export function endAttempt(commit: QueueCommit, job: StoredJob, ending: Ending, random: number): void {
  switch (ending.type) {
    case 'completed':
      commit.finish(job, 'complete', { result: ending.result, error: null })
      break
    case 'failed':
      endFailed(commit, job, ending, random)
      break
    case 'retryLater':
      runAgain(commit, job, ending.delayMs, { history: withAttempt(commit.nowMs, job, 'retryLater', null) })
      break
    case 'suspended':
      suspend(commit, job, ending)
      break
    case 'crashed':
      endCrashed(commit, job, ending, random)
      break
    case 'givenBack':
      giveBack(commit, job)
      break
    case 'interrupted':
      commit.move(job, 'interrupt', { history: withAttempt(commit.nowMs, job, 'interrupted', null) })
      commit.tell(job, 'interrupted')
  }
}

function endFailed(
  commit: QueueCommit,
  job: StoredJob,
  { error, final }: Extract<Ending, { type: 'failed' }>,
  random: number
): void {
  const failures = job.standing.failures + 1
  if (final || failures >= job.spec.attemptsMax || !mayTryAgain(job, error)) {
    commit.finish(job, 'fail', { failures, error })
    return
  }
  const history = withAttempt(commit.nowMs, job, 'failed', error)
  runAgain(commit, job, backoffDelayMs(job.spec.backoff, failures, random), { failures, error, history })
}

/** `retryOn` and `noRetryOn` name errors by code, by class, or by the `code` of what was thrown. */
function mayTryAgain({ spec: { rules } }: StoredJob, { code, name, thrownCode }: JobError): boolean {
  const names = [code, name, String(thrownCode ?? code)]
  const isIn = (list: readonly string[]) => names.some((each) => list.includes(each))
  if (rules?.noRetryOn !== undefined && isIn(rules.noRetryOn)) return false
  return rules?.retryOn === undefined || isIn(rules.retryOn)
}

/**
 * A crash is no failure: the attempt is not counted, and the job is ready again at once, to run in a host of its own. What
 * crashed alone is to blame: out of memory is its own error like any other, and after some crashes it is failed.
 */
function endCrashed(
  commit: QueueCommit,
  job: StoredJob,
  { cause, alone }: Extract<Ending, { type: 'crashed' }>,
  random: number
): void {
  if (alone && cause.outOfMemory) {
    const error: JobError = { code: 'OUT_OF_MEMORY', name: 'OutOfMemory', message: cause.message }
    endFailed(commit, job, { type: 'failed', error, final: false }, random)
    return
  }
  const crashes = job.standing.crashes + 1
  const error: JobError = { code: 'HOST_CRASHED', name: 'HostCrashed', message: cause.message }
  if (crashes >= crashesMax) {
    commit.finish(job, 'fail', { crashes, error })
    return
  }
  const history = withAttempt(commit.nowMs, job, 'crashed', error)
  commit.move(job, 'interrupt', { crashes, history, made: job.standing.made - 1 })
  commit.tell(job, 'interrupted', { error })
}

/** It is as it was before it was claimed: in its old place, and without a standing if it had none. */
function giveBack(commit: QueueCommit, job: StoredJob): void {
  const made = job.standing.made - 1
  const startedAtMs = job.standing.history.at(-1)?.startedAtMs ?? null
  commit.move(job, 'interrupt', { made, startedAtMs, startTurn: null })
  commit.tell(job, 'ready')
}

/** It is due when the first of what it waits for is over, at once where that has happened meanwhile. */
function suspend(
  commit: QueueCommit,
  job: StoredJob,
  { entries, failed = [] }: Extract<Ending, { type: 'suspended' }>
): void {
  keepErrors(commit, job, failed)
  const dueAtMs = resumesAtMs(commit, job, entries)
  commit.move(job, 'suspend', {
    dueAtMs,
    error: null,
    history: withAttempt(commit.nowMs, job, 'suspended', null)
  })
  commit.tell(job, 'suspended', dueAtMs === instantMsMax ? {} : { runAt: iso(dueAtMs) })
}

function runAgain(commit: QueueCommit, job: StoredJob, delayMs: number, changes: Partial<Standing>): void {
  const dueAtMs = commit.nowMs + delayMs
  commit.move(job, 'retryLater', { ...changes, dueAtMs })
  const { error } = job.standing
  commit.tell(job, 'retrying', { runAt: iso(dueAtMs), ...(error === null ? {} : { error }) })
}
