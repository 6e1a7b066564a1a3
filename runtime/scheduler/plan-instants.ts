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
/** After so many instants half of the time that is left is leapt over: after very long, not all are counted as missed. */
const instantsPerLeap = 10_000
/** Runs that `missed: all` makes up for. */
const madeUpMax = 100

/**
 * @param firstAtMs the earliest instant that has not fired
 * @param startedAtMs since when instants could be fired
 */
export function planInstants(firstAtMs: number, event: PlannedEvent, nowMs: number, startedAtMs: number): InstantPlan {
  const instants: number[] = []
  let next: number | null = firstAtMs
  while (next !== null && next <= nowMs) {
    instants.push(next)
    next = (instants.length % instantsPerLeap === 0 && leapt(event, next, nowMs)) || nextInstant(event, next)
  }
  const runsAtMs = runsOf(instants, event, (atMs) => atMs < startedAtMs || nowMs - atMs > lateMsMax)
  return { runsAtMs, misses: instants.length - runsAtMs.length, nextAtMs: next }
}

/** @returns the first instant of the second half of the time up to now; undefined where that holds none */
function leapt(event: PlannedEvent, atMs: number, nowMs: number): number | undefined {
  const next = nextInstant(event, Math.floor((atMs + nowMs) / 2))
  return next !== null && next <= nowMs ? next : undefined
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
