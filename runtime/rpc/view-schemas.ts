/**
 * The JSON Schemas of what the protocol answers with. {@link ObjectSchema} makes the compiler hold each against the type
 * of `core/`: a key that is missing or too many does not compile.
 */
import type { BackupView, DoctorView, Finding, JobChange, MethodView, SchedulerState, StatusView } from '../core/api.ts'
import type { DocumentId, DocumentPage, DocumentView, ReminderView } from '../core/document.ts'
import { jobErrorCodes } from '../core/errors.ts'
import { type EventGap, type JobEvent, jobEventTypes } from '../core/events.ts'
import type {
  AttemptView,
  BulkStep,
  DependencyCounts,
  EnqueueResult,
  JobError,
  JobLogLine,
  JobPage,
  JobView,
  QueueView
} from '../core/job.ts'
import { stateSchema } from '../core/job-options.ts'
import type { StepView } from '../core/journal.ts'
import { jobStates } from '../core/lifecycle.ts'
import type { EventView, MigrationView, SchedulerView } from '../core/scheduler-event.ts'
import type { compileSchema } from '../core/schema.ts'
import type { PreparedView, TransactionResult } from '../core/transaction.ts'

export type JsonSchema = Parameters<typeof compileSchema>[0]

type RequiredKey<T> = { [K in keyof T]-?: undefined extends T[K] ? never : K }[keyof T]

/** The schema of an object type: exactly its keys. `Record<string, never>` is the object without keys. */
export interface ObjectSchema<T> extends JsonSchema {
  type: 'object'
  properties: string extends keyof T ? Record<string, never> : { [K in keyof T]-?: JsonSchema }
  required?: string extends keyof T ? never : readonly RequiredKey<T>[]
}

const text = { type: 'string' } as const
const count = { type: 'integer', minimum: 0 } as const
const flag = { type: 'boolean' } as const
const instant = { type: 'string', description: 'ISO 8601, UTC.' } as const
const instantOrNull = { type: ['string', 'null'], description: 'ISO 8601, UTC.' } as const
const anything = { description: 'Any JSON value.' } as const

export const jobErrorCodeSchema = { type: 'string', enum: Object.keys(jobErrorCodes) } as const

const jobErrorSchema = {
  title: 'JobError',
  description: 'Why an attempt, or the job, failed.',
  type: 'object',
  required: ['code', 'name', 'message'],
  properties: {
    code: jobErrorCodeSchema,
    name: { ...text, description: 'Class of what was thrown, such as "TypeError".' },
    message: text,
    stack: text,
    thrownCode: { type: ['string', 'number'], description: 'The `code` of what was thrown, such as "ENOENT".' }
  }
} as const satisfies ObjectSchema<JobError>

const logLineSchema = {
  title: 'JobLogLine',
  description: 'One line that the method logged.',
  type: 'object',
  required: ['at', 'level', 'message'],
  properties: { at: instant, level: { type: 'string', enum: ['debug', 'info', 'warn', 'error'] }, message: text }
} as const satisfies ObjectSchema<JobLogLine>

const documentIdSchema = {
  type: 'object',
  required: ['type', 'name'],
  properties: { type: { ...text, description: 'Path of the class.' }, name: text }
} as const satisfies ObjectSchema<DocumentId>

const stepViewSchema = {
  title: 'StepView',
  description: 'A call of `ctx.step`, `ctx.sleep`, `ctx.waitFor`, or `ctx.enqueue` at once.',
  type: 'object',
  required: ['name', 'kind', 'state', 'runs', 'cuts', 'startedAt', 'finishedAt', 'until'],
  properties: {
    name: text,
    kind: { type: 'string', enum: ['step', 'sleep', 'signal', 'enqueue'] },
    state: { type: 'string', enum: ['running', 'sleeping', 'waiting', 'done', 'failed', 'timedOut'] },
    runs: { ...count, description: 'How often the function of a step was called.' },
    cuts: { ...count, description: 'How many of these calls a kill has cut in their middle.' },
    startedAt: instant,
    finishedAt: instantOrNull,
    until: { ...instantOrNull, description: 'When a sleep is over, or a signal not waited for any longer.' },
    result: { description: 'Of a step what it returned, of a signal its payload.' },
    error: jobErrorSchema
  }
} as const satisfies ObjectSchema<StepView>

