/**
 * E8, E11: the journal under random programs that are cut at any point. A program is a list of groups; the calls of one group
 * run in parallel. The supervisor is `MemoryJournal`. A cut ends the attempt at one of its points: before a question is on
 * disk, after it and before its answer, or in the middle of the function of a step; then the next attempt begins.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { Journal } from '../../runtime/actor/journal.ts'
import type { Ask } from '../../runtime/actor/questions.ts'
import type { JobQuestion, Outcome } from '../../runtime/core/pool.ts'
import { MemoryJournal, outcomeOf } from './memory-journal.ts'

type Call =
  | { kind: 'step'; fails: number }
  | { kind: 'sleep'; ms: number }
  | { kind: 'signal'; timeoutMs: number | undefined; isSent: boolean }
  | { kind: 'enqueue'; jobs: number }

const call: fc.Arbitrary<Call> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('step' as const), fails: fc.nat(1) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('sleep' as const), ms: fc.constantFrom(0, 1_000, 86_400_000) })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('signal' as const),
      timeoutMs: fc.constantFrom(undefined, 5_000),
      isSent: fc.boolean()
    })
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('enqueue' as const), jobs: fc.integer({ min: 1, max: 3 }) }) }
)
const program = fc.array(fc.array(call, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 5 })

/** What is seen of one call, over all attempts. */
interface Witness {
  /** Values that functions of this step have returned, in order. */
  returned: number[]
  /** Values that the method has got, one for each attempt that came so far. */
  got: unknown[]
  thrown: number
}

interface Scene {
  supervisor: MemoryJournal
  witnesses: Witness[][]
  /** Points until the cut; undefined: none. */
  points: number | undefined
  /** The groups run beside each other, and the calls of one after each other. */
  isChained?: boolean
  /** Turns of the event loop that functions of steps take, in the order in which they are called. */
  turns?: number[]
}

const cut = Symbol('cut')

/** @returns the outcome of an attempt; `cut`; what the method threw */
async function attempt(groups: Call[][], scene: Scene): Promise<Outcome | typeof cut | Error> {
  const { supervisor, witnesses } = scene
  return new Promise((resolve) => {
    /** @returns whether the attempt goes on */
    let points = scene.points ?? Infinity
    const passes = () => {
      points -= 1
      if (points === 0) {
        journal.close()
        resolve(cut)
      }
      return points > 0
    }
    const ask = ((type: JobQuestion['type'], question: object) =>
      new Promise((answered) => {
        if (!passes()) return
        const answer = supervisor.answer({ type, ...question } as JobQuestion)
        if (!passes()) return
        void setImmediate().then(() => answer.type === 'answered' && answered(answer.value as never))
      })) as Ask
    const journal = new Journal({ entries: supervisor.begin(), ask, warn: () => {} })
    const run = async (each: Call, group: number, index: number): Promise<unknown> => {
      const witness = witnesses[group]![index]!
      const name = `${each.kind} ${group}.${index}`
      switch (each.kind) {
        case 'step':
          return journal.step(name, async () => {
            if (!passes()) await new Promise(() => {})
            for (let turns = scene.turns?.shift() ?? 1; turns > 0; turns--) await setImmediate()
            if (!passes()) await new Promise(() => {})
            if (witness.thrown < each.fails) {
              witness.thrown += 1
              throw new Error('step failed')
            }
            const value = group * 1_000 + index * 100 + witness.returned.length
            witness.returned.push(value)
            return value
          })
        case 'sleep':
          return journal.sleep(name, `${each.ms}ms`)
        case 'signal':
          return journal.waitFor(name, each.timeoutMs === undefined ? {} : { timeout: `${each.timeoutMs}ms` })
        case 'enqueue':
          return journal.enqueue(
            name,
            Array.from({ length: each.jobs }, () => ({ method: `m${group}.${index}` }))
          )
      }
    }
    const chain = async (calls: Call[], group: number) => {
      for (const [index, each] of calls.entries()) {
        witnesses[group]![index]!.got.push(await run(each, group, index))
      }
    }
    const method = async (): Promise<Outcome> => {
      if (scene.isChained) {
        await Promise.all(groups.map(chain))
        return { type: 'completed', result: '"end"' }
      }
      for (const [group, calls] of groups.entries()) {
        const values = await Promise.all(calls.map((each, index) => run(each, group, index)))
        for (const [index, value] of values.entries()) witnesses[group]![index]!.got.push(value)
      }
      return { type: 'completed', result: '"end"' }
    }
    // What still runs then gets no answers, as from a supervisor for which the attempt is over.
    const end = (outcome: Outcome | Error) => {
      points = -1
      resolve(outcome)
    }
    outcomeOf(journal, method).then(end, end)
  })
}

