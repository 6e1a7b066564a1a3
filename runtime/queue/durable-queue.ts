/**
 * The durable queue: the only code that changes a job's state. Each method is one arrow, or one family of arrows, of the
 * lifecycle (core/lifecycle.ts), done in one commit; when its promise resolves, the change is flushed to disk. Plain data in,
 * plain data out; who must act on a change is told through {@link QueueListener}, who wants to know through the events.
 */
import type { JobChange } from '../core/api.ts'
import type { MethodCatalogue } from '../core/catalogue.ts'
import type { Clock } from '../core/clock.ts'
import type { QueueConfig } from '../core/config.ts'
import type { EventStream } from '../core/events.ts'
import type {
  EnqueueRequest,
  EnqueueResult,
  JobError,
  JobFilter,
  JobLogLine,
  JobPage,
  JobView,
  QueueView
} from '../core/job.ts'
import { isFinished, type JobState } from '../core/lifecycle.ts'
import { moveBatchMax } from '../core/limits.ts'
import type { JobMessage } from '../core/pool.ts'
import {
  dueOfScheduledKey,
  dueRange,
  readyRange,
  runningKey,
  runningRange,
  scheduledRange,
  seqOfReadyKey
} from '../store/keys.ts'
import { decodeStanding, encodeStanding, type Standing } from '../store/records.ts'
import type { Store, Transaction } from '../store/store.ts'
import { admit } from './admission.ts'
import { type Ending, endAttempt, historyForRetry } from './attempts.ts'
import { type CommitParts, QueueCommit, type QueueListener, readCounts } from './commit.ts'
import { DurableSchedule } from './durable-schedule.ts'
import { readScheduler } from './event-records.ts'
import { draftJob, encodePayload, type JobDraft } from './job-draft.ts'
import { listJobs } from './job-list.ts'
import { jobView } from './job-view.ts'
import { type Place, placeOf, seqIn } from './places.ts'
import { QueueRegistry } from './queue-registry.ts'
import { saysWhich, wrongState } from './refusals.ts'
import { readFreshJob, readJob, requireJob, type StoredJob } from './stored-job.ts'

export interface DurableQueueParts {
  store: Store
  /** Of the store; begins the ids that it makes. */
  tag: string
  queues: ReadonlyMap<string, QueueConfig>
  catalogue: MethodCatalogue
  clock: Clock
  /** From 0 to 1, exclusive; for the jitter of backoffs. */
  random: () => number
  events: EventStream
  listener: QueueListener
}

/** A job that is now running; `seq` and `attempt` name this attempt when it is settled. */
export interface ClaimedJob extends Omit<JobMessage, 'file'> {
  seq: number
}

/** What an attempt said while it ran. */
export interface AttemptTrace {
  progress: Standing['progress']
  logs: JobLogLine[]
}

export class DurableQueue {
  readonly #parts: DurableQueueParts
  readonly #registry = new QueueRegistry()
  readonly #commitParts: CommitParts
  /** Scheduler events, in the same store, so that an instant and its job are one commit. */
  readonly schedule: DurableSchedule

  constructor(parts: DurableQueueParts) {
    this.#parts = parts
    this.#commitParts = { ...parts, registry: this.#registry }
    this.schedule = new DurableSchedule({
      reader: () => parts.store.reader,
      registry: this.#registry,
      tag: parts.tag,
      commit: (operation) => this.#commit(operation)
    })
  }

