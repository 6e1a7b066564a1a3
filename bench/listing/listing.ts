/**
 * How long does a list take among a million failed jobs, and does a bulk retry hold up others? The store is filled in this
 * process, without threads; then `runtime serve` opens it, and everything measured goes over its socket.
 *
 * First lists: the newest 50 by every kind of filter, where all, half and one in a hundred of the jobs pass. All jobs of the
 * queue `same` are alike, so that a filter by method, key and so on passes all of them; in `mixed` half of them have one value
 * and one in a hundred has another. A page looks at a bounded number of jobs, so where few pass it may be short; `pages` says how
 * many it took to find 50, `allPagesMs` how long together. Then the retry of the 100,000 newest failed jobs of
 * a queue that is paused, in steps of a thousand, while another connection enqueues 200 jobs a second, one by one; a
 * latency counts from the instant at which its job was to be enqueued.
 *
 *   node dist/bench/listing/listing.js [--jobs 1000000] [--repeat 200] [--retry 100000] [--keep FOLDER] [--json]
 *
 * `--keep`: the folder of a store that is filled once and used again. Aim: a page within 50 ms at the 99th percentile,
 * an enqueue within 10 ms before and during the retry. Exit code 1 beyond.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { connect } from '../../runtime/client/connect.ts'
import type { Runtime } from '../../runtime/core/api.ts'
import type { EnqueueRequest, JobError, JobFilter } from '../../runtime/core/job.ts'
import { openStore } from '../open-store.ts'
import { percentile, rounded } from '../percentile.ts'
import { serveProject, wholeNumber } from '../served-project.ts'

const pageMsMax = 50
const enqueueMsMax = 10
const pageJobs = 50
const fillBatch = 1_000
const enqueuesPerSecond = 200
const quietMs = 5_000

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '1000000' },
    repeat: { type: 'string', default: '200' },
    retry: { type: 'string', default: '100000' },
    keep: { type: 'string' },
    json: { type: 'boolean', default: false }
  }
})
const jobs = wholeNumber('--jobs', values.jobs, 1_000)
const repeat = wholeNumber('--repeat', values.repeat)
const retried = wholeNumber('--retry', values.retry)

/** The values of a job: those of `same`, half of `mixed`, one in a hundred of it, or its others. */
type Share = 'same' | 'half' | 'rare' | 'none'

const errorOf: Record<Share, JobError> = {
  same: { code: 'THROWN', name: 'Error', message: 'as asked', stack: 'Error: as asked\n    at bench.js:1:1' },
  half: { code: 'TIMEOUT', name: 'TimeoutError', message: 'The job ran longer than its timeout.' },
  rare: { code: 'OUT_OF_MEMORY', name: 'OutOfMemory', message: 'The job used more memory than it may.' },
  none: { code: 'THROWN', name: 'Error', message: 'as asked', stack: 'Error: as asked\n    at bench.js:1:1' }
}

const queues = { same: { retention: { failed: {} } }, mixed: { retention: { failed: {} } }, other: {} }
const config = `workers: ${JSON.stringify(queues)}\n`

const folder = values.keep ?? mkdtempSync(join(tmpdir(), 'listing-'))
const dataDir = join(folder, '.runtime')
if (!existsSync(dataDir)) await fill(dataDir)
const { runtime, stop } = await serveProject(
  {
    'actors/bench.js': `export function same() {}\nexport function half() {}\nexport function rare() {}\nexport function none() {}\n`,
    'config/runtime.yaml': config
  },
  folder
)
try {
  for (const queue of Object.keys(queues)) await runtime.queue.pause(queue)
  const lists = []
  for (const [name, filter] of Object.entries(await filters())) lists.push({ name, ...(await measureList(filter)) })
  const retry = await measureRetry()
  report(lists, retry)
} finally {
  await stop({ keepFolder: true })
  if (values.keep === undefined) rmSync(folder, { recursive: true })
}

function shareOf(index: number): Share {
  if (index % 5 === 0) return 'same'
  if (index % 125 === 1) return 'rare'
  return index % 2 === 0 ? 'half' : 'none'
}

function requestOf(index: number): EnqueueRequest {
  const share = shareOf(index)
  const params = { number: index, note: `some text with the word ${share} in it` }
  return {
    method: `bench.${share}`,
    params,
    queue: share === 'same' ? 'same' : 'mixed',
    jobName: `name ${share}`,
    key: `key ${share}`
  }
}

