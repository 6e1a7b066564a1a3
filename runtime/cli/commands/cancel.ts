import { RuntimeError } from '../../core/errors.ts'
import { withProgress } from '../bulk-progress.ts'
import type { ClientSession } from '../client-session.ts'
import { type SelectionOptions, selectionOf } from '../selection.ts'
import { counted } from '../text/counted.ts'
import { oneLine } from '../text/printable.ts'

export interface CancelOptions extends SelectionOptions {
  all?: boolean
}

/**
 * `runtime cancel ID`; `--json`: the answer of `job.cancel`. To cancel a finished job is no error; it stays as it is.
 * `runtime cancel --all` with filters: every job of the selection that has not finished; `--json`: `{"cancelled": number}`.
 */
export async function cancel(session: ClientSession, id: string | undefined, options: CancelOptions): Promise<void> {
  const { runtime, output } = session
  const { all = false, ...filters } = options
  if (all === (id !== undefined) || (!all && Object.keys(filters).length > 0)) {
    throw new RuntimeError(
      'PARAMS_INVALID',
      'Say which jobs to cancel: an id, or --all with filters such as --queue Q.'
    )
  }
  if (id !== undefined) {
    const change = await runtime.job.cancel(id)
    output.answer(change, () =>
      change.changed ? `Cancelled ${oneLine(id)}.` : `${oneLine(id)} was ${change.state} already and stays so.`
    )
    return
  }
  const cancelled = await withProgress(output, 'cancelled', (progress) =>
    runtime.job.cancelMany(selectionOf(filters), progress)
  )
  output.answer({ cancelled }, () => `Cancelled ${counted(cancelled, 'job')}.`)
}
