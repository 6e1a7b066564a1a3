/** @returns the value below which `share` of the values lie; NaN of none */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN
}

/** For tables: three digits after the point. */
export function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000
}
