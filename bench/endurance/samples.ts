/** Figures of the supervisor, its hosts and its store, every few seconds, and what must not grow among them. */
import type { JobEvent } from '../../runtime/core/events.ts'
import { descendantsOf, usageOf } from '../../test/isolation/process-tree.ts'
import { percentile, rounded } from '../percentile.ts'
import { type Trend, type TrendBound, trendOf } from '../trend.ts'
import type { Ledger } from './ledger.ts'
import type { Load } from './load.ts'
import type { Link, Supervisor } from './supervisor.ts'

export interface Sample {
  atS: number
  life: number
  /** Since the supervisor was started. */
  lifeS: number
  supervisorMb: number
  supervisorDescriptors: number
  supervisorThreads: number
  hosts: number
  hostsMb: number
  hostsDescriptors: number
  processes: number
  storeMb: number
  storeUsedMb: number
  jobsPerSecond: number
  enqueueP50Ms: number
  enqueueP99Ms: number
  startP50Ms: number
  startP99Ms: number
  /** Acknowledged jobs whose end is not known yet. */
  open: number
  clientMb: number
}

/** Jobs that were enqueued and have not started; a job whose start was not told is forgotten here. */
const waitingMax = 10_000
/** Memory of a process grows at first, whatever it does. */
const warmUpShare = 0.25
/** A shorter run says nothing about trends: caches and the store are still filling, and one kill is a part of it. */
const judgedSMin = 600
/** They go up and down with what is under way at the moment. */
const aFew: TrendBound = { ratio: 0, floor: 2 }
/** Figures of a life are compared with those of another at this age. */
const lifeAgeS = 30

export class Sampler {
  readonly samples: Sample[] = []
  readonly #supervisor: Supervisor
  readonly #link: Link
  readonly #load: Load
  readonly #ledger: Ledger
  readonly #startMs = performance.now()
  readonly #waiting = new Map<string, number>()
  #startLatenciesMs: number[] = []
  #last = { atMs: performance.now(), ended: 0 }

  constructor(supervisor: Supervisor, link: Link, load: Load) {
    this.#supervisor = supervisor
    this.#link = link
    this.#load = load
    this.#ledger = load.ledger
  }

