/**
 * What `doctor` tells: rules from facts to findings, each with what to do about it. Nothing is read or written here.
 *
 * A **problem** is broken, or will be within a day: jobs fail, or do not run although nobody asked for that. A **warning**
 * looks unusual but may be meant: a pause, a bound that is near, a backlog.
 */
import type { DoctorView, Finding, QueueHealth, StatusView, StoreGrowth } from '../core/api.ts'
import type { QueueConfig } from '../core/config.ts'
import type { QueueView } from '../core/job.ts'
import type { EventView, SchedulerView } from '../core/scheduler-event.ts'
import type { PreparedView } from '../core/transaction.ts'

export interface DoctorFacts {
  nowMs: number
  status: StatusView
  schedule: SchedulerView
  health: readonly QueueHealth[]
  growth: StoreGrowth
  /** What is prepared and not decided, oldest first. */
  prepared: readonly PreparedView[]
  /** By name; a queue that is not configured has none. */
  limits: ReadonlyMap<string, Pick<QueueConfig, 'rateLimit' | 'keyRateLimit'>>
  /** null: not known. */
  diskFreeBytes: number | null
}

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

/** A job that has been ready for longer waits for more than its turn. */
const readyMsMax = 10 * minuteMs
/** A job that runs for so long after its timeout was not ended by it. */
const pastTimeoutMsMax = minuteMs
/** An event whose instant lies back further than this has not been fired. */
const overdueMsMax = 2 * minuteMs
/** Share of `maxStoreBytes` from which the store is nearly full. */
const quotaShareMax = 0.8
/** The store may not be full before then; before the second, it is a problem. */
const fullWithinMs = 7 * dayMs
const fullSoonMs = dayMs
/** Growth over a shorter time says nothing about the days to come. */
const growthSpanMsMin = 3 * hourMs
/** A file with more than this free, and more than this share of it, is larger than it needs to be. */
const fileFreeBytesMax = 256 * 1024 * 1024
const fileFreeShareMax = 0.5
/** An entry of an outbox is decided in time, or as soon as the program runs again. */
const undecidedMsMax = hourMs

export function examine(facts: DoctorFacts): DoctorView {
  const { nowMs, status, schedule, health, limits } = facts
  const healthOf = new Map(health.map((queue) => [queue.queue, queue]))
  const findings = [
    ...ofStore(facts),
    ...ofScheduler(schedule),
    ...status.queues.flatMap((queue) => {
      const stands = healthOf.get(queue.queue)
      const { rateLimit = null, keyRateLimit = null } = limits.get(queue.queue) ?? {}
      const isLimited = rateLimit !== null || keyRateLimit !== null
      const starts = !queue.paused && queue.configured && schedule.state !== 'maintenance'
      return [
        ...ofQueue(queue),
        ...(stands === undefined ? [] : ofRunning(stands, nowMs)),
        ...(stands === undefined || !starts ? [] : ofReady(queue, stands, isLimited, facts))
      ]
    }),
    ...schedule.events.flatMap((event) => ofEvent(event, nowMs)),
    ...ofOutboxes(facts)
  ]
  return { ok: findings.every(({ severity }) => severity !== 'problem'), findings }
}

function ofStore({ nowMs, status, growth, diskFreeBytes }: DoctorFacts): Finding[] {
  const { dataDir, state, store } = status
  const about = { store: dataDir }
  const findings: Finding[] = []
  const isAtQuota = store.bytesMax !== null && store.usedBytes >= store.bytesMax
  if (store.bytesMax !== null && store.usedBytes >= quotaShareMax * store.bytesMax) {
    findings.push({
      severity: isAtQuota ? 'problem' : 'warning',
      about,
      what: isAtQuota
        ? `The store has reached maxStoreBytes (${bytesText(store.bytesMax)}): enqueue is refused.`
        : `The store holds ${bytesText(store.usedBytes)}, ${percentText(store.usedBytes / store.bytesMax)} of maxStoreBytes.`,
      advice: 'Keep fewer finished jobs (retention, "runtime remove --state completed"), or raise maxStoreBytes.'
    })
  }
  if (state === 'storageFull' && !isAtQuota) {
    findings.push({
      severity: 'problem',
      about,
      what: 'The disk takes no writes: it is full.',
      advice: `Free some space on the disk of ${dataDir}.`
    })
  }
  if (store.setAside > 0) {
    findings.push({
      severity: 'problem',
      about,
      what: `${store.setAside === 1 ? '1 record was' : `${store.setAside} records were`} damaged and set aside; jobs may have failed for it or be gone.`,
      advice:
        'Check the memory and the disk of the machine. "runtime verify --json" shows what was set aside; stop the supervisor and run "runtime verify --repair --discard" once you have looked.'
    })
  }
  findings.push(...ofGrowth(about, store, growth, diskFreeBytes, nowMs))
  const freeBytes = store.bytes - store.usedBytes
  if (freeBytes > fileFreeBytesMax && freeBytes > fileFreeShareMax * store.bytes) {
    findings.push({
      severity: 'warning',
      about,
      what: `Of the ${bytesText(store.bytes)} of the store's file, ${bytesText(freeBytes)} are free.`,
      advice: 'Nothing needs to be done: new jobs use that space before the file grows. It does not shrink by itself.'
    })
  }
  return findings
}

