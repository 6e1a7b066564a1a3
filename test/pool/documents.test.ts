/** E11, issue 6.1: methods of documents in threads and hosts: where their state comes from, and what becomes of it. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { JobError } from '../../runtime/core/job.ts'
import { jsonDepthMax, stateBytesMax, stateSentBytesMax } from '../../runtime/core/limits.ts'
import type { DocumentMessage, JobMessage, Outcome } from '../../runtime/core/pool.ts'
import { type PoolKind, startPool } from './pool-fixture.ts'

const actorFile = fileURLToPath(new URL('../../runtime/core/actor.js', import.meta.url))
const head = `import { Actor } from ${JSON.stringify(actorFile)}
import { threadId } from 'node:worker_threads'
`

interface Documents {
  /** Runs a method of `a.<type>` to its outcome. */
  call(method: string, document?: Partial<DocumentMessage>, more?: Partial<JobMessage>): Promise<Outcome>
  fixture: ReturnType<typeof startPool>
}

function documents(t: TestContext, kind: PoolKind, classes: string, threads = 1): Documents {
  const fixture = startPool(t, { 'a.js': `${head}${classes}` }, threads, kind)
  const { heard, run, folder } = fixture
  const call: Documents['call'] = (method, document = {}, more = {}) => {
    const type = `a.${method.slice(0, method.lastIndexOf('.'))}`
    const given: DocumentMessage = { type, name: 'n', revision: null, nextRevision: 7, version: 1, ...document }
    return heard.outcomeOf(run(`a.${method}`, {}, { file: `${folder}/a.js`, document: given, ...more }))
  }
  return { call, fixture }
}

function both(name: string, body: (t: TestContext, kind: PoolKind) => Promise<void>): void {
  for (const kind of ['threads', 'hosts'] satisfies PoolKind[]) {
    test(`${name} (${kind})`, { timeout: 60_000 }, (t) => body(t, kind))
  }
}

function failed(outcome: Outcome): JobError {
  assert.equal(outcome.type, 'failed', JSON.stringify(outcome))
  return (outcome as Outcome & { type: 'failed' }).error
}

function ended(outcome: Outcome): { result: unknown; state: unknown; version: number | undefined } {
  assert.equal(outcome.type, 'completed', JSON.stringify(outcome))
  const { result, effects } = outcome as Outcome & { type: 'completed' }
  const document = effects?.document
  assert.ok(document !== 'removed')
  return {
    result: JSON.parse(result),
    state: document === undefined ? 'unchanged' : JSON.parse(document.state),
    version: document?.version
  }
}

const stored = (state: unknown, more: Partial<DocumentMessage> = {}) => ({
  revision: 3,
  state: JSON.stringify(state),
  ...more
})

both('E11: a method gets the state of its document, and leaves the new one', async (t, kind) => {
  const { call, fixture } = documents(
    t,
    kind,
    `export class Invoice extends Actor {
      initialState(name) { return { of: name + this.name, lines: [] } }
      addLine(params, ctx) { this.state.lines.push(ctx.document); return this.state.lines.length }
      async read() { return this.state }
      replace() { this.state = 5 }
      fail() { this.state.lines.push(1); throw new RangeError('no') }
      bad() { this.state.lines.push(1); return 1n }
      get lines() { return 1 }
      _inner() {}
    }
    export class Sub extends Invoice { inherited() { return this.addLine({}, { document: 'sub' }) } }
    export function run(params, ctx) { return ctx.document }`
  )
  const document = { type: 'a.Invoice', name: 'n' }
  const begun = { of: 'nn', lines: [document] }
  assert.deepEqual(ended(await call('Invoice.addLine')), { result: 1, state: begun, version: 1 })
  const two = { of: 'nn', lines: [document, document] }
  assert.deepEqual(ended(await call('Invoice.addLine', stored(begun))), { result: 2, state: two, version: 1 })
  assert.deepEqual(ended(await call('Invoice.read', stored(two))), {
    result: two,
    state: 'unchanged',
    version: undefined
  })
  assert.deepEqual(ended(await call('Invoice.read')).state, { of: 'nn', lines: [] }, 'reading makes the document')
  assert.deepEqual(ended(await call('Invoice.replace', stored(two))).state, 5)
  assert.deepEqual(ended(await call('Sub.inherited', stored(begun))).state, { of: 'nn', lines: [document, 'sub'] })
  assert.equal(failed(await call('Invoice.fail', stored(begun))).name, 'RangeError')
  assert.equal(failed(await call('Invoice.bad', stored(begun))).code, 'RESULT_INVALID')
  assert.deepEqual(ended(await call('Invoice.read', stored(begun))).result, begun, 'nothing of it stays in the thread')
  assert.deepEqual(await fixture.outcome('a.run'), { type: 'completed', result: 'null' })
  for (const method of ['missing', 'lines', '_inner', 'constructor', 'initialState', 'hasOwnProperty', 'toString']) {
    const { name, message } = failed(await call(`Invoice.${method}`))
    assert.equal(name, 'MethodUnknown', method)
    assert.match(message, /class "Invoice" of .*a\.js has no such method any more/)
  }
  for (const method of ['Gone.read', 'run.read']) {
    assert.match(failed(await call(method)).message, /a\.js no longer exports a class "\w+" that extends Actor/)
  }
})

