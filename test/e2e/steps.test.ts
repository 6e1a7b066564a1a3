/**
 * Durable steps under kills. Each step leaves a line in a file, the witness of how often its function was called. A method
 * stops at a gate after a step, or in the middle of one, until a file opens it; the test kills it there.
 *
 * A job that was killed three times with its host is failed; it is retried by hand, which keeps its steps.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { configFromOptions } from '../../runtime/config/load.ts'
import type { Runtime } from '../../runtime/core/api.ts'
import type { Clock } from '../../runtime/core/clock.ts'
import type { JobView } from '../../runtime/core/job.ts'
import type { JobState } from '../../runtime/core/lifecycle.ts'
import { type StartedRuntime, startRuntime } from '../../runtime/embed/start-runtime.ts'
import { hostsOf } from '../isolation/process-tree.ts'
import { connected, finishedJob, untilState } from '../support/connected.ts'
import { actorImports } from '../support/documents.ts'
import { stillAlive } from '../support/processes.ts'
import { type SupervisorProcess, TestProject } from '../support/supervisor-process.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const limit = { timeout: 90_000 }
const steps = 10
const dayMs = 24 * 3_600_000

const actors = `${actorImports}
import { appendFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const leave = (folder, name, text) => appendFileSync(join(folder, name), text + '\\n')
async function gate(folder, name) {
  leave(folder, 'at ' + name, '')
  while (!existsSync(join(folder, 'go ' + name))) await sleep(5)
}

export async function ten({ folder }, ctx) {
  const results = []
  for (let n = 0; n < ${steps}; n++) {
    const result = await ctx.step('step ' + n, () => {
      leave(folder, 'step ' + n, ctx.attempt)
      return { square: n * n }
    })
    results.push(result.square)
    await gate(folder, n)
  }
  return results
}

export async function cut({ folder }, ctx) {
  const before = await ctx.step('before', () => leave(folder, 'before', '') ?? 'kept')
  return await ctx.step('charge', async ({ run, wasCut }) => {
    leave(folder, 'charge', run + ' ' + wasCut)
    await gate(folder, 'middle')
    return before + ' ' + run
  })
}

export async function throwing({ folder }, ctx) {
  await ctx.step('before', () => leave(folder, 'before', ''))
  return await ctx.step('charge', ({ run, wasCut }) => {
    leave(folder, 'charge', run + ' ' + wasCut)
    if (run < 3) throw new RangeError('declined ' + run)
    return run
  })
}

export async function parallel({ folder }, ctx) {
  const each = async (name) => ctx.step(name, () => leave(folder, name, '') ?? name)
  const names = await Promise.all(['a', 'b', 'c'].map(each))
  await gate(folder, 'parallel')
  return names
}

export async function approval({ folder, timeout }, ctx) {
  await ctx.step('before', () => leave(folder, 'before', ''))
  await gate(folder, 'wait')
  const payload = await ctx.waitFor('approved', timeout === undefined ? {} : { timeout })
  await ctx.step('after', () => leave(folder, 'after', ''))
  return payload ?? 'nobody'
}

export async function naps({ folder, time }, ctx) {
  await ctx.step('before', () => leave(folder, 'before', ''))
  leave(folder, 'starts', ctx.attempt)
  await ctx.sleep('nap', time)
  await ctx.step('after', () => leave(folder, 'after', ''))
  return 'rested'
}

export const quick = () => 'done'

export class Order extends Actor {
  state = { seen: [] }
  async place({ folder, time }, ctx) {
    this.state.seen.push('place begins ' + ctx.attempt)
    await ctx.step('before', () => leave(folder, 'before', ''))
    await ctx.sleep('nap', time)
    this.state.seen.push('place ends')
    return 'placed'
  }
  note({ text }) {
    this.state.seen.push(text)
  }
}
`

/** What a job needs of the file system: its gates and witnesses. */
class Witnesses {
  readonly folder: string
  readonly #signal: AbortSignal

  /** @param test at whose end nothing waits here any more */
  constructor(test: TestContext, project: { folder: string }, name: string) {
    this.#signal = test.signal
    this.folder = join(project.folder, 'witnesses', name)
    mkdirSync(this.folder, { recursive: true })
  }

  open(gate: string | number): void {
    writeFileSync(join(this.folder, `go ${gate}`), '')
  }

