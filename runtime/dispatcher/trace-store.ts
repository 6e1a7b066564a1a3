/**
 * Stores what running jobs say, at a bounded rate, so that it survives the end of this process.
 *
 * The first change arms one timer; when it fires, the traces that have changed since are stored together, and the next
 * change arms it again. So a job is written at most once in {@link traceStoreIntervalMs}, and nothing is armed while no
 * job says anything. What a full disk refuses is tried again, at the same rate. The settle of a job stores its last trace,
 * so one that has ended is left out here; if it is asked for all the same, the queue changes nothing.
 */
import { RuntimeError } from '../core/errors.ts'
import { traceStoreIntervalMs } from '../core/limits.ts'
import type { Timers } from '../core/timers.ts'
import type { AttemptTrace, ClaimedJob } from '../queue/claimed-job.ts'
import type { DurableQueue } from '../queue/durable-queue.ts'

/** A job that runs, and what it has said so far. */
export interface Traced {
  readonly job: ClaimedJob
  readonly trace: AttemptTrace
}

export class TraceStore {
  readonly #queue: Pick<DurableQueue, 'storeTraces'>
  readonly #timers: Timers
  readonly #changed = new Set<Traced>()
  #cancelTimer: (() => void) | undefined

  constructor(queue: Pick<DurableQueue, 'storeTraces'>, timers: Timers) {
    this.#queue = queue
    this.#timers = timers
  }

  /** The job has said something. */
  changed(running: Traced): void {
    this.#changed.add(running)
    this.#cancelTimer ??= this.#timers.after(traceStoreIntervalMs, () => this.#store())
  }

  /** The job does not run any more. */
  ended(running: Traced): void {
    this.#changed.delete(running)
    if (this.#changed.size > 0) return
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  #store(): void {
    this.#cancelTimer = undefined
    const traces = [...this.#changed]
    this.#changed.clear()
    this.#queue.storeTraces(traces).catch((error: unknown) => {
      if (!(error instanceof RuntimeError)) throw error
      // After any other error nothing is stored any more.
      if (error.code === 'STORAGE_FULL') for (const running of traces) this.changed(running)
    })
  }
}
