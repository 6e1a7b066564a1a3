/**
 * `runtime doctor`: what is wrong with a running supervisor, and what to do about it. Exit code 1 when something is.
 * `--json`: `{"ok", "findings": [{"what", "advice"}]}`.
 */
import type { StatusView } from '../../core/api.ts'
import type { QueueView } from '../../core/job.ts'
import type { EventView, SchedulerView } from '../../core/scheduler-event.ts'
import type { ClientSession } from '../client-session.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { counted } from '../text/counted.ts'
import { styled } from '../text/look.ts'
import { oneLine } from '../text/printable.ts'

interface Finding {
  what: string
  advice: string
}

/** An event whose instant lies back further than this has not been fired. */
const overdueMs = 120_000

export async function doctor({ runtime, output }: ClientSession): Promise<ExitCode> {
  const [status, schedule] = await Promise.all([runtime.status(), runtime.schedule.list()])
  const findings = [
    ...ofSupervisor(status),
    ...status.queues.flatMap(ofQueue),
    ...ofScheduler(schedule),
    ...schedule.events.flatMap((event) => ofEvent(event, Date.now()))
  ]
  output.answer({ ok: findings.length === 0, findings }, (look) =>
    findings.length === 0
      ? 'Nothing is wrong.'
      : findings.map(({ what, advice }) => `${styled(look, 'red', oneLine(what))}\n  ${oneLine(advice)}`).join('\n')
  )
  return findings.length === 0 ? exitCodes.done : exitCodes.failed
}

function ofSupervisor({ state, dataDir }: StatusView): Finding[] {
  if (state !== 'storageFull') return []
  return [{ what: 'The disk takes no writes: it is full.', advice: `Free some space on the disk of ${dataDir}.` }]
}

function ofQueue({ queue, configured, paused, counts }: QueueView): Finding[] {
  const waiting = counts.ready + counts.scheduled
  const findings: Finding[] = []
  if (!configured && waiting > 0) {
    findings.push({
      what: `Queue "${queue}" is not configured any more, and ${counted(waiting, 'job')} wait in it.`,
      advice: `Put it back under workers, or "runtime purge ${queue}".`
    })
  }
  if (paused && waiting > 0) {
    findings.push({
      what: `Queue "${queue}" is paused, and ${counted(waiting, 'job')} wait in it.`,
      advice: `"runtime resume ${queue}" starts them.`
    })
  }
  if (counts.failed > 0) {
    findings.push({
      what: `Queue "${queue}" holds ${counted(counts.failed, 'failed job')}.`,
      advice: `"runtime jobs --state failed --queue ${queue}" shows them, "runtime retry --failed --queue ${queue}" runs them again.`
    })
  }
  return findings
}

function ofScheduler({ state, events }: SchedulerView): Finding[] {
  if (state === 'maintenance') {
    return [
      {
        what: 'Maintenance mode is on: no events fire and no jobs start.',
        advice: '"runtime maintenance off" ends it.'
      }
    ]
  }
  if (state === 'active' || events.length === 0) return []
  return [{ what: 'The scheduler is paused.', advice: '"runtime scheduler resume" ends that.' }]
}

function ofEvent({ event, problem, lastOutcome, lastJob, next }: EventView, nowMs: number): Finding[] {
  if (problem !== null) {
    const advice = 'Mend the configuration or the actors, then "runtime migrate" or "runtime reload".'
    return [{ what: `Scheduler event "${event}" cannot run: ${problem}`, advice }]
  }
  if (next !== null && Date.parse(next) < nowMs - overdueMs) {
    return [
      { what: `Scheduler event "${event}" is overdue since ${next}.`, advice: 'Look at the log of the supervisor.' }
    ]
  }
  if (lastOutcome !== 'failed') return []
  return [{ what: `The last run of scheduler event "${event}" failed.`, advice: `"runtime job ${lastJob}" shows why.` }]
}
