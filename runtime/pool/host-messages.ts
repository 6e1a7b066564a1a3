/**
 * What a host process and the supervisor say to each other: lists of messages over the private channel that Node makes
 * between a parent and its child, all of one turn of the event loop in one list. The channel writes them as JSON.
 *
 * Each attempt has a number, its `run`: what the host has said of a killed one may still be on its way when the job runs
 * again. Of many jobs that are given together the first has the number that is told, the others those that follow.
 *
 * The host says `ready` once. About a run it says what a {@link PoolListener} hears. `stuck`: threads that
 * were killed have left what only the end of this process removes, such as themselves.
 *
 * Small plain jobs and their outcomes cross by the ten thousand per second, so both are columns: {@link PackedJobs}, and
 * `runs` beside `outcomes`, where the text of a result stands for `completed`, and null for `completed` with null.
 */
import type { JobLogLine } from '../core/job.ts'
import type { PackedJobs } from '../core/packed-jobs.ts'
import type { JobAnswer, JobMessage, JobQuestion, Outcome } from '../core/pool.ts'

/** The argument with which a host is started, as JSON. */
export interface HostOptions {
  queue: string
  threads: number
  memoryLimitMb: number | null
  /** Flags of Node for the threads; null: those of the host. */
  threadFlags: string[] | null
}

export type ToHost =
  | { type: 'run'; run: number; job: JobMessage }
  | { type: 'runMany'; run: number; jobs: PackedJobs }
  | { type: 'kill'; id: string }
  | { type: 'answer'; id: string; run: number; number: number; answer: JobAnswer }
  /** What no thread has begun. */
  | { type: 'giveBack' }
  /** Threads that may be busy at a time, of those that it has. */
  | { type: 'limit'; threads: number }

export type FromHost =
  | { type: 'ready' }
  | { type: 'started'; run: number; agoMs: number }
  | { type: 'called'; run: number }
  | { type: 'progress'; run: number; percent: number; stage: string | null }
  | { type: 'log'; run: number; line: JobLogLine }
  /** `number`: of the question, given once in each host. */
  | { type: 'asked'; run: number; number: number; question: JobQuestion }
  | { type: 'outcomes'; runs: number[]; outcomes: PackedOutcome[] }
  | { type: 'stuck' }
  /** The jobs that run use more memory than they may, together; the host kills itself next. */
  | { type: 'outOfMemory'; message: string }

export type PackedOutcome = string | null | Outcome

export function packOutcome(outcome: Outcome): PackedOutcome {
  if (outcome.type !== 'completed' || outcome.effects !== undefined) return outcome
  return outcome.result === 'null' ? null : outcome.result
}

export function unpackOutcome(packed: PackedOutcome): Outcome {
  if (packed === null) return { type: 'completed', result: 'null' }
  return typeof packed === 'string' ? { type: 'completed', result: packed } : packed
}

/** Collects messages, and sends them together. */
export class Outbox<Message> {
  readonly #send: (messages: Message[]) => void
  readonly #later: (flush: () => void) => unknown
  #messages: Message[] = []

  /** @param later `setImmediate`: those of one turn are sent together, `queueMicrotask`: those of one callback of the event loop */
  constructor(send: (messages: Message[]) => void, later: (flush: () => void) => unknown) {
    this.#send = send
    this.#later = later
  }

  post(message: Message): void {
    if (this.#messages.push(message) === 1) this.#later(() => this.#flush())
  }

  #flush(): void {
    if (this.#messages.length === 0) return
    const messages = this.#messages
    this.#messages = []
    this.#send(messages)
  }
}
