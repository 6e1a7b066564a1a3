/**
 * Every fault × every transition (issue 7.1). Each transition is played once without a fault, to find out which commit it is;
 * then again for each fault, which meets exactly that commit. The world is a function of its seed, so it is the same one again.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lifecycle } from '../../runtime/core/lifecycle.ts'
import { placesIn } from '../../runtime/queue/places.ts'
import { readJob } from '../../runtime/queue/stored-job.ts'
import { runningRange } from '../../runtime/store/keys.ts'
import type { Fault } from './simulated-disk.ts'
import { type Answer, SimulatedWorld } from './simulated-world.ts'
import { lookAt, type Transition, transitions } from './transitions.ts'
import { untilEnded } from './until-ended.ts'

const roomAfterMs = 5_000

const faults: Readonly<Record<string, Fault>> = {
  'a crash before the commit': { type: 'crash', isKept: false },
  'a crash behind the commit, before anyone is told': { type: 'crash', isKept: true },
  'a full disk': { type: 'full' },
  'a write that is refused': { type: 'full', atWrite: 0 },
  'an input/output error, and nothing is kept': { type: 'failed', isKept: false },
  'an input/output error in a write': { type: 'failed', atWrite: 0, isKept: false },
  'an input/output error, and all is kept': { type: 'failed', isKept: true },
  'a commit that takes long': { type: 'slow', ms: 3_000 }
}

const silent = { runs() {}, gave() {}, calledStep() {}, stepIsStored() {}, received() {} }

interface Played {
  world: SimulatedWorld
  /** Which transaction made the transition. */
  at: number | undefined
  answer: Answer<unknown> | undefined
  /** How it looked when the machine died; undefined: it did not. */
  diedAs: string | undefined
}

/** Until the transition has happened, or the fault has met it. */
async function play(transition: Transition, faultAt?: number, fault?: Fault): Promise<Played> {
  const { setup = [], act, from, to, look = lookAt('j') } = transition
  let before = ''
  let fullUntilMs = 0
  const played: Played = { world: undefined as never, at: undefined, answer: undefined, diedAs: undefined }
  const world: SimulatedWorld = new SimulatedWorld({
    seed: 7,
    runtime: transition.runtime ?? {},
    watcher: silent,
    faultOf: (transaction) => {
      if (transaction === faultAt && fault!.type === 'full') fullUntilMs = world.monotonicMs + roomAfterMs
      if (transaction === faultAt) return fault
      return world.monotonicMs < fullUntilMs ? { type: 'full' } : undefined
    },
    committed: () => {
      const now = look(world.reader)
      if (before === from && now === to) played.at ??= world.transactions - 1
      before = now
    }
  })
  world.isCalm = true
  played.world = world
  assert(await world.boot())
  before = look(world.reader)
  const settle = async (isDone: () => boolean) => {
    for (let moments = 0; world.isUp && !isDone(); moments++) {
      assert(moments < 2_000, `${transition.name}: it does not happen`)
      await world.rest()
      if (!isDone() && world.isUp) assert(await world.advance(Number.POSITIVE_INFINITY), 'nothing is left to happen')
    }
  }
  const isOver = () => played.at !== undefined || fullUntilMs > 0
  for (const each of setup) {
    let isAnswered = false
    if (!world.isUp) break
    void world.request('setup', each).then(() => {
      isAnswered = true
    })
    while (world.isUp && !isAnswered) await world.turn()
  }
  for (const untilMs = world.monotonicMs + (transition.passMs ?? 0); world.isUp && (await world.advance(untilMs)); ) {}
  if (act !== undefined && world.isUp) {
    await world.rest()
    assert.equal(look(world.reader), from, `${transition.name}: before`)
    void world.request('act', act).then((answer) => {
      played.answer = answer
    })
    await settle(() => played.answer !== undefined)
  } else await settle(isOver)
  if (!world.isUp) played.diedAs = look(world.reader)
  return played
}