both('the state of a new document: static, of the instance, its field, or {}', async (t, kind) => {
  const { call } = documents(
    t,
    kind,
    `class Base extends Actor { touch() { this.state = [this.state] } }
    export class StaticValue extends Base { static initialState = { a: 1 }; initialState() { return 'no' }; state = 'no' }
    export class StaticFunction extends Base { static initialState(name) { return name } }
    export class Method extends Base { state = 'no'; async initialState(name) { return name + '!' } }
    export class InstanceField extends Base { initialState = { b: 2 } }
    export class Field extends Base { state = { c: 3 } }
    export class DeclaredField extends Base { state }
    export class Nothing extends Base {}
    export class Bad extends Base { state = { a: 1n } }
    export class Throws extends Base { initialState() { throw new SyntaxError('mine') } }
    export class Constructor extends Base { constructor() { super(); throw new EvalError('mine') } }
    const mark = Symbol.for('actor-runtime.Actor')
    export class OtherCopy { static [mark] = true; touch() { this.state = [this.state] } }`
  )
  const cases: [string, unknown][] = [
    ['StaticValue', { a: 1 }],
    ['StaticFunction', 'n'],
    ['Method', 'n!'],
    ['InstanceField', { b: 2 }],
    ['Field', { c: 3 }],
    ['DeclaredField', {}],
    ['Nothing', {}],
    ['OtherCopy', {}]
  ]
  for (const [type, state] of cases) {
    for (const _ of [1, 2]) assert.deepEqual(ended(await call(`${type}.touch`)).state, [state], type)
    assert.deepEqual(ended(await call(`${type}.touch`, stored('kept'))).state, ['kept'], type)
  }
  const { code, message } = failed(await call('Bad.touch'))
  assert.equal(code, 'RESULT_INVALID')
  assert.match(message, /Cannot keep the state of document "n" of a\.Bad: it cannot be written as JSON: .*BigInt/)
  assert.equal(failed(await call('Throws.touch')).name, 'SyntaxError')
  assert.equal(failed(await call('Constructor.touch')).name, 'EvalError')
})

both('state that cannot be kept fails the attempt with RESULT_INVALID', async (t, kind) => {
  const nested = (depth: number) => `JSON.parse('${'['.repeat(depth)}${']'.repeat(depth)}')`
  const states: [expression: string, problem: RegExp][] = [
    ['undefined', /it is undefined, which JSON does not have/],
    ['() => 1', /it is a function/],
    ['1n', /BigInt/],
    ['(() => { const a = {}; a.a = a; return a })()', /circular/],
    [nested(jsonDepthMax + 1), /deeper than 64/],
    [`'x'.repeat(${stateBytesMax})`, /bytes of JSON, and 8388608 are allowed/]
  ]
  const { call } = documents(
    t,
    kind,
    `export class Doc extends Actor {${states.map(([expression], index) => `m${index}() { this.state = ${expression} }`).join('\n')}
      toJson() { this.state = { toJSON() { throw new RangeError('mine') } } } }`
  )
  for (const [index, [expression, problem]] of states.entries()) {
    const { code, message } = failed(await call(`Doc.m${index}`, stored({})))
    assert.equal(code, 'RESULT_INVALID', expression)
    assert.match(message, problem)
  }
  assert.equal(failed(await call('Doc.toJson', stored({}))).message, 'mine')
})

