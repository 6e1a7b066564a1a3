/**
 * Does everything level off, and is nothing lost, when a mixed load goes on for an hour under kills? A real `runtime serve`
 * is used over its socket by programs that stay and programs that come and go: jobs of all kinds, documents between which
 * money moves, steps, families, events of the scheduler every second, payloads up to 64 KiB. Finished jobs are forgotten
 * after a minute, so the store has a steady size. A host is killed with SIGKILL about every 20 s and, in the first two
 * thirds of the time, the supervisor about every 2 minutes; in the last third it lives on, so that its memory can be judged.
 *
 * Every acknowledged job must end as it should (ledger.ts), the accounts must agree with all transfers (load.ts), each instant
 * of the scheduler fires once, and the indexes of the store agree in the end. What must not grow is in samples.ts.
 *
 *   node dist/bench/endurance/endurance.js [--minutes 60] [--rate 200] [--seed N] [--json] [--record]
 *
 * `--rate`: operations a second. `--record` puts the figures into bench/RESULTS.md. A run of few minutes is compressed: kills
 * come more often, and trends are told but not judged. Exit code 1 where something was lost or grows; the folder is kept then.
 */
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { loadConfig } from '../../runtime/config/load.ts'
import { openDataDirectory } from '../../runtime/store/data-directory.ts'
import { assertInvariants, entriesByKind } from '../../test/queue/store-invariants.ts'
import { randomFrom } from '../../test/support/random.ts'
import { percentile, rounded } from '../percentile.ts'
import { markdownTable, provenance, recordSection } from '../results.ts'
import { sparkline, type Trend } from '../trend.ts'
import { Ledger } from './ledger.ts'
import { Client, Load, visit } from './load.ts'
import { projectFiles } from './project.ts'
import { type Sample, Sampler, trendsOf } from './samples.ts'
import { Link, Supervisor } from './supervisor.ts'

const clients = 3
const visitEveryMs = 250
const visitsAtOnceMax = 20
/** Operations of one client that wait for an answer; beyond, none is begun: a program that must wait asks for nothing. */
const operationsAtOnceMax = 150
/** Acknowledged jobs that have not ended, in seconds of the rate; beyond, none is begun: this machine cannot keep up. */
const openSecondsMax = 10
const endWithinMs = 120_000

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    rate: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    json: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false }
  }
})
const minutes = positive('--minutes', values.minutes)
const rate = positive('--rate', values.rate)
const seed = Number(values.seed)
const totalS = minutes * 60
const between = (least: number, value: number, most: number) => Math.min(Math.max(value, least), most)
const pace = {
  sampleS: between(1, totalS / 120, 10),
  retentionS: Math.round(between(20, totalS / 30, 60)),
  hostKillS: between(6, totalS / 15, 20),
  supervisorKillS: between(6, totalS / 12, 120),
  killSupervisorsForS: (totalS * 2) / 3
}

const random = randomFrom(seed)
const startMs = performance.now()
const folder = mkdtempSync(join(realpathSync(tmpdir()), 'endurance-'))
const supervisor = new Supervisor(folder, projectFiles(pace.retentionS))
const watcher = new Link(supervisor.socketPath)
const ledger = new Ledger(watcher, pace.retentionS * 1000)
const load = new Load(ledger, random)
const sampler = new Sampler(supervisor, watcher, load)
const kills = { supervisor: 0, hosts: 0 }
const restartMs: number[] = []
const ending = new AbortController()
const visits = { begun: 0, underWay: new Set<Promise<void>>() }

await supervisor.start()
await watch()
const links = Array.from({ length: clients }, () => new Link(supervisor.socketPath))
const loops = [
  ...links.map((link, index) => requests(new Client(String(index), load, link))),
  every(() => visitEveryMs * 2 * random(), visitOnce),
  every(() => pace.sampleS * 1000, sample),
  every(
    () => (pace.retentionS * 1000) / 4,
    () => ledger.lookUp()
  ),
  every(() => drawnMs(pace.hostKillS), killHost),
  every(() => drawnMs(pace.supervisorKillS), killSupervisor)
]
try {
  await Promise.race([sleep(totalS * 1000), supervisor.died, ...loops])
} finally {
  ending.abort()
}
await Promise.race([Promise.all(loops), supervisor.died])
const final = await checkTheEnd()
report(final)

/** Does something again and again until the end of the load. */
async function every(pauseMs: () => number, action: () => Promise<void>): Promise<void> {
  while (await paused(pauseMs())) await action()
}

/** @returns false where the end of the load came first */
async function paused(ms: number): Promise<boolean> {
  await sleep(ms, undefined, { signal: ending.signal }).catch(() => {})
  return !ending.signal.aborted
}

