import type { ClientSession } from '../client-session.ts'
import { formatQueues } from '../text/queue-text.ts'

/** `runtime queues`; `--json`: the answer of `queue.list`. */
export async function queues({ runtime, output }: ClientSession): Promise<void> {
  const views = await runtime.queue.list()
  output.answer({ queues: views }, (look) => formatQueues(look, views))
}