/** What a suspended job waits for comes about. */
function goOn({ supervisor }: Scene, groups: Call[][], indexes: readonly number[]): void {
  const flat = groups.flat()
  assert.ok(indexes.length > 0)
  const due = supervisor.dueAtMs(indexes)
  for (const index of indexes) {
    const waiting = flat[index]!
    assert.ok(waiting.kind === 'sleep' || waiting.kind === 'signal', 'only what waits suspends')
    const entry = supervisor.entries.find((each) => each.index === index)!
    assert.equal(entry.state, 'open')
    const isDue = due !== null && supervisor.nowMs >= due
    if (waiting.kind === 'signal' && (waiting.isSent || due === null || isDue)) {
      supervisor.signals.push({ name: entry.name, payload: JSON.stringify({ of: entry.name }) })
    }
  }
  if (due !== null) supervisor.nowMs = Math.max(supervisor.nowMs, due)
}

function newScene(groups: Call[][]): Scene {
  const witnesses = groups.map((calls) => calls.map((): Witness => ({ returned: [], got: [], thrown: 0 })))
  return { supervisor: new MemoryJournal(), witnesses, points: undefined }
}

test('random programs with cuts at any point: what is kept is used once and replayed, and the program comes to its end', async () => {
  let suspensions = 0
  let cuts = 0
  await fc.assert(
    fc.asyncProperty(program, fc.array(fc.integer({ min: 1, max: 25 }), { maxLength: 6 }), async (groups, cutsAt) => {
      const scene = newScene(groups)
      const { supervisor, witnesses } = scene
      let outcome: Awaited<ReturnType<typeof attempt>>
      let attempts = 0
      for (;;) {
        attempts += 1
        assert.ok(attempts < 100, 'it ends')
        scene.points = cutsAt.shift()
        outcome = await attempt(groups, scene)
        if (outcome === cut) cuts += 1
        else if (outcome instanceof Error) assert.equal(outcome.message, 'step failed')
        else if (outcome.type === 'suspended') {
          suspensions += 1
          goOn(scene, groups, outcome.entries)
        } else break
      }
      assert.deepEqual(outcome, { type: 'completed', result: '"end"' })
      const flat = groups.flat()
      assert.equal(supervisor.entries.length, flat.length)
      for (const [place, witness] of witnesses.flat().entries()) {
        const each = flat[place]!
        const entry = supervisor.entries.find(({ index }) => index === place)!
        assert.equal(entry.kind, each.kind)
        assert.notEqual(entry.state, 'open')
        const [value, ...others] = witness.got
        assert.ok(witness.got.length > 0)
        for (const other of others) assert.deepEqual(other, value, 'each attempt gets the same')
        if (each.kind === 'step') {
          assert.equal(value, witness.returned.at(-1), 'what is kept is what the last function returned')
          assert.equal(JSON.parse(entry.result!), value)
          // A function that returned without its result on disk was cut between the two; nothing else runs again.
          assert.ok(entry.runs - entry.cuts >= witness.thrown, `${entry.runs} ${entry.cuts} ${witness.thrown}`)
          assert.ok(witness.returned.length <= 1 + entry.cuts, 'a step runs again only where it was cut')
        } else if (each.kind === 'enqueue') {
          const ids = Array.from(
            { length: each.jobs },
            (_, index) => `${entry.name.replace('enqueue ', 'm')}-${place}-${index}`
          )
          assert.deepEqual(value, ids)
          for (const id of ids) assert.equal(supervisor.enqueued.filter((one) => one === id).length, 1, 'enqueued once')
        } else if (each.kind === 'signal') {
          assert.deepEqual(value, entry.state === 'timedOut' ? undefined : { of: entry.name })
        } else assert.ok(entry.untilMs! <= supervisor.nowMs, 'nobody goes on before')
      }
    }),
    { numRuns: 400 }
  )
  assert.ok(suspensions > 50 && cuts > 100, `${suspensions} suspensions, ${cuts} cuts`)
})

