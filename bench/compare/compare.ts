/**
 * How fast is this queue beside others, on the same machine, at the same time? Asks every question (`questions/`) of every system
 * that is installed (`systems/`), in rounds: one run of each system after the other, and the other way round in the next, so
 * that what the machine does meanwhile meets them alike. Each run is a process of its own on data of its own.
 *
 *   npm run bench -- [--peers] [--rounds 5] [--only completion,latency] [--systems "ours,plainjob, FULL"]
 *                    [--quick | --large] [--folder DIR] [--json FILE] [--plot FILE] [--from FILE]
 *
 * The table goes to standard output as Markdown, progress to standard error, all rounds to `--json` (by default a
 * file in bench/results/) after each question, a drawing of the main figures to `--plot`. `--from` tells the results of an earlier run again and
 * measures nothing. `--peers` first installs what is missing of the others: npm packages into bench/.peers/, Redis and
 * PostgreSQL as packages of Debian where this user may do that. Without it those that are there are measured. `--quick` only shows
 * that everything works; `--large` also takes ten million waiting jobs. `--folder` is where data lies: a disk, not memory.
 * Linux only.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { wholeNumber } from '../served-project.ts'
import { describeMachine } from './machine.ts'
import { installPeers, whyMissing } from './peers.ts'
import { svg } from './plot.ts'
import type { Extent, Question } from './question.ts'
import { questions } from './questions.ts'
import { markdown, oneLine, type Results } from './report.ts'
import type { Answer } from './results.ts'
import { makeWorkplace, type Workplace } from './run-in-child.ts'
import type { System } from './system.ts'
import { systems } from './systems.ts'
import { verdicts } from './targets.ts'

const { values } = parseArgs({
  options: {
    peers: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '5' },
    only: { type: 'string' },
    systems: { type: 'string', multiple: true },
    quick: { type: 'boolean', default: false },
    large: { type: 'boolean', default: false },
    folder: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
    plot: { type: 'string' },
    from: { type: 'string' }
  }
})
const rounds = wholeNumber('--rounds', values.rounds)
const extent: Extent = values.quick ? 'quick' : values.large ? 'large' : 'usual'
const asked = chosen('--only', values.only?.split(','), questions)
const compared = chosen('--systems', values.systems?.flatMap(splitNames), systems)

if (values.from === undefined) {
  if (values.peers) installPeers()
  tell(await measure())
} else {
  tell(JSON.parse(readFileSync(values.from, 'utf8')) as Results)
}

function tell(results: Results): void {
  const targets = verdicts(results.answers)
  console.log(markdown(results, [...questions.values()], targets))
  if (values.plot !== undefined) write(values.plot, svg(results))
}

async function measure(): Promise<Results> {
  const workplace = makeWorkplace(values.folder)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void workplace.clear().finally(() => process.exit(1)))
  }
  try {
    const present = compared.filter((system) => whyMissing(system) === undefined)
    const machine = describeMachine(workplace.folder, present)
    const results: Results = { at: new Date().toISOString(), rounds, extent, machine, answers: [] }
    const file = values.json ?? join('bench', 'results', `${results.at.replaceAll(':', '-')}.json`)
    for (const question of asked) {
      results.answers.push(...(await answersTo(question, workplace)))
      // After each question: a run takes hours, and may be ended before.
      write(file, JSON.stringify(results, null, 2))
    }
    return results
  } finally {
    await workplace.clear()
  }
}

async function answersTo(question: Question, workplace: Workplace): Promise<Answer[]> {
  const answers = question.systems
    .map((name) => systems.get(name)!)
    .filter((system) => compared.includes(system))
    .map((system) => ({ system, answer: emptyAnswer(question, system) }))
  const last = Math.min(rounds, question.roundsMax ?? rounds)
  for (let round = 1; round <= last; round++) {
    for (const { system, answer } of round % 2 === 1 ? answers : answers.toReversed()) {
      if (answer.without !== undefined) continue
      const title = `${question.name}, ${system.name}, round ${round} of ${last}`
      try {
        answer.rounds.push(await workplace.run(question, system, extent))
        console.error(`${title}: ${oneLine(answer)}`)
      } catch (error) {
        // Rounds are compared one by one, so a system has all of them or those before.
        answer.without = `round ${round}: ${(error as Error).message}`
        console.error(`${title}: ${answer.without}`)
      }
    }
  }
  return answers.map(({ answer }) => answer)
}

function emptyAnswer(question: Question, system: System): Answer {
  const without = system.cannot?.[question.name] ?? whyMissing(system)
  return { question: question.name, system: system.name, rounds: [], ...(without === undefined ? {} : { without }) }
}

/** Names of systems hold commas themselves. */
function splitNames(list: string): string[] {
  const known = [...systems.keys()].toSorted((a, b) => b.length - a.length)
  const names: string[] = []
  let rest = list.trim()
  while (rest !== '') {
    const name = known.find((name) => rest === name || rest.startsWith(`${name},`)) ?? rest
    names.push(name)
    rest = rest.slice(name.length).replace(/^,\s*/, '')
  }
  return names
}

function chosen<T>(option: string, names: readonly string[] | undefined, all: ReadonlyMap<string, T>): T[] {
  const unknown = names?.find((name) => !all.has(name))
  if (unknown !== undefined) {
    throw new Error(`${option}: there is no ${JSON.stringify(unknown)}. There are: ${[...all.keys()].join(' · ')}.`)
  }
  return [...all].flatMap(([name, value]) => (names === undefined || names.includes(name) ? [value] : []))
}

function write(file: string, content: string): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
  console.error(`Written: ${file}`)
}