const reminderViewSchema = {
  title: 'ReminderView',
  description: 'A call that a document has asked for.',
  type: 'object',
  required: ['name', 'method', 'params', 'nextAt', 'cron', 'timezone'],
  properties: {
    name: text,
    method: text,
    params: anything,
    nextAt: instant,
    cron: { type: ['string', 'null'], description: 'null: it happens once.' },
    timezone: { type: ['string', 'null'] }
  }
} as const satisfies ObjectSchema<ReminderView>

export const documentViewSchema = {
  title: 'DocumentView',
  description: 'A document.',
  type: 'object',
  required: ['type', 'name', 'state', 'version', 'revision', 'bytes', 'createdAt', 'updatedAt', 'reminders'],
  properties: {
    ...documentIdSchema.properties,
    state: anything,
    version: { ...count, description: 'Version of the class that wrote the state.' },
    revision: { ...count, description: 'Changes with every change of the state.' },
    bytes: { ...count, description: 'Of the state, as JSON text.' },
    createdAt: instant,
    updatedAt: instant,
    reminders: { type: 'array', items: reminderViewSchema }
  }
} as const satisfies ObjectSchema<DocumentView>

export const backupViewSchema = {
  title: 'BackupView',
  description: 'A backup that is on disk, verified, and in its place.',
  type: 'object',
  required: ['directory', 'bytes', 'jobs', 'durationMs'],
  properties: {
    directory: text,
    bytes: { ...count, description: 'Of its data file, which has no free pages.' },
    jobs: count,
    durationMs: count
  }
} as const satisfies ObjectSchema<BackupView>

export const documentPageSchema = {
  type: 'object',
  required: ['documents', 'cursor'],
  properties: {
    documents: { type: 'array', items: documentViewSchema, description: 'By type, then by name.' },
    cursor: { type: ['string', 'null'], description: 'For the next page; null on the last.' }
  }
} as const satisfies ObjectSchema<DocumentPage>

export const preparedViewSchema = {
  title: 'PreparedView',
  description: 'Operations that wait for the decision of the program that prepared them.',
  type: 'object',
  required: ['id', 'outbox', 'operations', 'preparedAt', 'undecidedAt'],
  properties: {
    id: text,
    outbox: text,
    operations: count,
    preparedAt: instant,
    undecidedAt: { ...instant, description: 'When whoever prepared it should have decided.' }
  }
} as const satisfies ObjectSchema<PreparedView>

const progressSchema = {
  type: 'object',
  required: ['percent', 'stage'],
  properties: { percent: { type: 'number' }, stage: { type: ['string', 'null'] } }
} as const

const attemptViewSchema = {
  title: 'AttemptView',
  description:
    'One attempt that ended. `interrupted`: the supervisor stopped or died under it, or its document was changed meanwhile. `suspended`: it sleeps, or waits for a signal. Neither is a failure.',
  type: 'object',
  required: ['attempt', 'startedAt', 'finishedAt', 'outcome'],
  properties: {
    attempt: count,
    startedAt: instant,
    finishedAt: instant,
    outcome: {
      type: 'string',
      enum: ['completed', 'failed', 'cancelled', 'interrupted', 'crashed', 'retryLater', 'suspended']
    },
    error: jobErrorSchema
  }
} as const satisfies ObjectSchema<AttemptView>

const dependencyCountsSchema = {
  type: 'object',
  required: ['total', 'completed', 'failed', 'cancelled'],
  properties: { total: count, completed: count, failed: count, cancelled: count }
} as const satisfies ObjectSchema<DependencyCounts>

