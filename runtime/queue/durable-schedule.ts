/**
 * The durable side of the scheduler: which instant of each event is next, and how its runs went. Firing an instant puts its
 * job and the advance of the event into one commit, with a job id made of event and instant: whatever crashes when, an
 * instant is enqueued once.
 *
 * An event is under its id ('E'), and, while it has a next instant, in the index of next instants ('N').
 */

import { iso } from '../core/instant.ts'
import { isFinished } from '../core/lifecycle.ts'
import type { MigrationView } from '../core/scheduler-event.ts'
import {
  eventKey,
  eventRange,
  idOfNextEventKey,
  nextEventKey,
  nextEventRange,
  nextOfNextEventKey
} from '../store/keys.ts'
import { type EventRecord, eventCodec, freshEvent, type SchedulerRecord } from '../store/records.ts'
import type { Reader, Transaction } from '../store/store.ts'
import { addDraft } from './admission.ts'
import type { QueueCommit } from './commit.ts'
import { readEvent, readScheduler, writeEvent, writeScheduler } from './event-records.ts'
import type { JobDraft } from './job-draft.ts'
import type { QueueRegistry } from './queue-registry.ts'
import { findJob } from './stored-job.ts'

/** An event as the configuration wants it. */
export interface WantedEvent {
  id: string
  /** Of what its instants follow from. */
  timing: string
  /** Of everything that is configured of it. */
  fingerprint: string
  /** First instant from now on; asked for when the event is new, or its timing has changed. */
  firstAtMs(): number | null
}

/** What is to be done with the due instants of one event. */
export interface Firing {
  event: EventRecord
  queue: string
  method: string
  /** Instants that run, oldest first; each with its job. */
  runs: { atMs: number; draft: JobDraft }[]
  overlap: 'skip' | 'queue' | 'allow'
  skips: number
  misses: number
  nextAtMs: number | null
}

export type EventChanges = Partial<Pick<EventRecord, 'paused' | 'skipsNext'>>

export interface DurableScheduleParts {
  reader: () => Reader
  /** @throws RuntimeError `DATA_DAMAGED` where `look` meets a damaged record */
  read: <T>(look: () => T) => T
  registry: QueueRegistry
  tag: string
  commit: <T>(operation: (commit: QueueCommit, transaction: Transaction) => T) => Promise<T>
}

const empty = Buffer.alloc(0)

export class DurableSchedule {
  readonly #parts: DurableScheduleParts

  constructor(parts: DurableScheduleParts) {
    this.#parts = parts
  }

