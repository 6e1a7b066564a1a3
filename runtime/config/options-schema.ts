/** The keys of a configuration: JSON Schemas of what users write (`RuntimeOptions` of `core/config.ts`). */
import {
  attemptsSchema,
  backoffSchema,
  durationSchema,
  errorNamesSchema,
  nameSchema,
  timeoutSchema
} from '../core/job-options.ts'
import { nameCharsMax, rateMax } from '../core/limits.ts'
import { eventLabels, missedPolicies, overlapPolicies } from '../core/scheduler-event.ts'

/** Threads of one queue. */
const backgroundWorkersMax = 256

/** Below, a thread of Node does not even start. */
const memoryLimitMbMin = 16

/** Letters, digits and `_.-`: a queue name stands in commands, logs and file names. */
export const queueName = new RegExp(`^[A-Za-z0-9_.-]{1,${nameCharsMax}}$`)

const text = { type: 'string', minLength: 1 } as const
const count = { type: 'integer', minimum: 1 } as const

const rateLimitSchema = {
  type: 'object',
  required: ['max', 'per'],
  additionalProperties: false,
  properties: { max: { ...count, maximum: rateMax }, per: timeoutSchema }
} as const

const retentionSchema = {
  type: 'object',
  additionalProperties: false,
  properties: { age: durationSchema, count: { type: 'integer', minimum: 0 }, bytes: { type: 'integer', minimum: 0 } }
} as const

const queueSchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    timeout: timeoutSchema,
    backgroundWorkers: { ...count, maximum: backgroundWorkersMax },
    attempts: attemptsSchema,
    backoff: backoffSchema,
    maxQueued: count,
    softTimeout: timeoutSchema,
    isolation: { type: 'string', enum: ['process', 'inline'] },
    memoryLimitMb: { ...count, minimum: memoryLimitMbMin },
    minHosts: { type: 'integer', minimum: 0, maximum: 1 },
    hostIdleTimeout: durationSchema,
    env: { type: 'object', additionalProperties: { type: ['string', 'number', 'boolean'] } },
    permissions: {
      type: 'object',
      additionalProperties: false,
      properties: {
        read: { type: 'array', items: text },
        write: { type: 'array', items: text },
        childProcess: { type: 'boolean' },
        addons: { type: 'boolean' },
        worker: { type: 'boolean' }
      }
    },
    retryOn: errorNamesSchema,
    noRetryOn: errorNamesSchema,
    rateLimit: rateLimitSchema,
    keyRateLimit: rateLimitSchema,
    ageing: timeoutSchema,
    retention: {
      type: 'object',
      additionalProperties: false,
      properties: { completed: retentionSchema, failed: retentionSchema, cancelled: retentionSchema }
    }
  }
} as const

const eventList = {
  type: 'array',
  items: {
    type: ['string', 'object'],
    minLength: 1,
    required: ['method'],
    additionalProperties: false,
    properties: {
      method: text,
      params: {},
      queue: text,
      timeout: timeoutSchema,
      timezone: text,
      missed: { type: 'string', enum: missedPolicies },
      overlap: { type: 'string', enum: overlapPolicies },
      spread: durationSchema,
      jobName: nameSchema,
      attempts: attemptsSchema
    }
  }
} as const

const schedulerEventsSchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    ...Object.fromEntries(eventLabels.map((label) => [label, eventList])),
    cron: { type: 'object', additionalProperties: eventList }
  }
} as const

export const optionsSchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    dataDir: text,
    socket: text,
    actors: { type: ['string', 'array'], minLength: 1, minItems: 1, items: text },
    workers: { type: 'object', additionalProperties: queueSchema },
    schedulerEvents: schedulerEventsSchema,
    schedulerTickInterval: count,
    timezone: text,
    maxStoreBytes: count
  }
} as const
