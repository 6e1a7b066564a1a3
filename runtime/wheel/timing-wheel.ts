/**
 * A hierarchical timing wheel: it keeps values until their time, is told the time and never reads it.
 * Model: tokio's `runtime/time/wheel`.
 *
 * Time is counted in ticks of 1 ms since the wheel was made. Nine levels of 64 slots read a tick as a number of nine
 * digits to base 64: 2^54 ticks, every whole number that a double holds, so nothing wraps and nothing is too far.
 *
 * - An entry lies at the level of the highest digit in which its tick differs from the present tick, in the slot of
 *   that digit; an entry that is due already lies in the present slot of level 0.
 * - So a slot of level 0 holds one tick; every entry of a level comes before every entry of the levels above; and in
 *   each level the occupied slots lie ahead of the present. The first occupied one of the bitmap is the next.
 * - Time moves from one occupied slot to the next. Level 0: its entries are due. Above: its entries are placed again,
 *   now at a lower level (a cascade). An entry moves eight times at most; empty slots cost nothing.
 * - A cascade keeps the order of a slot, and nothing is placed below a slot before its cascade: entries of the same
 *   time stay in the order of insertion.
 *
 * Fractions: a due time is rounded up and the told time down, so nothing is early.
 */

const slotsPerLevel = 64
const levels = 9
const ticksPerSlot = Array.from({ length: levels + 1 }, (_, level) => slotsPerLevel ** level)
const wordBits = 32
/** Ticks are split for the bit operators, which take 32 bits: five digits below, four above. */
const lowDigits = 5
const lowRange = slotsPerLevel ** lowDigits
/** Never reached: entries that lie further, such as those at Infinity, wait here for good. */
const lastTick = Number.MAX_SAFE_INTEGER
/** In place of a slot: no slot at all. */
const nowhere = -1

/** A value in the wheel; the handle to cancel it. */
export interface Entry<T> {
  readonly atMs: number
  readonly value: T
}

/** An entry is its own link in the list of its slot. Unlinked, it refers to no other: a kept handle keeps no more. */
interface Link<T> extends Entry<T> {
  /** Level × 64 + slot; {@link nowhere} once fired or cancelled. */
  slot: number
  previous: Link<T> | undefined
  next: Link<T> | undefined
}

/** Values waiting for their time, in memory only. All times are milliseconds of the one clock that the caller chose. */
export class TimingWheel<T> {
  readonly #originMs: number
  /** The present tick. */
  #tick = 0
  #size = 0
  readonly #heads = new Array<Link<T> | undefined>(levels * slotsPerLevel).fill(undefined)
  readonly #tails = new Array<Link<T> | undefined>(levels * slotsPerLevel).fill(undefined)
  /** One bit per slot, two words per level. */
  readonly #occupied = new Int32Array((levels * slotsPerLevel) / wordBits)

  /** @param nowMs the present, finite; everything earlier counts as past */
  constructor(nowMs: number) {
    if (!Number.isFinite(nowMs))
      throw new RangeError(`Cannot make a timing wheel at ${nowMs}: give it finite milliseconds`)
    this.#originMs = Math.floor(nowMs)
  }

  /** Entries that have neither fired nor been cancelled. */
  get size(): number {
    return this.#size
  }

  /**
   * Keeps `value` until `atMs`. O(1).
   *
   * @param atMs milliseconds, with fractions; in the past: due at the next {@link advance}; Infinity: never due
   * @returns the handle for {@link cancel}
   */
  insert(atMs: number, value: T): Entry<T> {
    if (Number.isNaN(atMs))
      throw new RangeError('Cannot insert into a timing wheel at NaN: give a time in milliseconds')
    const link: Link<T> = { atMs, value, slot: nowhere, previous: undefined, next: undefined }
    this.#place(link)
    this.#size++
    return link
  }

  /**
   * Removes an entry of this wheel. O(1).
   *
   * @returns false if it had fired or been cancelled already
   */
  cancel(entry: Entry<T>): boolean {
    const link = entry as Link<T>
    if (link.slot === nowhere) return false
    this.#unlink(link)
    this.#size--
    return true
  }

