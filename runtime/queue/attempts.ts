/** The end of an attempt: which arrow it takes out of running, and what it leaves in the history of the job. */
import { backoffDelayMs } from '../core/backoff.ts'
import { iso } from '../core/instant.ts'
import type { JobError } from '../core/job.ts'
import { isFinished } from '../core/lifecycle.ts'
import { crashesMax, historyEntriesMax } from '../core/limits.ts'
import type { Outcome } from '../core/pool.ts'
import type { PastAttempt, Standing } from '../store/records.ts'
import type { QueueCommit } from './commit.ts'
import type { StoredJob } from './stored-job.ts'

/** How an attempt ended. `interrupted`: killed because the supervisor stops, or found running after it died. */
export type Ending = Outcome | { type: 'interrupted' }

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
      runAgain(commit, job, ending.delayMs, { history: withAttempt(commit, job, 'retryLater', null) })
      break
    case 'crashed':
      endCrashed(commit, job, ending, random)
      break
    case 'interrupted':
      commit.move(job, 'interrupt', { history: withAttempt(commit, job, 'interrupted', null) })
      commit.tell(job, 'interrupted')
  }
}

/** The attempt with which a finished job ended. Its history does not hold it: the standing says the same. */
export function lastAttempt({ standing }: StoredJob): PastAttempt[] {
  const { state, made, startedAtMs, finishedAtMs, error, history } = standing
  if (!isFinished(state) || made === 0 || startedAtMs === null || finishedAtMs === null) return []
  // It ended while it waited for its next attempt. The number of a crashed attempt is given again.
  if (history.some(({ attempt, outcome }) => attempt === made && outcome !== 'crashed')) return []
  return [{ attempt: made, startedAtMs, finishedAtMs, outcome: state as PastAttempt['outcome'], error }]
}

/** The history of a job that is started again by hand. */
export function historyForRetry(job: StoredJob): PastAttempt[] {
  return bounded([...job.standing.history, ...lastAttempt(job)])
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
  const history = withAttempt(commit, job, 'failed', error)
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
  const history = withAttempt(commit, job, 'crashed', error)
  commit.move(job, 'interrupt', { crashes, history, made: job.standing.made - 1 })
  commit.tell(job, 'interrupted', { error })
}

function runAgain(commit: QueueCommit, job: StoredJob, delayMs: number, changes: Partial<Standing>): void {
  const dueAtMs = commit.nowMs + delayMs
  commit.move(job, 'retryLater', { ...changes, dueAtMs })
  const { error } = job.standing
  commit.tell(job, 'retrying', { runAt: iso(dueAtMs), ...(error === null ? {} : { error }) })
}

function withAttempt(
  commit: QueueCommit,
  { standing }: StoredJob,
  outcome: PastAttempt['outcome'],
  error: PastAttempt['error']
): PastAttempt[] {
  const { made, startedAtMs, history } = standing
  const attempt = { attempt: made, startedAtMs: startedAtMs!, finishedAtMs: commit.nowMs, outcome, error }
  return bounded([...history, attempt])
}

function bounded(history: PastAttempt[]): PastAttempt[] {
  return history.slice(-historyEntriesMax)
}
