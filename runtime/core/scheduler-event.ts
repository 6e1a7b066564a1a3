/**
 * Scheduler events: what users write, and what the scheduler works with. Source: seed rows S1 to S12.
 */
import type { Duration } from './duration.ts'
import type { JobState } from './lifecycle.ts'

/** What to do about instants that passed while nothing could fire them. `all` is capped. */
export const missedPolicies = ['once', 'skip', 'all'] as const
type MissedPolicy = (typeof missedPolicies)[number]

/** What to do when the job of the last instant has not finished. `queue`: run once more when it has. */
export const overlapPolicies = ['skip', 'queue', 'allow'] as const
type OverlapPolicy = (typeof overlapPolicies)[number]

/** The keys under `schedulerEvents`, besides `cron`; each is also allowed inside `cron` (S6). */
export const eventLabels = [
  'all',
  'hourly',
  'daily',
  'weekly',
  'monthly',
  'yearly',
  'annual',
  'hourly_long',
  'daily_long',
  'weekly_long',
  'monthly_long'
] as const
type EventLabel = (typeof eventLabels)[number]

export interface EventOptions {
  /** Dotted path of the method. */
  method: string
  /** What the method receives. Default `{}`; the reference calls it without arguments. */
  params?: unknown
  /** Default `default`; for the labels that end in `_long`, `long` (S2, S3). */
  queue?: string
  timeout?: Duration
  /** IANA zone. Default: the global one (S12). */
  timezone?: string
  /** Default `once` (S9). */
  missed?: MissedPolicy
  /** Default `skip` (S10). */
  overlap?: OverlapPolicy
  /** Moves the event by a part of this span that is always the same for it, so that not all fire at once (S2). */
  spread?: Duration
  jobName?: string
  attempts?: number
}

type EventList = readonly (string | EventOptions)[]

/** Labels to lists of method paths or options; `cron`: cron expressions, or labels, to such lists. */
export type SchedulerEvents = { [Label in EventLabel]?: EventList } & { cron?: Record<string, EventList> }

/** One event, complete. */
export interface ScheduledEvent {
  /** Its identity (S7): key and method, and a number where the same method stands under the same key again. */
  readonly id: string
  /** The label, or the cron expression as it was written. */
  readonly key: string
  readonly method: string
  readonly params: unknown
  readonly queue: string
  readonly timeout: Duration | null
  readonly timezone: string
  readonly missed: MissedPolicy
  readonly overlap: OverlapPolicy
  readonly spreadMs: number
  readonly jobName: string | null
  readonly attempts: number | null
}

/** An event as it is shown. Instants are ISO 8601 texts in UTC. */
export interface EventView {
  event: string
  method: string
  expression: string
  timezone: string
  queue: string
  /** `invalid`: it cannot fire, see `problem`. */
  state: 'active' | 'paused' | 'invalid'
  problem: string | null
  next: string | null
  /** The next instant will be left out. */
  skipsNext: boolean
  /** The instant for which it last ran. */
  lastInstant: string | null
  lastJob: string | null
  /** How the last job ended; null while it runs, or where there was none. */
  lastOutcome: Extract<JobState, 'completed' | 'failed' | 'cancelled'> | null
  lastDurationMs: number | null
  runs: number
  failures: number
  /** Instants left out because the last job had not finished, by pause, or by hand. */
  skips: number
  /** Instants that passed while nothing could fire them and that were not made up for. */
  misses: number
}

export interface SchedulerView {
  /** `paused`: by `schedule.pause`. `maintenance`: no events fire and no jobs start. */
  state: 'active' | 'paused' | 'maintenance'
  events: EventView[]
}

/** What a comparison of the configuration with the stored schedule found. Lists of event ids. */
export interface MigrationView {
  added: string[]
  changed: string[]
  removed: string[]
  unchanged: number
}