/** Everything comes to its end, and the store is whole. */
async function finish({ world }: Played, name: string): Promise<void> {
  world.assertStore()
  await world.rest()
  for (const queue of world.config.queues.keys()) void world.service['queue.resume']({ queue })
  void world.service['schedule.pause']({})
  await world.rest()
  await untilEnded(world)
  await world.rest()
  assert.deepEqual(world.defects, [], name)
  world.assertStore()
  await world.stop(1_000)
}

function runningIn({ reader }: SimulatedWorld): string[] {
  return [...placesIn(reader, 'running', runningRange)].map(({ seq }) => readJob(reader, seq)!.spec.id)
}

async function cell(transition: Transition, at: number, faultName: string): Promise<void> {
  const fault = faults[faultName]!
  const name = `${transition.name}, ${faultName}`
  const { act, from, to, recovered = from, look = lookAt('j') } = transition
  const played = await play(transition, at, fault)
  const { world } = played
  const endsLife = fault.type === 'crash' || fault.type === 'failed'
  const isKept = endsLife && fault.isKept
  if (endsLife) {
    assert.equal(played.diedAs, isKept ? to : from, `${name}: on the disk`)
    if (act !== undefined) assert.equal(played.answer?.type, 'unknown', `${name}: acknowledged`)
    world.assertStore()
    assert(await world.boot(), `${name}: it starts again`)
    if (!isKept) assert.equal(look(world.reader), recovered, `${name}: recovered`)
  } else if (fault.type === 'slow') {
    assert.equal(played.at, at, `${name}: the commit`)
    if (act !== undefined) assert.equal(played.answer?.type, 'acknowledged', `${name}: acknowledged`)
  } else if (act !== undefined) {
    assert(played.answer?.type === 'refused', `${name}: refused`)
    assert.equal(played.answer.error.code, 'STORAGE_FULL', name)
    assert.equal(look(world.reader), from, `${name}: nothing of it`)
    assert.deepEqual(world.running, runningIn(world), `${name}: what runs goes on`)
    world.monotonicMs += roomAfterMs
  } else {
    // Whoever has it to do tries again by itself, once there is room.
    assert.equal(played.at, undefined)
    while (played.at === undefined) {
      await world.rest()
      assert(played.at !== undefined || (await world.advance(Number.POSITIVE_INFINITY)), `${name}: nobody tries again`)
    }
  }
  if (act !== undefined && fault.type !== 'slow' && !isKept) {
    await world.rest()
    const { type } = await world.request('again', act).then(
      (answer) => answer,
      () => ({ type: 'unknown' })
    )
    assert.equal(type, 'acknowledged', `${name}: asked for again`)
  }
  await finish(played, name)
}

test('issue 7.1: every fault meets every transition', { timeout: 300_000 }, async (t) => {
  const startedAtMs = performance.now()
  let cells = 0
  const failures: string[] = []
  for (const transition of transitions) {
    const { at, world } = await play(transition)
    assert(at !== undefined, `${transition.name} happens`)
    await finish({ world, at, answer: undefined, diedAs: undefined }, transition.name)
    for (const fault of Object.keys(faults)) {
      try {
        await cell(transition, at, fault)
        cells++
      } catch (error) {
        failures.push(`${transition.name}, ${fault}: ${(error as Error).message}`)
      }
    }
  }
  assert.deepEqual(failures, [])
  assert.equal(cells, transitions.length * Object.keys(faults).length)
  const seconds = ((performance.now() - startedAtMs) / 1_000).toFixed(1)
  t.diagnostic(
    `${transitions.length} transitions, ${Object.keys(faults).length} faults, ${cells} cells in ${seconds} s`
  )
})

test('issue 7.1: every arrow of the lifecycle is among the transitions', () => {
  const arrows = Object.entries(lifecycle).flatMap(([state, events]) =>
    Object.keys(events).map((event) => `${state} ${event}`)
  )
  const played = transitions.flatMap(({ arrow }) => (arrow === undefined ? [] : [arrow.join(' ')]))
  assert.deepEqual(played.toSorted(), arrows.toSorted())
})
