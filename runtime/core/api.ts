/**
 * The two faces of the system. {@link Service} is what the supervisor offers, keyed by the names of the protocol; the
 * socket server and the embedded runtime both call it. {@link Runtime} is what programs hold: the same whether
 * `createRuntime` made it in this process or `connect` made it over the socket.
 */
import type { Actor } from './actor.ts'
import type { DocumentId, DocumentPage, DocumentView } from './document.ts'
import type { Duration } from './duration.ts'
import type { EventFilter, EventListener, EventStream, GapListener } from './events.ts'
import type {
  BulkRequest,
  BulkStep,
  EnqueueOptions,
  EnqueueRequest,
  EnqueueResult,
  JobFilter,
  JobPage,
  JobSelection,
  JobView,
  QueueView
} from './job.ts'
import type { JobState } from './lifecycle.ts'
import type { ActorClass, ActorFunction, CallArguments, MethodName, MethodOf, ResultOf } from './method-types.ts'
import type { MigrationView, SchedulerView } from './scheduler-event.ts'
import type {
  Outbox,
  OutboxOptions,
  PreparedView,
  TransactionOperation,
  TransactionOptions,
  TransactionResult,
  TransactionScope
} from './transaction.ts'

/** One function per protocol method: one object in, one value out. `rpc/methods.ts` holds schema and documentation of each. */
export interface ServiceMethods {
  enqueue(params: EnqueueRequest, caller?: Caller): Promise<EnqueueResult>
  enqueueMany(params: { jobs: EnqueueRequest[] }): Promise<{ ids: string[] }>
  enqueueDoc(params: EnqueueDocRequest, caller?: Caller): Promise<EnqueueResult>
  transaction(params: { operations: TransactionOperation[] }): Promise<TransactionResult>
  'outbox.prepare'(params: PrepareRequest): Promise<PreparedView>
  'outbox.commit'(params: { id: string }): Promise<TransactionResult>
  'outbox.abort'(params: { id: string }): Promise<{ id: string; aborted: true }>
  'outbox.list'(params: { outbox?: string }): Promise<{ prepared: PreparedView[] }>
  'doc.get'(params: DocumentId): Promise<DocumentView>
  'doc.list'(params: { type: string; limit?: number; cursor?: string }): Promise<DocumentPage>
  'doc.export'(params: { type?: string; limit?: number; cursor?: string }): Promise<DocumentPage>
  'doc.remove'(params: DocumentId): Promise<DocumentId & { removed: true }>
  'doc.cancelReminder'(params: DocumentId & { reminder: string }): Promise<DocumentView>
  'job.signal'(params: { id: string; name: string; payload?: unknown }): Promise<JobChange>
  'job.get'(params: { id: string }): Promise<JobView>
  'job.list'(params: JobFilter): Promise<JobPage>
  'job.wait'(params: { id: string; timeout?: Duration }, caller?: Caller): Promise<JobView>
  'job.cancel'(params: { id: string }): Promise<JobChange>
  'job.retry'(params: { id: string; params?: unknown }): Promise<JobChange>
  'job.remove'(params: { id: string }): Promise<{ id: string; removed: true }>
  'job.move'(params: { id: string; queue: string }): Promise<JobChange>
  'job.cancelMany'(params: BulkRequest): Promise<BulkStep>
  'job.retryMany'(params: BulkRequest & { params?: unknown }): Promise<BulkStep>
  'job.removeMany'(params: BulkRequest & { state: JobState }): Promise<BulkStep>
  'job.moveMany'(params: BulkRequest & { to: string }): Promise<BulkStep>
  'queue.list'(params: Record<string, never>): Promise<{ queues: QueueView[] }>
  'queue.pause'(params: { queue: string; until?: Duration }): Promise<QueueView>
  'queue.resume'(params: { queue: string }): Promise<QueueView>
  'queue.purge'(params: { queue: string; state?: JobState }): Promise<{ removed: number }>
  'queue.drain'(params: { queue: string; timeout?: Duration }, caller?: Caller): Promise<QueueView>
  reload(params: Record<string, never>): Promise<{ methods: number }>
  'method.list'(params: Record<string, never>): Promise<{ methods: MethodView[] }>
  'schedule.list'(params: Record<string, never>): Promise<SchedulerView>
  'schedule.trigger'(params: { event: string }): Promise<{ ids: string[] }>
  'schedule.pause'(params: { event?: string }): Promise<SchedulerState>
  'schedule.resume'(params: { event?: string }): Promise<SchedulerState>
  'schedule.skip'(params: { event: string }): Promise<SchedulerState>
  'schedule.migrate'(params: { dryRun?: boolean }): Promise<MigrationView>
  maintenance(params: { on: boolean }): Promise<SchedulerState>
  status(params: Record<string, never>): Promise<StatusView>
  doctor(params: Record<string, never>): Promise<DoctorView>
  backup(params: { directory: string }): Promise<BackupView>
  shutdown(params: { deadline?: Duration }): Promise<{ stopping: true }>
}

