/**
 * Every bound of the system, with its unit in its name. A value that a caller can exceed has an error code beside it.
 */

/** Longest request, response or batch on the socket. Beyond: `FRAME_TOO_LARGE`, and the connection is closed. */
export const frameBytesMax = 16 * 1024 * 1024
/** Largest `params` of one job as JSON text. Beyond: `PAYLOAD_TOO_LARGE`. */
export const payloadBytesMax = 8 * 1024 * 1024
/** Largest result of one job as JSON text. Beyond: the job fails with `RESULT_INVALID`. */
export const resultBytesMax = 8 * 1024 * 1024
/** Deepest nesting of arrays and objects in anything a caller sends. Beyond: `PARAMS_INVALID`. */
export const jsonDepthMax = 64
/** Most entries in one JSON-RPC batch. */
export const batchEntriesMax = 1_000
/** Most jobs in one `enqueueMany`. */
export const enqueueManyMax = 100_000
/** Open connections to the socket. */
export const connectionsMax = 1_000
/** Requests of one connection that wait for an answer at the same time. Beyond: `TOO_MANY_REQUESTS`. */
export const requestsInFlightMax = 20_000
/**
 * The same of all connections together. Beyond, each connection may still have {@link requestsInFlightMin}, so that none is
 * shut out by others.
 */
export const requestsInFlightTotalMax = 100_000
export const requestsInFlightMin = 100
/** A request that has begun to arrive must be complete within this. Beyond: an error, and the connection is closed. */
export const frameMsMax = 60_000
/** Bytes that a client may leave unread before it is disconnected. */
export const unreadOutputBytesMax = 32 * 1024 * 1024
/**
 * What all connections together make the supervisor hold: requests that have arrived in part, and unread output. Beyond,
 * the connection that holds the most is closed.
 */
export const clientBytesMax = 256 * 1024 * 1024
/** How long requests are worked on before the rest of the process goes on. */
export const turnMsMax = 10
/**
 * Unread output of a connection above which its events wait instead of being sent. They are kept for it within the three
 * bounds below; beyond, the subscription is told of a gap.
 */
export const unreadEventBytesMax = 1024 * 1024
/**
 * Recent events that are kept for subscribers that are slow or come back, and about the bytes they take. Beyond, the oldest
 * go, and a subscription that wants them is told of a gap.
 */
export const eventsKeptMax = 10_000
export const eventsKeptBytesMax = 8 * 1024 * 1024
/** How long an event is kept, and for how long events are kept after the last subscriber has left. */
export const eventsKeptMsMax = 5 * 60_000
/** Unix socket paths are cut silently beyond this by the kernel (`sun_path`), so longer ones are refused. */
export const socketPathBytesMax = 107

/** Characters of a job id, job name and queue name. */
export const nameCharsMax = 255
/** Longest path of a method, in characters; that of a document type is in keys of the store. */
export const methodPathCharsMax = 512
/** Running jobs get so long to end when the supervisor stops, unless whoever stops it says otherwise. */
export const stopDeadlineMsDefault = 30_000
/** Of a directory that a caller names; an error repeats it. */
export const pathCharsMax = 1_024
/** Job priorities: a larger number runs first. */
export const priorityMin = -1_000_000
export const priorityMax = 1_000_000
export const attemptsMax = 1_000_000
/** Longest timeout, delay or backoff: 100 years. */
export const durationMsMax = 100 * 365.25 * 24 * 3600 * 1000
/** Last instant that can be stored: the end of the year 9999. */
export const instantMsMax = Date.UTC(9999, 11, 31, 23, 59, 59, 999)

