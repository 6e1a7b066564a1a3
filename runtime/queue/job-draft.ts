/** From what a caller asks for to what is stored: defaults of the queue, base units, payload as JSON text, every check. */
import { backoffRule } from '../core/backoff.ts'
import type { QueueConfig } from '../core/config.ts'
import { didYouMean } from '../core/did-you-mean.ts'
import { durationToMs } from '../core/duration.ts'
import { RuntimeError } from '../core/errors.ts'
import { instantToMs } from '../core/instant.ts'
import type { EnqueueRequest } from '../core/job.ts'
import { jsonDepth } from '../core/json-depth.ts'
import { instantMsMax, jsonDepthMax, payloadBytesMax } from '../core/limits.ts'
import type { JobSpec } from '../store/records.ts'
import { isMadeId } from './stored-job.ts'

export interface JobDraft extends Omit<JobSpec, 'id' | 'queue'> {
  /** null: the store makes one. */
  id: string | null
  queue: QueueConfig
  /** An unfinished job of the same id is the answer, not an error. */
  deduplicate: boolean
}

export interface DraftContext {
  queues: ReadonlyMap<string, QueueConfig>
  tag: string
  nowMs: number
}

/**
 * @param request of the right types (core/job-options.ts), its method known
 * @throws RuntimeError `QUEUE_UNKNOWN`, `PARAMS_INVALID`, `PAYLOAD_TOO_LARGE`
 */
export function draftJob(request: EnqueueRequest, context: DraftContext): JobDraft {
  const { nowMs } = context
  const queue = queueOf(request, context.queues)
  const runAtMs = runAtOf(request, nowMs)
  return {
    id: idOf(request, context.tag),
    method: request.method,
    queue,
    params: encodePayload(request.params ?? {}, `enqueue "${request.method}"`),
    enqueuedAtMs: nowMs,
    runAtMs: runAtMs !== null && runAtMs <= nowMs ? null : runAtMs,
    atFront: request.atFront ?? request.now ?? false,
    priority: request.priority ?? 0,
    timeoutMs: timeoutOf(request, queue),
    attemptsMax: request.attempts ?? queue.attempts,
    backoff: request.backoff === undefined ? queue.backoff : backoffRule(request.backoff),
    jobName: request.jobName ?? null,
    softTimeoutMs: softTimeoutOf(request, queue),
    event: null,
    deduplicate: request.deduplicate ?? false
  }
}

/**
 * @returns the value as JSON text
 * @throws RuntimeError `PARAMS_INVALID`: not JSON, or nested too deeply · `PAYLOAD_TOO_LARGE`
 */
export function encodePayload(params: unknown, attempted: string): string {
  let text: string | undefined
  try {
    text = JSON.stringify(params)
  } catch (error) {
    throw invalid(attempted, `params cannot be written as JSON (${(error as Error).message})`)
  }
  if (text === undefined) throw invalid(attempted, 'params must be a JSON value, got a function or a symbol')
  const bytes = Buffer.byteLength(text)
  if (bytes > payloadBytesMax) {
    throw new RuntimeError(
      'PAYLOAD_TOO_LARGE',
      `Cannot ${attempted}: params take ${bytes} bytes as JSON, at most ${payloadBytesMax} are allowed. Put the data into a file and pass its path.`,
      { bytes, bytesMax: payloadBytesMax }
    )
  }
  if (jsonDepth(text) > jsonDepthMax) {
    throw invalid(attempted, `params are nested more than ${jsonDepthMax} levels deep`)
  }
  return text
}

function queueOf(request: EnqueueRequest, queues: ReadonlyMap<string, QueueConfig>): QueueConfig {
  const name = request.queue ?? 'default'
  const queue = queues.get(name)
  if (queue !== undefined) return queue
  throw new RuntimeError(
    'QUEUE_UNKNOWN',
    `Cannot enqueue "${request.method}": no queue "${name}" is configured.${didYouMean(name, queues.keys())} Queues: ${[...queues.keys()].join(', ')}.`,
    { queue: name }
  )
}

/** Of a queue whose notice does not fit into the timeout of this job, there is none. */
function softTimeoutOf(request: EnqueueRequest, queue: QueueConfig): number | null {
  const timeoutMs = timeoutOf(request, queue)
  if (request.softTimeout === undefined) {
    return queue.softTimeoutMs !== null && queue.softTimeoutMs < timeoutMs ? queue.softTimeoutMs : null
  }
  const softTimeoutMs = durationToMs(request.softTimeout)!
  if (softTimeoutMs < timeoutMs) return softTimeoutMs
  throw invalid(`enqueue "${request.method}"`, `softTimeout must be shorter than the timeout of ${timeoutMs / 1000} s`)
}

function timeoutOf(request: EnqueueRequest, queue: QueueConfig): number {
  return request.timeout === undefined ? queue.timeoutMs : durationToMs(request.timeout)!
}

function runAtOf(request: EnqueueRequest, nowMs: number): number | null {
  if (request.delay !== undefined && request.runAt !== undefined) {
    throw invalid(`enqueue "${request.method}"`, 'delay and runAt exclude each other; give one of them')
  }
  if (request.delay !== undefined) return Math.min(nowMs + durationToMs(request.delay)!, instantMsMax)
  return request.runAt === undefined ? null : instantToMs(request.runAt)!
}

function idOf(request: EnqueueRequest, tag: string): string | null {
  if (request.jobId === undefined) {
    if (request.deduplicate) {
      throw invalid(`enqueue "${request.method}"`, 'deduplicate needs a jobId to compare with')
    }
    return null
  }
  if (isMadeId(request.jobId, tag)) {
    throw invalid(
      `enqueue "${request.method}"`,
      `jobId "${request.jobId}" has the form of the ids that the store gives`
    )
  }
  return request.jobId
}

function invalid(attempted: string, what: string): RuntimeError {
  return new RuntimeError('PARAMS_INVALID', `Cannot ${attempted}: ${what}.`)
}
