/** Counts what was enqueued and what has completed, for systems that tell their own process of completions. */
export class Unfinished {
  #count = 0
  #isNone: (() => void) | undefined

  add(count: number): void {
    this.#count += count
  }

  finish(): void {
    this.#count -= 1
    if (this.#count === 0) this.#isNone?.()
  }

  async none(): Promise<void> {
    if (this.#count === 0) return
    await new Promise<void>((resolve) => {
      this.#isNone = resolve
    })
  }
}
