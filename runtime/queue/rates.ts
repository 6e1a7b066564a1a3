/** How much a queue did within the last minute, for those who look. In memory: a new supervisor begins at zero. */

/** What happened in one commit, or in the last minute. */
export interface Moves {
  enqueued: number
  completed: number
  failed: number
}

const spanS = 60

/** One place per second of the span; a place is used again a span later. */
interface Second extends Moves {
  atS: number
}

export class Rates {
  readonly #queues = new Map<string, Second[]>()

  count(queue: string, moves: Moves, nowMs: number): void {
    const seconds = this.#queues.get(queue) ?? []
    this.#queues.set(queue, seconds)
    const atS = Math.floor(nowMs / 1000)
    let second = seconds[atS % spanS]
    if (second?.atS !== atS) {
      second = { atS, enqueued: 0, completed: 0, failed: 0 }
      seconds[atS % spanS] = second
    }
    second.enqueued += moves.enqueued
    second.completed += moves.completed
    second.failed += moves.failed
  }

  of(queue: string, nowMs: number): Moves {
    const sum = { enqueued: 0, completed: 0, failed: 0 }
    const nowS = Math.floor(nowMs / 1000)
    for (const second of this.#queues.get(queue) ?? []) {
      // What lies in the future was counted before the clock was set back.
      if (second === undefined || second.atS <= nowS - spanS || second.atS > nowS) continue
      sum.enqueued += second.enqueued
      sum.completed += second.completed
      sum.failed += second.failed
    }
    return sum
  }
}