  /** The time from the commit of a job until a thread has it, of jobs that wait for nothing else. */
  takeEvent({ type, job, method, at, attempt }: JobEvent): void {
    if (method !== 'load.plain') return
    if (type === 'enqueued') {
      this.#waiting.set(job, Date.parse(at))
      if (this.#waiting.size > waitingMax) this.#waiting.delete(this.#waiting.keys().next().value!)
    }
    if (type !== 'started') return
    const enqueuedAtMs = this.#waiting.get(job)
    this.#waiting.delete(job)
    if (enqueuedAtMs !== undefined && attempt === 1) this.#startLatenciesMs.push(Date.parse(at) - enqueuedAtMs)
  }

  async take(): Promise<Sample> {
    const { store } = await this.#link.call((runtime) => runtime.status())
    const { pid, life, startedAtMs, hosts } = this.#supervisor
    const nowMs = performance.now()
    const supervisor = usageOf(pid)
    const ofHosts = hosts.map(usageOf)
    const enqueueMs = this.#load.takeEnqueueMs()
    const startMs = this.#startLatenciesMs
    this.#startLatenciesMs = []
    const { ended, open } = this.#ledger
    const sample: Sample = {
      atS: Math.round((nowMs - this.#startMs) / 1000),
      life,
      lifeS: Math.round((nowMs - startedAtMs) / 1000),
      supervisorMb: megabytes(supervisor.residentBytes),
      supervisorDescriptors: supervisor.descriptors,
      supervisorThreads: supervisor.threads,
      hosts: hosts.length,
      hostsMb: megabytes(ofHosts.reduce((sum, { residentBytes }) => sum + residentBytes, 0)),
      hostsDescriptors: ofHosts.reduce((sum, { descriptors }) => sum + descriptors, 0),
      processes: 1 + descendantsOf(pid).length,
      storeMb: megabytes(store.bytes),
      storeUsedMb: megabytes(store.usedBytes),
      jobsPerSecond: Math.round((1000 * (ended - this.#last.ended)) / (nowMs - this.#last.atMs)),
      enqueueP50Ms: rounded(percentile(enqueueMs, 0.5)),
      enqueueP99Ms: rounded(percentile(enqueueMs, 0.99)),
      startP50Ms: percentile(startMs, 0.5),
      startP99Ms: percentile(startMs, 0.99),
      open,
      clientMb: megabytes(process.memoryUsage.rss())
    }
    this.#last = { atMs: nowMs, ended }
    this.samples.push(sample)
    return sample
  }
}

/**
 * What must level off: the store and the latencies over the second half of the run, kills and all; memory, descriptors and
 * threads within the last life, which is long, and from life to life.
 */
export function trendsOf(samples: readonly Sample[]): Trend[] {
  const at = ({ atS }: Sample) => atS
  const last = samples.at(-1)!
  const half = samples.filter(({ atS }) => atS >= last.atS / 2)
  const life = samples.filter(({ life }) => life === last.life)
  const steady = life.filter(({ lifeS }) => lifeS >= warmUpShare * last.lifeS)
  const ofLives = atTheSameAge(samples)
  const atAge = `lives at ${lifeAgeS} s`
  const figures: [figure: string, of: (sample: Sample) => number, within: Sample[], bound: TrendBound][] = [
    ['file of the store, MB', ({ storeMb }) => storeMb, half, { ratio: 0.05, floor: 2 }],
    ['used bytes of the store, MB', ({ storeUsedMb }) => storeUsedMb, half, { ratio: 0.1, floor: 2 }],
    ['enqueue p50, ms', ({ enqueueP50Ms }) => enqueueP50Ms, half, { ratio: 0.3, floor: 2 }],
    ['enqueue p99, ms', ({ enqueueP99Ms }) => enqueueP99Ms, half, { ratio: 0.5, floor: 20 }],
    ['start p50, ms', ({ startP50Ms }) => startP50Ms, half, { ratio: 0.3, floor: 3 }],
    ['start p99, ms', ({ startP99Ms }) => startP99Ms, half, { ratio: 0.5, floor: 50 }],
    ['open jobs', ({ open }) => open, half, { ratio: 0.3, floor: 100 }],
    ['supervisor, MB, last life', ({ supervisorMb }) => supervisorMb, steady, { ratio: 0.1, floor: 15 }],
    ['supervisor, descriptors, last life', ({ supervisorDescriptors }) => supervisorDescriptors, steady, aFew],
    ['supervisor, threads, last life', ({ supervisorThreads }) => supervisorThreads, steady, aFew],
    ['hosts, MB, last life', ({ hostsMb }) => hostsMb, steady, { ratio: 0.15, floor: 40 }],
    ['processes, last life', ({ processes }) => processes, steady, aFew],
    [`supervisor, MB, ${atAge}`, ({ supervisorMb }) => supervisorMb, ofLives, { ratio: 0.1, floor: 15 }],
    [`supervisor, descriptors, ${atAge}`, ({ supervisorDescriptors }) => supervisorDescriptors, ofLives, aFew]
  ]
  const trends = figures.map(([figure, of, within, bound]) => trendOf(figure, within, at, of, bound))
  return last.atS < judgedSMin ? trends.map((trend) => ({ ...trend, met: null })) : trends
}

/** Of each life that lasted, the sample nearest to that age. */
function atTheSameAge(samples: readonly Sample[]): Sample[] {
  return [...byLife(samples).values()]
    .map((life) => life.toSorted((a, b) => Math.abs(a.lifeS - lifeAgeS) - Math.abs(b.lifeS - lifeAgeS))[0]!)
    .filter(({ lifeS }) => lifeS >= lifeAgeS / 2)
}

function byLife(samples: readonly Sample[]): Map<number, Sample[]> {
  const lives = new Map<number, Sample[]>()
  for (const sample of samples) lives.set(sample.life, [...(lives.get(sample.life) ?? []), sample])
  return lives
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e5) / 10
}
