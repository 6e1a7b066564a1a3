/** The past attempts of a job. */
import { isFinished } from '../core/lifecycle.ts'
import { historyEntriesMax } from '../core/limits.ts'
import type { PastAttempt } from '../store/records.ts'
import type { StoredJob } from './stored-job.ts'

/** The attempt with which a finished job ended. Its history does not hold it: the standing says the same. */
export function lastAttempt({ standing }: StoredJob): PastAttempt[] {
  const { state, made, startedAtMs, finishedAtMs, error, history } = standing
  if (!isFinished(state) || made === 0 || startedAtMs === null || finishedAtMs === null) return []
  // It ended while it waited for its next attempt. A crashed attempt was not counted: another has its number.
  if (history.some(({ attempt, outcome }) => attempt === made && outcome !== 'crashed')) return []
  return [{ attempt: made, startedAtMs, finishedAtMs, outcome: state as PastAttempt['outcome'], error }]
}

/** The history of a job that is started again by hand. */
export function historyForRetry(job: StoredJob): PastAttempt[] {
  return bounded([...job.standing.history, ...lastAttempt(job)])
}

/** The history with the attempt that ends now, at `nowMs`. */
export function withAttempt(
  nowMs: number,
  { standing }: StoredJob,
  outcome: PastAttempt['outcome'],
  error: PastAttempt['error']
): PastAttempt[] {
  const { made, startedAtMs, history } = standing
  const attempt = { attempt: made, startedAtMs: startedAtMs!, finishedAtMs: nowMs, outcome, error }
  return bounded([...history, attempt])
}

function bounded(history: PastAttempt[]): PastAttempt[] {
  return history.slice(-historyEntriesMax)
}
