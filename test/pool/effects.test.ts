/** E8, issue 6.3: what a job asks for as it completes goes along with its outcome, and with no other. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { EnqueueRequest } from '../../runtime/core/job.ts'
import { jobsPerCompletionMax, payloadBytesMax } from '../../runtime/core/limits.ts'
import type { Outcome } from '../../runtime/core/pool.ts'
import { type PoolKind, startPool as startPoolOf } from './pool-fixture.ts'

function both(name: string, body: (t: TestContext, startPool: typeof startPoolOf) => Promise<void>): void {
  for (const kind of ['threads', 'hosts'] satisfies PoolKind[]) {
    test(`${name} (${kind})`, { timeout: 60_000 }, (t) =>
      body(t, (test, modules, threads) => startPoolOf(test, modules, threads, kind))
    )
  }
}

function completed(outcome: Outcome): Outcome & { type: 'completed' } {
  assert.equal(outcome.type, 'completed', JSON.stringify(outcome))
  return outcome as Outcome & { type: 'completed' }
}

const uuid = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/

both(
  'E8: jobs that a job enqueues come with its completion, each with the id that the job was told',
  async (t, startPool) => {
    const { heard, run } = startPool(t, {
      'a.js': `export async function run(params, ctx) {
      const shared = { n: [1] }
      const ids = [(await ctx.enqueue('b.run', shared, { queue: 'long', expires: new Date(0), delay: '5s' })).id]
      shared.n.push(2)
      ids.push((await ctx.enqueue('b.run', undefined, { jobId: 'mine', enqueueAfterCommit: true })).id)
      ids.push((await ctx.enqueueDoc('b.Doc', 'INV-1', 'add', { line: 1 })).id)
      ids.push(...(await ctx.enqueueMany([{ method: 'c.run', params: 7 }, { method: 'd.run', priority: 3 }])).ids)
      ids.push(...(await ctx.enqueueMany([])).ids)
      ctx.enqueue('e.run')
      return ids
    }`
    })
    const id = run('a.run')
    const { effects, result } = completed(await heard.outcomeOf(id))
    const ids = JSON.parse(result) as string[]
    assert.equal(ids.length, 5)
    assert.equal(ids[1], 'mine')
    for (const made of ids.filter((each) => each !== 'mine')) assert.match(made, uuid)
    assert.deepEqual(Object.keys(effects!), ['jobs'])
    const last = effects!.jobs!.pop()!
    assert.deepEqual(
      effects!.jobs,
      [
        { queue: 'long', expires: '1970-01-01T00:00:00.000Z', delay: '5s', params: { n: [1] }, method: 'b.run' },
        { enqueueAfterCommit: true, method: 'b.run' },
        { params: { line: 1 }, document: 'INV-1', method: 'b.Doc.add' },
        { method: 'c.run', params: 7 },
        { method: 'd.run', priority: 3 }
      ].map((job, index) => ({ ...job, jobId: ids[index] }))
    )
    assert.equal(last.method, 'e.run', 'without an await as well')
    assert.ok(!heard.of(id).some(({ type }) => type === 'asked'), 'the supervisor is not asked')
  }
)

both('E8: what an attempt asked for is dropped when it fails, is to run later, or sleeps', async (t, startPool) => {
  const { pool, heard, outcome } = startPool(t, {
    'a.js': `const ask = (ctx) => ctx.enqueue('b.run')
      export async function fails(params, ctx) { await ask(ctx); throw new Error('no') }
      export async function later(params, ctx) { await ask(ctx); throw Object.assign(new Error('later'), { name: 'RetryLater', delay: 1 }) }
      export async function sleeps(params, ctx) { await ask(ctx); await ctx.sleep('s', 60) }
      export async function invalid(params, ctx) { await ask(ctx); return 1n }
      export const quiet = () => 1`
  })
  heard.whenAsked = (id, number) => pool.answer(id, number, { type: 'answered', value: { isOver: false } })
  for (const [method, type] of [
    ['a.fails', 'failed'],
    ['a.later', 'retryLater'],
    ['a.sleeps', 'suspended'],
    ['a.invalid', 'failed'],
    ['a.quiet', 'completed']
  ]) {
    const ended = await outcome(method!)
    assert.equal(ended.type, type)
    assert.ok(!('effects' in ended), method)
  }
})

both(
  'E8: all that a job asks for as it completes is bounded, and so is what one call enqueues at once',
  async (t, startPool) => {
    const { outcome } = startPool(t, {
      'a.js': `const blob = 'x'.repeat(${payloadBytesMax - 1024})
      const job = { method: 'b.run', params: blob }
      const codeOf = (call) => call.then(() => 'done', ({ code }) => code)
      export async function run(params, ctx) {
        const codes = []
        for (const enqueueAfterCommit of [false, true]) {
          codes.push(await codeOf(ctx.enqueueMany(Array.from({ length: 5 }, () => ({ ...job, enqueueAfterCommit })))))
        }
        for (let at = 0; at < 5; at++) codes.push(await codeOf(ctx.enqueue('b.run', blob)))
        return codes
      }`
    })
    const { effects, result } = completed(await outcome('a.run'))
    const tooLarge = 'PAYLOAD_TOO_LARGE'
    assert.deepEqual(JSON.parse(result), [tooLarge, tooLarge, 'done', 'done', 'done', 'done', tooLarge])
    assert.equal(effects!.jobs!.length, 4)
  }
)

both('dependsOn: indexes are those of the call, and an id of this job is known', async (t, startPool) => {
  const { outcome } = startPool(t, {
    'a.js': `export async function run(params, ctx) {
      const { id } = await ctx.enqueue('b.run')
      await ctx.enqueueMany([{ method: 'c.run', dependsOn: [1, 'elsewhere'] }, { method: 'd.run', dependsOn: [id] }, { method: 'e.run', dependsOn: 'others' }])
      const refused = []
      for (const dependsOn of [[0], [1], [-1], [0.5]]) await ctx.enqueue('f.run', {}, { dependsOn }).catch(({ message }) => refused.push(message))
      return refused
    }`
  })
  const { effects, result } = completed(await outcome('a.run'))
  assert.deepEqual(
    effects!.jobs!.map(({ dependsOn }) => dependsOn),
    [undefined, [2, 'elsewhere'], [0], [1, 2]]
  )
  const refused = JSON.parse(result) as string[]
  assert.equal(refused.length, 4)
  for (const message of refused) assert.match(message, /dependsOn names job .*no other job of that index in this call/)
})

both('what is asked for in a wrong way is refused at the call', async (t, startPool) => {
  const bad: [expression: string, message: RegExp][] = [
    ['ctx.enqueue()', /TypeError: Cannot enqueue a job: expected the path of a method.* got undefined/],
    ['ctx.enqueue(() => 1)', /TypeError: .*expected the path of a method/],
    ['ctx.enqueue("b.run", {}, 5)', /TypeError: Cannot enqueue "b\.run": the options must be an object, got 5/],
    ['ctx.enqueue("b.run", {}, { now: true })', /TypeError: Cannot enqueue "b\.run": now is not for a job that a job/],
    ['ctx.enqueue("b.run", {}, { isAsync: true })', /TypeError: .*isAsync is not/],
    ['ctx.enqueue("b.run", {}, { prioritty: 1 })', /TypeError: .*no option "prioritty"\. Did you mean "priority"\?/],
    ['ctx.enqueue("b.run", {}, { jobId: "" })', /TypeError: .*its jobId must be a text of 1 to 255/],
    ['ctx.enqueue("b.run", {}, { enqueueAfterCommit: 1 })', /TypeError: .*enqueueAfterCommit is true or false/],
    ['ctx.enqueue("b.run", 1n)', /PARAMS_INVALID: Cannot enqueue "b\.run": what it asks for cannot be written as JSON/],
    ['ctx.enqueueDoc("", "n", "m")', /TypeError: .*expected the path of its class/],
    ['ctx.enqueueDoc("b.Doc", "", "m")', /TypeError: Cannot enqueue "b\.Doc\.m": its document name must be/],
    ['ctx.enqueueDoc("b.Doc", "n")', /TypeError: Cannot enqueue a job of a "b\.Doc": expected the name of a method/],
    ['ctx.enqueueMany({})', /TypeError: Cannot enqueue jobs: expected a list/],
    ['ctx.enqueueMany([null])', /TypeError: Cannot enqueue job 0 of the list: the job must be an object/],
    ['ctx.enqueueMany([{ method: "a.b", isAsync: false }])', /TypeError: .*job 0 of the list.*isAsync/],
    [
      'ctx.enqueueMany([{ method: "a.b", enqueueAfterCommit: false }, { method: "a.b" }])',
      /TypeError: .*in different commits/
    ],
    [
      `ctx.enqueueMany(Array.from({ length: ${jobsPerCompletionMax + 1} }, () => ({ method: "a.b" })))`,
      /PARAMS_INVALID: .*more than 10000 jobs/
    ],
    [
      'ctx.remind("r", { method: "m", delay: 1 })',
      /TypeError: Cannot set reminder "r": "a\.run" is no method of a doc/
    ],
    ['ctx.cancelReminder("r")', /TypeError: .*no method of a document/],
    ['ctx.removeDocument()', /TypeError: .*no method of a document/]
  ]
  const { outcome } = startPool(t, {
    'a.js': `const calls = [${bad.map(([expression]) => `(ctx) => ${expression}`)}]
      export async function run(params, ctx) {
        const refused = []
        for (const call of calls) {
          try { await call(ctx); refused.push('not refused') } catch ({ name, code, message }) { refused.push((code ?? name) + ': ' + message) }
        }
        return refused
      }`
  })
  const { effects, result } = completed(await outcome('a.run'))
  assert.equal(effects, undefined, 'nothing of it is asked for')
  for (const [index, message] of (JSON.parse(result) as string[]).entries()) {
    assert.match(message, bad[index]![1], bad[index]![0])
  }
})

both('what is asked for after the end is an error, and changes nothing', async (t, startPool) => {
  const { heard, outcome, run } = startPool(t, {
    'a.js': `export function run(params, ctx) {
      setTimeout(() => ctx.enqueue('late.run').catch(({ message }) => { globalThis.said = message }), 1)
      return 'done'
    }
    export const said = () => globalThis.said`
  })
  const ended = completed(await heard.outcomeOf(run('a.run')))
  assert.deepEqual(ended, { type: 'completed', result: '"done"' })
  assert.match(completed(await outcome('a.said')).result, /Cannot enqueue a job: the attempt has ended/)
})

both('ten thousand jobs fit into one completion', async (t, startPool) => {
  const { outcome } = startPool(t, {
    'a.js': `export async function run(params, ctx) {
      for (let n = 0; n < ${jobsPerCompletionMax}; n++) await ctx.enqueue('b.run', { n })
    }`
  })
  const { effects } = completed(await outcome('a.run'))
  const jobs = effects!.jobs as (EnqueueRequest & { params: { n: number } })[]
  assert.equal(jobs.length, jobsPerCompletionMax)
  assert.equal(jobs.at(-1)!.params.n, jobsPerCompletionMax - 1)
})
