/** Which of the due instants of an event run, by its policy for missed ones. */
import type { PlannedEvent } from './read-events.ts'

export interface InstantPlan {
  /** Oldest first. */
  runsAtMs: number[]
  misses: number
  nextAtMs: number | null
}

/** An instant that could not be fired for so long is missed. */
const lateMsMax = 60_000
/** Instants that are looked at one by one; after a longer time without firing, older ones are not even counted. */
const instantsMax = 10_000
/** Runs that `missed: all` makes up for. */
const madeUpMax = 100

/**
 * @param firstAtMs the earliest instant that has not fired
 * @param startedAtMs since when instants could be fired
 */
export function planInstants(firstAtMs: number, event: PlannedEvent, nowMs: number, startedAtMs: number): InstantPlan {
  const instants: number[] = []
  let next: number | null = firstAtMs
  while (next !== null && next <= nowMs && instants.length < instantsMax) {
    instants.push(next)
    next = nextInstant(event, next)
  }
  const runsAtMs = runsOf(instants, event, (atMs) => atMs < startedAtMs || nowMs - atMs > lateMsMax)
  const nextAtMs = next !== null && next <= nowMs ? nextInstant(event, nowMs) : next
  return { runsAtMs, misses: instants.length - runsAtMs.length, nextAtMs }
}

/** The first instant after `atMs`, `spread` included; null where there is none. */
export function nextInstant({ schedule, offsetMs }: PlannedEvent, atMs: number): number | null {
  const nextAtMs = schedule.nextAfter(atMs - offsetMs)
  return nextAtMs === null ? null : nextAtMs + offsetMs
}

function runsOf(instants: number[], { missed }: PlannedEvent, isMissed: (atMs: number) => boolean): number[] {
  switch (missed) {
    case 'once':
      return instants.slice(-1)
    case 'skip':
      return instants.slice(-1).filter((atMs) => !isMissed(atMs))
    case 'all':
      return instants.slice(-madeUpMax)
  }
}
