import type { ClientSession } from '../client-session.ts'
import { oneLine } from '../text/printable.ts'

/** `runtime remove ID`; `--json`: the answer of `job.remove`. */
export async function remove({ runtime, output }: ClientSession, id: string): Promise<void> {
  const removed = await runtime.job.remove(id)
  output.answer(removed, () => `Removed ${oneLine(id)}.`)
}
