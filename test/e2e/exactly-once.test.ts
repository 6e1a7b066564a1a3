/**
 * Jobs that a job enqueues (E8). After commit, the default: they exist if and only if the job completes, however its
 * attempts end before that. At once (`enqueueAfterCommit: false`): they exist once, whatever becomes of the job and however
 * many attempts it takes.
 *
 * A parent enqueues four children in every attempt, by `enqueue`, `enqueueMany` and `enqueueDoc`, and then ends as told:
 * the endings of its attempts are in its params, and after the last one it returns. What counts are the jobs that exist, not
 * what they did: a job that is killed runs again.
 *
 * Smaller numbers by default; `LONG=1`: more parents and kills. `EXACTLY_SEED` repeats the endings.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Runtime } from '../../runtime/core/api.ts'
import type { EnqueueOptions, JobView } from '../../runtime/core/job.ts'
import { hostsOf } from '../isolation/process-tree.ts'
import { allJobs, connected, nextEvents, untilIdle } from '../support/connected.ts'
import { actorImports } from '../support/documents.ts'
import { randomFrom } from '../support/random.ts'
import { type SupervisorProcess, TestProject } from '../support/supervisor-process.ts'

const isLong = process.env.LONG === '1'
const seed = Number(process.env.EXACTLY_SEED ?? Date.now() % 2 ** 31)
const parents = isLong ? 5_000 : 150
const supervisorKills = isLong ? 20 : 1
const hostKills = isLong ? 100 : 3
const limit = { timeout: 90_000 }
const childrenOfEach = 4

const config = `workers:
  default: { backgroundWorkers: 4, retention: { completed: {}, failed: {}, cancelled: {} } }
  children: { backgroundWorkers: 2, retention: { completed: {} } }
`
const actors = `${actorImports}
import { appendFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export function child() {}

export class Parents extends Actor {
  state = { names: [] }
  child({ name }) {
    this.state.names.push(name)
  }
}

export async function parent({ folder, name, endings, atOnce }, ctx) {
  const options = { queue: 'children', ...(atOnce ? { enqueueAfterCommit: false } : {}) }
  const child = { method: 'family.child', ...options }
  await ctx.enqueue('family.child', { name }, options)
  await ctx.enqueueMany([{ ...child, params: { name } }, { ...child, params: { name } }])
  await ctx.enqueueDoc('family.Parents', 'doc', 'child', { name }, options)
  appendFileSync(join(folder, name), ctx.attempt + '\\n')
  switch (endings[ctx.attempt - 1]) {
    case 'throws':
      throw new Error('as told')
    case 'later':
      throw new RetryLater('20ms')
    case 'unrecoverable':
      throw new Unrecoverable('as told')
    case 'no result':
      return () => {}
    case 'exits':
      process.exit(1)
    case 'spins':
      for (;;);
    case 'hangs':
      while (!existsSync(join(folder, 'go'))) await sleep(5)
  }
  return 'done'
}
`

type Ending = 'throws' | 'later' | 'unrecoverable' | 'no result' | 'exits' | 'spins' | 'hangs'

class Family {
  readonly project: TestProject
  readonly folder: string
  readonly #test: TestContext
  supervisor!: SupervisorProcess
  runtime!: Runtime

  constructor(test: TestContext) {
    this.#test = test
    this.project = new TestProject(test, 'memory')
    this.project.write('actors/family.js', actors)
    this.project.write('config/runtime.yaml', config)
    this.folder = join(this.project.folder, 'parents')
    mkdirSync(this.folder)
  }

  async start(): Promise<void> {
    this.supervisor = await this.project.serve('--log-level', 'error')
    this.runtime = await connected(this.#test, this.project.socketPath)
  }

  async enqueue(name: string, endings: readonly Ending[], atOnce: boolean, options: EnqueueOptions): Promise<string> {
    return (await this.runtime.enqueue('family.parent', this.paramsOf(name, endings, atOnce), options)).id
  }

  paramsOf(name: string, endings: readonly Ending[], atOnce: boolean) {
    return { folder: this.folder, name, endings, atOnce }
  }

  /** How many attempts of a parent have enqueued their children. */
  attempts(name: string): number {
    const file = join(this.folder, name)
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0
  }

  async attempted(name: string, attempts = 1): Promise<void> {
    while (this.attempts(name) < attempts) await sleep(5)
  }

  letGo(): void {
    this.project.write('parents/go', '')
  }

  /** Jobs by the name of their parent. */
  async children(): Promise<Map<string, number>> {
    const jobs = await allJobs(this.runtime, { queue: 'children' })
    const counts = new Map<string, number>()
    for (const { params } of jobs) {
      const { name } = params as { name: string }
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
    return counts
  }
}

async function family(t: TestContext): Promise<Family> {
  const scene = new Family(t)
  await scene.start()
  return scene
}

/** How the attempts end, how the job ends by that, and in how many attempts. */
interface Case {
  endings: Ending[]
  options?: EnqueueOptions
  state: JobView['state']
  attempts: number
}

const cases: Record<string, Case> = {
  returns: { endings: [], state: 'completed', attempts: 1 },
  throws: { endings: ['throws', 'throws'], options: { attempts: 2 }, state: 'failed', attempts: 2 },
  'throws and then returns': {
    endings: ['throws', 'throws'],
    options: { attempts: 3 },
    state: 'completed',
    attempts: 3
  },
  'runs again later': { endings: ['later', 'later'], state: 'completed', attempts: 3 },
  'is unrecoverable': { endings: ['unrecoverable'], options: { attempts: 3 }, state: 'failed', attempts: 1 },
  'returns no JSON': { endings: ['no result'], state: 'failed', attempts: 1 },
  'ends its thread': { endings: ['exits'], state: 'failed', attempts: 1 },
  'runs into its deadline': { endings: ['spins'], options: { timeout: '500ms' }, state: 'failed', attempts: 1 },
  'runs into its deadline once': {
    endings: ['spins'],
    options: { timeout: '500ms', attempts: 2 },
    state: 'completed',
    attempts: 2
  }
}

