import type { EventFilter, EventGap, EventStream, Following, JobEvent } from '../core/events.ts'
import { tooManySubscriptions } from './refusals.ts'

/** The params of the notification `event`. */
export type EventNotice =
  | { subscription: string; event: JobEvent; cursor: string }
  | { subscription: string; gap: EventGap; cursor: string }

export interface SubscriptionsParts {
  events: EventStream
  /** Subscriptions at a time. */
  max: number
  /** Whether the client reads what it is sent. When it does again, {@link Subscriptions.catchUp} is called. */
  ready: () => boolean
  notify: (notice: EventNotice) => void
}

interface Entry {
  following: Following
  /** Its answer has been sent, so that events may come. */
  answered: boolean
}

/** The event subscriptions of one connection, by an id that is unique on it. */
export class Subscriptions {
  readonly #parts: SubscriptionsParts
  readonly #entries = new Map<string, Entry>()
  #made = 0

  constructor(parts: SubscriptionsParts) {
    this.#parts = parts
  }

  /**
   * Nothing is notified before {@link Subscriptions.begin}, and nothing from now on is lost.
   *
   * @returns its id, and where it begins
   * @throws RuntimeError `TOO_MANY_REQUESTS`, `PARAMS_INVALID`: a cursor that is none
   */
  add(filter: EventFilter, cursor: string | undefined): { subscription: string; cursor: string } {
    const { events, max, ready, notify } = this.#parts
    if (this.#entries.size >= max) throw tooManySubscriptions(max)
    const subscription = String(this.#made + 1)
    const following = events.follow({
      filter,
      cursor,
      listener: (event, after) => notify({ subscription, event, cursor: after }),
      onGap: (gap, after) => notify({ subscription, gap, cursor: after }),
      ready: () => entry.answered && ready()
    })
    const entry: Entry = { following, answered: false }
    this.#made += 1
    this.#entries.set(subscription, entry)
    return { subscription, cursor: following.cursor }
  }

  /** Its answer has been sent. Does nothing if it has ended meanwhile. */
  begin(subscription: string): void {
    const entry = this.#entries.get(subscription)
    if (entry === undefined) return
    entry.answered = true
    entry.following.catchUp()
  }

  /** The client has read some of what it was sent. */
  catchUp(): void {
    for (const { following } of this.#entries.values()) following.catchUp()
  }

  /** @returns whether there was one */
  end(subscription: string): boolean {
    this.#entries.get(subscription)?.following.end()
    return this.#entries.delete(subscription)
  }

  endAll(): void {
    for (const subscription of this.#entries.keys()) this.end(subscription)
  }
}