  /**
   * Registers the queues, and brings back to ready what was running when the last supervisor died: the attempt counts as
   * made and is shown as interrupted, but it is no failure.
   *
   * @returns how many jobs were brought back
   */
  async start(): Promise<number> {
    await this.#commit((commit, transaction) => this.#registry.open(transaction, commit.counters, this.#parts.queues))
    return this.#visit({ state: 'running', range: runningRange }, (commit, job) => {
      endAttempt(commit, job, { type: 'interrupted' }, 0)
      return true
    })
  }

  /**
   * All of the jobs or none, in one commit.
   *
   * @throws RuntimeError `METHOD_UNKNOWN`, `QUEUE_UNKNOWN`, `PARAMS_INVALID`, `PAYLOAD_TOO_LARGE`, `JOB_EXISTS`,
   * `QUEUE_FULL`, `STORAGE_FULL`; of several jobs, `data.index` says which
   */
  async enqueue(requests: readonly EnqueueRequest[]): Promise<EnqueueResult[]> {
    const { catalogue, queues, tag, clock } = this.#parts
    for (const { method } of requests) {
      if (catalogue.known(method) === undefined) await catalogue.resolve(method)
    }
    const context = { queues, tag, nowMs: clock.wallMs() }
    const drafts = requests.map((request, index) => saysWhich(requests, index, () => draftJob(request, context)))
    return this.#commit((commit) => admit(commit, this.#registry, drafts, tag))
  }

  /**
   * A job as it would be enqueued, for {@link DurableQueue.schedule}. The method must be known.
   *
   * @throws RuntimeError as {@link DurableQueue.enqueue}
   */
  draft(request: EnqueueRequest): JobDraft {
    const { queues, tag, clock } = this.#parts
    return draftJob(request, { queues, tag, nowMs: clock.wallMs() })
  }

  /** Takes up to `max` ready jobs of a queue, in their order; none while the queue is paused, or in maintenance mode. */
  claim(queue: string, max: number): Promise<ClaimedJob[]> {
    const number = this.#registry.require(queue, 'claim from')
    return this.#commit((commit, transaction) => {
      if (this.#registry.record(transaction, number).paused || readScheduler(transaction).maintenance) return []
      const entries = [...transaction.entries({ ...readyRange(number), limit: max })]
      return entries.map(({ key, value }) => {
        const seq = seqOfReadyKey(key)
        const job = (value.length === 0 ? readFreshJob : readJob)(transaction, seq)!
        commit.move(job, 'claim', { made: job.standing.made + 1, startedAtMs: commit.nowMs })
        return this.#claimed(job)
      })
    })
  }

  /**
   * Ends an attempt: completed, failed, scheduled again, or ready again.
   *
   * @returns false where the job is not in this attempt any more, because it was cancelled; nothing is changed then
   */
  settle({ seq, attempt }: ClaimedJob, ending: Ending, trace: AttemptTrace): Promise<boolean> {
    return this.#commit((commit, transaction) => {
      const job = readJob(transaction, seq)
      if (job?.standing.state !== 'running' || job.standing.made !== attempt) return false
      job.standing = { ...job.standing, ...trace }
      endAttempt(commit, job, ending, this.#parts.random())
      return true
    })
  }

  /**
   * Stores what running jobs have said so far, so that an interrupted attempt keeps it. A job that is not in this attempt
   * any more is left alone.
   *
   * @throws RuntimeError `STORAGE_FULL`: some of them may not be stored
   */
  async storeTraces(traces: readonly { job: ClaimedJob; trace: AttemptTrace }[]): Promise<void> {
    // An operation each: they share a commit as far as one commit may grow.
    const stored = traces.map(({ job: { seq, attempt }, trace }) =>
      this.#commit((_commit, transaction) => {
        const key = runningKey(seq)
        const value = transaction.get(key)
        if (value === undefined) return
        const standing = decodeStanding(key, value)
        if (standing.made === attempt) transaction.put(key, encodeStanding(key, { ...standing, ...trace }))
      })
    )
    await Promise.all(stored)
  }

  /** Moves what is due at `nowMs` to ready. @returns when the next job is due, or null where none is scheduled */
  async promoteDue(nowMs: number): Promise<number | null> {
    const dueAtMs = this.#nextDueAtMs()
    if (dueAtMs === null || dueAtMs > nowMs) return dueAtMs
    await this.#visit({ state: 'scheduled', range: dueRange(nowMs) }, (commit, job) => {
      commit.move(job, 'due', { dueAtMs: null })
      commit.tell(job, 'ready')
      return true
    })
    return this.#nextDueAtMs()
  }

  /**
   * Cancels in any state; a finished job stays as it is.
   *
   * @param traceOf what the attempt has said so far, if the job runs
   * @throws RuntimeError `JOB_UNKNOWN`
   */
  cancel(id: string, traceOf: (queue: string) => AttemptTrace | undefined): Promise<JobChange> {
    return this.#commit((commit, transaction) => {
      const job = requireJob(transaction, id, this.#parts.tag, 'cancel')
      const { state } = job.standing
      if (isFinished(state)) return { id, state, changed: false }
      const error: JobError = { code: 'CANCELLED', name: 'Cancelled', message: `The job was cancelled while ${state}.` }
      const trace = state === 'running' ? traceOf(this.#registry.nameOf(job.spec.queue)) : undefined
      commit.move(job, 'cancel', { ...trace, finishedAtMs: commit.nowMs, dueAtMs: null, error })
      if (state === 'running') commit.tellCancelled(job)
      commit.tell(job, 'cancelled', { error })
      return { id, state: job.standing.state, changed: true }
    })
  }

  /**
   * Starts a finished job again with all its attempts, or brings a scheduled one forward.
   *
   * @param params JSON value that replaces the old one; undefined keeps it
   * @throws RuntimeError `JOB_UNKNOWN`, `JOB_STATE` where it is ready or running, `PARAMS_INVALID`, `PAYLOAD_TOO_LARGE`
   */
  async retry(id: string, params?: unknown): Promise<JobChange> {
    const payload = params === undefined ? undefined : encodePayload(params, `retry job "${id}"`)
    return this.#commit((commit, transaction) => {
      const job = requireJob(transaction, id, this.#parts.tag, 'retry')
      const { state } = job.standing
      if (state === 'ready' || state === 'running') throw wrongState('retry', id, state, 'Wait until it has finished.')
      if (payload !== undefined) {
        job.spec = { ...job.spec, params: payload }
        commit.writeSpec(job)
      }
      commit.move(job, 'retry', {
        failures: 0,
        crashes: 0,
        dueAtMs: null,
        finishedAtMs: null,
        error: null,
        result: null,
        progress: null,
        logs: [],
        history: historyForRetry(job)
      })
      commit.tell(job, 'ready')
      return { id, state: job.standing.state, changed: true }
    })
  }

  /** Forgets a job. @throws RuntimeError `JOB_UNKNOWN`, `JOB_STATE` while it runs */
  remove(id: string): Promise<void> {
    return this.#commit((commit, transaction) => {
      const job = requireJob(transaction, id, this.#parts.tag, 'remove')
      if (job.standing.state === 'running') throw wrongState('remove', id, 'running', 'Cancel it first.')
      commit.forget(job)
    })
  }

  /**
   * Forgets the jobs of a queue that are in one of `states`, in several commits.
   *
   * @returns how many
   * @throws RuntimeError `QUEUE_UNKNOWN`
   */
  async purge(queue: string, states: readonly Exclude<JobState, 'running'>[]): Promise<number> {
    const number = this.#registry.require(queue, 'purge')
    let removed = 0
    for (const state of states) {
      removed += await this.#visit(placeOf(state, number), (commit, job) => {
        if (job.spec.queue !== number) return false
        commit.forget(job)
        return true
      })
    }
    return removed
  }

  /** No job of a paused queue is claimed; survives restarts. @throws RuntimeError `QUEUE_UNKNOWN` */
  setPaused(queue: string, paused: boolean): Promise<void> {
    const number = this.#registry.require(queue, paused ? 'pause' : 'resume')
    return this.#commit((commit, transaction) => {
      this.#registry.write(transaction, number, { name: queue, paused })
      if (!paused) commit.wake(number)
    })
  }

  /** @throws RuntimeError `JOB_UNKNOWN` */
  get(id: string): JobView {
    return this.#view(requireJob(this.#parts.store.reader, id, this.#parts.tag, 'show'))
  }

  /** @throws RuntimeError `QUEUE_UNKNOWN`, `PARAMS_INVALID` for a cursor that is none */
  list(filter: JobFilter): JobPage {
    return listJobs(this.#parts.store.reader, this.#registry, filter, (job) => this.#view(job))
  }

  queues(): QueueView[] {
    return [...this.#registry.names].map((name) => this.queue(name))
  }

  /** @throws RuntimeError `QUEUE_UNKNOWN` */
  queue(name: string): QueueView {
    const number = this.#registry.require(name, 'show')
    const { reader } = this.#parts.store
    const config = this.#parts.queues.get(name)
    return {
      queue: name,
      paused: this.#registry.record(reader, number).paused,
      configured: config !== undefined,
      backgroundWorkers: config?.backgroundWorkers ?? 0,
      timeoutMs: config?.timeoutMs ?? 0,
      counts: readCounts(reader, number)
    }
  }

  #nextDueAtMs(): number | null {
    for (const key of this.#parts.store.reader.keys({ ...scheduledRange, limit: 1 })) return dueOfScheduledKey(key)
    return null
  }

  #view(job: StoredJob): JobView {
    return jobView(job, this.#registry.nameOf(job.spec.queue))
  }

  #claimed({ seq, spec, standing }: StoredJob): ClaimedJob {
    return {
      seq,
      id: spec.id,
      queue: this.#registry.nameOf(spec.queue),
      method: spec.method,
      params: spec.params,
      attempt: standing.made,
      attemptsMax: spec.attemptsMax,
      timeoutMs: spec.timeoutMs,
      softTimeoutMs: spec.softTimeoutMs,
      alone: standing.crashes > 0
    }
  }

  /** Runs `operation` in the next commit. It may throw only before its first write. */
  #commit<T>(operation: (commit: QueueCommit, transaction: Transaction) => T): Promise<T> {
    return this.#parts.store.transact((transaction, states) => {
      const commit = states.of(this, () => new QueueCommit(transaction, this.#parts.clock.wallMs(), this.#commitParts))
      return operation(commit, transaction)
    })
  }

  /**
   * Visits the jobs of a place in key order, some per commit, so that nobody else waits long.
   *
   * @param change changes the job; false where it left it alone
   * @returns how many were changed
   */
  async #visit(place: Place, change: (commit: QueueCommit, job: StoredJob) => boolean): Promise<number> {
    const { start, end } = place.range
    let changed = 0
    for (let from: Buffer | undefined = start; from !== undefined; ) {
      const batchStart: Buffer = from
      const batch = await this.#commit((commit, transaction) => {
        const keys = [...transaction.keys({ start: batchStart, end, limit: moveBatchMax })]
        const changes = keys.filter((key) => change(commit, readJob(transaction, seqIn(place, key))!))
        return { changes: changes.length, last: keys.length < moveBatchMax ? undefined : keys.at(-1) }
      })
      changed += batch.changes
      from = batch.last === undefined ? undefined : Buffer.concat([batch.last, Buffer.of(0)])
    }
    return changed
  }
}