/** Options of a job that calls a method of a document. Its key is the document. */
export type EnqueueDocOptions = Omit<EnqueueOptions, 'document' | 'key' | 'keyConcurrency'>

/** A job that calls a method of a document. */
interface EnqueueDocRequest extends EnqueueDocOptions, DocumentId {
  /** Name of a method of the class. */
  method: string
  params?: unknown
}

/** Operations that do not take effect before `outbox.commit`. */
export interface PrepareRequest {
  /** Name by which the program that prepares finds them again. */
  outbox: string
  /** Without a `revision`: once it is prepared, nothing may speak against it. */
  operations: TransactionOperation[]
  /** After this the program should have decided. Default 1 minute. */
  timeout?: Duration
}

/** Who has made a call whose answer may take any time, and may be gone before. */
export interface Caller {
  /** @returns the function that takes `listener` back, once the call is over */
  onGone(listener: () => void): () => void
}

export interface Service {
  readonly methods: ServiceMethods
  readonly events: EventStream
}

/** What the scheduler as a whole does; see {@link SchedulerView}. */
export interface SchedulerState {
  state: SchedulerView['state']
}

/** A job after cancel or retry. `changed` is false where there was nothing to do, such as cancelling a finished job. */
export interface JobChange {
  id: string
  state: JobState
  changed: boolean
}

/** A method that can be enqueued. `functionName` and `sourceHash` let a program find the path of a function it holds (E1). */
export interface MethodView {
  method: string
  file: string
  functionName: string
  sourceHash: string
  /** Path of the class, where it is a method of a document type; the two above are the class's then. Else null. */
  documentType: string | null
}

/** A backup that is on disk, verified, and in its place. */
export interface BackupView {
  directory: string
  /** Of its data file, which has no free pages. */
  bytes: number
  jobs: number
  durationMs: number
}

export interface StatusView {
  version: string
  pid: number
  /** `running`; `stopping` once asked to stop; `storageFull` while the disk takes no writes. */
  state: 'running' | 'stopping' | 'storageFull'
  startedAt: string
  uptimeMs: number
  dataDir: string
  socket: string | null
  node: string
  queues: QueueView[]
  /** `bytes`: of the file. `usedBytes`: of what is in it; what is free in the file is used before it grows. */
  /** `setAside`: damaged records that are not used any more. */
  store: { format: number; bytes: number; usedBytes: number; bytesMax: number | null; setAside: number }
  memory: { residentBytes: number }
}

/** What is wrong, and what to do about it. */
export interface DoctorView {
  /** Nothing is a problem; there may be warnings. */
  ok: boolean
  findings: Finding[]
}

export interface Finding {
  /** Something is broken or will be (`problem`), or looks unusual (`warning`). */
  severity: 'problem' | 'warning'
  about: { queue: string } | { event: string } | { store: string } | { supervisor: string } | { outbox: string }
  what: string
  advice: string
}

/** What the queue tells of itself for {@link ServiceMethods.doctor}. Instants in epoch milliseconds. */
export interface QueueHealth {
  queue: string
  /** Of the ready jobs, as far as a bounded look finds it. */
  oldestReady: { id: string; readySinceMs: number } | null
  /** Of the running jobs. */
  oldestRunning: { id: string; startedAtMs: number; timeoutMs: number } | null
  /** Scheduled jobs that were due more than a minute ago: they should have become ready. */
  overdue: number
}

/** Size of the store over time, oldest first, about one sample an hour while something is written; 48 at most. */
export type StoreGrowth = readonly { atMs: number; usedBytes: number }[]

/** What a change of many jobs does while it goes on. */
export interface BulkOptions {
  /** Called after each step with how many jobs have been changed so far. */
  onProgress?: (changed: number) => void
}

export interface SubscribeOptions {
  /** Where to go on: the cursor of a subscription or of one of its events. Default: with what happens from now on. */
  cursor?: string
  /** Called where events are missing. Default: gaps are not told. */
  onGap?: GapListener
}

export interface Subscription {
  /** Where it begins. */
  readonly cursor: string
  /** Ends the subscription; safe to call twice. */
  unsubscribe(): Promise<void>
}

