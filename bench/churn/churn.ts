/**
 * Does a store bear ten million jobs going through it? Enqueued in groups of a thousand, claimed, settled and, beyond what
 * retention keeps, forgotten, in this process and without threads, as fast as the disk takes it: jobs with keys, with delays,
 * that fail and are tried again, that are cancelled and removed, with params up to 64 KiB, which LMDB keeps in pages of
 * their own. Meant to find damage of the list of free pages, which queues use as few others do (kriszyp/lmdb-js 321), and growth.
 *
 * Ten times in the run every index of the store is held against all others over a full scan, and every job that was
 * acknowledged must be there, unfinished, or have been settled once. Four times the store is closed, looked through by
 * another process, opened again, and must hold what it held; the last jobs that were completed are read.
 *
 *   node dist/bench/churn/churn.js [--jobs 10000000] [--folder F] [--seed N] [--json] [--record]
 *
 * `--folder`: where the store is made; default: the system's folder for temporary files. Aim: file, used bytes, memory of the
 * process (without the file, which LMDB maps) and time per job without a trend in the second half. Exit code 1 beyond, or
 * where a job was lost or the store disagrees with itself.
 */
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { EnqueueRequest } from '../../runtime/core/job.ts'
import type { Ending } from '../../runtime/queue/attempts.ts'
import type { ClaimedJob } from '../../runtime/queue/claimed-job.ts'
import { verifyInChild } from '../../runtime/store/verify-in-child.ts'
import { assertInvariants } from '../../test/queue/store-invariants.ts'
import { randomFrom } from '../../test/support/random.ts'
import { type OpenStore, openStore } from '../open-store.ts'
import { percentile, rounded } from '../percentile.ts'
import { markdownTable, provenance, recordSection } from '../results.ts'
import { wholeNumber } from '../served-project.ts'
import { sparkline, type Trend, trendOf } from '../trend.ts'

const batch = 1_000
const keys = 500
const samplesOfRun = 40
const scansOfRun = 10
const reopeningsOfRun = 4
/** Completed jobs that are read again after a reopening. */
const lastCompletedMax = 1_000
const text = 'p'.repeat(64 * 1024)
const retention = { completed: { count: 50_000, bytes: 100e6 }, failed: { count: 5_000 }, cancelled: { count: 5_000 } }

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '10000000' },
    folder: { type: 'string', default: tmpdir() },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    json: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false }
  }
})
const jobs = wholeNumber('--jobs', values.jobs, 40_000)
const seed = Number(values.seed)
const random = randomFrom(seed)

/** What becomes of a job that was acknowledged and has not ended. */
type Fate = 'completes' | 'fails' | 'failsOnce' | 'isCancelled' | 'isRemoved'

interface Sample {
  jobs: number
  fileMb: number
  usedMb: number
  /** Without the file. */
  memoryMb: number
  jobsPerSecond: number
}

interface Check {
  jobs: number
  entriesKept: number
  unfinished: number
  scanS: number
  reopenS: number | null
}

const folder = mkdtempSync(join(realpathSync(values.folder), 'churn-'))
const directory = join(folder, 'data')
const fates = new Map<string, Fate>()
const lastCompleted = new Map<string, number>()
const samples: Sample[] = []
const checks: Check[] = []
const ends = { completed: 0, failed: 0, cancelled: 0, removed: 0, retried: 0 }
let number = 0
let enqueued = 0
let opened = await open()
const startMs = performance.now()
let elapsedMs = 0
try {
  await churn()
  elapsedMs = performance.now() - startMs
  await settleTheRest()
  await check({ reopens: true })
  await opened.close()
} catch (error) {
  console.error(`After ${enqueued} jobs; the store is kept in ${folder}. Again with the same choices: --seed ${seed}.`)
  throw error
}
rmSync(folder, { recursive: true })
report()

function open(): Promise<OpenStore> {
  return openStore(directory, { workers: { default: { retention } } })
}

async function churn(): Promise<void> {
  let [sampledAt, sampledAtMs, pausedMs] = [0, performance.now(), 0]
  const passes = (before: number, parts: number) =>
    Math.floor((enqueued * parts) / jobs) > Math.floor((before * parts) / jobs)
  while (enqueued < jobs) {
    const before = enqueued
    await round()
    if (passes(before, samplesOfRun)) {
      const seconds = (performance.now() - sampledAtMs - pausedMs) / 1000
      samples.push(sizesNow(Math.round((enqueued - sampledAt) / seconds)))
      process.stderr.write(`${JSON.stringify(samples.at(-1))}\n`)
      ;[sampledAt, sampledAtMs, pausedMs] = [enqueued, performance.now(), 0]
    }
    const reopens = passes(before, reopeningsOfRun)
    if (enqueued < jobs && (reopens || passes(before, scansOfRun))) {
      const beginMs = performance.now()
      await check({ reopens })
      pausedMs += performance.now() - beginMs
    }
  }
}

