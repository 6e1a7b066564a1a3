/**
 * The timing wheel against a plain list: whatever is inserted, cancelled and advanced, both give the same values in the
 * same order. Times gather around powers of 64, where the digits of the wheel carry.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type Entry, TimingWheel } from '../../runtime/wheel/timing-wheel.ts'

const yearMs = 365.25 * 24 * 3600 * 1000

/** What the wheel promises, in the plainest form. */
class SortedList {
  #nowMs: number
  pending: { atMs: number; value: number }[] = []

  constructor(nowMs: number) {
    this.#nowMs = Math.floor(nowMs)
  }

  insert(atMs: number, value: number): void {
    this.pending.push({ atMs, value })
  }

  cancel(value: number): boolean {
    const before = this.pending.length
    this.pending = this.pending.filter((entry) => entry.value !== value)
    return this.pending.length < before
  }

  advance(nowMs: number): number[] {
    if (Math.floor(nowMs) < this.#nowMs) return []
    this.#nowMs = Math.floor(nowMs)
    const due = this.pending.filter((entry) => Math.ceil(entry.atMs) <= this.#nowMs)
    this.pending = this.pending.filter((entry) => !due.includes(entry))
    return due.sort((a, b) => a.atMs - b.atMs || a.value - b.value).map((entry) => entry.value)
  }

  /** The latest moment that `nextAtMs` may name. */
  earliestMs(): number | undefined {
    if (this.pending.length === 0) return undefined
    return Math.max(this.#nowMs, Math.min(...this.pending.map((entry) => Math.ceil(entry.atMs))))
  }

  get nowMs(): number {
    return this.#nowMs
  }
}

const fraction = fc.constantFrom(0, 0, 0.001, 0.25, 0.5, 0.75, 0.999)
const wholeSpan = fc.oneof(
  fc.integer({ min: 0, max: 4 }),
  fc.integer({ min: 0, max: 5_000 }),
  fc
    .tuple(fc.integer({ min: 0, max: 7 }), fc.integer({ min: 1, max: 65 }), fc.integer({ min: -2, max: 2 }))
    .map(([level, digits, off]) => Math.max(0, 64 ** level * digits + off)),
  fc.integer({ min: 0, max: Math.floor(1_000 * yearMs) })
)
const span = fc.tuple(wholeSpan, fraction).map(([whole, part]) => whole + part)
const start = fc.oneof(
  fc.constant(0),
  fc.constantFrom(1.75, -5.5, 64 ** 4 - 1, 64 ** 5 - 0.5, 1_700_000_000_000),
  fc.integer({ min: 0, max: 100_000 })
)
/** `past` and `back` are distances into the past; `nth` picks among all entries ever inserted. */
const command = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('insert' as const), delayMs: span }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('insert' as const), delayMs: span.map((past) => -past) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cancel' as const), nth: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('advance' as const), byMs: span }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('advance' as const), byMs: span.map((back) => -back) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('advanceToNext' as const) }) }
)
/** Few distinct delays, so that many entries share a time though they are inserted at different ones. */
const meetings = fc.array(fc.tuple(fc.constantFrom(1, 63, 64, 4096, 64 ** 3), fc.integer({ min: 0, max: 70 })), {
  minLength: 1,
  maxLength: 60,
  size: 'max'
})

describe('timing wheel', () => {
  it('does what a sorted list does', () => {
    fc.assert(
      fc.property(start, fc.array(command, { maxLength: 80, size: 'max' }), (startMs, commands) => {
        const wheel = new TimingWheel<number>(startMs)
        const model = new SortedList(startMs)
        const entries: Entry<number>[] = []
        const advance = (nowMs: number) => assert.deepEqual(wheel.advance(nowMs), model.advance(nowMs))
        for (const step of commands) {
          if (step.do === 'insert') {
            const atMs = model.nowMs + step.delayMs
            model.insert(atMs, entries.length)
            entries.push(wheel.insert(atMs, entries.length))
          } else if (step.do === 'cancel' && entries.length > 0) {
            const entry = entries[step.nth % entries.length]!
            assert.equal(wheel.cancel(entry), model.cancel(entry.value))
          } else if (step.do === 'advance') {
            advance(model.nowMs + step.byMs)
          } else if (step.do === 'advanceToNext') {
            advance(wheel.nextAtMs() ?? model.nowMs)
          }
          assert.equal(wheel.size, model.pending.length)
          const nextAtMs = wheel.nextAtMs()
          const earliestMs = model.earliestMs()
          assert.equal(nextAtMs === undefined, earliestMs === undefined)
          if (nextAtMs === undefined || earliestMs === undefined) continue
          assert.ok(nextAtMs <= earliestMs, `next ${nextAtMs} is later than the entry of ${earliestMs}`)
          assert.ok(nextAtMs >= model.nowMs, `next ${nextAtMs} is before the present ${model.nowMs}`)
        }
        advance(model.nowMs + 10_000 * yearMs)
        assert.equal(wheel.size, 0)
      }),
      { numRuns: 500 }
    )
  })

  it('reaches every entry by going to nextAtMs again and again, each entry in nine steps at most', () => {
    fc.assert(
      fc.property(start, fc.array(span, { maxLength: 40, size: 'max' }), (startMs, delays) => {
        const wheel = new TimingWheel<number>(startMs)
        for (const delayMs of delays) wheel.insert(startMs + delayMs, startMs + delayMs)
        const fired: number[] = []
        let steps = 0
        for (let nextAtMs = wheel.nextAtMs(); nextAtMs !== undefined; nextAtMs = wheel.nextAtMs()) {
          for (const atMs of wheel.advance(nextAtMs)) {
            fired.push(atMs)
            assert.ok(Math.ceil(atMs) === nextAtMs, `${atMs} fired at ${nextAtMs}`)
          }
          steps++
          assert.ok(steps <= delays.length * 9, `${steps} steps for ${delays.length} entries`)
        }
        assert.deepEqual(
          fired,
          delays.map((delayMs) => startMs + delayMs).sort((a, b) => a - b)
        )
      })
    )
  })

  it('keeps the order of insertion among entries of one time, inserted before and after cascades', () => {
    fc.assert(
      fc.property(meetings, (pairs) => {
        const wheel = new TimingWheel<number>(0)
        const meetingMs = 64 ** 3 + 64 ** 2
        let nowMs = 0
        let inserted = 0
        for (const [stepMs, count] of pairs) {
          nowMs = Math.min(nowMs + stepMs, meetingMs - 1)
          assert.deepEqual(wheel.advance(nowMs), [])
          for (let i = 0; i < count; i++) wheel.insert(meetingMs, inserted++)
        }
        assert.deepEqual(
          wheel.advance(meetingMs),
          Array.from({ length: inserted }, (_, value) => value)
        )
      })
    )
  })

  it('rounds so that nothing is early: due times up, the told time down', () => {
    const wheel = new TimingWheel<string>(10.9)
    wheel.insert(11.5, 'b')
    wheel.insert(11.2, 'a')
    assert.equal(wheel.nextAtMs(), 12)
    assert.deepEqual(wheel.advance(11.999), [])
    assert.deepEqual(wheel.advance(12.001), ['a', 'b'])
  })

  it('fires what is due in the past at the next advance, oldest first, but never on the way back', () => {
    const wheel = new TimingWheel<string>(100)
    wheel.insert(50, 'later')
    wheel.insert(Number.NEGATIVE_INFINITY, 'ancient')
    wheel.insert(30, 'earlier')
    assert.equal(wheel.nextAtMs(), 100)
    assert.deepEqual(wheel.advance(99), [])
    assert.deepEqual(wheel.advance(100), ['ancient', 'earlier', 'later'])
    assert.deepEqual(wheel.advance(100), [])
  })

  it('lets the caller insert and cancel while it goes through what fired', () => {
    const wheel = new TimingWheel<string>(0)
    const entries = ['a', 'b', 'c'].map((value) => wheel.insert(5, value))
    const later = wheel.insert(9, 'later')
    const seen: string[] = []
    for (const value of wheel.advance(5)) {
      seen.push(value)
      assert.equal(wheel.cancel(entries[2]!), false, 'it has fired')
      wheel.insert(5, `again ${value}`)
      wheel.cancel(later)
    }
    assert.deepEqual(seen, ['a', 'b', 'c'])
    assert.equal(wheel.size, 3)
    assert.deepEqual(wheel.advance(20), ['again a', 'again b', 'again c'])
  })

  it('cancels once, first, middle, last and only entry of a slot', () => {
    const wheel = new TimingWheel<number>(0)
    const entries = [0, 1, 2, 3, 4].map((value) => wheel.insert(7_000, value))
    for (const value of [2, 0, 4]) assert.equal(wheel.cancel(entries[value]!), true)
    assert.equal(wheel.cancel(entries[2]!), false)
    assert.equal(wheel.size, 2)
    const only = wheel.insert(3, 9)
    assert.equal(wheel.nextAtMs(), 3)
    wheel.cancel(only)
    assert.equal(wheel.nextAtMs(), 4_096)
    assert.deepEqual(wheel.advance(7_000), [1, 3])
    assert.equal(wheel.cancel(entries[1]!), false)
    assert.equal(wheel.nextAtMs(), undefined)
  })

  it('jumps over centuries in a moment', () => {
    const wheel = new TimingWheel<number>(1_700_000_000_000.5)
    const centuryMs = 1_700_000_000_000 + 100 * yearMs
    wheel.insert(centuryMs, 1)
    wheel.insert(1_700_000_000_000 + 250_000 * yearMs, 2)
    const startedMs = performance.now()
    assert.deepEqual(wheel.advance(centuryMs - 1), [])
    assert.deepEqual(wheel.advance(centuryMs), [1])
    assert.deepEqual(wheel.advance(1_700_000_000_000 + 250_001 * yearMs), [2])
    // A loop over the ticks of a century takes hours; one over the slots of the lowest two levels, minutes.
    assert.ok(performance.now() - startedMs < 1_000)
  })

  it('keeps an entry at Infinity for ever and reaches the rest', () => {
    const wheel = new TimingWheel<string>(0)
    wheel.insert(Number.POSITIVE_INFINITY, 'never')
    wheel.insert(8, 'soon')
    assert.deepEqual(wheel.advance(8), ['soon'])
    assert.deepEqual(wheel.advance(Number.POSITIVE_INFINITY), [])
    assert.deepEqual(wheel.advance(Number.POSITIVE_INFINITY), [])
    assert.equal(wheel.size, 1)
  })

  it('refuses what is no time', () => {
    assert.throws(() => new TimingWheel(Number.NaN), /Cannot make a timing wheel at NaN/)
    const wheel = new TimingWheel<string>(0)
    assert.throws(() => wheel.insert(Number.NaN, 'x'), /Cannot insert into a timing wheel at NaN/)
    assert.equal(wheel.size, 0)
    assert.deepEqual(wheel.advance(Number.NaN), [])
  })
})
