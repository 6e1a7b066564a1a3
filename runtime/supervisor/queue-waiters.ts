/**
 * Callers who wait for a queue to be idle. Any commit may make it so, also one about jobs of another queue (a job that is
 * moved), so each of them has those looked at for which somebody waits. Costs nothing while nobody does.
 */
import type { QueueView } from '../core/job.ts'
import type { Waiter } from './waiters.ts'

export class QueueWaiters {
  readonly #isIdle: (queue: string) => boolean
  readonly #waiting = new Map<string, Set<Waiter<void>>>()
  #looksSoon = false

  /** @param isIdle whether the store says so now */
  constructor(isIdle: (queue: string) => boolean) {
    this.#isIdle = isIdle
  }

  /** @returns the function that gives up waiting */
  add(queue: string, waiter: Waiter<void>): () => void {
    const waiting = this.#waiting.get(queue) ?? new Set()
    waiting.add(waiter)
    this.#waiting.set(queue, waiting)
    return () => {
      waiting.delete(waiter)
      if (waiting.size === 0) this.#drop(queue, waiting)
    }
  }

  /** The supervisor ends: nobody will learn more. */
  stop(): void {
    for (const [queue, waiting] of [...this.#waiting]) {
      this.#drop(queue, waiting)
      for (const { stopped } of waiting) stopped()
    }
  }

  /** Jobs may have changed. */
  committed(): void {
    if (this.#looksSoon || this.#waiting.size === 0) return
    this.#looksSoon = true
    // Who waits learns of it after all others that the commit is told to.
    queueMicrotask(() => {
      this.#looksSoon = false
      this.#look()
    })
  }

  #look(): void {
    for (const [queue, waiting] of [...this.#waiting]) {
      if (!this.#isIdle(queue)) continue
      this.#drop(queue, waiting)
      for (const { finished } of waiting) finished()
    }
  }

  #drop(queue: string, waiting: Set<Waiter<void>>): void {
    if (this.#waiting.get(queue) !== waiting) return
    this.#waiting.delete(queue)
  }
}

/** No job of it is ready or running. */
export function isIdle({ counts }: QueueView): boolean {
  return counts.ready === 0 && counts.running === 0
}
