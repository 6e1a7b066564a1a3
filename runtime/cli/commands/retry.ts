/**
 * `runtime retry ID…`, and `runtime retry --failed` or `--state S` with more filters.
 *
 * One job that cannot be retried does not keep the others from it: it is reported, and the exit code is 1.
 * `--json`: `{"retried": number of jobs, "unchanged": [ids], "refused": [{"id", "code", "message"}]}`.
 */
import { RuntimeError } from '../../core/errors.ts'
import { withProgress } from '../bulk-progress.ts'
import { type ChangeReport, changeEach, noteExceptions } from '../change-each.ts'
import type { ClientSession } from '../client-session.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { readJsonArgument } from '../json-argument.ts'
import { type SelectionOptions, selectionOf } from '../selection.ts'
import { counted } from '../text/counted.ts'

export interface RetryOptions extends SelectionOptions {
  failed?: boolean
  params?: string
}

export async function retry(session: ClientSession, ids: readonly string[], options: RetryOptions): Promise<ExitCode> {
  const { failed = false, params: json, ...filters } = options
  const many = failed || filters.state !== undefined
  if (many === ids.length > 0 || (!many && Object.keys(filters).length > 0)) {
    throw new RuntimeError(
      'PARAMS_INVALID',
      'Say which jobs to retry: ids, or --failed, or --state S, these two with more filters such as --queue Q.'
    )
  }
  const edited = json === undefined ? {} : { params: await readJsonArgument('--params', json) }
  const report = many
    ? await retryMany(session, failed ? { ...filters, state: 'failed' } : filters, edited)
    : await changeEach(ids, (id) => session.runtime.job.retry(id, edited))
  const { changed, unchanged, refused } = report
  session.output.answer({ retried: changed, unchanged, refused }, () => `Retried ${counted(changed, 'job')}.`)
  noteExceptions(session.output, report, 'nothing to do, it waits or runs already.')
  return refused.length > 0 ? exitCodes.failed : exitCodes.done
}

async function retryMany(
  { runtime, output }: ClientSession,
  filters: SelectionOptions,
  edited: { params?: unknown }
): Promise<ChangeReport> {
  const changed = await withProgress(output, 'retried', (progress) =>
    runtime.job.retryMany(selectionOf(filters), { ...progress, ...edited })
  )
  return { changed, unchanged: [], refused: [] }
}
