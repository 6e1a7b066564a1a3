import type { JobError, JobLogLine } from './job.ts'
import type { JobState } from './lifecycle.ts'

/**
 * What happened to a job, or to instants of a scheduler event that got no job (`skipped`: by overlap, pause or hand;
 * `missed`: they passed unfired and are not made up for), told after the commit that made it true. Logger, socket subscribers and tests listen; nothing
 * that decides about jobs does.
 */
export type JobEventType =
  | 'enqueued'
  | 'ready'
  | 'started'
  | 'progress'
  | 'log'
  | 'completed'
  | 'retrying'
  | 'failed'
  | 'cancelled'
  | 'interrupted'
  | 'removed'
  | 'moved'
  | 'skipped'
  | 'missed'

export const jobEventTypes: readonly JobEventType[] = [
  'enqueued',
  'ready',
  'started',
  'progress',
  'log',
  'completed',
  'retrying',
  'failed',
  'cancelled',
  'interrupted',
  'removed',
  'moved',
  'skipped',
  'missed'
]

export interface JobEvent {
  type: JobEventType
  /** Job id; of `skipped` and `missed`, the id of the scheduler event. */
  job: string
  queue: string
  method: string
  /** ISO 8601, UTC. */
  at: string
  /** State after the event; absent once the job is removed. */
  state?: JobState
  attempt?: number
  /** `skipped`, `missed`: how many instants. */
  count?: number
  /** `retrying`: when the next attempt is due. */
  runAt?: string
  error?: JobError
  progress?: { percent: number; stage: string | null }
  log?: JobLogLine
}

export interface EventFilter {
  queue?: string
  job?: string
  types?: readonly JobEventType[]
}

export type EventListener = (event: JobEvent) => void

/** Fan-out of events to listeners, in the order in which they happened. A listener that throws is a defect and ends the process. */
export class EventStream {
  readonly #listeners = new Set<EventListener>()

  /** False: nobody listens, so nobody needs to build an event. */
  get listened(): boolean {
    return this.#listeners.size > 0
  }

  emit(event: JobEvent): void {
    for (const listener of this.#listeners) listener(event)
  }

  /** @returns the function that ends the subscription; safe to call twice. */
  subscribe(filter: EventFilter, listener: EventListener): () => void {
    const filtered: EventListener = (event) => {
      if (matches(filter, event)) listener(event)
    }
    this.#listeners.add(filtered)
    return () => this.#listeners.delete(filtered)
  }
}

function matches(filter: EventFilter, event: JobEvent): boolean {
  return (
    (filter.queue === undefined || filter.queue === event.queue) &&
    (filter.job === undefined || filter.job === event.job) &&
    (filter.types === undefined || filter.types.includes(event.type))
  )
}
