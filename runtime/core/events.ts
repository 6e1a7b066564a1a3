import { randomBytes } from 'node:crypto'
import { type Clock, systemClock } from './clock.ts'
import { RuntimeError } from './errors.ts'
import type { JobError, JobLogLine } from './job.ts'
import { KeptWindow } from './kept-window.ts'
import type { JobState } from './lifecycle.ts'
import { eventsKeptBytesMax, eventsKeptMax, eventsKeptMsMax } from './limits.ts'
import { preview } from './preview.ts'
import { WindowFollower } from './window-follower.ts'

/**
 * What happened to a job, or to instants of a scheduler event that got no job (`skipped`: by overlap, pause or hand;
 * `missed`: they passed unfired and are not made up for), or that a damaged record was set aside (`damaged`), told after the commit that made it true. Logger, socket subscribers and tests listen; nothing
 * that decides about jobs does.
 */
export type JobEventType =
  | 'enqueued'
  | 'ready'
  | 'started'
  | 'progress'
  | 'log'
  | 'completed'
  | 'retrying'
  | 'suspended'
  | 'failed'
  | 'cancelled'
  | 'interrupted'
  | 'removed'
  | 'moved'
  | 'skipped'
  | 'missed'
  | 'damaged'

export const jobEventTypes: readonly JobEventType[] = [
  'enqueued',
  'ready',
  'started',
  'progress',
  'log',
  'completed',
  'retrying',
  'suspended',
  'failed',
  'cancelled',
  'interrupted',
  'removed',
  'moved',
  'skipped',
  'missed',
  'damaged'
]

export interface JobEvent {
  type: JobEventType
  /** Job id; of `skipped` and `missed`, the id of the scheduler event; of `damaged`, the key of the record in hex. */
  job: string
  queue: string
  method: string
  /** ISO 8601, UTC. */
  at: string
  /** State after the event; absent once the job is removed. */
  state?: JobState
  attempt?: number
  /** `skipped`, `missed`: how many instants. */
  count?: number
  /** `retrying`, `suspended`: when the next attempt is due; absent where only a signal can tell. */
  runAt?: string
  error?: JobError
  progress?: { percent: number; stage: string | null }
  log?: JobLogLine
}

/** Which events are wanted: those that fit every field that is given. */
export interface EventFilter {
  queue?: string
  job?: string
  /** Dotted path. */
  method?: string
  types?: readonly JobEventType[]
}

/**
 * Events that a subscription does not get; told where they would have come.
 *
 * - `slow`: the subscriber did not keep up, and they are not kept any more
 * - `expired`: the cursor is from too long ago, or nobody had subscribed for a while
 * - `restarted`: the cursor is of another run of the supervisor
 */
export interface EventGap {
  /** How many events that pass the filter; null where nobody knows, perhaps none. */
  missed: number | null
  reason: 'slow' | 'expired' | 'restarted'
}

/** @param cursor of the event: a subscription from there begins with what comes after it */
export type EventListener = (event: JobEvent, cursor: string) => void

/** @param cursor a subscription from there begins with what comes after the gap */
export type GapListener = (gap: EventGap, cursor: string) => void

/** What a client that subscribes wants, and how it takes it. */
export interface Follower {
  /** Stays as it is. */
  filter: EventFilter
  /** Where to begin. Default: with what happens from now on. */
  cursor?: string | undefined
  listener: EventListener
  onGap: GapListener
  /** Whether it can take something now. Default: always. */
  ready?: () => boolean
}

/** The subscription of a client. */
export interface Following {
  /** Where it begins. */
  readonly cursor: string
  /** Delivers what waits, as far as the follower is ready: to be called once after subscribing, and whenever it is ready again. */
  catchUp(): void
  /** Nothing is delivered any more. Safe to call twice. */
  end(): void
}

export interface EventStreamOptions {
  clock: Pick<Clock, 'monotonicMs'>
  keptMax: number
  keptBytesMax: number
  keptMsMax: number
}

const optionsDefault: EventStreamOptions = {
  clock: systemClock,
  keptMax: eventsKeptMax,
  keptBytesMax: eventsKeptBytesMax,
  keptMsMax: eventsKeptMsMax
}

/**
 * Fan-out of events, in the order in which they happened. A listener that throws is a defect and ends the process.
 *
 * Parts of the supervisor `subscribe` and are called at once. Clients `follow`: they may be slow, or come back. For them
 * recent events are kept, so that each goes on where it was, by its cursor; what is not kept any more is announced as a
 * gap, never left out in silence.
 *
 * Keeping begins with the first follower and ends a time after the last one has left; before and after, an event that
 * nobody listens to is not even built. No timer waits for that end: it is noticed when somebody next looks.
 *
 * A cursor names the run of the supervisor and the position after an event. Numbers are left out when keeping ends, so an
 * older cursor cannot be taken for one from which everything is kept.
 */
export class EventStream {
  readonly #run = randomBytes(6).toString('hex')
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #keptMsMax: number
  readonly #kept: KeptWindow<JobEvent>
  readonly #listeners = new Set<(event: JobEvent) => void>()
  readonly #followings = new Set<Following>()
  /** While nobody follows and events are kept all the same. */
  #keptUntilMs: number | undefined

