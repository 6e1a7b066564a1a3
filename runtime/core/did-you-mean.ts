import { createRequire } from 'node:module'
import type * as Levenshtein from 'fastest-levenshtein'

const require = createRequire(import.meta.url)

/** What is longer is not a slip of the pen, and comparing it takes time. */
const nameCharsMax = 255

/** @returns ` Did you mean "x"?` for the known name nearest to `name`, or an empty text when none is near. */
export function didYouMean(name: string, known: Iterable<string>): string {
  if (name.length > nameCharsMax) return ''
  const { distance } = require('fastest-levenshtein') as typeof Levenshtein
  const lowered = name.toLowerCase()
  let nearest: string | undefined
  let nearestDistance = Math.ceil(name.length * 0.4) + 1
  for (const candidate of known) {
    const edits = distance(lowered, candidate.toLowerCase())
    if (edits < nearestDistance) {
      nearest = candidate
      nearestDistance = edits
    }
  }
  return nearest === undefined ? '' : ` Did you mean "${nearest}"?`
}
