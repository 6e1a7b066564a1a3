/**
 * The configuration as the parts of the system see it: complete, in base units, frozen. `config/` makes it from what
 * users write ({@link RuntimeOptions}).
 */
import type { Backoff, BackoffRule } from './backoff.ts'
import type { Duration } from './duration.ts'
import type { SchedulerEvents } from './scheduler-event.ts'

/** What users write for one queue, in the file under `workers` or in `createRuntime`. */
export interface QueueOptions {
  /** Time one attempt may take. Default 300 s; `long`: 1500 s (E12). */
  timeout?: Duration
  /** Threads, so jobs of this queue that run at a time. Default 2. */
  backgroundWorkers?: number
  /** Attempts of a job that does not say. Default 1. */
  attempts?: number
  /** Waits between attempts of a job that does not say. Default: none. */
  backoff?: Backoff
  /** How long before the deadline `ctx.signal` aborts, so that a job can clean up. Default: it does not. */
  softTimeout?: Duration
  /**
   * `process`: jobs run in threads of a host process, so that nothing they do can hurt the supervisor or another queue.
   * `inline`: in threads of this process: cheaper to start, but a native call survives its deadline and running out of
   * memory can end the process. Default `process`.
   */
  isolation?: 'process' | 'inline'
  /** Memory that one job may use, heap and buffers, in MiB. Default: Node's own limit of a heap. */
  memoryLimitMb?: number
  /** Hosts that are started at once and never ended for being idle: 0 or 1. Default 0. */
  minHosts?: number
  /** How long a host without a job is kept. Default 60 s. */
  hostIdleTimeout?: Duration
  /** Environment of the jobs: a text is set, `true` hands on the supervisor's own variable. */
  env?: Record<string, string | true>
  /** What the jobs may do, by Node's permission model. Default: everything. A seat belt against mistakes, not a sandbox. */
  permissions?: PermissionOptions
  /** Most jobs that may wait (scheduled and ready); beyond, `enqueue` is refused with `QUEUE_FULL`. Default: no bound. */
  maxQueued?: number
  /** Errors that a job which does not say is tried again for, by code or name. Default: every error. */
  retryOn?: string[]
  /** Errors that a job which does not say is not tried again for. Default: none. */
  noRetryOn?: string[]
  /** At most `max` jobs of the queue start within any span of `per`. Default: no bound. */
  rateLimit?: RateLimit
  /** At most `max` jobs of each key start within any span of `per`. Default: no bound. */
  keyRateLimit?: RateLimit
  /**
   * Waiting this long counts as one more `priority`, so that nothing starves; between keys turns decide then, not priority.
   * Default: priorities never age. A job keeps the rule of its enqueueing: those without ageing run before those with it.
   */
  ageing?: Duration
  /** What is kept of finished jobs. An outcome that is not named has its default. */
  retention?: { completed?: Retention; failed?: Retention; cancelled?: Retention }
}

export interface RateLimit {
  max: number
  per: Duration
}

/** Finished jobs beyond any of these are forgotten, the oldest first. `{}` keeps everything. */
export interface Retention {
  age?: Duration
  count?: number
  /** Of their records on disk. */
  bytes?: number
}

/** Network access cannot be restricted. Relative paths are relative to the project root. */
export interface PermissionOptions {
  /** Files and folders that may be read, besides the actors and this package. */
  read?: string[]
  /** Files and folders that may be written. */
  write?: string[]
  childProcess?: boolean
  /** Native addons. */
  addons?: boolean
  /** Threads of the job's own. */
  worker?: boolean
}

/** What users write: the content of the configuration file, and the argument of `createRuntime`. */
export interface RuntimeOptions {
  /** Folder of the store and the lock, created 0700. Default `.runtime`. */
  dataDir?: string
  /** Unix socket, 0600. Default `runtime.sock` in the data directory; an embedded runtime opens none unless it is named. */
  socket?: string
  /** Folder or folders of actor modules. Default `actors`. */
  actors?: string | string[]
  /** What runs at which times (S1). */
  schedulerEvents?: SchedulerEvents
  /** Seconds between the runs of `all` events. Default 60 (S4). */
  schedulerTickInterval?: number
  /** IANA zone of events that name none. Default UTC (S12). */
  timezone?: string
  /** Bytes that the store may use; beyond, `enqueue` is refused with `STORAGE_FULL`. Default: no bound. */
  maxStoreBytes?: number
  /** Queues by name; `short`, `default` and `long` always exist (E12, E13). */
  workers?: Record<string, QueueOptions>
}

export interface QueueConfig {
  readonly name: string
  readonly timeoutMs: number
  readonly backgroundWorkers: number
  readonly attempts: number
  readonly backoff: BackoffRule
  readonly softTimeoutMs: number | null
  readonly isolation: 'process' | 'inline'
  readonly memoryLimitMb: number | null
  readonly minHosts: number
  readonly hostIdleMs: number
  readonly env: Readonly<Record<string, string | true>>
  /** null: everything is allowed. Paths are absolute. */
  readonly permissions: Permissions | null
  /** null: no bound. */
  readonly maxQueued: number | null
  readonly retryOn: readonly string[] | null
  readonly noRetryOn: readonly string[] | null
  readonly rateLimit: RateLimitRule | null
  readonly keyRateLimit: RateLimitRule | null
  /** null: priorities do not age. */
  readonly ageingMs: number | null
  readonly retention: Readonly<Record<'completed' | 'failed' | 'cancelled', RetentionRule>>
}

export interface RateLimitRule {
  readonly max: number
  readonly perMs: number
}

/** null: no bound. */
export interface RetentionRule {
  readonly ageMs: number | null
  readonly count: number | null
  readonly bytes: number | null
}

export interface Permissions {
  readonly read: readonly string[]
  readonly write: readonly string[]
  readonly childProcess: boolean
  readonly addons: boolean
  readonly worker: boolean
}

export interface RuntimeConfig {
  /** Absolute. */
  readonly dataDir: string
  /** Absolute; null: no socket. */
  readonly socket: string | null
  /** Absolute. */
  readonly actors: readonly string[]
  readonly queues: ReadonlyMap<string, QueueConfig>
  readonly schedulerEvents: SchedulerEvents
  readonly schedulerTickIntervalS: number
  readonly timezone: string
  /** null: no bound. */
  readonly maxStoreBytes: number | null
  /** The file it came from; null: defaults or `createRuntime`. */
  readonly file: string | null
  /** Things that are accepted but have no effect, for the operator to read. */
  readonly warnings: readonly string[]
}
