import type { EventFilter, EventListener, EventStream } from '../core/events.ts'
import { tooManySubscriptions } from './refusals.ts'

/** The event subscriptions of one connection, by an id that is unique on it. */
export class Subscriptions {
  readonly #events: EventStream
  readonly #max: number
  readonly #ends = new Map<string, () => void>()
  #made = 0

  constructor(events: EventStream, max: number) {
    this.#events = events
    this.#max = max
  }

  /**
   * @returns the id; the subscription is active
   * @throws RuntimeError `TOO_MANY_REQUESTS`
   */
  add(filter: EventFilter, listener: (subscription: string, ...event: Parameters<EventListener>) => void): string {
    if (this.#ends.size >= this.#max) throw tooManySubscriptions(this.#max)
    this.#made += 1
    const subscription = String(this.#made)
    this.#ends.set(
      subscription,
      this.#events.subscribe(filter, (event) => listener(subscription, event))
    )
    return subscription
  }

  /** @returns whether there was one */
  end(subscription: string): boolean {
    this.#ends.get(subscription)?.()
    return this.#ends.delete(subscription)
  }

  endAll(): void {
    for (const subscription of this.#ends.keys()) this.end(subscription)
  }
}
