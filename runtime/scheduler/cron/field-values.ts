/**
 * One field of an expression, read as croniter reads it and written for cron-parser item by item:
 *
 *     a,b        union; values may repeat                  *  ?        any; ? only as the whole of a day field
 *     a-b        wraps where b is before a: 22-2, fri-mon   a-a        the whole field, as croniter has it
 *     a/n        from a to the end of the field            a-b/n      every nth; a wrapped range counts on over the end
 *     L  10-L    last day of the month                     L5  5L     last Friday of the month
 *     fri#1      first Friday; of each day: mon-wed#1      H  R       see hashed.ts
 *
 * Sunday is 0 and 7. Where croniter loses or invents times, this does not follow it: a step that wraps (22-2/3 is 22 and 1,
 * there 22 and 2), a step from the last value (23/2 is 23, there every second hour), and `#` or `L` weekdays beside a
 * restricted day of month, where it forgets the latter. Like croniter, this refuses weekdays of every week mixed with those.
 */
import { FieldError } from './cron-error.ts'
import { readRange, readValue } from './cron-parser-values.ts'
import { dayOfMonthField, dayOfWeekField, type Field } from './field.ts'

export interface FieldValues {
  /** Ascending. */
  readonly values: readonly number[]
  /** Holds an item `*` or `?`: the field does not restrict. */
  readonly wildcard: boolean
  /** An item steps through the whole field: it starts within its first step and goes on to the end. */
  readonly steps: boolean
  /** Day of month: the last day, whichever that is. */
  readonly lastDay: boolean
  /** Day of week: only these of each month. */
  readonly nth: readonly NthWeekday[]
}

interface NthWeekday {
  weekday: number
  nth: 1 | 2 | 3 | 4 | 5 | 'last'
}

const rangeItem = /^([a-z0-9]+)(?:-([a-z0-9]+))?(?:\/(\d{1,4}))?$/
const anyItem = /^\*(?:\/(\d{1,4}))?$/
const nthItem = /^([a-z0-9]+)(?:-([a-z0-9]+))?#([1-5])$/
const lastWeekdayItem = /^(?:l([0-7])|([0-7])l)$/

/** Schedules share few different fields, so what was read is kept; emptied when it grows beyond this. */
const keptMax = 4_096
const kept = new Map<string, FieldValues>()

/**
 * @param text the field in lower case, without `h` and `r`
 * @throws FieldError
 */
export function fieldValues(field: Field, text: string): FieldValues {
  const key = `${field.name} ${text}`
  const known = kept.get(key)
  if (known !== undefined) return known
  const values = new FieldReader(field, text).read()
  if (kept.size >= keptMax) kept.clear()
  kept.set(key, values)
  return values
}

class FieldReader {
  readonly #field: Field
  readonly #text: string
  readonly #values = new Set<number>()
  readonly #nth: NthWeekday[] = []
  #wildcard = false
  #steps = false
  #lastDay = false

  constructor(field: Field, text: string) {
    this.#field = field
    this.#text = text
  }

  read(): FieldValues {
    if (this.#text === '?' && this.#isDayField()) this.#readAny(1, true)
    else for (const item of this.#text.split(',')) this.#readItem(item)
    if (this.#nth.length > 0 && this.#values.size > 0) {
      throw new FieldError('weekdays of every week and of some weeks are mixed; make two schedules of them.')
    }
    return {
      values: [...this.#values].sort((one, other) => one - other),
      wildcard: this.#wildcard,
      steps: this.#steps,
      lastDay: this.#lastDay,
      nth: this.#nth
    }
  }

  #isDayField(): boolean {
    return this.#field === dayOfMonthField || this.#field === dayOfWeekField
  }

  #readItem(item: string): void {
    const any = anyItem.exec(item)
    if (any !== null) this.#readAny(this.#step(item, any[1]), any[1] === undefined)
    else if (this.#field === dayOfMonthField && item === 'l') this.#lastDay = true
    else if (this.#field !== dayOfWeekField || !this.#readNth(item)) this.#readNumbers(item)
  }

  #readNumbers(item: string): void {
    const range = rangeItem.exec(item)
    if (range === null) throw this.#unreadable(item)
    const [, low, high, step] = range
    if (high !== undefined) this.#readRange(this.#value(low!), this.#high(high), this.#step(item, step))
    else if (step !== undefined) this.#readFrom(this.#value(low!), this.#field.max, this.#step(item, step))
    else this.#values.add(this.#value(low!))
  }

  #readAny(step: number, bare: boolean): void {
    if (bare) this.#wildcard = true
    this.#readFrom(this.#field.min, this.#field.max, step)
  }

  /** A range that does not wrap. */
  #readFrom(low: number, high: number, step: number): void {
    const values = readRange(this.#field, low, high, step)
    for (const value of values) this.#values.add(value)
    if (high === this.#field.max && low - this.#field.min < step && values.length > 1) this.#steps = true
  }

  #readRange(low: number, high: number, step: number): void {
    const { min, max } = this.#field
    if (low < high) this.#readFrom(low, high, step)
    else if (low === high) this.#readFrom(min, max, step)
    else this.#readWrapped(low, high, step)
  }

  #readWrapped(low: number, high: number, step: number): void {
    const { min, max } = this.#field
    for (const value of readRange(this.#field, low, max, step)) this.#values.add(value)
    const resumed = low + (Math.floor((max - low) / step) + 1) * step - (max - min + 1)
    if (resumed > high) return
    for (const value of readRange(this.#field, resumed, high, step)) this.#values.add(value)
  }

  #readNth(item: string): boolean {
    const last = lastWeekdayItem.exec(item)
    if (last !== null) {
      this.#nth.push({ weekday: this.#value(last[1] ?? last[2]!), nth: 'last' })
      return true
    }
    const match = nthItem.exec(item)
    if (match === null) return false
    const weekdays = new FieldReader(this.#field, match[2] === undefined ? match[1]! : `${match[1]}-${match[2]}`).read()
    for (const weekday of weekdays.values) this.#nth.push({ weekday, nth: Number(match[3]) as NthWeekday['nth'] })
    return true
  }

  #value(word: string): number {
    const value = readValue(this.#field, word)
    if (value === undefined) throw this.#unreadable(word)
    return value
  }

  #high(word: string): number {
    return this.#field === dayOfMonthField && word === 'l' ? this.#field.max : this.#value(word)
  }

  #step(item: string, step = '1'): number {
    if (Number(step) === 0) throw new FieldError(`the step of "${item}" is 0.`)
    return Number(step)
  }

  #unreadable(part: string): FieldError {
    if (part === '') return new FieldError('an item of the list is empty.')
    return new FieldError(`"${part}" is not a value or range of this field.`)
  }
}
