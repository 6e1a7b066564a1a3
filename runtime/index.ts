/** The door for programs: everything that `import … from 'actor-runtime'` gives. */
export { connect } from './client/connect.ts'
export { Actor } from './core/actor.ts'
export type {
  BackupView,
  BulkOptions,
  DoctorView,
  EnqueueDocOptions,
  Finding,
  JobChange,
  MethodView,
  Runtime,
  StatusView,
  SubscribeOptions,
  Subscription
} from './core/api.ts'
export type { Backoff } from './core/backoff.ts'
export type { QueueOptions, RateLimit, Retention, RuntimeOptions } from './core/config.ts'
export type { Context, ContextEnqueueOptions, ContextEnqueueRequest, Parent, StepRun } from './core/context.ts'
export type { DocumentId, DocumentPage, DocumentView, ReminderRequest, ReminderView } from './core/document.ts'
export type { Duration } from './core/duration.ts'
export { type ErrorCode, type JobErrorCode, RetryLater, RuntimeError, Unrecoverable } from './core/errors.ts'
export type { EventFilter, EventGap, EventListener, GapListener, JobEvent, JobEventType } from './core/events.ts'
export type {
  AttemptView,
  Deduplication,
  DependencyCounts,
  EnqueueOptions,
  EnqueueRequest,
  EnqueueResult,
  FollowedJob,
  FollowUp,
  JobError,
  JobFilter,
  JobLogLine,
  JobPage,
  JobRetention,
  JobSelection,
  JobView,
  Json,
  ParentFailureRule,
  QueueView
} from './core/job.ts'
export type { JournalKind, StepView } from './core/journal.ts'
export type { JobState } from './core/lifecycle.ts'
export type { ActorClass, ActorFunction, MethodName, ResultOf } from './core/method-types.ts'
export type {
  Decision,
  OperationScope,
  Outbox,
  OutboxOptions,
  Prepared,
  PreparedView,
  TransactionOptions,
  TransactionResult,
  TransactionScope
} from './core/transaction.ts'
export { createRuntime } from './embed/create-runtime.ts'
