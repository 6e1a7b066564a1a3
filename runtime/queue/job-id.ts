/**
 * Ids of jobs. One made by the store is its tag and the number of the job, `1x4k2p9-a7`, so that it needs no index. Ids chosen by
 * callers are looked up.
 */

export function makeId(tag: string, seq: number): string {
  return `${tag}-${seq.toString(36)}`
}

export function isMadeId(id: string, tag: string): boolean {
  return seqOfMadeId(id, tag) !== undefined
}

export function seqOfMadeId(id: string, tag: string): number | undefined {
  if (!id.startsWith(tag) || id[tag.length] !== '-') return undefined
  const seq = Number.parseInt(id.slice(tag.length + 1), 36)
  return Number.isSafeInteger(seq) && seq < 2 ** 48 && makeId(tag, seq) === id ? seq : undefined
}
