/**
 * The messages between the dispatcher and the threads. All of it is plain data, so that a channel between processes can
 * carry it as well as one between threads.
 */
import type { JobError, JobLogLine } from './job.ts'
import type { FinishedState } from './lifecycle.ts'

/** One attempt of one job, on its way to a thread. */
export interface JobMessage {
  id: string
  queue: string
  method: string
  /** Absolute path of the module that exports the method; from the catalogue, never a caller's text. */
  file: string
  /** JSON text. */
  params: string
  /** 1 for the first. */
  attempt: number
  attemptsMax: number
  timeoutMs: number
  /** How long before the deadline `ctx.signal` tells the job; null: never. */
  softTimeoutMs: number | null
  /** A host process ended under this job before: it runs in one of its own, so that blame is exact. */
  alone: boolean
  /** Its start counts against a rate limit: the pool tells when the method is called. */
  startIsCounted: boolean
  /** What has become of the jobs that it depends on; absent where it depends on none. */
  parents?: ParentOutcome[]
}

/** `result` is JSON text; absent where there is none, or where it is too large to be handed on. */
export interface ParentOutcome {
  id: string
  /** null: it has not finished, and the job runs because a user asked for it. */
  state: FinishedState | null
  result?: string
}

/** How an attempt ended by itself. */
export type Outcome =
  /** `result` is JSON text. */
  | { type: 'completed'; result: string }
  /** `final`: no further attempt, whatever is left (`Unrecoverable`). */
  | { type: 'failed'; error: JobError; final: boolean }
  /** The method threw `RetryLater`. */
  | { type: 'retryLater'; delayMs: number; message: string }
  /** The host process ended under the job. `alone`: no other job was in it, so this one is to blame. */
  | { type: 'crashed'; cause: CrashCause; alone: boolean }

/** Why a host process ended. */
export interface CrashCause {
  outOfMemory: boolean
  /** For people: signal or exit code, and the last lines of its standard error. */
  message: string
}

/** What a pool tells about the jobs it was given. After `outcome`, or after {@link Pool.kill}, it says nothing more about a job. */
export interface PoolListener {
  /** A thread has taken the job: its deadline runs from here. */
  started(id: string): void
  /** The method of a job whose start is counted is called now; its module is loaded. */
  called(id: string): void
  progress(id: string, percent: number, stage: string | null): void
  log(id: string, line: JobLogLine): void
  outcome(id: string, outcome: Outcome): void
}

/** The threads of one queue. */
export interface Pool {
  /** Starts what the queue wants kept warm. */
  start(): void
  /** Takes a job; the caller gives it no more at a time than the queue has threads. Starts threads where none are. */
  run(job: JobMessage): void
  /** Forgets the job at once (no outcome follows), kills its thread and replaces it. Unknown ids are ignored. */
  kill(id: string): void
  /** Jobs from now on run the code that actor files hold now; those that run go on with the old. */
  renew(): void
  /** Kills what still runs, and resolves when all threads have ended. Safe to call twice. */
  stop(): Promise<void>
}
