/**
 * The errors of the system. Operating errors carry a code of the table below; anything else that is thrown is a defect.
 * A message says what was attempted, what is wrong, and what to do.
 */

/** Each code with its JSON-RPC number and its meaning; PROTOCOL.md is held against this table by a test. */
export const errorCodes = {
  METHOD_UNKNOWN: { rpc: -32001, meaning: 'No actor module exports the method that the job names.' },
  QUEUE_UNKNOWN: { rpc: -32002, meaning: 'No queue of that name is configured.' },
  JOB_UNKNOWN: { rpc: -32003, meaning: 'No job has that id.' },
  JOB_EXISTS: { rpc: -32004, meaning: 'The `jobId` is in use.' },
  JOB_STATE: { rpc: -32005, meaning: 'The job is in a state that does not allow this.' },
  PARAMS_INVALID: { rpc: -32602, meaning: 'A parameter is missing, unknown, of the wrong type or out of range.' },
  PAYLOAD_TOO_LARGE: { rpc: -32007, meaning: 'The `params` of the job are larger than allowed.' },
  QUEUE_FULL: { rpc: -32008, meaning: 'The queue holds as many waiting jobs as its `maxQueued` allows.' },
  STORAGE_FULL: { rpc: -32009, meaning: 'The disk or the store quota is full. Nothing of the request was stored.' },
  STOPPING: { rpc: -32010, meaning: 'The supervisor is stopping and accepts no new work.' },
  WAIT_TIMEOUT: { rpc: -32011, meaning: 'The job did not finish within the time to wait. It goes on.' },
  EVENT_UNKNOWN: { rpc: -32012, meaning: 'No scheduler event has that name, key or method.' },
  DOCUMENT_UNKNOWN: { rpc: -32013, meaning: 'No document has that type and name.' },
  DOCUMENT_CHANGED: {
    rpc: -32023,
    meaning: 'The document has changed since it was read; nothing of the transaction was done.'
  },
  OUTBOX_UNKNOWN: {
    rpc: -32024,
    meaning: 'Nothing is prepared under that id; it may be committed or aborted already.'
  },
  FRAME_TOO_LARGE: { rpc: -32014, meaning: 'The request is larger than one frame may be.' },
  TOO_MANY_REQUESTS: { rpc: -32015, meaning: 'Too many connections, or too many unanswered requests on one.' },
  STORAGE_FAILED: { rpc: -32016, meaning: 'The store failed. Nothing of the request was acknowledged.' },
  DATA_DAMAGED: {
    rpc: -32026,
    meaning: 'A record of the store is damaged. It is set aside, and everything else goes on: ask again.'
  },
  DATA_DIR_LOCKED: { rpc: -32017, meaning: 'Another supervisor owns the data directory.' },
  DATA_DIR_INVALID: {
    rpc: -32018,
    meaning: 'The data directory cannot be used: foreign, damaged, read-only or of another format version.'
  },
  BACKUP_FAILED: { rpc: -32025, meaning: 'The backup could not be made; nothing is left in its place.' },
  SOCKET_INVALID: { rpc: -32019, meaning: 'The socket path cannot be used.' },
  ACTORS_INVALID: { rpc: -32022, meaning: 'An actor module does not load; all of them are listed.' },
  CONFIG_INVALID: { rpc: -32020, meaning: 'The configuration has problems; all of them are listed.' },
  NOT_CONNECTED: { rpc: -32021, meaning: 'No supervisor answers at the socket, or the connection ended.' }
} as const satisfies Record<string, { rpc: number; meaning: string }>

export type ErrorCode = keyof typeof errorCodes

/** An operating error: bad input, a bound, a state, or the environment. `data` holds plain facts for programs. */
export class RuntimeError extends Error {
  override readonly name = 'RuntimeError'
  readonly code: ErrorCode
  readonly data: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, data: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.data = data
  }
}

/** How an attempt of a job ended badly; the `code` of a job's own `error`. */
export const jobErrorCodes = {
  THROWN: 'The method threw, or its promise was rejected.',
  TIMEOUT: 'The deadline passed; the thread was killed.',
  OUT_OF_MEMORY: 'The thread or its host ran out of memory.',
  WORKER_EXITED: 'The thread ended in the middle of the job, for example by process.exit.',
  HOST_CRASHED: 'The host process of the job ended too often while the job ran.',
  CANCELLED: 'The job was cancelled.',
  UNRECOVERABLE: 'The method threw Unrecoverable: no attempt follows.',
  RESULT_INVALID: 'The method returned something that is not JSON or is too large.',
  RECORD_DAMAGED: 'What was stored of the job, or of its document, is damaged.'
} as const satisfies Record<string, string>

export type JobErrorCode = keyof typeof jobErrorCodes

/** Why an attempt, or the job, failed. */
export interface JobError {
  code: JobErrorCode
  /** Class of what was thrown, such as `TypeError`. */
  name: string
  message: string
  stack?: string
  /** The `code` property of what was thrown, such as `ENOENT`. */
  thrownCode?: string | number
}

/**
 * Thrown by a method: run me again after `delay` (seconds, or text such as "5m"), without counting this as a failure.
 * Source: contract, "Actors".
 */
export class RetryLater extends Error {
  override readonly name = 'RetryLater'
  readonly delay: number | string

  constructor(delay: number | string, message = 'The job asked to run again later') {
    super(message)
    this.delay = delay
  }
}

/** Thrown by a method: fail the job at once, whatever attempts are left. Source: contract, "Actors". */
export class Unrecoverable extends Error {
  override readonly name = 'Unrecoverable'
}
