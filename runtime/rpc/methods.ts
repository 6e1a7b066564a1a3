/**
 * Every method of the protocol, once. Validation, `rpc.discover` and the reference in PROTOCOL.md are made from this table.
 *
 * The compiler holds the table against `core/api.ts`: an entry for each key of {@link ServiceMethods}, and in each entry a
 * schema with exactly the keys of that method's params and result.
 *
 * The order of `params.properties` is part of the protocol: params may be sent by position. Append, never reorder.
 */
import type { ServiceMethods } from '../core/api.ts'
import type { ErrorCode } from '../core/errors.ts'
import { type EventFilter, jobEventTypes } from '../core/events.ts'
import {
  documentTypeSchema,
  durationSchema,
  enqueueDocSchema,
  enqueueSchema,
  expirySchema,
  idSchema,
  instantSchema,
  nameSchema,
  operationSchema,
  stateSchema,
  timeoutSchema
} from '../core/job-options.ts'
import {
  bulkStepMax,
  documentPageMax,
  enqueueManyMax,
  listPageMax,
  pathCharsMax,
  transactionOperationsMax
} from '../core/limits.ts'
import {
  backupViewSchema,
  bulkStepSchema,
  doctorViewSchema,
  documentPageSchema,
  documentViewSchema,
  enqueueResultSchema,
  type JsonSchema,
  jobChangeSchema,
  jobErrorCodeSchema,
  jobPageSchema,
  jobViewSchema,
  methodViewSchema,
  migrationViewSchema,
  type ObjectSchema,
  preparedViewSchema,
  queueViewSchema,
  schedulerStateSchema,
  schedulerViewSchema,
  statusViewSchema,
  transactionResultSchema
} from './view-schemas.ts'

type Params<M extends keyof ServiceMethods> = Parameters<ServiceMethods[M]>[0]
type Result<M extends keyof ServiceMethods> = Awaited<ReturnType<ServiceMethods[M]>>

interface Definition<P, R> {
  /** One sentence or two. */
  summary: string
  params: ObjectSchema<P> & { additionalProperties: false }
  result: ObjectSchema<R>
  /** Besides `PARAMS_INVALID` and those of the connection, which any method can meet. */
  errors: readonly ErrorCode[]
}

/** An entry of the table without its types. */
export interface MethodDefinition {
  readonly summary: string
  readonly params: {
    readonly type: 'object'
    readonly additionalProperties: false
    readonly properties: Readonly<Record<string, JsonSchema>>
    readonly required?: readonly string[]
  }
  readonly result: JsonSchema
  readonly errors: readonly ErrorCode[]
}

type Table = { [M in keyof ServiceMethods]: Definition<Params<M>, Result<M>> }

/** `satisfies` allows keys that come out of a spread or a constant; here they become `never`, which nothing fits. */
type WithoutExtraKeys<T extends Table> = {
  [M in keyof T]: M extends keyof ServiceMethods
    ? {
        params: { properties: OnlyKeysOf<Params<M>, T[M]['params']['properties']> }
        result: { properties: OnlyKeysOf<Result<M>, T[M]['result']['properties']> }
      }
    : never
}
type OnlyKeysOf<T, Properties> = { [K in keyof Properties]: K extends keyof T ? unknown : never }

function exactly<const T extends Table>(table: T & WithoutExtraKeys<T>): T {
  return table
}

const id = { ...idSchema, description: 'Job id.' } as const
const queue = { ...nameSchema, description: 'Name of the queue.' } as const
const timeout = { ...durationSchema, description: 'Longest time to wait. Default: no limit.' } as const
const noParams = { type: 'object', additionalProperties: false, properties: {} } as const
const queueParams = { type: 'object', additionalProperties: false, required: ['queue'], properties: { queue } } as const
const preparedParams = {
  type: 'object',
  additionalProperties: false,
  required: ['id'],
  properties: { id: { ...nameSchema, description: 'The `id` that `outbox.prepare` gave.' } }
} as const
const idParams = { type: 'object', additionalProperties: false, required: ['id'], properties: { id } } as const

