/**
 * Jobs that depend on others, with real threads and two kills in the middle: a chain, one job with a fan of others that wait
 * for it and a last one that gathers all results, diamonds, parents that fail or are cancelled under each rule, and follow-ups. In the end every job is in the state
 * that core/job.ts documents, no job has started before those it depends on had finished, and every follow-up is there once.
 *
 * Smaller numbers by default; `LONG=1`: those of issue 5. `DEPENDENCIES_SEED` repeats the moments of an earlier run.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Runtime } from '../../runtime/core/api.ts'
import type { EnqueueRequest, FollowedJob, JobView, ParentFailureRule } from '../../runtime/core/job.ts'
import { allJobs, connected, nextEvents, untilIdle } from '../support/connected.ts'
import { randomFrom } from '../support/random.ts'
import { TestProject } from '../support/supervisor-process.ts'

const isLong = process.env.LONG === '1'
const seed = Number(process.env.DEPENDENCIES_SEED ?? Date.now() % 2 ** 31)
const chainJobs = isLong ? 1_000 : 50
/** In the long form the last job has 10,000 parents, as many as `ctx.parents` holds. */
const fanJobs = isLong ? 9_999 : 500
const diamonds = isLong ? 200 : 15
const families = isLong ? 40 : 3
const followed = isLong ? 200 : 30
const kills = 2

const config = `workers:
  chain: { backgroundWorkers: 1 }
  fan: { backgroundWorkers: 2 }
  small: { backgroundWorkers: 2 }
`

const actors = `
export function give({ number }, { parents }) {
  return { number, parents: parents.map(({ id, state, result }) => ({ id, state, number: result?.number ?? null })) }
}

export function gather(_, { parents }) {
  return { states: [...new Set(parents.map(({ state }) => state))], numbers: parents.map(({ result }) => result.number) }
}

export function fail() {
  throw new Error('as asked')
}

export function after() {}
`

const rules: readonly ParentFailureRule[] = ['fail', 'cancel', 'release']
const badParents = ['fails', 'is cancelled'] as const

interface Family {
  rule: ParentFailureRule
  bad: (typeof badParents)[number]
  ids: { parent: string; sibling: string; child: string; grandchild: string }
}

/** What was enqueued, by ids. */
interface Enqueued {
  chain: string[]
  fan: string[]
  diamonds: string[][]
  families: Family[]
  /** Of jobs with both follow-ups; every other one fails. */
  followed: string[]
  /** For each job that depends on others: which. */
  parents: Map<string, string[]>
}

test(`a chain of ${chainJobs}, a fan-out of ${fanJobs}, diamonds, failing parents and follow-ups over ${kills} kills (issue 5.4)`, {
  timeout: 300_000
}, async (t) => {
  t.diagnostic(`DEPENDENCIES_SEED=${seed}`)
  const random = randomFrom(seed)
  const project = new TestProject(t)
  project.write('actors/jobs.js', actors)
  project.write('config/runtime.yaml', config)
  let supervisor = await project.serve('--log-level', 'error')
  let runtime = await connected(t, project.socketPath)
  const enqueued = await enqueueAll(runtime)
  const total = chainJobs + fanJobs + 4 * diamonds + 6 * families + 2 * followed
  for (let kill = 0; kill < kills; kill++) {
    const { seen } = await nextEvents(runtime, 'completed', Math.floor((total * (0.2 + random())) / (2 * kills + 1)))
    await seen
    await supervisor.end('SIGKILL')
    supervisor = await project.serve('--log-level', 'error')
    runtime = await connected(t, project.socketPath)
    await reportCounts(t, runtime, kill)
  }
  await untilIdle(runtime)

  const jobs = new Map((await allJobs(runtime)).map((job) => [job.id, job]))
  expectChain(jobs, enqueued.chain)
  expectFan(jobs, enqueued.fan)
  for (const ids of enqueued.diamonds) expectDiamond(jobs, ids)
  for (const family of enqueued.families) expectFamily(jobs, family)
  expectFollowUps(jobs, enqueued)
  expectInOrder(jobs, enqueued.parents)
  assert.equal((await supervisor.end('SIGTERM')).code, 0)
})