function ofGrowth(
  about: Finding['about'],
  { bytes, usedBytes, bytesMax }: StatusView['store'],
  growth: StoreGrowth,
  diskFreeBytes: number | null,
  nowMs: number
): Finding[] {
  const first = growth[0]
  if (first === undefined || nowMs - first.atMs < growthSpanMsMin) return []
  const bytesPerMs = (usedBytes - first.usedBytes) / (nowMs - first.atMs)
  const quotaBytes = bytesMax === null ? Number.POSITIVE_INFINITY : bytesMax - usedBytes
  const diskBytes = diskFreeBytes === null ? Number.POSITIVE_INFINITY : diskFreeBytes + bytes - usedBytes
  const leftBytes = Math.min(quotaBytes, diskBytes)
  const fullInMs = bytesPerMs > 0 && leftBytes > 0 ? leftBytes / bytesPerMs : Number.POSITIVE_INFINITY
  if (fullInMs > fullWithinMs) return []
  const end = quotaBytes <= diskBytes ? 'reaches maxStoreBytes' : 'fills the disk'
  return [
    {
      severity: fullInMs <= fullSoonMs ? 'problem' : 'warning',
      about,
      what: `The store grows by ${bytesText(bytesPerMs * dayMs)} a day: it ${end} in ${spanText(fullInMs)}.`,
      advice: 'Look at "runtime queues" for what piles up; keep fewer finished jobs (retention), or make room.'
    }
  ]
}

function ofScheduler({ state, events }: SchedulerView): Finding[] {
  if (state === 'maintenance') {
    return [
      {
        severity: 'warning',
        about: { supervisor: 'maintenance' },
        what: 'Maintenance mode is on: no events fire and no jobs start.',
        advice: '"runtime maintenance off" ends it.'
      }
    ]
  }
  if (state === 'active' || events.length === 0) return []
  return [
    {
      severity: 'warning',
      about: { supervisor: 'scheduler' },
      what: 'The scheduler is paused.',
      advice: '"runtime scheduler resume" ends that.'
    }
  ]
}

function ofQueue({ queue, configured, paused, pausedUntil, counts }: QueueView): Finding[] {
  const about = { queue }
  const waiting = counts.ready + counts.scheduled
  const findings: Finding[] = []
  if (!configured && waiting > 0) {
    findings.push({
      severity: 'problem',
      about,
      what: `Queue "${queue}" is not configured any more, and ${waitText(waiting)} in it.`,
      advice: `Put it back under workers, "runtime move --queue ${queue} --to" another queue, or "runtime purge ${queue}".`
    })
  }
  if (paused && waiting > 0) {
    findings.push({
      severity: 'warning',
      about,
      what: `Queue "${queue}" is paused${pausedUntil === null ? '' : ` until ${pausedUntil}`}, and ${waitText(waiting)} in it.`,
      advice: `"runtime resume ${queue}" starts them.`
    })
  }
  if (counts.failed > 0) {
    findings.push({
      severity: 'problem',
      about,
      what: `Queue "${queue}" holds ${counts.failed} failed job${counts.failed === 1 ? '' : 's'}.`,
      advice: `"runtime jobs --state failed --queue ${queue}" shows them, "runtime retry --failed --queue ${queue}" runs them again, "runtime remove --state failed --queue ${queue}" forgets them.`
    })
  }
  return findings
}

/** What has no end, and what is not promoted. */
function ofRunning({ queue, oldestRunning, overdue }: QueueHealth, nowMs: number): Finding[] {
  const about = { queue }
  const findings: Finding[] = []
  if (oldestRunning !== null) {
    const pastMs = nowMs - oldestRunning.startedAtMs - oldestRunning.timeoutMs
    if (pastMs > pastTimeoutMsMax) {
      findings.push({
        severity: 'problem',
        about,
        what: `Queue "${queue}" is stuck: its job ${oldestRunning.id} runs although its timeout passed ${spanText(pastMs)} ago.`,
        advice: `"runtime cancel ${oldestRunning.id}"; if that does not end it, look at the log of the supervisor and start it again.`
      })
    }
  }
  if (overdue > 0) {
    findings.push({
      severity: 'problem',
      about,
      what: `${overdue} scheduled job${overdue === 1 ? '' : 's'} of queue "${queue}" ${overdue === 1 ? 'is' : 'are'} overdue.`,
      advice:
        'If they do not become fewer, look at the log of the supervisor and at the clock of the machine, then start the supervisor again.'
    })
  }
  return findings
}