  /**
   * Moves the time on and takes out what became due.
   *
   * @param nowMs milliseconds, with fractions; time never goes backwards: an earlier one than before does nothing
   * @returns the values of all entries with `atMs` ≤ `nowMs` (rounded as the head of this file says) by `atMs`, those
   * of one `atMs` in the order of insertion. The array is the caller's.
   */
  advance(nowMs: number): T[] {
    const target = Math.min(Math.floor(nowMs) - this.#originMs, lastTick - 1)
    if (!(target >= this.#tick)) return []
    const due: Link<T>[] = []
    for (let slot = this.#firstSlot(); slot !== nowhere; slot = this.#firstSlot()) {
      const start = this.#startOf(slot)
      if (start > target) break
      this.#tick = start
      this.#drain(slot, due)
    }
    this.#tick = target
    this.#size -= due.length
    // Slots come in order of ticks; what shares a tick may differ in the fraction, or by how long it was due already.
    return due.sort((a, b) => a.atMs - b.atMs).map((link) => link.value)
  }

  /**
   * @returns the earliest moment at which {@link advance} has something to do, in whole milliseconds: perhaps only a
   * cascade, never later than the earliest entry (rounded up; the present where that is past). Going there again and
   * again reaches every entry. Undefined: the wheel is empty.
   */
  nextAtMs(): number | undefined {
    const slot = this.#firstSlot()
    return slot === nowhere ? undefined : this.#originMs + this.#startOf(slot)
  }

  #place(link: Link<T>): void {
    const tick = Math.min(Math.max(Math.ceil(link.atMs) - this.#originMs, this.#tick), lastTick)
    const level = highestDifferingDigit(tick, this.#tick)
    const slot = level * slotsPerLevel + digitOf(tick, level)
    const tail = this.#tails[slot]
    link.slot = slot
    link.previous = tail
    this.#tails[slot] = link
    if (tail === undefined) {
      this.#heads[slot] = link
      this.#occupied[wordOf(slot)]! |= bitOf(slot)
    } else {
      tail.next = link
    }
  }

  #unlink(link: Link<T>): void {
    const { slot, previous, next } = link
    if (previous === undefined) this.#heads[slot] = next
    else previous.next = next
    if (next === undefined) this.#tails[slot] = previous
    else next.previous = previous
    if (this.#heads[slot] === undefined) this.#occupied[wordOf(slot)]! &= ~bitOf(slot)
    detach(link)
  }

  /** Empties a slot that the time has reached: level 0 into `due`, the levels above into the levels below. */
  #drain(slot: number, due: Link<T>[]): void {
    let link = this.#heads[slot]
    this.#heads[slot] = undefined
    this.#tails[slot] = undefined
    this.#occupied[wordOf(slot)]! &= ~bitOf(slot)
    while (link !== undefined) {
      const next: Link<T> | undefined = link.next
      detach(link)
      if (slot < slotsPerLevel) due.push(link)
      else this.#place(link)
      link = next
    }
  }

  #firstSlot(): number {
    for (let word = 0; word < this.#occupied.length; word++) {
      const bits = this.#occupied[word]!
      if (bits !== 0) return word * wordBits + lowestBit(bits)
    }
    return nowhere
  }

  /** First tick of a slot, which lies in the present round of its level. */
  #startOf(slot: number): number {
    const level = Math.floor(slot / slotsPerLevel)
    const roundTicks = ticksPerSlot[level + 1]!
    return Math.floor(this.#tick / roundTicks) * roundTicks + (slot % slotsPerLevel) * ticksPerSlot[level]!
  }
}

function detach(link: Link<unknown>): void {
  link.slot = nowhere
  link.previous = undefined
  link.next = undefined
}

function highestDifferingDigit(a: number, b: number): number {
  const high = Math.floor(a / lowRange) ^ Math.floor(b / lowRange)
  return high === 0 ? highestDigit((a ^ b) & (lowRange - 1)) : lowDigits + highestDigit(high)
}

/** Place of the highest digit of a non-negative 32-bit number that is not zero; 0 where all are. */
function highestDigit(bits: number): number {
  return Math.floor((31 - Math.clz32(bits | 1)) / 6)
}

function digitOf(tick: number, level: number): number {
  return Math.floor(tick / ticksPerSlot[level]!) & (slotsPerLevel - 1)
}

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits)
}

function wordOf(slot: number): number {
  return slot >> 5
}

function bitOf(slot: number): number {
  return 1 << (slot & 31)
}
