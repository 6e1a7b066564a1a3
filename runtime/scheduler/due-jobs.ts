/**
 * Brings scheduled jobs to ready when they are due. They stay on disk in the order of their due times; all that is in the
 * wheel is one timer, for the first of them. The timer never waits longer than a minute, so that a wall clock that was set,
 * or a machine that slept, is noticed within that time.
 */
import type { Clock } from '../core/clock.ts'
import { RuntimeError } from '../core/errors.ts'
import type { Timers } from '../core/timers.ts'
import type { DurableQueue } from '../queue/durable-queue.ts'

const waitMsMax = 60_000
const retryWhenFullMs = 1_000

export class DueJobs {
  readonly #queue: DurableQueue
  readonly #timers: Timers
  readonly #clock: Clock
  #state: 'stopped' | 'open' = 'stopped'
  #armed: { atMs: number; cancel: () => void } | undefined
  #promotion: Promise<void> | undefined

  constructor(queue: DurableQueue, timers: Timers, clock: Clock) {
    this.#queue = queue
    this.#timers = timers
    this.#clock = clock
  }

  start(): void {
    this.#state = 'open'
    this.scheduled(this.#clock.wallMs())
  }

  /** A job is due at `atMs`, and perhaps none before it. */
  scheduled(atMs: number): void {
    if (this.#state === 'stopped' || this.#promotion !== undefined) return
    if (this.#armed !== undefined && this.#armed.atMs <= atMs) return
    this.#armed?.cancel()
    const waitMs = Math.min(Math.max(atMs - this.#clock.wallMs(), 0), waitMsMax)
    this.#armed = { atMs, cancel: this.#timers.after(waitMs, () => this.#promote()) }
  }

  async stop(): Promise<void> {
    this.#state = 'stopped'
    this.#armed?.cancel()
    await this.#promotion
  }

  #promote(): void {
    this.#armed = undefined
    this.#promotion = this.#promoteOnce().then((nextAtMs) => {
      this.#promotion = undefined
      if (nextAtMs !== null) this.scheduled(nextAtMs)
    })
  }

  /** @returns when to look again */
  async #promoteOnce(): Promise<number | null> {
    try {
      return await this.#queue.promoteDue(this.#clock.wallMs())
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error
      // A failed store ends the supervisor.
      return error.code === 'STORAGE_FULL' ? this.#clock.wallMs() + retryWhenFullMs : null
    }
  }
}
