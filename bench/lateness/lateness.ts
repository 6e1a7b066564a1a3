/**
 * How late are scheduler events? An expression for every 15 s and `all` with a tick of one second fire for two minutes in a
 * `runtime serve` of its own; measured is the time from each instant to the enqueueing of its job, and to the first line of the
 * method, as the method's own clock shows it.
 *
 *   node dist/bench/lateness/lateness.js [--seconds 120] [--json]
 *
 * Aim: enqueued within 20 ms at the 99th percentile. Exit code 1 beyond, or when an instant is missing.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { connect } from '../../runtime/client/connect.ts'
import type { JobView } from '../../runtime/core/job.ts'

const p99MsMax = 20
/** The first jobs start the host process and its threads; that is the affair of another question. */
const warmUpMs = 5_000

const main = fileURLToPath(new URL('../../runtime/cli/main.js', import.meta.url))
const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '120' }, json: { type: 'boolean', default: false } }
})
const seconds = Number(values.seconds)
if (!Number.isInteger(seconds) || seconds < 1) throw new Error(`--seconds: expected a whole number above 0.`)

interface Lateness {
  runs: number
  p50Ms: number
  p99Ms: number
  maxMs: number
}

const folder = mkdtempSync(join(tmpdir(), 'lateness-'))
const linesFile = join(folder, 'lines.txt')
mkdirSync(join(folder, 'actors'))
mkdirSync(join(folder, 'config'))
writeFileSync(
  join(folder, 'actors', 'bench.js'),
  `import { appendFileSync } from 'node:fs'
export function run(_, { id }) {
  const nowMs = Date.now()
  appendFileSync(${JSON.stringify(linesFile)}, nowMs + ' ' + id + '\\n')
}
`
)
writeFileSync(
  join(folder, 'config', 'runtime.yaml'),
  'schedulerTickInterval: 1\nschedulerEvents: { all: [bench.run], cron: { "* * * * * */15": [bench.run] } }\n'
)
const supervisor = spawn(process.execPath, [main, 'serve', '--json', '--log-level', 'error'], {
  cwd: folder,
  stdio: ['ignore', 'pipe', 'inherit']
})
try {
  const [line] = await once(createInterface(supervisor.stdout), 'line')
  const { socket } = JSON.parse(line) as { socket: string }
  const fromMs = Date.now() + warmUpMs
  await sleep(warmUpMs + seconds * 1000)
  const toMs = Date.now() - 1_000
  report(await jobsOf(socket), fromMs, toMs)
} finally {
  supervisor.kill('SIGTERM')
  if (supervisor.exitCode === null) await once(supervisor, 'exit')
  rmSync(folder, { recursive: true })
}

async function jobsOf(socket: string): Promise<JobView[]> {
  const runtime = await connect(socket)
  const jobs: JobView[] = []
  for (let cursor: string | null = null; ; ) {
    const page = await runtime.job.list({ limit: 1_000, ...(cursor === null ? {} : { cursor }) })
    jobs.push(...page.jobs)
    cursor = page.cursor
    if (cursor === null) break
  }
  await runtime.stop()
  return jobs
}

function report(jobs: readonly JobView[], fromMs: number, toMs: number): void {
  const isMeasured = (id: string) => instantOf(id) >= fromMs && instantOf(id) < toMs
  const measured = jobs.filter(({ id }) => isMeasured(id))
  const enqueued = latenessOf(measured.map(({ id, enqueuedAt }) => Date.parse(enqueuedAt) - instantOf(id)))
  const lines = readFileSync(linesFile, 'utf8').trim().split('\n')
  const firstLine = latenessOf(
    lines.flatMap((line) => {
      const id = line.slice(line.indexOf(' ') + 1)
      return isMeasured(id) ? [Number.parseInt(line, 10) - instantOf(id)] : []
    })
  )
  const wanted = instantsIn(fromMs, toMs, 1_000) + instantsIn(fromMs, toMs, 15_000)
  const met = enqueued.p99Ms < p99MsMax && enqueued.runs === wanted && firstLine.runs === wanted
  process.exitCode = met ? 0 : 1
  if (values.json) {
    console.log(JSON.stringify({ seconds, instants: wanted, enqueued, firstLine, p99MsMax, met }))
    return
  }
  console.log(`${wanted} instants in ${seconds} s; aim: each runs, and is enqueued within ${p99MsMax} ms at p99`)
  console.table({ enqueued, 'first line': firstLine })
}

function instantOf(id: string): number {
  return Date.parse(id.slice(id.lastIndexOf('@') + 1))
}

function instantsIn(fromMs: number, toMs: number, everyMs: number): number {
  return Math.ceil(toMs / everyMs) - Math.ceil(fromMs / everyMs)
}

function latenessOf(lateMs: readonly number[]): Lateness {
  const sorted = lateMs.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN
  return { runs: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) }
}
