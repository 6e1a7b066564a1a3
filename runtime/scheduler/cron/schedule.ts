/**
 * When a scheduler event fires. Expressions are croniter's (S5, `field-values.ts`): 5 fields, 6 with seconds last, 7 with
 * the year; or a label (S2 to S6, `labels.ts`).
 *
 *     minute  hour  day-of-month  month  day-of-week  [second  [year]]
 *
 * A change of the clock in the zone of the event (S12) is treated by the pace of the event, which the hour field decides:
 *
 * - **interval**: the hour field names every hour, or holds a step that goes through the whole day: `*`, `0-23`, `0/2`, `1/6`,
 *   `H/4`, any step of `*` that leaves two hours or more. It fires at each instant at which the local clock shows one of its
 *   readings: those that are skipped do not fire, those that come twice fire twice. So `0/15 * * * *` fires every 15 real
 *   minutes and `0 * * * *` every real hour, also in a night with a change.
 * - **fixed**: any other hour field, such as `2`, `2,14`, `9-17`, `9/4`. Each reading fires once on each of its days: one that
 *   is skipped is moved on by the size of the gap (02:30 becomes 03:30; at Lord Howe, 02:15 becomes 02:45), one that comes
 *   twice fires the first time. Two readings that fall on the same instant by that fire once.
 *
 * `all` counts its interval from the epoch. Times are whole seconds.
 *
 * cron-parser reads the fields but the times are found here: its own calendar puts seconds first, has no years, and loses
 * a day of a fixed event in zones that change by 30 minutes.
 */
import { instantMsMax } from '../../core/limits.ts'
import { CronError, type CronProblem, FieldError } from './cron-error.ts'
import { DayRule } from './day-rule.ts'
import { dayOfMonthField, dayOfWeekField, type Field, fields, hourField } from './field.ts'
import { type FieldValues, fieldValues } from './field-values.ts'
import { withoutHashes } from './hashed.ts'
import { adviceOnLabels, labelled } from './labels.ts'
import { WallTimes } from './wall-times.ts'
import { adviceOnZones, type Stretch, type Zone, zoneOf } from './zone.ts'

export interface Schedule {
  /** As it was written. */
  readonly source: string
  /** The fields it stands for, with labels resolved and `H` and `R` chosen: `0 0 * * *`. Of `all`: `every 60 s`. */
  readonly fields: string
  readonly pace: 'fixed' | 'interval'
  /**
   * @param atMs milliseconds since the epoch
   * @returns the first instant after it, never itself, at which the event fires; null where it never fires again
   */
  nextAfter(atMs: number): number | null
}

export interface ScheduleOptions {
  /** IANA name. */
  timezone: string
  /** Chooses the values of `H` and `R`: the identity of the event. */
  seed: string
  /** The interval of the label `all`, in seconds, above 0. */
  tickIntervalS: number
}

/** Longer than a list of every value of every field. */
const expressionCharsMax = 1_024
const fieldsMin = 5
/** More than any two offsets differ, and more than any offset is. */
const offsetsDifferMaxS = 2 * 24 * 3600

/**
 * Reads a label or an expression.
 *
 * @throws CronError (`PARAMS_INVALID`) that names the expression, the field, what is wrong and what to write: of bad
 * values, of another number of fields than 5 to 7, of a zone that does not exist, and of a day that no calendar has
 */
export function parseSchedule(expression: string, { timezone, seed, tickIntervalS }: ScheduleOptions): Schedule {
  // Configuration files hold numbers and nulls where people forget the quotes.
  const source = String(expression)
  const zone = typeof timezone === 'string' ? zoneOf(timezone) : undefined
  if (zone === undefined) {
    throw new CronError(source, {
      field: 'timezone',
      problem: `there is no zone ${JSON.stringify(timezone)}.`,
      advice: adviceOnZones(String(timezone))
    })
  }
  const label = labelled(source.trim())
  if (label === 'all') return everyTick(source, tickIntervalS)
  const texts = split(source, label ?? source).map((text, index) => {
    const field = fields[index]!
    return attempt(source, field, () => withoutHashes(field, index, text, seed))
  })
  const read = texts.map((text, index) => attempt(source, fields[index]!, () => fieldValues(fields[index]!, text)))
  const days = dayRuleOf(texts, read)
  if (days.nextFrom(0) === Number.POSITIVE_INFINITY) throw new CronError(source, neverFires)
  return new ExpressionSchedule(source, texts.join(' '), zone, wallTimesOf(days, read), paceOf(read[1]!))
}