function drawnMs(meanS: number): number {
  return meanS * 1000 * (0.3 - 0.7 * Math.log(1 - random()))
}

async function requests(client: Client): Promise<void> {
  const underWay = new Set<Promise<void>>()
  const meanMs = (1000 * clients) / rate
  let dueMs = performance.now()
  while (!ending.signal.aborted) {
    dueMs = Math.max(dueMs - meanMs * Math.log(1 - random()), performance.now() - 1000)
    const waitMs = dueMs - performance.now()
    if (waitMs > 1 && !(await paused(waitMs))) break
    if (underWay.size >= operationsAtOnceMax || ledger.open >= openSecondsMax * rate) {
      load.leftOut++
      continue
    }
    const operation: Promise<void> = client
      .next()
      .catch((error) => ledger.violate(`a request was refused: ${error}`))
      .finally(() => underWay.delete(operation))
    underWay.add(operation)
  }
  await Promise.all(underWay)
}

async function visitOnce(): Promise<void> {
  if (visits.underWay.size >= visitsAtOnceMax) return
  visits.begun++
  const visited: Promise<void> = visit(supervisor.socketPath, load)
    .catch((error) => ledger.violate(`a visit failed: ${error}`))
    .finally(() => visits.underWay.delete(visited))
  visits.underWay.add(visited)
}

/** Listens to everything that happens in this life. */
async function watch(): Promise<void> {
  await watcher.call((runtime) =>
    runtime.subscribe({ types: ['enqueued', 'started', 'completed', 'failed', 'cancelled'] }, (event) => {
      ledger.takeEvent(event)
      sampler.takeEvent(event)
    })
  )
}

async function sample(): Promise<void> {
  const taken = await sampler.take()
  await watcher.call((runtime) => load.checkSnapshot(runtime))
  const clock = (s: number) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, '0')}`
  const line =
    `${clock(taken.atS)} of ${clock(totalS)}  ${ledger.ended} jobs ended, ${taken.jobsPerSecond}/s, ${taken.open} open  ` +
    `kills ${kills.supervisor}+${kills.hosts}  ${taken.supervisorMb} MB ${taken.supervisorDescriptors} fds  ` +
    `store ${taken.storeMb} MB  enqueue ${taken.enqueueP50Ms.toFixed(1)}/${taken.enqueueP99Ms.toFixed(0)} ms  ` +
    `start ${taken.startP50Ms}/${taken.startP99Ms} ms  violations ${ledger.violations.length}`
  const isMinute = Math.floor(taken.atS / 60) > Math.floor((taken.atS - pace.sampleS) / 60)
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${line}`)
  else if (isMinute) process.stderr.write(`${line}\n`)
}

async function killHost(): Promise<void> {
  const { hosts } = supervisor
  const victim = hosts[Math.floor(random() * hosts.length)]
  if (victim === undefined) return
  try {
    process.kill(victim, 'SIGKILL')
    kills.hosts++
  } catch {
    // It had ended meanwhile.
  }
}

async function killSupervisor(): Promise<void> {
  if (performance.now() - startMs > pace.killSupervisorsForS * 1000) return
  const killedAtMs = performance.now()
  await supervisor.kill()
  kills.supervisor++
  await supervisor.start()
  restartMs.push(performance.now() - killedAtMs)
  await watch()
  await ledger.checkTold()
  await ledger.lookUp()
}

interface End {
  transfers: number
  instants: { method: string; fired: number }[]
  entries: number
}

async function checkTheEnd(): Promise<End> {
  await Promise.all(visits.underWay)
  await ledger.untilAllEnded(endWithinMs)
  const queues = await watcher.call((runtime) => runtime.queue.list())
  for (const { queue } of queues) await watcher.call((runtime) => runtime.queue.drain(queue, { timeout: '60s' }))
  await ledger.lookUp()
  await watcher.call((runtime) => runtime.queue.drain('bank', { timeout: '60s' }))
  const { transfers } = await watcher.call((runtime) => load.checkSums(runtime))
  const instants = ledger.checkInstants()
  for (const link of [watcher, ...links]) await link.close()
  await supervisor.stop()
  return { transfers, instants, entries: await scanStore() }
}

/** Every index of the store against all others. */
async function scanStore(): Promise<number> {
  const { queues } = loadConfig({ workingDirectory: folder, env: {}, overrides: {} })
  const { store, tag, close } = await openDataDirectory(join(folder, '.runtime'))
  try {
    assertInvariants(store.reader, tag, queues)
    return [...entriesByKind(store.reader).values()].reduce((sum, { length }) => sum + length, 0)
  } catch (error) {
    ledger.violate(`the store disagrees with itself: ${error}`)
    return 0
  } finally {
    await close()
  }
}

