/**
 * The JSON Schemas of what users write about jobs. The protocol, the configuration file and the embedding interface check
 * against the same ones, so the same mistake gives the same words everywhere.
 */

import { jobStates } from './lifecycle.ts'
import { attemptsMax, nameCharsMax, priorityMax, priorityMin } from './limits.ts'

/** `format: "duration"`, `"instant"` are checked by `core/schema.ts`. */
export const durationSchema = {
  type: ['number', 'string'],
  format: 'duration',
  description: 'Seconds, or a text with a unit: "250ms", "30s", "5m", "2h", "3d".'
} as const

/** A duration that may not be zero. */
export const timeoutSchema = { ...durationSchema, format: 'positive-duration' } as const

const instantSchema = {
  type: ['number', 'string'],
  format: 'instant',
  description: 'ISO 8601 text with a zone (UTC when none is given), or epoch milliseconds.'
} as const

export const nameSchema = {
  type: 'string',
  minLength: 1,
  maxLength: nameCharsMax,
  // Printable: a name is shown on terminals and in logs.
  pattern: '^[^\\u0000-\\u001f\\u007f]+$'
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
    type: { type: 'string', enum: ['fixed', 'exponential'] },
    delay: durationSchema,
    max: durationSchema,
    jitter: { type: 'number', minimum: 0, maximum: 1, description: 'Share of the wait that is drawn at random.' }
  }
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
    deduplicate: { type: 'boolean', description: 'With jobId: return the unfinished job of that id if there is one.' },
    atFront: { type: 'boolean', description: 'Before everything waiting in the queue.' },
    priority: { type: 'integer', minimum: priorityMin, maximum: priorityMax, description: 'Larger runs first.' },
    delay: { ...durationSchema, description: 'Not before this much time has passed.' },
    runAt: { ...instantSchema, description: 'Not before this instant. Excludes delay.' },
    attempts: attemptsSchema,
    backoff: backoffSchema
  }
} as const
