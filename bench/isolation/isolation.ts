/**
 * What does it cost that jobs run in a host process instead of in threads of the supervisor's own?
 *
 * Starts two embedded runtimes that differ in nothing but `isolation`, and gives them the same work in turns: no-op jobs in
 * one `enqueueMany`, timed from its answer to the last completion; and single jobs one after the other, timed from enqueue
 * to result. Two threads each. A tenth of a round before warms up and does
 * not count.
 *
 *   node dist/bench/isolation/isolation.js [--jobs 20000] [--single 200] [--rounds 5] [--json]
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Runtime } from '../../runtime/core/api.ts'
import { createRuntime } from '../../runtime/embed/create-runtime.ts'

type Isolation = 'process' | 'inline'

const threads = 2
const isolations: readonly Isolation[] = ['process', 'inline']
const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '20000' },
    single: { type: 'string', default: '200' },
    rounds: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false }
  }
})
const jobs = positive('--jobs', values.jobs)
const single = positive('--single', values.single)
const rounds = positive('--rounds', values.rounds)

interface Round {
  jobsPerSecond: number
  /** Of all single jobs of the round, sorted. */
  latenciesMs: number[]
}

/** Before the work: afterwards it is our own. */
const loadBefore = loadavg()[0]!
const folder = mkdtempSync(join(tmpdir(), 'isolation-'))
mkdirSync(join(folder, 'actors'))
writeFileSync(join(folder, 'actors', 'bench.js'), 'export function run() {}\n')
const runtimes = new Map<Isolation, Runtime>()
try {
  for (const isolation of isolations) {
    const workers = { default: { isolation, backgroundWorkers: threads } }
    const options = { dataDir: join(folder, isolation), actors: join(folder, 'actors'), workers }
    runtimes.set(isolation, await createRuntime(options))
  }
  const measured: Record<Isolation, Round[]> = { process: [], inline: [] }
  for (let round = 0; round <= rounds; round++) {
    for (const isolation of round % 2 === 0 ? isolations : isolations.toReversed()) {
      const result = await measure(runtimes.get(isolation)!, round === 0 ? Math.ceil(jobs / 10) : jobs)
      if (round > 0) measured[isolation].push(result)
    }
  }
  report(measured)
} finally {
  await Promise.all([...runtimes.values()].map((runtime) => runtime.stop({ deadline: 0 })))
  rmSync(folder, { recursive: true })
}

async function measure(runtime: Runtime, jobs: number): Promise<Round> {
  const jobsPerSecond = await throughput(runtime, jobs)
  const latenciesMs: number[] = []
  for (let job = 0; job < single; job++) {
    const startMs = performance.now()
    await runtime.enqueue('bench.run', {}, { isAsync: false })
    latenciesMs.push(performance.now() - startMs)
  }
  await runtime.queue.purge('default', { state: 'completed' })
  return { jobsPerSecond, latenciesMs: latenciesMs.sort((a, b) => a - b) }
}

/** The queue is paused meanwhile, so that enqueueing is not in the figure. */
async function throughput(runtime: Runtime, jobs: number): Promise<number> {
  await runtime.queue.pause('default')
  await runtime.enqueueMany(Array.from({ length: jobs }, () => ({ method: 'bench.run' })))
  let left = jobs
  let finished = () => {}
  const done = new Promise<void>((resolve) => {
    finished = resolve
  })
  const { unsubscribe } = await runtime.subscribe({ types: ['completed'] }, () => {
    left -= 1
    if (left === 0) finished()
  })
  const startMs = performance.now()
  await runtime.queue.resume('default')
  await done
  const elapsedMs = performance.now() - startMs
  await unsubscribe()
  return jobs / (elapsedMs / 1000)
}

function report(measured: Record<Isolation, Round[]>): void {
  const rows = Object.fromEntries(
    isolations.map((isolation) => {
      const all = measured[isolation]
      const jobsPerSecond = Math.round(median(all.map((round) => round.jobsPerSecond)))
      const p50Ms = hundredths(median(all.map(({ latenciesMs }) => percentile(latenciesMs, 0.5))))
      const p99Ms = hundredths(median(all.map(({ latenciesMs }) => percentile(latenciesMs, 0.99))))
      return [isolation, { jobsPerSecond, p50Ms, p99Ms }]
    })
  ) as Record<Isolation, { jobsPerSecond: number; p50Ms: number; p99Ms: number }>
  const { process: own, inline } = rows
  const overheadMicroseconds = Math.round(1e6 / own.jobsPerSecond - 1e6 / inline.jobsPerSecond)
  const ratio = hundredths(own.jobsPerSecond / inline.jobsPerSecond)
  if (values.json) {
    console.log(
      JSON.stringify({ jobs, single, rounds, threads, loadBefore, ...rows, ratio, overheadMicroseconds, measured })
    )
    return
  }
  console.log(
    `${rounds} rounds of ${jobs} no-op jobs and ${single} single ones, ${threads} threads; medians of the rounds`
  )
  console.table({
    process: titled(own),
    inline: titled(inline),
    'process / inline': titled({
      jobsPerSecond: ratio,
      p50Ms: hundredths(own.p50Ms / inline.p50Ms),
      p99Ms: hundredths(own.p99Ms / inline.p99Ms)
    })
  })
  console.log(
    `A job costs ${overheadMicroseconds} µs more in a host process. Load of the machine before: ${loadBefore}`
  )
}

function titled({ jobsPerSecond, p50Ms, p99Ms }: { jobsPerSecond: number; p50Ms: number; p99Ms: number }): object {
  return { 'jobs/s': jobsPerSecond, 'single, median ms': p50Ms, 'single, p99 ms': p99Ms }
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!
}

function hundredths(number: number): number {
  return Math.round(number * 100) / 100
}

function positive(option: string, text: string): number {
  const number = Number(text)
  if (Number.isInteger(number) && number > 0) return number
  throw new Error(`${option}: expected a whole number above 0, got ${JSON.stringify(text)}.`)
}
