import type { DocumentId, ReminderRequest } from './document.ts'
import type { Duration } from './duration.ts'
import type { EnqueueOptions, EnqueueRequest, Json } from './job.ts'
import type { FinishedState } from './lifecycle.ts'

/** Writes a line to the log of the job. Arguments as for `console.log`. */
export type LogWriter = (...args: readonly unknown[]) => void

/** A job on which another depends. `state` null: it has not finished, and a user started the other by hand. */
export interface Parent {
  readonly id: string
  readonly state: FinishedState | null
  readonly result?: Json
}

/** Options of a job that a job enqueues. Its outcome cannot be waited for: that would hold a thread. */
export type ContextEnqueueOptions = Omit<EnqueueOptions, 'now' | 'isAsync'>

/** What the function of a step learns. */
export interface StepRun {
  /** 1 for the first. */
  readonly run: number
  /** The run before was cut in its middle: what it has done and what not is not known. */
  readonly wasCut: boolean
}

/**
 * What a method receives as its second argument: who it is, and how to tell about itself while it runs.
 * Source: contract, "Actors".
 */
export interface Context {
  /** Job id. */
  readonly id: string
  readonly queue: string
  /** Dotted path of the method. */
  readonly method: string
  /** 1 for the first. */
  readonly attempt: number
  /** Counted failures after which the job is failed. */
  readonly attemptsMax: number
  /** Epoch milliseconds at which the thread is killed. A wall clock reading: it is for decisions of the job, no more. */
  readonly deadlineAtMs: number
  /**
   * The jobs that this one depends on, in the order in which they were enqueued, the first 10,000. `result` is there where
   * one completed, and where it fits: 1 MiB each, 8 MiB together; a larger one is found with `job.get`.
   */
  readonly parents: readonly Parent[]
  /** The document whose method this is; null: of none. */
  readonly document: DocumentId | null
  /** Aborts `softTimeout` before the deadline, where one is set. The kill itself comes without warning. */
  readonly signal: AbortSignal
  /**
   * Tells how far the job is. Cheap to call in a loop: at most 20 messages a second leave the thread, and always the last.
   *
   * @param percent a finite number; below 0 counts as 0, above 100 as 100
   * @param stage what is being done, 255 characters at most
   * @throws TypeError where `percent` is no finite number or `stage` no text
   */
  progress(percent: number, stage?: string): void
  /**
   * The log of the job. One call is one line of 4,000 characters at most, formatted as `console.log` does. An attempt has
   * 200 lines; what follows is dropped, and a last line says so. Output to stdout and stderr arrives here too.
   */
  readonly log: {
    readonly debug: LogWriter
    readonly info: LogWriter
    readonly warn: LogWriter
    readonly error: LogWriter
  }

  /**
   * Enqueues a job if and only if this one completes, in the same commit; what speaks against it then (`METHOD_UNKNOWN`,
   * `QUEUE_FULL`, …) fails the attempt. With `enqueueAfterCommit: false` at once: the promise resolves when it is on disk, is
   * rejected with what speaks against it, and a later attempt does not enqueue it again (E8).
   *
   * @returns the id that the job has or will have; without a `jobId`, each attempt has another one, so keep none in a step
   */
  enqueue(method: string, params?: unknown, options?: ContextEnqueueOptions): Promise<{ id: string }>
  /** All of the jobs or none; as {@link Context.enqueue}. With `enqueueAfterCommit: false` each of them must say so. */
  enqueueMany(jobs: ContextEnqueueRequest[]): Promise<{ ids: string[] }>
  /** As {@link Context.enqueue}, of a method of a document (E11). */
  enqueueDoc(
    type: string,
    name: string,
    method: string,
    params?: unknown,
    options?: ContextEnqueueOptions
  ): Promise<{ id: string }>
  /**
   * Calls `fn` and keeps what it returned, on disk when this resolves. A later attempt of the job gets what is kept, and
   * `fn` is not called again. What `fn` throws is thrown on; a later attempt calls `fn` again, unless this one was suspended
   * behind it: then it throws the same, as an Error of that name and message. A call that a kill has cut in its middle is made
   * again; `fn` is told, and the job shows it. Calls of `step`, `sleep`, `waitFor` and `enqueue` at once must come in the same
   * order in each attempt: where they do not, the job fails with `StepsChanged`, and the method is left where it is. In `fn` no
   * other function of `ctx` that enqueues, steps, sleeps or waits may be called: a later attempt would miss it.
   *
   * @param name 1 to 255 characters, the same in each attempt
   */
  step<T>(name: string, fn: (run: StepRun) => T | Promise<T>): Promise<T>
  /**
   * Gives the thread back and goes on after this time, in a new attempt that finds what its steps have kept. The job is
   * scheduled meanwhile, and survives restarts. A document stays reserved for its job.
   */
  sleep(name: string, until: Duration | Date): Promise<void>
  /**
   * Gives the thread back and goes on once `job.signal` has sent a signal of this name, or had before.
   *
   * @returns the payload; undefined once `timeout` has passed without one
   */
  waitFor<T = Json>(name: string, options?: { timeout?: Duration }): Promise<T | undefined>
  /**
   * In a method of a document: asks for a call of one of its methods, once or again and again, from when this job completes.
   * One of the same name is replaced. Of those that were missed, one is made up for.
   */
  remind(name: string, reminder: ReminderRequest): void
  /** In a method of a document: as it completes, takes a reminder back. One that is not there is no error. */
  cancelReminder(name: string): void
  /** In a method of a document: as it completes, removes the document with its reminders, whatever `this.state` is. */
  removeDocument(): void
}

export type ContextEnqueueRequest = Omit<EnqueueRequest, 'now' | 'isAsync'>
