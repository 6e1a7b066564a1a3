/** Figures of the supervisor, its hosts and its store, every few seconds, and what must not grow among them. */
import type { JobEvent } from '../../runtime/core/events.ts'
import { descendantsOf, usageOf } from '../../test/isolation/process-tree.ts'
import { percentile, rounded } from '../percentile.ts'
import { type Trend, trendOf } from '../trend.ts'
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
/** A shorter life says nothing about memory. */
const steadySMin = 300
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
  const steadyS = last.lifeS - (life[0]?.lifeS ?? 0)
  const steady = life.filter(({ lifeS }) => lifeS >= warmUpShare * last.lifeS)
  const ofLives = atTheSameAge(samples)
  const tooShort = steadyS < steadySMin
  const told = (trend: Trend): Trend => (tooShort ? { ...trend, met: null } : trend)
  return [
    trendOf('file of the store, MB', half, at, ({ storeMb }) => storeMb, { ratio: 0.05, floor: 2 }),
    trendOf('used bytes of the store, MB', half, at, ({ storeUsedMb }) => storeUsedMb, { ratio: 0.1, floor: 2 }),
    trendOf('enqueue p50, ms', half, at, ({ enqueueP50Ms }) => enqueueP50Ms, { ratio: 0.3, floor: 2 }),
    trendOf('enqueue p99, ms', half, at, ({ enqueueP99Ms }) => enqueueP99Ms, { ratio: 0.5, floor: 20 }),
    trendOf('start p50, ms', half, at, ({ startP50Ms }) => startP50Ms, { ratio: 0.3, floor: 3 }),
    trendOf('start p99, ms', half, at, ({ startP99Ms }) => startP99Ms, { ratio: 0.5, floor: 50 }),
    trendOf('open jobs', half, at, ({ open }) => open, { ratio: 0.3, floor: 100 }),
    told(
      trendOf('supervisor, MB, last life', steady, at, ({ supervisorMb }) => supervisorMb, { ratio: 0.1, floor: 15 })
    ),
    trendOf('supervisor, descriptors, last life', steady, at, ({ supervisorDescriptors }) => supervisorDescriptors, {
      ratio: 0,
      floor: 2
    }),
    trendOf('supervisor, threads, last life', steady, at, ({ supervisorThreads }) => supervisorThreads, {
      ratio: 0,
      floor: 2
    }),
    told(trendOf('hosts, MB, last life', steady, at, ({ hostsMb }) => hostsMb, { ratio: 0.15, floor: 40 })),
    trendOf('processes, last life', steady, at, ({ processes }) => processes, { ratio: 0, floor: 2 }),
    trendOf(`supervisor, MB, lives at ${lifeAgeS} s`, ofLives, at, ({ supervisorMb }) => supervisorMb, {
      ratio: 0.1,
      floor: 15
    }),
    trendOf(
      `supervisor, descriptors, lives at ${lifeAgeS} s`,
      ofLives,
      at,
      ({ supervisorDescriptors }) => supervisorDescriptors,
      { ratio: 0, floor: 3 }
    )
  ]
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
