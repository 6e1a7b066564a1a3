/** The door for programs: everything that `import … from 'actor-runtime'` gives. */
export { connect } from './client/connect.ts'
export type {
  ActorFunction,
  JobChange,
  MethodView,
  Runtime,
  StatusView,
  SubscribeOptions,
  Subscription
} from './core/api.ts'
export type { Backoff } from './core/backoff.ts'
export type { QueueOptions, RuntimeOptions } from './core/config.ts'
export type { Context } from './core/context.ts'
export type { Duration } from './core/duration.ts'
export { type ErrorCode, type JobErrorCode, RetryLater, RuntimeError, Unrecoverable } from './core/errors.ts'
export type { EventFilter, EventGap, EventListener, GapListener, JobEvent, JobEventType } from './core/events.ts'
export type {
  AttemptView,
  EnqueueOptions,
  EnqueueRequest,
  EnqueueResult,
  JobError,
  JobFilter,
  JobLogLine,
  JobPage,
  JobView,
  Json,
  QueueView
} from './core/job.ts'
export type { JobState } from './core/lifecycle.ts'
export { createRuntime } from './embed/create-runtime.ts'
