/** The fields of an expression in the order in which croniter reads them: seconds come after the day of the week. */
export interface Field {
  readonly name: string
  readonly min: number
  readonly max: number
  /** What a value may be, for messages. */
  readonly words: string
  /** Where the field stands in an expression of cron-parser; undefined where that has no such field. */
  readonly place: number | undefined
}

const minuteField: Field = { name: 'minute', min: 0, max: 59, words: '0 to 59', place: 1 }
export const hourField: Field = { name: 'hour', min: 0, max: 23, words: '0 to 23', place: 2 }
export const dayOfMonthField: Field = {
  name: 'day of month',
  min: 1,
  max: 31,
  words: '1 to 31, or L for the last day',
  place: 3
}
const monthField: Field = { name: 'month', min: 1, max: 12, words: '1 to 12, or jan to dec', place: 4 }
/** 7 is read as 0, Sunday. */
export const dayOfWeekField: Field = {
  name: 'day of week',
  min: 0,
  max: 6,
  words: '0 to 7, sun to sat, fri#1 for the first Friday of the month, or L5 for the last',
  place: 5
}
const secondField: Field = { name: 'second', min: 0, max: 59, words: '0 to 59', place: 0 }
export const yearField: Field = { name: 'year', min: 1970, max: 2099, words: '1970 to 2099', place: undefined }

export const fields: readonly Field[] = [
  minuteField,
  hourField,
  dayOfMonthField,
  monthField,
  dayOfWeekField,
  secondField,
  yearField
]