/** Of a queue that may start jobs. */
function ofReady(
  { backgroundWorkers, counts }: QueueView,
  { queue, oldestReady }: QueueHealth,
  isLimited: boolean,
  { nowMs, status }: DoctorFacts
): Finding[] {
  // While there was no supervisor nothing could start.
  if (oldestReady === null) return []
  const couldStartSinceMs = Math.max(oldestReady.readySinceMs, Date.parse(status.startedAt))
  if (nowMs - couldStartSinceMs <= readyMsMax) return []
  const idle = backgroundWorkers - counts.running
  const waits = `Job ${oldestReady.id} of queue "${queue}" has been ready for ${spanText(nowMs - oldestReady.readySinceMs)}`
  if (idle <= 0) {
    return [
      {
        severity: 'warning',
        about: { queue },
        what: `${waits}: all ${backgroundWorkers} workers are busy.`,
        advice: `Give queue "${queue}" more backgroundWorkers, or make its jobs shorter or fewer.`
      }
    ]
  }
  // A key that has its keyConcurrency running, or a rate limit, holds back jobs on purpose.
  const isStuck = counts.running === 0 && !isLimited
  return [
    {
      severity: isStuck ? 'problem' : 'warning',
      about: { queue },
      what: `${waits} although ${idle} of ${backgroundWorkers} workers are idle.`,
      advice: isStuck
        ? 'Look at the log of the supervisor: its threads may not start. Starting it again loses no job.'
        : 'A rate limit or keyConcurrency may hold it back: "runtime job" shows its key. Else look at the log of the supervisor.'
    }
  ]
}

function ofEvent({ event, problem, lastOutcome, lastJob, next }: EventView, nowMs: number): Finding[] {
  const about = { event }
  if (problem !== null) {
    const advice = 'Mend the configuration or the actors, then "runtime migrate" or "runtime reload".'
    return [{ severity: 'problem', about, what: `Scheduler event "${event}" cannot run: ${problem}`, advice }]
  }
  if (next !== null && Date.parse(next) < nowMs - overdueMsMax) {
    const what = `Scheduler event "${event}" is overdue since ${next}.`
    return [{ severity: 'problem', about, what, advice: 'Look at the log of the supervisor.' }]
  }
  if (lastOutcome !== 'failed') return []
  const what = `The last run of scheduler event "${event}" failed.`
  return [{ severity: 'problem', about, what, advice: `"runtime job ${lastJob}" shows why.` }]
}

function ofOutboxes({ nowMs, prepared }: DoctorFacts): Finding[] {
  const late = prepared.filter(({ undecidedAt }) => nowMs - Date.parse(undecidedAt) > undecidedMsMax)
  const outboxes = new Set(late.map(({ outbox }) => outbox))
  return [...outboxes].map((outbox) => {
    const entries = late.filter((entry) => entry.outbox === outbox)
    const oldestMs = nowMs - Math.min(...entries.map(({ undecidedAt }) => Date.parse(undecidedAt)))
    const entriesText = entries.length === 1 ? '1 entry that is' : `${entries.length} entries that are`
    return {
      severity: 'warning',
      about: { outbox },
      what: `Outbox "${outbox}" holds ${entriesText} undecided although the program should have decided, the oldest ${spanText(oldestMs)} ago.`,
      advice: `Start the program that opens the outbox "${outbox}": its decide is asked, if it has one. By hand: "runtime outbox list", then "runtime outbox commit ID" or "abort ID", as the database of the program has it.`
    }
  })
}

function waitText(jobs: number): string {
  return jobs === 1 ? '1 job waits' : `${jobs} jobs wait`
}

function percentText(share: number): string {
  return `${Math.floor(share * 100)} %`
}

/** In the largest unit of which there are two. */
function spanText(spanMs: number): string {
  if (spanMs < 2 * hourMs) return `${Math.floor(spanMs / minuteMs)} min`
  if (spanMs < 2 * dayMs) return `${Math.floor(spanMs / hourMs)} h`
  return `${Math.floor(spanMs / dayMs)} d`
}

function bytesText(bytes: number): string {
  const mebibytes = bytes / 1024 / 1024
  return mebibytes < 1024 ? `${mebibytes.toFixed(1)} MiB` : `${(mebibytes / 1024).toFixed(1)} GiB`
}
