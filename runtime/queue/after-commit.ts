/** What is told once a commit is on disk: events first, then those who must act on it. Nothing of it is durable. */
import type { EventStream, JobEvent, JobEventType } from '../core/events.ts'
import { iso } from '../core/instant.ts'
import type { JobView } from '../core/job.ts'
import type { Reader } from '../store/store.ts'
import type { ClaimedJob, ClaimRoom } from './claimed-job.ts'
import { wholeJobView } from './job-view.ts'
import type { QueueRegistry } from './queue-registry.ts'
import type { Moves, Rates } from './rates.ts'
import type { StoredJob } from './stored-job.ts'

/** Who is told what, after the commit. */
export interface QueueListener {
  /**
   * Asked inside of a commit after which jobs of the queue could be claimed: for how many there is room now. They are claimed
   * in the same commit, and {@link QueueListener.claimed} tells of them.
   */
  room(queue: string): ClaimRoom
  claimed(queue: string, jobs: readonly ClaimedJob[]): void
  /** Jobs of the queue may be claimed, for which there was no room. */
  ready(queue: string): void
  /** Jobs of the queue may be claimed at that instant, which none may now. */
  readyAt(queue: string, atMs: number): void
  /** A job is due at that instant, and perhaps none before it. */
  scheduled(atMs: number): void
  /** `upkeep` has something to do at that instant. */
  upkeepAt(atMs: number): void
  /** A running job was cancelled; its thread must be killed. */
  cancelled(queue: string, id: string): void
  /** The last job of a scheduler event has finished or was removed, and another instant of it waits for that. */
  eventFinished(event: string): void
  /** Jobs may have changed. */
  committed(): void
  /** What was kept of some scheduler events is lost: they are to be planned as new ones. */
  eventsLost(): void
  /** Whether somebody waits for the end of a job. */
  isAwaited(id: string): boolean
  /** A job that is awaited has finished, as `job` shows it; or it was removed before it had. */
  ended(id: string, job: JobView | undefined): void
}

export interface AfterCommitParts {
  registry: QueueRegistry
  listener: QueueListener
  events: EventStream
  rates: Rates
}

export class AfterCommit {
  readonly #nowMs: number
  readonly #parts: AfterCommitParts
  readonly #later: (() => void)[] = []
  readonly #ready = new Set<number>()
  /** By queue, what of those for which there was room was claimed. */
  readonly #claimed = new Map<number, readonly ClaimedJob[]>()
  readonly #readyAtMs = new Map<number, number>()
  #dueAtMs = Number.POSITIVE_INFINITY
  #upkeepAtMs = Number.POSITIVE_INFINITY
  readonly #moves = new Map<number, Moves>()
  /** Attempts, by job and number. */
  readonly #cancelled = new Set<string>()

