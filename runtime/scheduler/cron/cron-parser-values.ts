/**
 * cron-parser reads the values, names, ranges and steps of each field, one item at a time: lists with repeated values,
 * which it refuses as a whole, are a union of items. Its calendar is not used (see `schedule.ts`), so the zone and the
 * date that it is given here mean nothing; without them it would take those of the process.
 *
 * It has no year field; that one is read here.
 */
import { createRequire } from 'node:module'
import type * as CronParser from 'cron-parser'
import { type Field, yearField } from './field.ts'

const require = createRequire(import.meta.url)
/** Loaded with the first expression: that takes long, and many have none. */
const cronParser = (): typeof CronParser => require('cron-parser')
const calendar = { tz: 'UTC', currentDate: new Date(0) }

/**
 * @param word digits, or a name of three letters in lower case
 * @returns undefined where the field has no such value
 */
export function readValue(field: Field, word: string): number | undefined {
  if (field === yearField) return readYear(word)
  // Of a longer word cron-parser reads the first three letters: "1jan" would be 11, November.
  return /^(\d+|[a-z]{3})$/.test(word) ? read(field, word)?.[0] : undefined
}

/** @returns every `step`th value from `low` to `high`, ascending; `low` at most `high`, both values of the field, step 1 or more */
export function readRange(field: Field, low: number, high: number, step: number): readonly number[] {
  if (field === yearField) return Array.from({ length: Math.floor((high - low) / step) + 1 }, (_, i) => low + i * step)
  return read(field, `${low}-${high}/${step}`) ?? []
}

function readYear(word: string): number | undefined {
  const year = Number(word)
  return /^\d+$/.test(word) && year >= yearField.min && year <= yearField.max ? year : undefined
}

function read(field: Field, item: string): readonly number[] | undefined {
  const places = ['0', '0', '0', '1', '1', '0']
  places[field.place!] = item
  try {
    const { second, minute, hour, dayOfMonth, month, dayOfWeek } = cronParser().CronExpressionParser.parse(
      places.join(' '),
      calendar
    ).fields
    return [second, minute, hour, dayOfMonth, month, dayOfWeek][field.place!]!.values.map(Number)
  } catch {
    // What it says names neither field nor remedy; the caller says both.
    return undefined
  }
}
