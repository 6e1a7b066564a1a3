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
  /** By number, modulo their bound, which is 1 at least. */
  readonly #ring: (Entry<T> | undefined)[] = []
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
    while (this.#first < this.#next && (this.#next - this.#first >= itemsMax || this.#bytes + bytes > bytesMax))
      this.#dropFirst()
    this.#ring[this.#next % this.#ringSize] = { item, bytes, addedAtMs: nowMs }
    this.#next += 1
    this.#bytes += bytes
  }

  /** The item of that number, from {@link KeptWindow.first} to before {@link KeptWindow.next}. */
  get(number: number): T {
    return this.#entry(number).item
  }

  dropOld(nowMs: number): void {
    const addedSinceMs = nowMs - this.#bounds.ageMsMax
    while (this.#first < this.#next && this.#entry(this.#first).addedAtMs < addedSinceMs) this.#dropFirst()
  }

  /** Items will come that are not added: from no position of the past can all be read that comes after it. */
  interrupt(): void {
    this.#ring.fill(undefined)
    this.#bytes = 0
    this.#first = ++this.#next
  }

  #dropFirst(): void {
    this.#bytes -= this.#entry(this.#first).bytes
    this.#ring[this.#first % this.#ringSize] = undefined
    this.#first += 1
  }

  #entry(number: number): Entry<T> {
    return this.#ring[number % this.#ringSize]!
  }

  get #ringSize(): number {
    return Math.max(this.#bounds.itemsMax, 1)
  }
}
