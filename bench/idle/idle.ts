/**
 * What does a supervisor cost that has nothing to do? Jobs wait on disk for a time an hour away, scheduler events for the
 * first of January, nobody is connected: then
 * no timer but the one that looks at the wall clock each minute should fire, and nothing should wake up.
 *
 * Starts `runtime serve` as a process of its own, schedules the jobs, waits until it is quiet, and reads CPU time and
 * context switches of all of its threads and child processes from /proc before and after. Linux only.
 *
 *   node dist/bench/idle/idle.js [--seconds 60] [--jobs 100000] [--events 100] [--json]
 *
 * Aim, for 60 s with 100,000 jobs: less than 0.05 s of CPU time and 60 voluntary context switches. Exit code 1 beyond.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { connect } from '../../runtime/client/connect.ts'
import { processTree, type Usage, usageOf } from '../process-usage.ts'

const cpuSecondsPerMinuteMax = 0.05
const voluntarySwitchesPerMinuteMax = 60
const jobsPerRequest = 10_000
/** V8 looks every 8 s whether it can give memory back, and does so half a minute after the last burst of work. */
const quietWindowMs = 10_000
const quietWaitMsMax = 180_000

const main = fileURLToPath(new URL('../../runtime/cli/main.js', import.meta.url))
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    jobs: { type: 'string', default: '100000' },
    events: { type: 'string', default: '100' },
    json: { type: 'boolean', default: false }
  }
})
const seconds = positive('--seconds', values.seconds)
const jobs = positive('--jobs', values.jobs)
const events = positive('--events', values.events)

const folder = mkdtempSync(join(tmpdir(), 'idle-'))
mkdirSync(join(folder, 'actors'))
writeFileSync(join(folder, 'actors', 'bench.js'), 'export function run() {}\n')
mkdirSync(join(folder, 'config'))
writeFileSync(
  join(folder, 'config', 'runtime.json'),
  JSON.stringify({ schedulerEvents: { yearly: Array.from({ length: events }, () => 'bench.run') } })
)
const supervisor = spawn(process.execPath, [main, 'serve', '--json', '--log-level', 'error'], {
  cwd: folder,
  stdio: ['ignore', 'pipe', 'inherit']
})
try {
  const [line] = await once(createInterface(supervisor.stdout), 'line')
  const { pid, socket } = JSON.parse(line) as { pid: number; socket: string }
  await schedule(socket)
  const quietAfterMs = await untilQuiet(pid)
  const before = usageOf(pid)
  await sleep(seconds * 1000)
  report(difference(before, usageOf(pid)), processTree(pid).length, quietAfterMs)
} finally {
  supervisor.kill('SIGTERM')
  if (supervisor.exitCode === null) await once(supervisor, 'exit')
  rmSync(folder, { recursive: true })
}

async function schedule(socket: string): Promise<void> {
  const runtime = await connect(socket)
  for (let left = jobs; left > 0; left -= jobsPerRequest) {
    const length = Math.min(left, jobsPerRequest)
    await runtime.enqueueMany(Array.from({ length }, () => ({ method: 'bench.run', delay: '1h' })))
  }
  await runtime.stop()
}

/** @returns milliseconds until a window began in which no thread woke up */
async function untilQuiet(pid: number): Promise<number> {
  const startMs = performance.now()
  for (;;) {
    const before = usageOf(pid)
    await sleep(quietWindowMs)
    const waitedMs = performance.now() - startMs
    if (difference(before, usageOf(pid)).voluntarySwitches === 0) return waitedMs - quietWindowMs
    if (waitedMs > quietWaitMsMax) throw new Error(`The supervisor was not quiet within ${quietWaitMsMax / 1000} s.`)
  }
}

function difference(before: Usage, after: Usage): Usage {
  return {
    cpuSeconds: Math.round((after.cpuSeconds - before.cpuSeconds) * 1000) / 1000,
    voluntarySwitches: after.voluntarySwitches - before.voluntarySwitches,
    involuntarySwitches: after.involuntarySwitches - before.involuntarySwitches
  }
}

function report(usage: Usage, processes: number, quietAfterMs: number): void {
  const minutes = seconds / 60
  const cpuSecondsMax = cpuSecondsPerMinuteMax * minutes
  const voluntarySwitchesMax = voluntarySwitchesPerMinuteMax * minutes
  const met = usage.cpuSeconds < cpuSecondsMax && usage.voluntarySwitches < voluntarySwitchesMax
  process.exitCode = met ? 0 : 1
  if (values.json) {
    const measured = { jobs, events, seconds, processes, quietAfterMs: Math.round(quietAfterMs), ...usage }
    console.log(JSON.stringify({ ...measured, cpuSecondsMax, voluntarySwitchesMax, met }))
    return
  }
  console.log(
    `${jobs} scheduled jobs, ${events} scheduler events, ${seconds} s, ${processes} process(es); quiet ${Math.round(quietAfterMs)} ms after`
  )
  console.table({
    'CPU time, s': { measured: usage.cpuSeconds, aim: `< ${cpuSecondsMax}` },
    'voluntary context switches': { measured: usage.voluntarySwitches, aim: `< ${voluntarySwitchesMax}` },
    'other context switches': { measured: usage.involuntarySwitches, aim: '' }
  })
}

function positive(option: string, text: string): number {
  const number = Number(text)
  if (Number.isInteger(number) && number > 0) return number
  throw new Error(`${option}: expected a whole number above 0, got ${JSON.stringify(text)}.`)
}
