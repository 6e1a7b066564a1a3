/** E8, E11: what a job asks while it runs, through threads and hosts: steps, sleeps, signals, and jobs that it enqueues at once. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { JournalEntry } from '../../runtime/core/journal.ts'
import type { JobAnswer, Outcome } from '../../runtime/core/pool.ts'
import { MemoryJournal } from '../actor/memory-journal.ts'
import { type PoolKind, startPool as startPoolOf } from './pool-fixture.ts'

type Fixture = ReturnType<typeof startPoolOf>

function both(name: string, body: (t: TestContext, startPool: typeof startPoolOf) => Promise<void>): void {
  for (const kind of ['threads', 'hosts'] satisfies PoolKind[]) {
    test(`${name} (${kind})`, { timeout: 60_000 }, (t) =>
      body(t, (test, modules, threads) => startPoolOf(test, modules, threads, kind))
    )
  }
}

/** Has the journal answer whatever the jobs ask. */
function answerWith({ pool, heard }: Fixture, journal: MemoryJournal): void {
  heard.whenAsked = (id, number, question) => pool.answer(id, number, journal.answer(question))
}

/** The questions of a job, without their contents. */
function asked({ heard }: Fixture, id: string): string[] {
  return heard.of(id).flatMap(({ question }) => (question === undefined ? [] : [question.type]))
}

function completed(outcome: Outcome): unknown {
  assert.equal(outcome.type, 'completed', JSON.stringify(outcome))
  return JSON.parse((outcome as Outcome & { type: 'completed' }).result)
}

function failed(outcome: Outcome): (Outcome & { type: 'failed' })['error'] {
  assert.equal(outcome.type, 'failed', JSON.stringify(outcome))
  return (outcome as Outcome & { type: 'failed' }).error
}

function entry(index: number, more: Partial<JournalEntry>): JournalEntry {
  const times = { startedAtMs: 0, finishedAtMs: null, untilMs: null }
  return {
    index,
    kind: 'step',
    name: 's',
    state: 'open',
    result: null,
    runs: 1,
    cuts: 0,
    error: null,
    order: null,
    ...times,
    ...more
  }
}

both(
  'issue 6.5: a step is begun on disk, called, and its result is on disk before it is there',
  async (t, startPool) => {
    const fixture = startPool(t, {
      'a.js': `export async function run(params, ctx) {
      const one = await ctx.step('one', ({ run, wasCut }) => ({ run, wasCut, at: new Date(0), no: undefined }))
      const [two, three] = await Promise.all([ctx.step('two', async () => 2), ctx.step('three', () => {})])
      return [one, two, three]
    }`
    })
    const journal = new MemoryJournal()
    answerWith(fixture, journal)
    const result = [{ run: 1, wasCut: false, at: '1970-01-01T00:00:00.000Z' }, 2, null]
    const first = fixture.run('a.run')
    assert.deepEqual(completed(await fixture.heard.outcomeOf(first)), result)
    assert.deepEqual(asked(fixture, first), ['beginStep', 'endStep', 'beginStep', 'beginStep', 'endStep', 'endStep'])
    assert.deepEqual(
      journal.entries.map(({ name, state, runs, result }) => [name, state, runs, JSON.parse(result!)]),
      [
        ['one', 'done', 1, result[0]],
        ['two', 'done', 1, 2],
        ['three', 'done', 1, null]
      ]
    )
    const second = fixture.run('a.run', {}, { journal: journal.begin(), attempt: 2 })
    assert.deepEqual(completed(await fixture.heard.outcomeOf(second)), result, 'the same values')
    assert.deepEqual(asked(fixture, second), [], 'and nothing is done')
  }
)

both(
  'issue 6.5: a kill in the middle of a step; the next attempt is told, and its log says so',
  async (t, startPool) => {
    const fixture = startPool(t, {
      'a.js': `export async function run(params, ctx) {
      await ctx.step('before', () => ctx.log.info('before'))
      return ctx.step('charge 100%s', ({ run, wasCut }) => {
        ctx.log.info('charging')
        return ctx.attempt === 1 ? new Promise(() => {}) : { run, wasCut }
      })
    }`
    })
    const { pool, heard, run } = fixture
    const journal = new MemoryJournal()
    answerWith(fixture, journal)
    run('a.run', {}, { id: 'same' })
    await heard.first(({ line }) => line?.message === 'charging')
    pool.kill('same')
    run('a.run', {}, { id: 'same', attempt: 2, journal: journal.begin() })
    assert.deepEqual(completed(await heard.outcomeOf('same')), { run: 2, wasCut: true })
    assert.deepEqual(heard.lines('same'), [
      'info before',
      'info charging',
      'warn Step "charge 100%s" was cut in its middle and runs again',
      'info charging'
    ])
    assert.deepEqual([journal.entries[1]?.runs, journal.entries[1]?.cuts], [2, 1])
  }
)

