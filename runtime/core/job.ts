import type { Backoff } from './backoff.ts'
import type { Duration } from './duration.ts'
import type { JobErrorCode } from './errors.ts'
import type { JobState } from './lifecycle.ts'

/** What JSON can say. Everything that crosses a thread, the socket or the disk is of this form. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }

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
  /** With `jobId`: return the job of that id while it is scheduled, ready or running, instead of refusing. */
  deduplicate?: boolean
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
}

export interface EnqueueRequest extends EnqueueOptions {
  /** Dotted path of the method, such as `reports.daily.run` (E2). */
  method: string
  /** What the method receives as its first argument (E10). Default `{}`. */
  params?: unknown
}

export interface EnqueueResult {
  id: string
  state: JobState
  /** True when `deduplicate` found the job already there. */
  deduplicated: boolean
  /** Only with `now` or `isAsync: false`: what the method returned. */
  result?: Json
  /** Only with `now` or `isAsync: false`: why the job failed. */
  error?: JobError
}

/** Why an attempt, or the job, failed. */
export interface JobError {
  code: JobErrorCode
  /** Class of what was thrown, such as `TypeError`. */
  name: string
  message: string
  stack?: string
  /** The `code` property of what was thrown, such as `ENOENT`. */
  thrownCode?: string | number
}

export interface JobLogLine {
  at: string
  level: 'debug' | 'info' | 'warn' | 'error'
  message: string
}

/** One attempt that ended. `interrupted`: the supervisor stopped or died under it. `crashed`: its host did. Neither is a failure. */
export interface AttemptView {
  attempt: number
  startedAt: string
  finishedAt: string
  outcome: 'completed' | 'failed' | 'cancelled' | 'interrupted' | 'crashed' | 'retryLater'
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
  enqueuedAt: string
  /** When it is or was due; null where it was to run at once. */
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
}

export interface JobFilter {
  queue?: string
  state?: JobState
  method?: string
  jobName?: string
  /** Jobs per page, 1 to 1000. Default 50. */
  limit?: number
  /** The `cursor` of the page before. */
  cursor?: string
}

/** Newest first. `cursor` is null on the last page. */
export interface JobPage {
  jobs: JobView[]
  cursor: string | null
}

export interface QueueView {
  queue: string
  paused: boolean
  /** False: jobs are stored under this name but the configuration no longer has it; they wait. */
  configured: boolean
  backgroundWorkers: number
  timeoutMs: number
  counts: Record<JobState, number>
}