function split(source: string, expression: string): string[] {
  if (expression.length > expressionCharsMax) {
    throw new CronError(`${source.slice(0, 60)}…`, {
      field: 'expression',
      problem: `it has ${source.length} characters.`,
      advice: `Use at most ${expressionCharsMax}; ranges and steps are shorter than lists.`
    })
  }
  const texts = expression
    .toLowerCase()
    .split(/\s+/)
    .filter((text) => text !== '')
  if (texts.length >= fieldsMin && texts.length <= fields.length) return texts
  throw new CronError(source, {
    field: 'expression',
    problem: `it has ${texts.length} ${texts.length === 1 ? 'field' : 'fields'}, not ${fieldsMin} to ${fields.length}.`,
    advice: texts.length < fieldsMin ? adviceOnLabels(source.trim()) : 'Seconds are the 6th field, years the 7th.'
  })
}

/** Adds to an error of one field which field of which expression it is. */
function attempt<T>(source: string, field: Field, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof FieldError)) throw error
    throw new CronError(source, {
      field: field.name,
      problem: error.message,
      advice: `Write ${field.words}; lists (1,2), ranges (1-5) and steps (*/2) of these; or *.`
    })
  }
}

const neverFires: CronProblem = {
  field: dayOfMonthField.name,
  problem: 'it never fires, because no month that it allows has such a day.',
  advice: 'Write a day that exists; L is the last day of a month.'
}

function dayRuleOf(texts: readonly string[], read: readonly FieldValues[]): DayRule {
  const [, , dayOfMonth, month, dayOfWeek, , year] = read
  return new DayRule({
    dayOfMonth: dayOfMonth!,
    dayOfMonthRestricts: restricts(dayOfMonthField, dayOfMonth!, texts[4]!),
    month: month!,
    dayOfWeek: dayOfWeek!,
    dayOfWeekRestricts: restricts(dayOfWeekField, dayOfWeek!, texts[2]!),
    year
  })
}

function restricts(field: Field, values: FieldValues, otherText: string): boolean {
  return !values.wildcard && !(isFull(field, values) && otherText.includes('*'))
}

function wallTimesOf(days: DayRule, read: readonly FieldValues[]): WallTimes {
  return new WallTimes(days, { minutes: read[0]!.values, hours: read[1]!.values, seconds: read[5]?.values ?? [0] })
}

function paceOf(hours: FieldValues): Schedule['pace'] {
  return hours.steps || isFull(hourField, hours) ? 'interval' : 'fixed'
}

function isFull({ min, max }: Field, { values }: FieldValues): boolean {
  return values.length === max - min + 1
}

function everyTick(source: string, tickIntervalS: number): Schedule {
  const intervalMs = Math.round(tickIntervalS * 1000)
  return {
    source,
    fields: `every ${tickIntervalS} s`,
    pace: 'interval',
    nextAfter: (atMs) => (Math.floor(atMs / intervalMs) + 1) * intervalMs
  }
}

class ExpressionSchedule implements Schedule {
  readonly source: string
  readonly fields: string
  readonly pace: Schedule['pace']
  readonly #zone: Zone
  readonly #wallTimes: WallTimes

  constructor(source: string, text: string, zone: Zone, wallTimes: WallTimes, pace: Schedule['pace']) {
    this.source = source
    this.fields = text
    this.pace = pace
    this.#zone = zone
    this.#wallTimes = wallTimes
  }

  nextAfter(atMs: number): number | null {
    let fromS = Math.floor(atMs / 1000) + 1
    for (;;) {
      const stretch = this.#zone.stretchAt(fromS)
      const foundS = this.pace === 'fixed' ? this.#firstFixed(stretch, fromS) : this.#firstAt(stretch.offsetS, fromS)
      if (foundS < stretch.toS) return foundS * 1000 <= instantMsMax ? foundS * 1000 : null
      // The clock may be set back over readings of the last days; without any, nothing fires until the next one is near.
      const readingS = this.#wallTimes.nextFrom(fromS + stretch.offsetS - offsetsDifferMaxS)
      if (readingS === Number.POSITIVE_INFINITY) return null
      fromS = Math.max(stretch.toS, readingS - offsetsDifferMaxS)
    }
  }

  /** The first instant from `fromS` on at which a clock of this offset shows a reading of the event. */
  #firstAt(offsetS: number, fromS: number): number {
    return this.#wallTimes.nextFrom(fromS + offsetS) - offsetS
  }

  #firstFixed(stretch: Stretch, fromS: number): number {
    const { offsetS, offsetBeforeS } = stretch
    // What the clock was set back by was shown, and fired, before; what it was set forward by still shows on the old clock.
    const repeatedUntilS = stretch.fromS + Math.max(offsetBeforeS - offsetS, 0)
    const skippedUntilS = stretch.fromS + Math.max(offsetS - offsetBeforeS, 0)
    const foundS = this.#firstAt(offsetS, Math.max(fromS, repeatedUntilS))
    if (fromS >= skippedUntilS) return foundS
    const movedS = this.#firstAt(offsetBeforeS, fromS)
    return movedS < skippedUntilS ? Math.min(movedS, foundS) : foundS
  }
}
