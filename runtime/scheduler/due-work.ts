/**
 * Work of the queue that falls due at instants which the store knows: bringing scheduled jobs to ready, and upkeep. What is
 * due when stays on disk; all that is in the wheel is one timer, for the first of it. The timer never waits longer than a
 * minute, so that a wall clock that was set, or a machine that slept, is noticed within that time.
 *
 * After all that was due is done it rests, some times as long as that took, a few milliseconds at most. Where work falls due every
 * millisecond a run each would do little but begin and end; so much of it shares one, and the others have the time.
 */
import type { Clock } from '../core/clock.ts'
import { RuntimeError } from '../core/errors.ts'
import { Rest } from '../core/rest.ts'
import type { Timers } from '../core/timers.ts'

const waitMsMax = 60_000
const retryWhenFullMs = 1_000
const restPerRun = 3
const restMsMax = 5

export class DueWork {
  readonly #run: (nowMs: number) => Promise<number | null>
  readonly #timers: Timers
  readonly #clock: Clock
  #state: 'stopped' | 'open' = 'stopped'
  #armed: { atMs: number; cancel: () => void } | undefined
  #running: Promise<void> | undefined
  readonly #rest: Rest

  /** @param run does what is due, or a piece of it; tells when there is more, null: not as things are */
  constructor(run: (nowMs: number) => Promise<number | null>, timers: Timers, clock: Clock) {
    this.#run = run
    this.#timers = timers
    this.#clock = clock
    this.#rest = new Rest(clock, restPerRun, restMsMax)
  }

  start(): void {
    this.#state = 'open'
    this.dueAt(this.#clock.wallMs())
  }

  /** Something is due at `atMs`, and perhaps nothing before it. */
  dueAt(atMs: number): void {
    if (this.#state === 'stopped' || this.#running !== undefined) return
    if (this.#armed !== undefined && this.#armed.atMs <= atMs) return
    this.#armed?.cancel()
    const waitMs = Math.min(Math.max(atMs - this.#clock.wallMs(), this.#rest.leftMs, 0), waitMsMax)
    this.#armed = { atMs, cancel: this.#timers.after(waitMs, () => this.#begin()) }
  }

  async stop(): Promise<void> {
    this.#state = 'stopped'
    this.#armed?.cancel()
    await this.#running
  }

  #begin(): void {
    this.#armed = undefined
    this.#running = this.#runOnce().then((nextAtMs) => {
      this.#running = undefined
      if (nextAtMs !== null) this.dueAt(nextAtMs)
    })
  }

  /** @returns when to run again */
  async #runOnce(): Promise<number | null> {
    const [beganMs, nowMs] = [this.#clock.monotonicMs(), this.#clock.wallMs()]
    try {
      const nextAtMs = await this.#run(nowMs)
      const isMoreDue = nextAtMs !== null && nextAtMs <= nowMs
      if (!isMoreDue) this.#rest.begin(beganMs)
      return nextAtMs
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error
      // A failed store ends the supervisor; what is damaged is being set aside.
      const passes = error.code === 'STORAGE_FULL' || error.code === 'DATA_DAMAGED'
      return passes ? this.#clock.wallMs() + retryWhenFullMs : null
    }
  }
}
