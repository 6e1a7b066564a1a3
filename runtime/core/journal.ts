/**
 * The journal of a job: what `ctx.step`, `ctx.sleep`, `ctx.waitFor` and `ctx.enqueue` at once have done, in the order in which
 * the method called them. A later attempt calls the method from its start; what is `done` here is not done again.
 */
import type { JobError } from './errors.ts'
import type { Json } from './json.ts'

export type JournalKind = 'step' | 'sleep' | 'signal' | 'enqueue'

/** One call. `open`: begun and not over; `timedOut`: the signal has not come in time. */
export interface JournalEntry {
  /** Number of the call, from 0. */
  index: number
  kind: JournalKind
  name: string
  /** `failed`: the step threw, the method went on, and the attempt was suspended: it throws that in later attempts too. */
  state: 'open' | 'done' | 'timedOut' | 'failed'
  /** JSON text: of a step what it returned, of a signal its payload, of an enqueue the ids. */
  result: string | null
  /** How often the function of a step was called. */
  runs: number
  /** How many of these calls were cut in their middle: neither did they return nor throw. */
  cuts: number
  startedAtMs: number
  finishedAtMs: number | null
  /** When a sleep is over, or a signal not waited for any longer; null: not by itself. */
  untilMs: number | null
  /** What the last call of a step threw. */
  error: JobError | null
  /**
   * Its place among the calls that are over, or have thrown: a later attempt gets their results in this order. Calls that
   * run beside each other so make those that follow in the same order, whichever was over first. null: not over.
   */
  order: number | null
}

/** An entry as it is shown. Instants are ISO 8601 texts. */
export interface StepView {
  name: string
  kind: JournalKind
  /** `running`: begun, or cut and not begun again. `failed`: it threw; the next attempt of a job that has failed calls it again. */
  state: 'running' | 'sleeping' | 'waiting' | 'done' | 'failed' | 'timedOut'
  runs: number
  cuts: number
  startedAt: string
  finishedAt: string | null
  until: string | null
  result?: Json
  error?: JobError
}
