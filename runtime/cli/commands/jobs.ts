import type { ClientSession } from '../client-session.ts'
import { present } from '../present.ts'
import { type SelectionOptions, selectionOf } from '../selection.ts'
import { formatJobs } from '../text/job-text.ts'

export interface JobsOptions extends SelectionOptions {
  limit?: number
  cursor?: string
}

/** `runtime jobs`: one page, newest first; `--json`: the answer of `job.list`. */
export async function jobs({ runtime, output }: ClientSession, options: JobsOptions): Promise<void> {
  const { limit, cursor, ...filters } = options
  const page = await runtime.job.list({ ...selectionOf(filters), ...present({ limit, cursor }) })
  output.answer(page, (look) => formatJobs(look, page.jobs))
  if (page.cursor !== null) output.note(() => `There are more. The next page: --cursor ${page.cursor}`)
}
