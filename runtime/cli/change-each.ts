/**
 * One change for each of several jobs that were named. One that cannot be changed does not keep the others from it: it is
 * reported, the rest goes on. Any other refusal (the disk is full, the supervisor stops) would meet every job, so it is
 * thrown.
 */
import type { JobChange } from '../core/api.ts'
import { type ErrorCode, RuntimeError } from '../core/errors.ts'
import type { Output } from './output.ts'
import { oneLine } from './text/printable.ts'

export interface ChangeReport {
  changed: number
  /** Ids of jobs for which there was nothing to do. */
  unchanged: string[]
  refused: { id: string; code: ErrorCode; message: string }[]
}

export async function changeEach(
  ids: readonly string[],
  change: (id: string) => Promise<JobChange>
): Promise<ChangeReport> {
  const report: ChangeReport = { changed: 0, unchanged: [], refused: [] }
  await Promise.all(
    ids.map(async (id) => {
      try {
        if ((await change(id)).changed) report.changed++
        else report.unchanged.push(id)
      } catch (error) {
        if (!isAboutOneJob(error)) throw error
        report.refused.push({ id, code: error.code, message: error.message })
      }
    })
  )
  return report
}

function isAboutOneJob(error: unknown): error is RuntimeError {
  return error instanceof RuntimeError && (error.code === 'JOB_UNKNOWN' || error.code === 'JOB_STATE')
}

/** @param unchanged why there was nothing to do for those */
export function noteExceptions(output: Output, report: ChangeReport, unchanged: string): void {
  for (const id of report.unchanged) output.note(() => `${oneLine(id)}: ${unchanged}`)
  for (const { id, message } of report.refused) output.note(() => `${oneLine(id)}: ${oneLine(message)}`)
}
