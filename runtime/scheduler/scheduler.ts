/**
 * Scheduler events: time → queue. Each event has one next instant on disk. The wheel holds one timer, for the earliest of
 * them; when it fires, the due instants of all events are planned and put into one commit, job and advance together.
 *
 * An instant is **missed** when it passed while nothing could fire it: before this scheduler was started, or more than a
 * minute ago, as after a sleep of the machine or a jump of its clock. What then runs is the event's `missed` policy (S9):
 * `once` the last of them, `skip` none, `all` each, up to a bound. The timer never waits longer than a minute, so a jump
 * is noticed within that time; and since an event only ever advances, no instant runs twice when the clock is set back.
 */
import type { MethodCatalogue } from '../core/catalogue.ts'
import type { Clock } from '../core/clock.ts'
import { didYouMean } from '../core/did-you-mean.ts'
import { RuntimeError } from '../core/errors.ts'
import { failPoint } from '../core/fail-points.ts'
import { iso } from '../core/instant.ts'
import type { EnqueueRequest } from '../core/job.ts'
import type { EventView, MigrationView, ScheduledEvent, SchedulerView } from '../core/scheduler-event.ts'
import type { Timers } from '../core/timers.ts'
import { checkDocument } from '../queue/document-methods.ts'
import type { DurableQueue } from '../queue/durable-queue.ts'
import type { DurableSchedule, EventChanges, Firing } from '../queue/durable-schedule.ts'
import type { JobDraft } from '../queue/job-draft.ts'
import { nextInstant, planInstants } from './plan-instants.ts'
import type { InvalidEvent, PlannedEvent } from './read-events.ts'

const waitMsMax = 60_000
const retryWhenFullMs = 1_000
/** Events of one commit. */
const firingsMax = 1_000

export interface Events {
  planned: readonly PlannedEvent[]
  invalid: readonly InvalidEvent[]
}

export interface SchedulerParts {
  queue: DurableQueue
  catalogue: MethodCatalogue
  timers: Timers
  clock: Clock
}

export class Scheduler {
  readonly #parts: SchedulerParts
  readonly #schedule: DurableSchedule
  #events: ReadonlyMap<string, PlannedEvent> = new Map()
  #invalid: readonly InvalidEvent[] = []
  #state: 'stopped' | 'open' = 'stopped'
  #startedAtMs = 0
  #cancelTimer = () => {}
  #firing: Promise<void> | undefined

  constructor(parts: SchedulerParts) {
    this.#parts = parts
    this.#schedule = parts.queue.schedule
  }

