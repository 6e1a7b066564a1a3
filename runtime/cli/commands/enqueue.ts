/**
 * `runtime enqueue METHOD …`: prints the id of the job once it is on disk. With `--wait` (or `--now`, where the
 * supervisor itself answers with the outcome) prints what the method returned instead; a job that failed or was
 * cancelled gives exit code 1. `--json`: the answer of `enqueue`, with `--wait` the job view.
 */

import type { Backoff } from '../../core/backoff.ts'
import type { Duration } from '../../core/duration.ts'
import { RuntimeError } from '../../core/errors.ts'
import type { Deduplication, EnqueueOptions, EnqueueResult, JobError, Json, ParentFailureRule } from '../../core/job.ts'
import type { JobState } from '../../core/lifecycle.ts'
import type { Pair } from '../argument-values.ts'
import type { ClientSession } from '../client-session.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { followJob } from '../follow-job.ts'
import { readJsonArgument } from '../json-argument.ts'
import type { Output } from '../output.ts'
import { present } from '../present.ts'
import { formatError } from '../text/job-text.ts'
import { oneLine, prettyJson } from '../text/printable.ts'

export interface EnqueueFlags {
  params?: string
  param?: readonly Pair[]
  queue?: string
  timeout?: Duration
  delay?: Duration
  at?: string | number
  priority?: number
  atFront?: boolean
  jobName?: string
  jobId?: string
  deduplicate?: boolean
  throttle?: Duration
  debounce?: Duration
  keepLast?: boolean
  attempts?: number
  backoff?: string
  retryOn?: string[]
  neverRetry?: string[]
  key?: string
  keyConcurrency?: number
  dependsOn?: string[]
  onParentFailure?: ParentFailureRule
  onSuccess?: string
  onFailure?: string
  expires?: Duration
  resultTtl?: Duration
  now?: boolean
  wait?: boolean
  waitTimeout?: Duration
}

export function enqueue(session: ClientSession, method: string, flags: EnqueueFlags): Promise<ExitCode> {
  return enqueueWith(session, flags, (params, options) => session.runtime.enqueue(method, params, options))
}

/** @param send enqueues the job that the flags describe */
export async function enqueueWith(
  session: ClientSession,
  flags: EnqueueFlags,
  send: (params: object | undefined, options: EnqueueOptions) => Promise<EnqueueResult>
): Promise<ExitCode> {
  const { output } = session
  const { params, param, at, wait, waitTimeout, throttle, debounce, keepLast, backoff, neverRetry, ...options } = flags
  const request: EnqueueOptions = present({
    ...options,
    runAt: at,
    deduplicate: deduplicationOf(flags),
    backoff: backoff === undefined ? undefined : ((await readJsonArgument('--backoff', backoff)) as Backoff),
    noRetryOn: neverRetry
  })
  const enqueued = await send(await paramsOf(params, param), request)
  if (wait) {
    output.note(() => `job ${oneLine(enqueued.id)}`)
    const job = await followJob(session, enqueued.id, waitTimeout)
    return printOutcome(output, job, job)
  }
  if (flags.now) return printOutcome(output, enqueued, enqueued)
  output.answer(enqueued, () => oneLine(enqueued.id))
  return exitCodes.done
}

/** The flags exclude each other. */
function deduplicationOf({
  deduplicate,
  throttle,
  debounce,
  keepLast
}: EnqueueFlags): true | Deduplication | undefined {
  if (throttle !== undefined) return { for: throttle }
  if (debounce !== undefined) return { debounce }
  if (keepLast) return { keepLast }
  return deduplicate ? true : undefined
}

/** `--params` with each `-p` laid over it; undefined when there is neither. */
async function paramsOf(json: string | undefined, pairs: readonly Pair[] = []): Promise<object | undefined> {
  if (json === undefined && pairs.length === 0) return undefined
  const params = json === undefined ? {} : await readJsonArgument('--params', json)
  if (typeof params !== 'object' || params === null || Array.isArray(params)) {
    throw new RuntimeError('PARAMS_INVALID', '--params must be a JSON object, such as {"month": 3}.')
  }
  // fromEntries defines its keys, so a key `__proto__` is a key like any other.
  return Object.fromEntries([...Object.entries(params), ...pairs])
}

interface Outcome {
  id: string
  state: JobState
  result?: Json
  error?: JobError
}

function printOutcome(output: Output, view: unknown, { id, state, result, error }: Outcome): ExitCode {
  if (state === 'completed') {
    output.answer(view, () => prettyJson(result))
    return exitCodes.done
  }
  if (output.json) output.answer(view, () => '')
  output.note(() => `job ${oneLine(id)} ${state}${error === undefined ? '' : `: ${formatError(error)}`}`)
  return exitCodes.failed
}
