/**
 * `runtime doctor`: what is wrong with a running supervisor, and what to do about it. Exit code 1 when something is a
 * problem; warnings alone are none. `--json`: the answer of `doctor`.
 */
import type { Finding } from '../../core/api.ts'
import type { ClientSession } from '../client-session.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { type Look, styled } from '../text/look.ts'
import { oneLine } from '../text/printable.ts'

export async function doctor({ runtime, output }: ClientSession): Promise<ExitCode> {
  const view = await runtime.doctor()
  output.answer(view, (look) =>
    view.findings.length === 0
      ? 'Nothing is wrong.'
      : view.findings.map((finding) => formatFinding(look, finding)).join('\n')
  )
  return view.ok ? exitCodes.done : exitCodes.failed
}

function formatFinding(look: Look, { severity, what, advice }: Finding): string {
  return `${styled(look, severity === 'problem' ? 'red' : 'yellow', severity)}  ${oneLine(what)}\n  ${oneLine(advice)}`
}
