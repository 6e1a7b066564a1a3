/**
 * One id, asked for a thousand times at once over twenty connections: one job, in every form of `deduplicate`. Then the same
 * while the supervisor is killed with SIGKILL at random moments: still at most one job, none where something was answered
 * without being there, and the id is never blocked.
 *
 * The jobs of a storm have a `jobName` of their own, so a second job would be found whatever its id; and every attempt
 * leaves a line with its number, so a second job that came and went would be found as well.
 *
 * Two kills; `LONG=1`: thirty. `DEDUPLICATE_SEED` repeats the moments of an earlier run.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect } from '../../runtime/client/connect.ts'
import type { Runtime } from '../../runtime/core/api.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import type { Deduplication, EnqueueResult, JobView } from '../../runtime/core/job.ts'
import { allJobs, connected, nextEvents, untilIdle } from '../support/connected.ts'
import { randomFrom } from '../support/random.ts'
import { TestProject } from '../support/supervisor-process.ts'

const kills = process.env.LONG === '1' ? 30 : 2
const seed = Number(process.env.DEDUPLICATE_SEED ?? Date.now() % 2 ** 31)
const connections = 20
const requestsPerConnection = 50

const actors = `
import { appendFileSync, existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export function witness({ file, number }, { id, attempt }) {
  appendFileSync(file, [id, attempt, number].join(' ') + '\\n')
}

export async function hold({ file, until, number }, ctx) {
  witness({ file, number }, ctx)
  while (!existsSync(until)) await sleep(10)
}
`

const config = 'workers:\n  held: {}\n  busy: { backgroundWorkers: 2 }\n'

/**
 * - `unfinished`: waits in a paused queue
 * - `throttle`: runs and finishes in the middle of the storm; its window goes on
 * - `debounce`: waits for its time
 * - `keepLast`: a job of the id runs, and waits for a file
 */
const forms = {
  unfinished: { deduplicate: true, queue: 'held' },
  throttle: { deduplicate: { for: '1h' }, queue: 'default' },
  debounce: { deduplicate: { debounce: '1h' }, queue: 'default' },
  keepLast: { deduplicate: { keepLast: true }, queue: 'busy' }
} satisfies Record<string, { deduplicate: true | Deduplication; queue: string }>

type Form = keyof typeof forms

const formNames = Object.keys(forms) as Form[]

class Scene {
  readonly project: TestProject
  readonly file: string

  constructor(project: TestProject) {
    this.project = project
    project.write('actors/jobs.js', actors)
    project.write('config/runtime.yaml', config)
    this.file = join(project.folder, 'witness.txt')
  }

  /** What the storm of a form asks for. The newest number is what a job that was replaced runs with. */
  enqueue(runtime: Runtime, form: Form, name: string, number: number): Promise<EnqueueResult> {
    const params = { file: this.file, number }
    return runtime.enqueue('jobs.witness', params, { ...forms[form], jobId: name, jobName: name })
  }