/** Every job is enqueued, claimed and settled as failed, as threads would do it. */
async function fill(directory: string): Promise<void> {
  const { queue, close } = await openStore(directory, { workers: queues })
  const startMs = performance.now()
  for (let from = 0; from < jobs; from += fillBatch) {
    const count = Math.min(fillBatch, jobs - from)
    await queue.enqueue(Array.from({ length: count }, (_, index) => requestOf(from + index)))
    for (const name of Object.keys(queues)) {
      const claimed = await queue.claim(name, count)
      const failures = claimed.map((job) => {
        const error = errorOf[job.method.slice('bench.'.length) as Share]
        return queue.settle(job, { type: 'failed', error, final: true }, { progress: null, logs: [] })
      })
      await Promise.all(failures)
    }
    if ((from / fillBatch) % 100 === 99) tell(`filled ${from + count} jobs in ${seconds(startMs)} s`)
  }
  await close()
}

/** By name; each with the share of the jobs that pass, of those that its queue or state already leaves. */
async function filters(): Promise<Record<string, JobFilter>> {
  const named: Record<string, JobFilter> = { 'state: all': { state: 'failed' } }
  for (const [share, queue] of [
    ['all', 'same'],
    ['half', 'mixed'],
    ['1 in 100', 'mixed']
  ] as const) {
    const value = share === 'all' ? 'same' : share === 'half' ? 'half' : 'rare'
    const base = { queue, state: 'failed' } as const
    named[`method: ${share}`] = { ...base, method: `bench.${value}` }
    named[`errorCode: ${share}`] = { ...base, errorCode: errorOf[value].code }
    named[`jobName: ${share}`] = { ...base, jobName: `name ${value}` }
    named[`key: ${share}`] = { ...base, key: `key ${value}` }
    named[`text: ${share}`] = { ...base, text: `the word ${value} in` }
    named[`method, any queue: ${share}`] = { state: 'failed', method: `bench.${value}` }
    named[`method and errorCode: ${share}`] = { ...base, method: `bench.${value}`, errorCode: errorOf[value].code }
  }
  const [first, last] = [await finishedAt(0), await finishedAt(1)]
  for (const [share, part] of [
    ['all', 1],
    ['half', 0.5],
    ['1 in 100', 0.01]
  ] as const) {
    const since = new Date(last - (last - first) * part)
    const until = new Date(first + (last - first) * part)
    named[`newest time range: ${share}`] = { state: 'failed', since }
    named[`oldest time range: ${share}`] = { queue: 'mixed', state: 'failed', until }
  }
  named['method: none passes'] = { state: 'failed', method: 'bench.nothing' }
  named['text: none passes'] = { state: 'failed', text: 'nothing like this' }
  named['no state, queue: all'] = { queue: 'same' }
  return named
}

/** When the newest, or the oldest, failed job finished: the store may have been filled long ago. */
async function finishedAt(end: 0 | 1): Promise<number> {
  const newest = (await runtime.job.list({ state: 'failed', limit: 1 })).jobs[0]!
  if (end === 1) return Date.parse(newest.finishedAt!)
  // Ids carry their number; the first job was the first to finish.
  return Date.parse((await runtime.job.get(newest.id.replace(/-.*/, '-1'))).finishedAt!)
}

async function measureList(filter: JobFilter) {
  const msOfPages: number[] = []
  let found = 0
  let hasMore = false
  for (let each = 0; each < repeat; each++) {
    const startMs = performance.now()
    const page = await runtime.job.list({ ...filter, limit: pageJobs })
    msOfPages.push(performance.now() - startMs)
    found = page.jobs.length
    hasMore = page.cursor !== null
  }
  const all = hasMore && found < pageJobs ? await findAll(filter) : { pages: 1, ms: percentile(msOfPages, 0.5) }
  return {
    jobs: found,
    p50Ms: rounded(percentile(msOfPages, 0.5)),
    p99Ms: rounded(percentile(msOfPages, 0.99)),
    maxMs: rounded(percentile(msOfPages, 1)),
    pages: all.pages,
    allPagesMs: rounded(all.ms)
  }
}

