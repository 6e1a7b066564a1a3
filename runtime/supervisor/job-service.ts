/** What the supervisor offers, method by method: each is a call of the queue, a dispatcher or the supervisor itself. */
import type { JobChange, SchedulerState, Service, ServiceMethods, StatusView } from '../core/api.ts'
import { type Duration, durationToMs } from '../core/duration.ts'
import { RuntimeError } from '../core/errors.ts'
import type { EventStream } from '../core/events.ts'
import type { EnqueueRequest, EnqueueResult, JobView } from '../core/job.ts'
import { isFinished, type JobState } from '../core/lifecycle.ts'
import type { Timers } from '../core/timers.ts'
import type { Dispatcher } from '../dispatcher/dispatcher.ts'
import type { Catalogue } from '../pool/catalogue.ts'
import type { DurableQueue } from '../queue/durable-queue.ts'
import type { Events, Scheduler } from '../scheduler/scheduler.ts'
import type { Waiters } from './waiters.ts'

export interface JobServiceParts {
  queue: DurableQueue
  dispatchers: ReadonlyMap<string, Dispatcher>
  catalogue: Catalogue
  scheduler: Scheduler
  /** The scheduler events of the configuration as it is now. @throws RuntimeError `CONFIG_INVALID` */
  readEvents: () => Events
  events: EventStream
  waiters: Waiters
  timers: Timers
  status: () => StatusView
  isStopping: () => boolean
  /** Begins to stop; returns at once. */
  shutdown: (deadlineMs: number) => void
}

export const stopDeadlineMsDefault = 30_000

export class JobService implements Service {
  readonly events: EventStream
  readonly methods: ServiceMethods = {
    enqueue: (request) => this.#enqueue(request),
    enqueueMany: async ({ jobs }) => {
      this.#refuseWhenStopping('enqueue')
      return { ids: (await this.#parts.queue.enqueue(jobs)).map(({ id }) => id) }
    },
    'job.get': async ({ id }) => this.#get(id),
    'job.list': async (filter) => this.#parts.queue.list(filter),
    'job.wait': ({ id, timeout }) => this.#wait(id, timeout),
    'job.cancel': ({ id }) => this.#parts.queue.cancel(id, (queue) => this.#parts.dispatchers.get(queue)?.trace(id)),
    'job.retry': ({ id, params }) => this.#retry(id, params),
    'job.remove': async ({ id }) => {
      await this.#parts.queue.remove(id)
      return { id, removed: true }
    },
    'queue.list': async () => ({ queues: this.#parts.queue.queues() }),
    'queue.pause': ({ queue }) => this.#setPaused(queue, true),
    'queue.resume': ({ queue }) => this.#setPaused(queue, false),
    'queue.purge': async ({ queue, state }) => ({ removed: await this.#purge(queue, state) }),
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
    shutdown: async ({ deadline }) => {
      this.#parts.shutdown(deadline === undefined ? stopDeadlineMsDefault : durationToMs(deadline)!)
      return { stopping: true }
    }
  }
  readonly #parts: JobServiceParts

  constructor(parts: JobServiceParts) {
    this.#parts = parts
    this.events = parts.events
  }

  /** The supervisor ends: those who wait for a job are told. */
  stop(): void {
    this.#parts.waiters.stop()
  }

  async #enqueue(request: EnqueueRequest): Promise<EnqueueResult> {
    this.#refuseWhenStopping('enqueue')
    const [enqueued] = await this.#parts.queue.enqueue([request])
    if (request.isAsync !== false && request.now !== true) return enqueued!
    const { state, result, error } = await this.#wait(enqueued!.id, undefined)
    return {
      ...enqueued!,
      state,
      ...(result === undefined ? {} : { result }),
      ...(error === undefined ? {} : { error })
    }
  }

  /** The stored job; while it runs, with what it has said so far. */
  #get(id: string): JobView {
    const view = this.#parts.queue.get(id)
    const trace = this.#parts.dispatchers.get(view.queue)?.trace(id)
    return trace === undefined ? view : { ...view, progress: trace.progress, logs: [...trace.logs] }
  }

  #wait(id: string, timeout: Duration | undefined): Promise<JobView> {
    const view = this.#get(id)
    if (isFinished(view.state)) return Promise.resolve(view)
    return new Promise((resolve, reject) => {
      let cancelTimeout = () => {}
      const giveUp = this.#parts.waiters.add(id, {
        ended: (job) => {
          cancelTimeout()
          // Of a removed one, what is now is told: there is no such job.
          resolve(job ?? Promise.resolve().then(() => this.#get(id)))
        },
        stopped: () => {
          cancelTimeout()
          reject(stopping(`wait any longer for job "${id}"`))
        }
      })
      if (timeout === undefined) return
      cancelTimeout = this.#parts.timers.after(durationToMs(timeout)!, () => {
        giveUp()
        reject(waitTimeout(id, timeout, this.#parts.queue.get(id).state))
      })
    })
  }

  #retry(id: string, params: unknown): Promise<JobChange> {
    this.#refuseWhenStopping('retry')
    return this.#parts.queue.retry(id, params)
  }

  async #changed(change: Promise<void>): Promise<SchedulerState> {
    await change
    return { state: this.#parts.scheduler.list().state }
  }

  async #setPaused(queue: string, paused: boolean) {
    await this.#parts.queue.setPaused(queue, paused)
    return this.#parts.queue.queue(queue)
  }

  async #purge(queue: string, state: JobState | undefined): Promise<number> {
    if (state === 'running') {
      throw new RuntimeError('JOB_STATE', `Cannot purge the running jobs of queue "${queue}": cancel them instead.`, {
        queue
      })
    }
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

function waitTimeout(id: string, timeout: Duration, state: JobState): RuntimeError {
  const waited = typeof timeout === 'number' ? `${timeout} s` : timeout
  return new RuntimeError(
    'WAIT_TIMEOUT',
    `Waited ${waited} for job "${id}": it is still ${state}. It goes on; wait again, or look at it with job.get.`,
    { id, state }
  )
}