both(
  'what a step throws is thrown on and kept as its error; it runs again without having been cut',
  async (t, startPool) => {
    const fixture = startPool(t, {
      'a.js': `export function run(params, ctx) {
      return ctx.step('s', (run) => { if (ctx.attempt === 1) throw new RangeError('no'); return run })
    }
    export async function big(params, ctx) {
      const values = ['x'.repeat(2 ** 20), 1n, () => 1]
      const refused = []
      for (const [index, value] of values.entries()) {
        await ctx.step('big ' + index, () => value).catch(({ name, message }) => refused.push(name + ' ' + message.slice(0, 60)))
      }
      return refused
    }`
    })
    const journal = new MemoryJournal()
    answerWith(fixture, journal)
    const first = fixture.run('a.run')
    assert.equal(failed(await fixture.heard.outcomeOf(first)).name, 'RangeError')
    assert.deepEqual([journal.entries[0]?.state, journal.entries[0]?.error?.message], ['open', 'no'])
    const second = fixture.run('a.run', {}, { journal: journal.begin(), attempt: 2 })
    assert.deepEqual(completed(await fixture.heard.outcomeOf(second)), { run: 2, wasCut: false })
    const refused = completed(await fixture.outcome('a.big')) as string[]
    assert.equal(refused.length, 3)
    for (const text of refused) assert.match(text, /^ResultInvalid Cannot keep the result of step "big \d": it /)
  }
)

both('issue 6.5: a sleep and a wait give the thread back; the attempts after them go on', async (t, startPool) => {
  const fixture = startPool(t, {
    'a.js': `export async function run(params, ctx) {
      const a = await ctx.step('a', () => ctx.attempt)
      await ctx.sleep('wait', '3d')
      const approved = await ctx.waitFor('approved')
      const late = await ctx.waitFor('late', { timeout: '30d' })
      return { a, approved, late: late === undefined ? 'no' : late, attempt: ctx.attempt }
    }
    export const next = () => 'free'`
  })
  const { heard, run, outcome } = fixture
  const journal = new MemoryJournal()
  answerWith(fixture, journal)
  const startedMs = journal.nowMs
  let attempt = 0
  const next = () => heard.outcomeOf(run('a.run', {}, { attempt: ++attempt, journal: journal.begin() }))
  const days = 24 * 3600 * 1000
  assert.deepEqual(await next(), { type: 'suspended', entries: [1] })
  const { untilMs } = journal.entries[1]!
  assert.ok(untilMs! >= startedMs + 3 * days && untilMs! < startedMs + 3 * days + 60_000)
  assert.equal(completed(await outcome('a.next')), 'free', 'the thread is not replaced and has no job')
  assert.deepEqual(await next(), { type: 'suspended', entries: [1] }, 'brought forward: it sleeps on')
  assert.equal(journal.entries[1]!.untilMs, untilMs)
  journal.nowMs = untilMs!
  assert.deepEqual(await next(), { type: 'suspended', entries: [2] })
  assert.equal(journal.entries[2]!.untilMs, null)
  journal.signals.push({ name: 'approved', payload: '{"by":"me"}' })
  assert.deepEqual(await next(), { type: 'suspended', entries: [3] })
  journal.nowMs = journal.entries[3]!.untilMs!
  assert.deepEqual(completed(await next()), { a: 1, approved: { by: 'me' }, late: 'no', attempt: 5 })
  assert.deepEqual(completed(await next()), { a: 1, approved: { by: 'me' }, late: 'no', attempt: 6 }, 'replayed')
  assert.ok(!heard.said.some(({ line }) => line !== undefined), 'no log line of things left behind')
})

