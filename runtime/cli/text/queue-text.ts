import type { QueueView } from '../../core/job.ts'
import { type JobState, jobStates } from '../../core/lifecycle.ts'
import { type Look, styled } from './look.ts'
import { oneLine } from './printable.ts'
import { formatTable } from './table.ts'
import { formatLimit, formatRelative } from './time.ts'

/** `queues`: one line each with its counts per state. */
export function formatQueues(look: Look, queues: readonly QueueView[]): string {
  return formatTable(
    look,
    ['QUEUE', 'STATUS', 'WORKERS', 'TIMEOUT', ...jobStates.map((state) => state.toUpperCase())],
    queues.map((queue) => [
      oneLine(queue.queue),
      statusOf(look, queue),
      String(queue.backgroundWorkers),
      formatLimit(queue.timeoutMs),
      ...jobStates.map((state) => countOf(look, queue, state))
    ])
  )
}

function statusOf(look: Look, queue: QueueView): string {
  if (!queue.configured) return styled(look, 'red', 'not configured')
  if (!queue.paused) return 'open'
  const end = queue.pausedUntil === null ? '' : `, ends ${formatRelative(queue.pausedUntil, look.nowMs)}`
  return styled(look, 'yellow', `paused${end}`)
}

function countOf(look: Look, queue: QueueView, state: JobState): string {
  const count = queue.counts[state]
  return state === 'failed' && count > 0 ? styled(look, 'red', String(count)) : String(count)
}
