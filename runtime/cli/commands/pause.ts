import type { Duration } from '../../core/duration.ts'
import type { ClientSession } from '../client-session.ts'
import { present } from '../present.ts'
import { counted } from '../text/counted.ts'
import { oneLine } from '../text/printable.ts'
import { formatInstant } from '../text/time.ts'

/** `runtime pause Q [--until T]`; `--json`: the answer of `queue.pause`. */
export async function pause(
  { runtime, output }: ClientSession,
  queue: string,
  options: { until?: Duration }
): Promise<void> {
  const view = await runtime.queue.pause(queue, present({ until: options.until }))
  output.answer(view, ({ nowMs }) => {
    const until = view.pausedUntil === null ? '' : ` until ${formatInstant(view.pausedUntil, nowMs)}`
    return `Paused ${oneLine(queue)}${until}: no job starts, ${counted(view.counts.running, 'job')} still running.`
  })
}
