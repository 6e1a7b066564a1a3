import type { Json } from './job.ts'
import type { FinishedState } from './lifecycle.ts'

/** Writes a line to the log of the job. Arguments as for `console.log`. */
export type LogWriter = (...args: readonly unknown[]) => void

/** A job on which another depends. `state` null: it has not finished, and a user started the other by hand. */
export interface Parent {
  readonly id: string
  readonly state: FinishedState | null
  readonly result?: Json
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
}
