/**
 * The {@link Runtime} that programs hold, over whatever carries its calls: a socket, or the service in this process.
 */
import type { ActorFunction, JobChange, Runtime, SchedulerState, StatusView } from '../core/api.ts'
import type { EnqueueOptions, EnqueueRequest, EnqueueResult, JobPage, JobView, QueueView } from '../core/job.ts'
import type { MigrationView, SchedulerView } from '../core/scheduler-event.ts'
import { functionResolver } from './method-of-function.ts'
import type { Transport } from './transport.ts'

/** @returns the runtime whose every call goes through `transport` */
export function runtimeOver(transport: Transport): Runtime {
  /** The result types of `core/api.ts`; `rpc/methods.ts` holds them against the protocol. */
  const call = <Result>(method: string, params: unknown) => transport.call(method, params) as Promise<Result>
  const pathOf = functionResolver(transport)

  return {
    async enqueue(method: string | ActorFunction, params?: unknown, options: EnqueueOptions = {}) {
      const path = typeof method === 'function' ? await pathOf(method) : method
      const request = { ...options, method: path, ...(params === undefined ? {} : { params }) }
      return call<EnqueueResult>('enqueue', withInstantText(request))
    },
    async enqueueMany(jobs) {
      return call<{ ids: string[] }>('enqueueMany', { jobs: jobs.map(withInstantText) })
    },
    job: {
      get: (id) => call<JobView>('job.get', { id }),
      list: (filter = {}) => call<JobPage>('job.list', filter),
      wait: (id, options) => call<JobView>('job.wait', { ...options, id }),
      cancel: (id) => call<JobChange>('job.cancel', { id }),
      retry: (id, options) => call<JobChange>('job.retry', { ...options, id }),
      remove: (id) => call<{ id: string; removed: true }>('job.remove', { id })
    },
    queue: {
      list: async () => (await call<{ queues: QueueView[] }>('queue.list', {})).queues,
      pause: (queue) => call<QueueView>('queue.pause', { queue }),
      resume: (queue) => call<QueueView>('queue.resume', { queue }),
      purge: (queue, options) => call<{ removed: number }>('queue.purge', { ...options, queue })
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
    reload: () => call<{ methods: number }>('reload', {}),
    call: (method, params = {}) => transport.call(method, params),
    async shutdown(options = {}) {
      await call('shutdown', options)
    },
    stop: (options = {}) => transport.stop(options)
  }
}

/** The protocol has no dates. A date that is none stays a text, which is then refused in words. */
function withInstantText(request: EnqueueRequest): EnqueueRequest {
  const { runAt } = request
  if (!(runAt instanceof Date)) return request
  return { ...request, runAt: Number.isNaN(runAt.getTime()) ? String(runAt) : runAt.toISOString() }
}
