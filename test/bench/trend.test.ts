import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Trend, type TrendBound, trendOf } from '../../bench/trend.ts'
import { randomFrom } from '../support/random.ts'

const random = randomFrom(7)
const noise = (size: number) => size * (random() - 0.5)

function trend(values: readonly number[], bound: TrendBound): Trend {
  const samples = values.map((value, at) => ({ at, value }))
  return trendOf(
    'a figure',
    samples,
    ({ at }) => at,
    ({ value }) => value,
    bound
  )
}

test('a figure that jumps about, with single ones far off, is level (issue 7.8)', () => {
  const values = Array.from({ length: 120 }, (_, at) => 100 + noise(20) + (at % 9 === 0 ? 400 : 0))
  assert.equal(trend(values, { ratio: 0.1, floor: 2 }).met, true)
})

test('a slow growth in the same noise is found (issue 7.8)', () => {
  const values = Array.from({ length: 120 }, (_, at) => 100 + at / 5 + noise(20) + (at % 9 === 0 ? 400 : 0))
  const { met, growth } = trend(values, { ratio: 0.1, floor: 2 })
  assert.equal(met, false)
  assert(growth > 18 && growth < 30, `the growth is 24, not ${growth}`)
})

test('one descriptor lost in a minute is found within twenty minutes (issue 7.8)', () => {
  const values = Array.from({ length: 120 }, (_, at) => 40 + Math.floor(at / 6) + Math.floor(6 * random()))
  assert.equal(trend(values, { ratio: 0, floor: 2 }).met, false)
})

test('what falls is level, and few samples say nothing (issue 7.8)', () => {
  assert.equal(trend([9, 8, 7, 6, 5, 4, 3, 2, 1], { ratio: 0, floor: 0 }).met, true)
  assert.equal(trend([1, 2, 3], { ratio: 0, floor: 0 }).met, null)
})