export interface Runtime {
  /**
   * Enqueues one job. When the promise resolves, the job is flushed to disk.
   *
   * @param method dotted path (E2), or a function that an actor module exports (E1): then the compiler checks the params, and
   * knows the result
   * @throws RuntimeError `METHOD_UNKNOWN`, `QUEUE_UNKNOWN`, `PARAMS_INVALID`, `PAYLOAD_TOO_LARGE`, `JOB_EXISTS`,
   * `QUEUE_FULL`, `STORAGE_FULL`, `STOPPING`
   */
  enqueue(method: string, params?: unknown, options?: EnqueueOptions): Promise<EnqueueResult>
  enqueue<Method extends ActorFunction>(
    method: Method,
    ...rest: CallArguments<Method, Omit<EnqueueOptions, 'document'>>
  ): Promise<EnqueueResult<ResultOf<Method>>>
  /** Enqueues all of the jobs or none, in one commit. Same errors as {@link Runtime.enqueue}. */
  enqueueMany(jobs: EnqueueRequest[]): Promise<{ ids: string[] }>
  /**
   * Enqueues a call of a method of a document (E11), as {@link Runtime.enqueue}. Calls of one document run one at a time, in
   * order; the first makes the document.
   *
   * @param type dotted path of a class that extends `Actor`, or the class itself: then the compiler checks method and params, and
   * knows the result
   */
  enqueueDoc(
    type: string,
    name: string,
    method: string,
    params?: unknown,
    options?: EnqueueDocOptions
  ): Promise<EnqueueResult>
  enqueueDoc<Document extends Actor, Name extends MethodName<Document>>(
    type: ActorClass<Document>,
    name: string,
    method: Name,
    ...rest: CallArguments<MethodOf<Document, Name>, EnqueueDocOptions>
  ): Promise<EnqueueResult<ResultOf<MethodOf<Document, Name>>>>
  /**
   * Several jobs, cancellations and states of documents: all of them or none, in one durable commit. `callback` collects them,
   * and they happen once it has returned; if it throws, nothing does. It may run several times: see {@link TransactionOptions}.
   *
   * They happen in the order of the calls, but the jobs all together where the first of them stands.
   *
   * @returns what the callback returned, when all of it is on disk
   * @throws RuntimeError as {@link Runtime.enqueue}; `JOB_UNKNOWN` of a job to cancel; `DOCUMENT_CHANGED` where documents that
   * were read were changed by others each time; and what the callback throws
   */
  transaction<T>(callback: (tx: TransactionScope) => T | Promise<T>, options?: TransactionOptions): Promise<T>
  /**
   * Ties jobs to a transaction in a database of the program's own: see {@link Outbox}. One for each name, open for as long as
   * the program runs.
   *
   * @throws RuntimeError `PARAMS_INVALID`
   */
  outbox(options?: OutboxOptions): Outbox
  /** Documents, by the path of their class or the class itself. */
  readonly doc: {
    /** @throws RuntimeError `DOCUMENT_UNKNOWN` */
    get(type: string | ActorClass, name: string): Promise<DocumentView>
    /** By name, one page at a time. */
    list(type: string | ActorClass, options?: { limit?: number; cursor?: string }): Promise<DocumentPage>
    /**
     * Every document, of one type or of all, one after the other; they are read in pages as the loop comes to them. Each is as
     * it was when its page was read.
     */
    export(options?: { type?: string | ActorClass }): AsyncIterable<DocumentView>
    /** Removes a document with its reminders; its next job makes a new one. @throws RuntimeError `DOCUMENT_UNKNOWN` */
    remove(type: string | ActorClass, name: string): Promise<DocumentId & { removed: true }>
    /** Takes a reminder back; one that is not there is no error. @throws RuntimeError `DOCUMENT_UNKNOWN` */
    cancelReminder(type: string | ActorClass, name: string, reminder: string): Promise<DocumentView>
  }
  readonly job: {
    /** @throws RuntimeError `JOB_UNKNOWN` */
    get(id: string): Promise<JobView>
    /** Newest first, one page at a time. */
    list(filter?: JobFilter): Promise<JobPage>
    /**
     * Resolves once the job is completed, failed or cancelled. Default: waits without limit.
     * @throws RuntimeError `JOB_UNKNOWN`, `WAIT_TIMEOUT`
     */
    wait(id: string, options?: { timeout?: Duration }): Promise<JobView>
    /** Cancels in any state; the thread of a running job is killed. A finished job stays as it is. */
    cancel(id: string): Promise<JobChange>
    /**
     * Starts a finished job again with all its attempts, or brings a scheduled one forward; `params` replace the old ones. It
     * no longer expires.
     */
    retry(id: string, options?: { params?: unknown }): Promise<JobChange>
    /** Forgets a job. @throws RuntimeError `JOB_STATE` while it runs: cancel it first. */
    remove(id: string): Promise<{ id: string; removed: true }>
    /**
     * Sends a signal to a job that has not finished: `ctx.waitFor` of that name returns `payload` (default null), now or when
     * the job comes to it. When the promise resolves, the signal is on disk.
     * @throws RuntimeError `JOB_UNKNOWN`, `JOB_STATE`, `PAYLOAD_TOO_LARGE`
     */
    signal(id: string, name: string, payload?: unknown): Promise<JobChange>
    /** Moves a scheduled or ready job to another queue. @throws RuntimeError `JOB_STATE`, `QUEUE_UNKNOWN` */
    move(id: string, queue: string): Promise<JobChange>
    /**
     * Changes every job of a selection, in small commits that hold up nobody; resolves when all are done. Without `state`:
     * cancels what is unfinished, retries what failed, moves what is scheduled or ready; `removeMany` needs a `state`.
     * @returns how many jobs were changed
     */
    cancelMany(selection: JobSelection, options?: BulkOptions): Promise<number>
    retryMany(selection: JobSelection, options?: BulkOptions & { params?: unknown }): Promise<number>
    removeMany(selection: JobSelection & { state: JobState }, options?: BulkOptions): Promise<number>
    moveMany(selection: JobSelection, to: string, options?: BulkOptions): Promise<number>
  }
  readonly queue: {
    list(): Promise<QueueView[]>
    /** No job of the queue is started until `resume`, or until a duration or ISO 8601 instant is over; survives restarts. */
    pause(queue: string, options?: { until?: Duration | Date }): Promise<QueueView>
    resume(queue: string): Promise<QueueView>
    /** Removes the jobs of one state, by default the scheduled and ready ones. Running jobs are never removed. */
    purge(queue: string, options?: { state?: JobState }): Promise<{ removed: number }>
    /** Resolves once no job of the queue is ready or running. @throws RuntimeError `QUEUE_UNKNOWN`, `WAIT_TIMEOUT` */
    drain(queue: string, options?: { timeout?: Duration }): Promise<QueueView>
  }
  /** Scheduler events. `event`: the id of one, or the key or method that one or several have. */
  readonly schedule: {
    list(): Promise<SchedulerView>
    /** Runs events now, whatever their state. @returns the ids of the jobs @throws RuntimeError `EVENT_UNKNOWN` */
    trigger(event: string): Promise<{ ids: string[] }>
    /** Without `event`: the whole scheduler. What would have run is counted as skipped; survives restarts. */
    pause(event?: string): Promise<SchedulerState>
    resume(event?: string): Promise<SchedulerState>
    /** Leaves out the next instant. */
    skip(event: string): Promise<SchedulerState>
    /** Applies the scheduler events that the configuration file holds now (S8). */
    migrate(options?: { dryRun?: boolean }): Promise<MigrationView>
  }
  /** In maintenance mode no events fire and no jobs start; enqueueing goes on. Survives restarts. */
  maintenance(on: boolean): Promise<SchedulerState>
  /**
   * Calls `listener` for each event that passes the filter, in order: with a cursor, first for those since it, which may be
   * before the promise resolves; then for those that happen. Recent events are kept, for minutes, so a program that was
   * away goes on where it was. Where some are not kept any more, `onGap` is called first, never nothing.
   *
   * @throws RuntimeError `PARAMS_INVALID`: also a cursor that no subscription has given; `TOO_MANY_REQUESTS`
   */
  subscribe(filter: EventFilter, listener: EventListener, options?: SubscribeOptions): Promise<Subscription>
  status(): Promise<StatusView>
  /** Looks for stuck or failing queues and events, overdue schedules, and a store that runs full. */
  doctor(): Promise<DoctorView>
  /**
   * Jobs from now on run the code that actor files hold now; those that run go on with the old.
   *
   * @returns how many methods there are
   * @throws RuntimeError `ACTORS_INVALID`: a module does not load; the old code goes on
   */
  reload(): Promise<{ methods: number }>
  /**
   * Copies the store as it is at one moment, while jobs go on. When the promise resolves the copy is on disk and verified. It is a
   * data directory: start a supervisor on it in the place of this one.
   *
   * @param directory on the machine of the supervisor; a relative path starts at the working directory of this process. Does
   * not exist yet, or is empty
   * @throws RuntimeError `PARAMS_INVALID` of the directory, `STORAGE_FULL`, `BACKUP_FAILED`: also where the store is
   * damaged, `STOPPING`; nothing is left there then
   */
  backup(directory: string): Promise<BackupView>
  /** Any protocol method by name, as PROTOCOL.md lists them. */
  call(method: string, params?: unknown): Promise<unknown>
  /** Asks the supervisor to stop, wherever it runs. Running jobs get `deadline` (default 30 s), then go back to ready. */
  shutdown(options?: { deadline?: Duration }): Promise<void>
  /**
   * Ends this handle; safe to call twice. Made by `createRuntime`: stops the supervisor in this process as `shutdown`
   * does and resolves when the store is closed. Made by `connect`: closes the connection; the supervisor goes on.
   */
  stop(options?: { deadline?: Duration }): Promise<void>
}