both('what runs beside a sleep ends first; a method that does not need the sleep completes', async (t, startPool) => {
  const fixture = startPool(t, {
    'a.js': `const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
    export function all(params, ctx) {
      return Promise.all([ctx.sleep('long', '1d'), ctx.step('slow', () => pause(50)), ctx.waitFor('s')])
    }
    export function chain(params, ctx) {
      const steps = async () => { for (const name of ['a', 'b', 'c']) await ctx.step(name, () => {}) }
      return Promise.all([ctx.sleep('long', '1d'), steps()])
    }
    export function race(params, ctx) { return Promise.race([ctx.sleep('long', '1d'), ctx.step('quick', () => 'quick')]) }
    export function swallow(params, ctx) { return Promise.race([ctx.sleep('long', '1d'), null]) }`
  })
  const { heard, run } = fixture
  const [all, chain, race, swallow] = [
    new MemoryJournal(),
    new MemoryJournal(),
    new MemoryJournal(),
    new MemoryJournal()
  ]
  answerWith(fixture, all)
  assert.deepEqual(await heard.outcomeOf(run('a.all')), { type: 'suspended', entries: [0, 2] })
  assert.deepEqual(
    all.entries.map(({ state }) => state),
    ['open', 'done', 'open']
  )
  answerWith(fixture, chain)
  assert.deepEqual(await heard.outcomeOf(run('a.chain')), { type: 'suspended', entries: [0] })
  assert.deepEqual(
    chain.entries.map(({ name, state }) => `${name} ${state}`),
    ['long open', 'a done', 'b done', 'c done']
  )
  answerWith(fixture, race)
  assert.equal(completed(await heard.outcomeOf(run('a.race'))), 'quick')
  answerWith(fixture, swallow)
  assert.equal(completed(await heard.outcomeOf(run('a.swallow'))), null)
})

both('issue 6.5: another order of steps than before fails the job for good, and says where', async (t, startPool) => {
  const { heard, run } = startPool(t, {
    'a.js': `export async function renamed(params, ctx) {
      try { await ctx.step('charge', () => {}) } catch { return 'caught' } finally { ctx.log.info('went on') }
    }
    export async function kind(params, ctx) { await ctx.sleep('s', 1) }
    export async function fewer(params, ctx) { return 1 }
    export async function throws(params, ctx) { throw new TypeError('mine') }
    export const more = (params, ctx) => Promise.all([ctx.step('s', () => {}), ctx.step('t', () => {})])`
  })
  const of = (method: string, journal: JournalEntry[]) => heard.outcomeOf(run(method, {}, { journal }))
  const done = entry(0, { state: 'done', result: '1' })
  const cases: [method: string, journal: JournalEntry[], message: RegExp][] = [
    [
      'a.renamed',
      [done],
      /call 1 of its steps, sleeps and waits was step "s" .* and it is step "charge" now\. They must/
    ],
    ['a.renamed', [entry(0, {})], /was step "s" .* it is step "charge" now/],
    ['a.kind', [done], /was step "s" .* it is sleep "s" now/],
    ['a.fewer', [done, entry(1, { kind: 'signal' })], /call 1 .* was step "s" .* the method returned without it now/],
    ['a.more', [done, entry(1, { name: 'r' })], /call 2 .* was step "r" .* it is step "t" now/]
  ]
  for (const [method, journal, message] of cases) {
    const outcome = await of(method, journal)
    const error = failed(outcome)
    assert.deepEqual([error.code, error.name], ['UNRECOVERABLE', 'StepsChanged'], method)
    assert.equal((outcome as Outcome & { type: 'failed' }).final, true)
    assert.match(error.message, message)
  }
  assert.equal(failed(await of('a.throws', [done])).message, 'mine', 'a method that throws early is tried again')
  assert.ok(!heard.said.some(({ line, question }) => line !== undefined || question !== undefined), 'nothing is done')
})