async function enqueueAll(runtime: Runtime): Promise<Enqueued> {
  const parents = new Map<string, string[]>()
  const enqueueMany = async (requests: EnqueueRequest[]) => {
    const { ids } = await runtime.enqueueMany(requests)
    for (const [index, { dependsOn = [] }] of requests.entries()) {
      const indexes = dependsOn === 'others' ? [...ids.keys()].filter((other) => other !== index) : dependsOn
      parents.set(
        ids[index]!,
        Array.from(indexes, (each) => ids[each as number]!)
      )
    }
    return ids
  }
  const give = (number: number, options: Partial<EnqueueRequest>): EnqueueRequest => ({
    method: 'jobs.give',
    params: { number },
    ...options
  })
  const chain = await enqueueMany(
    Array.from({ length: chainJobs }, (_, number) =>
      give(number, { queue: 'chain', ...(number > 0 && { dependsOn: [number - 1] }) })
    )
  )
  const fan = await enqueueMany([
    give(-1, { queue: 'fan' }),
    ...Array.from({ length: fanJobs }, (_, number) => give(number, { queue: 'fan', dependsOn: [0] })),
    { method: 'jobs.gather', queue: 'fan', dependsOn: 'others' }
  ])
  const queue = 'small'
  const madeDiamonds: string[][] = []
  for (let each = 0; each < diamonds; each++) {
    madeDiamonds.push(
      await enqueueMany([
        give(3, { queue, dependsOn: [1, 2] }),
        give(1, { queue, dependsOn: [3] }),
        give(2, { queue, dependsOn: [3] }),
        give(0, { queue })
      ])
    )
  }
  const madeFamilies: Family[] = []
  for (let each = 0; each < families; each++) {
    const rule = rules[each % rules.length]!
    for (const bad of badParents) {
      const [parent, sibling, child, grandchild] = await enqueueMany([
        { method: 'jobs.fail', queue, ...(bad === 'is cancelled' && { delay: '1h' }) },
        give(1, { queue }),
        give(2, { queue, dependsOn: [0, 1], onParentFailure: rule, onFailure: 'jobs.after' }),
        give(3, { queue, dependsOn: [2] })
      ])
      if (bad === 'is cancelled') await runtime.job.cancel(parent!)
      madeFamilies.push({
        rule,
        bad,
        ids: { parent: parent!, sibling: sibling!, child: child!, grandchild: grandchild! }
      })
    }
  }
  const followUps = {
    onSuccess: { method: 'jobs.after', params: { outcome: 'success' }, queue },
    onFailure: { method: 'jobs.after', params: { outcome: 'failure' }, queue }
  }
  const madeFollowed = await enqueueMany(
    Array.from({ length: followed }, (_, number) => ({
      ...(number % 2 === 0 ? give(number, { queue }) : { method: 'jobs.fail', queue }),
      ...followUps
    }))
  )
  return { chain, fan, diamonds: madeDiamonds, families: madeFamilies, followed: madeFollowed, parents }
}

async function reportCounts(t: TestContext, runtime: Runtime, kill: number): Promise<void> {
  const queues = (await runtime.queue.list()).filter(({ queue }) => ['chain', 'fan', 'small'].includes(queue))
  const text = queues.map(
    ({ queue, counts }) => `${queue} ${counts.completed} completed, ${counts.scheduled} scheduled`
  )
  t.diagnostic(`after kill ${kill + 1}: ${text.join('; ')}`)
}

type Jobs = ReadonlyMap<string, JobView>

interface Given {
  number: number
  parents: { id: string; state: string; number: number | null }[]
}

/** The result of a job that must have completed. */
function givenBy(jobs: Jobs, id: string): Given {
  const job = jobs.get(id)
  assert.equal(job?.state, 'completed', `${id}: ${JSON.stringify(job?.error)}`)
  return job.result as unknown as Given
}

function expectChain(jobs: Jobs, ids: readonly string[]): void {
  for (const [number, id] of ids.entries()) {
    const parents = number === 0 ? [] : [{ id: ids[number - 1], state: 'completed', number: number - 1 }]
    assert.deepEqual(givenBy(jobs, id), { number, parents })
  }
}

