/**
 * What all clients together make the server hold: requests that have arrived in part, and answers that nobody reads. A
 * connection has bounds of its own, yet a thousand of them could still take all the memory there is. So beyond a bound for
 * all of them together, the one that holds the most has to let go of it.
 */
export interface Holder {
  letGo(): void
}

export class ClientMemory {
  readonly #bytesMax: number
  readonly #held = new Map<Holder, number>()
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Called whenever it may have changed. */
  holds(holder: Holder, bytes: number): void {
    const before = this.#held.get(holder) ?? 0
    if (bytes === before) return
    this.#bytes += bytes - before
    if (bytes === 0) this.#held.delete(holder)
    else this.#held.set(holder, bytes)
    while (this.#bytes > this.#bytesMax) this.#freeLargest()
  }

  #freeLargest(): void {
    const [largest] = [...this.#held].reduce((one, other) => (other[1] > one[1] ? other : one))
    this.holds(largest, 0)
    largest.letGo()
  }
}
