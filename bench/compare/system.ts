/**
 * What the benchmark knows of a queue, ours or another: a small interface that each system's file in `systems/` fills in. A
 * run starts a system in a fresh process on fresh data, and nothing of one run is in another.
 *
 * The limits of the machine are systems too: what a bare pool completes is a limit of what any queue on it completes.
 */
import type { QuestionName } from './question.ts'
import type { Server } from './server.ts'

/** Exports of the one module of handlers, which every system runs: see bench-actor.ts. */
export type BenchMethod = 'noop' | 'stamp'

export interface BenchJob {
  method: BenchMethod
  params: { index: number; payload: string }
  /** Wall clock, whole milliseconds; absent: at once. */
  dueAtMs?: number
}

/** Where a run happens. */
export interface Place {
  /** Empty, and removed after the run. */
  folder: string
  /** Of the module of handlers. */
  handlersFile: string
  /** Where `stamp` leaves its instants. */
  stampFile: string
  /** Handlers that run at a time: threads where the system has them, else promises or coroutines. */
  concurrency: number
  /** Of a system that has a server; else null. */
  server: Server | null
}

export interface StartedSystem {
  /** Resolves when the system has acknowledged the job. */
  enqueue(job: BenchJob): Promise<unknown>
  /** Resolves when all of them are acknowledged. Systems that have no such call are asked one by one. */
  enqueueMany(jobs: readonly BenchJob[]): Promise<unknown>
  /** From now on jobs are taken. Before the first call none is. */
  work(): Promise<void>
  /** No further job is taken. */
  rest(): Promise<void>
  /** Resolves once every job that was enqueued has completed, and the system has stored that. */
  completed(): Promise<void>
  /** Enqueues the job and resolves with its completion, where the system can tell a caller of it. */
  run?(job: BenchJob): Promise<unknown>
  /** Processes whose memory and CPU time are the system's, with their descendants. */
  processes(): number[]
  stop(): Promise<void>
}

export interface System {
  name: string
  /** What it is and when it acknowledges, for the reader of the table. */
  about: string
  server?: 'redis everysec' | 'redis always' | 'postgres'
  /** npm packages from the folder of peers. */
  packages?: readonly string[]
  /** Questions that it has no answer to, and why. */
  cannot?: Partial<Record<QuestionName, string>>
  start(place: Place): Promise<StartedSystem>
}
