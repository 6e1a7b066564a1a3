/** Callers who wait for a job to finish. They are told how it did; undefined: it was removed before. */
import type { JobView } from '../core/job.ts'

/** One of its functions is called, once. */
export interface Waiter<Value> {
  finished(value: Value): void
  stopped(): void
}

export class Waiters {
  readonly #waiting = new Map<string, Set<Waiter<JobView | undefined>>>()

  /** @returns the function that gives up waiting */
  add(id: string, waiter: Waiter<JobView | undefined>): () => void {
    const waiting = this.#waiting.get(id) ?? new Set()
    waiting.add(waiter)
    this.#waiting.set(id, waiting)
    return () => {
      waiting.delete(waiter)
      if (waiting.size === 0 && this.#waiting.get(id) === waiting) this.#waiting.delete(id)
    }
  }

  isAwaited(id: string): boolean {
    return this.#waiting.has(id)
  }

  ended(id: string, job: JobView | undefined): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    for (const waiter of waiting ?? []) waiter.finished(job)
  }

  /** The supervisor ends: nobody will learn more. */
  stop(): void {
    const all = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const waiting of all) for (const waiter of waiting) waiter.stopped()
  }
}
