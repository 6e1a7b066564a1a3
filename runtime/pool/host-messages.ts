/**
 * What a host process and the supervisor say to each other: lists of messages over the private channel that Node makes
 * between a parent and its child, all of one turn of the event loop in one list.
 *
 * The host says `ready` once. About a job it says what a {@link PoolListener} hears. `stuck`: threads that
 * were killed have left what only the end of this process removes, such as themselves.
 *
 * Each attempt has a number, `run`: what the host has said of a killed one may still be on its way when the job runs again.
 */
import type { JobLogLine } from '../core/job.ts'
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
  | { type: 'kill'; id: string }
  | { type: 'answer'; id: string; run: number; number: number; answer: JobAnswer }

export type FromHost =
  | { type: 'ready' }
  | { type: 'started'; id: string; run: number; agoMs: number }
  | { type: 'called'; id: string; run: number }
  | { type: 'progress'; id: string; run: number; percent: number; stage: string | null }
  | { type: 'log'; id: string; run: number; line: JobLogLine }
  /** `number`: of the question, given once in each host. */
  | { type: 'asked'; id: string; run: number; number: number; question: JobQuestion }
  | { type: 'outcome'; id: string; run: number; outcome: Outcome }
  | { type: 'stuck' }
  /** The jobs that run use more memory than they may, together; the host kills itself next. */
  | { type: 'outOfMemory'; message: string }

/** Collects the messages of one turn, and sends them together. */
export class Outbox<Message> {
  readonly #send: (messages: Message[]) => void
  #messages: Message[] = []

  constructor(send: (messages: Message[]) => void) {
    this.#send = send
  }

  post(message: Message): void {
    if (this.#messages.push(message) === 1) setImmediate(() => this.flush())
  }

  flush(): void {
    if (this.#messages.length === 0) return
    const messages = this.#messages
    this.#messages = []
    this.#send(messages)
  }
}
