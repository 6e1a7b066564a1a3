/** What is to happen at which moment of monotonic time, in order; those of one moment in the order in which they came. */
export class Agenda {
  readonly #entries: { atMs: number; action: () => void }[] = []

  /** @returns takes it out again */
  add(atMs: number, action: () => void): () => void {
    const entry = { atMs, action }
    let at = this.#entries.length
    while (at > 0 && this.#entries[at - 1]!.atMs > atMs) at--
    this.#entries.splice(at, 0, entry)
    return () => {
      const found = this.#entries.indexOf(entry)
      if (found >= 0) this.#entries.splice(found, 1)
    }
  }

  get nextAtMs(): number | undefined {
    return this.#entries[0]?.atMs
  }

  takeNext(): () => void {
    return this.#entries.shift()!.action
  }

  clear(): void {
    this.#entries.length = 0
  }
}
