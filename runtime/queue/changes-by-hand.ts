/** What users ask of single jobs, by id or as part of a change of many; each inside a commit. */
import type { QueueConfig } from '../core/config.ts'
import { RuntimeError } from '../core/errors.ts'
import type { JobError } from '../core/job.ts'
import { isFinished } from '../core/lifecycle.ts'
import type { AttemptTrace } from './claimed-job.ts'
import type { QueueCommit } from './commit.ts'
import { historyForRetry } from './history.ts'
import { dropJournal } from './journal-entries.ts'
import { queueFull } from './refusals.ts'
import { type StoredJob, waitsForOthers } from './stored-job.ts'

/** @param traceOf what the attempt has said so far, if the job runs @returns false where it has finished */
export function cancelJob(commit: QueueCommit, job: StoredJob, traceOf: () => AttemptTrace | undefined): boolean {
  const { state } = job.standing
  if (isFinished(state)) return false
  const error: JobError = { code: 'CANCELLED', name: 'Cancelled', message: `The job was cancelled while ${state}.` }
  const trace = state === 'running' ? traceOf() : undefined
  if (state === 'running') commit.after.tellCancelled(job)
  commit.finish(job, 'cancel', { ...trace, error })
  return true
}

export function mayRetry({ standing }: StoredJob): boolean {
  const { state } = standing
  return state !== 'ready' && state !== 'running' && !waitsForOthers(standing)
}

/**
 * Who asks for it wants the job to run, also if it has expired. What its steps have done is not done again, unless it has
 * completed or gets other params: then it begins anew.
 *
 * @param payload in place of the params; undefined keeps them
 */
export function retryJob(commit: QueueCommit, job: StoredJob, payload: string | undefined): void {
  const { expiresAtMs, ...rules } = job.spec.rules ?? {}
  const spec = {
    ...(payload === undefined ? {} : { params: payload }),
    ...(expiresAtMs === undefined ? {} : { rules })
  }
  const beginsAnew = payload !== undefined || job.standing.state === 'completed'
  if (beginsAnew) dropJournal(commit, job)
  const again = {
    failures: 0,
    crashes: 0,
    dueAtMs: null,
    finishedAtMs: null,
    error: null,
    result: null,
    progress: null,
    logs: [],
    history: historyForRetry(job),
    ...(beginsAnew ? { journal: null } : {})
  }
  commit.move(job, 'retry', again, Object.keys(spec).length === 0 ? undefined : spec)
  commit.tell(job, 'ready')
}

/** @throws RuntimeError `QUEUE_UNKNOWN` */
export function requireTarget(queues: ReadonlyMap<string, QueueConfig>, name: string): QueueConfig {
  const config = queues.get(name)
  if (config !== undefined) return config
  throw new RuntimeError(
    'QUEUE_UNKNOWN',
    `Cannot move jobs to queue "${name}": it is not configured. Queues: ${[...queues.keys()].join(', ')}.`,
    { queue: name }
  )
}

/** How many more jobs may wait in a queue. */
export function roomIn(commit: QueueCommit, target: QueueConfig): number {
  if (target.maxQueued === null) return Number.POSITIVE_INFINITY
  const { ready, scheduled } = commit.counts(commit.numberOf(target.name))
  return target.maxQueued - ready - scheduled
}

/**
 * @returns false where the job is there already, or does not wait
 * @throws RuntimeError `QUEUE_FULL` where the job would have to be moved
 */
export function moveJob(commit: QueueCommit, job: StoredJob, target: QueueConfig, attempted: string): boolean {
  const number = commit.numberOf(target.name)
  const { state } = job.standing
  if (job.spec.queue === number || (state !== 'ready' && state !== 'scheduled')) return false
  if (roomIn(commit, target) <= 0) throw queueFull(target, attempted)
  commit.moveTo(job, number)
  return true
}
