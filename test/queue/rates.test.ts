/** What a queue did in the last minute, against a plain list of what happened when. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Moves, Rates } from '../../runtime/queue/rates.ts'

const startMs = Date.UTC(2026, 0)
const queues = ['default', 'long'] as const
const few = fc.nat(5)
const happening = fc.record({
  queue: fc.constantFrom(...queues),
  moves: fc.record({ enqueued: few, completed: few, failed: few }),
  afterMs: fc.oneof(fc.constant(0), fc.nat(900), fc.nat(5_000), fc.constantFrom(59_000, 60_000, 61_000, 3_600_000))
})

function sumOf(list: Moves[]): Moves {
  const sum = (name: keyof Moves) => list.reduce((total, moves) => total + moves[name], 0)
  return { enqueued: sum('enqueued'), completed: sum('completed'), failed: sum('failed') }
}

const secondOf = (ms: number) => Math.floor(ms / 1000)

test('rates are the sum of the current second and the 59 before it, queue by queue', () => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 60 }), (happenings) => {
      const rates = new Rates()
      const list: { queue: string; moves: Moves; atMs: number }[] = []
      let nowMs = startMs
      for (const { queue, moves, afterMs } of happenings) {
        nowMs += afterMs
        rates.count(queue, moves, nowMs)
        list.push({ queue, moves, atMs: nowMs })
        for (const name of queues) {
          const inSpan = list.filter((each) => each.queue === name && secondOf(nowMs) - secondOf(each.atMs) < 60)
          assert.deepEqual(rates.of(name, nowMs), sumOf(inSpan.map((each) => each.moves)))
        }
      }
    }),
    { numRuns: 300 }
  )
})

test('a minute after the last of them, and of a queue that did nothing, they are zero', () => {
  const rates = new Rates()
  const none = { enqueued: 0, completed: 0, failed: 0 }
  rates.count('default', { enqueued: 3, completed: 2, failed: 1 }, startMs + 999)
  assert.deepEqual(rates.of('default', startMs + 59_999), { enqueued: 3, completed: 2, failed: 1 })
  assert.deepEqual(rates.of('default', startMs + 60_000), none)
  assert.deepEqual(rates.of('other', startMs), none)
})

test('after the clock was set back, what happened in what is now the future is not of the last minute', () => {
  const rates = new Rates()
  rates.count('default', { enqueued: 3, completed: 2, failed: 1 }, startMs)
  // Not by whole minutes: the second that was counted then keeps its place.
  const backMs = startMs - 3_593_000
  rates.count('default', { enqueued: 1, completed: 0, failed: 0 }, backMs)
  for (const laterMs of [0, 1_000, 59_000]) {
    assert.deepEqual(rates.of('default', backMs + laterMs), { enqueued: 1, completed: 0, failed: 0 })
  }
})