  /** Resolves once the method stands before the gate for the nth time. */
  async at(gate: string | number, times = 1): Promise<void> {
    while (this.lines(`at ${gate}`).length < times) {
      this.#signal.throwIfAborted()
      await sleep(5)
    }
  }

  lines(name: string): string[] {
    const file = join(this.folder, name)
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : []
  }
}

/** A supervisor that can be killed and comes back, with a connection to the one that lives. */
class Served {
  readonly project: TestProject
  readonly #test: TestContext
  supervisor!: SupervisorProcess
  runtime!: Runtime

  constructor(test: TestContext, threads: number) {
    this.#test = test
    this.project = new TestProject(test)
    this.project.write('actors/steps.js', actors)
    this.project.write(
      'config/runtime.yaml',
      `workers:\n  default: { backgroundWorkers: ${threads} }\n  one: { backgroundWorkers: 1 }\n`
    )
  }

  async start(): Promise<void> {
    this.supervisor = await this.project.serve('--log-level', 'error')
    this.runtime = await connected(this.#test, this.project.socketPath)
  }

  async restart(): Promise<void> {
    await this.supervisor.end('SIGKILL')
    await this.start()
  }

  /** Kills all hosts that there are, and resolves when they are gone. Their jobs go on in others. */
  async killHosts(): Promise<void> {
    const hosts = hostsOf(this.supervisor.pid)
    assert.ok(hosts.length > 0)
    for (const host of hosts) process.kill(host, 'SIGKILL')
    assert.deepEqual(await stillAlive(hosts, 10_000), [])
  }

  async enqueue(method: string, params: unknown, options = {}): Promise<string> {
    return (await this.runtime.enqueue(`steps.${method}`, params, options)).id
  }
}

/** @param threads of the queue: all of them are started anew after each kill */
async function served(test: TestContext, threads = 2): Promise<Served> {
  const scene = new Served(test, threads)
  await scene.start()
  return scene
}

const squares = Array.from({ length: steps }, (_, n) => n * n)

function expectEachStepOnce(job: JobView, witnesses: Witnesses): void {
  assert.deepEqual([job.state, job.result], ['completed', squares], job.error?.message)
  for (let n = 0; n < steps; n++) assert.equal(witnesses.lines(`step ${n}`).length, 1, `step ${n}`)
  assert.deepEqual(
    job.steps!.map(({ name, kind, state, runs, cuts, result }) => [name, kind, state, runs, cuts, result]),
    squares.map((square, n) => [`step ${n}`, 'step', 'done', 1, 0, { square }])
  )
}

test(
  `a job of ${steps} steps, its supervisor killed after each of them, does each once (issue 6)`,
  limit,
  async (t) => {
    const scene = await served(t)
    const witnesses = new Witnesses(t, scene.project, 'ten')
    const id = await scene.enqueue('ten', { folder: witnesses.folder })
    for (let n = 0; n < steps; n++) {
      await witnesses.at(n)
      const { steps: views } = await scene.runtime.job.get(id)
      assert.deepEqual([views!.length, views!.at(-1)!.name, views!.at(-1)!.state], [n + 1, `step ${n}`, 'done'])
      await scene.supervisor.end('SIGKILL')
      witnesses.open(n)
      await scene.start()
    }
    const job = await finishedJob(scene.runtime, id)
    expectEachStepOnce(job, witnesses)
    assert.deepEqual([job.attempts.made, job.crashes], [steps + 1, 0])
    for (let n = 0; n < steps; n++) assert.deepEqual(witnesses.lines(`step ${n}`), [String(n + 1)], 'by its attempt')
  }
)

test(`a job of ${steps} steps, its host killed after each of them, does each once (issue 6)`, limit, async (t) => {
  const scene = await served(t)
  const witnesses = new Witnesses(t, scene.project, 'ten')
  const id = await scene.enqueue('ten', { folder: witnesses.folder })
  let retries = 0
  for (let n = 0; n < steps; n++) {
    await witnesses.at(n)
    await scene.killHosts()
    witnesses.open(n)
    const next = n === steps - 1 ? [] : [witnesses.at(n + 1).then(() => undefined)]
    const job = await Promise.race([scene.runtime.job.wait(id), ...next])
    if (job?.error?.code === 'HOST_CRASHED') {
      retries++
      await scene.runtime.job.retry(id)
    }
  }
  expectEachStepOnce(await finishedJob(scene.runtime, id), witnesses)
  t.diagnostic(`failed with HOST_CRASHED and retried ${retries} times`)
})

test(
  `${steps} jobs of ${steps} steps in one host that is killed, each after another step (issue 6)`,
  limit,
  async (t) => {
    const scene = await served(t, steps)
    const all = await Promise.all(
      squares.map(async (_, at) => {
        const witnesses = new Witnesses(t, scene.project, `job ${at}`)
        for (let n = 0; n < steps; n++) if (n !== at) witnesses.open(n)
        return { at, witnesses, id: await scene.enqueue('ten', { folder: witnesses.folder }) }
      })
    )
    await Promise.all(all.map(({ at, witnesses }) => witnesses.at(at)))
    await scene.killHosts()
    for (const { at, witnesses } of all) witnesses.open(at)
    for (const { id, witnesses } of all) {
      const job = await finishedJob(scene.runtime, id)
      expectEachStepOnce(job, witnesses)
      assert.equal(job.crashes, 1, JSON.stringify(job.history, null, 1))
    }
  }
)

for (const what of ['supervisor', 'host'] as const) {
  test(
    `a step that is cut in its middle by a kill of the ${what} runs again and says so (issue 6)`,
    limit,
    async (t) => {
      const scene = await served(t)
      const witnesses = new Witnesses(t, scene.project, 'cut')
      const id = await scene.enqueue('cut', { folder: witnesses.folder })
      await witnesses.at('middle')
      const shown = (await scene.runtime.job.get(id)).steps!
      assert.deepEqual(
        shown.map(({ name, state, runs, cuts }) => [name, state, runs, cuts]),
        [
          ['before', 'done', 1, 0],
          ['charge', 'running', 1, 0]
        ]
      )
      for (let kill = 1; kill <= 2; kill++) {
        if (what === 'host') await scene.killHosts()
        else await scene.restart()
        await witnesses.at('middle', kill + 1)
      }
      witnesses.open('middle')
      const job = await finishedJob(scene.runtime, id)
      assert.deepEqual([job.state, job.result], ['completed', 'kept 3'], job.error?.message)
      assert.deepEqual(witnesses.lines('before'), [''])
      assert.deepEqual(witnesses.lines('charge'), ['1 false', '2 true', '3 true'])
      assert.deepEqual(
        job.steps!.map(({ name, state, runs, cuts }) => [name, state, runs, cuts]),
        [
          ['before', 'done', 1, 0],
          ['charge', 'done', 3, 2]
        ]
      )
      const warnings = job.logs.filter(
        ({ level, message }) => level === 'warn' && /"charge" was cut in its middle/.test(message)
      )
      assert.ok(warnings.length >= 1, JSON.stringify(job.logs))
    }
  )
}

test('a step that throws is called again by the next attempt, and is not cut (issue 6)', limit, async (t) => {
  const scene = await served(t)
  const witnesses = new Witnesses(t, scene.project, 'throwing')
  const backoff = { type: 'fixed', delay: '1h' }
  const id = await scene.enqueue('throwing', { folder: witnesses.folder }, { attempts: 3, backoff })
  for (const run of [1, 2]) {
    const { steps: views } = await untilState(scene.runtime, id, 'scheduled')
    const { state, runs, cuts, error } = views![1]!
    assert.deepEqual([state, runs, cuts, error?.message], ['failed', run, 0, `declined ${run}`])
    if (run === 1) await scene.restart()
    await scene.runtime.job.retry(id)
    if (run === 1) while (witnesses.lines('charge').length < 2) await sleep(5)
  }
  const job = await finishedJob(scene.runtime, id)
  assert.deepEqual([job.state, job.result], ['completed', 3], job.error?.message)
  assert.deepEqual(witnesses.lines('charge'), ['1 false', '2 false', '3 false'])
  assert.deepEqual(witnesses.lines('before'), [''])
})

test('steps beside each other are kept as those one after the other are (issue 6)', limit, async (t) => {
  const scene = await served(t)
  const witnesses = new Witnesses(t, scene.project, 'parallel')
  const id = await scene.enqueue('parallel', { folder: witnesses.folder })
  await witnesses.at('parallel')
  await scene.restart()
  witnesses.open('parallel')
  assert.deepEqual((await scene.runtime.job.wait(id)).result, ['a', 'b', 'c'])
  for (const name of ['a', 'b', 'c']) assert.equal(witnesses.lines(name).length, 1)
})

test('another order of steps in new code fails the job in words, with what it had done (issue 6)', limit, async (t) => {
  const scene = await served(t)
  const witnesses = new Witnesses(t, scene.project, 'changed')
  const id = await scene.enqueue('ten', { folder: witnesses.folder }, { attempts: 5 })
  await witnesses.at(0)
  await scene.supervisor.end('SIGKILL')
  witnesses.open(0)
  const file = scene.project.write(
    'actors/steps.js.new',
    actors.replace("ctx.step('step ' + n", "ctx.step('stage ' + n")
  )
  renameSync(file, join(scene.project.folder, 'actors/steps.js'))
  await scene.start()
  const { state, error, attempts, steps: views } = await finishedJob(scene.runtime, id)
  assert.deepEqual([state, error!.code, error!.name, attempts.made], ['failed', 'UNRECOVERABLE', 'StepsChanged', 2])
  assert.match(error!.message, /step 0/)
  assert.match(error!.message, /stage 0/)
  assert.deepEqual(
    views!.map(({ name, state }) => [name, state]),
    [['step 0', 'done']]
  )
  assert.equal(witnesses.lines('step 0').length, 1)
})

test('a job waits for a signal over restarts, and gives its thread back meanwhile (issue 6)', limit, async (t) => {
  const scene = await served(t)
  const witnesses = new Witnesses(t, scene.project, 'approval')
  witnesses.open('wait')
  const id = await scene.enqueue('approval', { folder: witnesses.folder }, { queue: 'one' })
  const waiting = await untilState(scene.runtime, id, 'scheduled')
  assert.equal(waiting.runAt, null)
  assert.deepEqual(
    waiting.steps!.map(({ name, kind, state, until }) => [name, kind, state, until]),
    [
      ['before', 'step', 'done', null],
      ['approved', 'signal', 'waiting', null]
    ]
  )
  assert.equal(waiting.history.at(-1)!.outcome, 'suspended')
  assert.equal((await scene.runtime.enqueue('steps.quick', {}, { queue: 'one', isAsync: false })).result, 'done')
  await scene.restart()
  assert.equal((await scene.runtime.job.get(id)).state, 'scheduled')
  await scene.runtime.job.signal(id, 'another', 1)
  assert.equal((await scene.runtime.job.get(id)).state, 'scheduled', 'another signal does not wake it')
  // The kill comes as soon as the signal is acknowledged.
  await scene.runtime.job.signal(id, 'approved', { by: 'Ada' })
  await scene.restart()
  const job = await finishedJob(scene.runtime, id)
  assert.deepEqual([job.state, job.result], ['completed', { by: 'Ada' }], job.error?.message)
  assert.deepEqual([witnesses.lines('before').length, witnesses.lines('after').length], [1, 1])
  assert.deepEqual(job.signals?.map(({ name, payload }) => [name, payload]) ?? [], [['another', 1]])
})

test('a signal that comes before it is waited for is kept, over a restart (issue 6)', limit, async (t) => {
  const scene = await served(t)
  const witnesses = new Witnesses(t, scene.project, 'early')
  const id = await scene.enqueue('approval', { folder: witnesses.folder })
  await witnesses.at('wait')
  await scene.runtime.job.signal(id, 'approved', 'first')
  await scene.runtime.job.signal(id, 'approved', 'second')
  assert.deepEqual(
    (await scene.runtime.job.get(id)).signals!.map(({ payload }) => payload),
    ['first', 'second']
  )
  await scene.restart()
  witnesses.open('wait')
  assert.equal((await scene.runtime.job.wait(id)).result, 'first')
})

test(
  'a signal that does not come in time is not waited for any longer, also over a restart (issue 6)',
  limit,
  async (t) => {
    const scene = await served(t)
    const witnesses = new Witnesses(t, scene.project, 'late')
    witnesses.open('wait')
    const id = await scene.enqueue('approval', { folder: witnesses.folder, timeout: '1500ms' })
    const { steps: views, runAt } = await untilState(scene.runtime, id, 'scheduled')
    assert.deepEqual([views![1]!.state, views![1]!.until], ['waiting', runAt])
    await scene.restart()
    const job = await finishedJob(scene.runtime, id)
    assert.deepEqual([job.state, job.result], ['completed', 'nobody'], job.error?.message)
    assert.equal(job.steps![1]!.state, 'timedOut')
    assert.ok(Date.parse(job.startedAt!) >= Date.parse(runAt!), 'not before its time')
  }
)

test('a document stays reserved for its job that sleeps, over a restart (issue 6)', limit, async (t) => {
  const scene = await served(t)
  const witnesses = new Witnesses(t, scene.project, 'order')
  const params = { folder: witnesses.folder, time: '1s' }
  const { id } = await scene.runtime.enqueueDoc('steps.Order', 'o-1', 'place', params)
  const note = await scene.runtime.enqueueDoc('steps.Order', 'o-1', 'note', { text: 'note' })
  await untilState(scene.runtime, id, 'scheduled')
  await scene.restart()
  assert.equal((await scene.runtime.job.get(note.id)).state, 'ready')
  assert.equal((await scene.runtime.job.wait(note.id)).state, 'completed')
  const { state } = await scene.runtime.doc.get('steps.Order', 'o-1')
  const seen = (state as { seen: string[] }).seen
  // What the attempt before the sleep did to the state is gone with it: a method is called from its start again.
  assert.deepEqual([seen.length, seen.slice(1)], [3, ['place ends', 'note']])
  assert.equal(witnesses.lines('before').length, 1)
})

test('a sleep of three days on a fake clock survives two restarts (issue 6)', limit, async (t) => {
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'actors'))
  writeFileSync(join(folder, 'actors', 'steps.js'), actors)
  const witnesses = new Witnesses(t, { folder }, 'naps')
  const config = configFromOptions({ dataDir: 'data', actors: 'actors' }, folder)
  let aheadMs = 0
  const clock: Clock = { wallMs: () => Date.now() + aheadMs, monotonicMs: () => performance.now() + aheadMs }
  let started: StartedRuntime | undefined
  t.after(() => started?.stop({ deadlineMs: 0 }))
  const start = async () => {
    started = await startRuntime(config, { clock })
    return started.runtime
  }
  const stop = () => started!.stop({ deadlineMs: 0 })

