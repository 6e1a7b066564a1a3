import type { ClientSession } from '../client-session.ts'
import { counted } from '../text/counted.ts'
import { oneLine } from '../text/printable.ts'

/** `runtime pause Q`; `--json`: the answer of `queue.pause`. */
export async function pause({ runtime, output }: ClientSession, queue: string): Promise<void> {
  const view = await runtime.queue.pause(queue)
  output.answer(
    view,
    () => `Paused ${oneLine(queue)}: no job starts, ${counted(view.counts.running, 'job')} still running.`
  )
}
