import { type Duration, durationToMs } from './duration.ts'
import { instantMsMax } from './limits.ts'

const isoForm = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?)?$/i
const zoned = /(Z|[+-]\d{2}:?\d{2})$/i

/**
 * An instant as users write it: ISO 8601 text (UTC where it names no zone), epoch milliseconds, or a Date.
 *
 * @returns whole milliseconds since the epoch, or undefined where it is none or lies outside 1970 to 9999
 */
export function instantToMs(instant: unknown): number | undefined {
  const atMs = toMs(instant)
  if (atMs === undefined || !Number.isFinite(atMs) || atMs < 0 || atMs > instantMsMax) return undefined
  return Math.round(atMs)
}

function toMs(instant: unknown): number | undefined {
  if (typeof instant === 'number') return instant
  if (instant instanceof Date) return instant.getTime()
  if (typeof instant !== 'string' || !isoForm.test(instant.trim())) return undefined
  const text = instant.trim().replace(' ', 'T').replace(',', '.')
  const [year = 0, month = 0, day = 0] = text.slice(0, 10).split('-').map(Number)
  // Date.parse takes the 31st of February for the 3rd of March.
  if (day > new Date(Date.UTC(year, month, 0)).getUTCDate()) return undefined
  const hasTime = text.includes('T')
  return Date.parse(hasTime && !zoned.test(text) ? `${text}Z` : text)
}

/**
 * @param until a duration from now, or an instant as ISO 8601 text; of a form that the schemas accept
 * @returns whole milliseconds since the epoch
 */
export function untilToMs(until: Duration | Date, nowMs: number): number {
  const spanMs = durationToMs(until)
  return spanMs === undefined ? instantToMs(until)! : Math.min(nowMs + spanMs, instantMsMax)
}

/** What is told of one commit, and of jobs that are quick, is of the same instant. */
let last = { atMs: 0, text: new Date(0).toISOString() }

/** @returns ISO 8601 text in UTC, as every instant is shown. */
export function iso(atMs: number): string {
  if (atMs !== last.atMs) last = { atMs, text: new Date(atMs).toISOString() }
  return last.text
}
