/** What the supervisor offers, method by method: each is a call of the queue, a dispatcher or the supervisor itself. */

import type {
  BackupView,
  Caller,
  DoctorView,
  JobChange,
  SchedulerState,
  Service,
  ServiceMethods,
  StatusView
} from '../core/api.ts'
import { type Duration, durationToMs } from '../core/duration.ts'
import { RuntimeError } from '../core/errors.ts'
import type { EventStream } from '../core/events.ts'
import { untilToMs } from '../core/instant.ts'
import type { EnqueueRequest, EnqueueResult, JobView, QueueView } from '../core/job.ts'
import { isFinished, type JobState } from '../core/lifecycle.ts'
import { stopDeadlineMsDefault } from '../core/limits.ts'
import type { Timers } from '../core/timers.ts'
import type { Dispatcher } from '../dispatcher/dispatcher.ts'
import type { Catalogue } from '../pool/catalogue.ts'
import type { DurableQueue } from '../queue/durable-queue.ts'
import type { TraceOf } from '../queue/transaction.ts'
import type { Events, Scheduler } from '../scheduler/scheduler.ts'
import { isIdle, type QueueWaiters } from './queue-waiters.ts'
import type { Waiter, Waiters } from './waiters.ts'

export interface JobServiceParts {
  queue: DurableQueue
  dispatchers: ReadonlyMap<string, Dispatcher>
  catalogue: Catalogue
  scheduler: Scheduler
  /** The scheduler events of the configuration as it is now. @throws RuntimeError `CONFIG_INVALID` */
  readEvents: () => Events
  events: EventStream
  waiters: Waiters
  queueWaiters: QueueWaiters
  timers: Timers
  status: () => StatusView
  doctor: () => Promise<DoctorView>
  backup: (directory: string) => Promise<BackupView>
  /** Epoch milliseconds. */
  nowMs: () => number
  isStopping: () => boolean
  /** Begins to stop; returns at once. */
  shutdown: (deadlineMs: number) => void
}

