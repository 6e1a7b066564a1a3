/**
 * A rate limit: at most `max` starts within any span of `per`, exactly, over restarts, of a queue or of one of its keys.
 *
 * Every start within the window has an entry ('V'). A claim **reserves** one; it does not leave the window until it is
 * **noted** once the method runs, at that time. So the span between a start and the one that takes its place is never
 * shorter than `per`, however long a thread takes to get going and to load the module. What ends without having been
 * noted is noted at its end.
 *
 * An entry leaves once more than `per` has passed since its time: whole milliseconds are compared, and the times of two
 * starts may have lost a fraction each.
 */
import type { RateLimitRule } from '../core/config.ts'
import { instantOfStartKey, startKey, startRange, turnOfStartKey } from '../store/keys.ts'
import type { Transaction } from '../store/store.ts'

const reserved = Buffer.of(0)
const noted = Buffer.of(1)
/** Entries that leave a window in one commit: with these gone, as many may start. */
const goneMax = 1_000

/** What a window needs of the commit. */
export interface WindowScope {
  readonly transaction: Transaction
  readonly nowMs: number
}

export class StartWindow {
  readonly #commit: WindowScope
  readonly #queue: number
  readonly #group: number
  readonly #rule: RateLimitRule | null
  /** Entries of the window. */
  count: number

  /** @param group 0: of the queue as a whole @param count entries that the store holds */
  constructor(commit: WindowScope, queue: number, group: number, rule: RateLimitRule | null, count: number) {
    this.#commit = commit
    this.#queue = queue
    this.#group = group
    this.#rule = rule
    this.count = count
  }

  /** Starts that the limit allows now. */
  get free(): number {
    return this.#rule === null ? Number.POSITIVE_INFINITY : Math.max(this.#rule.max - this.count, 0)
  }

  /** When the next entry leaves; null: there is none, or it has to be noted first. */
  freeAtMs(): number | null {
    // Those of a limit that is no longer configured leave one piece after the other.
    if (this.#rule === null) return this.count > 0 ? this.#commit.nowMs + 1 : null
    for (const { key, value } of this.#entries()) {
      if (value.equals(noted)) return Math.min(instantOfStartKey(key), this.#commit.nowMs) + this.#rule.perMs + 1
    }
    return null
  }

  /** Takes out what has left the window. */
  prune(): void {
    if (this.count === 0) return
    const { nowMs, transaction } = this.#commit
    const gone: Buffer[] = []
    if (this.#rule === null) {
      for (const { key } of this.#entries()) if (gone.push(key) === goneMax) break
    } else {
      this.#bringBack()
      for (const { key, value } of this.#entries()) {
        if (instantOfStartKey(key) + this.#rule.perMs >= nowMs) break
        if (value.equals(noted) && gone.push(key) === goneMax) break
      }
    }
    for (const key of gone) transaction.remove(key)
    this.count -= gone.length
  }

  reserve(turn: number): void {
    if (this.#rule === null) return
    this.#commit.transaction.put(startKey(this.#queue, this.#group, this.#commit.nowMs, turn), reserved)
    this.count++
  }

  /** The start that was reserved at `reservedAtMs` happened at `atMs`. Once noted it stays as it is. */
  note(reservedAtMs: number, turn: number, atMs: number): void {
    const { transaction } = this.#commit
    const key = startKey(this.#queue, this.#group, reservedAtMs, turn)
    if (transaction.get(key)?.equals(reserved) !== true) return
    transaction.remove(key)
    transaction.put(startKey(this.#queue, this.#group, Math.max(atMs, reservedAtMs), turn), noted)
  }

  /** Starts that lie in the future, since the clock was set back, count as now: the limit never waits longer than `per`. */
  #bringBack(): void {
    const { nowMs, transaction } = this.#commit
    const { start, end } = startRange(this.#queue, this.#group)
    const from = startKey(this.#queue, this.#group, nowMs + 1, 0)
    for (const { key, value } of [...transaction.entries({ start: from.compare(start) < 0 ? start : from, end })]) {
      if (!value.equals(noted)) continue
      transaction.remove(key)
      transaction.put(startKey(this.#queue, this.#group, nowMs, turnOfStartKey(key)), noted)
    }
  }

  #entries(): Iterable<{ key: Buffer; value: Buffer }> {
    return this.#commit.transaction.entries(startRange(this.#queue, this.#group))
  }
}
