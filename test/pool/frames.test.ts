/** Many jobs at a time: what one of them does, however bad, is its own affair, and each has one end. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import type { Outcome } from '../../runtime/core/pool.ts'
import { type PoolKind, poolOver, startPool, writeModule } from './pool-fixture.ts'

const timeout = 120_000

/** Each job writes its number down as it begins. */
const modules = {
  'a.js': `
import { appendFileSync, existsSync } from 'node:fs'
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const begun = ({ file, n }) => appendFileSync(file, n + ' ')
export function quick(params) { begun(params); return params.n % 2 === 0 ? undefined : { n: params.n, text: 'ä€😀' } }
export async function later(params) { begun(params); await null; return params.n }
export function noop() {}
export function blocks(params) { begun(params); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0) }
export function spins(params) { begun(params); while (true); }
export function waits(params) { begun(params); return new Promise(() => {}) }
export async function slow(params) { begun(params); await pause(15); return params.n }
export async function until(params) { begun(params); while (!existsSync(params.go)) await pause(2); return params.n }
export function throws(params) { begun(params); throw new Error('thrown') }
export function large(params) { begun(params); return 'x'.repeat(100_000) }
export function leaves(params) { begun(params); setInterval(() => {}, 1000); return params.n }
export function exits(params) { begun(params); process.exit(3) }
export function floats(params) { begun(params); void Promise.reject(new Error('floating')); return params.n }
export function bomb(params) { begun(params); setTimeout(() => { throw new Error('left') }, 5).unref(); return params.n }
export function late(params) { begun(params); setTimeout(() => { throw new Error('too late') }); return params.n }
export function killsHost(params) { process.kill(process.pid, 'SIGKILL'); return new Promise(() => {}) }
`
}

type Call = [method: string, params?: unknown]

async function start(t: TestContext, threads: number, kind: PoolKind) {
  const fixture = startPool(t, modules, threads, kind)
  const file = join(fixture.folder, 'begun')
  writeFileSync(file, '')
  // So that the pool knows how quick jobs are here, and makes frames of many.
  for (let round = 0; round < 5; round++) {
    const ids = fixture.runMany(Array.from({ length: 100 }, (): Call => ['a.noop']))
    await Promise.all(ids.map((id) => fixture.heard.outcomeOf(id)))
  }
  const calls = new Map<string, Call>()
  const give = (methods: readonly string[], first = 0) => {
    const all = methods.map(
      (method, n): Call => [`a.${method}`, { file, n: first + n, go: join(fixture.folder, 'go') }]
    )
    const ids = fixture.runMany(all)
    for (const [index, id] of ids.entries()) calls.set(id, all[index]!)
    return ids
  }
  const outcomes = (ids: readonly string[]) => Promise.all(ids.map((id) => fixture.heard.outcomeOf(id)))
  /** As a dispatcher does: what was given back is given again. */
  const finalOutcome = async (id: string): Promise<Outcome> => {
    const outcome = await fixture.heard.outcomeOf(id)
    if (!isGivenBack(outcome)) return outcome
    const [again] = fixture.runMany([calls.get(id)!])
    calls.set(again!, calls.get(id)!)
    return finalOutcome(again!)
  }
  const finalOutcomes = (ids: readonly string[]) => Promise.all(ids.map(finalOutcome))
  const begun = () => readFileSync(file, 'utf8').trim().split(' ').filter(Boolean).map(Number)
  return { ...fixture, give, outcomes, finalOutcomes, begun }
}

/** `method` between many quick ones. @returns their names, and its place */
function amongQuick(method: string): { methods: string[]; place: number } {
  const place = 40
  return { methods: Array.from({ length: 100 }, (_, n) => (n === place ? method : 'quick')), place }
}

const isGivenBack = (outcome: Outcome) => outcome.type === 'givenBack' && !outcome.hostEnded

/** Each of the jobs beside has completed; or was given back, and then it has not begun. */
function assertUnharmed(outcomes: readonly Outcome[], begun: readonly number[], place: number): void {
  assert.equal(new Set(begun).size, begun.length, 'none ran twice')
  for (const [n, outcome] of outcomes.entries()) {
    if (n === place) continue
    if (isGivenBack(outcome)) assert.ok(!begun.includes(n), `${n} has begun and was given back`)
    else assert.equal(outcome.type, 'completed', `${n}: ${JSON.stringify(outcome)}`)
  }
}

