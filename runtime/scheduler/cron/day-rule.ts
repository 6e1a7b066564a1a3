/**
 * The days on which an expression fires, as days since 1970-01-01 of a calendar without zones.
 *
 * Where day of month and day of week are both restricted, one of them is enough. What restricts is croniter's rule: `*` and
 * `?` do not; nor does a list of every value, such as a step of one, while the text of the other day field holds a `*`.
 */
import type { FieldValues } from './field-values.ts'

const dayMs = 24 * 3600 * 1000
/** After 400 years the calendar repeats, weekdays included: what has not fired by then never does. */
const calendarYears = 400
const yearMax = 9_999

export interface DayFields {
  dayOfMonth: FieldValues
  dayOfMonthRestricts: boolean
  month: FieldValues
  dayOfWeek: FieldValues
  dayOfWeekRestricts: boolean
  /** undefined: every year. */
  year: FieldValues | undefined
}

export class DayRule {
  readonly #fields: DayFields

  constructor(fields: DayFields) {
    this.#fields = fields
  }

  /** @returns the first day of the rule that is `day` or later; Infinity where there is none */
  nextFrom(day: number): number {
    const date = new Date(day * dayMs)
    const firstYear = date.getUTCFullYear()
    const lastYear = Math.min(firstYear + calendarYears, yearMax)
    let month = date.getUTCMonth() + 1
    let from = date.getUTCDate()
    for (let year = firstYear; year <= lastYear; year++, month = 1) {
      if (this.#fields.year?.values.includes(year) === false) {
        from = 1
        continue
      }
      for (; month <= 12; month++, from = 1) {
        if (!this.#fields.month.values.includes(month)) continue
        const found = this.#firstInMonth(year, month, from)
        if (found !== undefined) return found
      }
    }
    return Number.POSITIVE_INFINITY
  }

  #firstInMonth(year: number, month: number, from: number): number | undefined {
    const firstDay = Date.UTC(year, month - 1, 1) / dayMs
    const length = Date.UTC(year, month, 1) / dayMs - firstDay
    for (let date = from; date <= length; date++) {
      // The first of January 1970 was a Thursday.
      const weekday = (((firstDay + date + 3) % 7) + 7) % 7
      if (this.#includes(date, length, weekday)) return firstDay + date - 1
    }
    return undefined
  }

  #includes(date: number, length: number, weekday: number): boolean {
    const { dayOfMonth, dayOfMonthRestricts, dayOfWeek, dayOfWeekRestricts } = this.#fields
    if (!dayOfMonthRestricts && !dayOfWeekRestricts) return true
    return (
      (dayOfMonthRestricts && (dayOfMonth.values.includes(date) || (dayOfMonth.lastDay && date === length))) ||
      (dayOfWeekRestricts && (dayOfWeek.values.includes(weekday) || isNth(dayOfWeek, date, length, weekday)))
    )
  }
}

function isNth({ nth: wanted }: FieldValues, date: number, length: number, weekday: number): boolean {
  return wanted.some(
    ({ weekday: wantedDay, nth }) =>
      wantedDay === weekday && (nth === 'last' ? date + 7 > length : Math.ceil(date / 7) === nth)
  )
}
