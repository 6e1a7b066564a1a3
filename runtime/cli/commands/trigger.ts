import type { ClientSession } from '../client-session.ts'

/** `runtime trigger EVENT`: prints the ids of the jobs, one a line; `--json`: the answer of `schedule.trigger`. */
export async function trigger({ runtime, output }: ClientSession, event: string): Promise<void> {
  const triggered = await runtime.schedule.trigger(event)
  output.answer(triggered, () => triggered.ids.join('\n'))
}
