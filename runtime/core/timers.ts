/** Something to be done after a span of monotonic time. `wheel/` is the one implementation outside tests. */
export interface Timers {
  /**
   * Calls `action` once, never early.
   *
   * @param delayMs milliseconds, 0 or more, without upper bound
   * @returns the function that cancels it; safe to call at any time, also after it fired
   */
  after(delayMs: number, action: () => void): () => void
}
