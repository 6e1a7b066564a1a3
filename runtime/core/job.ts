import type { Backoff } from './backoff.ts'
import type { DocumentId } from './document.ts'
import type { Duration } from './duration.ts'
import type { JobError, JobErrorCode } from './errors.ts'
import type { StepView } from './journal.ts'
import type { Json } from './json.ts'
import type { JobState } from './lifecycle.ts'

export type { JobError, Json }

/** Options of one job. Every default is the queue's, then the one named here. */
export interface EnqueueOptions {
  /** `short`, `default`, `long`, or a queue of the configuration. Default `default` (E3, E12). */
  queue?: string
  /** Time one attempt may take, from the moment a thread takes the job. Default: the queue's (E4). */
  timeout?: Duration
  /** False: wait for the job; the answer carries its outcome (E5). Default true. */
  isAsync?: boolean
  /** True: as `isAsync: false`, before everything waiting (E6). Default false. */
  now?: boolean
  /** How long before the deadline `ctx.signal` aborts, so that the job can clean up. Default: the queue's, else never. */
  softTimeout?: Duration
  /** A label to search by, never an identity (E7). */
  jobName?: string
  /** The id to give to the job. Refused with `JOB_EXISTS` when in use. Default: made by the store. */
  jobId?: string
  /** With `jobId`: what to do when there is a job of that id already, instead of refusing. */
  deduplicate?: boolean | Deduplication
  /** Before everything waiting in the queue; several at front: the last one first (E9). */
  atFront?: boolean
  /** Whole number; larger runs first. Default 0. */
  priority?: number
  /** Not before this much time has passed. Excludes `runAt`. */
  delay?: Duration
  /** Not before this instant: ISO 8601 text, epoch milliseconds, or a Date. */
  runAt?: string | number | Date
  /** How often the job may be tried before it is failed. Default: the queue's, else 1. */
  attempts?: number
  /** How long to wait between attempts. Default: the queue's, else no wait. */
  backoff?: Backoff
  /**
   * Codes or names of errors: only these are tried again. An entry is compared with the `code`, `name` and `thrownCode` of
   * {@link JobError}. Default: the queue's, else every error.
   */
  retryOn?: string[]
  /** Codes or names of errors that are not tried again, whatever attempts are left. Default: the queue's, else none. */
  noRetryOn?: string[]
  /** Jobs of one queue that belong together, such as those of a tenant. Keys take turns; jobs without one count as one key. */
  key?: string
  /**
   * With `key`: starts only while fewer jobs of the key than this run. 1 also keeps strict order: a job that waits for its
   * next attempt holds back those behind it. Default: no bound.
   */
  keyConcurrency?: number
  /**
   * Not before these jobs have finished: ids, or in `enqueueMany` the indexes of other jobs of the same call, or `others`
   * for all of them. Their results are `ctx.parents`.
   */
  dependsOn?: (string | number)[] | 'others'
  /**
   * What happens to this job when one it depends on is failed or cancelled: it is failed, it is cancelled, or it runs all
   * the same once the others have finished. Default `fail`.
   */
  onParentFailure?: ParentFailureRule
  /** A job that is enqueued in the commit that completes this one. */
  onSuccess?: string | FollowUp
  /** A job that is enqueued in the commit that fails this one for good. */
  onFailure?: string | FollowUp
  /** Cancelled if not started by then: a duration from now, an ISO 8601 instant, or a Date. */
  expires?: Duration | Date
  /** How long the finished job is kept, by outcome, in place of the retention of the queue. */
  retention?: JobRetention
  /** As `retention.completed.age`: 0 keeps nothing of a completed job. */
  resultTtl?: Duration
  /** Name of a document of the type whose method this is (E11). Such jobs of one document run one at a time, in order. */
  document?: string
  /**
   * Of `ctx.enqueue`: true, the default there, enqueues if and only if the job that asks completes, in the same commit;
   * false at once, and not again on a later attempt (E8). Elsewhere it says nothing: see `Runtime.transaction`.
   */
  enqueueAfterCommit?: boolean
}

/**
 * - `for`: at most one job per this window, which begins with the enqueue that made the job; within it the job is the
 *   answer, whatever has become of it
 * - `debounce`: a job that has not started is replaced by the new request, and waits this long again
 * - `keepLast`: a job that waits is replaced by the new request; while one runs, one successor waits for its end, under
 *   the id `<jobId>~next`
 *
 * `true`: an unfinished job of the id is the answer. In every form a finished job makes room for the new one.
 */
export type Deduplication = { for: Duration } | { debounce: Duration } | { keepLast: true }

export type ParentFailureRule = 'fail' | 'cancel' | 'release'

/** A job that follows another. It receives `{...params, job}`, where `job` is a {@link FollowedJob}. */
export interface FollowUp
  extends Pick<
    EnqueueOptions,
    'queue' | 'timeout' | 'attempts' | 'backoff' | 'priority' | 'jobName' | 'delay' | 'document'
  > {
  method: string
  params?: { readonly [key: string]: Json }
}

