import type { ClientSession } from '../client-session.ts'

/** `runtime maintenance on|off`; `--json`: the answer of `maintenance`. */
export async function maintenance({ runtime, output }: ClientSession, position: 'on' | 'off'): Promise<void> {
  const state = await runtime.maintenance(position === 'on')
  output.answer(state, () =>
    position === 'on'
      ? 'Maintenance: no events fire and no jobs start; enqueueing goes on.'
      : 'Maintenance is over: events fire and jobs start.'
  )
}