const operations = {
  type: 'array',
  minItems: 1,
  maxItems: transactionOperationsMax,
  items: operationSchema,
  description: 'Done in this order; see Transactions.'
} as const

const documentName = { ...nameSchema, description: 'Name of the document.' } as const
const documentParams = {
  type: 'object',
  additionalProperties: false,
  required: ['type', 'name'],
  properties: { type: documentTypeSchema, name: documentName }
} as const
const pageProperties = {
  limit: { type: 'integer', minimum: 1, maximum: documentPageMax, description: 'Documents per page. Default 50.' },
  cursor: { type: 'string', description: 'The `cursor` of the page before.' }
} as const

const event = {
  ...nameSchema,
  maxLength: 1_000,
  description: 'Id of a scheduler event, or the key or method of one or several.'
} as const
const eventParams = { type: 'object', additionalProperties: false, required: ['event'], properties: { event } } as const

const enqueueErrors = [
  'METHOD_UNKNOWN',
  'QUEUE_UNKNOWN',
  'PAYLOAD_TOO_LARGE',
  'JOB_EXISTS',
  'JOB_UNKNOWN',
  'QUEUE_FULL',
  'STORAGE_FULL',
  'STORAGE_FAILED',
  'STOPPING'
] as const satisfies readonly ErrorCode[]
const writeErrors = ['STORAGE_FULL', 'STORAGE_FAILED', 'STOPPING'] as const satisfies readonly ErrorCode[]

/** Conditions on jobs; all that are given hold together. */
const selectors = {
  queue: { ...queue, description: 'Only jobs of this queue.' },
  state: { ...stateSchema, description: 'Only jobs in this state.' },
  method: { type: 'string', description: 'Only jobs of this method path.' },
  jobName: { ...nameSchema, description: 'Only jobs with this label.' }
} as const
/** As {@link selectors}; apart from those because the order of params is part of the protocol. */
const laterSelectors = {
  key: { ...nameSchema, description: 'Only jobs of this key.' },
  errorCode: { ...jobErrorCodeSchema, description: 'Only failed or cancelled jobs with this `error.code`.' },
  since: {
    ...instantSchema,
    description: 'Only jobs that were finished, or if not finished enqueued, at this instant or later.'
  },
  until: {
    ...instantSchema,
    description: 'Only jobs that were finished, or if not finished enqueued, before this instant.'
  },
  text: {
    type: 'string',
    minLength: 1,
    description: 'Only jobs whose params, as JSON, hold this text; letter case counts.'
  }
} as const
const bulkProperties = {
  ...selectors,
  ...laterSelectors,
  limit: {
    type: 'integer',
    minimum: 1,
    maximum: bulkStepMax,
    description: `Most jobs to change in this step. Default ${bulkStepMax}.`
  },
  cursor: { type: 'string', description: 'The `cursor` of the step before.' }
} as const

