/**
 * One commit as the queue sees it: jobs are added, moved along an arrow of the lifecycle, and forgotten; counts follow; and
 * once it is on disk, those who wait are woken. Shared by all operations of the commit.
 *
 * Invariants after every commit
 * - a job is in exactly one place (see store/keys.ts), and its queue's count of that state includes it once
 * - a standing record exists exactly for the jobs that were started and do not run, and for the finished ones
 */
import type { EventStream, JobEvent, JobEventType } from '../core/events.ts'
import { iso } from '../core/instant.ts'
import { isFinished, type LifecycleEvent, lifecycle } from '../core/lifecycle.ts'
import {
  countsKey,
  type FinishedState,
  finishedKey,
  idKey,
  jobKey,
  metaKey,
  readyKey,
  runningKey,
  scheduledKey,
  standingKey
} from '../store/keys.ts'
import {
  type Counters,
  decodeCounters,
  decodeCounts,
  type EventRecord,
  encodeCounters,
  encodeCounts,
  encodeSeq,
  encodeSpec,
  encodeStanding,
  initialStanding,
  type JobSpec,
  noCounts,
  type Standing,
  type StateCounts
} from '../store/records.ts'
import type { CommitState, Reader, Transaction } from '../store/store.ts'
import { readEvent, writeEvent } from './event-records.ts'
import type { QueueRegistry } from './queue-registry.ts'
import { isMadeId, makeId, type StoredJob } from './stored-job.ts'

const empty = Buffer.alloc(0)
const hasRecord = Buffer.of(1)

/** Who is told what, after the commit. */
export interface QueueListener {
  /** Jobs of the queue can be claimed. */
  ready(queue: string): void
  /** A job is due at that instant, and perhaps none before it. */
  scheduled(atMs: number): void
  /** A running job was cancelled; its thread must be killed. */
  cancelled(queue: string, id: string): void
  /** The last job of a scheduler event has finished or was removed, and another instant of it waits for that. */
  eventFinished(event: string): void
}

export interface CommitParts {
  registry: QueueRegistry
  listener: QueueListener
  events: EventStream
  /** Begins the ids that the store makes. */
  tag: string
}

export class QueueCommit implements CommitState {
  readonly transaction: Transaction
  /** The instant of everything that happens in this commit. */
  readonly nowMs: number
  readonly #parts: CommitParts
  readonly #counts = new Map<number, StateCounts>()
  #counters: Counters | undefined
  readonly #ready = new Set<number>()
  #dueAtMs = Number.POSITIVE_INFINITY
  readonly #later: (() => void)[] = []

  constructor(transaction: Transaction, nowMs: number, parts: CommitParts) {
    this.transaction = transaction
    this.nowMs = nowMs
    this.#parts = parts
  }

  counts(queue: number): StateCounts {
    let counts = this.#counts.get(queue)
    if (counts === undefined) {
      counts = readCounts(this.transaction, queue)
      this.#counts.set(queue, counts)
    }
    return counts
  }

  /** Numbers of jobs and queues; never given twice. */
  get counters(): Counters {
    this.#counters ??= readCounters(this.transaction)
    return this.#counters
  }