  constructor(nowMs: number, parts: AfterCommitParts) {
    this.#nowMs = nowMs
    this.#parts = parts
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
      at: iso(this.#nowMs),
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
    const told: JobEvent = { type, job: id, queue, method, at: iso(this.#nowMs), count }
    this.#later.push(() => events.emit(told))
  }

  /** Once the commit is on disk: the thread of the job must be killed. */
  tellCancelled({ seq, spec, standing }: StoredJob): void {
    const { listener, registry } = this.#parts
    this.#cancelled.add(`${seq} ${standing.made}`)
    this.#later.push(() => listener.cancelled(registry.nameOf(spec.queue), spec.id))
    // Where it was claimed in this commit nobody has it yet, and another can have its thread.
    this.wake(spec.queue)
  }

  /** Once the commit is on disk: a record was set aside. @param key of the record */
  tellDamaged(key: Buffer, message: string): void {
    const { events } = this.#parts
    const error = { code: 'RECORD_DAMAGED' as const, name: 'RecordDamaged', message }
    const event: JobEvent = {
      type: 'damaged',
      job: key.toString('hex'),
      queue: '',
      method: '',
      at: iso(this.#nowMs),
      error
    }
    this.#later.push(() => events.emit(event))
  }

  /** Once the commit is on disk: nothing is known any more of the job of that id. */
  tellLost(id: string): void {
    const { listener, registry } = this.#parts
    this.#later.push(() => {
      for (const queue of registry.names) listener.cancelled(queue, id)
      if (listener.isAwaited(id)) listener.ended(id, undefined)
    })
  }

  /** Once the commit is on disk: what was kept of some scheduler events is lost. */
  tellEventsLost(): void {
    this.#later.push(() => this.#parts.listener.eventsLost())
  }

  /** Whether an attempt was cancelled in this commit. */
  hasCancelled(seq: number, attempt: number): boolean {
    return this.#cancelled.has(`${seq} ${attempt}`)
  }

  /** Runs `action` once the commit is on disk. */
  later(action: () => void): void {
    this.#later.push(action)
  }

  /** Once the commit is on disk: jobs of the queue may be claimed. */
  wake(queue: number): void {
    this.#ready.add(queue)
  }

  /** The last of a commit: what it has made ready is claimed where there is room, so that a free thread waits for no other one. */
  claimWoken(claim: (queue: number, room: ClaimRoom) => readonly ClaimedJob[]): void {
    const { listener, registry } = this.#parts
    for (const queue of [...this.#ready]) {
      const room = listener.room(registry.nameOf(queue))
      if (room.jobs === 0) continue
      // Woken again by its claim: there is more than that could take.
      this.#ready.delete(queue)
      this.#claimed.set(queue, claim(queue, room))
    }
  }

  /** Once the commit is on disk: jobs of the queue may be claimed at that instant. */
  wakeAt(queue: number, atMs: number): void {
    this.#readyAtMs.set(queue, Math.min(this.#readyAtMs.get(queue) ?? Number.POSITIVE_INFINITY, atMs))
  }

  /** Once the commit is on disk: there is upkeep to do at that instant. */
  upkeepAt(atMs: number): void {
    this.#upkeepAtMs = Math.min(this.#upkeepAtMs, atMs)
  }

  /** A job is due at that instant. */
  dueAt(atMs: number): void {
    this.#dueAtMs = Math.min(this.#dueAtMs, atMs)
  }

  tellEventFinished(event: string): void {
    this.#later.push(() => this.#parts.listener.eventFinished(event))
  }

  /**
   * Once the commit is on disk: who waits for the job learns that it has finished, as `reader` has it now, or was removed before.
   */
  tellWaiting(reader: Reader, job: StoredJob, hasFinished: boolean): void {
    const { listener, registry } = this.#parts
    const { id, queue } = job.spec
    if (!listener.isAwaited(id)) return
    const view = hasFinished ? wholeJobView(reader, job, registry.nameOf(queue)) : undefined
    this.#later.push(() => listener.ended(id, view))
  }

  /** What is counted for the rates of the queue. */
  movesOf(queue: number): Moves {
    let moves = this.#moves.get(queue)
    if (moves === undefined) {
      moves = { enqueued: 0, completed: 0, failed: 0 }
      this.#moves.set(queue, moves)
    }
    return moves
  }

  run(): void {
    const { listener, registry, rates } = this.#parts
    for (const [queue, moves] of this.#moves) rates.count(registry.nameOf(queue), moves, this.#nowMs)
    for (const action of this.#later) action()
    listener.committed()
    // Behind the kills: one of these may be the next attempt of a job that was cancelled.
    for (const [queue, jobs] of this.#claimed) listener.claimed(registry.nameOf(queue), jobs)
    for (const queue of this.#ready) listener.ready(registry.nameOf(queue))
    for (const [queue, atMs] of this.#readyAtMs) listener.readyAt(registry.nameOf(queue), atMs)
    if (this.#dueAtMs !== Number.POSITIVE_INFINITY) listener.scheduled(this.#dueAtMs)
    if (this.#upkeepAtMs !== Number.POSITIVE_INFINITY) listener.upkeepAt(this.#upkeepAtMs)
  }
}
