/** Several changes in one durable commit: all of them or none. */
import type { Actor } from './actor.ts'
import type { ContextEnqueueOptions, ContextEnqueueRequest } from './context.ts'
import type { Duration } from './duration.ts'
import type { EnqueueRequest, EnqueueResult, Json } from './job.ts'
import type { ActorClass, ActorFunction, CallArguments, MethodName, MethodOf } from './method-types.ts'

/** `revision`: only if the document still has it; null: only if there is none. Left out: whatever it has. */
export type TransactionOperation =
  | { op: 'enqueue'; job: EnqueueRequest }
  | { op: 'setState'; type: string; name: string; state: unknown; revision?: number | null }
  | { op: 'removeState'; type: string; name: string; revision?: number | null }
  | { op: 'cancel'; id: string }

/** The answer to each `enqueue`, in order. */
export interface TransactionResult {
  jobs: EnqueueResult[]
}

/** Operations that wait for the decision of the program that prepared them. */
export interface PreparedView {
  id: string
  outbox: string
  operations: number
  preparedAt: string
  /** When whoever prepared it should have decided. */
  undecidedAt: string
}

type CollectedDocOptions = Omit<ContextEnqueueOptions, 'document' | 'key' | 'keyConcurrency'>

/** Collects operations; nothing happens before its callback has returned. After that, a call is a TypeError. */
export interface OperationScope {
  /**
   * @param method dotted path, or a function that an actor module exports: then the compiler checks the params
   * @param options an index in `dependsOn` counts the jobs of the transaction so far
   * @returns the id that the job will have: `jobId`, else one that is made here
   */
  enqueue(method: string, params?: unknown, options?: ContextEnqueueOptions): { id: string }
  enqueue<Method extends ActorFunction>(
    method: Method,
    ...rest: CallArguments<Method, Omit<ContextEnqueueOptions, 'document'>>
  ): { id: string }
  /** They may depend on each other, by their indexes in `jobs`, and on earlier ones by id. */
  enqueueMany(jobs: readonly ContextEnqueueRequest[]): { ids: string[] }
  /** A call of a method of a document (E11). */
  enqueueDoc(
    type: string,
    name: string,
    method: string,
    params?: unknown,
    options?: CollectedDocOptions
  ): { id: string }
  enqueueDoc<Document extends Actor, Name extends MethodName<Document>>(
    type: ActorClass<Document>,
    name: string,
    method: Name,
    ...rest: CallArguments<MethodOf<Document, Name>, CollectedDocOptions>
  ): { id: string }
  /** Cancels in any state; a finished job stays as it is. */
  cancel(id: string): void
  /**
   * The new state of a document, which is made where there is none. A job that works on it runs again, with this state.
   *
   * @param state what JSON can say, as it is now: later changes of the object do not count
   */
  setState(type: string | ActorClass, name: string, state: unknown): void
  /** Removes a document with its reminders. One that is not there is no error. */
  removeState(type: string | ActorClass, name: string): void
}

/** What {@link Runtime.transaction} passes to its callback. */
export interface TransactionScope extends OperationScope {
  /**
   * @returns the state of a document, as this transaction leaves it so far; undefined: there is none. If the transaction writes
   * the document too, it is committed only if nobody else has changed that state meanwhile; else the callback runs again.
   */
  getState<State = Json>(type: string | ActorClass, name: string): Promise<State | undefined>
}

export interface TransactionOptions {
  /** How often the callback runs at most, where documents that it has read change before it can commit. Default 10. */
  attempts?: number
}

export interface OutboxOptions {
  /** By this name what was prepared is found again when the program has been restarted. Default: `default`. */
  name?: string
  /** How long a prepared entry may be undecided before `decide` is asked. Default 1 minute. */
  timeout?: Duration
  /**
   * Asked about an entry that has been prepared and neither committed nor aborted in time, because the process that
   * prepared it has died or forgot. Looks up whether the program's own transaction was committed. `'abort'` only if it
   * was not and cannot be any more; undefined: not known yet, ask again after `timeout`. Asked about one entry at a time.
   *
   * Without it, what is undecided stays until it is decided by {@link Outbox.commit}, {@link Outbox.abort} or on the command
   * line; `doctor` tells of it.
   */
  decide?: (id: string) => Decision | undefined | Promise<Decision | undefined>
  /** Told what `decide` throws, or a decision that could not be carried out; it is tried again after `timeout`. Default: console.error. */
  onError?: (error: unknown) => void
}

export type Decision = 'commit' | 'abort'

/**
 * The other half of a transaction in a database of the program's own:
 *
 *  1. `prepare` stores what is to be enqueued, cancelled or set; nothing of it happens yet.
 *  2. The program writes the id of the entry in its own transaction, with its own changes, and commits that.
 *  3. `commit` makes it happen.
 *
 * If the program dies before 2, `decide` does not find the id and answers `'abort'`; after 2, it finds it and answers
 * `'commit'`. So either both halves happen or none.
 */
export interface Outbox {
  /**
   * Resolves when the operations are on disk. What speaks against them is told now; once prepared, nothing does: a queue may
   * be full by then, an id in use counts as deduplicated, and what is to be cancelled may be gone.
   *
   * @param callback collects the operations, at least one, and may be async; if it throws, nothing is prepared
   * @throws RuntimeError as {@link Runtime.transaction}
   */
  prepare(callback: (tx: OperationScope) => unknown): Promise<Prepared>
  /** As {@link Prepared.commit}, by the id, also of an entry that an earlier process has prepared. */
  commit(id: string): Promise<TransactionResult>
  /** As {@link Prepared.abort}, by the id. */
  abort(id: string): Promise<void>
  /** What is prepared and not decided, oldest first. */
  list(): Promise<PreparedView[]>
  /** `decide` is not asked any more; resolves when a decision under way has been carried out. Safe to call twice. */
  stop(): Promise<void>
}

export interface Prepared {
  /** For the table of the program. */
  readonly id: string
  /**
   * All of it happens, in one commit; on disk when this resolves. May be called again after an error.
   * @throws RuntimeError `OUTBOX_UNKNOWN`: it was decided elsewhere
   */
  commit(): Promise<TransactionResult>
  /** Nothing of it happens. @throws RuntimeError `OUTBOX_UNKNOWN`: it was decided elsewhere */
  abort(): Promise<void>
}
