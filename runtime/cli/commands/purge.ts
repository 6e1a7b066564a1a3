import type { JobState } from '../../core/lifecycle.ts'
import type { ClientSession } from '../client-session.ts'
import { present } from '../present.ts'
import { counted } from '../text/counted.ts'
import { oneLine } from '../text/printable.ts'

/** `runtime purge Q [--state S]`; `--json`: the answer of `queue.purge`. */
export async function purge(
  { runtime, output }: ClientSession,
  queue: string,
  options: { state?: JobState }
): Promise<void> {
  const purged = await runtime.queue.purge(queue, present({ state: options.state }))
  output.answer(
    purged,
    () => `Removed ${counted(purged.removed, `${options.state ?? 'waiting'} job`)} of ${oneLine(queue)}.`
  )
}
