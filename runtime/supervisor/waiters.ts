/** Callers who wait for a job to finish. Costs nothing while nobody waits. */
import type { EventStream, JobEvent } from '../core/events.ts'

/** One of its functions is called, once. */
export interface Waiter {
  /** The job has finished, or was removed. */
  finished(): void
  stopped(): void
}

export class Waiters {
  readonly #events: EventStream
  readonly #waiting = new Map<string, Set<Waiter>>()
  #unsubscribe: (() => void) | undefined

  constructor(events: EventStream) {
    this.#events = events
  }

  /** @returns the function that gives up waiting */
  add(id: string, waiter: Waiter): () => void {
    const waiting = this.#waiting.get(id) ?? new Set()
    waiting.add(waiter)
    this.#waiting.set(id, waiting)
    this.#unsubscribe ??= this.#events.subscribe({ types: ['completed', 'failed', 'cancelled', 'removed'] }, (event) =>
      this.#wake(event)
    )
    return () => {
      waiting.delete(waiter)
      if (waiting.size === 0) this.#drop(id, waiting)
    }
  }

  /** The supervisor ends: nobody will learn more. */
  stop(): void {
    for (const [id, waiting] of [...this.#waiting]) {
      this.#drop(id, waiting)
      for (const { stopped } of waiting) stopped()
    }
  }

  #wake({ job }: JobEvent): void {
    const waiting = this.#waiting.get(job)
    if (waiting === undefined) return
    this.#drop(job, waiting)
    for (const { finished } of waiting) finished()
  }

  #drop(id: string, waiting: Set<Waiter>): void {
    if (this.#waiting.get(id) !== waiting) return
    this.#waiting.delete(id)
    if (this.#waiting.size > 0) return
    this.#unsubscribe?.()
    this.#unsubscribe = undefined
  }
}