/** A thousand jobs come, what can run runs and ends, and some are taken back. */
async function round(): Promise<void> {
  const drawn = Array.from({ length: Math.min(batch, jobs - enqueued) }, () => draw())
  const { queue } = opened
  const adding = queue.enqueue(drawn.map(({ request }) => request)).then((results) => {
    for (const [index, { id }] of results.entries()) fates.set(id, drawn[index]!.fate)
    enqueued += results.length
    return results.map(({ id }) => id)
  })
  const claimed = await queue.claim('default', 2 * batch)
  const ids = await adding
  await Promise.all([...claimed.map(settle), ...ids.map(takeBack)])
}

function draw(): { request: EnqueueRequest; fate: Fate } {
  const drawn = random()
  const params = { number: ++number, text: text.slice(0, textChars()) }
  const request: EnqueueRequest = { method: 'bench.any', params }
  if (drawn < 0.8) return { request, fate: 'completes' }
  if (drawn < 0.88)
    return { request: { ...request, key: `tenant-${number % keys}`, keyConcurrency: 1 }, fate: 'completes' }
  if (drawn < 0.93) return { request: { ...request, delay: 2 * random() }, fate: 'completes' }
  if (drawn < 0.95)
    return { request: { ...request, attempts: 3, backoff: { type: 'fixed', delay: 0.1 } }, fate: 'failsOnce' }
  if (drawn < 0.97) return { request, fate: 'fails' }
  if (drawn < 0.985) return { request: { ...request, delay: '1h' }, fate: 'isCancelled' }
  if (drawn < 0.99) return { request: { ...request, delay: '1h', jobId: `chosen-${number}` }, fate: 'isRemoved' }
  return { request: { ...request, jobId: `chosen-${number}`, priority: number % 5 }, fate: 'completes' }
}

/** Most are small; one in a hundred has pages of its own, 17 at most. */
function textChars(): number {
  const drawn = random()
  if (drawn < 0.9) return Math.floor(200 * random())
  if (drawn < 0.99) return Math.floor(3_000 * random())
  return Math.floor(4_000 * 16 ** random())
}

async function settle(job: ClaimedJob): Promise<void> {
  const fate = fates.get(job.id)
  if (fate === undefined) throw new Error(`${job.id} was claimed and is none that waits: it has run already.`)
  const isFailure = fate === 'fails' || (fate === 'failsOnce' && job.attempt === 1)
  const { number } = JSON.parse(job.params) as { number: number }
  const ending: Ending = isFailure
    ? { type: 'failed', final: false, error: { code: 'THROWN', name: 'Error', message: 'as drawn' } }
    : { type: 'completed', result: `{"number":${number},"text":"${text.slice(0, number % 100)}"}` }
  const isSettled = await opened.queue.settle(job, ending, { progress: null, logs: [] })
  if (!isSettled) throw new Error(`${job.id} was claimed and could not be settled.`)
  if (isFailure && fate === 'failsOnce') {
    ends.retried++
    return
  }
  fates.delete(job.id)
  ends[isFailure ? 'failed' : 'completed']++
  if (isFailure) return
  lastCompleted.set(job.id, number)
  if (lastCompleted.size > lastCompletedMax) lastCompleted.delete(lastCompleted.keys().next().value!)
}

async function takeBack(id: string): Promise<void> {
  const fate = fates.get(id)
  if (fate !== 'isCancelled' && fate !== 'isRemoved') return
  if (fate === 'isCancelled') await opened.queue.cancel(id, () => undefined)
  else await opened.queue.remove(id)
  fates.delete(id)
  ends[fate === 'isCancelled' ? 'cancelled' : 'removed']++
}

/** Those with delays, keys and attempts left. */
async function settleTheRest(): Promise<void> {
  while (fates.size > 0) {
    const claimed = await opened.queue.claim('default', 2 * batch)
    await Promise.all(claimed.map(settle))
    if (claimed.length === 0) await sleep(10)
  }
}