function report({ transfers, instants, entries }: End): void {
  const { samples } = sampler
  const trends = trendsOf(samples)
  const isLevel = trends.every(({ met }) => met !== false)
  const { violations } = ledger
  const met = isLevel && violations.length === 0
  process.exitCode = met ? 0 : 1
  const facts = {
    minutes: rounded((performance.now() - startMs) / 60_000),
    seed,
    operationsPerSecond: rate,
    'jobs acknowledged': ledger.acknowledged,
    'jobs ended as they should': ledger.ended,
    'jobs lost': violations.filter((text) => text.startsWith('LOST')).length,
    'kills of supervisors': kills.supervisor,
    'kills of hosts': kills.hosts,
    'start after a kill, p50 / max ms': `${percentile(restartMs, 0.5).toFixed(0)} / ${percentile(restartMs, 1).toFixed(0)}`,
    'requests made again for want of an answer': load.repeats,
    'told ends asked for again after kills': ledger.toldChecked,
    'jobs retried by hand (HOST_CRASHED)': ledger.retriedByHand,
    transfers,
    'instants of the scheduler': instants.map(({ fired }) => fired).join(' + '),
    'clients that came and went': visits.begun,
    'operations left out': load.leftOut,
    'entries of the store in the full scan': entries,
    'load of the machine': loadavg()
      .map((each) => each.toFixed(1))
      .join(' ')
  }
  const text = markdown(facts, trends, samples)
  if (values.record) recordSection('endurance', text)
  if (values.json) console.log(JSON.stringify({ facts, pace, violations, trends, samples, met }))
  else console.log(`\n${text}\n`)
  if (met) rmSync(folder, { recursive: true })
  else {
    writeFileSync(join(folder, 'samples.json'), JSON.stringify({ facts, violations, trends, samples }))
    const grown = trends.filter((trend) => trend.met === false).map(({ figure }) => `${figure} grows`)
    console.error([...grown, ...violations].join('\n'))
    console.error(`The project, its store and its log are in ${folder}. Again with the same choices: --seed ${seed}.`)
  }
}

function markdown(facts: Record<string, string | number>, trends: Trend[], samples: readonly Sample[]): string {
  const options = `${minutes === 60 ? '' : ` --minutes ${minutes}`}${rate === 200 ? '' : ` --rate ${rate}`}`
  const lines: [string, (sample: Sample) => number][] = [
    ['supervisor, MB', ({ supervisorMb }) => supervisorMb],
    ['supervisor, descriptors', ({ supervisorDescriptors }) => supervisorDescriptors],
    ['supervisor, threads', ({ supervisorThreads }) => supervisorThreads],
    ['hosts, MB', ({ hostsMb }) => hostsMb],
    ['hosts, descriptors', ({ hostsDescriptors }) => hostsDescriptors],
    ['file of the store, MB', ({ storeMb }) => storeMb],
    ['used bytes of the store, MB', ({ storeUsedMb }) => storeUsedMb],
    ['jobs/s', ({ jobsPerSecond }) => jobsPerSecond],
    ['enqueue p50, ms', ({ enqueueP50Ms }) => enqueueP50Ms],
    ['enqueue p99, ms', ({ enqueueP99Ms }) => enqueueP99Ms],
    ['start p50, ms', ({ startP50Ms }) => startP50Ms],
    ['start p99, ms', ({ startP99Ms }) => startP99Ms]
  ]
  const verdict = { true: 'level', false: 'GROWS', null: 'too short to say' }
  return [
    provenance(`npm run bench:endurance --${options} --seed ${seed}`),
    markdownTable(Object.entries(facts).map(([what, value]) => ({ what, value }))),
    markdownTable(
      lines.map(([figure, of]) => {
        const figures = samples.map(of)
        const median = (part: readonly number[]) => rounded(percentile(part.filter(Number.isFinite), 0.5))
        const fifth = Math.ceil(figures.length / 5)
        return {
          figure,
          'median, second fifth': median(figures.slice(fifth, 2 * fifth)),
          'median, last fifth': median(figures.slice(-fifth)),
          most: rounded(percentile(figures.filter(Number.isFinite), 1)),
          'over the run': sparkline(figures)
        }
      })
    ),
    markdownTable(
      trends.map(({ figure, samples, median, growth, growthMax, met }) => ({
        figure,
        samples,
        median,
        'growth by its trend': growth,
        allowed: growthMax,
        verdict: verdict[`${met}`]
      }))
    )
  ].join('\n\n')
}

function positive(option: string, text: string): number {
  const number = Number(text)
  if (number > 0) return number
  throw new Error(`${option}: expected a number above 0, got ${JSON.stringify(text)}.`)
}
