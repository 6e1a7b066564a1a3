/**
 * How long the server works for its clients before the rest of the process goes on: commits, timers, outcomes of jobs. A
 * turn is shared by all connections. One that has work left when it is over goes on in a later turn, in the order in which
 * they asked, so whoever sends a great deal at once delays the others by a turn and not by all of it. It also bounds how
 * many results wait in memory to become answers.
 */
export class Turns {
  readonly #turnMsMax: number
  #endsAtMs: number | undefined
  #waiting: (() => void)[] = []

  constructor(turnMsMax: number) {
    this.#turnMsMax = turnMsMax
  }

  /** The first look begins a turn. */
  get isOver(): boolean {
    const nowMs = performance.now()
    if (this.#endsAtMs === undefined) {
      this.#endsAtMs = nowMs + this.#turnMsMax
      setImmediate(() => this.#end())
    }
    return nowMs >= this.#endsAtMs
  }

  /** Calls `work` in a later turn. To be asked for in one that is over. */
  later(work: () => void): void {
    this.#waiting.push(work)
  }

  #end(): void {
    this.#endsAtMs = undefined
    const waiting = this.#waiting
    this.#waiting = []
    let next = 0
    while (next < waiting.length && !this.isOver) waiting[next++]!()
    if (next < waiting.length) this.#waiting = [...waiting.slice(next), ...this.#waiting]
  }
}
