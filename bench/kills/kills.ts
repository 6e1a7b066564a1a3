/**
 * What do many kills in a row leave behind? Jobs that never end are killed at their deadline of 20 ms on two threads of a
 * host process; one in a hundred sits in a native call, which costs the whole host. After every block of kills the
 * supervisor comes to rest, runs a job on each thread, and is looked at with all its processes in /proc. Linux only.
 *
 *   node dist/bench/kills/kills.js [--kills 10000] [--native-every 100] [--json]
 *
 * `--native-every 0`: no native calls, so hosts are replaced only for the many threads that have ended in them. Aim:
 * descriptors, threads and processes of the last fifth of the run as in the second fifth, give or take two; resident
 * memory grown by less than 15 % or 20 MB; both slots of the queue left. Exit code 1 beyond.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { descendantsOf, hostsOf, type ProcessUsage, usageOf } from '../../test/isolation/process-tree.ts'
import { serveProject, wholeNumber } from '../served-project.ts'

const threads = 2
const countGrowthMax = 2
const residentGrowthRatioMax = 0.15
const residentGrowthBytesMax = 20e6
/** Longer than a host is left in peace after a kill. */
const restMs = 1_000
const restWithinMsMax = 15_000

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '10000' },
    'native-every': { type: 'string', default: '100' },
    json: { type: 'boolean', default: false }
  }
})
const kills = wholeNumber('--kills', values.kills, 50)
const nativeEvery = wholeNumber('--native-every', values['native-every'], 0)
/** Enough samples for fifths, however short the run. */
const killsPerSample = Math.min(500, Math.floor(kills / 10))

interface Sample {
  kills: number
  atMs: number
  processes: number
  supervisor: ProcessUsage
  host: ProcessUsage
}

const { pid, runtime, stop } = await serveProject({
  'actors/bench.js': `
    import { pbkdf2Sync } from 'node:crypto'
    import { setTimeout } from 'node:timers/promises'
    export function spin() { while (true) {} }
    export function native() { pbkdf2Sync('password', 'salt', 2 ** 31 - 1, 64, 'sha512') }
    export async function pause({ forMs }) { await setTimeout(forMs) }`,
  'config/runtime.yaml': `workers: { kills: { timeout: 20ms, backgroundWorkers: ${threads} } }\n`
})
try {
  const samples: Sample[] = []
  const startMs = performance.now()
  for (let done = 0; done < kills; ) {
    const count = Math.min(killsPerSample, kills - done)
    await kill(done, count)
    done += count
    const atMs = Math.round(performance.now() - startMs)
    await slots()
    samples.push({ kills: done, atMs, ...(await atRest()) })
  }
  report(samples, await slots())
} finally {
  await stop()
}

/** Enqueues jobs that never end, waits until all are killed, and has them forgotten, so that the store does not grow. */
async function kill(first: number, count: number): Promise<void> {
  const isNative = (number: number) => nativeEvery > 0 && number % nativeEvery === nativeEvery >> 1
  const jobs = Array.from({ length: count }, (_, index) => ({
    method: isNative(first + index) ? 'bench.native' : 'bench.spin',
    queue: 'kills'
  }))
  const { ids } = await runtime.enqueueMany(jobs)
  for (const id of ids) {
    const { error } = await runtime.job.wait(id)
    if (error?.code !== 'TIMEOUT') throw new Error(`Job ${id} was not killed: ${JSON.stringify(error)}`)
  }
  await runtime.queue.purge('kills', { state: 'failed' })
}

/**
 * Runs more jobs than there are threads. Also before each look: a host that has just begun has fewer threads of its own
 * than one that has worked.
 *
 * @returns how many ran at the same time
 */
async function slots(): Promise<number> {
  let running = 0
  let most = 0
  const { unsubscribe } = await runtime.subscribe({ queue: 'kills', types: ['started', 'completed'] }, ({ type }) => {
    running += type === 'started' ? 1 : -1
    most = Math.max(most, running)
  })
  const job = { method: 'bench.pause', params: { forMs: 300 }, queue: 'kills', timeout: '30s' }
  const { ids } = await runtime.enqueueMany(Array.from({ length: threads + 1 }, () => job))
  await Promise.all(ids.map((id) => runtime.job.wait(id)))
  await unsubscribe()
  await runtime.queue.purge('kills', { state: 'completed' })
  return most
}

/** Waits until the replaced hosts have ended. */
async function atRest(): Promise<Omit<Sample, 'kills' | 'atMs'>> {
  const untilMs = performance.now() + restWithinMsMax
  await sleep(restMs)
  while (hostsOf(pid).length > 1 && performance.now() < untilMs) await sleep(50)
  const host = hostsOf(pid).map(usageOf)
  const sum = (figure: keyof ProcessUsage) => host.reduce((total, usage) => total + usage[figure], 0)
  return {
    processes: 1 + descendantsOf(pid).length,
    supervisor: usageOf(pid),
    host: { threads: sum('threads'), descriptors: sum('descriptors'), residentBytes: sum('residentBytes') }
  }
}

function report(samples: readonly Sample[], slotsLeft: number): void {
  const fifth = samples.length / 5
  const early = samples.slice(Math.floor(fifth), Math.floor(2 * fifth))
  const late = samples.slice(Math.floor(4 * fifth))
  const figures: [string, (sample: Sample) => number, 'count' | 'bytes'][] = [
    ['processes', ({ processes }) => processes, 'count'],
    ['supervisor threads', ({ supervisor }) => supervisor.threads, 'count'],
    ['supervisor descriptors', ({ supervisor }) => supervisor.descriptors, 'count'],
    ['supervisor resident bytes', ({ supervisor }) => supervisor.residentBytes, 'bytes'],
    ['host threads', ({ host }) => host.threads, 'count'],
    ['host descriptors', ({ host }) => host.descriptors, 'count'],
    ['host resident bytes', ({ host }) => host.residentBytes, 'bytes']
  ]
  const growth = figures.map(([figure, of, unit]) => {
    const [before, after] = [median(early.map(of)), median(late.map(of))] as const
    return { figure, before, after, met: unit === 'count' ? isSameCount(before, after) : isSameSize(before, after) }
  })
  const met = growth.every(({ met }) => met) && slotsLeft === threads
  const killsPerSecond = Math.round((1000 * kills) / samples.at(-1)!.atMs)
  process.exitCode = met ? 0 : 1
  if (!values.json) {
    console.table(samples.map(sampleRow))
    console.table(growth)
    console.log(`${kills} kills, ${killsPerSecond} per second; ${slotsLeft} of ${threads} slots left`)
  }
  console.log(JSON.stringify({ kills, nativeEvery, killsPerSecond, slotsLeft, growth, samples, met }))
}

function sampleRow({ kills, atMs, processes, supervisor, host }: Sample): object {
  const ofProcess = (name: string, { threads, descriptors, residentBytes }: ProcessUsage) => ({
    [`${name} threads`]: threads,
    [`${name} fds`]: descriptors,
    [`${name} MB`]: Math.round(residentBytes / 1e6)
  })
  return { kills, s: Math.round(atMs / 1000), processes, ...ofProcess('sup.', supervisor), ...ofProcess('host', host) }
}

function isSameCount(before: number, after: number): boolean {
  return Math.abs(after - before) <= countGrowthMax
}

function isSameSize(before: number, after: number): boolean {
  return after - before < Math.max(residentGrowthBytesMax, residentGrowthRatioMax * before)
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!
}
