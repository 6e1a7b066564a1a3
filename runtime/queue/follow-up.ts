/** The job that follows one which completed (`onSuccess`) or failed for good (`onFailure`), in the same commit. */
import type { QueueConfig } from '../core/config.ts'
import type { FollowedJob, FollowUp } from '../core/job.ts'
import { payloadBytesMax } from '../core/limits.ts'
import { type DraftContext, draftJob, type JobDraft } from './job-draft.ts'
import type { StoredJob } from './stored-job.ts'

/** @returns what to enqueue now that `job` has finished; undefined: nothing */
export function followUpOf(job: StoredJob, context: DraftContext): JobDraft | undefined {
  const { state } = job.standing
  const written =
    state === 'completed' ? job.spec.rules?.onSuccess : state === 'failed' ? job.spec.rules?.onFailure : undefined
  if (written === undefined) return undefined
  const { queue, params, ...request } = JSON.parse(written) as FollowUp
  const draft = draftJob({ ...request, ...configuredQueue(queue, context.queues) }, context)
  return { ...draft, spec: { ...draft.spec, params: paramsOf(job, params) } }
}

/** The configuration may have changed since it was asked for; the job runs all the same. */
function configuredQueue(queue: string | undefined, queues: ReadonlyMap<string, QueueConfig>): { queue?: string } {
  return queue !== undefined && queues.has(queue) ? { queue } : {}
}

/** As JSON text. What does not fit is left out: the params of the job first, then its result. */
function paramsOf({ spec, standing }: StoredJob, params: FollowUp['params'] = {}): string {
  const { id, method } = spec
  const { state, error, result } = standing
  const job: FollowedJob = { id, method, state, ...(error === null ? {} : { error }) }
  // In place of a param of that name, and behind the others: the texts of result and params go in at the end.
  const { job: _, ...own } = params
  const head = JSON.stringify({ ...own, job })
  const withResult = result === null ? head : `${head.slice(0, -2)},"result":${result}}}`
  const withParams = `${withResult.slice(0, -2)},"params":${spec.params}}}`
  return [withParams, withResult].find((text) => Buffer.byteLength(text) <= payloadBytesMax) ?? head
}