export const jobViewSchema = {
  title: 'JobView',
  description: 'A job as it is shown.',
  type: 'object',
  required: [
    'id',
    'method',
    'queue',
    'state',
    'jobName',
    'params',
    'priority',
    'attempts',
    'crashes',
    'timeoutMs',
    'key',
    'keyConcurrency',
    'dependencies',
    'expiresAt',
    'enqueuedAt',
    'runAt',
    'startedAt',
    'finishedAt',
    'progress',
    'logs',
    'history'
  ],
  properties: {
    id: text,
    method: text,
    queue: text,
    state: stateSchema,
    jobName: { type: ['string', 'null'] },
    params: anything,
    priority: { type: 'integer' },
    attempts: {
      type: 'object',
      description: '`made`: attempts started. `max`: counted failures after which the job is failed.',
      required: ['made', 'max'],
      properties: { made: count, max: count }
    },
    crashes: { ...count, description: 'Ends of the host process under this job.' },
    timeoutMs: { type: 'number' },
    key: { type: ['string', 'null'] },
    keyConcurrency: { type: ['integer', 'null'], description: 'It starts only while fewer jobs of its key run.' },
    dependencies: {
      ...dependencyCountsSchema,
      type: ['object', 'null'],
      description: 'Of the jobs that it depends on: how many there are, and how many have finished in which way.'
    },
    dependsOn: {
      type: 'array',
      items: text,
      description: 'Only from `job.get` and `job.wait`: ids of the jobs that it depends on, the first 100.'
    },
    expiresAt: { ...instantOrNull, description: 'When it is cancelled unless it has started. ISO 8601, UTC.' },
    enqueuedAt: instant,
    runAt: {
      ...instantOrNull,
      description: 'When it is or was due; null where it was to run at once, or waits for a signal without an end.'
    },
    startedAt: instantOrNull,
    finishedAt: instantOrNull,
    progress: { ...progressSchema, type: ['object', 'null'] },
    result: { description: 'What the method returned; only when completed.' },
    error: jobErrorSchema,
    logs: { type: 'array', items: logLineSchema },
    history: { type: 'array', items: attemptViewSchema, description: 'Past attempts, oldest first.' },
    document: { ...documentIdSchema, description: 'Of the method of a document.' },
    steps: {
      type: 'array',
      items: stepViewSchema,
      description:
        'Only from `job.get` and `job.wait`: what `ctx.step`, `ctx.sleep` and `ctx.waitFor` have kept, in order.'
    },
    signals: {
      type: 'array',
      items: {
        type: 'object',
        required: ['name', 'payload', 'at'],
        properties: { name: text, payload: anything, at: instant }
      },
      description: 'Only from `job.get` and `job.wait`: signals that no `ctx.waitFor` has taken yet.'
    }
  }
} as const satisfies ObjectSchema<JobView>

export const jobPageSchema = {
  type: 'object',
  required: ['jobs', 'cursor'],
  properties: {
    jobs: { type: 'array', items: jobViewSchema, description: 'Newest first.' },
    cursor: {
      type: ['string', 'null'],
      description:
        'For the next page; null on the last. A page before it may hold fewer jobs than asked for, even none.'
    }
  }
} as const satisfies ObjectSchema<JobPage>

export const enqueueResultSchema = {
  title: 'EnqueueResult',
  description: 'A job that is on disk.',
  type: 'object',
  required: ['id', 'state', 'deduplicated'],
  properties: {
    id: text,
    state: stateSchema,
    deduplicated: { ...flag, description: 'True when `deduplicate` found the job already there.' },
    result: { description: 'Only with `now` or `isAsync: false`: what the method returned.' },
    error: jobErrorSchema
  }
} as const satisfies ObjectSchema<EnqueueResult>

export const jobChangeSchema = {
  title: 'JobChange',
  description: 'A job after cancel or retry. `changed` is false where there was nothing to do.',
  type: 'object',
  required: ['id', 'state', 'changed'],
  properties: { id: text, state: stateSchema, changed: flag }
} as const satisfies ObjectSchema<JobChange>

export const bulkStepSchema = {
  title: 'BulkStep',
  description: 'One step of a change of many jobs.',
  type: 'object',
  required: ['changed', 'cursor'],
  properties: {
    changed: { ...count, description: 'Jobs changed in this step; a step may change none although others follow.' },
    cursor: { type: ['string', 'null'], description: 'For the next step; null: there is no further job to change.' }
  }
} as const satisfies ObjectSchema<BulkStep>

const countsSchema = {
  type: 'object',
  description: 'Jobs by state.',
  required: jobStates,
  properties: { scheduled: count, ready: count, running: count, completed: count, failed: count, cancelled: count }
} as const satisfies ObjectSchema<QueueView['counts']>