/** The methods of the service. */
export const serviceMethods = exactly({
  enqueue: {
    summary:
      'Enqueues one job; answered when the job is flushed to disk. With `isAsync: false` or `now`, answered when the job has ended.',
    params: enqueueSchema,
    result: enqueueResultSchema,
    errors: enqueueErrors
  },
  enqueueMany: {
    summary: 'Enqueues all of the jobs or none, in one commit.',
    params: {
      type: 'object',
      additionalProperties: false,
      required: ['jobs'],
      properties: {
        jobs: {
          type: 'array',
          maxItems: enqueueManyMax,
          items: enqueueSchema,
          description: 'Each as the params of `enqueue`.'
        }
      }
    },
    result: {
      type: 'object',
      required: ['ids'],
      properties: { ids: { type: 'array', items: { type: 'string' }, description: 'In the order of `jobs`.' } }
    },
    errors: enqueueErrors
  },
  enqueueDoc: {
    summary: 'Enqueues a call of a method of a document. Calls of one document run one at a time, in order.',
    params: enqueueDocSchema,
    result: enqueueResultSchema,
    errors: enqueueErrors
  },
  transaction: {
    summary: 'Does all of the operations or none, in one durable commit.',
    params: {
      type: 'object',
      additionalProperties: false,
      required: ['operations'],
      properties: { operations }
    },
    result: transactionResultSchema,
    errors: [...enqueueErrors, 'DOCUMENT_CHANGED', 'DATA_DAMAGED']
  },
  'outbox.prepare': {
    summary: 'Stores operations that take effect with `outbox.commit`, and not at all with `outbox.abort`.',
    params: {
      type: 'object',
      additionalProperties: false,
      required: ['outbox', 'operations'],
      properties: {
        outbox: { ...nameSchema, description: 'Name by which the program finds what it has prepared.' },
        operations: {
          ...operations,
          description: 'As of `transaction`, without a `revision`: nothing may speak against them afterwards.'
        },
        timeout: { ...timeoutSchema, description: 'After this the program should have decided. Default 1 minute.' }
      }
    },
    result: preparedViewSchema,
    errors: enqueueErrors
  },
  'outbox.commit': {
    summary: 'What was prepared takes effect, in one durable commit.',
    params: preparedParams,
    result: transactionResultSchema,
    errors: ['OUTBOX_UNKNOWN', ...writeErrors]
  },
  'outbox.abort': {
    summary: 'What was prepared is forgotten.',
    params: preparedParams,
    result: {
      type: 'object',
      required: ['id', 'aborted'],
      properties: { id: { type: 'string' }, aborted: { const: true } }
    },
    errors: ['OUTBOX_UNKNOWN', ...writeErrors]
  },
  'outbox.list': {
    summary: 'Shows what is prepared and not decided, oldest first.',
    params: {
      type: 'object',
      additionalProperties: false,
      properties: { outbox: { ...nameSchema, description: 'Only of this name.' } }
    },
    result: {
      type: 'object',
      required: ['prepared'],
      properties: { prepared: { type: 'array', items: preparedViewSchema } }
    },
    errors: []
  },
  'doc.get': {
    summary: 'Shows a document with its state.',
    params: documentParams,
    result: documentViewSchema,
    errors: ['DOCUMENT_UNKNOWN', 'DATA_DAMAGED']
  },
  'doc.list': {
    summary: 'Lists the documents of a type by name, one page at a time.',
    params: {
      type: 'object',
      additionalProperties: false,
      required: ['type'],
      properties: { type: documentTypeSchema, ...pageProperties }
    },
    result: documentPageSchema,
    errors: []
  },
  'doc.export': {
    summary: 'As `doc.list`, of all types where none is named.',
    params: {
      type: 'object',
      additionalProperties: false,
      properties: { type: documentTypeSchema, ...pageProperties }
    },
    result: documentPageSchema,
    errors: []
  },
  'doc.remove': {
    summary: 'Removes a document with its reminders. Jobs that wait for it go on with a new one.',
    params: documentParams,
    result: {
      type: 'object',
      required: ['type', 'name', 'removed'],
      properties: { type: { type: 'string' }, name: { type: 'string' }, removed: { const: true } }
    },
    errors: ['DOCUMENT_UNKNOWN', ...writeErrors]
  },
  'doc.cancelReminder': {
    summary: 'Takes a reminder of a document back. One that is not there is no error.',
    params: {
      type: 'object',
      additionalProperties: false,
      required: ['type', 'name', 'reminder'],
      properties: { type: documentTypeSchema, name: documentName, reminder: nameSchema }
    },
    result: documentViewSchema,
    errors: ['DOCUMENT_UNKNOWN', ...writeErrors]
  },
  'job.signal': {
    summary: 'Sends a signal to a job that is not finished: what `ctx.waitFor` of that name waits for, now or later.',
    params: {
      type: 'object',
      additionalProperties: false,
      required: ['id', 'name'],
      properties: {
        id,
        name: { ...nameSchema, description: 'Name of the signal.' },
        payload: { description: 'What `ctx.waitFor` returns. Default null.' }
      }
    },
    result: jobChangeSchema,
    errors: ['JOB_UNKNOWN', 'JOB_STATE', 'PAYLOAD_TOO_LARGE', ...writeErrors]
  },
  'job.get': {
    summary: 'Shows a job.',
    params: idParams,
    result: jobViewSchema,
    errors: ['JOB_UNKNOWN', 'DATA_DAMAGED']
  },
  'job.list': {
    summary: 'Lists jobs, newest first, one page at a time.',
    params: {
      type: 'object',
      additionalProperties: false,
      properties: {
        ...selectors,
        limit: { type: 'integer', minimum: 1, maximum: listPageMax, description: 'Jobs per page. Default 50.' },
        cursor: { type: 'string', description: 'The `cursor` of the page before.' },
        ...laterSelectors
      }
    },
    result: jobPageSchema,
    errors: ['QUEUE_UNKNOWN', 'DATA_DAMAGED']
  },
  'job.wait': {
    summary: 'Answered once the job is completed, failed or cancelled.',
    params: {
      type: 'object',
      additionalProperties: false,
      required: ['id'],
      properties: { id, timeout }
    },
    result: jobViewSchema,
    errors: ['JOB_UNKNOWN', 'WAIT_TIMEOUT', 'STOPPING']
  },
  'job.cancel': {
    summary: 'Cancels in any state; the thread of a running job is killed. A finished job stays as it is.',
    params: idParams,
    result: jobChangeSchema,
    errors: ['JOB_UNKNOWN', ...writeErrors]
  },
  'job.retry': {
    summary: 'Starts a finished job again with all its attempts, or brings a scheduled one forward.',
    params: {
      type: 'object',
      additionalProperties: false,
      required: ['id'],
      properties: { id, params: { description: 'In place of the old ones. Default: the old ones.' } }
    },
    result: jobChangeSchema,
    errors: ['JOB_UNKNOWN', 'JOB_STATE', 'PAYLOAD_TOO_LARGE', ...writeErrors]
  },
  'job.remove': {
    summary: 'Forgets a job. Refused while it runs: cancel it first.',
    params: idParams,
    result: {
      type: 'object',
      required: ['id', 'removed'],
      properties: { id: { type: 'string' }, removed: { const: true } }
    },
    errors: ['JOB_UNKNOWN', 'JOB_STATE', ...writeErrors]
  },
  'job.move': {
    summary: 'Moves a scheduled or ready job to another queue.',
    params: {
      type: 'object',
      additionalProperties: false,
      required: ['id', 'queue'],
      properties: { id, queue: { ...queue, description: 'Where to.' } }
    },
    result: jobChangeSchema,
    errors: ['JOB_UNKNOWN', 'JOB_STATE', 'QUEUE_UNKNOWN', 'QUEUE_FULL', ...writeErrors]
  },
  'job.cancelMany': {
    summary: 'One step of cancelling every job of a selection; without `state`, those that are not finished.',
    params: { type: 'object', additionalProperties: false, properties: bulkProperties },
    result: bulkStepSchema,
    errors: ['QUEUE_UNKNOWN', ...writeErrors]
  },
  'job.retryMany': {
    summary: 'One step of retrying every job of a selection; without `state`, those that failed.',
    params: {
      type: 'object',
      additionalProperties: false,
      properties: { ...bulkProperties, params: { description: 'In place of the old ones. Default: the old ones.' } }
    },
    result: bulkStepSchema,
    errors: ['QUEUE_UNKNOWN', 'PAYLOAD_TOO_LARGE', ...writeErrors]
  },
  'job.removeMany': {
    summary: 'One step of forgetting every job of a selection, which names a state. Running jobs are never removed.',
    params: { type: 'object', additionalProperties: false, required: ['state'], properties: bulkProperties },
    result: bulkStepSchema,
    errors: ['QUEUE_UNKNOWN', 'JOB_STATE', ...writeErrors]
  },
  'job.moveMany': {
    summary: 'One step of moving every job of a selection to another queue; without `state`, those scheduled or ready.',
    params: {
      type: 'object',
      additionalProperties: false,
      required: ['to'],
      properties: { ...bulkProperties, to: { ...queue, description: 'Queue to move them to.' } }
    },
    result: bulkStepSchema,
    errors: ['QUEUE_UNKNOWN', 'QUEUE_FULL', ...writeErrors]
  },
  'queue.list': {
    summary: 'Shows every queue with its counts.',
    params: noParams,
    result: {
      type: 'object',
      required: ['queues'],
      properties: { queues: { type: 'array', items: queueViewSchema } }
    },
    errors: ['DATA_DAMAGED']
  },
  'queue.pause': {
    summary: 'No job of the queue is started until `queue.resume`, or until `until`; survives restarts.',
    params: {
      type: 'object',
      additionalProperties: false,
      required: ['queue'],
      properties: {
        queue,
        until: {
          ...expirySchema,
          description:
            'When the pause ends by itself: a duration from now, or an ISO 8601 instant. Default: it does not.'
        }
      }
    },
    result: queueViewSchema,
    errors: ['QUEUE_UNKNOWN', ...writeErrors]
  },
  'queue.resume': {
    summary: 'Starts jobs of the queue again.',
    params: queueParams,
    result: queueViewSchema,
    errors: ['QUEUE_UNKNOWN', ...writeErrors]
  },
  'queue.purge': {
    summary: 'Removes the jobs of one state, by default the scheduled and ready ones. Running jobs are never removed.',
    params: {
      type: 'object',
      additionalProperties: false,
      required: ['queue'],
      properties: { queue, state: { ...stateSchema, description: 'Default: scheduled and ready.' } }
    },
    result: {
      type: 'object',
      required: ['removed'],
      properties: { removed: { type: 'integer', minimum: 0, description: 'Number of jobs.' } }
    },
    errors: ['QUEUE_UNKNOWN', 'JOB_STATE', ...writeErrors]
  },
  'queue.drain': {
    summary: 'Answered once no job of the queue is ready or running. Scheduled jobs are not waited for.',
    params: {
      type: 'object',
      additionalProperties: false,
      required: ['queue'],
      properties: { queue, timeout }
    },
    result: queueViewSchema,
    errors: ['QUEUE_UNKNOWN', 'WAIT_TIMEOUT', 'STOPPING']
  },
  'method.list': {
    summary: 'Lists the methods that can be enqueued.',
    params: noParams,
    result: {
      type: 'object',
      required: ['methods'],
      properties: { methods: { type: 'array', items: methodViewSchema } }
    },
    errors: []
  },
  reload: {
    summary:
      'Runs the code that actor files hold now. Jobs that run go on with the old; nothing changes if a module does not load.',
    params: noParams,
    result: { type: 'object', required: ['methods'], properties: { methods: { type: 'integer' } } },
    errors: ['ACTORS_INVALID']
  },
  'schedule.list': {
    summary: 'Shows the scheduler and its events.',
    params: noParams,
    result: schedulerViewSchema,
    errors: []
  },
  'schedule.trigger': {
    summary: 'Runs scheduler events now, whatever their state; answers with the ids of the jobs.',
    params: eventParams,
    result: { type: 'object', required: ['ids'], properties: { ids: { type: 'array', items: { type: 'string' } } } },
    errors: ['EVENT_UNKNOWN', 'METHOD_UNKNOWN', ...writeErrors]
  },
  'schedule.pause': {
    summary:
      'Pauses one event, or without `event` the whole scheduler; what would have run is skipped. Survives restarts.',
    params: { type: 'object', additionalProperties: false, properties: { event } },
    result: schedulerStateSchema,
    errors: ['EVENT_UNKNOWN', ...writeErrors]
  },
  'schedule.resume': {
    summary: 'Ends a pause.',
    params: { type: 'object', additionalProperties: false, properties: { event } },
    result: schedulerStateSchema,
    errors: ['EVENT_UNKNOWN', ...writeErrors]
  },
  'schedule.skip': {
    summary: 'Leaves out the next instant of an event.',
    params: eventParams,
    result: schedulerStateSchema,
    errors: ['EVENT_UNKNOWN', ...writeErrors]
  },
  'schedule.migrate': {
    summary:
      'Applies the scheduler events that the configuration file holds now. `dryRun` only tells what would change.',
    params: { type: 'object', additionalProperties: false, properties: { dryRun: { type: 'boolean' } } },
    result: migrationViewSchema,
    errors: ['CONFIG_INVALID', ...writeErrors]
  },
  maintenance: {
    summary: 'Maintenance mode: no events fire and no jobs start; enqueueing goes on. Survives restarts.',
    params: { type: 'object', additionalProperties: false, required: ['on'], properties: { on: { type: 'boolean' } } },
    result: schedulerStateSchema,
    errors: writeErrors
  },
  status: { summary: 'Shows the supervisor.', params: noParams, result: statusViewSchema, errors: [] },
  doctor: {
    summary: 'Tells what is wrong with queues, scheduler events and the store, and what to do about it.',
    params: noParams,
    result: doctorViewSchema,
    errors: []
  },
  backup: {
    summary:
      'Copies the store as it is at one moment, while jobs go on; answered when the copy is on disk and verified. It is a data directory.',
    params: {
      type: 'object',
      additionalProperties: false,
      required: ['directory'],
      properties: {
        directory: {
          type: 'string',
          minLength: 1,
          maxLength: pathCharsMax,
          description:
            'Absolute path on the machine of the supervisor; does not exist yet, or is empty. At most 1,024 characters.'
        }
      }
    },
    result: backupViewSchema,
    errors: ['STORAGE_FULL', 'BACKUP_FAILED', 'STOPPING']
  },
  shutdown: {
    summary: 'Stops the supervisor. Running jobs get `deadline` to end, then go back to ready.',
    params: {
      type: 'object',
      additionalProperties: false,
      properties: { deadline: { ...durationSchema, description: 'Default 30 s.' } }
    },
    result: { type: 'object', required: ['stopping'], properties: { stopping: { const: true } } },
    errors: []
  }
})