/** What a follow-up learns of the job that it follows. */
export interface FollowedJob {
  id: string
  method: string
  state: JobState
  /** Absent where they are too large for the `params` of another job; `job.get` has them. */
  params?: Json
  result?: Json
  error?: JobError
}

/** How long a finished job is kept. */
export interface JobRetention {
  completed?: { age: Duration }
  failed?: { age: Duration }
  cancelled?: { age: Duration }
}

export interface EnqueueRequest extends EnqueueOptions {
  /** Dotted path of the method, such as `reports.daily.run` (E2). */
  method: string
  /** What the method receives as its first argument (E10). Default `{}`. */
  params?: unknown
}

/** @typeParam Result what the method returns, once JSON has carried it */
export interface EnqueueResult<Result = Json> {
  id: string
  state: JobState
  /** True when `deduplicate` found the job already there. */
  deduplicated: boolean
  /** Only with `now` or `isAsync: false`: what the method returned. */
  result?: Result
  /** Only with `now` or `isAsync: false`: why the job failed. */
  error?: JobError
}

export interface JobLogLine {
  at: string
  level: 'debug' | 'info' | 'warn' | 'error'
  message: string
}

/**
 * One attempt that ended. `interrupted`: the supervisor stopped or died under it, or its document was changed by hand;
 * `crashed`: its host did; `suspended`: it sleeps, or waits for a signal. None of these is a failure.
 */
export interface AttemptView {
  attempt: number
  startedAt: string
  finishedAt: string
  outcome: 'completed' | 'failed' | 'cancelled' | 'interrupted' | 'crashed' | 'retryLater' | 'suspended'
  error?: JobError
}

/** A job as it is shown. Instants are ISO 8601 texts in UTC. */
export interface JobView {
  id: string
  method: string
  queue: string
  state: JobState
  jobName: string | null
  params: Json
  priority: number
  /** `made`: attempts started. `max`: counted failures after which the job is failed. */
  attempts: { made: number; max: number }
  /** Ends of the host process under this job. */
  crashes: number
  timeoutMs: number
  key: string | null
  keyConcurrency: number | null
  /** Of the jobs that it depends on: how many there are, and how many have finished in which way. */
  dependencies: DependencyCounts | null
  /** Only from `job.get` and `job.wait`: ids of the jobs that it depends on, the first 100. */
  dependsOn?: string[]
  /** When it is cancelled unless it has started. */
  expiresAt: string | null
  enqueuedAt: string
  /** When it is or was due; null where it was to run at once, or waits for a signal without an end. */
  runAt: string | null
  startedAt: string | null
  finishedAt: string | null
  progress: { percent: number; stage: string | null } | null
  /** Only when completed. */
  result?: Json
  /** Of a failed or cancelled job, or of the last attempt of one that waits for its next. */
  error?: JobError
  logs: JobLogLine[]
  /** Past attempts, oldest first; the newest 20 are kept. */
  history: AttemptView[]
  /** Of the method of a document. */
  document?: DocumentId
  /** Only from `job.get` and `job.wait`: what `ctx.step` and its like have kept, in order. */
  steps?: StepView[]
  /** Only from `job.get` and `job.wait`: signals that no `ctx.waitFor` has taken yet. */
  signals?: { name: string; payload: Json; at: string }[]
}

export interface DependencyCounts {
  total: number
  completed: number
  failed: number
  cancelled: number
}

/** Which jobs; all conditions hold together. */
export interface JobSelection {
  queue?: string
  state?: JobState
  method?: string
  jobName?: string
  key?: string
  /** `error.code` of a failed or cancelled job. */
  errorCode?: JobErrorCode
  /** Finished, or if not finished enqueued, at this instant or later. */
  since?: string | number | Date
  /** Finished, or if not finished enqueued, before this instant. */
  until?: string | number | Date
  /** Text that the params hold, as JSON; letter case counts. */
  text?: string
}

export interface JobFilter extends JobSelection {
  /** Jobs per page, 1 to 1000. Default 50. */
  limit?: number
  /** The `cursor` of the page before. */
  cursor?: string
}

/** One step of a change of many jobs. */
export interface BulkRequest extends JobSelection {
  /** Jobs changed in this step, 1 to 1000. Default 1000. */
  limit?: number
  /** The `cursor` of the step before. */
  cursor?: string
}

/** `cursor`: for the next step; null: there is no further job to change. */
export interface BulkStep {
  changed: number
  cursor: string | null
}

/** Newest first. `cursor` is null on the last page; a page before it may hold fewer jobs than asked for, even none. */
export interface JobPage {
  jobs: JobView[]
  cursor: string | null
}

export interface QueueView {
  queue: string
  paused: boolean
  /** When the pause ends by itself; null where it does not. */
  pausedUntil: string | null
  /** False: jobs are stored under this name but the configuration no longer has it; they wait. */
  configured: boolean
  backgroundWorkers: number
  timeoutMs: number
  counts: Record<JobState, number>
  /** Jobs of the last minute. */
  rates: { enqueued: number; completed: number; failed: number }
}
