/**
 * What people type after a flag, turned into values. A value of the wrong form is refused here, before anything is sent,
 * so that the message names the flag; whether a value of the right form is acceptable decides the supervisor.
 */
import { InvalidArgumentError } from 'commander'
import { type Duration, durationToMs } from '../core/duration.ts'
import { instantToMs } from '../core/instant.ts'

const decimal = /^\d+(\.\d+)?$/
const whole = /^[+-]?\d+$/

/** `90` and `1.5` are seconds; `250ms`, `30s`, `5m`, `2h`, `3d` carry their unit. */
export function parseDuration(text: string): Duration {
  const duration = decimal.test(text) ? Number(text) : text
  if (durationToMs(duration) === undefined) {
    throw new InvalidArgumentError('Expected seconds, or a text with a unit such as 250ms, 30s, 5m, 2h.')
  }
  return duration
}

/** @returns ISO 8601 text as it was typed, or epoch milliseconds as a number. */
export function parseInstant(text: string): string | number {
  const instant = whole.test(text) ? Number(text) : text
  if (instantToMs(instant) === undefined) {
    throw new InvalidArgumentError('Expected an instant such as 2026-01-31T18:15:00Z, or epoch milliseconds.')
  }
  return instant
}

/** A duration from now, or an instant. A bare number is seconds. @returns what was typed, a number where it is one */
export function parseExpiry(text: string): Duration {
  const expiry = decimal.test(text) ? Number(text) : text
  if (durationToMs(expiry) === undefined && (typeof expiry === 'number' || instantToMs(expiry) === undefined)) {
    throw new InvalidArgumentError(
      'Expected seconds, a text such as 30s, 5m, 2h, or an instant such as 2026-01-31T18:15:00Z.'
    )
  }
  return expiry
}

/** An instant as {@link parseInstant}, or with a unit how long ago: `2h`. */
export function parsePast(text: string): string | number {
  const spanMs = durationToMs(text)
  return spanMs === undefined ? parseInstant(text) : Date.now() - spanMs
}

/** One value of a repeatable option after another. */
export function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text]
}

/** @returns a parser of whole numbers from `min` to `max`. */
export function integerBetween(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!whole.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`)
    }
    return value
  }
}

/** One `-p key=value` after another. */
export type Pair = readonly [key: string, value: unknown]

/**
 * `key=value` with the first `=` as the divider. The value is read as JSON where it is JSON, else it is text. A number
 * that would lose digits (`12345678901234567890`) stays text: an account number must arrive as it was typed.
 */
export function collectPair(text: string, before: readonly Pair[] = []): readonly Pair[] {
  const divider = text.indexOf('=')
  if (divider < 1) throw new InvalidArgumentError('Expected key=value.')
  return [...before, [text.slice(0, divider), jsonOrText(text.slice(divider + 1))]]
}

function jsonOrText(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'number' && losesDigits(value) ? text : value
  } catch {
    return text
  }
}

function losesDigits(value: number): boolean {
  return !Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))
}
