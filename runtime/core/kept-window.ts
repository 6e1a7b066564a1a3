/**
 * The newest of a row of items, by their numbers: 1, 2, 3, … Bounded in number, age and bytes; what is too much goes from
 * the old end. The newest stays in any case, so whoever looks at every item as it is added misses none.
 *
 * A **position** is the number of the item that comes next. From a position of {@link KeptWindow.first} or more everything
 * that was added since can be read. Nothing here reads a clock or holds a timer: age is looked at when something is added.
 */
export interface KeptWindowBounds {
  itemsMax: number
  bytesMax: number
  ageMsMax: number
}

interface Entry<T> {
  item: T
  bytes: number
  addedAtMs: number
}

export class KeptWindow<T> {
  readonly #bounds: KeptWindowBounds
  readonly #entries = new Map<number, Entry<T>>()
  #first = 1
  #next = 1
  #bytes = 0

  constructor(bounds: KeptWindowBounds) {
    this.#bounds = bounds
  }

  /** Number of the oldest item that is kept; that of the next one while none is. */
  get first(): number {
    return this.#first
  }

  /** Number of the item that will be added next. */
  get next(): number {
    return this.#next
  }

  /** @param bytes about what it takes in memory */
  add(item: T, bytes: number, nowMs: number): void {
    this.dropOld(nowMs)
    const { itemsMax, bytesMax } = this.#bounds
    while (this.#entries.size > 0 && (this.#entries.size >= itemsMax || this.#bytes + bytes > bytesMax))
      this.#dropFirst()
    this.#entries.set(this.#next++, { item, bytes, addedAtMs: nowMs })
    this.#bytes += bytes
  }

  /** The item of that number, from {@link KeptWindow.first} to before {@link KeptWindow.next}. */
  get(number: number): T {
    return this.#entries.get(number)!.item
  }

  dropOld(nowMs: number): void {
    const addedSinceMs = nowMs - this.#bounds.ageMsMax
    while (this.#first < this.#next && this.#entries.get(this.#first)!.addedAtMs < addedSinceMs) this.#dropFirst()
  }

  /** Items will come that are not added: from no position of the past can all be read that comes after it. */
  interrupt(): void {
    this.#entries.clear()
    this.#bytes = 0
    this.#first = ++this.#next
  }

  #dropFirst(): void {
    this.#bytes -= this.#entries.get(this.#first)!.bytes
    this.#entries.delete(this.#first++)
  }
}
