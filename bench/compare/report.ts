/** The results as Markdown: a table for each question with a row for each system, then the targets. */
import type { Machine } from './machine.ts'
import type { Question, Unit } from './question.ts'
import { type Answer, type Summary, summary, timesBetter } from './results.ts'
import { ourNames, systems } from './systems.ts'
import type { Verdict } from './targets.ts'

export interface Results {
  at: string
  rounds: number
  extent: string
  machine: Machine
  answers: Answer[]
}

export function markdown(results: Results, questions: readonly Question[], verdicts: readonly Verdict[]): string {
  const asked = questions.filter(({ name }) => results.answers.some(({ question }) => question === name))
  return [
    '# Benchmark',
    describe(results),
    ...asked.map((question) => section(question, results.answers)),
    systemsSection(results.answers),
    targetsSection(verdicts)
  ].join('\n\n')
}

function describe({ at, rounds, extent, machine }: Results): string {
  const { processor, cores, memoryGB, system, node, load, dataInMemory, versions } = machine
  const lines = [
    `${at.slice(0, 10)}, ${cores} × ${processor}, ${memoryGB} GB, ${system}, Node ${node}, load before ${load}.`,
    versions.length === 0 ? '' : `${versions.join(', ')}.`,
    `At most ${rounds} rounds, alternating, each run in a fresh process on fresh data: medians (least to most). "ours ×": how many times better ours is, the median over rounds.`,
    extent === 'quick' ? '**Tiny counts, to try the benchmark: these figures say nothing.**' : '',
    dataInMemory
      ? '**The data was in memory, where a flush costs nothing: these figures say nothing about durable work.**'
      : ''
  ]
  return lines.filter(Boolean).join('\n')
}

function section({ name, title, about }: Question, answers: readonly Answer[]): string {
  const rows = answers.filter(({ question }) => question === name)
  const measured = rows.filter(({ rounds }) => rounds.length > 0)
  const figures = [...new Set(measured.flatMap(({ rounds }) => rounds.flatMap((round) => Object.keys(round))))]
  const left = rows.flatMap(({ system, without }) => (without === undefined ? [] : [`${system}: ${without}`]))
  const own = answers.find((answer) => answer.question === name && ourNames.includes(answer.system))
  const cell = (answer: Answer, figure: string) => {
    const found = summary(answer, figure)
    if (found === undefined) return '–'
    const isCompared = !ourNames.includes(answer.system) && found.unit !== 'times' && found.unit !== 'count'
    const times = isCompared ? timesBetter(own, answer, figure) : undefined
    return `${withSpread(found)}${times === undefined || !Number.isFinite(times) ? '' : ` · ours × ${short(times)}`}`
  }
  // A table that is wider than it is long is turned round.
  const isWide = figures.length > measured.length && figures.length > 4
  const lines = isWide
    ? [
        ['', ...measured.map(({ system }) => system)],
        ...figures.map((figure) => [figure, ...measured.map((answer) => cell(answer, figure))])
      ]
    : [['', ...figures], ...measured.map((answer) => [answer.system, ...figures.map((figure) => cell(answer, figure))])]
  return [
    `## ${title}`,
    about,
    ...(measured.length === 0 ? [] : [table(lines)]),
    ...(left.length === 0 ? [] : [`Not measured: ${left.join('; ')}.`])
  ].join('\n\n')
}

function systemsSection(answers: readonly Answer[]): string {
  const named = [...new Set(answers.map(({ system }) => system))]
  return `## What was compared\n\n${named.map((name) => `- ${name}: ${systems.get(name)!.about}`).join('\n')}`
}

function targetsSection(verdicts: readonly Verdict[]): string {
  if (verdicts.length === 0) return '## Targets\n\nNone of what was measured has one.'
  const rows = verdicts.map(({ what, aim, measured, met, share }) => [
    what,
    aim,
    short(measured),
    met ? 'met' : `${short(100 * share)} % of it`
  ])
  return `## Targets\n\n${table([['', 'target', 'measured', ''], ...rows])}`
}

function table([head, ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head!), line(head!.map(() => '---')), ...rows.map(line)].join('\n')
}

function withSpread({ unit, median, min, max }: Summary): string {
  const spread = min === max ? '' : ` (${short(min)} to ${short(max)})`
  return `${short(median)}${unitText(unit)}${spread}`
}

function unitText(unit: Unit): string {
  if (unit === 'count') return ''
  return unit === 'times' ? ' ×' : ` ${unit}`
}

/** Three digits that count, and no exponent. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const size = Math.abs(value)
  if (size >= 1000) return Number(value.toPrecision(3)).toLocaleString('en-US')
  return `${Number(value.toPrecision(size < 1 ? 2 : 3))}`
}

/** For the progress on the terminal: what was just measured. */
export function oneLine(answer: Answer): string {
  const last = answer.rounds.at(-1) ?? {}
  return Object.entries(last)
    .slice(0, 4)
    .map(([name, { value, unit }]) => `${name} ${short(value)}${unitText(unit)}`)
    .join(', ')
}
