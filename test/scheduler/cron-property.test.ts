import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseSchedule } from '../../runtime/scheduler/cron/schedule.ts'
import { fires, type Sets } from './cron-evaluator.ts'

const runs = process.env.LONG === '1' ? 5_000 : 100
const comparedMax = 100
const startMs = Date.UTC(2026, 0, 1)
const endMs = Date.UTC(2028, 0, 1)

/** One field: what is written, and the values it means. */
interface Written {
  text: string
  values: number[]
  wildcard: boolean
  wholeDaySteps: boolean
}

interface Bounds {
  min: number
  max: number
  names?: readonly string[]
}

const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const minute: Bounds = { min: 0, max: 59 }
const hour: Bounds = { min: 0, max: 23 }
const dayOfMonth: Bounds = { min: 1, max: 31 }
const month: Bounds = { min: 1, max: 12, names: months }
const dayOfWeek: Bounds = { min: 0, max: 6, names: weekdays }

function itemOf({ min, max, names }: Bounds): fc.Arbitrary<Written> {
  // Low values often: clocks change in the first hours of a day.
  const value = fc.oneof(fc.integer({ min, max }), fc.integer({ min, max: min + 3 }))
  const word = (number: number, named: boolean) =>
    named && names !== undefined ? names[number - min]! : String(number)
  const plain = { wildcard: false, wholeDaySteps: false }
  const every = (low: number, high: number, step: number) => {
    const values: number[] = []
    for (let number = low; number <= high; number += step) values.push(number)
    return values
  }
  const single = fc
    .record({ at: value, named: fc.boolean() })
    .map(({ at, named }) => ({ ...plain, text: word(at, named), values: [at] }))
  const range = fc
    .record({ low: value, high: value, step: fc.integer({ min: 1, max: 7 }), named: fc.boolean() })
    .filter(({ low, high }) => low !== high)
    .map(({ low, high, step, named }) => {
      const size = max - min + 1
      const unrolled = every(low, high > low ? high : high + size, step)
      return {
        text: `${word(low, named)}-${word(high, named)}${step === 1 ? '' : `/${step}`}`,
        values: unrolled.map((number) => ((number - min) % size) + min),
        wildcard: false,
        wholeDaySteps: high === max && low - min < step && unrolled.length > 1
      }
    })
  const open = fc.record({ low: fc.option(value), step: fc.integer({ min: 1, max: 30 }) }).map(({ low, step }) => {
    const values = every(low ?? min, max, step)
    const wholeDaySteps = (low ?? min) - min < step && values.length > 1
    return { text: `${low ?? '*'}/${step}`, values, wildcard: false, wholeDaySteps }
  })
  return fc.oneof(single, single, range, open)
}

function fieldOf(bounds: Bounds, anyWeight: number): fc.Arbitrary<Written> {
  const { min, max } = bounds
  const all = Array.from({ length: max - min + 1 }, (_, index) => min + index)
  const list = fc.array(itemOf(bounds), { minLength: 1, maxLength: 3 }).map((items) => ({
    text: items.map(({ text }) => text).join(','),
    values: items.flatMap(({ values }) => values),
    wildcard: false,
    wholeDaySteps: items.some(({ wholeDaySteps }) => wholeDaySteps)
  }))
  return fc.oneof(
    { weight: anyWeight, arbitrary: fc.constant({ text: '*', values: all, wildcard: true, wholeDaySteps: true }) },
    { weight: 10, arbitrary: list }
  )
}

const expression = fc.record({
  minute: fieldOf(minute, 2),
  hour: fieldOf(hour, 3),
  dayOfMonth: fieldOf(dayOfMonth, 30),
  month: fieldOf(month, 40),
  dayOfWeek: fieldOf(dayOfWeek, 30),
  second: fc.option(fieldOf(minute, 1))
})

type Expression = typeof expression extends fc.Arbitrary<infer T> ? T : never

function textOf(written: Expression): string {
  const { minute, hour, dayOfMonth, month, dayOfWeek, second } = written
  return [minute, hour, dayOfMonth, month, dayOfWeek, ...(second === null ? [] : [second])]
    .map(({ text }) => text)
    .join(' ')
}

function setsOf({ minute, hour, dayOfMonth, month, dayOfWeek, second }: Expression): Sets {
  const days = (field: Written, other: Written, size: number) => {
    const values = new Set(field.values)
    return field.wildcard || (values.size === size && other.text.includes('*')) ? undefined : values
  }
  return {
    minute: new Set(minute.values),
    hour: new Set(hour.values),
    dayOfMonth: days(dayOfMonth, dayOfWeek, 31),
    month: new Set(month.values),
    dayOfWeek: days(dayOfWeek, dayOfMonth, 7),
    second: new Set(second === null ? [0] : second.values),
    fixed: !hour.wholeDaySteps && new Set(hour.values).size < 24
  }
}

/** A day before each change of the clock in the two years, as well as anywhere. */
const starts: Readonly<Record<string, readonly string[]>> = {
  UTC: [],
  'Europe/Berlin': ['2026-03-28T01:00Z', '2026-10-24T01:00Z', '2027-03-27T01:00Z', '2027-10-30T01:00Z'],
  'America/New_York': ['2026-03-07T07:00Z', '2026-10-31T06:00Z', '2027-03-13T07:00Z', '2027-11-06T06:00Z'],
  'Australia/Lord_Howe': ['2026-04-03T15:00Z', '2026-10-02T15:30Z', '2027-04-02T15:00Z', '2027-10-01T15:30Z']
}

function startIn(timezone: string): fc.Arbitrary<number> {
  const anywhere = fc.integer({ min: startMs, max: endMs })
  const changes = starts[timezone]!.map(Date.parse)
  if (changes.length === 0) return anywhere
  const nearChange = fc
    .record({ change: fc.constantFrom(...changes), nearMs: fc.integer({ min: 0, max: 26 * 3600 * 1000 }) })
    .map(({ change, nearMs }) => change + nearMs)
  return fc.oneof(anywhere, nearChange, nearChange)
}

/** Days such as the 31st of February only. */
function neverFires(written: Expression): boolean {
  const { dayOfMonth, dayOfWeek, month } = setsOf(written)
  const longest = Math.max(...[...month].map((each) => new Date(Date.UTC(2024, each, 0)).getUTCDate()))
  return dayOfWeek === undefined && dayOfMonth !== undefined && Math.min(...dayOfMonth) > longest
}

describe('cron against a slow evaluator', () => {
  for (const timezone of Object.keys(starts)) {
    it(`${timezone}: the same times, in order, nothing between`, () => {
      fc.assert(
        fc.property(expression, startIn(timezone), (written, afterMs) => {
          const read = () => parseSchedule(textOf(written), { timezone, seed: '', tickIntervalS: 60 })
          if (neverFires(written)) return assert.throws(read, /never fires/)
          const schedule = read()
          let atMs: number | null = afterMs
          let compared = 0
          for (const expectedMs of fires(setsOf(written), timezone, afterMs, endMs)) {
            atMs = schedule.nextAfter(atMs)
            assert.equal(iso(atMs), iso(expectedMs), textOf(written))
            // From anywhere before an instant it is the same next one.
            assert.equal(schedule.nextAfter(expectedMs - 1), expectedMs)
            if (++compared === comparedMax) return
            atMs = expectedMs
          }
          const next = schedule.nextAfter(atMs)
          assert.ok(next === null || next > endMs, `${textOf(written)} fires at ${iso(next)}, too`)
        }),
        { numRuns: runs }
      )
    })
  }
})

function iso(atMs: number | null): string {
  return atMs === null ? 'never' : new Date(atMs).toISOString()
}
