/**
 * `runtime check`: reads configuration and actors as `serve` would and lists every problem, without starting anything.
 * Exit code 2 when the configuration or a scheduler event has one, 1 when only actors have. The folders of the actors come from the
 * configuration, so while that has problems the actors are not looked at.
 * `--json`: `{"ok", "file", "methods": number, "problems": [{"file", "line"?, "column"?, "path"?, "message"}], "warnings"}`.
 */
import type { CatalogueProblem } from '../../core/catalogue.ts'
import { RuntimeError } from '../../core/errors.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { configurationOf, type GlobalOptions } from '../global-options.ts'
import type { Output } from '../output.ts'
import { counted } from '../text/counted.ts'
import { type Look, styled } from '../text/look.ts'
import { block, oneLine } from '../text/printable.ts'

interface Problem extends CatalogueProblem {
  line?: number
  column?: number
  path?: string
}

interface CheckReport {
  ok: boolean
  exitCode: ExitCode
  /** The configuration file; null without one, or where its problems kept it from being used. */
  file: string | null
  methods: number
  problems: readonly Problem[]
  warnings: readonly string[]
}

export async function check(global: GlobalOptions, output: Output, options: { actors?: string }): Promise<ExitCode> {
  const report = await reportOf(global, options.actors)
  const { exitCode, ...answer } = report
  output.answer(answer, (look) => formatReport(look, report))
  return exitCode
}

async function reportOf(global: GlobalOptions, actors: string | undefined): Promise<CheckReport> {
  try {
    const config = await configurationOf(global, actors)
    const { file, warnings } = config
    const { checkActors } = await import('../../embed/check-actors.ts')
    const { checkEvents } = await import('../../embed/check-events.ts')
    const { methods, problems: actorProblems } = await checkActors(config.actors)
    const { invalid, unknown } = checkEvents(
      config,
      methods.map(({ method }) => method)
    )
    const eventProblems = [...invalid, ...unknown].map((message) => ({ file: file ?? '', message }))
    const problems = [...eventProblems, ...actorProblems]
    const ok = problems.length === 0
    const exitCode = ok ? exitCodes.done : invalid.length > 0 ? exitCodes.usage : exitCodes.failed
    return { ok, exitCode, file, methods: methods.length, problems, warnings }
  } catch (error) {
    if (!(error instanceof RuntimeError) || error.code !== 'CONFIG_INVALID') throw error
    return { ok: false, exitCode: exitCodes.usage, file: null, methods: 0, problems: problemsOf(error), warnings: [] }
  }
}

function problemsOf(error: RuntimeError): readonly Problem[] {
  const problems = error.data.problems as readonly Problem[] | undefined
  return problems?.length ? problems : [{ file: '', message: error.message }]
}

function formatReport(look: Look, report: CheckReport): string {
  const problems = report.problems.map((problem) => `${styled(look, 'red', 'problem')}  ${formatProblem(problem)}`)
  const warnings = report.warnings.map((warning) => `${styled(look, 'yellow', 'warning')}  ${oneLine(warning)}`)
  return [...problems, ...warnings, summaryOf(report)].join('\n')
}

function formatProblem({ file, line, column, path, message }: Problem): string {
  const place = [file, line, column].filter((part) => part !== undefined && part !== '' && part !== null).join(':')
  return [place, path, block(message)].filter((part) => part !== undefined && part !== '').join(' ')
}

function summaryOf({ ok, file, methods, problems }: CheckReport): string {
  if (!ok) return `${counted(problems.length, 'problem')} found.`
  return `Configuration (${file ?? 'defaults, no file'}) and ${counted(methods, 'method')}: no problems.`
}