both('E8: enqueueAfterCommit false asks at once, and what speaks against it is thrown', async (t, startPool) => {
  const fixture = startPool(t, {
    'a.js': `export async function run(params, ctx) {
      const options = { enqueueAfterCommit: false, runAt: new Date(0) }
      const one = await ctx.enqueue('b.run', { n: 1 }, options)
      const doc = await ctx.enqueueDoc('b.Doc', 'x', 'add', undefined, { enqueueAfterCommit: false, jobId: 'mine' })
      const many = await ctx.enqueueMany([1, 2].map((n) => ({ method: 'c.run', params: n, enqueueAfterCommit: false })))
      return [one, doc, many]
    }
    export const refused = (params, ctx) => ctx.enqueue('b.run', {}, { enqueueAfterCommit: false })`
  })
  const { heard, run, pool } = fixture
  const journal = new MemoryJournal()
  answerWith(fixture, journal)
  const result = [{ id: 'b.run-0-0' }, { id: 'b.Doc.add-1-0' }, { ids: ['c.run-2-0', 'c.run-2-1'] }]
  const id = run('a.run')
  const outcome = await heard.outcomeOf(id)
  assert.deepEqual(outcome, { type: 'completed', result: JSON.stringify(result) }, 'nothing is left for its end')
  const atOnce = { enqueueAfterCommit: false }
  assert.deepEqual(
    heard.of(id).flatMap(({ question }) => question ?? []),
    [
      {
        type: 'enqueue',
        index: 0,
        name: 'enqueue b.run',
        jobs: [{ ...atOnce, runAt: '1970-01-01T00:00:00.000Z', params: { n: 1 }, method: 'b.run' }]
      },
      {
        type: 'enqueue',
        index: 1,
        name: 'enqueue b.Doc.add',
        jobs: [{ ...atOnce, jobId: 'mine', document: 'x', method: 'b.Doc.add' }]
      },
      {
        type: 'enqueue',
        index: 2,
        name: 'enqueueMany',
        jobs: [1, 2].map((n) => ({ method: 'c.run', params: n, ...atOnce }))
      }
    ]
  )
  const again = run('a.run', {}, { journal: journal.begin(), attempt: 2 })
  assert.deepEqual(completed(await heard.outcomeOf(again)), result)
  assert.deepEqual(asked(fixture, again), [])
  const refusal: JobAnswer = { type: 'refused', code: 'QUEUE_FULL', message: 'full', data: { queue: 'q' } }
  heard.whenAsked = (job, number) => pool.answer(job, number, refusal)
  const error = failed(await heard.outcomeOf(run('a.refused')))
  assert.deepEqual(
    [error.code, error.name, error.thrownCode, error.message],
    ['THROWN', 'RuntimeError', 'QUEUE_FULL', 'full']
  )
})

both(
  'an answer reaches the attempt that asked and no other; questions can be answered in any order',
  async (t, startPool) => {
    const { pool, heard, run } = startPool(
      t,
      {
        'a.js': `export async function run(params, ctx) {
        const name = String(ctx.attempt)
        return Promise.all([0, 1, 2].map((n) => ctx.enqueue('b.' + n, {}, { enqueueAfterCommit: false })))
      }`
      },
      2
    )
    const questionsOf = async (id: string, from: number) => {
      await heard.first(
        () => heard.said.slice(from).filter((said) => said.id === id && said.type === 'asked').length === 3
      )
      return heard.said.slice(from).flatMap((said) => (said.id === id && said.type === 'asked' ? [said] : []))
    }
    const answer = (number: number, id: string) =>
      pool.answer('same', number, { type: 'answered', value: { ids: [id] } })
    run('a.run', {}, { id: 'same' })
    const old = await questionsOf('same', 0)
    pool.kill('same')
    for (const { number } of old) answer(number!, 'killed')
    const from = heard.said.length
    run('a.run', {}, { id: 'same', attempt: 2, alone: true })
    const own = await questionsOf('same', from)
    assert.equal(new Set([...old, ...own].map(({ number }) => number)).size, 6, 'no number is given twice')
    for (const { number } of old) answer(number!, 'late')
    for (const { number, question } of own.toReversed()) {
      const { jobs } = question as { jobs: { method: string }[] } & typeof question
      answer(number!, jobs[0]!.method)
      answer(number!, 'twice')
    }
    assert.deepEqual(completed(await heard.outcomeOf('same')), [{ id: 'b.0' }, { id: 'b.1' }, { id: 'b.2' }])
    pool.answer('nobody', own[0]!.number!, { type: 'answered', value: {} })
    answer(own[0]!.number!, 'after its end')
  }
)

both(
  'the channel is nothing that a job left behind, with open questions or without; its thread goes on',
  async (t, startPool) => {
    const fixture = startPool(t, {
      'a.js': `import { threadId } from 'node:worker_threads'
      export async function asks(params, ctx) { await ctx.step('s', () => {}); return threadId }
      export function floats(params, ctx) { void ctx.step('s', () => {}); return threadId }
      export const thread = () => threadId`
    })
    const { heard, run, outcome } = fixture
    const thread = completed(await outcome('a.thread'))
    const ids = [run('a.floats')]
    assert.equal(completed(await heard.outcomeOf(ids[0]!)), thread)
    answerWith(fixture, new MemoryJournal())
    for (const method of ['a.asks', 'a.floats', 'a.asks']) {
      answerWith(fixture, new MemoryJournal())
      ids.push(run(method))
      assert.equal(completed(await heard.outcomeOf(ids.at(-1)!)), thread, method)
    }
    for (const id of ids) assert.deepEqual(heard.lines(id), [])
  }
)