  let runtime = await start()
  const { id } = await runtime.enqueue('steps.naps', { folder: witnesses.folder, time: '3d' })
  const asleep = await untilState(runtime, id, 'scheduled')
  const wakesAtMs = Date.parse(asleep.runAt!)
  assert.ok(Math.abs(wakesAtMs - Date.parse(asleep.startedAt!) - 3 * dayMs) < 5_000, asleep.runAt!)
  assert.deepEqual(
    asleep.steps!.map(({ name, kind, state, until }) => [name, kind, state, until]),
    [
      ['before', 'step', 'done', null],
      ['nap', 'sleep', 'sleeping', asleep.runAt]
    ]
  )

  await stop()
  aheadMs = dayMs
  runtime = await start()
  assert.equal((await runtime.job.get(id)).runAt, asleep.runAt)
  // Brought forward by hand it finds its sleep not over, and goes on with it as it was.
  await runtime.job.retry(id)
  while (witnesses.lines('starts').length < 2) await sleep(5)
  assert.equal((await untilState(runtime, id, 'scheduled')).runAt, asleep.runAt)

  await stop()
  aheadMs = 3 * dayMs - 60_000
  runtime = await start()
  assert.deepEqual(await pick(runtime, id), ['scheduled', asleep.runAt])
  assert.equal((await runtime.enqueue('steps.quick', {}, { isAsync: false })).result, 'done')
  assert.deepEqual(await pick(runtime, id), ['scheduled', asleep.runAt])
  assert.equal(witnesses.lines('after').length, 0)

  // The timer of this job rings after the jump, and finds what has become due.
  await runtime.enqueue('steps.quick', {}, { delay: '500ms' })
  aheadMs = 3 * dayMs + 1
  const job = await finishedJob(runtime, id)
  assert.deepEqual([job.state, job.result], ['completed', 'rested'], job.error?.message)
  assert.ok(Date.parse(job.startedAt!) >= wakesAtMs, `${job.startedAt} is before ${asleep.runAt}`)
  assert.deepEqual(
    job.steps!.map(({ name, state, runs }) => [name, state, runs]),
    [
      ['before', 'done', 1],
      ['nap', 'done', 0],
      ['after', 'done', 1]
    ]
  )
  assert.deepEqual(witnesses.lines('starts'), ['1', '2', '3'])
  assert.deepEqual([witnesses.lines('before').length, witnesses.lines('after').length], [1, 1])
})

async function pick(runtime: Runtime, id: string): Promise<[JobState, string | null]> {
  const { state, runAt } = await runtime.job.get(id)
  return [state, runAt]
}
