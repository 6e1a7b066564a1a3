import type { DayRule } from './day-rule.ts'

const daySeconds = 24 * 3600

/** Values ascending, at least one each. */
export interface TimeFields {
  hours: readonly number[]
  minutes: readonly number[]
  seconds: readonly number[]
}

/**
 * The readings of a clock on the wall that an expression names, in seconds: what would be seconds since the epoch if the
 * clock showed UTC.
 */
export class WallTimes {
  readonly #days: DayRule
  readonly #times: TimeFields
  readonly #firstOfDay: number

  constructor(days: DayRule, times: TimeFields) {
    this.#days = days
    this.#times = times
    this.#firstOfDay = times.hours[0]! * 3600 + times.minutes[0]! * 60 + times.seconds[0]!
  }

  /** @returns the first reading that is `readingS` or later; Infinity where there is none */
  nextFrom(readingS: number): number {
    const today = Math.floor(readingS / daySeconds)
    const day = this.#days.nextFrom(today)
    if (day > today) return day * daySeconds + this.#firstOfDay
    const time = this.#nextInDay(readingS - today * daySeconds)
    if (time !== undefined) return day * daySeconds + time
    return this.#days.nextFrom(today + 1) * daySeconds + this.#firstOfDay
  }

  #nextInDay(fromS: number): number | undefined {
    const { hours, minutes, seconds } = this.#times
    const hour = Math.floor(fromS / 3600)
    const minute = Math.floor((fromS % 3600) / 60)
    if (hours.includes(hour)) {
      const second = minutes.includes(minute) ? atLeast(seconds, fromS % 60) : undefined
      if (second !== undefined) return hour * 3600 + minute * 60 + second
      const laterMinute = atLeast(minutes, minute + 1)
      if (laterMinute !== undefined) return hour * 3600 + laterMinute * 60 + seconds[0]!
    }
    const laterHour = atLeast(hours, hour + 1)
    return laterHour === undefined ? undefined : laterHour * 3600 + minutes[0]! * 60 + seconds[0]!
  }
}

function atLeast(values: readonly number[], bound: number): number | undefined {
  return values.find((value) => value >= bound)
}
