import { distance } from 'fastest-levenshtein'

/** @returns ` Did you mean "x"?` for the known name nearest to `name`, or an empty text when none is near. */
export function didYouMean(name: string, known: Iterable<string>): string {
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
