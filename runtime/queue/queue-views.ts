/** Jobs and queues as they are shown: what the last commit holds, never changed. */
import type { QueueHealth } from '../core/api.ts'
import type { Clock } from '../core/clock.ts'
import type { QueueConfig } from '../core/config.ts'
import { iso } from '../core/instant.ts'
import type { JobFilter, JobPage, JobView, QueueView } from '../core/job.ts'
import type { Store } from '../store/store.ts'
import { readTotals } from './commit.ts'
import { healthOf } from './health.ts'
import { jobView, wholeJobView } from './job-view.ts'
import { walkJobs } from './job-walk.ts'
import { isPaused, type QueueRegistry } from './queue-registry.ts'
import type { Rates } from './rates.ts'
import { requireJob } from './stored-job.ts'

export interface QueueViewsParts {
  store: Store
  tag: string
  queues: ReadonlyMap<string, QueueConfig>
  clock: Clock
  registry: QueueRegistry
  rates: Rates
}

const pageDefault = 50
/** What one page may look at: some tens of milliseconds. */
const pageLooksMax = 40_000

export class QueueViews {
  readonly #parts: QueueViewsParts

  constructor(parts: QueueViewsParts) {
    this.#parts = parts
  }

  job(id: string): JobView {
    const { store, tag, registry } = this.#parts
    const job = requireJob(store.reader, id, tag, 'show')
    return wholeJobView(store.reader, job, registry.nameOf(job.spec.queue))
  }

  jobs({ limit = pageDefault, cursor, ...selection }: JobFilter): JobPage {
    const { store, registry } = this.#parts
    const page = walkJobs(store.reader, registry, { selection, limit, cursor, looksMax: pageLooksMax })
    return { jobs: page.jobs.map((job) => jobView(job, registry.nameOf(job.spec.queue))), cursor: page.cursor }
  }

  queues(): QueueView[] {
    return [...this.#parts.registry.names].map((name) => this.queue(name))
  }

  queue(name: string): QueueView {
    const { store, queues, clock, registry, rates } = this.#parts
    const number = registry.require(name, 'show')
    const config = queues.get(name)
    const nowMs = clock.wallMs()
    const record = registry.record(store.reader, number)
    const paused = isPaused(record, nowMs)
    return {
      queue: name,
      paused,
      pausedUntil: paused && record.pausedUntilMs !== null ? iso(record.pausedUntilMs) : null,
      configured: config !== undefined,
      backgroundWorkers: config?.backgroundWorkers ?? 0,
      timeoutMs: config?.timeoutMs ?? 0,
      counts: readTotals(store.reader, number).counts,
      rates: rates.of(name, nowMs)
    }
  }

  health(): QueueHealth[] {
    const { store, clock, registry } = this.#parts
    const nowMs = clock.wallMs()
    return [...registry.names].map((name) => healthOf(store.reader, name, registry.numberOf(name)!, nowMs))
  }
}