for (const atOnce of [false, true]) {
  const when = atOnce ? 'at once' : 'after commit'
  const expected = (state: JobView['state']) => (atOnce || state === 'completed' ? childrenOfEach : 0)

  test(`jobs enqueued ${when} by a job that fails, is tried again, or completes (E8, issue 6)`, limit, async (t) => {
    const scene = await family(t)
    for (const [name, { endings, options = {}, state, attempts }] of Object.entries(cases)) {
      const id = await scene.enqueue(name, endings, atOnce, options)
      const job = await scene.runtime.job.wait(id)
      assert.deepEqual([job.state, scene.attempts(name)], [state, attempts], `${name}: ${job.error?.message}`)
    }
    const children = await scene.children()
    assert.deepEqual(
      Object.keys(cases).map((name) => [name, children.get(name) ?? 0]),
      Object.entries(cases).map(([name, { state }]) => [name, expected(state)])
    )
  })

  test(`jobs enqueued ${when} by a job that is cancelled (E8, issue 6)`, limit, async (t) => {
    const scene = await family(t)
    const id = await scene.enqueue('cancelled', ['hangs'], atOnce, {})
    await scene.attempted('cancelled')
    await scene.runtime.job.cancel(id)
    assert.equal((await scene.children()).get('cancelled') ?? 0, expected('cancelled'))
    // Retried by hand it does what it had not done, and no more.
    scene.letGo()
    await scene.runtime.job.retry(id)
    assert.equal((await scene.runtime.job.wait(id)).state, 'completed')
    assert.equal((await scene.children()).get('cancelled'), childrenOfEach)
  })

  test(`jobs enqueued ${when} by a job whose host and supervisor are killed (E8, issue 6)`, limit, async (t) => {
    const scene = await family(t)
    const id = await scene.enqueue('killed', ['hangs', 'hangs', 'hangs', 'hangs'], atOnce, {})
    for (let kill = 1; kill <= 3; kill++) {
      await scene.attempted('killed', kill)
      assert.equal((await scene.children()).get('killed') ?? 0, atOnce ? childrenOfEach : 0)
      if (kill === 2) {
        for (const host of hostsOf(scene.supervisor.pid)) process.kill(host, 'SIGKILL')
      } else {
        await scene.supervisor.end('SIGKILL')
        await scene.start()
      }
    }
    await scene.attempted('killed', 4)
    scene.letGo()
    assert.equal((await scene.runtime.job.wait(id)).state, 'completed')
    assert.equal((await scene.children()).get('killed'), childrenOfEach)
  })
}

test(`children of ${parents} parents that end at random, with ${supervisorKills} kills of the supervisor and ${hostKills} of hosts (E8, issue 6)`, {
  timeout: isLong ? 1_800_000 : 120_000
}, async (t) => {
  t.diagnostic(`EXACTLY_SEED=${seed}`)
  const random = randomFrom(seed)
  const scene = await family(t)
  const mild: readonly Ending[] = ['throws', 'later', 'throws', 'later', 'no result', 'unrecoverable']
  const requests = Array.from({ length: parents }, (_, number) => {
    const endings = Array.from({ length: Math.floor(random() * 4) }, () => mild[Math.floor(random() * mild.length)]!)
    const params = scene.paramsOf(`parent-${number}`, endings, random() < 0.5)
    return { method: 'family.parent', params, attempts: 3 }
  })
  const perLife = parents / (supervisorKills + 1)
  await scene.runtime.enqueueMany(requests)
  for (let life = 0; life < supervisorKills; life++) {
    for (let kill = 0; kill < hostKills / supervisorKills; kill++) {
      const { seen } = await nextEvents(scene.runtime, 'started', Math.ceil((random() * perLife) / hostKills))
      await seen
      const hosts = hostsOf(scene.supervisor.pid)
      const host = hosts[Math.floor(random() * hosts.length)]
      if (host !== undefined) process.kill(host, 'SIGKILL')
    }
    const { seen } = await nextEvents(scene.runtime, 'started', Math.ceil((random() * perLife) / 2))
    await seen
    await scene.supervisor.end('SIGKILL')
    await scene.start()
  }
  await untilIdle(scene.runtime)

  const jobs = await allJobs(scene.runtime, { method: 'family.parent' })
  assert.equal(jobs.length, parents)
  const children = await scene.children()
  const wrong = jobs.flatMap(({ id, state, params }) => {
    const { name, atOnce } = params as { name: string; atOnce: boolean }
    const count = children.get(name) ?? 0
    // One that ended for good before it had enqueued all of them at once has an undecided number, but none twice.
    const isRight = atOnce
      ? count === childrenOfEach || (count < childrenOfEach && scene.attempts(name) === 0)
      : count === (state === 'completed' ? childrenOfEach : 0)
    return isRight ? [] : [{ id, name, state, atOnce, count, attempts: scene.attempts(name) }]
  })
  assert.deepEqual(wrong, [])
  const outcomes = jobs.flatMap(({ history }) => history.map(({ outcome }) => outcome))
  const times = (outcome: string) => outcomes.filter((each) => each === outcome).length
  t.diagnostic(
    `${jobs.filter(({ state }) => state === 'completed').length} of ${parents} completed; attempts: ${outcomes.length}, ` +
      `interrupted ${times('interrupted')}, crashed ${times('crashed')}`
  )
  assert.ok(times('interrupted') + times('crashed') >= supervisorKills, 'the kills must have hit jobs')
})
