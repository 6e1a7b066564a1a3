/**
 * The JSON Schemas of what users write about jobs. The protocol, the configuration file and the embedding interface check
 * against the same ones, so the same mistake gives the same words everywhere.
 */

import { jobStates } from './lifecycle.ts'
import {
  attemptsMax,
  backoffListMax,
  dependenciesMax,
  keyConcurrencyMax,
  methodPathCharsMax,
  nameCharsMax,
  priorityMax,
  priorityMin,
  retryListMax
} from './limits.ts'

/** `format: "duration"`, `"instant"` are checked by `core/schema.ts`. */
export const durationSchema = {
  type: ['number', 'string'],
  format: 'duration',
  description: 'Seconds, or a text with a unit: "250ms", "30s", "5m", "2h", "3d".'
} as const

/** A duration that may not be zero. */
export const timeoutSchema = { ...durationSchema, format: 'positive-duration' } as const

/** A duration from now, or an instant. A number is seconds. */
export const expirySchema = { type: ['number', 'string'], format: 'expiry' } as const

export const instantSchema = {
  type: ['number', 'string'],
  format: 'instant',
  description: 'ISO 8601 text with a zone (UTC when none is given), or epoch milliseconds.'
} as const

export const nameSchema = {
  type: 'string',
  minLength: 1,
  maxLength: nameCharsMax,
  // Printable: a name is shown on terminals and in logs. No half of a surrogate pair: all of them are one byte sequence in
  // the store, so two keys or ids would be one there.
  pattern: '^[^\\u0000-\\u001f\\u007f\\ud800-\\udfff]+$'
} as const

/** Of a job, be it made or chosen; that of a successor is a little longer than a name may be. */
export const idSchema = { ...nameSchema, maxLength: 2 * nameCharsMax } as const

export const documentTypeSchema = {
  type: 'string',
  maxLength: methodPathCharsMax,
  pattern: '^[A-Za-z0-9_$.-]+$',
  description: 'Dotted path of the class, such as "billing.Invoice".'
} as const

export const attemptsSchema = {
  type: 'integer',
  minimum: 1,
  maximum: attemptsMax,
  description: 'How often the job may be tried before it is failed.'
} as const

export const backoffSchema = {
  type: 'object',
  required: ['type'],
  additionalProperties: false,
  description: 'How long to wait between attempts.',
  properties: {
    type: { type: 'string', enum: ['fixed', 'exponential', 'list'] },
    delay: durationSchema,
    max: durationSchema,
    jitter: { type: 'number', minimum: 0, maximum: 1, description: 'Share of the wait that is drawn at random.' },
    delays: {
      type: 'array',
      minItems: 1,
      maxItems: backoffListMax,
      items: durationSchema,
      description: '`list`: the waits, in order; the last one is used again.'
    }
  },
  if: { required: ['type'], properties: { type: { const: 'list' } } },
  // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema
  then: { required: ['delays'], properties: { delays: {} } }
} as const

/** Codes or names of errors. */
export const errorNamesSchema = { type: 'array', minItems: 1, maxItems: retryListMax, items: nameSchema } as const

const ageSchema = {
  type: 'object',
  required: ['age'],
  additionalProperties: false,
  properties: { age: durationSchema }
} as const

const prioritySchema = {
  type: 'integer',
  minimum: priorityMin,
  maximum: priorityMax,
  description: 'Larger runs first.'
} as const

const followUpSchema = {
  type: ['string', 'object'],
  description: 'Method enqueued in the commit that completes (onSuccess) or fails for good (onFailure) this job.',
  required: ['method'],
  additionalProperties: false,
  properties: {
    method: { type: 'string' },
    params: { type: 'object' },
    queue: nameSchema,
    timeout: timeoutSchema,
    attempts: attemptsSchema,
    backoff: backoffSchema,
    priority: prioritySchema,
    jobName: nameSchema,
    delay: durationSchema,
    document: nameSchema
  }
} as const

const deduplicateSchema = {
  type: ['boolean', 'object'],
  minProperties: 1,
  maxProperties: 1,
  additionalProperties: false,
  properties: { for: timeoutSchema, debounce: durationSchema, keepLast: { const: true } },
  description:
    'With jobId: what to do when there is a job of that id. true: an unfinished one is the answer. {"for": "10m"}: at most one per window. {"debounce": "2s"}: the waiting one is replaced and waits again. {"keepLast": true}: while one runs, one successor with the newest params.'
} as const

export const stateSchema = { type: 'string', enum: jobStates } as const

