import type { ClientSession } from '../client-session.ts'
import { formatSchedule } from '../text/schedule-text.ts'

/** `runtime schedule`; `--json`: the answer of `schedule.list`. */
export async function schedule({ runtime, output }: ClientSession): Promise<void> {
  const view = await runtime.schedule.list()
  output.answer(view, (look) => formatSchedule(look, view))
}
