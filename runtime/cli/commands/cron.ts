/**
 * `runtime cron`: the next times at which an expression or label fires, without a supervisor. `H` and `R` are chosen for an
 * event that is named as the expression itself, so an event of the configuration has other values of them; `all` has the
 * default tick interval. `--json`: an array of ISO instants, empty where it never fires again.
 */
import { iso } from '../../core/instant.ts'
import { parseSchedule, type Schedule } from '../../scheduler/cron/schedule.ts'
import { localIso } from '../../scheduler/cron/zone.ts'
import type { Output } from '../output.ts'
import { formatTable } from '../text/table.ts'
import { formatRelative } from '../text/time.ts'

export interface CronOptions {
  timezone: string
  /** Milliseconds since the epoch; the first time is after it. */
  afterMs: number
  count: number
}

const tickIntervalS = 60

/** @throws RuntimeError `PARAMS_INVALID`: the expression or the zone is refused */
export function cron(output: Output, expression: string, { timezone, afterMs, count }: CronOptions): void {
  const schedule = parseSchedule(expression, { timezone, seed: expression, tickIntervalS })
  const instants = nextInstants(schedule, afterMs, count).map(iso)
  output.answer(instants, (look) => {
    if (instants.length === 0) return `It never fires after ${iso(afterMs)}.`
    return formatTable(
      look,
      [timezone, 'UTC', ''],
      instants.map((instant) => [localIso(Date.parse(instant), timezone), instant, formatRelative(instant, look.nowMs)])
    )
  })
}

function nextInstants(schedule: Schedule, afterMs: number, count: number): number[] {
  const found: number[] = []
  let atMs = schedule.nextAfter(afterMs)
  while (atMs !== null && found.length < count) {
    found.push(atMs)
    atMs = schedule.nextAfter(atMs)
  }
  return found
}
