import type { EventGap, JobEvent } from '../../core/events.ts'
import { formatErrorLine, formatProgress } from './job-text.ts'
import { type Look, styled } from './look.ts'
import { oneLine } from './printable.ts'
import { formatRelative } from './time.ts'

/** `events`: one line, the parts that are always there first. */
export function formatEvent(look: Look, event: JobEvent): string {
  const bad = event.type === 'failed' || event.type === 'retrying' || event.type === 'interrupted'
  const type = event.type.padEnd(11)
  const parts = [
    styled(look, 'dim', event.at),
    bad ? styled(look, 'red', type) : type,
    oneLine(event.job),
    oneLine(event.queue),
    event.method,
    ...detailsOf(look, event)
  ]
  return parts.join('  ')
}

/** `events`: one line in place of the events that are missing. */
export function formatGap(look: Look, { missed, reason }: EventGap): string {
  const events =
    missed === null
      ? 'Events may be missing here'
      : `${missed} ${missed === 1 ? 'event is' : 'events are'} missing here`
  return styled(look, 'red', `${events}: ${gapReasons[reason]}.`)
}

const gapReasons: Readonly<Record<EventGap['reason'], string>> = {
  slow: 'they came faster than they were read',
  expired: 'the cursor is from too long ago',
  restarted: 'the supervisor has been restarted since'
}

function detailsOf(look: Look, event: JobEvent): string[] {
  const details: string[] = []
  if (event.progress !== undefined) details.push(formatProgress(event.progress))
  if (event.log !== undefined) details.push(`${event.log.level}: ${oneLine(event.log.message)}`)
  if (event.error !== undefined) details.push(formatErrorLine(event.error))
  if (event.count !== undefined) details.push(`${event.count} times`)
  if (event.runAt !== undefined) details.push(`again ${formatRelative(event.runAt, look.nowMs)}`)
  return details
}