for (const kind of ['threads', 'hosts'] as const) {
  test(`jobs that are given together run in their order, and each has its own result (${kind})`, {
    timeout
  }, async (t) => {
    const { heard, give, outcomes, begun } = await start(t, 1, kind)
    const ids = give(Array.from({ length: 300 }, (_, n) => (n % 7 === 0 ? 'later' : n === 200 ? 'large' : 'quick')))
    const results = await outcomes(ids)
    const ran = ids.filter((_, n) => !isGivenBack(results[n]!))
    assert.deepEqual(
      begun(),
      ran.map((id) => ids.indexOf(id))
    )
    const told = heard.said
      .filter(({ id, type, outcome }) => type === 'outcome' && ran.includes(id) && outcome)
      .map(({ id }) => id)
    assert.deepEqual(told, ran)
    for (const [n, outcome] of results.entries()) {
      if (isGivenBack(outcome)) continue
      const value = n % 7 === 0 ? n : n === 200 ? 'x'.repeat(100_000) : n % 2 === 0 ? null : { n, text: 'ä€😀' }
      assert.deepEqual(JSON.parse((outcome as Outcome & { type: 'completed' }).result), value)
    }
    assert.ok(heard.said.filter(({ type }) => type === 'started').length < 400, 'the start of quick jobs is not told')
  })

  for (const method of ['blocks', 'spins', 'waits']) {
    test(`a job that ${method} does not hold back those behind it (${kind})`, { timeout }, async (t) => {
      const { pool, heard, give, outcomes, begun } = await start(t, 2, kind)
      const { methods, place } = amongQuick(method)
      const ids = give(methods)
      const others = await outcomes(ids.toSpliced(place, 1))
      await heard.startOf(ids[place]!)
      assertUnharmed(others.toSpliced(place, 0, others[0]!), begun(), place)
      // On the other thread. Where the machine keeps that from running for 20 ms they are given back, and the next one shows it.
      let hasRun = others.filter(({ type }) => type === 'completed').length > place
      while (!hasRun) hasRun = (await outcomes(give(['quick'])))[0]!.type === 'completed'
      pool.kill(ids[place]!)
      assert.deepEqual((await outcomes(give(['quick'])))[0]!.type, 'completed')
      assert.equal(heard.of(ids[place]!).at(-1)?.type, 'started')
    })
  }

  test(`what no thread takes in time is given back, and never begins (${kind})`, { timeout }, async (t) => {
    const { pool, heard, give, outcomes, begun } = await start(t, 1, kind)
    const { methods, place } = amongQuick('waits')
    const ids = give(methods)
    await heard.startOf(ids[place]!)
    const later = give(['quick', 'quick'])
    const results = await outcomes([...ids.toSpliced(place, 1), ...later])
    assert.deepEqual(
      results.slice(place).filter((outcome) => !isGivenBack(outcome)),
      []
    )
    assert.deepEqual(
      begun().filter((n) => n > place),
      []
    )
    pool.kill(ids[place]!)
  })

  test(`a kill of a job that has not begun costs no thread, one of the job that runs costs no other job (${kind})`, {
    timeout
  }, async (t) => {
    const { pool, heard, give, outcomes, begun } = await start(t, 1, kind)
    const { methods, place } = amongQuick('waits')
    const ids = give(methods)
    const dropped = [ids[60]!, ids[99]!]
    for (const id of dropped) pool.kill(id)
    await heard.startOf(ids[place]!)
    const killed = ids[place]!
    pool.kill(ids[61]!)
    pool.kill(killed)
    const gone = new Set([killed, ids[61]!, ...dropped])
    for (const [n, id] of ids.entries()) {
      if (gone.has(id)) continue
      const [outcome] = await outcomes([id])
      assert.ok(begun().includes(n) ? outcome!.type === 'completed' : isGivenBack(outcome!), `${n} ${outcome!.type}`)
    }
    assert.equal(new Set(begun()).size, begun().length)
    for (const id of dropped) assert.deepEqual(heard.of(id), [])
    assert.ok(!begun().includes(61), 'it was behind the one that ran')
    assert.equal(heard.of(killed).filter(({ type }) => type === 'outcome').length, 0)
  })

  const bad: [method: string, code: string][] = [
    ['throws', 'THROWN'],
    ['exits', 'WORKER_EXITED'],
    ['floats', 'WORKER_EXITED'],
    ['late', 'WORKER_EXITED'],
    ['leaves', 'completed'],
    ['bomb', 'completed']
  ]
  for (const [method, code] of bad) {
    test(`a job that ${method} between others: they complete, each once (${kind})`, { timeout }, async (t) => {
      const { heard, give, finalOutcomes, begun } = await start(t, 1, kind)
      const { methods, place } = amongQuick(method)
      const ids = give([...methods, 'slow', 'slow'])
      const results = await finalOutcomes(ids)
      assertUnharmed(results, begun(), place)
      const own = results[place]!
      assert.equal(own.type === 'failed' ? own.error.code : own.type, code, JSON.stringify(own))
      for (const id of ids) assert.equal(heard.of(id).filter(({ type }) => type === 'outcome').length, 1)
      const warned = heard.said.filter(({ line }) => line?.message.startsWith('The job left behind') === true)
      const isOwn = ({ id }: { id: string }) => JSON.stringify(heard.of(id).at(-1)!.outcome) === JSON.stringify(own)
      assert.deepEqual(warned.map(isOwn), method === 'leaves' ? [true] : [])
    })
  }

  test(`after renew what waits runs the new code, and nothing is lost (${kind})`, { timeout }, async (t) => {
    const { pool, folder, give, runMany, outcomes, heard } = await start(t, 1, kind)
    const [running] = give(['until'])
    await heard.startOf(running!)
    writeModule(folder, 'a.js', `${modules['a.js']}\nexport const version = () => 2`)
    const waiting = runMany([['a.version'], ['a.version']])
    pool.renew()
    // A host that retires runs what it can no longer give back, with the code that it has.
    if (kind === 'hosts') await outcomes(waiting)
    writeFileSync(join(folder, 'go'), '')
    assert.equal((await outcomes([running!]))[0]!.type, 'completed')
    for (const outcome of await outcomes(waiting)) {
      if (!isGivenBack(outcome)) assert.deepEqual(outcome, { type: 'completed', result: '2' })
    }
  })
}

