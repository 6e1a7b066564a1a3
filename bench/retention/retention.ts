/**
 * Does a store with a quota for finished jobs level off? Small jobs are enqueued, claimed and settled in this process, without
 * threads, a thousand at a time; completed ones are kept up to 64 MB, and the rest is forgotten in between, as the supervisor
 * does it. Every 250,000 jobs: bytes of the file and bytes in use. All the while a job is enqueued by itself every few
 * milliseconds; its latency is that of an enqueue beside the stream, a commit of which holds a thousand operations.
 *
 * Then a shorter run through the real threads of `runtime serve`, with a quota that it exceeds many times over.
 *
 *   node dist/bench/retention/retention.js [--jobs 5000000] [--megabytes 64] [--served 100000] [--json]
 *
 * `--served 0` leaves out the second run. Aim: the file has its size by the middle of the run, give or take 5 %; an enqueue
 * at the 99th percentile in the last million as in the first, give or take a half. Exit code 1 beyond.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type OpenStore, openStore } from '../open-store.ts'
import { percentile, rounded } from '../percentile.ts'
import { serveProject, wholeNumber } from '../served-project.ts'

const batch = 1_000
const singleEveryMs = 5
const growthRatioMax = 1.05
const p99RatioMax = 1.5
const servedMegabytes = 1

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '5000000' },
    megabytes: { type: 'string', default: '64' },
    served: { type: 'string', default: '100000' },
    json: { type: 'boolean', default: false }
  }
})
const jobs = wholeNumber('--jobs', values.jobs, 20_000)
const megabytes = wholeNumber('--megabytes', values.megabytes)
const servedJobs = wholeNumber('--served', values.served, 0)
/** A twentieth of the run, and a fifth: of five million jobs 250,000 and a million. */
const jobsPerSample = Math.ceil(jobs / 20)
const jobsPerPart = Math.ceil(jobs / 5)

interface Sample {
  jobs: number
  fileMb: number
  usedMb: number
  kept: number
  jobsPerSecond: number
}

interface Latency {
  jobs: string
  enqueues: number
  p50Ms: number
  p99Ms: number
  maxMs: number
}

const { samples, latencies } = await inProcess()
const served = servedJobs === 0 ? [] : await throughThreads()
report()

async function inProcess(): Promise<{ samples: Sample[]; latencies: Latency[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'retention-'))
  const opened = await openStore(join(folder, 'data'), {
    workers: { default: { retention: { completed: { bytes: megabytes * 1e6 } } } }
  })
  const samples: Sample[] = []
  const latencies: Latency[] = []
  const singles = enqueueSingly(opened)
  let done = 0
  let sampleStartMs = performance.now()
  while (done < jobs) {
    const enqueued = opened.queue.enqueue(Array.from({ length: batch }, (_, index) => requestOf(done + index)))
    const claimed = await opened.queue.claim('default', 2 * batch)
    await Promise.all([enqueued, ...claimed.map((job) => settle(opened, job))])
    const before = done
    done += claimed.length
    if (Math.floor(done / jobsPerSample) > Math.floor(before / jobsPerSample)) {
      const jobsPerSecond = Math.round(jobsPerSample / ((performance.now() - sampleStartMs) / 1000))
      sampleStartMs = performance.now()
      samples.push({ ...sizeOf(opened, done), jobsPerSecond })
      process.stderr.write(`${JSON.stringify(samples.at(-1))}\n`)
    }
    if (Math.floor(done / jobsPerPart) > Math.floor(before / jobsPerPart)) {
      latencies.push({ jobs: `to ${done}`, ...singles.take() })
      process.stderr.write(`${JSON.stringify(latencies.at(-1))}\n`)
    }
  }
  await singles.stop()
  await opened.close()
  rmSync(folder, { recursive: true })
  return { samples, latencies }
}

function requestOf(number: number) {
  return { method: 'bench.small', params: { number, text: 'a small job' } }
}

