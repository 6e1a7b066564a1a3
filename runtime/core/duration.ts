import ms from 'ms'
import { durationMsMax } from './limits.ts'

/** A span of time as users write it: a number is seconds, a text has a unit (`"250ms"`, `"30s"`, `"5m"`, `"2h"`, `"3d"`). */
export type Duration = number | string

const withUnit = /^\d+(\.\d+)?\s*(ms|s|m|h|d|w)$/

/**
 * @returns milliseconds, or undefined where the text or number is no duration: negative, not finite, without a unit,
 * or longer than {@link durationMsMax}.
 */
export function durationToMs(duration: unknown): number | undefined {
  const spanMs = typeof duration === 'number' ? duration * 1000 : textToMs(duration)
  if (spanMs === undefined || !Number.isFinite(spanMs) || spanMs < 0 || spanMs > durationMsMax) return undefined
  return Math.round(spanMs)
}

function textToMs(text: unknown): number | undefined {
  if (typeof text !== 'string' || !withUnit.test(text.trim())) return undefined
  return ms(text.trim() as ms.StringValue)
}
