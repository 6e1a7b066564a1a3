/**
 * Waits for one job and tells meanwhile what it does. What happened between the enqueue and the subscription is not told
 * again, and nothing depends on it: the end comes from `job.wait`, which knows of the past.
 */
import type { Duration } from '../core/duration.ts'
import type { JobEvent } from '../core/events.ts'
import type { JobView } from '../core/job.ts'
import type { ClientSession } from './client-session.ts'
import type { Output } from './output.ts'
import { present } from './present.ts'
import { formatGap } from './text/event-text.ts'
import { formatErrorLine, formatLogLine, formatProgress } from './text/job-text.ts'
import { formatRelative } from './text/time.ts'

/**
 * @param timeout longest time to wait; without it, as long as it takes
 * @returns the job, completed, failed or cancelled
 * @throws RuntimeError `WAIT_TIMEOUT`, `JOB_UNKNOWN`, `NOT_CONNECTED`
 */
export async function followJob(
  { runtime, output }: ClientSession,
  id: string,
  timeout: Duration | undefined
): Promise<JobView> {
  const subscription = await runtime.subscribe(
    { job: id, types: ['progress', 'log', 'retrying', 'suspended'] },
    (event) => tell(output, event),
    { onGap: (gap) => output.note((look) => formatGap(look, gap)) }
  )
  try {
    return await runtime.job.wait(id, present({ timeout }))
  } finally {
    output.clearProgress()
    // A lost connection has ended the subscription, and is reported by the wait.
    await subscription.unsubscribe().catch(() => {})
  }
}

function tell(output: Output, event: JobEvent): void {
  if (event.progress !== undefined && event.type === 'progress') {
    output.progress(formatProgress(event.progress))
    return
  }
  output.clearProgress()
  const { log, error, runAt } = event
  if (event.type === 'log' && log !== undefined) output.note(() => formatLogLine(log))
  if (event.type === 'retrying') {
    output.note((look) => {
      const why = error === undefined ? '' : `: ${formatErrorLine(error)}`
      const when = runAt === undefined ? '' : ` Next attempt ${formatRelative(runAt, look.nowMs)}.`
      return `attempt ${event.attempt ?? ''} failed${why}.${when}`
    })
  }
  if (event.type === 'suspended') {
    output.note((look) => {
      if (runAt === undefined) return 'The job waits for a signal.'
      return `The job sleeps, or waits for a signal; it goes on ${formatRelative(runAt, look.nowMs)} at the latest.`
    })
  }
}