export const enqueueSchema = {
  type: 'object',
  required: ['method'],
  additionalProperties: false,
  properties: {
    method: { type: 'string', description: 'Dotted path of the method, such as "reports.daily.run".' },
    params: { description: 'What the method receives as its first argument. Default {}.' },
    queue: { ...nameSchema, description: 'Queue of the configuration. Default "default".' },
    timeout: { ...timeoutSchema, description: "Time one attempt may take. Default: the queue's." },
    softTimeout: { ...timeoutSchema, description: 'How long before the deadline ctx.signal aborts.' },
    isAsync: { type: 'boolean', description: 'False: answer with the outcome of the job. Default true.' },
    now: { type: 'boolean', description: 'True: at the front of the queue, and answer with the outcome of the job.' },
    jobName: { ...nameSchema, description: 'A label to search by, never an identity.' },
    jobId: { ...nameSchema, description: 'The id to give to the job.' },
    deduplicate: deduplicateSchema,
    atFront: { type: 'boolean', description: 'Before everything waiting in the queue.' },
    priority: prioritySchema,
    delay: { ...durationSchema, description: 'Not before this much time has passed.' },
    runAt: { ...instantSchema, description: 'Not before this instant. Excludes delay.' },
    attempts: attemptsSchema,
    backoff: backoffSchema,
    retryOn: { ...errorNamesSchema, description: 'Codes or names of errors: only these are tried again.' },
    noRetryOn: { ...errorNamesSchema, description: 'Codes or names of errors that are not tried again.' },
    key: { ...nameSchema, description: 'Jobs of one queue that belong together; keys take turns.' },
    keyConcurrency: {
      type: 'integer',
      minimum: 1,
      maximum: keyConcurrencyMax,
      description: 'With key: starts only while fewer jobs of the key than this run. 1: strictly in order.'
    },
    dependsOn: {
      type: ['array', 'string'],
      maxItems: dependenciesMax,
      items: { ...idSchema, type: ['string', 'integer'], minimum: 0 },
      pattern: '^others$',
      description:
        'Not before these jobs have finished: ids, or in enqueueMany the indexes of other jobs of the call, or "others" for all of them.'
    },
    onParentFailure: {
      type: 'string',
      enum: ['fail', 'cancel', 'release'],
      description: 'What happens to this job when one it depends on is failed or cancelled. Default "fail".'
    },
    onSuccess: followUpSchema,
    onFailure: followUpSchema,
    expires: {
      ...expirySchema,
      description: 'Cancelled if not started by then: a duration from now, or an ISO 8601 instant.'
    },
    retention: {
      type: 'object',
      additionalProperties: false,
      properties: { completed: ageSchema, failed: ageSchema, cancelled: ageSchema },
      description: "How long the finished job is kept, by outcome. Default: the queue's retention."
    },
    resultTtl: { ...durationSchema, description: 'As retention.completed.age; 0 keeps nothing of a completed job.' },
    document: { ...nameSchema, description: 'Name of a document of the type whose method this is.' },
    enqueueAfterCommit: {
      type: 'boolean',
      description: 'Says something inside a job only: see ctx.enqueue in the README.'
    }
  }
} as const

const {
  document: _document,
  key: _key,
  keyConcurrency: _keyConcurrency,
  method: _method,
  params,
  ...jobOptions
} = enqueueSchema.properties

/** A job that calls a method of a document. */
export const enqueueDocSchema = {
  type: 'object',
  required: ['type', 'name', 'method'],
  additionalProperties: false,
  properties: {
    type: {
      type: 'string',
      description: 'Dotted path of an exported class that extends Actor, such as "billing.Invoice".'
    },
    name: { ...nameSchema, description: 'Name of the document.' },
    method: { type: 'string', description: 'Name of a method of the class.' },
    params,
    ...jobOptions
  }
} as const

const revisionSchema = {
  type: ['integer', 'null'],
  minimum: 0,
  description: 'Only if the document still has it; null: only if there is none. Default: whatever it has.'
} as const

/** One operation of a transaction; `op` says which of the others it has. */
export const operationSchema = {
  type: 'object',
  required: ['op'],
  additionalProperties: false,
  properties: {
    op: { type: 'string', enum: ['enqueue', 'setState', 'removeState', 'cancel'] },
    job: { ...enqueueSchema, description: '`enqueue`: the job.' },
    type: { ...documentTypeSchema, description: '`setState`, `removeState`: type of the document.' },
    name: { ...nameSchema, description: '`setState`, `removeState`: name of the document.' },
    state: { description: '`setState`: the state.' },
    revision: revisionSchema,
    id: { ...idSchema, description: '`cancel`: job id.' }
  }
} as const