test('random programs of chains beside each other: each attempt makes the calls in the same order, whatever ends first', async () => {
  let suspensions = 0
  let cuts = 0
  const turnsOfSteps = fc.array(fc.nat(4), { maxLength: 40 })
  const ends = fc.array(fc.nat(20), { maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(
      program,
      fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 6 }),
      turnsOfSteps,
      ends,
      async (groups, cutsAt, turns, order) => {
        const scene = { ...newScene(groups), isChained: true, turns: [...turns] }
        const { supervisor, witnesses } = scene
        const picks = [...order]
        let outcome: Awaited<ReturnType<typeof attempt>>
        let attempts = 0
        for (;;) {
          attempts += 1
          assert.ok(attempts < 100, 'it ends')
          ;(scene as Scene).points = cutsAt.shift()
          outcome = await attempt(groups, scene)
          if (outcome === cut) cuts += 1
          else if (outcome instanceof Error) assert.equal(outcome.message, 'step failed')
          else if (outcome.type === 'suspended') {
            suspensions += 1
            // One of them, in any order.
            const open = outcome.entries.map((at) => supervisor.entries.find(({ index }) => index === at)!)
            const entry = open[(picks.shift() ?? 0) % open.length]!
            if (entry.kind === 'signal') supervisor.signal(entry.name, JSON.stringify({ of: entry.name }))
            else supervisor.nowMs = Math.max(supervisor.nowMs, entry.untilMs!)
          } else break
        }
        assert.deepEqual(outcome, { type: 'completed', result: '"end"' })
        assert.equal(supervisor.entries.length, groups.flat().length)
        for (const witness of witnesses.flat()) {
          const [value, ...others] = witness.got
          for (const other of others) assert.deepEqual(other, value, 'each attempt gets the same')
        }
      }
    ),
    { numRuns: 600 }
  )
  assert.ok(suspensions > 100 && cuts > 100, `${suspensions} suspensions, ${cuts} cuts`)
})

test('random programs whose order has changed between two attempts are refused, and nothing new runs', async () => {
  let refused = 0
  await fc.assert(
    fc.asyncProperty(
      program,
      fc.integer({ min: 2, max: 25 }),
      fc.nat(20),
      fc.constantFrom('take out', 'put in', 'rename'),
      async (groups, cutAt, at, change) => {
        const scene = newScene(groups)
        scene.points = cutAt
        const first = await attempt(groups, scene)
        const { entries } = scene.supervisor
        fc.pre(entries.length > 0)
        const place = at % entries.length
        // As the code of another release would have it: the calls are known by their names.
        const flat = groups.flat()
        const changed = flat.map((each) => ({ ...each, fails: 0 })) as Call[]
        const named = groups.flatMap((calls, group) => calls.map((each, index) => `${each.kind} ${group}.${index}`))
        const names = [...named]
        if (change === 'take out') {
          changed.splice(place, 1)
          names.splice(place, 1)
        } else if (change === 'put in') {
          changed.splice(place, 0, { kind: 'step', fails: 0 })
          names.splice(place, 0, 'new')
        } else names[place] = 'renamed'
        const ran: string[] = []
        const { supervisor } = scene
        const ask = ((type: JobQuestion['type'], question: object) => {
          const answer = supervisor.answer({ type, ...question } as JobQuestion) as { value: unknown }
          return Promise.resolve(answer.value)
        }) as Ask
        const before = new Set(entries.filter(({ state }) => state !== 'open').map(({ index }) => index))
        supervisor.nowMs += 1_000 * 86_400_000
        const journal = new Journal({ entries: supervisor.begin(), ask, warn: () => {} })
        const outcome = await outcomeOf(journal, async () => {
          for (const [index, each] of changed.entries()) {
            const name = names[index]!
            if (each.kind === 'step') await journal.step(name, () => void ran.push(name))
            else if (each.kind === 'sleep') await journal.sleep(name, 0)
            else if (each.kind === 'signal') await journal.waitFor(name, { timeout: 0 })
            else await journal.enqueue(name, [{ method: 'a.b' }])
          }
          return { type: 'completed', result: 'null' }
        })
        void first
        if (outcome.type === 'suspended') return
        assert.equal(outcome.type, 'failed', JSON.stringify({ entries, names, outcome }))
        refused += 1
        const { error, final } = outcome as Outcome & { type: 'failed' }
        assert.deepEqual([error.code, error.name, final], ['UNRECOVERABLE', 'StepsChanged', true])
        assert.match(error.message, new RegExp(`call ${place + 1} of its steps`))
        for (const name of ran) assert.ok(!before.has(named.indexOf(name)), 'nothing that is done runs again')
        assert.ok(!ran.includes('new') && !ran.includes('renamed'), 'and nothing new runs')
      }
    ),
    { numRuns: 400 }
  )
  assert.ok(refused > 200, `${refused}`)
})