export const queueViewSchema = {
  title: 'QueueView',
  description: 'One queue and how many jobs it holds in each state.',
  type: 'object',
  required: ['queue', 'paused', 'pausedUntil', 'configured', 'backgroundWorkers', 'timeoutMs', 'counts', 'rates'],
  properties: {
    queue: text,
    paused: flag,
    pausedUntil: {
      ...instantOrNull,
      description: 'When the pause ends by itself; null where it does not. ISO 8601, UTC.'
    },
    configured: { ...flag, description: 'False: the configuration no longer has the queue; its jobs wait.' },
    backgroundWorkers: count,
    timeoutMs: { type: 'number' },
    counts: countsSchema,
    rates: {
      type: 'object',
      description: 'Jobs of the last minute.',
      required: ['enqueued', 'completed', 'failed'],
      properties: { enqueued: count, completed: count, failed: count }
    }
  }
} as const satisfies ObjectSchema<QueueView>

export const methodViewSchema = {
  title: 'MethodView',
  description: 'A method that can be enqueued.',
  type: 'object',
  required: ['method', 'file', 'functionName', 'sourceHash', 'documentType'],
  properties: {
    method: text,
    file: { ...text, description: 'Absolute path of the module.' },
    functionName: { ...text, description: 'The `name` of the function.' },
    sourceHash: { ...text, description: 'SHA-256 of the source text of the function, hexadecimal.' },
    documentType: {
      type: ['string', 'null'],
      description: 'Path of the class of a document method; functionName and sourceHash are those of the class then.'
    }
  }
} as const satisfies ObjectSchema<MethodView>

export const statusViewSchema = {
  title: 'StatusView',
  description: 'The supervisor.',
  type: 'object',
  required: [
    'version',
    'pid',
    'state',
    'startedAt',
    'uptimeMs',
    'dataDir',
    'socket',
    'node',
    'queues',
    'store',
    'memory'
  ],
  properties: {
    version: text,
    pid: count,
    state: { type: 'string', enum: ['running', 'stopping', 'storageFull'] },
    startedAt: instant,
    uptimeMs: { type: 'number' },
    dataDir: text,
    socket: { type: ['string', 'null'] },
    node: text,
    queues: { type: 'array', items: queueViewSchema },
    store: {
      type: 'object',
      required: ['format', 'bytes', 'usedBytes', 'bytesMax', 'setAside'],
      properties: {
        format: count,
        bytes: { ...count, description: 'Of the file.' },
        usedBytes: { ...count, description: 'Of what is in it; what is free in the file is used before it grows.' },
        bytesMax: { type: ['integer', 'null'], description: '`maxStoreBytes` of the configuration.' },
        setAside: { ...count, description: 'Damaged records that were set aside.' }
      }
    },
    memory: { type: 'object', required: ['residentBytes'], properties: { residentBytes: count } }
  }
} as const satisfies ObjectSchema<StatusView>

const findingSchema = {
  title: 'Finding',
  description: 'Something that is wrong, and what to do about it.',
  type: 'object',
  required: ['severity', 'about', 'what', 'advice'],
  properties: {
    severity: { type: 'string', enum: ['problem', 'warning'] },
    about: {
      type: 'object',
      description:
        'One of `queue`, `event` (the id of a scheduler event), `store` (the data directory), `supervisor` (a part of it), `outbox`.',
      minProperties: 1,
      maxProperties: 1,
      additionalProperties: false,
      properties: { queue: text, event: text, store: text, supervisor: text, outbox: text }
    },
    what: text,
    advice: text
  }
} as const satisfies ObjectSchema<Finding>

export const doctorViewSchema = {
  title: 'DoctorView',
  description: 'What is wrong.',
  type: 'object',
  required: ['ok', 'findings'],
  properties: {
    ok: { ...flag, description: 'Nothing is a `problem`; there may be warnings.' },
    findings: { type: 'array', items: findingSchema }
  }
} as const satisfies ObjectSchema<DoctorView>

const jobEventSchema = {
  title: 'JobEvent',
  description: 'What happened to a job, told after the commit that made it true.',
  type: 'object',
  required: ['type', 'job', 'queue', 'method', 'at'],
  properties: {
    type: { type: 'string', enum: jobEventTypes },
    job: {
      ...text,
      description:
        'Job id; of `skipped` and `missed`, the id of the scheduler event; of `damaged`, the key of the record that was set aside.'
    },
    queue: text,
    method: text,
    at: instant,
    state: { ...stateSchema, description: 'State after the event; absent once the job is removed.' },
    attempt: count,
    count: { ...count, description: '`skipped`, `missed`: how many instants of the event got no job.' },
    runAt: {
      ...instant,
      description: '`retrying`, `suspended`: when the next attempt is due; absent where only a signal can tell.'
    },
    error: jobErrorSchema,
    progress: progressSchema,
    log: logLineSchema
  }
} as const satisfies ObjectSchema<JobEvent>

