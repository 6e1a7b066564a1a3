/** Figures of a run as Markdown, for people on the terminal and for bench/RESULTS.md, where each benchmark has a section. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'

/** From the built file. */
const projectFolder = fileURLToPath(new URL('../../', import.meta.url))

export function markdownTable(rows: readonly Readonly<Record<string, string | number>>[]): string {
  const columns = Object.keys(rows[0] ?? {})
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`
  return [
    line(columns),
    line(columns.map(() => '---')),
    ...rows.map((row) => line(columns.map((name) => row[name]!)))
  ].join('\n')
}

/** Where and of what the figures are. */
export function provenance(command: string): string {
  const [processor] = cpus()
  const machine = `${cpus().length} cores (${processor?.model.trim() ?? 'unknown'})`
  return `\`${command}\`, ${new Date().toISOString().slice(0, 10)}, commit ${commit()}, Node ${process.version.slice(1)}, ${process.platform}, ${machine}`
}

function commit(): string {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { cwd: projectFolder, encoding: 'utf8' }).trim()
    return `${git('rev-parse', '--short=12', 'HEAD')}${git('status', '--porcelain', 'runtime') === '' ? '' : ' with changes'}`
  } catch {
    return 'unknown'
  }
}

/** Puts the text in the place of the section's last one, between its marks in bench/RESULTS.md. */
export function recordSection(section: string, text: string): void {
  const file = `${projectFolder}bench/RESULTS.md`
  const [begin, end] = [`<!-- ${section} -->`, `<!-- end of ${section} -->`]
  const before = readFileSync(file, 'utf8')
  const [from, to] = [before.indexOf(begin), before.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${file} has no marks ${begin} … ${end} to put the figures between.`)
  writeFileSync(file, `${before.slice(0, from + begin.length)}\n${text.trim()}\n${before.slice(to)}`)
}
