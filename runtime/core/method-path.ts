/**
 * Method paths: `reports.daily.run` is the export `run` of `reports/daily.js` below an actors folder (seed row E2).
 * All segments but the last name the file, the last names the export.
 */
import { methodPathCharsMax } from './limits.ts'

const segment = /^[A-Za-z_$][A-Za-z0-9_$-]*$/

/** @returns whether `text` has the form of a method path: two segments or more, each of the grammar. */
export function isMethodPath(text: string): boolean {
  if (text.length > methodPathCharsMax) return false
  const segments = text.split('.')
  return segments.length >= 2 && segments.every((part) => segment.test(part))
}

/** @returns whether `name` can be a segment, so whether a file or folder of that name can hold methods. */
export function isPathSegment(name: string): boolean {
  return segment.test(name)
}