function settle({ queue }: OpenStore, job: Parameters<OpenStore['queue']['settle']>[0]): Promise<boolean> {
  return queue.settle(job, { type: 'completed', result: '{"ok":true}' }, { progress: null, logs: [] })
}

function sizeOf({ store, queue }: OpenStore, done: number): Omit<Sample, 'jobsPerSecond'> {
  return {
    jobs: done,
    fileMb: rounded(store.bytes / 1e6),
    usedMb: rounded(store.usedBytes / 1e6),
    kept: queue.queue('default').counts.completed
  }
}

/** The jobs of the stream leave the event loop free between their commits: that is when one gets in. */
function enqueueSingly({ queue }: OpenStore) {
  let latenciesMs: number[] = []
  let number = 0
  let state: 'open' | 'stopped' = 'open'
  const ended = (async () => {
    while (state === 'open') {
      const startMs = performance.now()
      await queue.enqueue([requestOf(--number)])
      latenciesMs.push(performance.now() - startMs)
      await sleep(singleEveryMs)
    }
  })()
  return {
    take(): Omit<Latency, 'jobs'> {
      const taken = latenciesMs
      latenciesMs = []
      return {
        enqueues: taken.length,
        p50Ms: rounded(percentile(taken, 0.5)),
        p99Ms: rounded(percentile(taken, 0.99)),
        maxMs: rounded(percentile(taken, 1))
      }
    },
    stop(): Promise<void> {
      state = 'stopped'
      return ended
    }
  }
}

async function throughThreads(): Promise<Sample[]> {
  const { runtime, stop } = await serveProject({
    'actors/bench.js': 'export function small() {\n  return { ok: true }\n}\n',
    'config/runtime.yaml': `workers: { default: { retention: { completed: { bytes: ${servedMegabytes * 1e6} } } } }\n`
  })
  const samples: Sample[] = []
  const perSample = Math.ceil(servedJobs / 10)
  for (let done = 0; done < servedJobs; done += perSample) {
    const startMs = performance.now()
    for (let from = done; from < done + perSample; from += batch) {
      const count = Math.min(batch, done + perSample - from)
      await runtime.enqueueMany(Array.from({ length: count }, (_, index) => requestOf(from + index)))
    }
    await runtime.queue.drain('default')
    const { store, queues } = await runtime.status()
    samples.push({
      jobs: done + perSample,
      fileMb: rounded(store.bytes / 1e6),
      usedMb: rounded(store.usedBytes / 1e6),
      kept: queues.find(({ queue }) => queue === 'default')!.counts.completed,
      jobsPerSecond: Math.round(perSample / ((performance.now() - startMs) / 1000))
    })
    process.stderr.write(`${JSON.stringify(samples.at(-1))}\n`)
  }
  await stop()
  return samples
}

function report(): void {
  const middle = samples[Math.floor(samples.length / 2)]!.fileMb
  const last = samples.at(-1)!.fileMb
  const growthRatio = last / middle
  const p99Ratio = latencies.at(-1)!.p99Ms / latencies[0]!.p99Ms
  const met = growthRatio < growthRatioMax && p99Ratio < p99RatioMax
  process.exitCode = met ? 0 : 1
  if (values.json) {
    console.log(
      JSON.stringify({ jobs, megabytes, load: loadavg(), samples, latencies, growthRatio, p99Ratio, served, met })
    )
    return
  }
  console.log(
    `${jobs} jobs through a store that keeps ${megabytes} MB of completed ones, in one process without threads`
  )
  console.table(samples)
  console.log('enqueues of one job beside the stream')
  console.table(latencies)
  if (served.length > 0) {
    console.log(`${servedJobs} jobs through the threads of runtime serve, which keeps ${servedMegabytes} MB`)
    console.table(served)
  }
  console.log(`file, last against middle: ${rounded(growthRatio)}; p99, last part against first: ${rounded(p99Ratio)}`)
  console.log(
    `load of the machine: ${loadavg()
      .map((each) => each.toFixed(2))
      .join(', ')}`
  )
}