/** Follows the cursors until 50 jobs are found, or none is left. */
async function findAll(filter: JobFilter): Promise<{ pages: number; ms: number }> {
  const startMs = performance.now()
  let found = 0
  let pages = 0
  let cursor: string | null = null
  do {
    const page = await runtime.job.list({ ...filter, limit: pageJobs - found, ...(cursor !== null && { cursor }) })
    found += page.jobs.length
    cursor = page.cursor
    pages++
  } while (cursor !== null && found < pageJobs)
  return { pages, ms: performance.now() - startMs }
}

interface Latency {
  enqueues: number
  p50Ms: number
  p99Ms: number
  maxMs: number
}

async function measureRetry() {
  const other = await connect((await runtime.status()).socket!)
  const load = enqueueSteadily(other)
  await sleep(quietMs)
  const before = load.take()
  const startMs = performance.now()
  let changed = 0
  let steps = 0
  let cursor: string | null = null
  const stepMs: number[] = []
  do {
    const stepStartMs = performance.now()
    const step = (await runtime.call('job.retryMany', {
      state: 'failed',
      limit: Math.min(1_000, retried - changed),
      ...(cursor !== null && { cursor })
    })) as { changed: number; cursor: string | null }
    stepMs.push(performance.now() - stepStartMs)
    changed += step.changed
    cursor = step.cursor
    if (++steps % 20 === 0) tell(`retried ${changed} of ${retried} in ${seconds(startMs)} s`)
  } while (cursor !== null && changed < retried)
  const ms = performance.now() - startMs
  const during = load.take()
  await sleep(quietMs)
  const after = load.take()
  await load.stop()
  await other.stop()
  return { changed, ms: Math.round(ms), steps, stepP99Ms: rounded(percentile(stepMs, 0.99)), before, during, after }
}

/** One job after the other is sent at its time, whatever became of those before. */
function enqueueSteadily(runtime: Runtime) {
  let latenciesMs: number[] = []
  let next = performance.now()
  const pending = new Set<Promise<void>>()
  const send = () => {
    for (; next <= performance.now(); next += 1000 / enqueuesPerSecond) {
      const dueMs = next
      const done = runtime
        .enqueue('bench.none', { at: dueMs }, { queue: 'other' })
        .then(() => {
          latenciesMs.push(performance.now() - dueMs)
        })
        .finally(() => pending.delete(done))
      pending.add(done)
    }
  }
  const timer = setInterval(send, 1)
  return {
    take(): Latency {
      const taken = latenciesMs
      latenciesMs = []
      return {
        enqueues: taken.length,
        p50Ms: rounded(percentile(taken, 0.5)),
        p99Ms: rounded(percentile(taken, 0.99)),
        maxMs: rounded(percentile(taken, 1))
      }
    },
    async stop() {
      clearInterval(timer)
      await Promise.all(pending)
    }
  }
}

function report(
  lists: (Awaited<ReturnType<typeof measureList>> & { name: string })[],
  retry: Awaited<ReturnType<typeof measureRetry>>
) {
  const slow = lists.filter(({ p99Ms }) => p99Ms >= pageMsMax).map(({ name }) => name)
  const met = slow.length === 0 && retry.before.p99Ms < enqueueMsMax && retry.during.p99Ms < enqueueMsMax
  process.exitCode = met ? 0 : 1
  if (values.json) {
    console.log(JSON.stringify({ jobs, load: loadavg(), lists, retry, pageMsMax, enqueueMsMax, slow, met }))
    return
  }
  console.log(
    `${jobs} failed jobs; the newest ${pageJobs} by filter, ${repeat} times each; aim: ${pageMsMax} ms at p99`
  )
  console.table(Object.fromEntries(lists.map(({ name, ...row }) => [name, row])))
  const { before, during, after, changed, ms, steps, stepP99Ms } = retry
  console.log(`${changed} jobs retried in ${ms} ms, ${steps} steps, p99 of a step ${stepP99Ms} ms`)
  console.log(`enqueues, ${enqueuesPerSecond} a second; aim: ${enqueueMsMax} ms at p99`)
  console.table({ before, during, after })
  console.log(
    `load of the machine: ${loadavg()
      .map((each) => each.toFixed(2))
      .join(', ')}`
  )
}

function tell(text: string): void {
  process.stderr.write(`${text}\n`)
}

function seconds(sinceMs: number): string {
  return ((performance.now() - sinceMs) / 1000).toFixed(1)
}