  /** @param options default: the bounds of `core/limits.ts` */
  constructor(options: Partial<EventStreamOptions> = {}) {
    const { clock, keptMax, keptBytesMax, keptMsMax } = { ...optionsDefault, ...options }
    this.#clock = clock
    this.#keptMsMax = keptMsMax
    this.#kept = new KeptWindow({ itemsMax: keptMax, bytesMax: keptBytesMax, ageMsMax: keptMsMax })
  }

  /** False: nobody listens, and nobody did lately, so nobody needs to build an event. */
  get listened(): boolean {
    return this.#listeners.size > 0 || this.#keeps()
  }

  emit(event: JobEvent): void {
    if (this.#keeps()) this.#kept.add(event, approximateBytes(event), this.#clock.monotonicMs())
    for (const listener of this.#listeners) listener(event)
    for (const following of this.#followings) following.catchUp()
  }

  /**
   * For parts of the supervisor, which are quick and never come back.
   *
   * @returns the function that ends the subscription; safe to call twice.
   */
  subscribe(filter: EventFilter, listener: (event: JobEvent) => void): () => void {
    const filtered = (event: JobEvent) => {
      if (matches(filter, event)) listener(event)
    }
    this.#listeners.add(filtered)
    return () => this.#listeners.delete(filtered)
  }

  /**
   * For clients. Nothing is delivered before the first {@link Following.catchUp} or the next event for which the follower
   * is ready; the gap, if there is one, comes first.
   *
   * @throws RuntimeError `PARAMS_INVALID`: no subscription has given that cursor
   */
  follow({ filter, cursor, listener, onGap, ready = () => true }: Follower): Following {
    const { position, gap } = this.#beginning(cursor)
    let announcement = gap
    const follower = new WindowFollower<JobEvent>(
      this.#kept,
      {
        passes: (event) => matches(filter, event),
        ready: () => announcement === undefined && ready(),
        take: (event, after) => listener(event, this.#cursorAt(after)),
        lost: (missed, after) => onGap({ missed, reason: 'slow' }, this.#cursorAt(after))
      },
      position
    )
    const following: Following = {
      cursor: this.#cursorAt(position),
      catchUp: () => {
        if (announcement !== undefined && ready()) {
          const announced = announcement
          announcement = undefined
          onGap(announced, following.cursor)
        }
        follower.catchUp()
      },
      end: () => {
        announcement = undefined
        follower.end()
        if (this.#followings.delete(following) && this.#followings.size === 0) {
          this.#keptUntilMs = this.#clock.monotonicMs() + this.#keptMsMax
        }
      }
    }
    this.#followings.add(following)
    return following
  }

  /** Where a subscription begins: at its cursor if everything since is kept, else now, after a gap. */
  #beginning(cursor: string | undefined): { position: number; gap?: EventGap } {
    if (this.#keeps()) this.#kept.dropOld(this.#clock.monotonicMs())
    const { first, next } = this.#kept
    if (cursor === undefined) return { position: next }
    const { run, position } = readCursor(cursor)
    if (run !== this.#run) return { position: next, gap: { missed: null, reason: 'restarted' } }
    if (position > next) throw cursorInvalid(cursor)
    return position < first ? { position: next, gap: { missed: null, reason: 'expired' } } : { position }
  }

  #keeps(): boolean {
    if (this.#followings.size > 0) return true
    if (this.#keptUntilMs === undefined) return false
    if (this.#clock.monotonicMs() < this.#keptUntilMs) return true
    this.#keptUntilMs = undefined
    this.#kept.interrupt()
    return false
  }

  #cursorAt(position: number): string {
    return `${this.#run}-${position.toString(36)}`
  }
}

function matches({ queue, job, method, types }: EventFilter, event: JobEvent): boolean {
  return (
    (queue === undefined || queue === event.queue) &&
    (job === undefined || job === event.job) &&
    (method === undefined || method === event.method) &&
    (types === undefined || types.includes(event.type))
  )
}

function readCursor(cursor: string): { run: string; position: number } {
  const [, run, digits] = /^([0-9a-f]{12})-([1-9a-z][0-9a-z]*)$/.exec(cursor) ?? []
  const position = Number.parseInt(digits ?? '', 36)
  if (run === undefined || !Number.isSafeInteger(position)) throw cursorInvalid(cursor)
  return { run, position }
}

function cursorInvalid(cursor: string): RuntimeError {
  return new RuntimeError(
    'PARAMS_INVALID',
    `Cannot subscribe to events: cursor: expected one that a subscription or an event gave, got ${preview(cursor)}. Leave it out to begin with what happens from now on.`,
    { path: 'cursor' }
  )
}

/** Its texts, at two bytes a character, and the objects around them. */
function approximateBytes({ job, queue, method, error, progress, log }: JobEvent): number {
  let chars = job.length + queue.length + method.length
  if (error !== undefined) chars += error.name.length + error.message.length + (error.stack?.length ?? 0)
  if (progress !== undefined) chars += progress.stage?.length ?? 0
  if (log !== undefined) chars += log.message.length
  return 500 + 2 * chars
}
