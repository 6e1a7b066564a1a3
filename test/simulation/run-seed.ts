/** One life story of a world, as its seed has it: clients, faults, and time that goes on; then peace, until all has ended. */
import assert from 'node:assert/strict'
import { Clients, options, periodsMs } from './clients.ts'
import { Ledger } from './ledger.ts'
import type { Fault } from './simulated-disk.ts'
import { SimulatedWorld } from './simulated-world.ts'
import { untilEnded } from './until-ended.ts'

export interface Story {
  /** Of all that happened. */
  digest: string
  lives: number
  transactions: number
  jobs: number
  checks: number
  faults: number
  waits: number
  givenBack: number
}

const hourMs = 3_600_000
const momentsMax = 20_000

/** @throws what does not hold, with the end of the trace */
export async function runSeed(seed: number): Promise<Story> {
  const ledger = new Ledger(periodsMs)
  let faults = 0
  const world: SimulatedWorld = new SimulatedWorld({
    seed,
    runtime: options,
    watcher: ledger,
    faultOf: () => {
      const fault = world.isCalm ? undefined : drawFault(world)
      if (fault !== undefined) faults++
      return fault
    },
    committed: (writes) => ledger.committed(world.reader, writes)
  })
  const uncaught = (error: unknown) => world.defects.push(error)
  process.on('unhandledRejection', uncaught)
  process.on('uncaughtException', uncaught)
  try {
    await live(world, ledger)
    await end(world, ledger)
  } catch (error) {
    const told = [`seed ${seed}, life ${world.lives}: ${(error as Error).message}`, ...world.lastLines].join('\n  ')
    const replay = `${told}\nReplay: SIMULATION_SEED=${seed} node .dev/test.mjs test/simulation/simulation`
    // Where a promise was rejected that nobody waits for, the test has failed by now, and its own error is not shown.
    console.error(replay)
    throw new Error(replay, { cause: error })
  } finally {
    process.off('unhandledRejection', uncaught)
    process.off('uncaughtException', uncaught)
  }
  const { lives, transactions, waits, givenBack } = world
  const { jobs, checks } = ledger
  return { digest: world.digest(), lives, transactions, jobs: jobs.size, checks, faults, waits, givenBack }
}

/** One transaction in a few dozen. While the disk is full every one is refused. */
let fullUntilMs = 0
function drawFault(world: SimulatedWorld): Fault | undefined {
  const { random } = world
  if (world.monotonicMs < fullUntilMs) return { type: 'full' }
  if (random() > 0.03) return undefined
  const atWrite = Math.floor(random() * 6)
  const drawn = random()
  if (drawn < 0.3) return { type: 'slow', ms: random() * 20_000 }
  if (drawn < 0.45) return { type: 'full', atWrite }
  if (drawn < 0.55) return { type: 'full' }
  if (drawn < 0.62) {
    fullUntilMs = world.monotonicMs + random() * 8_000
    return { type: 'full' }
  }
  if (drawn < 0.7) return { type: 'failed', isKept: random() < 0.5 }
  if (drawn < 0.75) return { type: 'failed', atWrite, isKept: false }
  return { type: 'crash', isKept: random() < 0.5 }
}

async function live(world: SimulatedWorld, ledger: Ledger): Promise<void> {
  const { random } = world
  const clients = new Clients(world, ledger)
  const steps = 50 + Math.floor(random() * 70)
  fullUntilMs = 0
  for (let step = 0; step < steps; step++) {
    if (!world.isUp) await up(world, ledger)
    const drawn = random()
    if (drawn < 0.5) {
      for (let count = 1 + Math.floor(random() * 4); count > 0 && world.isUp; count--) clients.ask()
      if (random() < 0.7) await world.turn()
    } else if (drawn < 0.9) await pass(world, random() < 0.1 ? random() * 300_000 : random() * 6_000)
    else if (drawn < 0.93) world.setClock((random() - 0.5) * 4 * hourMs)
    else if (drawn < 0.95) world.crash()
    else if (drawn < 0.97) await world.stop(random() * 20_000)
    else await world.rest()
    throwFirst(world.defects)
    if (random() < 0.02 && world.isUp) await check(world, ledger)
  }
}

async function pass(world: SimulatedWorld, spanMs: number): Promise<void> {
  const untilMs = world.monotonicMs + spanMs
  for (let moments = 0; world.isUp && (await world.advance(untilMs)); moments++) {
    assert(moments < momentsMax, 'time does not go on')
  }
  if (world.isUp) world.monotonicMs = Math.max(world.monotonicMs, untilMs)
}

async function up(world: SimulatedWorld, ledger: Ledger): Promise<void> {
  // What a start repairs it would hide; to look each time would take too long.
  if (world.random() < 0.3) world.assertStore()
  let tries = 0
  while (!(await world.boot())) {
    // As the service manager of a machine does, some time later.
    world.monotonicMs += 1_000
    assert(tries++ < 100, 'it does not start')
  }
  if (world.random() < 0.6) await check(world, ledger)
}

async function check(world: SimulatedWorld, ledger: Ledger): Promise<void> {
  world.assertStore()
  await ledger.check(world.service, world.reader)
}

/** No faults, nobody asks for anything new: whatever is there comes to its end. */
async function end(world: SimulatedWorld, ledger: Ledger): Promise<void> {
  world.isCalm = true
  if (!world.isUp) await up(world, ledger)
  await world.rest()
  const { service } = world
  void service.maintenance({ on: false })
  void service['schedule.pause']({})
  for (const queue of world.config.queues.keys()) void service['queue.resume']({ queue })
  await world.rest()
  await untilEnded(world)
  await pass(world, 120_000)
  await world.rest()
  throwFirst(world.defects)
  world.assertStore()
  assert.equal((await service.status({})).state, 'running', 'there is room again')
  await ledger.checkEnd(service, world.reader)
  await world.stop(1_000)
  world.assertStore()
}

/** Of what came to light where nobody could be told. */
function throwFirst(defects: readonly unknown[]): void {
  if (defects.length > 0) throw defects[0]
}