export class JobService implements Service {
  readonly events: EventStream
  readonly methods: ServiceMethods = {
    enqueue: (request, caller) => this.#enqueue(request, caller),
    enqueueMany: async ({ jobs }) => {
      this.#refuseWhenStopping('enqueue')
      return { ids: (await this.#parts.queue.enqueue(jobs)).map(({ id }) => id) }
    },
    enqueueDoc: ({ type, name, method, ...options }, caller) =>
      this.#enqueue({ ...options, method: `${type}.${method}`, document: name }, caller),
    transaction: async ({ operations }) => {
      this.#refuseWhenStopping('do a transaction')
      return this.#parts.queue.transaction(operations, this.#traceOf)
    },
    'outbox.prepare': async (request) => {
      this.#refuseWhenStopping('prepare operations')
      return this.#parts.queue.outbox.prepare(request)
    },
    'outbox.commit': async ({ id }) => ({ jobs: await this.#parts.queue.outbox.commit(id, this.#traceOf) }),
    'outbox.abort': async ({ id }) => {
      await this.#parts.queue.outbox.abort(id)
      return { id, aborted: true }
    },
    'outbox.list': async ({ outbox }) => ({ prepared: this.#parts.queue.outbox.list(outbox) }),
    'doc.get': async (id) => this.#parts.queue.documents.get(id),
    'doc.list': async (filter) => this.#parts.queue.documents.list(filter),
    'doc.export': async (filter) => this.#parts.queue.documents.list(filter),
    'doc.remove': async (id) => {
      await this.#parts.queue.documents.remove(id)
      return { ...id, removed: true }
    },
    'doc.cancelReminder': ({ reminder, ...id }) => this.#parts.queue.documents.cancelReminder(id, reminder),
    'job.signal': ({ id, name, payload }) => this.#parts.queue.signal(id, name, payload),
    'job.get': async ({ id }) => this.#get(id),
    'job.list': async (filter) => this.#parts.queue.list(filter),
    'job.wait': ({ id, timeout }, caller) => this.#wait(id, timeout, caller),
    'job.cancel': ({ id }) => this.#parts.queue.cancel(id, (queue) => this.#parts.dispatchers.get(queue)?.trace(id)),
    'job.retry': ({ id, params }) => this.#retry(id, params),
    'job.remove': async ({ id }) => {
      await this.#parts.queue.remove(id)
      return { id, removed: true }
    },
    'job.move': ({ id, queue }) => this.#parts.queue.move(id, queue),
    'job.cancelMany': (request) => this.#parts.queue.bulk({ type: 'cancel', traceOf: this.#traceOf }, request),
    'job.retryMany': async ({ params, ...request }) => {
      this.#refuseWhenStopping('retry')
      return this.#parts.queue.bulk({ type: 'retry', ...(params !== undefined && { params }) }, request)
    },
    'job.removeMany': async (request) => {
      refuseRunning('remove', request.state)
      return this.#parts.queue.bulk({ type: 'remove' }, request)
    },
    'job.moveMany': ({ to, ...request }) => this.#parts.queue.bulk({ type: 'move', to }, request),
    'queue.list': async () => ({ queues: this.#parts.queue.queues() }),
    'queue.pause': ({ queue, until }) => this.#setPaused(queue, true, until),
    'queue.resume': ({ queue }) => this.#setPaused(queue, false, undefined),
    'queue.purge': async ({ queue, state }) => ({ removed: await this.#purge(queue, state) }),
    'queue.drain': async ({ queue, timeout }, caller) => this.#drain(queue, timeout, caller),
    'method.list': async () => ({ methods: this.#parts.catalogue.list() }),
    reload: async () => {
      await this.#parts.catalogue.reload()
      for (const dispatcher of this.#parts.dispatchers.values()) dispatcher.renew()
      return { methods: this.#parts.catalogue.list().length }
    },
    'schedule.list': async () => this.#parts.scheduler.list(),
    'schedule.trigger': async ({ event }) => {
      this.#refuseWhenStopping('trigger')
      return { ids: await this.#parts.scheduler.trigger(event) }
    },
    'schedule.pause': ({ event }) => this.#changed(this.#parts.scheduler.setPaused(event, true)),
    'schedule.resume': ({ event }) => this.#changed(this.#parts.scheduler.setPaused(event, false)),
    'schedule.skip': ({ event }) => this.#changed(this.#parts.scheduler.skipNext(event)),
    'schedule.migrate': async ({ dryRun = false }) => this.#parts.scheduler.migrate(this.#parts.readEvents(), dryRun),
    maintenance: ({ on }) => this.#changed(this.#parts.scheduler.setMaintenance(on)),
    status: async () => this.#parts.status(),
    doctor: () => this.#parts.doctor(),
    backup: async ({ directory }) => {
      this.#refuseWhenStopping('back up')
      return this.#parts.backup(directory)
    },
    shutdown: async ({ deadline }) => {
      this.#parts.shutdown(deadline === undefined ? stopDeadlineMsDefault : durationToMs(deadline)!)
      return { stopping: true }
    }
  }
  readonly #parts: JobServiceParts
  /** What a running job has said so far. */
  readonly #traceOf: TraceOf = (queue, id) => this.#parts.dispatchers.get(queue)?.trace(id)

  constructor(parts: JobServiceParts) {
    this.#parts = parts
    this.events = parts.events
  }

  /** The supervisor ends: those who wait for a job or a queue are told. */
  stop(): void {
    this.#parts.waiters.stop()
    this.#parts.queueWaiters.stop()
  }

  async #enqueue(request: EnqueueRequest, caller: Caller | undefined): Promise<EnqueueResult> {
    this.#refuseWhenStopping('enqueue')
    const [enqueued] = await this.#parts.queue.enqueue([request])
    return request.isAsync !== false && request.now !== true ? enqueued! : this.#withOutcome(enqueued!, caller)
  }

  /** Apart, so that the params of the request are not kept while it waits. */
  async #withOutcome(enqueued: EnqueueResult, caller: Caller | undefined): Promise<EnqueueResult> {
    const { state, result, error } = await this.#outcomeOf(enqueued, caller)
    return {
      ...enqueued,
      state,
      ...(result === undefined ? {} : { result }),
      ...(error === undefined ? {} : { error })
    }
  }

  async #outcomeOf(
    { id, state }: EnqueueResult,
    caller: Caller | undefined
  ): Promise<Pick<JobView, 'state' | 'result' | 'error'>> {
    try {
      return await this.#wait(id, undefined, caller)
    } catch (error) {
      // It had finished when it was asked for, and nothing more is kept of it.
      if (isFinished(state) && error instanceof RuntimeError && error.code === 'JOB_UNKNOWN') return { state }
      throw error
    }
  }

  /** The stored job; while it runs, with what it has said so far. */
  #get(id: string): JobView {
    const view = this.#parts.queue.get(id)
    const trace = this.#parts.dispatchers.get(view.queue)?.trace(id)
    return trace === undefined ? view : { ...view, progress: trace.progress, logs: [...trace.logs] }
  }

  async #wait(id: string, timeout: Duration | undefined, caller: Caller | undefined): Promise<JobView> {
    const view = this.#get(id)
    if (isFinished(view.state)) return view
    const ended = await this.#until<JobView | undefined>({
      waitWith: (waiter) => this.#parts.waiters.add(id, waiter),
      timeout,
      caller,
      timedOut: (waited) => waitTimeout(id, waited, this.#parts.queue.get(id).state),
      stopped: () => stopping(`wait any longer for job "${id}"`)
    })
    // Another one may have the id by now; it is not the one that was waited for.
    if (ended === undefined) throw removed(id)
    return ended
  }

  async #drain(queue: string, timeout: Duration | undefined, caller: Caller | undefined): Promise<QueueView> {
    const view = this.#parts.queue.queue(queue)
    if (isIdle(view)) return view
    await this.#until<void>({
      waitWith: (waiter) => this.#parts.queueWaiters.add(queue, waiter),
      timeout,
      caller,
      timedOut: (waited) => drainTimeout(this.#parts.queue.queue(queue), waited),
      stopped: () => stopping(`wait any longer for queue "${queue}"`)
    })
    return this.#parts.queue.queue(queue)
  }

  /** Never settles when the caller has gone: nothing may be left of a wait that nobody waits for. */
  #until<Value>({ waitWith, timeout, caller, timedOut, stopped }: Wait<Value>): Promise<Value> {
    return new Promise((resolve, reject) => {
      let cancelTimeout = () => {}
      let takeBack = () => {}
      const isOver = () => {
        cancelTimeout()
        takeBack()
      }
      const giveUp = waitWith({
        finished: (value) => {
          isOver()
          resolve(value)
        },
        stopped: () => {
          isOver()
          reject(stopped())
        }
      })
      if (timeout !== undefined) {
        cancelTimeout = this.#parts.timers.after(durationToMs(timeout)!, () => {
          isOver()
          giveUp()
          reject(timedOut(typeof timeout === 'number' ? `${timeout} s` : timeout))
        })
      }
      if (caller === undefined) return
      takeBack = caller.onGone(() => {
        cancelTimeout()
        giveUp()
      })
    })
  }

  #retry(id: string, params: unknown): Promise<JobChange> {
    this.#refuseWhenStopping('retry')
    return this.#parts.queue.retry(id, params)
  }

  async #changed(change: Promise<SchedulerState['state']>): Promise<SchedulerState> {
    return { state: await change }
  }

  async #setPaused(queue: string, paused: boolean, until: Duration | undefined): Promise<QueueView> {
    const untilMs = until === undefined ? null : untilToMs(until, this.#parts.nowMs())
    return this.#parts.queue.setPaused(queue, paused, untilMs)
  }

  async #purge(queue: string, state: JobState | undefined): Promise<number> {
    refuseRunning('purge', state)
    return this.#parts.queue.purge(queue, state === undefined ? ['scheduled', 'ready'] : [state])
  }

  #refuseWhenStopping(attempted: string): void {
    if (!this.#parts.isStopping()) return
    throw stopping(attempted)
  }
}

function stopping(attempted: string): RuntimeError {
  return new RuntimeError(
    'STOPPING',
    `Cannot ${attempted}: the supervisor is stopping. Try again once it has been started again.`
  )
}

function removed(id: string): RuntimeError {
  return new RuntimeError('JOB_UNKNOWN', `Waited for job "${id}": it was removed before it had finished.`, { id })
}

function waitTimeout(id: string, waited: string, state: JobState): RuntimeError {
  return new RuntimeError(
    'WAIT_TIMEOUT',
    `Waited ${waited} for job "${id}": it is still ${state}. It goes on; wait again, or look at it with job.get.`,
    { id, state }
  )
}

function drainTimeout({ queue, paused, counts: { ready, running } }: QueueView, waited: string): RuntimeError {
  const advice = paused
    ? 'The queue is paused: resume it.'
    : 'It goes on; wait again, or give it more backgroundWorkers.'
  return new RuntimeError(
    'WAIT_TIMEOUT',
    `Waited ${waited} for queue "${queue}": ${ready} of its jobs are still ready and ${running} running. ${advice}`,
    { queue, ready, running }
  )
}

function refuseRunning(
  attempted: string,
  state: JobState | undefined
): asserts state is Exclude<typeof state, 'running'> {
  if (state !== 'running') return
  throw new RuntimeError('JOB_STATE', `Cannot ${attempted} running jobs: cancel them instead.`)
}

interface Wait<Value> {
  /** @returns the function that gives up waiting */
  waitWith: (waiter: Waiter<Value>) => () => void
  timeout: Duration | undefined
  /** Undefined: it stays. */
  caller: Caller | undefined
  timedOut: (waited: string) => RuntimeError
  stopped: () => RuntimeError
}
