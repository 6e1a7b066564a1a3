/**
 * All timers of a supervisor on one Node timer: a timing wheel on monotonic time, and one `setTimeout` armed for the
 * moment at which the wheel has something to do next.
 *
 * - A Node timer may be up to a millisecond early, and late by any amount. When it fires, the wheel is told the clock
 *   and gives what is due by it; the rest is armed for again. So nothing is early. Monotonic time may stand still while
 *   the machine sleeps: who waits for an instant of the wall clock looks at that clock when called.
 * - It is armed anew only when an earlier entry arrives or after it fired. Cancelling leaves it; it may find nothing
 *   to do. With the last entry gone it is cleared, so a cancelled deadline holds no process.
 * - It is ref'ed, on purpose: an entry is something that this process promised (a due job, a retry, a deadline), and in
 *   an embedded runtime between two attempts nothing else need hold the event loop: idle threads are unref'ed, no
 *   socket is open. Unref'ed, a program that waits for such a job would end with the promise unsettled. Without entries
 *   and after `stop()` there is no Node timer, and the process may end.
 */
import { type Clock, systemClock } from '../core/clock.ts'
import type { Timers } from '../core/timers.ts'
import { TimingWheel } from './timing-wheel.ts'

/**
 * Calls `action` once, about `delayMs` from now (0 to 2^30, whole), early or late. The Node timer, or a test's.
 *
 * @returns the function that clears it
 */
export type Alarm = (action: () => void, delayMs: number) => () => void

/** Node fires at once beyond 2^31 − 1; a longer wait is taken in parts. */
const alarmDelayMsMax = 2 ** 30

const nodeAlarm: Alarm = (action, delayMs) => {
  const timeout = setTimeout(action, delayMs)
  return () => clearTimeout(timeout)
}

/** Cancelling takes the action out, also between coming due and being called. */
interface Timer {
  action: (() => void) | undefined
}

/**
 * The timers of one supervisor. Nothing is durable. While an action is to come the process stays alive; call
 * {@link ArmedTimers.stop} to let go.
 */
export class ArmedTimers implements Timers {
  readonly #clock: Clock
  readonly #alarm: Alarm
  readonly #wheel: TimingWheel<Timer>
  #state: 'running' | 'stopped' = 'running'
  /** The armed alarm and the moment it is for. */
  #armed: { atMs: number; clear: () => void } | undefined

  /**
   * @param clock of which only `monotonicMs` is read
   * @param alarm for tests; default: `setTimeout`
   */
  constructor(clock: Clock = systemClock, alarm: Alarm = nodeAlarm) {
    this.#clock = clock
    this.#alarm = alarm
    this.#wheel = new TimingWheel(clock.monotonicMs())
  }

  /**
   * Calls `action` once, never early and never before this returns; actions that are due together are called by time,
   * then in the order of their `after`. One that throws does not stop the others: its error is uncaught, after them.
   *
   * @param delayMs milliseconds, 0 or more, with fractions and without upper bound; Infinity: never
   * @returns the function that cancels it; safe to call at any time, also after it fired
   */
  after(delayMs: number, action: () => void): () => void {
    const nowMs = this.#clock.monotonicMs()
    const timer: Timer = { action }
    const entry = this.#wheel.insert(nowMs + delayMs, timer)
    this.#arm(nowMs)
    return () => {
      timer.action = undefined
      if (this.#wheel.cancel(entry) && this.#wheel.size === 0) this.#disarm()
    }
  }

  /** No action is called any more, also of those added later. Safe to call twice. */
  stop(): void {
    this.#state = 'stopped'
    this.#disarm()
  }

  #arm(nowMs: number): void {
    const nextAtMs = this.#wheel.nextAtMs()
    if (this.#state === 'stopped' || nextAtMs === undefined) return
    if (this.#armed !== undefined && this.#armed.atMs <= nextAtMs) return
    this.#disarm()
    const delayMs = Math.min(Math.max(Math.ceil(nextAtMs - nowMs), 0), alarmDelayMsMax)
    this.#armed = { atMs: Math.min(nextAtMs, nowMs + delayMs), clear: this.#alarm(() => this.#fire(), delayMs) }
  }

  #disarm(): void {
    this.#armed?.clear()
    this.#armed = undefined
  }

  #fire(): void {
    this.#armed = undefined
    for (const timer of this.#wheel.advance(this.#clock.monotonicMs())) {
      if (this.#state === 'running') call(timer)
    }
    this.#arm(this.#clock.monotonicMs())
  }
}

function call(timer: Timer): void {
  const action = timer.action
  timer.action = undefined
  try {
    action?.()
  } catch (error) {
    process.nextTick(() => {
      throw error
    })
  }
}
