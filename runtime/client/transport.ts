import type { SubscribeOptions, Subscription } from '../core/api.ts'
import type { Duration } from '../core/duration.ts'
import type { EventFilter, EventListener } from '../core/events.ts'

/** What carries the calls of a a `Runtime`. Method names and params are those of PROTOCOL.md. */
export interface Transport {
  /** @throws RuntimeError, as the method says */
  call(method: string, params: unknown): Promise<unknown>
  subscribe(filter: EventFilter, listener: EventListener, options: SubscribeOptions): Promise<Subscription>
  /** Safe to call twice. */
  stop(options: { deadline?: Duration }): Promise<void>
}
