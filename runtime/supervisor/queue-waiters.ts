/**
 * Callers who wait for a queue to be idle. Costs nothing while nobody waits.
 *
 * Whatever happens to a job may make a queue idle, also a queue other than the one that the event names (a job that is
 * moved), so any event but talk makes it look again: once for all events of a commit.
 */
import { type EventStream, jobEventTypes } from '../core/events.ts'
import type { Waiter } from './waiters.ts'

const types = jobEventTypes.filter((type) => type !== 'progress' && type !== 'log' && type !== 'started')

export class QueueWaiters {
  readonly #events: EventStream
  readonly #isIdle: (queue: string) => boolean
  readonly #waiting = new Map<string, Set<Waiter<void>>>()
  #unsubscribe: (() => void) | undefined
  #looksSoon = false

  /** @param isIdle whether the store says so now */
  constructor(events: EventStream, isIdle: (queue: string) => boolean) {
    this.#events = events
    this.#isIdle = isIdle
  }

  /** @returns the function that gives up waiting */
  add(queue: string, waiter: Waiter<void>): () => void {
    const waiting = this.#waiting.get(queue) ?? new Set()
    waiting.add(waiter)
    this.#waiting.set(queue, waiting)
    this.#unsubscribe ??= this.#events.subscribe({ types }, () => this.#lookSoon())
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

  #lookSoon(): void {
    if (this.#looksSoon) return
    this.#looksSoon = true
    // The events of one commit are told one after the other.
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
    if (this.#waiting.size > 0) return
    this.#unsubscribe?.()
    this.#unsubscribe = undefined
  }
}