async function check({ reopens }: { reopens: boolean }): Promise<void> {
  let reopenS: number | null = null
  if (reopens) {
    const beginMs = performance.now()
    await opened.close()
    const { structure, damaged } = await verifyInChild(join(directory, 'store'), { timeMs: 0 })
    if (structure !== null || damaged > 0) throw new Error(`The store ${structure ?? `has ${damaged} damaged records`}`)
    opened = await open()
    for (const [id, number] of lastCompleted) {
      const { state, result } = opened.queue.get(id)
      const isSame = state === 'completed' && (result as { number: number }).number === number
      if (!isSame) throw new Error(`${id} was completed; after the reopening it is ${state}: ${JSON.stringify(result)}`)
    }
    reopenS = rounded((performance.now() - beginMs) / 1000)
  }
  const beginMs = performance.now()
  assertInvariants(opened.store.reader, opened.tag, opened.queues)
  const { scheduled, ready, running, ...finished } = opened.queue.queue('default').counts
  if (scheduled + ready + running !== fates.size) {
    throw new Error(
      `${fates.size} jobs were acknowledged and have not ended; the store has ${scheduled + ready + running}.`
    )
  }
  for (const id of fates.keys()) opened.queue.get(id)
  checks.push({
    jobs: enqueued,
    entriesKept: finished.completed + finished.failed + finished.cancelled,
    unfinished: fates.size,
    scanS: rounded((performance.now() - beginMs) / 1000),
    reopenS
  })
  process.stderr.write(`${JSON.stringify(checks.at(-1))}\n`)
}

function sizesNow(jobsPerSecond: number): Sample {
  const { store } = opened
  return {
    jobs: enqueued,
    fileMb: rounded(store.bytes / 1e6),
    usedMb: rounded(store.usedBytes / 1e6),
    memoryMb: anonymousMb(),
    jobsPerSecond
  }
}

/** Memory of this process that is of no file; where the system does not tell, all of it. */
function anonymousMb(): number {
  try {
    const [, kilobytes] = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'latin1'))!
    return Math.round(Number(kilobytes) / 1000)
  } catch {
    return Math.round(process.memoryUsage.rss() / 1e6)
  }
}

function report(): void {
  const half = samples.slice(Math.floor(samples.length / 2))
  const at = (sample: Sample) => sample.jobs
  const trends = [
    trendOf('file, MB', half, at, ({ fileMb }) => fileMb, { ratio: 0.03, floor: 2 }),
    trendOf('used bytes, MB', half, at, ({ usedMb }) => usedMb, { ratio: 0.03, floor: 2 }),
    trendOf('memory without the file, MB', half, at, ({ memoryMb }) => memoryMb, { ratio: 0.1, floor: 40 }),
    trendOf('µs per job', half, at, ({ jobsPerSecond }) => 1e6 / jobsPerSecond, { ratio: 0.25, floor: 5 })
  ]
  const met = trends.every(({ met }) => met !== false)
  process.exitCode = met ? 0 : 1
  const facts = {
    jobs: enqueued,
    minutes: rounded(elapsedMs / 60_000),
    'jobs/s': Math.round(
      percentile(
        samples.map(({ jobsPerSecond }) => jobsPerSecond),
        0.5
      )
    ),
    seed,
    ...ends,
    'full scans, each without a fault': checks.length,
    reopenings: checks.filter(({ reopenS }) => reopenS !== null).length,
    'jobs lost': 0,
    'load of the machine': loadavg()
      .map((each) => each.toFixed(1))
      .join(' ')
  }
  const markdown = asMarkdown(facts, trends)
  if (values.record) recordSection('churn', markdown)
  console.log(values.json ? JSON.stringify({ facts, trends, samples, checks, met }) : `\n${markdown}`)
}

function asMarkdown(facts: Record<string, string | number>, trends: readonly Trend[]): string {
  const every = Math.max(1, Math.floor(samples.length / 10))
  const lines: [string, (sample: Sample) => number][] = [
    ['file, MB', ({ fileMb }) => fileMb],
    ['used bytes, MB', ({ usedMb }) => usedMb],
    ['memory without the file, MB', ({ memoryMb }) => memoryMb],
    ['jobs/s', ({ jobsPerSecond }) => jobsPerSecond]
  ]
  return [
    provenance(`npm run bench:churn -- --jobs ${jobs} --seed ${seed}`),
    markdownTable(Object.entries(facts).map(([what, value]) => ({ what, value }))),
    markdownTable(samples.filter((_, index) => (index + 1) % every === 0).map((sample) => ({ ...sample }))),
    markdownTable(lines.map(([figure, of]) => ({ figure, 'over the run': sparkline(samples.map(of)) }))),
    markdownTable(
      trends.map(({ figure, median, growth, growthMax, met }) => ({
        figure,
        'median, second half': median,
        'growth by its trend': growth,
        allowed: growthMax,
        verdict: met === null ? 'too short to say' : met ? 'level' : 'GROWS'
      }))
    ),
    markdownTable(checks.map(({ reopenS, ...check }) => ({ ...check, reopenS: reopenS ?? '' })))
  ].join('\n\n')
}
