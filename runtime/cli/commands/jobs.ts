import type { JobState } from '../../core/lifecycle.ts'
import type { ClientSession } from '../client-session.ts'
import { present } from '../present.ts'
import { formatJobs } from '../text/job-text.ts'

export interface JobsOptions {
  queue?: string
  state?: JobState
  method?: string
  name?: string
  limit?: number
  cursor?: string
}

/** `runtime jobs`: one page, newest first; `--json`: the answer of `job.list`. */
export async function jobs({ runtime, output }: ClientSession, options: JobsOptions): Promise<void> {
  const { name, ...filter } = options
  const page = await runtime.job.list(present({ ...filter, jobName: name }))
  output.answer(page, (look) => formatJobs(look, page.jobs))
  if (page.cursor !== null) output.note(() => `There are more. The next page: --cursor ${page.cursor}`)
}
