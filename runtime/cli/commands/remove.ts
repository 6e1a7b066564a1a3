import { RuntimeError } from '../../core/errors.ts'
import { withProgress } from '../bulk-progress.ts'
import type { ClientSession } from '../client-session.ts'
import { type SelectionOptions, selectionOf } from '../selection.ts'
import { counted } from '../text/counted.ts'
import { oneLine } from '../text/printable.ts'

/**
 * `runtime remove ID`; `--json`: the answer of `job.remove`. `runtime remove --state S` with more filters: every job of
 * the selection; `--json`: `{"removed": number}`.
 */
export async function remove(
  { runtime, output }: ClientSession,
  id: string | undefined,
  options: SelectionOptions
): Promise<void> {
  const { state } = options
  if ((state === undefined) === (id === undefined) || (id !== undefined && Object.keys(options).length > 0)) {
    throw new RuntimeError(
      'PARAMS_INVALID',
      'Say which jobs to remove: an id, or --state S, that with more filters such as --queue Q.'
    )
  }
  if (id !== undefined) {
    const answer = await runtime.job.remove(id)
    output.answer(answer, () => `Removed ${oneLine(id)}.`)
    return
  }
  const removed = await withProgress(output, 'removed', (progress) =>
    runtime.job.removeMany({ ...selectionOf(options), state: state! }, progress)
  )
  output.answer({ removed }, () => `Removed ${counted(removed, `${state} job`)}.`)
}
