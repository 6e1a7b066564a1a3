/**
 * Keys, with real threads. Two tenants share one thread, one has a hundred thousand jobs and the other ten: keys take turns,
 * so the ten are done before the thirtieth of the others. And strict keys: jobs of a key with `keyConcurrency: 1` run one
 * after the other in the order of their enqueueing, also where one waits for its next attempt, and over a kill.
 *
 * Smaller numbers by default; `LONG=1`: those of issue 5.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Runtime } from '../../runtime/core/api.ts'
import type { EnqueueRequest } from '../../runtime/core/job.ts'
import { connected, nextEvents, untilIdle } from '../support/connected.ts'
import { randomFrom } from '../support/random.ts'
import { TestProject } from '../support/supervisor-process.ts'

const isLong = process.env.LONG === '1'
const seed = Number(process.env.FAIRNESS_SEED ?? Date.now() % 2 ** 31)
const manyJobs = 100_000
const fewJobs = 10
const othersBeforeFewMax = 30
const keys = isLong ? 100 : 50
const jobsPerKey = isLong ? 100 : 30
const failingShare = 0.05

const config = 'workers:\n  one: { backgroundWorkers: 1 }\n  two: { backgroundWorkers: 2 }\n'

const actors = `
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'

export function witness({ file, tenant }) {
  appendFileSync(file, tenant + '\\n')
}

export function strict({ folder, key, number, failsOnce }, { attempt }) {
  const file = join(folder, key + '.txt')
  appendFileSync(file, number + ' ' + attempt + ' begins\\n')
  if (failsOnce && attempt === 1) throw new Error('once')
  appendFileSync(file, number + ' ' + attempt + ' ends\\n')
}
`

async function served(t: Parameters<typeof connected>[0]) {
  const project = new TestProject(t)
  project.write('actors/jobs.js', actors)
  project.write('config/runtime.yaml', config)
  const supervisor = await project.serve('--log-level', 'error')
  return { project, supervisor, runtime: await connected(t, project.socketPath) }
}

/** What of a list of lines is the tenant's is `tenant`; the others are `others`. */
function othersBefore(lines: readonly string[], tenant: string): number {
  const last = lines.lastIndexOf(tenant)
  return lines.slice(0, last).filter((line) => line !== tenant).length
}

const fewTenants = {
  'with a key': { key: 'few' },
  'without a key': {}
}

for (const [name, few] of Object.entries(fewTenants)) {
  test(`${manyJobs} jobs of one key against ${fewJobs} ${name}, one thread (issue 5.3)`, {
    timeout: 180_000
  }, async (t) => {
    const { project, supervisor, runtime } = await served(t)
    const file = join(project.folder, 'witness.txt')
    const request = (tenant: string, options: object): EnqueueRequest => ({
      method: 'jobs.witness',
      params: { file, tenant },
      queue: 'one',
      ...options
    })
    const ofFew = (tenant: string) => Array.from({ length: fewJobs }, () => request(tenant, few))
    const linesOf = () => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [])

    await runtime.queue.pause('one')
    for (let left = manyJobs; left > 0; left -= 10_000) {
      const jobs = Math.min(left, 10_000)
      await runtime.enqueueMany(Array.from({ length: jobs }, () => request('many', { key: 'many' })))
    }
    const { ids } = await runtime.enqueueMany(ofFew('few'))
    await runtime.queue.resume('one')
    await finished(runtime, ids)
    const first = othersBefore(linesOf(), 'few')

    // The others are under way by now; the next ten come in between, one by one.
    const before = linesOf().length
    const later = await Promise.all(
      ofFew('later').map(({ method, params, ...options }) => runtime.enqueue(method, params, options))
    )
    const atAnswer = linesOf().length
    await finished(
      runtime,
      later.map(({ id }) => id)
    )
    const lines = linesOf()
    const second = othersBefore(lines.slice(atAnswer), 'later')
    t.diagnostic(`${first} of the others before the last of the ${fewJobs}; ${second} where those were under way`)
    t.diagnostic(
      `${lines.length} of ${manyJobs + 2 * fewJobs} jobs have run by then, ${atAnswer - before} while ten were enqueued`
    )
    assert.ok(first < othersBeforeFewMax, `${first} of the others were done first`)
    assert.ok(second < othersBeforeFewMax, `${second} of the others were done first`)
    assert.ok(lines.length < manyJobs, 'the others must not be over: then nothing was shown')
    await supervisor.end('SIGKILL')
  })
}

