/**
 * `runtime verify [DIR]`: reads a whole data directory and says whether it is sound. It needs no supervisor, and disturbs none.
 * `--repair` sets aside what is damaged before, `--discard` forgets what was set aside; both refuse a directory in use.
 * Exit code 1 when something is damaged. `--json`: a `VerifyReport` (supervisor/verify-store.ts).
 */
import { resolve } from 'node:path'
import type { VerifyReport } from '../../embed/verify-store.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { configurationOf, type GlobalOptions } from '../global-options.ts'
import type { Output } from '../output.ts'
import { counted } from '../text/counted.ts'
import { type Look, styled } from '../text/look.ts'
import { oneLine } from '../text/printable.ts'
import { formatBytes } from '../text/status-text.ts'

export interface VerifyOptions {
  repair?: boolean
  discard?: boolean
}

/**
 * @param directory default: that of the configuration
 * @throws RuntimeError `DATA_DIR_INVALID`, `CONFIG_INVALID`; of a repair also `DATA_DIR_LOCKED`, `STORAGE_FULL`
 */
export async function verify(
  global: GlobalOptions,
  output: Output,
  directory: string | undefined,
  { repair = false, discard = false }: VerifyOptions
): Promise<ExitCode> {
  const { verifyStore } = await import('../../embed/verify-store.ts')
  const dataDir = directory === undefined ? (await configurationOf(global)).dataDir : resolve(directory)
  const report = await verifyStore(dataDir, {
    repair,
    discard,
    tell: ({ pages, pagesTotal }) => output.progress(`verifying: ${Math.floor((100 * pages) / pagesTotal)} %`)
  })
  output.clearProgress()
  output.answer(report, (look) => formatReport(look, report))
  return report.sound ? exitCodes.done : exitCodes.failed
}

function formatReport(look: Look, report: VerifyReport): string {
  const { directory, findings, format, bytes, entries, jobs, pid, setAside } = report
  const size = `format ${format}, ${formatBytes(bytes)}, ${entries} entries, ${counted(jobs, 'job')}`
  const beside = pid === null ? '' : `, beside the supervisor with pid ${pid}`
  const lines = findings.flatMap(({ what, advice, details }) => [
    `${styled(look, 'red', 'damaged')}  ${oneLine(what)}`,
    ...details.map((detail) => `  ${oneLine(detail)}`),
    `  ${advice}`
  ])
  const verdict = findings.length === 0 ? styled(look, 'green', 'sound') : styled(look, 'red', 'damaged')
  const repaired = report.repaired === null ? [] : [repairText(report.repaired)]
  const aside = setAside.count === 0 ? '' : `, ${counted(setAside.count, 'damaged record')} set aside`
  return [...repaired, ...lines, `${oneLine(directory)}: ${verdict} (${size}${aside}${beside}).`].join('\n')
}

function repairText({ setAside, failed, derived, discarded }: NonNullable<VerifyReport['repaired']>): string {
  const done = [
    `${counted(setAside.length, 'record')} set aside`,
    `${counted(failed.length, 'job')} failed for it${failed.length === 0 ? '' : ` (${failed.map(oneLine).join(', ')})`}`,
    `${derived} entries put right`,
    ...(discarded === 0 ? [] : [`${counted(discarded, 'record')} forgotten`])
  ]
  return `repaired  ${done.join(', ')}`
}