  /** Enqueues: gives the job its number, and its id unless the caller chose one. */
  add(draft: Omit<JobSpec, 'id'> & { id: string | null }): StoredJob {
    const seq = this.counters.nextSeq++
    const spec: JobSpec = { ...draft, id: draft.id ?? makeId(this.#parts.tag, seq) }
    const job = { seq, spec, standing: initialStanding(spec, spec.runAtMs === null ? 'ready' : 'scheduled') }
    this.writeSpec(job)
    if (draft.id !== null) this.transaction.put(idKey(draft.id), encodeSeq(idKey(draft.id), seq))
    this.#place(job)
    return job
  }

  writeSpec({ seq, spec }: StoredJob): void {
    const key = jobKey(seq)
    this.transaction.put(key, encodeSpec(key, spec))
  }

  /** Performs one arrow of the lifecycle. The caller has made sure that it exists. */
  move(job: StoredJob, event: LifecycleEvent, changes: Partial<Omit<Standing, 'state'>>): void {
    const next = lifecycle[job.standing.state][event]
    if (next === undefined) throw new Error(`no arrow ${event} leads out of ${job.standing.state}`)
    this.#unplace(job)
    const before = job.standing
    job.standing = { ...before, ...changes, state: next }
    this.#place(job)
    if (needsRecord(before) && !needsRecord(job.standing)) this.transaction.remove(standingKey(job.seq))
    if (job.spec.event !== null && isFinished(next)) this.#eventFinished(job, job.spec.event)
  }

  forget(job: StoredJob): void {
    const { seq, spec, standing } = job
    this.#unplace(job)
    if (needsRecord(standing)) this.transaction.remove(standingKey(seq))
    if (!isMadeId(spec.id, this.#parts.tag)) this.transaction.remove(idKey(spec.id))
    this.transaction.remove(jobKey(seq))
    if (spec.event !== null && !isFinished(standing.state)) this.#eventFinished(job, spec.event)
    this.tell(job, 'removed')
  }

  /** Once the commit is on disk: an event about the job as it is now. */
  tell({ spec, standing }: StoredJob, type: JobEventType, more: Partial<JobEvent> = {}): void {
    const { events, registry } = this.#parts
    if (!events.listened) return
    const event: JobEvent = {
      type,
      job: spec.id,
      queue: registry.nameOf(spec.queue),
      method: spec.method,
      at: iso(this.nowMs),
      ...(type === 'removed' ? {} : { state: standing.state }),
      ...(standing.made > 0 ? { attempt: standing.made } : {}),
      ...more
    }
    this.#later.push(() => events.emit(event))
  }

  /** Once the commit is on disk: instants of a scheduler event that get no job. */
  tellUnfired(type: 'skipped' | 'missed', event: { id: string; queue: string; method: string }, count: number): void {
    const { events } = this.#parts
    if (count === 0 || !events.listened) return
    const { id, queue, method } = event
    const told: JobEvent = { type, job: id, queue, method, at: iso(this.nowMs), count }
    this.#later.push(() => events.emit(told))
  }

  /** Once the commit is on disk: the thread of the job must be killed. */
  tellCancelled({ spec }: StoredJob): void {
    const { listener, registry } = this.#parts
    this.#later.push(() => listener.cancelled(registry.nameOf(spec.queue), spec.id))
  }

  /** Runs `action` once the commit is on disk. */
  later(action: () => void): void {
    this.#later.push(action)
  }

  /** Once the commit is on disk: jobs of the queue may be claimed. */
  wake(queue: number): void {
    this.#ready.add(queue)
  }

  beforeCommit(): void {
    for (const [queue, counts] of this.#counts) {
      const key = countsKey(queue)
      this.transaction.put(key, encodeCounts(key, counts))
    }
    if (this.#counters !== undefined) {
      const key = metaKey('counters')
      this.transaction.put(key, encodeCounters(key, this.#counters))
    }
  }

  afterCommit(): void {
    for (const action of this.#later) action()
    const { listener, registry } = this.#parts
    for (const queue of this.#ready) listener.ready(registry.nameOf(queue))
    if (this.#dueAtMs !== Number.POSITIVE_INFINITY) listener.scheduled(this.#dueAtMs)
  }

  /** What the schedule shows of the last run is part of the commit that ends it, or forgets it before its end. */
  #eventFinished({ spec, standing }: StoredJob, id: string): void {
    const event = readEvent(this.transaction, id)
    if (event === undefined || event.lastJob !== spec.id) return
    writeEvent(this.transaction, {
      ...event,
      ...(isFinished(standing.state) ? endOf(event, standing) : { lastJob: null })
    })
    if (event.queuedAtMs !== null) this.later(() => this.#parts.listener.eventFinished(id))
  }

  #place({ seq, spec, standing }: StoredJob): void {
    const { transaction } = this
    this.counts(spec.queue)[standing.state]++
    switch (standing.state) {
      case 'scheduled':
        transaction.put(scheduledKey(standing.dueAtMs!, seq), empty)
        this.#dueAtMs = Math.min(this.#dueAtMs, standing.dueAtMs!)
        break
      case 'ready':
        transaction.put(
          readyKey(spec.queue, spec.atFront, spec.priority, seq),
          needsRecord(standing) ? hasRecord : empty
        )
        this.wake(spec.queue)
        break
      case 'running':
        transaction.put(runningKey(seq), encodeStanding(runningKey(seq), standing))
        break
      default:
        transaction.put(finishedKey(standing.state, spec.queue, standing.finishedAtMs!, seq), empty)
    }
    if (needsRecord(standing)) transaction.put(standingKey(seq), encodeStanding(standingKey(seq), standing))
  }

  #unplace({ seq, spec, standing }: StoredJob): void {
    const { transaction } = this
    this.counts(spec.queue)[standing.state]--
    switch (standing.state) {
      case 'scheduled':
        transaction.remove(scheduledKey(standing.dueAtMs!, seq))
        break
      case 'ready':
        transaction.remove(readyKey(spec.queue, spec.atFront, spec.priority, seq))
        break
      case 'running':
        transaction.remove(runningKey(seq))
        break
      default:
        transaction.remove(finishedKey(standing.state as FinishedState, spec.queue, standing.finishedAtMs!, seq))
    }
  }
}

function endOf({ failures }: EventRecord, { state, startedAtMs, finishedAtMs }: Standing): Partial<EventRecord> {
  return {
    lastOutcome: state as EventRecord['lastOutcome'],
    lastDurationMs: startedAtMs === null ? null : finishedAtMs! - startedAtMs,
    failures: failures + (state === 'failed' ? 1 : 0)
  }
}

/** Whether the standing is kept under its own key: it says more than the place, and the place does not hold it. */
function needsRecord({ state, made, crashes }: Standing): boolean {
  return state !== 'running' && (made > 0 || crashes > 0 || isFinished(state))
}

export function readCounts(reader: Reader, queue: number): StateCounts {
  const key = countsKey(queue)
  const value = reader.get(key)
  return value === undefined ? noCounts() : decodeCounts(key, value)
}

function readCounters(transaction: Transaction): Counters {
  const key = metaKey('counters')
  const value = transaction.get(key)
  return value === undefined ? { nextSeq: 1, nextQueue: 1 } : decodeCounters(key, value)
}
