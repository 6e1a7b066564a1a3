/**
 * The {@link Runtime} that programs hold, over whatever carries its calls: a socket, or the service in this process.
 */
import { resolve as absolute } from 'node:path'
import type {
  BackupView,
  BulkOptions,
  DoctorView,
  EnqueueDocOptions,
  JobChange,
  Runtime,
  SchedulerState,
  StatusView
} from '../core/api.ts'
import type { DocumentId, DocumentPage, DocumentView } from '../core/document.ts'
import type { BulkStep, EnqueueOptions, EnqueueResult, JobPage, JobView, QueueView } from '../core/job.ts'
import type { ActorClass, ActorFunction } from '../core/method-types.ts'
import type { MigrationView, SchedulerView } from '../core/scheduler-event.ts'
import { withInstantTexts } from './instant-texts.ts'
import { pathResolver } from './method-of-function.ts'
import { Outboxes } from './outbox.ts'
import { runTransaction } from './transaction.ts'
import type { Transport } from './transport.ts'

/**
 * A request of what it names, its params and its options; it becomes `named` itself, key by key: an object that is spread into
 * another one is of no shape that V8 knows, and takes as long to check as the job to store.
 */
function requestOf<Named extends object>(named: Named, params: unknown, options: object = {}): Named {
  const request = named as Record<string, unknown>
  if (params !== undefined) request.params = params
  for (const [key, value] of Object.entries(options)) {
    if (!(key in request)) request[key] = value
    // Keys of every object, such as `__proto__`, are to be refused like any that is unknown.
    else if (!Object.hasOwn(request, key)) return { ...options, ...named }
  }
  return named
}

/** @returns the runtime whose every call goes through `transport` */
export function runtimeOver(transport: Transport): Runtime {
  /** The result types of `core/api.ts`; `rpc/methods.ts` holds them against the protocol. */
  const call = <Result>(method: string, params: unknown) => transport.call(method, params) as Promise<Result>
  const resolve = pathResolver(transport)
  const outboxes = new Outboxes(transport, resolve)
  /** Sends at once where a path is given, so that calls are made in their order. */
  const withPath = <Result>(named: string | ActorFunction | ActorClass, send: (path: string) => Promise<Result>) =>
    typeof named === 'string' ? send(named) : resolve(named).then(send)

  /** Asks for one step after the other until no job is left to change. */
  async function inSteps(method: string, params: object, { onProgress }: BulkOptions = {}): Promise<number> {
    let changed = 0
    let cursor: string | null = null
    do {
      const step: BulkStep = await call<BulkStep>(method, { ...params, ...(cursor !== null && { cursor }) })
      changed += step.changed
      cursor = step.cursor
      onProgress?.(changed)
    } while (cursor !== null)
    return changed
  }

  /** Asks for one page after the other, as the reader comes to them. */
  async function* exported(type: string | ActorClass | undefined): AsyncGenerator<DocumentView> {
    const filter = type === undefined ? {} : { type: typeof type === 'string' ? type : await resolve(type) }
    let cursor: string | null = null
    do {
      const page: DocumentPage = await call('doc.export', { ...filter, ...(cursor !== null && { cursor }) })
      yield* page.documents
      cursor = page.cursor
    } while (cursor !== null)
  }

  return {
    enqueue(method: string | ActorFunction, params?: unknown, options?: EnqueueOptions) {
      return withPath(method, (path) =>
        call<EnqueueResult<never>>('enqueue', withInstantTexts(requestOf({ method: path }, params, options)))
      )
    },
    enqueueDoc(type: string | ActorClass, name: string, method: string, params?: unknown, options?: EnqueueDocOptions) {
      return withPath(type, (path) =>
        call<EnqueueResult<never>>(
          'enqueueDoc',
          withInstantTexts(requestOf({ type: path, name, method }, params, options))
        )
      )
    },
    async enqueueMany(jobs) {
      return call<{ ids: string[] }>('enqueueMany', { jobs: jobs.map(withInstantTexts) })
    },
    transaction: (callback, options) => runTransaction(transport, resolve, callback, options),
    outbox: (options = {}) => outboxes.open(options),
    doc: {
      get: (type, name) => withPath(type, (path) => call<DocumentView>('doc.get', { type: path, name })),
      list: (type, options) => withPath(type, (path) => call<DocumentPage>('doc.list', { ...options, type: path })),
      export: ({ type } = {}) => exported(type),
      remove: (type, name) =>
        withPath(type, (path) => call<DocumentId & { removed: true }>('doc.remove', { type: path, name })),
      cancelReminder: (type, name, reminder) =>
        withPath(type, (path) => call<DocumentView>('doc.cancelReminder', { type: path, name, reminder }))
    },
    job: {
      get: (id) => call<JobView>('job.get', { id }),
      list: (filter = {}) => call<JobPage>('job.list', withInstantTexts(filter)),
      wait: (id, options) => call<JobView>('job.wait', { ...options, id }),
      cancel: (id) => call<JobChange>('job.cancel', { id }),
      retry: (id, options) => call<JobChange>('job.retry', { ...options, id }),
      remove: (id) => call<{ id: string; removed: true }>('job.remove', { id }),
      signal: (id, name, payload) =>
        call<JobChange>('job.signal', { id, name, ...(payload === undefined ? {} : { payload }) }),
      move: (id, queue) => call<JobChange>('job.move', { id, queue }),
      cancelMany: (selection, options) => inSteps('job.cancelMany', withInstantTexts(selection), options),
      retryMany: (selection, { params, ...options } = {}) =>
        inSteps('job.retryMany', { ...withInstantTexts(selection), ...(params !== undefined && { params }) }, options),
      removeMany: (selection, options) => inSteps('job.removeMany', withInstantTexts(selection), options),
      moveMany: (selection, to, options) => inSteps('job.moveMany', { ...withInstantTexts(selection), to }, options)
    },
    queue: {
      list: async () => (await call<{ queues: QueueView[] }>('queue.list', {})).queues,
      pause: (queue, options = {}) => call<QueueView>('queue.pause', { ...withInstantTexts(options), queue }),
      resume: (queue) => call<QueueView>('queue.resume', { queue }),
      purge: (queue, options) => call<{ removed: number }>('queue.purge', { ...options, queue }),
      drain: (queue, options) => call<QueueView>('queue.drain', { ...options, queue })
    },
    schedule: {
      list: () => call<SchedulerView>('schedule.list', {}),
      trigger: (event) => call<{ ids: string[] }>('schedule.trigger', { event }),
      pause: (event) => call<SchedulerState>('schedule.pause', event === undefined ? {} : { event }),
      resume: (event) => call<SchedulerState>('schedule.resume', event === undefined ? {} : { event }),
      skip: (event) => call<SchedulerState>('schedule.skip', { event }),
      migrate: (options = {}) => call<MigrationView>('schedule.migrate', options)
    },
    maintenance: (on) => call<SchedulerState>('maintenance', { on }),
    subscribe: (filter, listener, options = {}) => transport.subscribe(filter, listener, options),
    status: () => call<StatusView>('status', {}),
    doctor: () => call<DoctorView>('doctor', {}),
    backup: (directory) => call<BackupView>('backup', { directory: absolute(directory) }),
    reload: () => call<{ methods: number }>('reload', {}),
    call: (method, params = {}) => transport.call(method, params),
    async shutdown(options = {}) {
      await call('shutdown', options)
    },
    async stop(options = {}) {
      await outboxes.stop()
      await transport.stop(options)
    }
  }
}
