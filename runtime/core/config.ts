/**
 * The configuration as the parts of the system see it: complete, in base units, frozen. `config/` makes it from what
 * users write ({@link RuntimeOptions}).
 */
import type { Backoff, BackoffRule } from './backoff.ts'
import type { Duration } from './duration.ts'

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
  /** Most jobs that may wait (scheduled and ready); beyond, `enqueue` is refused with `QUEUE_FULL`. Default: no bound. */
  maxQueued?: number
}

/** What users write: the content of the configuration file, and the argument of `createRuntime`. */
export interface RuntimeOptions {
  /** Folder of the store and the lock, created 0700. Default `.runtime`. */
  dataDir?: string
  /** Unix socket, 0600. Default `runtime.sock` in the data directory; an embedded runtime opens none unless it is named. */
  socket?: string
  /** Folder or folders of actor modules. Default `actors`. */
  actors?: string | string[]
  /** Queues by name; `short`, `default` and `long` always exist (E12, E13). */
  workers?: Record<string, QueueOptions>
}

export interface QueueConfig {
  readonly name: string
  readonly timeoutMs: number
  readonly backgroundWorkers: number
  readonly attempts: number
  readonly backoff: BackoffRule
  /** null: no bound. */
  readonly maxQueued: number | null
}

export interface RuntimeConfig {
  /** Absolute. */
  readonly dataDir: string
  /** Absolute; null: no socket. */
  readonly socket: string | null
  /** Absolute. */
  readonly actors: readonly string[]
  readonly queues: ReadonlyMap<string, QueueConfig>
  /** The file it came from; null: defaults or `createRuntime`. */
  readonly file: string | null
  /** Things that are accepted but have no effect, for the operator to read. */
  readonly warnings: readonly string[]
}
