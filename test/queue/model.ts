/** The queue as one would write it without a disk: an array of jobs and plain loops. What the durable queue is held against. */
import type { JobState } from '../../runtime/core/lifecycle.ts'

/** Of the process in which a job runs. */
const crashesMax = 3

export interface ModelJob {
  id: string
  number: number
  queue: string
  state: JobState
  priority: number
  atFront: boolean
  dueAtMs: number
  attemptsMax: number
  backoffMs: number
  made: number
  failures: number
  interruptions: number
  crashes: number
}

export interface ModelRequest {
  jobId?: string
  queue: string
  priority: number
  atFront: boolean
  delayMs: number
  attempts: number
  backoffMs: number
  deduplicate: boolean
}

const finished = (state: JobState) => state === 'completed' || state === 'failed' || state === 'cancelled'

export class ModelQueue {
  jobs: ModelJob[] = []
  paused = new Set<string>()
  maxQueued: ReadonlyMap<string, number>
  #numbers = 0

  constructor(maxQueued: ReadonlyMap<string, number>) {
    this.maxQueued = maxQueued
  }

  /** @returns an error code, or for each request whether it found its job already there */
  enqueue(requests: readonly ModelRequest[], nowMs: number): string | boolean[] {
    const ids = new Set<string>()
    const found: boolean[] = []
    for (const { jobId, deduplicate } of requests) {
      const holder = jobId === undefined ? undefined : this.find(jobId)
      if (holder !== undefined && deduplicate && !finished(holder.state)) {
        found.push(true)
        continue
      }
      if (holder !== undefined || (jobId !== undefined && ids.has(jobId))) return 'JOB_EXISTS'
      if (jobId !== undefined) ids.add(jobId)
      found.push(false)
    }
    const fresh = requests.filter((_, index) => !found[index])
    for (const [queue, most] of this.maxQueued) {
      const more = fresh.filter((request) => request.queue === queue).length
      const waiting = this.jobs.filter(
        (job) => job.queue === queue && ['ready', 'scheduled'].includes(job.state)
      ).length
      if (more > 0 && waiting + more > most) return 'QUEUE_FULL'
    }
    for (const request of fresh) {
      this.jobs.push({
        id: request.jobId ?? '',
        number: ++this.#numbers,
        queue: request.queue,
        state: request.delayMs > 0 ? 'scheduled' : 'ready',
        priority: request.priority,
        atFront: request.atFront,
        dueAtMs: nowMs + request.delayMs,
        attemptsMax: request.attempts,
        backoffMs: request.backoffMs,
        made: 0,
        failures: 0,
        interruptions: 0,
        crashes: 0
      })
    }
    return found
  }

  find(id: string): ModelJob | undefined {
    return this.jobs.find((job) => job.id === id)
  }

  claim(queue: string, max: number): ModelJob[] {
    if (this.paused.has(queue)) return []
    const ready = this.jobs.filter((job) => job.queue === queue && job.state === 'ready').sort(runsBefore)
    for (const job of ready.slice(0, max)) {
      job.state = 'running'
      job.made++
    }
    return ready.slice(0, max)
  }

  fail(job: ModelJob, final: boolean, nowMs: number): void {
    job.failures++
    if (final || job.failures >= job.attemptsMax) job.state = 'failed'
    else this.runLater(job, nowMs + job.backoffMs)
  }

  /** Its host ended. Out of memory is a failure like any other where no other job can be to blame. */
  hostEnded(job: ModelJob, outOfMemory: boolean, alone: boolean, nowMs: number): void {
    if (outOfMemory && alone) {
      this.fail(job, false, nowMs)
      return
    }
    job.crashes++
    if (job.crashes >= crashesMax) {
      job.state = 'failed'
    } else {
      job.state = 'ready'
      job.made--
    }
  }

  runLater(job: ModelJob, dueAtMs: number): void {
    job.state = 'scheduled'
    job.dueAtMs = dueAtMs
  }

  promote(nowMs: number): void {
    for (const job of this.jobs) if (job.state === 'scheduled' && job.dueAtMs <= nowMs) job.state = 'ready'
  }

  crash(): void {
    for (const job of this.jobs) {
      if (job.state !== 'running') continue
      job.state = 'ready'
      job.interruptions++
    }
  }

  retry(job: ModelJob): string | undefined {
    if (job.state === 'ready' || job.state === 'running') return 'JOB_STATE'
    job.state = 'ready'
    job.failures = 0
    job.crashes = 0
    return undefined
  }

  remove(job: ModelJob): string | undefined {
    if (job.state === 'running') return 'JOB_STATE'
    this.jobs = this.jobs.filter((other) => other !== job)
    return undefined
  }

  count(queue: string, state: JobState): number {
    return this.jobs.filter((job) => job.queue === queue && job.state === state).length
  }

  nextDueAtMs(): number | null {
    const due = this.jobs.filter(({ state }) => state === 'scheduled').map(({ dueAtMs }) => dueAtMs)
    return due.length === 0 ? null : Math.min(...due)
  }
}

/** E9: at front before all, the last one first; then larger priorities; then the order of enqueueing. */
function runsBefore(one: ModelJob, other: ModelJob): number {
  if (one.atFront !== other.atFront) return one.atFront ? -1 : 1
  if (one.atFront) return other.number - one.number
  return other.priority - one.priority || one.number - other.number
}