  /** Applies the events of the configuration to what is stored, and fires what is due from now on. */
  async start(events: Events): Promise<MigrationView> {
    this.#startedAtMs = this.#parts.clock.wallMs()
    const migration = await this.migrate(events, false)
    this.#state = 'open'
    for (const id of this.#events.keys()) if (this.#schedule.get(id)?.queuedAtMs != null) this.eventFinished(id)
    this.#arm(this.#startedAtMs)
    return migration
  }

  async stop(): Promise<void> {
    this.#state = 'stopped'
    this.#cancelTimer()
    await this.#firing
  }

  /**
   * Puts other events in the place of those that fire. Unchanged ones keep their next instant and their counts.
   *
   * @param dryRun only tells what would change
   */
  async migrate({ planned, invalid }: Events, dryRun: boolean): Promise<MigrationView> {
    const nowMs = this.#parts.clock.wallMs()
    const wanted = planned.map((event) => ({
      id: event.id,
      timing: event.timing,
      fingerprint: event.fingerprint,
      firstAtMs: () => nextInstant(event, nowMs)
    }))
    if (dryRun) return this.#schedule.migrate(wanted, true)
    this.#lookForActors(planned)
    const migration = await this.#schedule.migrate(wanted, false)
    this.#events = new Map(planned.map((event) => [event.id, event]))
    this.#invalid = invalid
    this.#arm(nowMs)
    return migration
  }

  /** What was kept of some events is lost: they are as new. */
  planAgain(): void {
    if (this.#state !== 'open') return
    const events = { planned: [...this.#events.values()], invalid: this.#invalid }
    void this.#whenStored(async () => {
      await this.migrate(events, false)
    })
  }

  /** The job of an event has finished, and another instant of it waits for that. */
  eventFinished(id: string): void {
    const event = this.#events.get(id)
    if (this.#state === 'stopped' || event === undefined || !this.#isKnown(event)) return
    void this.#whenStored(() => this.#schedule.runQueued(id, () => this.#draft(event)))
  }

  list(): SchedulerView {
    return {
      state: stateOf(this.#schedule.scheduler),
      events: [...[...this.#events.values()].map((event) => this.#view(event)), ...this.#invalid.map(invalidView)]
    }
  }

  /**
   * Runs events now, by hand, whatever their state.
   *
   * @param name id of an event, or the key or the method that one or several events have
   * @returns the ids of the jobs
   * @throws RuntimeError `EVENT_UNKNOWN`, `METHOD_UNKNOWN`, `PARAMS_INVALID` of a method of a document
   */
  async trigger(name: string): Promise<string[]> {
    const events = this.#named(name)
    for (const { method } of events) checkDocument(await this.#parts.catalogue.resolve(method), undefined)
    return Promise.all(events.map((event) => this.#schedule.trigger(event.id, this.#draft(event))))
  }

  /**
   * @param name as for {@link Scheduler.trigger}; undefined: the whole scheduler
   * @returns what the whole scheduler does then
   * @throws RuntimeError `EVENT_UNKNOWN`
   */
  async setPaused(name: string | undefined, paused: boolean): Promise<SchedulerView['state']> {
    if (name === undefined) return stateOf(await this.#schedule.changeScheduler({ paused }))
    return this.#change(name, { paused })
  }

  /** In maintenance mode no events fire and no jobs start; enqueueing goes on. */
  async setMaintenance(maintenance: boolean): Promise<SchedulerView['state']> {
    return stateOf(await this.#schedule.changeScheduler({ maintenance }))
  }

  /** Leaves out the next instant. @throws RuntimeError `EVENT_UNKNOWN` */
  async skipNext(name: string): Promise<SchedulerView['state']> {
    return this.#change(name, { skipsNext: true })
  }

  async #change(name: string, changes: EventChanges): Promise<SchedulerView['state']> {
    const changed = await Promise.all(this.#named(name).map(({ id }) => this.#schedule.change(id, changes)))
    return stateOf(changed.at(-1)!)
  }

  #arm(atMs: number): void {
    // While instants are fired others may become the next; it is armed for them at the end.
    if (this.#state === 'stopped' || this.#firing !== undefined) return
    this.#cancelTimer()
    const waitMs = Math.min(Math.max(atMs - this.#parts.clock.wallMs(), 0), waitMsMax)
    this.#cancelTimer = this.#parts.timers.after(waitMs, () => {
      this.#firing = this.#fireDue().then((nextAtMs) => {
        this.#firing = undefined
        if (nextAtMs !== null) this.#arm(nextAtMs)
      })
    })
  }

  /** @returns when to look again */
  async #fireDue(): Promise<number | null> {
    const isStored = await this.#whenStored(async () => {
      for (;;) {
        const nowMs = this.#parts.clock.wallMs()
        const due = this.#schedule.due(nowMs, firingsMax)
        if (due.length === 0 || this.#state === 'stopped') return
        // A migration that has just been committed may have brought one that is not known here until the next turn.
        const firings = due.filter(({ id }) => this.#events.has(id)).map((record) => this.#firingOf(record, nowMs))
        failPoint('fire.before')
        await this.#schedule.fire(firings)
        failPoint('fire.after')
        this.#lookForActors(due.flatMap(({ id }) => this.#events.get(id) ?? []))
      }
    })
    return isStored ? this.#schedule.nextDueAtMs() : null
  }

  #firingOf(record: Firing['event'], nowMs: number): Firing {
    const event = this.#events.get(record.id)!
    const plan = planInstants(record.nextAtMs!, event, nowMs, this.#startedAtMs)
    const isRun = this.#problemOf(event) === null
    return {
      event: record,
      queue: event.queue,
      method: event.method,
      runs: isRun ? plan.runsAtMs.map((atMs) => ({ atMs, draft: this.#draft(event) })) : [],
      overlap: event.overlap,
      skips: isRun ? 0 : plan.runsAtMs.length,
      misses: plan.misses,
      nextAtMs: plan.nextAtMs
    }
  }

  #isKnown({ method }: PlannedEvent): boolean {
    return this.#parts.catalogue.known(method) !== undefined
  }

  /** Why the event gets no job; null: it gets one. */
  #problemOf({ method }: PlannedEvent): string | null {
    const view = this.#parts.catalogue.known(method)
    if (view === undefined) return `No actor module exports the method "${method}".`
    if (view.documentType === null) return null
    return `"${method}" is a method of a document, and an event names none. Let a function enqueue it, or a reminder of the document.`
  }

  /** The module of a method may be new. What cannot be run now is left out; its next instant finds what was found. */
  #lookForActors(events: readonly PlannedEvent[]): void {
    for (const event of events) {
      if (!this.#isKnown(event)) this.#parts.catalogue.resolve(event.method).catch(ignoreUnknown)
    }
  }

  #draft(event: PlannedEvent): JobDraft {
    const { method, params, queue, timeout, jobName, attempts } = event
    const request: EnqueueRequest = {
      method,
      params,
      queue,
      ...(timeout === null ? {} : { timeout }),
      ...(jobName === null ? {} : { jobName }),
      ...(attempts === null ? {} : { attempts })
    }
    return this.#parts.queue.draft(request)
  }

  /** While the disk is full it is tried again. @returns false: the scheduler stops, or the store failed and the supervisor ends */
  async #whenStored(write: () => Promise<void>): Promise<boolean> {
    for (;;) {
      try {
        await write()
        return true
      } catch (error) {
        if (!(error instanceof RuntimeError)) throw error
        const passes = error.code === 'STORAGE_FULL' || error.code === 'DATA_DAMAGED'
        if (!passes || this.#state === 'stopped') return false
      }
      await new Promise<void>((resolve) => this.#parts.timers.after(retryWhenFullMs, resolve))
    }
  }

  #named(name: string): PlannedEvent[] {
    const exact = this.#events.get(name)
    if (exact !== undefined) return [exact]
    const planned = [...this.#events.values()]
    const several = planned.filter(({ key, method }) => key === name || method === name)
    if (several.length > 0) return several
    const known = new Set(planned.flatMap(({ id, key, method }) => [id, key, method]))
    throw new RuntimeError(
      'EVENT_UNKNOWN',
      `No scheduler event has the id, key or method "${name}".${didYouMean(name, known)} "runtime schedule" lists them.`,
      { event: name }
    )
  }

  #view(event: PlannedEvent): EventView {
    const record = this.#schedule.get(event.id)
    return {
      ...descriptionOf(event),
      state: record?.paused ? 'paused' : 'active',
      problem: this.#problemOf(event),
      next: isoOrNull(record?.nextAtMs),
      skipsNext: record?.skipsNext ?? false,
      lastInstant: isoOrNull(record?.lastAtMs),
      lastJob: record?.lastJob ?? null,
      lastOutcome: record?.lastOutcome ?? null,
      lastDurationMs: record?.lastDurationMs ?? null,
      runs: record?.runs ?? 0,
      failures: record?.failures ?? 0,
      skips: record?.skips ?? 0,
      misses: record?.misses ?? 0
    }
  }
}

/** `schedule` and the log of `serve` tell of it. */
function ignoreUnknown(error: unknown): void {
  if (!(error instanceof RuntimeError)) throw error
}

function descriptionOf({ id, method, key, timezone, queue }: ScheduledEvent) {
  return { event: id, method, expression: key, timezone, queue }
}

function invalidView(event: InvalidEvent): EventView {
  return {
    ...descriptionOf(event),
    state: 'invalid',
    problem: event.problem,
    next: null,
    skipsNext: false,
    lastInstant: null,
    lastJob: null,
    lastOutcome: null,
    lastDurationMs: null,
    runs: 0,
    failures: 0,
    skips: 0,
    misses: 0
  }
}

function isoOrNull(atMs: number | null | undefined): string | null {
  return atMs == null ? null : iso(atMs)
}

function stateOf({ paused, maintenance }: { paused: boolean; maintenance: boolean }): SchedulerView['state'] {
  if (maintenance) return 'maintenance'
  return paused ? 'paused' : 'active'
}
