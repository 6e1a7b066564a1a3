/**
 * `runtime retry ID…` and `runtime retry --failed [--queue Q]`.
 *
 * One job that cannot be retried does not keep the others from it: it is reported, the rest goes on, and the exit code
 * is 1. With `--failed` a job that somebody else retried or removed meanwhile is no failure, it only does not count.
 * Any other refusal (the disk is full, the supervisor stops) would meet every job, so it ends the command.
 * `--json`: `{"retried": number of jobs, "unchanged": [ids], "refused": [{"id", "code", "message"}]}`.
 */
import { type ErrorCode, RuntimeError } from '../../core/errors.ts'
import type { JobFilter } from '../../core/job.ts'
import type { ClientSession } from '../client-session.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { present } from '../present.ts'
import { counted } from '../text/counted.ts'
import { oneLine } from '../text/printable.ts'

export interface RetryOptions {
  failed?: boolean
  queue?: string
}

interface RetryReport {
  retried: number
  unchanged: string[]
  refused: { id: string; code: ErrorCode; message: string }[]
}

/** Jobs read and retried at a time. */
const pageJobsMax = 200

export async function retry(session: ClientSession, ids: readonly string[], options: RetryOptions): Promise<ExitCode> {
  const { failed = false, queue } = options
  if (failed === ids.length > 0 || (queue !== undefined && !failed)) {
    throw new RuntimeError('PARAMS_INVALID', 'Say which jobs to retry: ids, or --failed, or --failed --queue Q.')
  }
  const report: RetryReport = { retried: 0, unchanged: [], refused: [] }
  if (failed) await retryFailed(session, present({ queue }), report)
  else await retryAll(session, ids, report)
  session.output.answer(report, () => `Retried ${counted(report.retried, 'job')}.`)
  for (const line of exceptionsOf(report)) session.output.note(() => line)
  return report.refused.length > 0 && !failed ? exitCodes.failed : exitCodes.done
}

/** Newest first with a cursor: a job that fails again at once is newer than the cursor, so it does not come up twice. */
async function retryFailed(session: ClientSession, filter: JobFilter, report: RetryReport): Promise<void> {
  let cursor: string | null = null
  do {
    const page = await session.runtime.job.list({
      ...filter,
      state: 'failed',
      limit: pageJobsMax,
      ...(cursor !== null && { cursor })
    })
    await retryAll(
      session,
      page.jobs.map((job) => job.id),
      report
    )
    if (page.cursor !== null) session.output.progress(`retried ${counted(report.retried, 'job')} so far`)
    cursor = page.cursor
  } while (cursor !== null)
  session.output.clearProgress()
}

async function retryAll({ runtime }: ClientSession, ids: readonly string[], report: RetryReport): Promise<void> {
  await Promise.all(
    ids.map(async (id) => {
      try {
        const change = await runtime.job.retry(id)
        if (change.changed) report.retried++
        else report.unchanged.push(id)
      } catch (error) {
        if (!isAboutOneJob(error)) throw error
        report.refused.push({ id, code: error.code, message: error.message })
      }
    })
  )
}

function isAboutOneJob(error: unknown): error is RuntimeError {
  return error instanceof RuntimeError && (error.code === 'JOB_UNKNOWN' || error.code === 'JOB_STATE')
}

function exceptionsOf(report: RetryReport): string[] {
  return [
    ...report.unchanged.map((id) => `${oneLine(id)}: nothing to do, it waits or runs already.`),
    ...report.refused.map(({ id, message }) => `${oneLine(id)}: ${oneLine(message)}`)
  ]
}
