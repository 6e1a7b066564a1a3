/**
 * `runtime move ID… --to Q` and `runtime move --queue Q --to Q2` with more filters: to another queue, of what is
 * scheduled or ready. One job that cannot be moved is reported, the rest goes on, and the exit code is 1.
 * `--json`: `{"moved": number of jobs, "unchanged": [ids], "refused": [{"id", "code", "message"}]}`.
 */
import { RuntimeError } from '../../core/errors.ts'
import { withProgress } from '../bulk-progress.ts'
import { type ChangeReport, changeEach, noteExceptions } from '../change-each.ts'
import type { ClientSession } from '../client-session.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { type SelectionOptions, selectionOf } from '../selection.ts'
import { counted } from '../text/counted.ts'
import { oneLine } from '../text/printable.ts'

export interface MoveOptions extends SelectionOptions {
  to: string
}

export async function move(session: ClientSession, ids: readonly string[], options: MoveOptions): Promise<ExitCode> {
  const { output } = session
  const { to, ...filters } = options
  if (Object.keys(filters).length > 0 === ids.length > 0) {
    throw new RuntimeError('PARAMS_INVALID', 'Say which jobs to move: ids, or filters such as --queue Q.')
  }
  const report =
    ids.length > 0
      ? await changeEach(ids, (id) => session.runtime.job.move(id, to))
      : await moveMany(session, filters, to)
  const { changed, unchanged, refused } = report
  output.answer({ moved: changed, unchanged, refused }, () => `Moved ${counted(changed, 'job')} to ${oneLine(to)}.`)
  noteExceptions(output, report, 'it is there already.')
  return refused.length > 0 ? exitCodes.failed : exitCodes.done
}

async function moveMany(
  { runtime, output }: ClientSession,
  filters: SelectionOptions,
  to: string
): Promise<ChangeReport> {
  const changed = await withProgress(output, 'moved', (progress) =>
    runtime.job.moveMany(selectionOf(filters), to, progress)
  )
  return { changed, unchanged: [], refused: [] }
}