  /** Starts the job that runs while the storm of `keepLast` asks for its successor. */
  async hold(runtime: Runtime, name: string): Promise<void> {
    const { seen } = await nextEvents(runtime, 'started')
    const params = { file: this.file, until: this.#gate(name), number: -1 }
    await runtime.enqueue('jobs.hold', params, { queue: forms.keepLast.queue, jobId: name, jobName: `${name} held` })
    await seen
  }

  release(name: string): void {
    writeFileSync(this.#gate(name), '')
  }

  /** Lines of the jobs of a storm: attempt and number. */
  lines(name: string): string[] {
    if (!existsSync(this.file)) return []
    const isOf = (line: string) => line.startsWith(`${name} `) || line.startsWith(`${name}~next `)
    return readFileSync(this.file, 'utf8').trim().split('\n').filter(isOf)
  }

  #gate(name: string): string {
    return join(this.project.folder, `${name}.open`)
  }
}

/** Every connection asks at once for all of its share. @returns what was answered before the connections ended */
async function storm(clients: readonly Runtime[], ask: (runtime: Runtime, number: number) => Promise<EnqueueResult>) {
  const asked = clients.flatMap((client, at) =>
    Array.from({ length: requestsPerConnection }, (_, index) => ask(client, at * requestsPerConnection + index))
  )
  const settled = await Promise.allSettled(asked)
  for (const each of settled) {
    if (each.status === 'fulfilled') continue
    const { reason } = each
    if (!(reason instanceof RuntimeError) || reason.code !== 'NOT_CONNECTED') throw reason
  }
  return settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
}

function connectAll(project: TestProject): Promise<Runtime[]> {
  return Promise.all(Array.from({ length: connections }, () => connect(project.socketPath)))
}

/** The jobs of a storm, other than the one that runs while `keepLast` is asked for. */
async function jobsOf(runtime: Runtime, name: string): Promise<JobView[]> {
  return allJobs(runtime, { jobName: name })
}

/** Lets the one job of a storm come to its end, and looks at what has run. */
async function expectOneRun(scene: Scene, runtime: Runtime, form: Form, name: string, newest: number): Promise<void> {
  const [job] = await jobsOf(runtime, name)
  assert.ok(job !== undefined, `${form}: the job is there`)
  if (form === 'debounce') await runtime.job.retry(job.id)
  if (form === 'keepLast') scene.release(name)
  const { state, params, attempts } = await runtime.job.wait(job.id, { timeout: '30s' })
  assert.equal(state, 'completed')
  assert.equal((await jobsOf(runtime, name)).length, 1, `${form}: one job in the end`)
  const lines = scene.lines(name)
  assert.equal(new Set(lines.map((line) => line.split(' ').slice(0, 2).join(' '))).size, lines.length, lines.join('\n'))
  const own = lines.filter((line) => line.startsWith(`${job.id} `) && !line.endsWith(' -1'))
  assert.ok(own.length >= 1 && own.length <= attempts.made, `${form}: ${attempts.made} attempts, lines ${own}`)
  const number = (params as { number: number }).number
  assert.ok(own.every((line) => line.endsWith(` ${number}`)))
  if (form === 'debounce' || form === 'keepLast')
    assert.equal(number, newest, `${form}: the newest request is the one that ran`)
}

test('1,000 concurrent enqueues of one id from 20 connections make one job (issue 5.1)', {
  timeout: 60_000
}, async (t) => {
  const scene = new Scene(new TestProject(t))
  const supervisor = await scene.project.serve('--log-level', 'error')
  const clients = await connectAll(scene.project)
  const runtime = clients[0]!
  await runtime.queue.pause('held')
  for (const form of formNames) {
    if (form === 'keepLast') await scene.hold(runtime, form)
    const answers = await storm(clients, (client, number) => scene.enqueue(client, form, form, number))
    assert.equal(answers.length, connections * requestsPerConnection)
    assert.equal(
      answers.filter(({ deduplicated }) => !deduplicated).length,
      1,
      `${form}: one answer says that it is new`
    )
    assert.equal(new Set(answers.map(({ id }) => id)).size, 1, `${form}: all answers name the same job`)
    const jobs = await jobsOf(runtime, form)
    assert.deepEqual(
      jobs.map(({ id }) => id),
      [answers[0]!.id]
    )
    if (form === 'throttle') await runtime.job.wait(form)
    const newest = connections * requestsPerConnection
    const again = await scene.enqueue(runtime, form, form, newest)
    assert.deepEqual([again.id, again.deduplicated], [answers[0]!.id, true])
    if (form === 'unfinished') await runtime.queue.resume('held')
    await expectOneRun(scene, runtime, form, form, newest)
  }
  await Promise.all(clients.map((client) => client.stop()))
  assert.equal((await supervisor.end('SIGTERM')).code, 0)
})

test(`${kills} kills in the middle of 1,000 enqueues of one id: at most one job, never a blocked id (issue 5.1)`, {
  timeout: 60_000 + kills * 15_000
}, async (t) => {
  t.diagnostic(`DEDUPLICATE_SEED=${seed}`)
  const random = randomFrom(seed)
  const scene = new Scene(new TestProject(t))
  for (let kill = 0; kill < kills; kill++) {
    const supervisor = await scene.project.serve('--log-level', 'error')
    const clients = await connectAll(scene.project)
    const nameOf = (form: Form) => `${form}-${kill}`
    await clients[0]!.queue.pause('held')
    await scene.hold(clients[0]!, nameOf('keepLast'))
    // The moment is an answer, a random one; they come in bursts, one for each commit.
    const moment = Math.floor(random() * formNames.length * connections * requestsPerConnection)
    let answersSeen = 0
    const storms = formNames.map((form) =>
      storm(clients, async (client, number) => {
        const result = await scene.enqueue(client, form, nameOf(form), number)
        if (answersSeen++ === moment) supervisor.signal('SIGKILL')
        return result
      })
    )
    await supervisor.ended
    const answers = await Promise.all(storms)
    await Promise.all(clients.map((client) => client.stop()))
    t.diagnostic(`kill ${kill + 1}: ${answers.map(({ length }) => length).join(', ')} of 1000 answered`)

    const next = await scene.project.serve('--log-level', 'error')
    const runtime = await connected(t, scene.project.socketPath)
    for (const [at, form] of formNames.entries()) {
      const name = nameOf(form)
      const jobs = await jobsOf(runtime, name)
      const answered = answers[at]!
      assert.ok(jobs.length <= 1, `${form}: at most one job`)
      assert.ok(answered.length === 0 || jobs.length === 1, `${form}: what was answered is there`)
      assert.ok(answered.filter(({ deduplicated }) => !deduplicated).length <= 1)
      const newest = connections * requestsPerConnection
      const again = await scene.enqueue(runtime, form, name, newest)
      assert.equal(again.deduplicated, jobs.length === 1, `${form}: the id is not blocked`)
      if (jobs.length === 1) assert.equal(again.id, jobs[0]!.id)
      if (form === 'unfinished') await runtime.queue.resume('held')
      await expectOneRun(scene, runtime, form, name, newest)
    }
    await untilIdle(runtime)
    await runtime.stop()
    assert.equal((await next.end('SIGTERM')).code, 0)
  }
})
