/**
 * An IANA time zone as stretches of time with one offset each, found by asking Intl, a year at a time, and kept; each ends
 * with the year at the latest. In the zones of the world since 1970 no two changes of the offset are nearer than 6 days, so
 * asking for every fifth day finds all of them, and halving finds their second.
 */
import { didYouMean } from '../../core/did-you-mean.ts'

const sampleS = 5 * 24 * 3600
/** What a change before a year begins can still mean for it: a clock is never set by more. */
const reachS = 2 * 24 * 3600

export interface Stretch {
  /** Local time less UTC. */
  offsetS: number
  /** The offset before the stretch; the same where a stretch begins with the year only. */
  offsetBeforeS: number
  /** Seconds since the epoch; included. */
  fromS: number
  /** Seconds since the epoch; not included. */
  toS: number
}

interface Change {
  atS: number
  offsetS: number
  offsetBeforeS: number
}

export class Zone {
  readonly #format: Intl.DateTimeFormat
  readonly #changesByYear = new Map<number, readonly Change[]>()
  #last: Stretch | undefined

  constructor(format: Intl.DateTimeFormat) {
    this.#format = format
  }

  /** @param atS seconds since the epoch */
  stretchAt(atS: number): Stretch {
    if (this.#last === undefined || atS < this.#last.fromS || atS >= this.#last.toS) this.#last = this.#find(atS)
    return this.#last
  }

  #find(atS: number): Stretch {
    const year = new Date(atS * 1000).getUTCFullYear()
    const changes = this.#changesOf(year)
    const before = changes.findLast((change) => change.atS <= atS)
    const toS = changes.find((change) => change.atS > atS)?.atS ?? startOfYearS(year + 1)
    if (before !== undefined) return { ...before, fromS: before.atS, toS }
    const offsetS = this.#offsetAt(atS)
    return { offsetS, offsetBeforeS: offsetS, fromS: startOfYearS(year), toS }
  }

  #changesOf(year: number): readonly Change[] {
    let changes = this.#changesByYear.get(year)
    if (changes === undefined) {
      changes = this.#searchChanges(startOfYearS(year) - reachS, startOfYearS(year + 1) - 1)
      this.#changesByYear.set(year, changes)
    }
    return changes
  }

  /** After `fromS`, and at `toS` or before. */
  #searchChanges(fromS: number, toS: number): Change[] {
    const changes: Change[] = []
    let offsetBeforeS = this.#offsetAt(fromS)
    for (let lowS = fromS; lowS < toS; lowS += sampleS) {
      const highS = Math.min(lowS + sampleS, toS)
      const offsetS = this.#offsetAt(highS)
      if (offsetS !== offsetBeforeS) {
        changes.push({ atS: this.#searchChange(lowS, highS, offsetBeforeS), offsetS, offsetBeforeS })
      }
      offsetBeforeS = offsetS
    }
    return changes
  }

  /** @returns the first second whose offset is another than `offsetBeforeS`, which `lowS` has and `highS` has not */
  #searchChange(lowS: number, highS: number, offsetBeforeS: number): number {
    let before = lowS
    let after = highS
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2)
      if (this.#offsetAt(middle) === offsetBeforeS) before = middle
      else after = middle
    }
    return after
  }

  #offsetAt(atS: number): number {
    const [, sign, hours = 0, minutes = 0, seconds = 0] =
      /GMT(?:([+-])(\d+):(\d+)(?::(\d+))?)?$/.exec(this.#format.format(atS * 1000)) ?? []
    const sizeS = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)
    return sign === '-' ? -sizeS : sizeS
  }
}

const zones = new Map<string, Zone>()

/** @returns undefined where there is no zone of that name */
export function zoneOf(name: string): Zone | undefined {
  const known = zones.get(name)
  if (known !== undefined) return known
  let format: Intl.DateTimeFormat
  try {
    format = new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset' })
  } catch {
    return undefined
  }
  const zone = new Zone(format)
  zones.set(name, zone)
  return zone
}

/**
 * @param timezone of which {@link zoneOf} knows
 * @returns ISO 8601 with the offset of the zone, to the second: `2026-03-29T03:30:00+02:00`
 */
export function localIso(atMs: number, timezone: string): string {
  const { offsetS } = zoneOf(timezone)!.stretchAt(Math.floor(atMs / 1000))
  const size = new Date(Math.abs(offsetS) * 1000).toISOString()
  const offset = `${offsetS < 0 ? '-' : '+'}${offsetS % 60 === 0 ? size.slice(11, 16) : size.slice(11, 19)}`
  return `${new Date(atMs + offsetS * 1000).toISOString().slice(0, -'.000Z'.length)}${offset}`
}

/** What to write instead of a name that is no zone. */
export function adviceOnZones(name: string): string {
  return `Write UTC or a name of the IANA list such as "Europe/Berlin".${didYouMean(name, Intl.supportedValuesOf('timeZone'))}`
}

function startOfYearS(year: number): number {
  return Date.UTC(year, 0, 1) / 1000
}
