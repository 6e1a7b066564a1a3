/** From what a caller asks for to what is stored: defaults of the queue, base units, payload as JSON text, every check. */
import { backoffRule } from '../core/backoff.ts'
import type { QueueConfig } from '../core/config.ts'
import { didYouMean } from '../core/did-you-mean.ts'
import { durationToMs } from '../core/duration.ts'
import { RuntimeError } from '../core/errors.ts'
import { instantToMs, untilToMs } from '../core/instant.ts'
import type { EnqueueRequest, FollowUp } from '../core/job.ts'
import { jsonDepth } from '../core/json-depth.ts'
import { finishedStates } from '../core/lifecycle.ts'
import { instantMsMax, jsonDepthMax, payloadBytesMax } from '../core/limits.ts'
import type { JobRules, JobSpec } from '../store/records.ts'
import { isMadeId } from './job-id.ts'

/** A job that nothing in its request speaks against. */
export interface JobDraft {
  /** null: the store makes one. */
  id: string | null
  queue: QueueConfig
  /** What to do when there is a job of the same id; null: refuse. */
  deduplicate: { mode: 'unfinished' | 'throttle' | 'debounce' | 'keepLast' } | null
  /** Ids, and indexes of jobs of the same call; null: nothing. */
  dependsOn: readonly (string | number)[] | 'others' | null
  /** But for its id and the number of its queue, which it gets with its place in the store. */
  spec: JobSpec
}

export interface DraftContext {
  queues: ReadonlyMap<string, QueueConfig>
  tag: string
  nowMs: number
  /** It was accepted once; what has changed since does not speak against it. */
  isPromised?: boolean
}

/** A draft's place among the jobs of one call. */
const alone = { index: 0, jobs: 1 }

/**
 * @param request of the right types (core/job-options.ts), its method known
 * @throws RuntimeError `QUEUE_UNKNOWN`, `PARAMS_INVALID`, `PAYLOAD_TOO_LARGE`
 */
export function draftJob(request: EnqueueRequest, context: DraftContext, place = alone): JobDraft {
  const { nowMs } = context
  const queue = queueOf(request, context.queues)
  const runAtMs = runAtOf(request, nowMs)
  return {
    id: idOf(request, context.tag),
    queue,
    deduplicate: deduplicationOf(request),
    dependsOn: dependenciesOf(request, place),
    spec: {
      id: '',
      method: request.method,
      queue: 0,
      params: encodePayload(request.params ?? {}, `enqueue "${request.method}"`),
      enqueuedAtMs: nowMs,
      runAtMs: runAtMs !== null && runAtMs <= nowMs ? null : runAtMs,
      atFront: request.atFront ?? request.now ?? false,
      priority: request.priority ?? 0,
      timeoutMs: timeoutOf(request, queue),
      attemptsMax: request.attempts ?? queue.attempts,
      backoff: request.backoff === undefined ? queue.backoff : backoffRule(request.backoff),
      jobName: request.jobName ?? null,
      softTimeoutMs: softTimeoutOf(request, queue, context),
      event: null,
      rules: rulesOf(request, queue, runAtMs, context)
    }
  }
}

/** Only what is there; see {@link JobRules}. */
function rulesOf(
  request: EnqueueRequest,
  queue: QueueConfig,
  runAtMs: number | null,
  context: DraftContext
): JobRules | null {
  const { key, keyConcurrency, document, onParentFailure, onSuccess, onFailure, deduplicate } = request
  const attempted = `enqueue "${request.method}"`
  if (keyConcurrency !== undefined && key === undefined) throw invalid(attempted, 'keyConcurrency needs a key')
  if (document !== undefined && key !== undefined) {
    throw invalid(attempted, 'its document is its key; leave out key and keyConcurrency')
  }
  const expiresAtMs = expiryOf(request, runAtMs, context)
  const keepMs = keepMsOf(request)
  const retryOn = request.retryOn ?? queue.retryOn
  const noRetryOn = request.noRetryOn ?? queue.noRetryOn
  const rules: JobRules = {}
  if (key !== undefined) rules.key = key
  if (keyConcurrency !== undefined) rules.keyConcurrency = keyConcurrency
  if (document !== undefined) rules.document = document
  if (queue.ageingMs !== null) rules.ageingMs = queue.ageingMs
  if (expiresAtMs !== undefined) rules.expiresAtMs = expiresAtMs
  if (retryOn !== null) rules.retryOn = retryOn
  if (noRetryOn !== null) rules.noRetryOn = noRetryOn
  if (onSuccess !== undefined) rules.onSuccess = followUpText(onSuccess, attempted, context)
  if (onFailure !== undefined) rules.onFailure = followUpText(onFailure, attempted, context)
  if (onParentFailure !== undefined) rules.onParentFailure = onParentFailure
  if (keepMs !== undefined) rules.keepMs = keepMs
  if (typeof deduplicate === 'object' && 'for' in deduplicate) {
    rules.throttledUntilMs = context.nowMs + durationToMs(deduplicate.for)!
  }
  return Object.keys(rules).length === 0 ? null : rules
}

/** Checked as the job that it will be, but for its method, which the caller has looked up. */
function followUpText(followUp: string | FollowUp, attempted: string, context: DraftContext): string {
  const request = typeof followUp === 'string' ? { method: followUp } : followUp
  // Where the configuration has lost it since, the job that follows runs all the same; see follow-up.ts.
  if (!context.isPromised) queueOf(request, context.queues)
  return encodePayload(request, attempted)
}

