import type { ClientSession } from '../client-session.ts'
import { formatJob } from '../text/job-text.ts'

/** `runtime job ID`; `--json`: the answer of `job.get`. */
export async function job({ runtime, output }: ClientSession, id: string): Promise<void> {
  const view = await runtime.job.get(id)
  output.answer(view, (look) => formatJob(look, view))
}
