/**
 * `runtime verify [DIR]`: reads a whole data directory and says whether it is sound. It needs no supervisor, and disturbs none.
 * Exit code 1 when something is damaged. `--json`: a `StoreReport` (store/verify-directory.ts).
 */
import { resolve } from 'node:path'
import type { StoreReport } from '../../embed/verify-store.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { configurationOf, type GlobalOptions } from '../global-options.ts'
import type { Output } from '../output.ts'
import { counted } from '../text/counted.ts'
import { type Look, styled } from '../text/look.ts'
import { oneLine } from '../text/printable.ts'
import { formatBytes } from '../text/status-text.ts'

/** @param directory default: that of the configuration @throws RuntimeError `DATA_DIR_INVALID`, `CONFIG_INVALID` */
export async function verify(global: GlobalOptions, output: Output, directory: string | undefined): Promise<ExitCode> {
  const { verifyStore } = await import('../../embed/verify-store.ts')
  const dataDir = directory === undefined ? (await configurationOf(global)).dataDir : resolve(directory)
  const report = await verifyStore(dataDir, ({ pages, pagesTotal }) =>
    output.progress(`verifying: ${Math.floor((100 * pages) / pagesTotal)} %`)
  )
  output.clearProgress()
  output.answer(report, (look) => formatReport(look, report))
  return report.sound ? exitCodes.done : exitCodes.failed
}

function formatReport(look: Look, { directory, findings, format, bytes, entries, jobs, pid }: StoreReport): string {
  const size = `format ${format}, ${formatBytes(bytes)}, ${entries} entries, ${counted(jobs, 'job')}`
  const beside = pid === null ? '' : `, beside the supervisor with pid ${pid}`
  const lines = findings.flatMap(({ what, advice, details }) => [
    `${styled(look, 'red', 'damaged')}  ${oneLine(what)}`,
    ...details.map((detail) => `  ${oneLine(detail)}`),
    `  ${advice}`
  ])
  const verdict = findings.length === 0 ? styled(look, 'green', 'sound') : styled(look, 'red', 'damaged')
  return [...lines, `${oneLine(directory)}: ${verdict} (${size}${beside}).`].join('\n')
}