function expectFan(jobs: Jobs, ids: readonly string[]): void {
  const [first, ...rest] = ids
  const parents = [{ id: first, state: 'completed', number: -1 }]
  for (const [number, id] of rest.slice(0, -1).entries()) assert.deepEqual(givenBy(jobs, id), { number, parents })
  const last = jobs.get(ids.at(-1)!)!
  assert.equal(last.state, 'completed')
  assert.deepEqual(last.dependencies, { total: fanJobs + 1, completed: fanJobs + 1, failed: 0, cancelled: 0 })
  assert.deepEqual(last.result, {
    states: ['completed'],
    numbers: Array.from({ length: fanJobs + 1 }, (_, index) => index - 1)
  })
}

function expectDiamond(jobs: Jobs, [bottom, left, right, top]: readonly string[]): void {
  const parents = (...of: [id: string | undefined, number: number][]) =>
    of.map(([id, number]) => ({ id, state: 'completed', number }))
  assert.deepEqual(givenBy(jobs, top!), { number: 0, parents: [] })
  assert.deepEqual(givenBy(jobs, left!), { number: 1, parents: parents([top, 0]) })
  assert.deepEqual(givenBy(jobs, right!), { number: 2, parents: parents([top, 0]) })
  assert.deepEqual(givenBy(jobs, bottom!), { number: 3, parents: parents([left, 1], [right, 2]) })
}

function expectFamily(jobs: Jobs, { rule, bad, ids }: Family): void {
  const badState = bad === 'fails' ? 'failed' : 'cancelled'
  const where = `a parent that ${bad}, ${rule}`
  assert.equal(jobs.get(ids.parent)!.state, badState)
  assert.deepEqual(givenBy(jobs, ids.sibling), { number: 1, parents: [] })
  const child = jobs.get(ids.child)!
  const grandchild = jobs.get(ids.grandchild)!
  const none = { total: 2, completed: 1, failed: 0, cancelled: 0 }
  assert.deepEqual(child.dependencies, { ...none, [badState]: 1 }, where)
  if (rule === 'release') {
    const parents = [
      { id: ids.parent, state: badState, number: null },
      { id: ids.sibling, state: 'completed', number: 1 }
    ]
    assert.deepEqual(givenBy(jobs, ids.child), { number: 2, parents }, where)
    assert.equal(grandchild.state, 'completed', where)
    return
  }
  const childState = rule === 'fail' ? 'failed' : 'cancelled'
  const code = rule === 'fail' ? 'UNRECOVERABLE' : 'CANCELLED'
  assert.deepEqual([child.state, child.error?.code, child.attempts.made], [childState, code, 0], where)
  assert.match(child.error!.message, new RegExp(`"${ids.parent}".* was ${badState}`), where)
  assert.deepEqual([grandchild.state, grandchild.error?.code], ['failed', 'UNRECOVERABLE'], where)
  assert.match(grandchild.error!.message, new RegExp(`"${ids.child}".* was ${childState}`), where)
}

/** One for each job that has them and ended so; none for another outcome. */
function expectFollowUps(jobs: Jobs, { followed, families }: Enqueued): void {
  const made = [...jobs.values()].filter(({ method }) => method === 'jobs.after')
  assert.ok(made.every(({ state }) => state === 'completed'))
  const told = made.map(({ params }) => params as unknown as { outcome?: string; job: FollowedJob })
  const expected = [
    ...followed.map((id, number) => (number % 2 === 0 ? `${id} completed success` : `${id} failed failure`)),
    ...families.filter(({ rule }) => rule === 'fail').map(({ ids }) => `${ids.child} failed `)
  ]
  assert.deepEqual(told.map(({ outcome = '', job }) => `${job.id} ${job.state} ${outcome}`).sort(), expected.toSorted())
  for (const { outcome, job } of told) {
    if (outcome === 'success') assert.deepEqual(job.result, jobs.get(job.id)!.result)
    else assert.equal(job.error?.message, jobs.get(job.id)!.error!.message)
  }
}

/** No job has started before those it depends on had finished. */
function expectInOrder(jobs: Jobs, parents: ReadonlyMap<string, readonly string[]>): void {
  for (const [child, ids] of parents) {
    const { history, startedAt } = jobs.get(child)!
    const first = history[0]?.startedAt ?? startedAt
    if (first === null) continue
    for (const id of ids) {
      const { finishedAt } = jobs.get(id)!
      assert.ok(finishedAt! <= first, `${child} started at ${first}, before ${id} had finished at ${finishedAt}`)
    }
  }
}
