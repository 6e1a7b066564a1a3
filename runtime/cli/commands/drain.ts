import type { Duration } from '../../core/duration.ts'
import type { ClientSession } from '../client-session.ts'
import { present } from '../present.ts'
import { counted } from '../text/counted.ts'
import { oneLine } from '../text/printable.ts'

/** `runtime drain Q [--timeout T]`: waits until no job of the queue is ready or running; `--json`: the answer of `queue.drain`. */
export async function drain(
  { runtime, output }: ClientSession,
  queue: string,
  options: { timeout?: Duration }
): Promise<void> {
  const view = await runtime.queue.drain(queue, present({ timeout: options.timeout }))
  output.answer(
    view,
    () => `Drained ${oneLine(queue)}: no job is ready or running, ${counted(view.counts.scheduled, 'job')} scheduled.`
  )
}
