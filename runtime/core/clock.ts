/**
 * Two clocks. Wall time is what is stored and shown; it can jump. Monotonic time measures durations; it only grows.
 * Both in milliseconds, passed in wherever time matters so that tests and the simulation can own it.
 */
export interface Clock {
  /** Milliseconds since the epoch. */
  wallMs(): number
  /** Milliseconds since some fixed instant of this process, with fractions. */
  monotonicMs(): number
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now()
}
