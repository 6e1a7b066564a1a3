import type { EventView, SchedulerView } from '../../core/scheduler-event.ts'
import { type Look, styled } from './look.ts'
import { oneLine } from './printable.ts'
import { formatTable } from './table.ts'
import { formatInstant, formatRelative, formatSpan } from './time.ts'

/** `schedule`: one line for each event, then the state of the scheduler where it does not run. */
export function formatSchedule(look: Look, { state, events }: SchedulerView): string {
  const table = formatTable(
    look,
    [
      'EVENT',
      'METHOD',
      'EXPRESSION',
      'ZONE',
      'NEXT',
      'LAST',
      'OUTCOME',
      'TOOK',
      'RUNS',
      'FAILED',
      'SKIPPED',
      'MISSED',
      ''
    ],
    events.map((event) => [
      oneLine(event.event),
      oneLine(event.method),
      oneLine(event.expression),
      oneLine(event.timezone),
      event.next === null ? '-' : formatInstant(event.next, look.nowMs),
      event.lastInstant === null ? '-' : formatRelative(event.lastInstant, look.nowMs),
      outcomeOf(look, event),
      event.lastDurationMs === null ? '-' : formatSpan(event.lastDurationMs),
      String(event.runs),
      String(event.failures),
      String(event.skips),
      String(event.misses),
      remarkOf(look, event)
    ])
  )
  const stands = { active: [], paused: ['The scheduler is paused.'], maintenance: ['Maintenance mode is on.'] }[state]
  return [table, ...stands.map((text) => styled(look, 'yellow', text))].join('\n')
}

function outcomeOf(look: Look, { lastOutcome, lastJob }: EventView): string {
  if (lastOutcome === null) return lastJob === null ? '-' : 'running'
  return lastOutcome === 'failed' ? styled(look, 'red', lastOutcome) : lastOutcome
}

function remarkOf(look: Look, { state, problem, skipsNext }: EventView): string {
  const remarks = [state === 'paused' ? 'paused' : '', skipsNext ? 'skips the next' : '', problem ?? '']
  const remark = oneLine(remarks.filter((text) => text !== '').join('; '))
  return remark === '' ? '' : styled(look, problem === null ? 'yellow' : 'red', remark)
}
