const charsMax = 60

/** A short form of any value for a message; safe for deep, cyclic and huge ones. */
export function preview(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(shortened(value, charsMax))
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value === 'object' && value !== null) return 'an object'
  if (typeof value === 'function') return 'a function'
  return String(value)
}

/** A name that a caller has sent, as it may stand in a message: whole, unless it is longer than any name. */
export function shortened(name: string, nameCharsMax: number): string {
  return name.length > nameCharsMax ? `${name.slice(0, nameCharsMax)}…` : name
}