  /**
   * Compares what is stored with what is wanted. Events keep their counts, and their next instant unless their timing has
   * changed.
   *
   * @param dryRun only tells
   */
  migrate(wanted: readonly WantedEvent[], dryRun: boolean): Promise<MigrationView> {
    return this.#parts.commit((_, transaction) => {
      const stored = new Map(readEvents(transaction).map((event) => [event.id, event]))
      const found: MigrationView = { added: [], changed: [], removed: [], unchanged: 0 }
      for (const event of wanted) {
        const before = stored.get(event.id)
        stored.delete(event.id)
        if (before?.fingerprint === event.fingerprint) {
          found.unchanged++
          continue
        }
        found[before === undefined ? 'added' : 'changed'].push(event.id)
        if (dryRun) continue
        const { id, timing, fingerprint } = event
        const nextAtMs = before?.timing === timing ? before.nextAtMs : event.firstAtMs()
        this.#replace(transaction, before, { ...(before ?? { ...freshEvent, id }), timing, fingerprint, nextAtMs })
      }
      for (const event of stored.values()) {
        found.removed.push(event.id)
        if (dryRun) continue
        removeNext(transaction, event)
        transaction.remove(eventKey(event.id))
      }
      return found
    })
  }

  /** Events whose next instant is at `nowMs` or before, the earliest first. */
  due(nowMs: number, max: number): EventRecord[] {
    const reader = this.#parts.reader()
    const end = nextEventKey(nowMs + 1, '')
    const keys = [...reader.keys({ start: nextEventRange.start, end, limit: max })]
    return this.#parts.read(() => keys.map((key) => readEvent(reader, idOfNextEventKey(key))!))
  }

  nextDueAtMs(): number | null {
    for (const key of this.#parts.reader().keys({ ...nextEventRange, limit: 1 })) return nextOfNextEventKey(key)
    return null
  }

  get(id: string): EventRecord | undefined {
    return this.#parts.read(() => readEvent(this.#parts.reader(), id))
  }

  get scheduler(): SchedulerRecord {
    return this.#parts.read(() => readScheduler(this.#parts.reader()))
  }

  /** One commit for all of them. An event that has been fired or changed since is left alone. */
  fire(firings: readonly Firing[]): Promise<void> {
    return this.#parts.commit((commit, transaction) => {
      const { paused, maintenance } = readScheduler(transaction)
      for (const firing of firings) {
        const event = readEvent(transaction, firing.event.id)
        if (event === undefined || event.nextAtMs !== firing.event.nextAtMs) continue
        this.#fireOne(commit, event, firing, paused || maintenance)
      }
    })
  }

  /** Runs the instant that waited for the last job of the event to finish. */
  runQueued(id: string, draftOf: (atMs: number) => JobDraft): Promise<void> {
    return this.#parts.commit((commit, transaction) => {
      const event = readEvent(transaction, id)
      if (event?.queuedAtMs == null || this.#lastIsUnfinished(transaction, event)) return
      writeEvent(
        transaction,
        this.#run(commit, { ...event, queuedAtMs: null }, event.queuedAtMs, draftOf(event.queuedAtMs))
      )
    })
  }

  /** Runs the event now, by hand; its instants stay as they are. @returns the id of the job */
  trigger(id: string, draft: JobDraft): Promise<string> {
    return this.#parts.commit((commit, transaction) => {
      const job = addDraft(commit, { ...draft, spec: { ...draft.spec, event: id } })
      const event = readEvent(transaction, id)
      if (event !== undefined) {
        writeEvent(transaction, {
          ...event,
          runs: event.runs + 1,
          lastJob: job.id,
          lastOutcome: null,
          lastDurationMs: null
        })
      }
      return job.id
    })
  }

  /** @param changes of one event @returns what the scheduler as a whole does then */
  change(id: string, changes: EventChanges): Promise<SchedulerRecord> {
    return this.#parts.commit((_, transaction) => {
      const event = readEvent(transaction, id)
      if (event !== undefined) writeEvent(transaction, { ...event, ...changes })
      return readScheduler(transaction)
    })
  }

  /** @returns what it does then, whatever others change in the same commit */
  changeScheduler(changes: Partial<SchedulerRecord>): Promise<SchedulerRecord> {
    return this.#parts.commit((commit, transaction) => {
      const record = { ...readScheduler(transaction), ...changes }
      writeScheduler(transaction, record)
      if (changes.maintenance === false) {
        for (const name of this.#parts.registry.names) commit.wake(this.#parts.registry.numberOf(name)!)
      }
      return record
    })
  }

  #fireOne(commit: QueueCommit, before: EventRecord, firing: Firing, stands: boolean): void {
    const { transaction } = commit
    let event = { ...before, nextAtMs: firing.nextAtMs }
    event.misses += firing.misses
    event.skips += firing.skips
    let runs = firing.runs
    if (stands || event.paused) {
      event.skips += runs.length
      runs = []
    } else if (event.skipsNext && runs.length > 0) {
      event.skips++
      event.skipsNext = false
      runs = runs.slice(1)
    }
    const overlaps = runs.length > 0 && firing.overlap !== 'allow' && this.#lastIsUnfinished(transaction, event)
    if (overlaps) {
      const queued = firing.overlap === 'queue' ? runs.at(-1)!.atMs : null
      event.skips += runs.length - (queued === null ? 0 : 1) + (queued !== null && event.queuedAtMs !== null ? 1 : 0)
      event.queuedAtMs = queued ?? event.queuedAtMs
    } else {
      for (const { atMs, draft } of runs) event = this.#run(commit, event, atMs, draft)
    }
    const { queue, method, misses } = firing
    commit.after.tellUnfired('skipped', { id: event.id, queue, method }, event.skips - before.skips)
    commit.after.tellUnfired('missed', { id: event.id, queue, method }, misses)
    this.#replace(transaction, before, event)
  }

  #run(commit: QueueCommit, event: EventRecord, atMs: number, draft: JobDraft): EventRecord {
    const id = `${event.id}@${iso(atMs)}`
    // Only where the event was taken out of the configuration and put back: this instant has run already.
    if (findJob(commit.transaction, id, this.#parts.tag) !== undefined) return event
    addDraft(commit, { ...draft, id, spec: { ...draft.spec, event: event.id } })
    return { ...event, lastAtMs: atMs, lastJob: id, lastOutcome: null, lastDurationMs: null, runs: event.runs + 1 }
  }

  #lastIsUnfinished(reader: Reader, { lastJob }: EventRecord): boolean {
    const job = lastJob === null ? undefined : findJob(reader, lastJob, this.#parts.tag)
    return job !== undefined && !isFinished(job.standing.state)
  }

  #replace(transaction: Transaction, before: EventRecord | undefined, event: EventRecord): void {
    if (before !== undefined) removeNext(transaction, before)
    if (event.nextAtMs !== null) transaction.put(nextEventKey(event.nextAtMs, event.id), empty)
    writeEvent(transaction, event)
  }
}

function readEvents(reader: Reader): EventRecord[] {
  return [...reader.entries(eventRange)].map(({ key, value }) => eventCodec.decode(key, value))
}

function removeNext(transaction: Transaction, { nextAtMs, id }: EventRecord): void {
  if (nextAtMs !== null) transaction.remove(nextEventKey(nextAtMs, id))
}