const eventGapSchema = {
  title: 'EventGap',
  description: 'Events that the subscription does not get, told where they would have come.',
  type: 'object',
  required: ['missed', 'reason'],
  properties: {
    missed: {
      type: ['integer', 'null'],
      description: 'How many that pass the filter; null where nobody knows, perhaps none.'
    },
    reason: {
      type: 'string',
      enum: ['slow', 'expired', 'restarted'],
      description:
        '`slow`: the client did not read, and they are not kept any more. `expired`: the cursor is from too long ago. `restarted`: it is of another run of the supervisor.'
    }
  }
} as const satisfies ObjectSchema<EventGap>

/** The params of the notification `event`. */
export const eventNoticeSchema = {
  title: 'EventNotice',
  description: 'The params of the notification `event`: an event of a subscription, or a gap in its events.',
  type: 'object',
  required: ['subscription', 'cursor'],
  properties: {
    subscription: { ...text, description: 'As `events.subscribe` answered.' },
    cursor: { ...text, description: 'A subscription from there begins with what comes after this.' },
    event: jobEventSchema,
    gap: eventGapSchema
  }
} as const satisfies ObjectSchema<{ subscription: string; cursor: string; event?: JobEvent; gap?: EventGap }>

const schedulerStateField = { type: 'string', enum: ['active', 'paused', 'maintenance'] } as const

export const schedulerStateSchema = {
  title: 'SchedulerState',
  type: 'object',
  required: ['state'],
  properties: { state: schedulerStateField }
} as const satisfies ObjectSchema<SchedulerState>

const eventViewSchema = {
  title: 'EventView',
  type: 'object',
  required: [
    'event',
    'method',
    'expression',
    'timezone',
    'queue',
    'state',
    'problem',
    'next',
    'skipsNext',
    'lastInstant',
    'lastJob',
    'lastOutcome',
    'lastDurationMs',
    'runs',
    'failures',
    'skips',
    'misses'
  ],
  properties: {
    event: { ...text, description: 'Id of the event: key and method.' },
    method: text,
    expression: { ...text, description: 'The label or cron expression as it was written.' },
    timezone: { ...text, description: 'IANA zone.' },
    queue: text,
    state: { type: 'string', enum: ['active', 'paused', 'invalid'] },
    problem: { type: ['string', 'null'], description: 'Why it cannot fire.' },
    next: instantOrNull,
    skipsNext: { ...flag, description: 'The next instant will be left out.' },
    lastInstant: { ...instantOrNull, description: 'The instant for which it last ran. ISO 8601, UTC.' },
    lastJob: { type: ['string', 'null'], description: 'Id of its last job.' },
    lastOutcome: { enum: ['completed', 'failed', 'cancelled', null], description: 'How its last job ended.' },
    lastDurationMs: { type: ['number', 'null'] },
    runs: count,
    failures: count,
    skips: { ...count, description: 'Instants left out by overlap, by pause, or by hand.' },
    misses: { ...count, description: 'Instants that passed unfired and were not made up for.' }
  }
} as const satisfies ObjectSchema<EventView>

export const schedulerViewSchema = {
  title: 'SchedulerView',
  type: 'object',
  required: ['state', 'events'],
  properties: { state: schedulerStateField, events: { type: 'array', items: eventViewSchema } }
} as const satisfies ObjectSchema<SchedulerView>

const eventIds = { type: 'array', items: text } as const

export const migrationViewSchema = {
  title: 'MigrationView',
  type: 'object',
  required: ['added', 'changed', 'removed', 'unchanged'],
  properties: { added: eventIds, changed: eventIds, removed: eventIds, unchanged: count }
} as const satisfies ObjectSchema<MigrationView>

export const transactionResultSchema = {
  type: 'object',
  required: ['jobs'],
  properties: {
    jobs: { type: 'array', items: enqueueResultSchema, description: 'The answer to each enqueue, in order.' }
  }
} as const satisfies ObjectSchema<TransactionResult>
