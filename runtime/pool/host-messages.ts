/**
 * What a host process and the supervisor say to each other: lists of messages over the private channel that Node makes
 * between a parent and its child, all of one turn of the event loop in one list.
 *
 * The host says `ready` once. About a job it says what a {@link PoolListener} hears. `stuck`: a thread that was killed does
 * not end, so this process must.
 */
import type { JobLogLine } from '../core/job.ts'
import type { JobMessage, Outcome } from '../core/pool.ts'

/** The argument with which a host is started, as JSON. */
export interface HostOptions {
  queue: string
  threads: number
  memoryLimitMb: number | null
  /** Flags of Node for the threads; null: those of the host. */
  threadFlags: string[] | null
}

export type ToHost = { type: 'run'; job: JobMessage } | { type: 'kill'; id: string }

export type FromHost =
  | { type: 'ready' }
  | { type: 'started'; id: string }
  | { type: 'progress'; id: string; percent: number; stage: string | null }
  | { type: 'log'; id: string; line: JobLogLine }
  | { type: 'outcome'; id: string; outcome: Outcome }
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
