/**
 * When an expression fires, found slowly and in the plainest way: every day, every minute of it, every second. It shares
 * nothing with the scheduler: it is given sets of values instead of a text, and asks Intl for each quarter of an hour.
 */

export interface Sets {
  minute: ReadonlySet<number>
  hour: ReadonlySet<number>
  /** undefined: does not restrict. */
  dayOfMonth: ReadonlySet<number> | undefined
  month: ReadonlySet<number>
  dayOfWeek: ReadonlySet<number> | undefined
  second: ReadonlySet<number>
  fixed: boolean
}

const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs
const quarterMs = 15 * minuteMs

/** Every instant after `afterMs` and up to `untilMs`, ascending. */
export function* fires(sets: Sets, timezone: string, afterMs: number, untilMs: number): Generator<number> {
  let pending: number[] = []
  for (let day = Math.floor(afterMs / dayMs) - 1; day * dayMs <= untilMs + 2 * dayMs; day++) {
    for (const atMs of sets.fixed ? fixedOfDay(sets, timezone, day) : intervalOfDay(sets, timezone, day)) {
      if (atMs > afterMs && atMs <= untilMs) pending.push(atMs)
    }
    if (pending.length === 0) continue
    const inOrder = [...new Set(pending)].sort((one, other) => one - other)
    // No zone is a day ahead of UTC, so what the days to come hold is later than the start of this one.
    yield* inOrder.filter((atMs) => atMs < day * dayMs)
    pending = inOrder.filter((atMs) => atMs >= day * dayMs)
  }
}

/** Every reading of the local day, turned into the one instant at which it fires. */
function* fixedOfDay(sets: Sets, timezone: string, day: number): Generator<number> {
  if (!dayMatches(sets, day)) return
  for (let minute = 0; minute < 1440; minute++) {
    if (!sets.hour.has(Math.floor(minute / 60)) || !sets.minute.has(minute % 60)) continue
    for (const second of sets.second) yield instantOf(day * dayMs + minute * minuteMs + second * 1000, timezone)
  }
}

function instantOf(readingMs: number, timezone: string): number {
  const offsets = [readingMs - dayMs, readingMs + dayMs].map((atMs) => offsetAt(atMs, timezone))
  const candidates = offsets.map((offset) => readingMs - offset)
  const shown = candidates.filter((atMs) => atMs + offsetAt(atMs, timezone) === readingMs)
  return shown.length > 0 ? Math.min(...shown) : readingMs - offsets[0]!
}

/** Every instant of the UTC day at which the local clock shows a reading. */
function* intervalOfDay(sets: Sets, timezone: string, day: number): Generator<number> {
  if (![day - 1, day, day + 1].some((near) => dayMatches(sets, near))) return
  for (let atMs = day * dayMs; atMs < (day + 1) * dayMs; atMs += minuteMs) {
    const readingMs = atMs + offsetAt(atMs, timezone)
    const minute = Math.floor(readingMs / minuteMs)
    if (!sets.minute.has(minute % 60) || !sets.hour.has(Math.floor(minute / 60) % 24)) continue
    if (!dayMatches(sets, Math.floor(readingMs / dayMs))) continue
    for (const second of sets.second) yield atMs + second * 1000
  }
}

function dayMatches({ dayOfMonth, dayOfWeek, month }: Sets, day: number): boolean {
  const date = new Date(day * dayMs)
  if (!month.has(date.getUTCMonth() + 1)) return false
  if (dayOfMonth === undefined && dayOfWeek === undefined) return true
  return dayOfMonth?.has(date.getUTCDate()) === true || dayOfWeek?.has(date.getUTCDay()) === true
}

interface Offsets {
  format: Intl.DateTimeFormat
  /** Milliseconds by quarter since the epoch. */
  known: Map<number, number>
}

const byZone = new Map<string, Offsets>()

/** Local time less UTC in milliseconds; zones change it at quarters of an hour only. */
function offsetAt(atMs: number, timezone: string): number {
  const quarter = Math.floor(atMs / quarterMs)
  const { format, known } = offsetsOf(timezone)
  let offset = known.get(quarter)
  if (offset === undefined) {
    const reading = Date.parse(`${format.format(quarter * quarterMs).replace(' ', 'T')}Z`)
    offset = reading - quarter * quarterMs
    known.set(quarter, offset)
  }
  return offset
}

function offsetsOf(timezone: string): Offsets {
  let offsets = byZone.get(timezone)
  if (offsets === undefined) {
    const shown = { dateStyle: 'short', timeStyle: 'medium', timeZone: timezone } as const
    offsets = { format: new Intl.DateTimeFormat('sv', shown), known: new Map() }
    byZone.set(timezone, offsets)
  }
  return offsets
}