/** Jobs in one page of `job.list`, and about the bytes of what is shown of them; one job may have more. */
export const listPageMax = 1_000
export const listPageBytesMax = 4 * 1024 * 1024
/** Jobs changed by one step of `job.retryMany` and the like. */
export const bulkStepMax = 1_000
/** Jobs that one job may depend on. */
export const dependenciesMax = 20_000
/** All the jobs together that the jobs of one call depend on. Beyond: `PARAMS_INVALID`. */
export const linksPerCallMax = 20_000
/** Parents of which a job learns what has become of them. */
export const parentsToldMax = 10_000
/** Largest result that is handed on to the jobs which depend on it; they find a larger one with `job.get`. */
export const parentResultBytesMax = 1024 * 1024
/** Results of parents that one job receives, together. */
export const parentResultsBytesMax = 8 * 1024 * 1024
/** Entries in `retryOn` and `noRetryOn`. */
export const retryListMax = 100
/** Waits in the list of a backoff. */
export const backoffListMax = 1_000
/** Jobs of one key that may run at a time, and starts within the window of a rate limit. */
export const keyConcurrencyMax = 1_000_000
export const rateMax = 1_000_000
/** Past attempts kept on a job; the oldest are dropped first. */
export const historyEntriesMax = 20
/** Log lines kept on a job; the oldest are dropped first. */
export const logLinesMax = 200
/** Characters kept of one log line, error message and error stack. */
export const logLineCharsMax = 4_000
export const errorMessageCharsMax = 8_000
export const errorStackCharsMax = 16_000

/** Largest state of one document as JSON text. Beyond: the job fails with `RESULT_INVALID`; elsewhere `PAYLOAD_TOO_LARGE`. */
export const stateBytesMax = 8 * 1024 * 1024
/** A larger state is not sent along with a job: its thread asks for it, unless it has it from the job before. */
export const stateSentBytesMax = 4 * 1024
/** Documents in one page of `doc.list`, and about the bytes of their states and reminders. */
export const documentPageMax = 1_000
export const documentPageBytesMax = 4 * 1024 * 1024
/** Reminders of one document, and the bytes of its type, its name and the name of one of them together. */
export const remindersMax = 1_000
export const reminderNamesBytesMax = 1_900
/** Largest params of a reminder: a document is shown with all of them. Beyond: `PAYLOAD_TOO_LARGE`. */
export const reminderParamsBytesMax = 16 * 1024
/** Steps, sleeps and waits of one job. */
export const journalEntriesMax = 1_000
/** Largest result of one step, and results of all steps of one job together. */
export const stepResultBytesMax = 1024 * 1024
export const journalBytesMax = 8 * 1024 * 1024
/** Signals of one job that no `ctx.waitFor` has taken. */
export const signalsMax = 1_000
/** Largest payload of a signal. */
export const signalBytesMax = 1024 * 1024
/** Jobs that one job enqueues as it completes. */
export const jobsPerCompletionMax = 10_000
/**
 * What one job asks for as it completes, its jobs and reminders together, as JSON text; and what one call of it enqueues at
 * once. It goes to the supervisor in one message. Beyond: `PAYLOAD_TOO_LARGE`.
 */
export const effectsBytesMax = 32 * 1024 * 1024
/** Operations of one transaction. */
export const transactionOperationsMax = 10_000
/** What one `outbox.prepare` stores, as JSON text. Beyond: `PAYLOAD_TOO_LARGE`. */
export const preparedBytesMax = 16 * 1024 * 1024

/** What a running job says is stored at most this often, so that it survives the end of the process. */
export const traceStoreIntervalMs = 1_000

/** Operations that share one commit, and the bytes they may write. */
export const commitOperationsMax = 1_000
export const commitBytesMax = 1024 * 1024
/** Ends of a host process under one job after which it is failed with `HOST_CRASHED`. */
export const crashesMax = 3
/** A killed thread that has not ended by then is in a native call: its host is retired. */
export const threadEndGraceMs = 500
/** Characters kept of the standard error of a host, to say why it ended. */
export const hostErrorCharsMax = 4_000

/**
 * Largest params of a job that is claimed although no thread is free for it, and of all jobs of a claim together from which on
 * no further one of those is taken, as JSON text.
 */
export const aheadParamsBytesMax = 16 * 1024
export const claimParamsBytesMax = 1024 * 1024

/** Jobs moved by one transaction of promote, recover, purge and trim, so that none stalls the queue. */
export const moveBatchMax = 100
