import { iso } from '../core/instant.ts'
import type { AttemptView, JobView } from '../core/job.ts'
import { instantMsMax } from '../core/limits.ts'
import type { PastAttempt } from '../store/records.ts'
import type { Reader } from '../store/store.ts'
import { parentIdsOf } from './dependencies.ts'
import { lastAttempt } from './history.ts'
import { documentOf } from './job-group.ts'
import { readJournal } from './journal-entries.ts'
import { signalViews, stepView } from './journal-view.ts'
import { isSuspended, type StoredJob } from './stored-job.ts'

const listedParentsMax = 100

/** A job as the protocol shows it, with what has records of its own. */
export function wholeJobView(reader: Reader, job: StoredJob, queue: string): JobView {
  const { dependencies, journal } = job.standing
  return {
    ...jobView(job, queue),
    ...(dependencies === null ? {} : { dependsOn: parentIdsOf(reader, job, listedParentsMax) }),
    ...(journal === null ? {} : { steps: readJournal(reader, job).map(stepView), signals: signalViews(reader, job) })
  }
}

/** A job as lists show it. */
export function jobView(job: StoredJob, queue: string): JobView {
  const { spec, standing } = job
  const { state, made, error, result } = standing
  const document = documentOf(spec)
  return {
    id: spec.id,
    method: spec.method,
    queue,
    state,
    jobName: spec.jobName,
    params: JSON.parse(spec.params),
    priority: spec.priority,
    attempts: { made, max: spec.attemptsMax },
    crashes: standing.crashes,
    timeoutMs: spec.timeoutMs,
    key: spec.rules?.key ?? null,
    keyConcurrency: spec.rules?.keyConcurrency ?? null,
    dependencies: standing.dependencies,
    expiresAt: isoOrNull(spec.rules?.expiresAtMs ?? null),
    enqueuedAt: iso(spec.enqueuedAtMs),
    runAt: isoOrNull(runAtMsOf(job)),
    startedAt: isoOrNull(standing.startedAtMs),
    finishedAt: isoOrNull(standing.finishedAtMs),
    progress: standing.progress,
    ...(state === 'completed' && result !== null ? { result: JSON.parse(result) } : {}),
    ...(error !== null && (state !== 'completed' || error.code === 'RECORD_DAMAGED') ? { error } : {}),
    logs: standing.logs,
    history: [...standing.history, ...lastAttempt(job)].map(attemptView),
    ...(document === undefined ? {} : { document })
  }
}

function runAtMsOf({ spec, standing }: StoredJob): number | null {
  if (isSuspended(standing) && standing.dueAtMs === instantMsMax) return null
  return standing.dueAtMs ?? spec.runAtMs
}

function isoOrNull(atMs: number | null): string | null {
  return atMs === null ? null : iso(atMs)
}

function attemptView({ attempt, startedAtMs, finishedAtMs, outcome, error }: PastAttempt): AttemptView {
  return {
    attempt,
    startedAt: iso(startedAtMs),
    finishedAt: iso(finishedAtMs),
    outcome,
    ...(error === null ? {} : { error })
  }
}
