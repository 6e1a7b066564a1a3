/** Requests that a running job makes: unlike those of a client, nobody has checked them yet. */
import { RuntimeError } from '../core/errors.ts'
import type { EnqueueRequest } from '../core/job.ts'
import { enqueueSchema } from '../core/job-options.ts'
import { compileSchema, formatPath, type SchemaCheck } from '../core/schema.ts'

let check: SchemaCheck | undefined

/** @throws RuntimeError `PARAMS_INVALID`: not the params of an `enqueue`; of several, `data.index` says which */
export function checkRequests(requests: readonly unknown[]): asserts requests is readonly EnqueueRequest[] {
  check ??= compileSchema(enqueueSchema)
  for (const [index, request] of requests.entries()) {
    const [problem] = check(request)
    if (problem === undefined) continue
    const place = formatPath(problem.path) || 'request'
    throw new RuntimeError('PARAMS_INVALID', `Cannot enqueue: ${place}: ${problem.message}`, { path: place, index })
  }
}
