/**
 * Programs that do several things beside each other, or catch what a step throws: each attempt makes the calls of the one
 * before, whatever was over first. With real threads, in hosts and in this process.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Runtime } from '../../runtime/core/api.ts'
import type { JobView } from '../../runtime/core/job.ts'
import { embedded } from '../isolation/embedded.ts'
import { finishedJob } from '../support/connected.ts'

const limit = { timeout: 60_000 }
const races = 300

const actors = `
import { threadId } from 'node:worker_threads'
import { setTimeout as wait } from 'node:timers/promises'

export function approvals({ names }, ctx) {
  return Promise.all(names.map(async (name) => {
    const by = await ctx.waitFor('approval of ' + name)
    await ctx.step('record ' + name, () => by)
    return by
  }))
}
export async function chains(params, ctx) {
  const chain = async (ms, n) => {
    await ctx.step('first ' + n, () => wait(ms))
    return ctx.step('second ' + n, () => n)
  }
  const results = await Promise.all([40, 1].map(chain))
  await ctx.sleep('nap', 0.01)
  return results
}
export async function insists({ times }, ctx) {
  for (let n = 0; n < 5; n++) {
    try {
      return await ctx.step('charge ' + n, () => {
        if (n < times) throw Object.assign(new RangeError('declined ' + n), { code: 'DECLINED' })
        return 'charged ' + n
      })
    } catch (error) {
      ctx.log.info(error.name + ' ' + error.code + ' ' + error.message)
      await ctx.sleep('pause ' + n, 0.01)
    }
  }
}
export async function forgets(params, ctx) {
  void ctx.enqueue('steps.noop', {}, { jobId: 'left', enqueueAfterCommit: false })
}
export const noop = () => null
export async function twice(params, ctx) {
  ctx.log.info('thread ' + threadId)
  return [await ctx.waitFor('go'), await ctx.waitFor('go')]
}
`

function both(name: string, body: (t: TestContext, runtime: Runtime) => Promise<void>): void {
  for (const isolation of ['process', 'inline'] as const) {
    test(`issue 6.5, ${isolation}: ${name}`, limit, async (t) => {
      const { runtime } = await embedded(
        t,
        { 'actors/steps.js': actors },
        { default: { backgroundWorkers: 2, isolation } }
      )
      await body(t, runtime)
    })
  }
}

async function enqueue(runtime: Runtime, method: string, params: unknown = {}): Promise<string> {
  return (await runtime.enqueue(`steps.${method}`, params)).id
}

/** Resolves once the attempt of that number is suspended. */
async function untilSuspended(runtime: Runtime, id: string, attempt: number): Promise<void> {
  let resolve = () => {}
  const told = new Promise<void>((settle) => {
    resolve = settle
  })
  const subscription = await runtime.subscribe({ job: id, types: ['suspended'] }, (event) => {
    if (event.attempt === attempt) resolve()
  })
  const { history } = await runtime.job.get(id)
  if (history.some((each) => each.attempt === attempt)) resolve()
  await told
  await subscription.unsubscribe()
}

function expectResult({ state, result, error }: JobView, expected: unknown): void {
  assert.deepEqual([state, result], ['completed', expected], error?.message)
}

both('waits beside each other, each followed by a step, whatever signal comes first', async (_t, runtime) => {
  const names = ['ann', 'bob', 'cid']
  const id = await enqueue(runtime, 'approvals', { names })
  await untilSuspended(runtime, id, 1)
  for (const [at, name] of ['cid', 'ann', 'bob'].entries()) {
    await runtime.job.signal(id, `approval of ${name}`, at)
    if (at < 2) await untilSuspended(runtime, id, at + 2)
  }
  const job = await finishedJob(runtime, id)
  expectResult(job, [1, 2, 0])
  assert.deepEqual(
    job.steps!.map(({ name, runs }) => [name, runs]),
    [...names.map((name) => [`approval of ${name}`, 0]), ['record cid', 1], ['record ann', 1], ['record bob', 1]]
  )
})

both('chains of steps beside each other, the later one faster', async (_t, runtime) => {
  const job = await finishedJob(runtime, await enqueue(runtime, 'chains'))
  expectResult(job, [0, 1])
  assert.deepEqual(
    job.steps!.map(({ name, runs }) => [name, runs]),
    [
      ['first 0', 1],
      ['first 1', 1],
      ['second 1', 1],
      ['second 0', 1],
      ['nap', 0]
    ]
  )
})

both('a step that threw before a sleep is not called again behind it, and throws the same', async (_t, runtime) => {
  const job = await finishedJob(runtime, await enqueue(runtime, 'insists', { times: 2 }))
  expectResult(job, 'charged 2')
  assert.deepEqual(
    job.steps!.map(({ name, state, runs }) => [name, state, runs]),
    [
      ['charge 0', 'failed', 1],
      ['pause 0', 'done', 0],
      ['charge 1', 'failed', 1],
      ['pause 1', 'done', 0],
      ['charge 2', 'done', 1]
    ]
  )
  assert.deepEqual(
    job.logs.map(({ message }) => message),
    ['RangeError DECLINED declined 0', 'RangeError DECLINED declined 1']
  )
})

both('a job that is enqueued at once exists also where the method does not wait for it', async (_t, runtime) => {
  expectResult(await finishedJob(runtime, await enqueue(runtime, 'forgets')), null)
  assert.equal((await runtime.job.wait('left')).state, 'completed')
})

both(
  `signals at any moment of ${races} suspensions: each is received once, and no thread is lost`,
  async (t, runtime) => {
    // Some moments after the job has started: before its question, between that and the end of the attempt, or behind it.
    const sent: Promise<unknown>[] = []
    const signal = async (id: string, payload: string, moments: number) => {
      for (let moment = 0; moment < moments; moment++) await nextTurn()
      await runtime.job.signal(id, 'go', payload)
    }
    await runtime.subscribe({ types: ['started'] }, ({ job, attempt }) => {
      if (attempt !== 1) return
      const at = sent.length
      sent.push(signal(job, 'one', (at * 7) % 60), signal(job, 'two', (at * 13) % 120))
    })
    const ids = await Promise.all(Array.from({ length: races }, () => enqueue(runtime, 'twice')))
    const jobs = await Promise.all(ids.map((id) => finishedJob(runtime, id)))
    await Promise.all(sent)
    const threads = new Set<string>()
    let suspensions = 0
    for (const job of jobs) {
      assert.equal(job.state, 'completed', job.error?.message)
      assert.deepEqual((job.result as string[]).toSorted(), ['one', 'two'])
      assert.deepEqual(job.signals, [])
      suspensions += job.history.filter(({ outcome }) => outcome === 'suspended').length
      for (const { message } of job.logs) threads.add(message)
    }
    t.diagnostic(`${suspensions} suspensions`)
    assert.ok(suspensions > races / 10, `${suspensions} suspensions`)
    assert.ok(threads.size <= 2, [...threads].join(', '))
  }
)