test('a host that ends: what is known to have begun has crashed, the others are given back', { timeout }, async (t) => {
  const { give, outcomes, heard, begun } = await start(t, 2, 'hosts')
  const [neighbour] = give(['waits'], 1_000)
  await heard.startOf(neighbour!)
  const { methods, place } = amongQuick('killsHost')
  const ids = give(methods)
  const [own, ...results] = await outcomes([neighbour!, ...ids])
  assert.equal(own!.type, 'crashed')
  assert.equal((own as Outcome & { type: 'crashed' }).alone, false)
  const types = results.map((outcome) => (outcome.type === 'givenBack' ? outcome.hostEnded : outcome.type))
  assert.ok(types.filter((type) => type === 'crashed').length <= 2, 'no more than ran')
  assert.ok(types[place] === 'crashed' || types[place] === true, `${types[place]}`)
  assert.ok(types.slice(place + 1).every((type) => type === true || type === false || type === 'completed'))
  assert.equal(new Set(begun()).size, begun().length)
})

const endings: Record<string, string | undefined> = {
  noop: 'completed',
  quick: 'completed',
  later: 'completed',
  slow: 'completed',
  large: 'completed',
  throws: 'THROWN',
  leaves: 'completed',
  exits: 'WORKER_EXITED',
  floats: 'WORKER_EXITED',
  waits: undefined,
  spins: undefined
}

const script = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ quick: fc.integer({ min: 1, max: 60 }), killed: fc.array(fc.nat(59), { maxLength: 2 }) })
    },
    { weight: 5, arbitrary: fc.record({ one: fc.constantFrom(...Object.keys(endings)), turns: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.constant('renew' as const) }
  ),
  { minLength: 1, maxLength: 14 }
)

for (const kind of ['threads', 'hosts'] as const) {
  test(`under any mix of jobs, kills and renewals each job ends once, or was killed, and none runs twice (${kind})`, {
    timeout
  }, async (t) => {
    const { folder } = startPool(t, modules)
    let round = 0
    await fc.assert(
      fc.asyncProperty(script, fc.integer({ min: 1, max: 2 }), async (acts, threads) => {
        const { pool, heard, runMany } = poolOver(t, folder, threads, kind)
        const file = join(folder, `begun-${kind}-${round++}`)
        writeFileSync(file, '')
        const given: { id: string; method: string }[] = []
        const killed = new Set<string>()
        const give = (methods: string[]) => {
          const ids = runMany(methods.map((method, index): Call => [`a.${method}`, { file, n: given.length + index }]))
          given.push(...ids.map((id, index) => ({ id, method: methods[index]! })))
          return ids
        }
        const kill = (id: string) => {
          if (!heard.of(id).some(({ type }) => type === 'outcome')) killed.add(id)
          pool.kill(id)
        }
        const endless: Promise<void>[] = []
        for (const act of acts) {
          if (act === 'renew') pool.renew()
          else if ('quick' in act) {
            const ids = give(Array(act.quick).fill('quick'))
            for (const at of act.killed) if (ids[at] !== undefined) kill(ids[at])
          } else {
            const [id] = give([act.one])
            const turn = act.turns > 0 ? heard.first((said) => said.id === id) : Promise.resolve()
            if (endings[act.one] === undefined) endless.push(Promise.resolve(turn).then(() => kill(id!)))
            else if (act.turns === 2) await turn
          }
        }
        await Promise.all(endless)
        for (const { id, method } of given) {
          if (killed.has(id)) continue
          const outcome = await heard.outcomeOf(id)
          const end = outcome.type === 'failed' ? outcome.error.code : outcome.type
          if (!isGivenBack(outcome)) assert.equal(end, endings[method], `${method}: ${JSON.stringify(outcome)}`)
        }
        const begun = readFileSync(file, 'utf8').trim().split(' ').filter(Boolean).map(Number)
        assert.equal(new Set(begun).size, begun.length, 'none has begun twice')
        for (const [n, { id }] of given.entries()) {
          const ends = heard.of(id).filter(({ type }) => type === 'outcome')
          assert.equal(ends.length, killed.has(id) ? 0 : 1, id)
          if (ends.length > 0) assert.equal(heard.of(id).at(-1)!.type, 'outcome')
          if (ends[0] !== undefined && isGivenBack(ends[0].outcome!))
            assert.ok(!begun.includes(n), 'given back, and begun')
        }
        await pool.stop()
      }),
      { numRuns: (kind === 'threads' ? 8 : 4) * (process.env.LONG ? 20 : 1) }
    )
  })
}
