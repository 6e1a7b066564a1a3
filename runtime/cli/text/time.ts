/** Spans and instants for people, in the largest unit that fits: `3 s`, `5 min ago`, `in 2 h`. */

const secondMs = 1000
const minuteMs = 60 * secondMs
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

/** @param spanMs 0 or more */
export function formatSpan(spanMs: number): string {
  if (spanMs < secondMs) return `${Math.round(spanMs)} ms`
  if (spanMs < 2 * minuteMs) return `${Math.floor(spanMs / secondMs)} s`
  if (spanMs < 2 * hourMs) return `${Math.floor(spanMs / minuteMs)} min`
  if (spanMs < 2 * dayMs) return `${Math.floor(spanMs / hourMs)} h`
  return `${Math.floor(spanMs / dayMs)} d`
}

/** A limit rather than a measurement, so exactly: `300 s`, `1.5 s`, `250 ms`. */
export function formatLimit(limitMs: number): string {
  return limitMs < secondMs ? `${limitMs} ms` : `${limitMs / secondMs} s`
}

/** @param instant ISO 8601 */
export function formatRelative(instant: string, nowMs: number): string {
  const distanceMs = Date.parse(instant) - nowMs
  if (distanceMs > 0) return `in ${formatSpan(distanceMs)}`
  return distanceMs > -secondMs ? 'just now' : `${formatSpan(-distanceMs)} ago`
}

/** @param instant ISO 8601 */
export function formatInstant(instant: string, nowMs: number): string {
  return `${instant} (${formatRelative(instant, nowMs)})`
}
