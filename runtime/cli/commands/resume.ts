import type { ClientSession } from '../client-session.ts'
import { counted } from '../text/counted.ts'
import { oneLine } from '../text/printable.ts'

/** `runtime resume Q`; `--json`: the answer of `queue.resume`. */
export async function resume({ runtime, output }: ClientSession, queue: string): Promise<void> {
  const view = await runtime.queue.resume(queue)
  output.answer(view, () => `Resumed ${oneLine(queue)}: ${counted(view.counts.ready, 'job')} ready to start.`)
}
