import type { SchedulerState } from '../../core/api.ts'
import { RuntimeError } from '../../core/errors.ts'
import type { ClientSession } from '../client-session.ts'
import { oneLine } from '../text/printable.ts'
import { schedule } from './schedule.ts'

export type SchedulerAction = 'pause' | 'resume' | 'skip' | 'status'

/**
 * `runtime scheduler pause|resume|skip|status [EVENT]`: without an event, of the whole scheduler. `--json`: the answer of
 * the method, `{"state"}`, or for `status` that of `schedule.list`.
 */
export async function scheduler(
  session: ClientSession,
  action: SchedulerAction,
  event: string | undefined
): Promise<void> {
  const { runtime, output } = session
  const whom = event === undefined ? 'the scheduler' : oneLine(event)
  const said = (state: SchedulerState, done: string) => output.answer(state, () => done)
  switch (action) {
    case 'pause':
      return said(await runtime.schedule.pause(event), `Paused ${whom}: what would have run is skipped until resume.`)
    case 'resume':
      return said(await runtime.schedule.resume(event), `Resumed ${whom}.`)
    case 'skip':
      if (event === undefined)
        throw new RuntimeError('PARAMS_INVALID', 'Say which event to skip: its id, key or method.')
      return said(await runtime.schedule.skip(event), `The next run of ${whom} will be left out.`)
    case 'status':
      return schedule(session)
  }
}
