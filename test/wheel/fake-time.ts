import assert from 'node:assert/strict'
import type { Clock } from '../../runtime/core/clock.ts'
import type { Alarm } from '../../runtime/wheel/armed-timers.ts'

/** A clock and a Node timer of the test's. It takes one alarm at a time, as {@link ArmedTimers} promises to set. */
export class FakeTime {
  nowMs: number
  /** Every delay that was armed, in order. */
  readonly armedDelaysMs: number[] = []
  #armed: { action: () => void; atMs: number } | undefined

  constructor(nowMs = 0) {
    this.nowMs = nowMs
  }

  readonly clock: Clock = { wallMs: () => assert.fail('timers run on monotonic time'), monotonicMs: () => this.nowMs }

  readonly alarm: Alarm = (action, delayMs) => {
    assert.equal(this.#armed, undefined, 'two alarms at a time')
    assert.ok(Number.isInteger(delayMs) && delayMs >= 0 && delayMs <= 2 ** 30, `delay of ${delayMs} ms`)
    const alarm = { action, atMs: this.nowMs + delayMs }
    this.#armed = alarm
    this.armedDelaysMs.push(delayMs)
    return () => {
      if (this.#armed === alarm) this.#armed = undefined
    }
  }

  /** When the alarm goes off; undefined: none is armed. */
  get alarmAtMs(): number | undefined {
    return this.#armed?.atMs
  }

  /** Goes to `nowMs` and lets the alarm go off, whatever it was armed for: early or late. */
  ringAt(nowMs: number): void {
    assert.ok(this.#armed, 'no alarm is armed')
    this.nowMs = nowMs
    const { action } = this.#armed
    this.#armed = undefined
    action()
  }

  /** Lets time pass up to `untilMs`: each alarm on the way goes off at its moment. */
  runUntil(untilMs: number): void {
    while (this.#armed !== undefined && this.#armed.atMs <= untilMs) this.ringAt(Math.max(this.nowMs, this.#armed.atMs))
    this.nowMs = Math.max(this.nowMs, untilMs)
  }
}
