import type { Clock } from './clock.ts'

/** Work that comes in small pieces rests after each, some times as long as it took, so that more of it shares the next one. */
export class Rest {
  readonly #clock: Clock
  readonly #perRun: number
  readonly #msMax: number
  #untilMs = 0

  /** @param perRun times as long as a run took @param msMax but no longer than this */
  constructor(clock: Clock, perRun: number, msMax: number) {
    this.#clock = clock
    this.#perRun = perRun
    this.#msMax = msMax
  }

  /** A run that began then, of monotonic time, has just ended. */
  begin(beganMs: number): void {
    const nowMs = this.#clock.monotonicMs()
    this.#untilMs = nowMs + Math.min(this.#perRun * (nowMs - beganMs), this.#msMax)
  }

  /** Milliseconds; 0 or less: it is over. */
  get leftMs(): number {
    return this.#untilMs - this.#clock.monotonicMs()
  }
}