both(
  'issue 6.1: state of an older version is migrated, and stored with the first method that completes',
  async (t, kind) => {
    const { call } = documents(
      t,
      kind,
      `class Base extends Actor {
      read() { return this.state }
      fail() { throw new Error('no') }
    }
    const migrate = (state, from) => ({ ...state, from })
    export class Two extends Base { static version = 2; migrate(state, from) { return migrate(state, from) } }
    export class Field extends Base { version = 2; async migrate(state, from) { return migrate(state, from) } }
    export class Static extends Base { static version = 3; static migrate(state, from) { return migrate(state, from) }; migrate() { return 'no' } }
    export class Missing extends Base { static version = 2 }
    export class Undefined extends Base { static version = 2; migrate(state) { state.changed = true } }
    export class Throws extends Base { static version = 2; migrate() { throw new EvalError('mine') } }
    export class Huge extends Base { static version = 2; migrate() { return 1n } }
    export class Wrong extends Base { static version = 'two' }
    export class One extends Base {}`
    )
    const old = stored({ a: 1 })
    for (const [type, version] of [
      ['Two', 2],
      ['Field', 2],
      ['Static', 3]
    ] as const) {
      const migrated = { a: 1, from: 1 }
      assert.deepEqual(ended(await call(`${type}.read`, old)), { result: migrated, state: migrated, version })
      assert.deepEqual(ended(await call(`${type}.read`, { ...old, version })), {
        result: { a: 1 },
        state: 'unchanged',
        version: undefined
      })
      assert.deepEqual(ended(await call(`${type}.read`)), { result: {}, state: {}, version })
      assert.equal(failed(await call(`${type}.fail`, old)).message, 'no')
    }
    const errors: [type: string, name: string, message: RegExp][] = [
      [
        'Missing',
        'MigrationMissing',
        /the state of document "n" of a\.Missing has version 1, class Missing has version 2 and no function "migrate"\. Add/
      ],
      ['Undefined', 'MigrationInvalid', /migrate\(state, 1\) of class Undefined returned undefined\. It must/],
      ['Throws', 'EvalError', /^mine$/],
      ['Huge', 'ResultInvalid', /BigInt/],
      ['Wrong', 'VersionInvalid', /the version of class Wrong is "two"; give a whole number from 1/]
    ]
    for (const [type, name, message] of errors) {
      const outcome = await call(`${type}.read`, old)
      const error = failed(outcome)
      assert.equal(error.name, name)
      assert.match(error.message, message)
      assert.equal((outcome as Outcome & { type: 'failed' }).final, false)
    }
    const tooNew = failed(await call('One.read', { ...old, version: 2 }))
    assert.equal(tooNew.name, 'StateTooNew')
    assert.match(tooNew.message, /has version 2, and class One knows versions up to 1\. Run the newer code/)
  }
)

both('issue 6.6: reminders and the removal of a document go along with the outcome', async (t, kind) => {
  const { call } = documents(
    t,
    kind,
    `export class Doc extends Actor {
      remind(params, ctx) {
        ctx.remind('a', { method: 'tick', at: new Date(1000), params: { n: 1 } })
        ctx.remind('b', { method: 'tick', delay: '3d', queue: 'long' })
        ctx.remind('c', { method: 'tick', cron: 'daily', timezone: 'Europe/Berlin' })
        ctx.cancelReminder('d')
      }
      remove(params, ctx) { ctx.remind('a', { method: 'tick', delay: 1 }); ctx.enqueue('b.run', {}, { jobId: 'j' }); this.state = 1n; ctx.removeDocument(); return 'gone' }
      fail(params, ctx) { ctx.removeDocument(); throw new Error('no') }
      bad(params, ctx) {
        const refused = []
        const reminders = [undefined, {}, { method: 'm' }, { method: 'm', at: 'soon' }, { method: 'm', delay: -1 }, { method: 'm', delay: 1, cron: 'daily' },
          { method: 'm', cron: 5 }, { method: 'm', delay: 1, timezone: 'UTC' }, { method: 'm', delay: 1, every: 1 }, { delay: 1 }]
        for (const reminder of reminders) try { ctx.remind('r', reminder) } catch (error) { refused.push(error.name) }
        try { ctx.remind('', { method: 'm', delay: 1 }) } catch (error) { refused.push(error.name) }
        return refused
      }
      tick() {}
    }`
  )
  const effectsOf = (outcome: Outcome) => (outcome as Outcome & { type: 'completed' }).effects
  const reminders = [
    { type: 'set', name: 'a', method: 'tick', params: { n: 1 }, at: '1970-01-01T00:00:01.000Z' },
    { type: 'set', name: 'b', method: 'tick', delay: '3d', queue: 'long' },
    { type: 'set', name: 'c', method: 'tick', cron: 'daily', timezone: 'Europe/Berlin' },
    { type: 'cancel', name: 'd' }
  ]
  assert.deepEqual(effectsOf(await call('Doc.remind', stored(1))), { reminders })
  assert.deepEqual(
    effectsOf(await call('Doc.remind')),
    { document: { state: '{}', version: 1 }, reminders },
    'it begins'
  )
  assert.deepEqual(effectsOf(await call('Doc.remove', stored(1))), {
    document: 'removed',
    jobs: [{ params: {}, method: 'b.run', jobId: 'j' }]
  })
  assert.equal(failed(await call('Doc.fail', stored(1))).message, 'no')
  assert.deepEqual(ended(await call('Doc.bad', stored(1))).result, Array(11).fill('TypeError'))
})

