/**
 * The messages between the dispatcher and the threads. All of it is plain data, so that a channel between processes can
 * carry it as well as one between threads.
 */
import type { ReminderChange } from './document.ts'
import type { ErrorCode } from './errors.ts'
import type { EnqueueRequest, JobError, JobLogLine } from './job.ts'
import type { JournalEntry } from './journal.ts'
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
  /** Only of the method of a document. */
  document?: DocumentMessage
  /** What earlier attempts have kept, in order; absent where that is nothing. */
  journal?: JournalEntry[]
}

/** The document of a job, as it is when the job is claimed. */
export interface DocumentMessage {
  type: string
  name: string
  /** Of its state; null: there is no such document yet. */
  revision: number | null
  /** The revision that the state gets if this attempt changes it. Never given twice. */
  nextRevision: number
  /** Version of the class that wrote the state. */
  version: number
  /** JSON text. Absent of a large one: a thread that does not hold this revision asks for it; and where there is none. */
  state?: string
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
  | { type: 'completed'; result: string; effects?: Effects }
  /** `final`: no further attempt, whatever is left (`Unrecoverable`). */
  | { type: 'failed'; error: JobError; final: boolean }
  /** The method threw `RetryLater`. */
  | { type: 'retryLater'; delayMs: number; message: string }
  /**
   * It sleeps, or waits for signals: the entries of its journal with these indexes are open. `failed`: of steps that threw,
   * after which the method went on.
   */
  | { type: 'suspended'; entries: number[]; failed?: number[] }
  /** The host process ended under the job. `alone`: no other job was in it, so this one is to blame. */
  | { type: 'crashed'; cause: CrashCause; alone: boolean }
  /**
   * The pool gives it back, so that it is ready again as if it had not been claimed: no thread has begun it. `hostEnded`: or
   * perhaps one has, a moment before the end of its host; until it is known which of them was to blame, such jobs must not be
   * given to a pool that has no thread free for each.
   */
  | { type: 'givenBack'; hostEnded: boolean }

/** What a job that completes changes besides, in the same commit. */
export interface Effects {
  /** The new state as JSON text, with the version of its class; absent where it has not changed. */
  document?: { state: string; version: number } | 'removed'
  /** Each has a `jobId`. */
  jobs?: EnqueueRequest[]
  reminders?: ReminderChange[]
}

/**
 * What a running job asks of its supervisor, by name: the question, and the answer. What it changes is on disk when the answer
 * comes. Indexes are those of the job's journal.
 */
export interface JobQuestions {
  /** The state of its document, as claimed. */
  state(question: object): { state: string }
  /** The function of a step is called next. */
  beginStep(question: { index: number; name: string }): { run: number; wasCut: boolean }
  /** It returned `result` (JSON text), or threw `error`. */
  endStep(question: { index: number; result?: string; error?: JobError }): Record<string, never>
  sleep(question: { index: number; name: string } & Until): { isOver: boolean }
  /** `untilMs` null: it never gives up. */
  waitFor(
    question: { index: number; name: string } & (Until | { untilMs: null })
  ): { state: 'received'; payload: string } | { state: 'timedOut' } | { state: 'waiting' }
  /** At once, unless an earlier attempt has. */
  enqueue(question: { index: number; name: string; jobs: EnqueueRequest[] }): { ids: string[] }
}

/** An instant, or a time from now, which only the clock of the supervisor says: a job may have one of its own. */
export type Until = { untilMs: number } | { forMs: number }

export type JobQuestion = {
  [K in keyof JobQuestions]: { type: K } & Parameters<JobQuestions[K]>[0]
}[keyof JobQuestions]

export type JobAnswer =
  | { type: 'answered'; value: ReturnType<JobQuestions[keyof JobQuestions]> }
  | { type: 'refused'; code: ErrorCode; message: string; data: Record<string, unknown> }

/** Why a host process ended. */
export interface CrashCause {
  outOfMemory: boolean
  /** For people: signal or exit code, and the last lines of its standard error. */
  message: string
}

/** The end of a job in a pool. */
export interface Ended {
  id: string
  outcome: Outcome
}

/** What a pool tells about the jobs it was given. After its outcome, or after {@link Pool.kill}, it says nothing more about a job. */
export interface PoolListener {
  /**
   * A thread has taken the job `agoMs` ago: its deadline runs from then. Of a job that waited in the pool, or ends within some
   * milliseconds, this may not be told at all.
   */
  started(id: string, agoMs: number): void
  /** The method of a job whose start is counted is called now; its module is loaded. */
  called(id: string): void
  progress(id: string, percent: number, stage: string | null): void
  log(id: string, line: JobLogLine): void
  /** To be answered with {@link Pool.answer}, in any order. A pool gives no `number` twice, whatever the attempt. */
  asked(id: string, number: number, question: JobQuestion): void
  /** Of one job or of many that ended shortly after each other, in that order. */
  outcomes(ended: readonly Ended[]): void
}

/** The threads of one queue. */
export interface Pool {
  /** Starts what the queue wants kept warm, or what jobs will need that come soon. */
  start(): void
  /**
   * Takes jobs; starts threads where none are. Jobs for which no thread is free wait in the pool, in the order given, and run
   * as threads get free; one that has waited for some time is given back. Of jobs that must not wait there (those of
   * documents, with `alone` or with `startIsCounted`) the caller gives no more at a time than threads are free.
   */
  run(jobs: readonly JobMessage[]): void
  /** Answers a question of a job. An answer to an attempt that does not run any more is ignored. */
  answer(id: string, number: number, answer: JobAnswer): void
  /** Forgets the job at once (no outcome follows), kills its thread and replaces it. Unknown ids are ignored. */
  kill(id: string): void
  /** Jobs from now on run the code that actor files hold now; those that run go on with the old. */
  renew(): void
  /** Kills what still runs, and resolves when all threads have ended. Safe to call twice. */
  stop(): Promise<void>
}
