/**
 * Real crashes (issue 7.2): supervisors and hosts die by SIGKILL, at each named point of a job's route
 * (runtime/core/fail-points.ts) and at random moments, while clients send what workload.ts has, and are started again on the
 * same data directory. Between two lives the store is looked at as a whole; in the end everything that was acknowledged is
 * done, and done once.
 *
 * An epoch is one data directory. It begins with a death at each step of the making of the directory, in their order. By default
 * one epoch: all points of making, and of the others every fifth; which ones depends on the seed. `LONG=1`: as many
 * epochs, each with all points and as many random moments, as 2,000 kills take (`CRASHES_KILLS`: another number). `CRASHES_SEED` repeats the points and
 * moments of an earlier run, and `CRASHES_POINTS=commit.told,host.sent` dies at no others.
 */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '../../runtime/client/connect.ts'
import type { Runtime } from '../../runtime/core/api.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { type FailPoint, failPoints } from '../../runtime/core/fail-points.ts'
import type { Started } from '../cli/spawn-cli.ts'
import { hostsOf } from '../isolation/process-tree.ts'
import { connected } from '../support/connected.ts'
import { randomFrom } from '../support/random.ts'
import { TestProject } from '../support/supervisor-process.ts'
import { checkStopped } from './stopped-store.ts'
import { Workload } from './workload.ts'

const isLong = process.env.LONG !== undefined
const seed = Number(process.env.CRASHES_SEED ?? Date.now() % 2 ** 31)
const killsMin = Number(process.env.CRASHES_KILLS ?? (isLong ? 2_000 : 0))
const randomLives = process.env.CRASHES_POINTS !== undefined ? 0 : isLong ? 40 : 2
/** Of the points behind the making of a directory, one in so many. */
const pointsRotation = isLong || process.env.CRASHES_POINTS !== undefined ? 1 : 5
const storeCheckEvery = isLong ? 6 : 1
/** For all that has been asked for to come to its end, once nobody dies any more. */
const finishMsMax = 120_000
const clients = 2
const lanesOfEach = 3
const pauseMsMax = 12
const pausesPerSlowing = 50
const randomKillMsMax = 250
const bootKillMsMax = 400
const hostKillsOfLife = 3
const frequentPassages = 60
const rarePassages = 3
/** A point that is not passed by then is not on the way of this load. */
const pointTimeMsMax = 30_000

const allPoints = (process.env.CRASHES_POINTS?.split(',') ?? Object.keys(failPoints)) as FailPoint[]
const isOf =
  (...prefixes: string[]) =>
  (point: FailPoint) =>
    prefixes.some((prefix) => point === prefix || point.startsWith(`${prefix}.`))
/** Passed once in the life of a process, or hardly more often. */
const onceOnly = isOf('create', 'start', 'stop', 'fire', 'host.starting')
/** Passed many times in each second. */
const frequent = isOf('commit', 'answer', 'claim', 'outcome', 'settle')

/** Deaths, by whoever died and where: at a named point, or `random`. */
class Deaths {
  readonly reached = new Map<string, number>()
  supervisors = 0
  hosts = 0

  add(who: 'supervisors' | 'hosts', where: FailPoint | 'random'): void {
    this[who]++
    this.reached.set(where, (this.reached.get(where) ?? 0) + 1)
  }
}

/** One data directory, from the first start on it to the check of all that was asked of it. */
class Epoch {
  readonly #test: TestContext
  readonly #random: () => number
  readonly #deaths: Deaths
  readonly #project: TestProject
  readonly #workload: Workload
  #lives = 0

  constructor(test: TestContext, random: () => number, deaths: Deaths) {
    this.#test = test
    this.#random = random
    this.#deaths = deaths
    this.#project = new TestProject(test, 'memory')
    this.#workload = new Workload(this.#project, random)
  }

  get operations(): number {
    return this.#workload.operations
  }

