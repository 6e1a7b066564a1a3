import { parseSchedule } from './schedule.ts'

/**
 * When a cron expression or label fires next, for those that keep no schedule, such as the reminders of documents. `H` in it
 * is chosen by the expression itself.
 *
 * @param tickIntervalS the interval of the label `all`
 * @returns a function: the first instant after `afterMs`, null where there is none; `timezone` null is UTC. It throws a RuntimeError
 * `PARAMS_INVALID` of an expression or zone that is none
 */
export function nextInstantOf(
  tickIntervalS: number
): (cron: string, timezone: string | null, afterMs: number) => number | null {
  return (cron, timezone, afterMs) =>
    parseSchedule(cron, { timezone: timezone ?? 'UTC', seed: cron, tickIntervalS }).nextAfter(afterMs)
}
