import type { ClientSession } from '../client-session.ts'
import { formatStatus } from '../text/status-text.ts'

/** `runtime status`; `--json`: the answer of `status`. */
export async function status({ runtime, output }: ClientSession): Promise<void> {
  const view = await runtime.status()
  output.answer(view, (look) => formatStatus(look, view))
}