both('inside of a step nothing else can be asked for: a later attempt would miss it', async (t, startPool) => {
  const fixture = startPool(t, {
    'a.js': `export async function run(params, ctx) {
      const calls = [
        () => ctx.step('inner', () => {}), () => ctx.sleep('inner', 1), () => ctx.waitFor('inner'), () => ctx.enqueue('b.run'),
        () => ctx.enqueue('b.run', {}, { enqueueAfterCommit: false }), () => ctx.enqueueMany([{ method: 'b.run' }])
      ]
      const refused = []
      for (const [index, call] of calls.entries()) {
        await ctx.step('s' + index, async () => { await null; await call().catch((error) => refused.push(error.name + ' ' + error.message)) })
      }
      let late
      await ctx.step('leaves', () => { late = new Promise((resolve) => setTimeout(resolve, 20)).then(() => ctx.step('after', () => 'fine')) })
      return [refused, await late]
    }`
  })
  answerWith(fixture, new MemoryJournal())
  const outcome = await fixture.outcome('a.run')
  const [refused, late] = completed(outcome) as [string[], string]
  assert.equal(refused.length, 6)
  for (const [index, text] of refused.entries()) {
    assert.match(text, new RegExp(`^TypeError Cannot .* inside of step "s${index}": a later attempt does not`))
  }
  assert.equal(late, 'fine', 'the step is over')
  assert.ok(!('effects' in outcome))
})

both('what is called in a wrong way is refused with a TypeError, and nothing is asked', async (t, startPool) => {
  const { heard, outcome } = startPool(t, {
    'a.js': `export async function run(params, ctx) {
      const calls = [
        () => ctx.step(), () => ctx.step('', () => {}), () => ctx.step('a\\n', () => {}), () => ctx.step('x'.repeat(256), () => {}),
        () => ctx.step('a'), () => ctx.step('a', 5),
        () => ctx.sleep('a'), () => ctx.sleep('a', '3 weeks ago'), () => ctx.sleep('a', -1), () => ctx.sleep('a', new Date(NaN)),
        () => ctx.waitFor(7), () => ctx.waitFor('a', { timeout: 'soon' }), () => ctx.waitFor('a', 5), () => ctx.waitFor('a', null)
      ]
      const refused = []
      for (const call of calls) {
        try { await call(); refused.push('no') } catch ({ name, message }) { refused.push(name + ': ' + message) }
      }
      return refused
    }`
  })
  const refused = completed(await outcome('a.run')) as string[]
  assert.equal(refused.length, 14)
  for (const message of refused)
    assert.match(message, /^TypeError: Cannot .*(expected|must be|needs a function).*, got /)
  assert.ok(!heard.said.some(({ type }) => type === 'asked'))
})

both(
  'a job that is suspended leaves its thread as any other: what it left running costs the thread',
  async (t, startPool) => {
    const fixture = startPool(t, {
      'a.js': `import { threadId } from 'node:worker_threads'
      export function run(params, ctx) { setInterval(() => {}, 1000); ctx.log.info(threadId); return ctx.sleep('s', '1d') }
      export const thread = () => threadId`
    })
    const { heard, run, outcome } = fixture
    answerWith(fixture, new MemoryJournal())
    const id = run('a.run')
    assert.deepEqual(await heard.outcomeOf(id), { type: 'suspended', entries: [0] })
    assert.match(heard.lines(id)[1] ?? '', /^warn The job left behind: Timeout\. Its thread is replaced\.$/)
    assert.notEqual(`info ${completed(await outcome('a.thread'))}`, heard.lines(id)[0])
  }
)

both('after a suspended attempt its signal does not abort: the method stays where it was', async (t, startPool) => {
  const fixture = startPool(t, {
    'a.js': `let seen = 0
      export function sleeps(params, ctx) {
        ctx.signal.addEventListener('abort', () => { seen += 1 })
        return ctx.sleep('s', '1d')
      }
      export async function next(params, ctx) {
        await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))
        return seen
      }`
  })
  const { heard, run } = fixture
  answerWith(fixture, new MemoryJournal())
  const soon = (ms: number) => ({ timeoutMs: 60_000, softTimeoutMs: 60_000 - ms })
  assert.equal((await heard.outcomeOf(run('a.sleeps', {}, soon(150)))).type, 'suspended')
  assert.equal(completed(await heard.outcomeOf(run('a.next', {}, soon(200)))), 0)
})
