/**
 * All entries of a store as they are at one moment, in memory. To look at every one of them again and again, as the checks of
 * whole stores do, takes a fraction of what it takes LMDB to hand them out.
 */
import type { Scan } from '../../runtime/store/engine.ts'
import type { Reader } from '../../runtime/store/store.ts'

export interface Entry {
  key: Buffer
  value: Buffer
  /** The key, a character for each byte: such texts are in the order of the bytes. */
  name: string
}

export class StoreSnapshot implements Reader {
  /** By the letter of their kind. */
  readonly kinds = new Map<string, Entry[]>()
  /** In the order of the keys. */
  readonly #entries: Entry[] = []
  readonly #byName = new Map<string, Entry>()

  constructor(reader: Reader) {
    for (const { key, value } of reader.entries({ start: Buffer.of(0), end: Buffer.of(0xff) })) {
      const entry = { key, value, name: nameOf(key) }
      const letter = entry.name[0]!
      const entries = this.kinds.get(letter)
      if (entries === undefined) this.kinds.set(letter, [entry])
      else entries.push(entry)
      this.#entries.push(entry)
      this.#byName.set(entry.name, entry)
    }
  }

  get(key: Buffer): Buffer | undefined {
    return this.#byName.get(nameOf(key))?.value
  }

  has(key: Buffer): boolean {
    return this.#byName.has(nameOf(key))
  }

  entries({ start, end, reverse = false, limit = Number.POSITIVE_INFINITY }: Scan): Iterable<Entry> {
    const [from, to] = [this.#at(nameOf(start)), this.#at(nameOf(end))]
    const count = Math.min(to - from, limit)
    if (count <= 0) return []
    return reverse ? this.#entries.slice(to - count, to).reverse() : this.#entries.slice(from, from + count)
  }

  *keys(scan: Scan): Iterable<Buffer> {
    for (const { key } of this.entries(scan)) yield key
  }

  /** Where the key is, or would be. */
  #at(name: string): number {
    let low = 0
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#entries[middle]!.name < name) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** @returns the key as {@link Entry.name} has it */
export function nameOf(key: Buffer): string {
  return key.toString('latin1')
}