test(`${keys * jobsPerKey} jobs of ${keys} strict keys keep their order over retries and a kill (issue 5.3)`, {
  timeout: 180_000
}, async (t) => {
  t.diagnostic(`FAIRNESS_SEED=${seed}`)
  const random = randomFrom(seed)
  const { project, supervisor, runtime } = await served(t)
  const requests = Array.from({ length: keys * jobsPerKey }, (_, index): EnqueueRequest => {
    const key = `key-${index % keys}`
    const params = { folder: project.folder, key, number: Math.floor(index / keys), failsOnce: random() < failingShare }
    return {
      method: 'jobs.strict',
      params,
      queue: 'two',
      key,
      keyConcurrency: 1,
      attempts: 2,
      backoff: { type: 'fixed', delay: '300ms' }
    }
  })
  const { seen } = await nextEvents(runtime, 'completed', Math.floor((requests.length * (1 + random())) / 3))
  await runtime.enqueueMany(requests)
  await seen
  await supervisor.end('SIGKILL')

  const next = await project.serve('--log-level', 'error')
  const after = await connected(t, project.socketPath)
  await untilIdle(after)
  const { counts } = (await after.queue.list()).find(({ queue }) => queue === 'two')!
  assert.deepEqual([counts.completed, counts.failed], [requests.length, 0])
  const runs = Array.from({ length: keys }, (_, key) => expectInOrder(project.folder, `key-${key}`))
  const attempts = runs.reduce((sum, { attempts }) => sum + attempts, 0)
  const retried = requests.filter(({ params }) => (params as { failsOnce: boolean }).failsOnce).length
  t.diagnostic(`${requests.length} jobs, ${retried} fail once, ${attempts} attempts have begun`)
  assert.ok(attempts >= requests.length + retried - 2, 'every job that fails once was tried twice')
  assert.equal((await next.end('SIGTERM')).code, 0)
})

/** Every attempt begins after the end of what came before, and no number after a larger one. */
function expectInOrder(folder: string, key: string): { attempts: number } {
  const lines = readFileSync(join(folder, `${key}.txt`), 'utf8')
    .trim()
    .split('\n')
  let number = -1
  let lastAttempt = 0
  let hasEnded = true
  let attempts = 0
  for (const [at, line] of lines.entries()) {
    const [ofLine, attempt, what] = line.split(' ')
    const where = `${key}, line ${at + 1}: ${lines.slice(Math.max(at - 3, 0), at + 2).join(' | ')}`
    if (what === 'ends') {
      assert.deepEqual([Number(ofLine), Number(attempt), hasEnded], [number, lastAttempt, false], where)
      hasEnded = true
      continue
    }
    attempts++
    if (Number(ofLine) === number) assert.ok(Number(attempt) > lastAttempt, where)
    else assert.deepEqual([Number(ofLine), hasEnded], [number + 1, true], where)
    number = Number(ofLine)
    lastAttempt = Number(attempt)
    hasEnded = false
  }
  assert.deepEqual([number, hasEnded], [jobsPerKey - 1, true], `${key} has run to its end`)
  return { attempts }
}

async function finished(runtime: Runtime, ids: readonly string[]): Promise<void> {
  const jobs = await Promise.all(ids.map((id) => runtime.job.wait(id, { timeout: '60s' })))
  assert.ok(jobs.every(({ state }) => state === 'completed'))
}
