/**
 * Jobs on their way to a host and to a thread. Of small plain jobs many travel together, and most of what a job says is
 * the same for all of one method: so those fields are sent once, as a header, and the rest as columns.
 */
import type { JobMessage } from './pool.ts'

type Header = Pick<JobMessage, 'queue' | 'method' | 'file' | 'attempt' | 'attemptsMax' | 'timeoutMs' | 'softTimeoutMs'>

/** Each of the lists but `headers` has one entry for each job. */
export interface PackedJobs {
  headers: Header[]
  /** Index of the job's header. Absent: there is only one. */
  headerOf?: number[]
  ids: string[]
  params: string[]
}

/** Whether it says nothing that {@link PackedJobs} has no place for. Such a job may wait in a pool, and share a frame. */
export function isPlain(job: JobMessage): boolean {
  return (
    !job.alone &&
    !job.startIsCounted &&
    job.document === undefined &&
    job.journal === undefined &&
    job.parents === undefined
  )
}

/** @param jobs plain ones */
export function packJobs(jobs: readonly JobMessage[]): PackedJobs {
  const headers: Header[] = []
  const headerOf: number[] = []
  const ids: string[] = []
  const params: string[] = []
  let last = -1
  for (const job of jobs) {
    if (last === -1 || !isSame(headers[last]!, job)) {
      last = headers.findIndex((header) => isSame(header, job))
      if (last === -1) last = headers.push(headerFrom(job)) - 1
    }
    headerOf.push(last)
    ids.push(job.id)
    params.push(job.params)
  }
  return headers.length === 1 ? { headers, ids, params } : { headers, headerOf, ids, params }
}

export function jobAt({ headers, headerOf, ids, params }: PackedJobs, index: number): JobMessage {
  const { queue, method, file, attempt, attemptsMax, timeoutMs, softTimeoutMs } = headers[headerOf?.[index] ?? 0]!
  return {
    id: ids[index]!,
    queue,
    method,
    file,
    params: params[index]!,
    attempt,
    attemptsMax,
    timeoutMs,
    softTimeoutMs,
    alone: false,
    startIsCounted: false
  }
}

function headerFrom({ queue, method, file, attempt, attemptsMax, timeoutMs, softTimeoutMs }: JobMessage): Header {
  return { queue, method, file, attempt, attemptsMax, timeoutMs, softTimeoutMs }
}

function isSame(one: Header, other: Header): boolean {
  return (
    one.method === other.method &&
    one.file === other.file &&
    one.attempt === other.attempt &&
    one.attemptsMax === other.attemptsMax &&
    one.timeoutMs === other.timeoutMs &&
    one.softTimeoutMs === other.softTimeoutMs &&
    one.queue === other.queue
  )
}