const large = { text: 'x'.repeat(stateSentBytesMax), n: 0 }

both(
  'issue 6.7: a large state that is not sent along is asked for once, and is known under its revision only',
  async (t, kind) => {
    const { call, fixture } = documents(
      t,
      kind,
      `export class Doc extends Actor {
      read() { return this.state.n }
      add() { this.state.n += 1; return this.state.n }
      fail() { this.state.n = 99; throw new Error('no') }
      leave() { setTimeout(() => { this.state.n = 77 }, 1); return this.state.n }
    }`
    )
    const { heard, pool } = fixture
    let asked = 0
    let state = { ...large }
    heard.whenAsked = (id, number, question) => {
      assert.deepEqual(question, { type: 'state' })
      asked += 1
      pool.answer(id, number, { type: 'answered', value: { state: JSON.stringify(state) } })
    }
    const result = async (method: string, revision: number, more: Partial<DocumentMessage> = {}) =>
      ended(await call(`Doc.${method}`, { revision, ...more })).result
    assert.deepEqual([await result('read', 1), asked], [0, 1])
    assert.deepEqual([await result('read', 1), asked], [0, 1], 'held')
    assert.deepEqual([await result('add', 1, { nextRevision: 2 }), asked], [1, 1])
    assert.deepEqual([await result('add', 2, { nextRevision: 3 }), asked], [2, 1], 'its own change is held')
    assert.equal(failed(await call('Doc.fail', { revision: 3 })).message, 'no')
    assert.deepEqual([await result('leave', 3), asked], [2, 1])
    assert.deepEqual([await result('read', 3), asked], [2, 1], 'what a job leaves running changes nothing')
    state = { ...large, n: 50 }
    assert.deepEqual([await result('read', 4), asked], [50, 2], 'changed elsewhere')
    assert.deepEqual([await result('read', 3), asked], [50, 3], 'only the newest is held')
    assert.deepEqual([await result('read', 3, { name: 'other' }), asked], [50, 4], 'of this document only')
    for (let index = 0; index < 64; index++) await result('read', 1, { name: `doc-${index}` })
    assert.equal(asked, 68)
    assert.deepEqual([await result('read', 3, { name: 'other' }), asked], [50, 69], 'the oldest have gone')
    assert.deepEqual([await result('read', 1, { name: 'doc-63' }), asked], [50, 69])
  }
)

both('a refused question for the state fails the attempt', async (t, kind) => {
  const { call, fixture } = documents(t, kind, 'export class Doc extends Actor { read() { return 1 } }')
  fixture.heard.whenAsked = (id, number) => {
    fixture.pool.answer(id, number, { type: 'refused', code: 'STORAGE_FAILED', message: 'no', data: {} })
  }
  const { code, thrownCode } = failed(await call('Doc.read', { revision: 1 }))
  assert.deepEqual([code, thrownCode], ['THROWN', 'STORAGE_FAILED'])
})

both(
  'issue 6.7: a document goes to the free thread that ran it last; where that is busy, to another one',
  async (t, kind) => {
    const classes = `export class Doc extends Actor { thread() { return threadId } }
    export async function hold(params, ctx) { ctx.log.info(threadId); await ctx.enqueue('b.run', {}, { enqueueAfterCommit: false }) }
    export const thread = () => threadId`
    const { call, fixture } = documents(t, kind, classes, 2)
    const { run, heard, pool, outcome } = fixture
    const threadOf = async (name: string) => Number(ended(await call('Doc.thread', { name })).result)
    const hold = async () => {
      const id = run('a.hold')
      const { line } = await heard.first((said) => said.id === id && said.type === 'log')
      const { number } = await heard.first((said) => said.id === id && said.type === 'asked')
      const release = () => {
        pool.answer(id, number!, { type: 'answered', value: { ids: ['made'] } })
        return heard.outcomeOf(id)
      }
      return { thread: Number(line!.message), release }
    }
    // Both threads are there then, and which is the first stays as it is.
    for (const { release } of [await hold(), await hold()]) await release()
    const first = await hold()
    const home = await threadOf('home')
    assert.notEqual(home, first.thread)
    await first.release()
    for (let round = 0; round < 5; round++) {
      assert.equal(ended(await outcome('a.thread')).result, first.thread, 'what has no home takes the first')
      assert.equal(await threadOf(`other-${round}`), first.thread)
      assert.equal(await threadOf('home'), home)
    }
    const busy = [await hold(), await hold()]
    assert.deepEqual(
      busy.map(({ thread }) => thread),
      [first.thread, home]
    )
    await busy[0]!.release()
    assert.equal(await threadOf('home'), first.thread)
    await busy[1]!.release()
    assert.equal(await threadOf('home'), first.thread, 'that is its home now')
  }
)