function keepMsOf({ retention, resultTtl, method }: EnqueueRequest): JobRules['keepMs'] | undefined {
  if (resultTtl === undefined && retention === undefined) return undefined
  if (resultTtl !== undefined && retention?.completed !== undefined) {
    throw invalid(`enqueue "${method}"`, 'resultTtl and retention.completed say the same; give one of them')
  }
  const ages = { ...retention, ...(resultTtl === undefined ? {} : { completed: { age: resultTtl } }) }
  const named = finishedStates.filter((state) => ages[state] !== undefined)
  if (named.length === 0) return undefined
  return Object.fromEntries(named.map((state) => [state, durationToMs(ages[state]!.age)!]))
}

/** A number or a text with a unit is a span from now; any other text an instant. */
function expiryOf(
  { expires, method }: EnqueueRequest,
  runAtMs: number | null,
  { nowMs, isPromised }: DraftContext
): number | undefined {
  if (expires === undefined) return undefined
  const atMs = untilToMs(expires, nowMs)
  if (atMs > (runAtMs ?? nowMs) || isPromised) return atMs
  throw invalid(`enqueue "${method}"`, 'it expires before it may start; give a later expires')
}

function deduplicationOf({ deduplicate, jobId, method }: EnqueueRequest): JobDraft['deduplicate'] {
  if (deduplicate === undefined || deduplicate === false) return null
  if (jobId === undefined) throw invalid(`enqueue "${method}"`, 'deduplicate needs a jobId to compare with')
  if (deduplicate === true) return { mode: 'unfinished' }
  if ('for' in deduplicate) return { mode: 'throttle' }
  return { mode: 'debounce' in deduplicate ? 'debounce' : 'keepLast' }
}

function dependenciesOf({ dependsOn, method }: EnqueueRequest, { index, jobs }: typeof alone): JobDraft['dependsOn'] {
  if (dependsOn === undefined || dependsOn.length === 0) return null
  if (dependsOn === 'others') return jobs > 1 ? 'others' : null
  const wrong = dependsOn.find((each) => typeof each === 'number' && (each >= jobs || each === index))
  if (wrong === undefined) return dependsOn
  const why =
    jobs === 1 ? 'only jobs of one enqueueMany can be named by their index' : `there is no other job of that index`
  throw invalid(`enqueue "${method}"`, `dependsOn names ${wrong}: ${why}`)
}

/**
 * @returns the value as JSON text
 * @throws RuntimeError `PARAMS_INVALID`: not JSON, or nested too deeply · `PAYLOAD_TOO_LARGE`
 */
export function encodePayload(params: unknown, attempted: string): string {
  return encodeJson(params, attempted, paramsRule)
}

const paramsRule = { name: 'params', bytesMax: payloadBytesMax, advice: 'Put the data into a file and pass its path.' }

/** As {@link encodePayload}, of any value. @param rule `name` of the value, and what to do where it is too large */
export function encodeJson(
  value: unknown,
  attempted: string,
  { name, bytesMax, advice }: { name: string; bytesMax: number; advice: string }
): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (error) {
    throw invalid(attempted, `${name} cannot be written as JSON (${(error as Error).message})`)
  }
  if (text === undefined) throw invalid(attempted, `${name} must be a JSON value, got a function or a symbol`)
  // A text of so few characters has no more bytes, and no more levels.
  if (text.length <= 2 * jsonDepthMax && 3 * text.length <= bytesMax) return text
  const bytes = Buffer.byteLength(text)
  if (bytes > bytesMax) {
    throw new RuntimeError(
      'PAYLOAD_TOO_LARGE',
      `Cannot ${attempted}: ${name} of ${bytes} bytes as JSON, at most ${bytesMax} are allowed. ${advice}`,
      { bytes, bytesMax }
    )
  }
  if (jsonDepth(text) > jsonDepthMax) {
    throw invalid(attempted, `${name} nested more than ${jsonDepthMax} levels deep`)
  }
  return text
}

function queueOf(
  request: Pick<EnqueueRequest, 'method' | 'queue'>,
  queues: ReadonlyMap<string, QueueConfig>
): QueueConfig {
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
function softTimeoutOf(request: EnqueueRequest, queue: QueueConfig, { isPromised }: DraftContext): number | null {
  const timeoutMs = timeoutOf(request, queue)
  if (request.softTimeout === undefined) {
    return queue.softTimeoutMs !== null && queue.softTimeoutMs < timeoutMs ? queue.softTimeoutMs : null
  }
  const softTimeoutMs = durationToMs(request.softTimeout)!
  if (softTimeoutMs < timeoutMs) return softTimeoutMs
  if (isPromised) return null
  throw invalid(`enqueue "${request.method}"`, `softTimeout must be shorter than the timeout of ${timeoutMs / 1000} s`)
}

function timeoutOf(request: EnqueueRequest, queue: QueueConfig): number {
  return request.timeout === undefined ? queue.timeoutMs : durationToMs(request.timeout)!
}

function runAtOf(request: EnqueueRequest, nowMs: number): number | null {
  const { deduplicate } = request
  if (typeof deduplicate === 'object' && 'debounce' in deduplicate) {
    if (request.delay === undefined && request.runAt === undefined) return nowMs + durationToMs(deduplicate.debounce)!
    throw invalid(`enqueue "${request.method}"`, 'debounce is the delay; leave out delay and runAt')
  }
  if (request.delay !== undefined && request.runAt !== undefined) {
    throw invalid(`enqueue "${request.method}"`, 'delay and runAt exclude each other; give one of them')
  }
  if (request.delay !== undefined) return Math.min(nowMs + durationToMs(request.delay)!, instantMsMax)
  return request.runAt === undefined ? null : instantToMs(request.runAt)!
}

function idOf(request: EnqueueRequest, tag: string): string | null {
  if (request.jobId === undefined) return null
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