/** The methods of a connection, which answers them itself. */
const connectionMethods = {
  'events.subscribe': {
    summary:
      'From the answer on, each event that passes the filter is sent as a notification `event`, an [EventNotice](#eventnotice), until `events.unsubscribe` or the end of the connection. With a cursor, first what has happened since.',
    params: {
      type: 'object',
      additionalProperties: false,
      properties: {
        queue: { ...queue, description: 'Only events of this queue.' },
        job: { ...id, description: 'Only events of this job.' },
        types: {
          type: 'array',
          minItems: 1,
          items: { type: 'string', enum: jobEventTypes },
          description: 'Only events of these types.'
        },
        method: { type: 'string', minLength: 1, description: 'Only events of jobs of this method.' },
        cursor: {
          type: 'string',
          description: 'Where to go on: as the answer or an event of an earlier subscription gave it. Default: now.'
        }
      }
    },
    result: {
      type: 'object',
      required: ['subscription', 'cursor'],
      properties: {
        subscription: { type: 'string', description: 'Unique on the connection.' },
        cursor: { type: 'string', description: 'Where it begins.' }
      }
    },
    errors: ['TOO_MANY_REQUESTS']
  },
  'events.unsubscribe': {
    summary: 'Ends a subscription of this connection.',
    params: {
      type: 'object',
      additionalProperties: false,
      required: ['subscription'],
      properties: { subscription: { type: 'string', description: 'As `events.subscribe` answered.' } }
    },
    result: {
      type: 'object',
      required: ['unsubscribed'],
      properties: { unsubscribed: { type: 'boolean', description: 'False: there was no such subscription.' } }
    },
    errors: []
  }
} as const satisfies {
  'events.subscribe': Definition<EventFilter & { cursor?: string }, { subscription: string; cursor: string }>
  'events.unsubscribe': Definition<{ subscription: string }, { unsubscribed: boolean }>
}

/** Every method by name, in the order of the documentation. */
export const protocolMethods: Readonly<Record<string, MethodDefinition>> = {
  ...serviceMethods,
  ...connectionMethods,
  'rpc.discover': {
    summary: 'Answers with the OpenRPC document of the protocol.',
    params: noParams,
    result: {
      type: 'object',
      required: ['openrpc', 'info', 'methods'],
      properties: {
        openrpc: { type: 'string', description: 'Version of the OpenRPC specification.' },
        info: { type: 'object' },
        methods: { type: 'array', items: { type: 'object' } }
      }
    },
    errors: []
  }
}
