/** Options whose value may be a date. */
const instantKeys = new Set(['runAt', 'expires', 'since', 'until'])

/** The protocol has no dates. A date that is none stays a text, which is then refused in words. */
export function withInstantTexts<Options extends object>(options: Options): Options {
  const isDate = ([key, value]: [string, unknown]) => instantKeys.has(key) && value instanceof Date
  const dates = Object.entries(options).filter(isDate) as [string, Date][]
  if (dates.length === 0) return options
  const texts = dates.map(([key, date]) => [key, Number.isNaN(date.getTime()) ? String(date) : date.toISOString()])
  return { ...options, ...Object.fromEntries(texts) }
}
