/**
 * The messages between the dispatcher and the threads. All of it is plain data, so that a channel between processes can
 * carry it as well as one between threads.
 */
import type { JobError, JobLogLine } from './job.ts'

/** One attempt of one job, on its way to a thread. */
export interface JobMessage {
  id: string
  queue: string
  method: string
  /** JSON text. */
  params: string
  /** 1 for the first. */
  attempt: number
  attemptsMax: number
  timeoutMs: number
}

/** How an attempt ended by itself. */
export type Outcome =
  /** `result` is JSON text. */
  | { type: 'completed'; result: string }
  /** `final`: no further attempt, whatever is left (`Unrecoverable`). */
  | { type: 'failed'; error: JobError; final: boolean }
  /** The method threw `RetryLater`. */
  | { type: 'retryLater'; delayMs: number; message: string }

/** What a pool tells about the jobs it was given. After `outcome`, or after {@link Pool.kill}, it says nothing more about a job. */
export interface PoolListener {
  /** A thread has taken the job: its deadline runs from here. */
  started(id: string): void
  progress(id: string, percent: number, stage: string | null): void
  log(id: string, line: JobLogLine): void
  outcome(id: string, outcome: Outcome): void
}

/** The threads of one queue. */
export interface Pool {
  /** Takes a job; the caller gives it no more at a time than the queue has threads. Starts the threads on first use. */
  run(job: JobMessage): void
  /** Forgets the job at once (no outcome follows), kills its thread and replaces it. Unknown ids are ignored. */
  kill(id: string): void
  /** Kills what still runs, and resolves when all threads have ended. Safe to call twice. */
  stop(): Promise<void>
}
