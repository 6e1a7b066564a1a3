/** Options whose value may be a date. */
const instantKeys = ['runAt', 'expires', 'since', 'until']

/** The protocol has no dates. A date that is none stays a text, which is then refused in words. */
export function withInstantTexts<Options extends object>(options: Options): Options {
  const values = options as Record<string, unknown>
  const dated = instantKeys.filter((key) => values[key] instanceof Date)
  return dated.length === 0
    ? options
    : { ...options, ...Object.fromEntries(dated.map((key) => [key, textOf(values[key] as Date)])) }
}

function textOf(date: Date): string {
  return Number.isNaN(date.getTime()) ? String(date) : date.toISOString()
}