  /** A life that ends where it is said. */
  async live(where: FailPoint | 'random'): Promise<void> {
    if (where === 'random') await this.#untilKilled()
    else if (isOf('create', 'start')(where)) await this.#untilDeadAt(where, async () => {})
    else if (isOf('stop')(where)) await this.#untilDeadAt(where, (started) => this.#stopAtRandom(started))
    else if (isOf('host')(where)) await this.#untilHostsDieAt(where)
    else await this.#untilDeadAt(where, (started) => this.#sendTo(started))
    if (where !== 'random' && isOf('create')(where)) return
    if (++this.#lives % storeCheckEvery === 0) {
      await checkStopped(this.#dataDirectory, join(this.#project.folder, 'copy'), this.#workload)
    }
  }

  /** The last life, in which nobody dies. */
  async finish(): Promise<void> {
    this.#project.environment = {}
    const supervisor = await this.#project.serve('--log-level', 'error')
    const finished = this.#workload.finish(await connected(this.#test, this.#project.socketPath))
    const tooLate = sleep(finishMsMax, undefined, { ref: false }).then(() => {
      throw new Error(`Jobs that are unfinished ${finishMsMax / 1000} s after the last death never end`)
    })
    await Promise.race([finished, tooLate])
    assert.equal((await supervisor.end('SIGTERM')).code, 0)
    assert.deepEqual(readdirSync(this.#dataDirectory).sort(), ['actor-runtime.json', 'store'], 'nothing is left lying')
    await checkStopped(this.#dataDirectory, join(this.#project.folder, 'copy'), this.#workload)
  }

  get #dataDirectory(): string {
    return join(this.#project.folder, '.runtime')
  }

  #start(where: FailPoint | 'random'): Started {
    this.#project.environment = where === 'random' ? {} : { RUNTIME_FAIL_POINT: `${where}@${this.#passage(where)}` }
    return this.#project.start('serve', '--log-level', 'error')
  }

  #passage(where: FailPoint): number {
    if (onceOnly(where)) return 1
    return 1 + Math.floor(this.#random() * (frequent(where) ? frequentPassages : rarePassages))
  }

  async #untilDeadAt(where: FailPoint, meanwhile: (started: Started) => Promise<void>): Promise<void> {
    const started = this.#start(where)
    const tooLate = setTimeout(() => started.process.kill('SIGTERM'), pointTimeMsMax)
    await meanwhile(started)
    const { signal, stderr } = await started.ended
    clearTimeout(tooLate)
    assert.ok(signal === 'SIGKILL' && stderr.includes(`: ${where} was passed`), `not dead at ${where}: ${stderr}`)
    this.#deaths.add('supervisors', where)
  }

  async #stopAtRandom(started: Started): Promise<void> {
    const sending = this.#sendTo(started)
    await Promise.race([started.stdout.said('\n'), started.ended])
    await sleep(this.#random() * randomKillMsMax)
    started.process.kill('SIGTERM')
    await sending
  }

  async #untilHostsDieAt(where: FailPoint): Promise<void> {
    const wanted = where === 'host.starting' ? 1 : 3
    const started = this.#start(where)
    const died = new Set<string>()
    const tooLate = setTimeout(() => started.process.kill('SIGTERM'), pointTimeMsMax)
    await this.#sendTo(started, async (runtime) => {
      await runtime.subscribe({ types: ['log'] }, ({ log }) => {
        const pid = new RegExp(`: ${where} was passed, process (\\d+)`).exec(log?.message ?? '')?.[1]
        if (pid === undefined || died.has(pid)) return
        died.add(pid)
        this.#deaths.add('hosts', where)
        if (died.size >= wanted) started.process.kill('SIGKILL')
      })
    })
    clearTimeout(tooLate)
    const { signal, stderr } = await started.ended
    assert.equal(signal, 'SIGKILL', `no host died at ${where}: ${stderr}`)
    this.#deaths.add('supervisors', 'random')
  }

  /** Hosts are killed on the way. Now and then the supervisor dies before it is ready. */
  async #untilKilled(): Promise<void> {
    const started = this.#start('random')
    const sending = this.#sendTo(started)
    if (this.#random() < 0.2) await sleep(this.#random() * bootKillMsMax)
    else {
      await started.stdout.said('\n')
      for (let kill = 0; kill < hostKillsOfLife; kill++) {
        await sleep(this.#random() * randomKillMsMax)
        if (killOneOf(hostsOf(started.process.pid!), this.#random)) this.#deaths.add('hosts', 'random')
      }
      await sleep(this.#random() * randomKillMsMax)
    }
    started.process.kill('SIGKILL')
    await Promise.all([sending, started.ended])
    this.#deaths.add('supervisors', 'random')
  }

  /** Once it is ready, all clients send until their connections end. Resolves early where it dies before. */
  async #sendTo(started: Started, listen: (runtime: Runtime) => Promise<void> = async () => {}): Promise<void> {
    if ((await Promise.race([started.stdout.said('\n'), started.ended])) !== undefined) return
    let pauses = 0
    let isWarm = () => {}
    const warm = new Promise<void>((resolve) => {
      isWarm = resolve
    })
    // Hosts take a while to start. Were the points passed by enqueues meanwhile, no job would ever have ended by then.
    const pause = async () => {
      await Promise.race([warm, started.ended])
      // A life that waits long for its end must not fill the store meanwhile.
      await sleep(this.#random() * pauseMsMax * (1 + pauses++ / pausesPerSlowing))
    }
    const client = async (number: number) => {
      const runtime = await connect(this.#project.socketPath)
      if (number === 0) {
        await this.#workload.listen(runtime, isWarm)
        await listen(runtime)
      }
      await Promise.all(Array.from({ length: lanesOfEach }, () => this.#workload.sendAll(runtime, pause)))
      await runtime.stop()
    }
    await Promise.all(Array.from({ length: clients }, (_, number) => unlessDisconnected(client(number))))
  }
}

/** @returns false: there was none, or it had just ended by itself */
function killOneOf(hosts: readonly number[], random: () => number): boolean {
  const host = hosts[Math.floor(random() * hosts.length)]
  try {
    return host !== undefined && process.kill(-host, 'SIGKILL')
  } catch {
    return false
  }
}

async function unlessDisconnected(work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!(error instanceof RuntimeError) || error.code !== 'NOT_CONNECTED') throw error
  }
}

function shuffled<T>(list: readonly T[], random: () => number): T[] {
  return list
    .map((item) => ({ item, place: random() }))
    .sort((one, other) => one.place - other.place)
    .map(({ item }) => item)
}

/** The points of one epoch: those of the making of a directory come first, each a step further than the one before. */
function planOf(random: () => number): { making: FailPoint[]; lives: (FailPoint | 'random')[] } {
  const making = allPoints.filter(isOf('create'))
  const first = seed % pointsRotation
  const later = allPoints.filter((point) => !isOf('create')(point))
  const chosen = later.filter((_, index) => index % pointsRotation === first)
  const others = Array.from({ length: randomLives }, () => 'random' as const)
  return { making, lives: shuffled([...chosen, ...others], random) }
}

test('issue 7.2: killed at named points and at random, nothing that was acknowledged is lost or done twice', {
  timeout: isLong ? 7_200_000 : 300_000
}, async (t) => {
  t.diagnostic(`CRASHES_SEED=${seed}`)
  const startedAtMs = performance.now()
  const random = randomFrom(seed)
  const deaths = new Deaths()
  const wanted = new Set<string>()
  let operations = 0
  let epochs = 0
  do {
    await t.test(`epoch ${epochs}`, async (inner) => {
      const epoch = new Epoch(inner, random, deaths)
      const { making, lives } = planOf(random)
      for (const where of [...making, ...lives]) {
        wanted.add(where)
        await epoch.live(where)
      }
      await epoch.finish()
      operations += epoch.operations
    })
    epochs++
  } while (deaths.supervisors + deaths.hosts < killsMin)
  t.diagnostic(
    `${deaths.supervisors} deaths of supervisors, ${deaths.hosts} of hosts, in ${epochs} epochs; ${operations} operations ` +
      `acknowledged; ${Math.round((performance.now() - startedAtMs) / 1000)} s`
  )
  t.diagnostic(`deaths: ${[...deaths.reached].map(([where, count]) => `${where} ${count}`).join(', ')}`)
  const missed = [...wanted].filter((where) => !deaths.reached.has(where))
  assert.deepEqual(missed, [], 'at each wanted point a process has died')
  if (isLong && process.env.CRASHES_POINTS === undefined) {
    assert.deepEqual([...wanted].sort(), ['random', ...Object.keys(failPoints)].sort())
  }
})
