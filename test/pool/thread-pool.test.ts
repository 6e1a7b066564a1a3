import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Worker } from 'node:worker_threads'
import type { JobError } from '../../runtime/core/job.ts'
import { jsonDepthMax, logLineCharsMax, logLinesMax, resultBytesMax } from '../../runtime/core/limits.ts'
import type { Outcome } from '../../runtime/core/pool.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { type PoolKind, startPool as startPoolOf, writeModule } from './pool-fixture.ts'

/** What holds wherever the threads are, is tested in both places. */
function both(name: string, body: (t: TestContext, startPool: typeof startPoolOf) => Promise<void>): void {
  for (const kind of ['threads', 'hosts'] satisfies PoolKind[]) {
    test(`${name} (${kind})`, (t) => body(t, (test, modules, threads) => startPoolOf(test, modules, threads, kind)))
  }
}

/** What was said of a job; of one that ends quickly the start need not be told. */
function typesAfterStart(said: readonly { type: string }[]): string[] {
  const types = said.map(({ type }) => type)
  return types[0] === 'started' ? types.slice(1) : types
}

function failed(outcome: Outcome): JobError {
  assert.equal(outcome.type, 'failed', JSON.stringify(outcome))
  return (outcome as Outcome & { type: 'failed' }).error
}

function completed(outcome: Outcome): unknown {
  assert.equal(outcome.type, 'completed', JSON.stringify(outcome))
  return JSON.parse((outcome as Outcome & { type: 'completed' }).result)
}

both('a job runs with its params and context, and its result comes back as JSON', async (t, startPool) => {
  const { heard, run } = startPool(t, {
    'a.js': `export async function run(params, ctx) {
      const { id, queue, method, attempt, attemptsMax, deadlineAtMs, signal } = ctx
      return { params, id, queue, method, attempt, attemptsMax, leftMs: deadlineAtMs - Date.now(), aborted: signal.aborted }
    }`
  })
  const id = run('a.run', { month: 3 }, { attempt: 2, timeoutMs: 5000 })
  const { leftMs, ...result } = completed(await heard.outcomeOf(id)) as { leftMs: number }
  const expected = { id, queue: 'default', method: 'a.run', attempt: 2, attemptsMax: 3 }
  assert.deepEqual(result, { ...expected, params: { month: 3 }, aborted: false })
  assert.ok(leftMs > 4000 && leftMs <= 5000, `${leftMs}`)
  assert.deepEqual(typesAfterStart(heard.of(id)), ['outcome'])
})

const thrown: [name: string, expression: string, expected: Partial<JobError>][] = [
  ['TypeError', 'new TypeError("bad type")', { name: 'TypeError', message: 'bad type' }],
  ['class without a name', 'new (class Refused extends Error {})("no")', { name: 'Refused', message: 'no' }],
  ['own name', 'Object.assign(new Error("n"), { name: "Custom" })', { name: 'Custom', message: 'n' }],
  ['code', 'Object.assign(new Error("c"), { code: "ENOENT" })', { name: 'Error', thrownCode: 'ENOENT' }],
  ['numeric code', 'Object.assign(new Error("c"), { code: 7 })', { thrownCode: 7 }],
  ['abort', 'new DOMException("stop it", "AbortError")', { name: 'AbortError', message: 'stop it' }],
  ['string', '"plain text"', { name: 'NonError', message: 'plain text' }],
  ['error-like', '({ message: "like", code: "X" })', { message: 'like', thrownCode: 'X' }],
  ['undefined', 'undefined', { name: 'NonError', message: 'The method threw undefined, which is not an Error' }],
  ['null', 'null', { name: 'NonError', message: 'The method threw null, which is not an Error' }],
  ['symbol', 'Symbol("s")', { name: 'NonError', message: 'The method threw Symbol(s), which is not an Error' }],
  ['function', '() => {}', { name: 'NonError' }],
  ['object', '({ a: 1n })', { message: 'The method threw { a: 1n }, which is not an Error' }],
  ['throwing getter', 'Object.defineProperty(new Error("x"), "message", { get() { throw 1 } })', { name: 'NonError' }],
  ['throwing code', 'Object.defineProperty(new Error("x"), "code", { get() { throw 1 } })', { message: 'x' }],
  [
    'hostile proxy',
    'new Proxy({}, { get() { throw new Error("trap") }, getPrototypeOf() { throw 1 } })',
    { name: 'NonError' }
  ],
  [
    'revoked proxy',
    '(() => { const p = Proxy.revocable({}, {}); p.revoke(); return p.proxy })()',
    { name: 'NonError' }
  ],
  ['null prototype', 'Object.create(null)', { name: 'NonError' }],
  ['record named RetryLater', '({ name: "RetryLater", message: "m", delay: 1 })', { name: 'RetryLater', message: 'm' }],
  ['stack overflow', '(function f() { try { return f() } catch (e) { return e } })()', { name: 'RangeError' }],
  ['long message', 'new Error("x".repeat(1e6))', { name: 'Error' }]
]

both('whatever is thrown becomes a plain error, and the thread lives on', async (t, startPool) => {
  const cases = thrown.map(([name, expression]) => `${JSON.stringify(name)}: () => { throw ${expression} }`)
  const { outcome } = startPool(t, {
    'a.js': `const cases = {${cases}}
      let runs = 0
      export function sync({ name }) { runs++; cases[name]() }
      export async function later({ name }) { runs++; await null; cases[name]() }
      export const count = () => runs`
  })
  for (const [name, , expected] of thrown) {
    for (const method of ['a.sync', 'a.later']) {
      const result = await outcome(method, { name })
      const error = failed(result)
      assert.deepEqual({ ...error, ...expected, code: 'THROWN' }, error, name)
      assert.ok(error.message.length <= 8_000 && (error.stack ?? '').length <= 16_000, name)
      assert.equal((result as Outcome & { type: 'failed' }).final, false)
    }
  }
  assert.equal(completed(await outcome('a.count')), thrown.length * 2, 'one thread ran them all')
})

both('the stack tells the causes too', async (t, startPool) => {
  const { outcome } = startPool(t, {
    'a.js': 'export function run() { throw new Error("outer", { cause: new Error("inner", { cause: "text" }) }) }'
  })
  const { stack = '' } = failed(await outcome('a.run'))
  assert.match(stack, /^Error: outer\n {4}at .*a\.js.*\nCaused by: Error: inner\n {4}at /s)
})

both(
  'RetryLater and Unrecoverable are known by class, and by name when another copy of the package made them',
  async (t, startPool) => {
    const errors = fileURLToPath(new URL('../../runtime/core/errors.js', import.meta.url))
    const { outcome } = startPool(t, {
      'a.js': `import { RetryLater, Unrecoverable } from ${JSON.stringify(errors)}
      class Other extends Error { constructor(name, delay) { super('other copy'); this.name = name; this.delay = delay } }
      class Sub extends Unrecoverable { name = 'Sub' }
      const cases = {
        later: () => new RetryLater('1.5s'), later2: () => new RetryLater(2, 'busy'), other: () => new Other('RetryLater', 3),
        bad: () => new RetryLater('soon'), never: () => new Unrecoverable('no way'), never2: () => new Other('Unrecoverable'),
        sub: () => new Sub('sub')
      }
      export function run({ name }) { throw cases[name]() }`
    })
    const run = (name: string) => outcome('a.run', { name })
    const busy = { type: 'retryLater', delayMs: 2000, message: 'busy' }
    assert.deepEqual(await run('later'), { ...busy, delayMs: 1500, message: 'The job asked to run again later' })
    assert.deepEqual(await run('later2'), busy)
    assert.deepEqual(await run('other'), { ...busy, delayMs: 3000, message: 'other copy' })
    assert.match(failed(await run('bad')).message, /the delay of RetryLater is 'soon'; give seconds/)
    for (const [name, message] of [
      ['never', 'no way'],
      ['never2', 'other copy'],
      ['sub', 'sub']
    ] as const) {
      const result = await run(name)
      assert.equal(failed(result).code, 'UNRECOVERABLE')
      assert.equal(failed(result).message, message)
      assert.equal((result as Outcome & { type: 'failed' }).final, true)
    }
  }
)

both(
  'results: undefined is null, what is not JSON is refused, what a result throws is an error of the job',
  async (t, startPool) => {
    const nested = (depth: number) => `JSON.parse('${'['.repeat(depth)}${']'.repeat(depth)}')`
    const results: [expression: string, expected: RegExp | { value: unknown }][] = [
      ['undefined', { value: null }],
      ['null', { value: null }],
      ['"[[[\\"{{"', { value: '[[["{{' }],
      ['({ at: new Date(0), drop: undefined })', { value: { at: '1970-01-01T00:00:00.000Z' } }],
      ['Promise.resolve([1])', { value: [1] }],
      [nested(jsonDepthMax), { value: JSON.parse(`${'['.repeat(jsonDepthMax)}${']'.repeat(jsonDepthMax)}`) }],
      ['1n', /RESULT_INVALID .*BigInt/],
      ['(() => { const a = {}; a.a = a; return a })()', /RESULT_INVALID .*circular/],
      ['() => 1', /RESULT_INVALID .*a function/],
      ['Symbol()', /RESULT_INVALID .*a symbol/],
      [nested(jsonDepthMax + 1), /RESULT_INVALID .*deeper than 64/],
      [nested(100_000), /RESULT_INVALID/],
      [`'x'.repeat(${resultBytesMax})`, /RESULT_INVALID .*bytes of JSON/],
      ['({ toJSON() { throw new RangeError("mine") } })', /THROWN mine/],
      ['({ get a() { throw new TypeError("getter") } })', /THROWN getter/],
      ['({ then() { throw new Error("thenable") } })', /THROWN thenable/]
    ]
    const { outcome } = startPool(t, {
      'a.js': `const cases = [${results.map(([expression]) => `() => (${expression})`)}]
      export function run({ index }) { return cases[index]() }`
    })
    for (const [index, [expression, expected]] of results.entries()) {
      const result = await outcome('a.run', { index })
      if (expected instanceof RegExp) {
        const { code, message } = failed(result)
        assert.match(`${code} ${message}`, expected, expression)
      } else assert.deepEqual(completed(result), expected.value, expression)
    }
  }
)

both('a module or an export that is not there any more fails the job with the reason', async (t, startPool) => {
  const { outcome, heard } = startPool(t, { 'a.js': 'export const value = 1', 'bad.js': 'throw new Error("no start")' })
  assert.equal(failed(await outcome('a.run')).name, 'MethodUnknown')
  assert.equal(failed(await outcome('a.value')).name, 'MethodUnknown')
  assert.equal(failed(await outcome('a.constructor')).name, 'MethodUnknown')
  assert.equal(failed(await outcome('bad.run')).message, 'no start')
  assert.equal(failed(await outcome('missing.run')).thrownCode, 'ERR_MODULE_NOT_FOUND')
  assert.equal(heard.said.filter(({ type }) => type === 'outcome').length, 5)
})

const unstoppable = {
  loop: 'while (true);',
  'async loop that catches everything':
    'while (true) try { await new Promise((r) => setTimeout(r, 1)); throw 1 } catch {} finally {}',
  'microtask loop': 'while (true) await null',
  'Atomics.wait': 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)',
  'promise that never settles': 'await new Promise(() => {})'
}

both('a kill ends what cannot be stopped, nothing more is told, and the next job starts', async (t, startPool) => {
  const { pool, heard, run, outcome } = startPool(t, {
    'a.js': `${Object.values(unstoppable)
      .map((body, index) => `export async function m${index}(params, ctx) { ctx.log.info('in'); ${body} }`)
      .join('\n')}
      export function next() { return 'next' }`
  })
  for (const [index, name] of Object.keys(unstoppable).entries()) {
    const id = run(`a.m${index}`)
    await heard.first((said) => said.id === id && said.type === 'log')
    const killedMs = performance.now()
    pool.kill(id)
    assert.equal(completed(await outcome('a.next')), 'next')
    t.diagnostic(`${name}: next job completed ${Math.round(performance.now() - killedMs)} ms after the kill`)
    assert.deepEqual(typesAfterStart(heard.of(id)), ['log'], name)
  }
})

both(
  'a job that waits for a thread can be killed; kills of unknown and finished jobs are ignored',
  async (t, startPool) => {
    const { pool, heard, run, outcome } = startPool(t, {
      'a.js': 'export const forever = () => new Promise(() => {}); export const next = () => 1'
    })
    const running = run('a.forever')
    const waiting = run('a.next')
    await heard.startOf(running)
    pool.kill(waiting)
    pool.kill(running)
    pool.kill('nobody')
    const last = run('a.next')
    await heard.outcomeOf(last)
    pool.kill(last)
    assert.equal(completed(await outcome('a.next')), 1)
    // Where this process had no core for a while, it was given back before it was killed.
    const others = heard.of(waiting).filter((said) => said.type !== 'outcome' || said.outcome?.type !== 'givenBack')
    assert.deepEqual(others, [])
  }
)

both('a killed job can run again under its id while its old thread still talks', async (t, startPool) => {
  const { pool, heard, run } = startPool(t, {
    'a.js': `export async function run(params, ctx) {
      if (ctx.attempt === 2) return 'second'
      for (;;) ctx.log.info('attempt 1')
    }`
  })
  run('a.run', {}, { id: 'same' })
  await heard.startOf('same')
  pool.kill('same')
  const before = heard.said.length
  run('a.run', {}, { id: 'same', attempt: 2 })
  assert.equal(completed(await heard.outcomeOf('same')), 'second')
  assert.deepEqual(typesAfterStart(heard.said.slice(before)), ['outcome'])
})

both('a thread that ends under its job: one outcome with the reason, and a new thread', async (t, startPool) => {
  const endless = 'return new Promise(() => {})'
  const ends: [body: string, expected: RegExp][] = [
    ['process.exit(3)', /^WORKER_EXITED WorkerExited .*exit.* code 3$/],
    ['process.exit(0)', /^WORKER_EXITED WorkerExited .*exit.* code 0$/],
    [`setTimeout(() => { throw new RangeError('late') }); ${endless}`, /^WORKER_EXITED RangeError .*not caught: late$/],
    [`setTimeout(() => { throw Symbol('s') }); ${endless}`, /^WORKER_EXITED WorkerExited .*symbol Symbol\(s\)/],
    [`setTimeout(() => { throw null }); ${endless}`, /^WORKER_EXITED WorkerExited /],
    [`setTimeout(() => { throw { f() {} } }); ${endless}`, /^WORKER_EXITED /],
    [`Promise.reject(new TypeError('floating')); ${endless}`, /^WORKER_EXITED TypeError .*floating$/],
    ["Promise.reject(new TypeError('floating')); return 1", /^WORKER_EXITED TypeError .*floating$/]
  ]
  const { heard, run, outcome } = startPool(t, {
    'a.js': `${ends.map(([body], index) => `export function m${index}(params, ctx) { ctx.log.info('last words'); ${body} }`).join('\n')}
      export function next() { return 1 }`
  })
  for (const [index, [body, expected]] of ends.entries()) {
    const id = run(`a.m${index}`)
    const { code, name, message } = failed(await heard.outcomeOf(id))
    assert.match(`${code} ${name} ${message}`, expected, body)
    assert.equal(completed(await outcome('a.next')), 1)
    assert.deepEqual(typesAfterStart(heard.of(id)), ['log', 'outcome'], body)
  }
})

both('what a job left behind does not fail the next one', async (t, startPool) => {
  const { outcome } = startPool(t, {
    'a.js': `const pause = () => new Promise((resolve) => setTimeout(resolve, 60))
      let runs = 0
      export function timer() { setTimeout(() => { throw new Error('left behind') }, 30); return 'left' }
      export function rejection() { pause().then(() => Promise.reject(new Error('left behind'))); return 'left' }
      export async function next() { await pause(); return 'fine' }
      export async function tidy() { setTimeout(() => {}, 5); return ++runs }`
  })
  for (const method of ['a.timer', 'a.rejection']) {
    assert.equal(completed(await outcome(method)), 'left')
    assert.equal(completed(await outcome('a.next')), 'fine')
  }
  for (const runs of [1, 2, 3]) assert.equal(completed(await outcome('a.tidy')), runs, 'what ends soon costs no thread')
})

both(
  'a flood of progress is thinned, the first and the last are told, and all before the outcome',
  async (t, startPool) => {
    const { heard, run } = startPool(t, {
      'a.js': `export async function run(params, ctx) {
      for (let i = 0; i <= 1e6; i++) ctx.progress(i / 1e4, 'step ' + i)
    }
    export async function trailing(params, ctx) {
      ctx.progress(1); ctx.progress(2); await new Promise(() => {})
    }
    export async function bounds(params, ctx) {
      ctx.progress(-5); await new Promise((r) => setTimeout(r, 60)); ctx.progress(1e9)
      return [NaN, Infinity, '5', undefined, 1n].map((bad) => { try { ctx.progress(bad) } catch (e) { return e.name } })
    }`
    })
    const flood = run('a.run')
    await heard.outcomeOf(flood)
    const told = heard.of(flood)
    assert.ok(told.length > 3 && told.length < 60, `${told.length} messages`)
    assert.deepEqual(told[1], { id: flood, type: 'progress', percent: 0, stage: 'step 0' })
    assert.deepEqual(told.at(-2), { id: flood, type: 'progress', percent: 100, stage: 'step 1000000' })
    assert.equal(told.at(-1)?.type, 'outcome')

    const bounds = run('a.bounds')
    assert.deepEqual(completed(await heard.outcomeOf(bounds)), Array(5).fill('TypeError'))
    assert.deepEqual(
      heard.of(bounds).flatMap(({ percent }) => percent ?? []),
      [0, 100]
    )

    const trailing = run('a.trailing')
    await heard.first((said) => said.id === trailing && said.percent === 2)
  }
)

both('log lines are formatted and bounded, and what a job prints is among them', async (t, startPool) => {
  const { heard, run } = startPool(t, {
    'a.js': `console.log('on import')
    export async function run(params, ctx) {
      ctx.log.debug('%s is %d', 'x', 1, { a: [1] }); ctx.log.error(new Error('shown').message)
      console.log('printed %j', { b: 2 }); console.error('to stderr'); process.stdout.write('two\\nlines'); process.stdout.write(Buffer.from('!'))
      ctx.log.warn({ [Symbol.for('nodejs.util.inspect.custom')]() { throw new Error('no') } })
      ctx.log.info('y'.repeat(1e6))
    }
    export async function flood(params, ctx) { for (let i = 0; i < 1e5; i++) ctx.log.info(i) }`
  })
  const id = run('a.run')
  await heard.outcomeOf(id)
  const lines = heard.lines(id)
  assert.deepEqual(lines.slice(0, 6), [
    'info on import',
    'debug x is 1 { a: [ 1 ] }',
    'error shown',
    'info printed {"b":2}',
    'warn to stderr',
    'info two'
  ])
  assert.equal(lines[6], 'warn (a value that cannot be printed)')
  assert.equal(lines[7]?.length, 'info '.length + logLineCharsMax)
  assert.deepEqual(lines.slice(8), ['info lines!'])

  const flood = run('a.flood')
  await heard.outcomeOf(flood)
  assert.equal(heard.lines(flood).length, logLinesMax)
  assert.match(heard.lines(flood).at(-1) ?? '', /^warn The log of this attempt is full/)
})

both('a job cannot disturb the channel of its thread', async (t, startPool) => {
  const { outcome } = startPool(t, {
    'a.js': `import { parentPort } from 'node:worker_threads'
      export function run() { parentPort.postMessage({ type: 'outcome' }); parentPort.postMessage(null); parentPort.close(); return 1 }
      export function next() { return 2 }`
  })
  assert.equal(completed(await outcome('a.run')), 1)
  assert.equal(completed(await outcome('a.next')), 2)
})

both(
  'stop kills what runs, tells nothing more, resolves when the threads have ended, and can be called twice',
  async (t, startPool) => {
    const { pool, heard, run } = startPool(t, { 'a.js': `export function run() { ${unstoppable.loop} }` }, 2)
    const ids = [run('a.run'), run('a.run')]
    await Promise.all(ids.map((id) => heard.startOf(id)))
    pool.kill(ids[0] ?? '')
    run('a.run')
    await Promise.all([pool.stop(), pool.stop()])
    await pool.stop()
    assert.equal(process.getActiveResourcesInfo().filter((kind) => /Worker|MessagePort/.test(kind)).length, 0)
    assert.equal(heard.said.filter(({ type }) => type === 'outcome').length, 0)
    assert.throws(() => run('a.run'), /after its stop/)
  }
)

test('a thread that is still loading its modules is not ended by a stop or a renewal, which could abort the process', async (t) => {
  let started = 0
  const ready = new Set<Worker>()
  const endedEarly: number[] = []
  const watch = (worker: Worker) => {
    started += 1
    worker.on('message', (message) => {
      if (typeof message === 'object' && '_WORKER_READY' in message) ready.add(worker)
    })
    const terminate = worker.terminate.bind(worker)
    worker.terminate = () => {
      if (!ready.has(worker)) endedEarly.push(worker.threadId)
      return terminate()
    }
  }
  process.on('worker', watch)
  t.after(() => process.off('worker', watch))
  const { pool } = startPoolOf(t, {}, 2, 'threads')
  pool.start()
  await new Promise(setImmediate)
  pool.renew()
  pool.start()
  await new Promise(setImmediate)
  assert.equal(started, 4)
  await pool.stop()
  assert.deepEqual(endedEarly, [])
})

both('a pool that was never used has nothing to stop', async (t, startPool) => {
  await startPool(t, {}).pool.stop()
})

test('in a program that was started with --input-type, and what jobs print stays out of its output', (t) => {
  const folder = temporaryFolder(t)
  const file = writeModule(folder, 'a.js', 'export function run() { console.log("noise"); return 5 }')
  const pool = new URL('../../runtime/pool/thread-pool.js', import.meta.url).href
  const program = `
    import { ThreadPool } from ${JSON.stringify(pool)}
    const listener = {
      started() {}, progress() {}, log(id, { message }) { console.log('log', message) },
      outcomes([{ outcome }]) { console.log(outcome.result ?? outcome.error); pool.stop() }
    }
    const pool = new ThreadPool({ queue: 'q', threads: 1, listener, heapLimitMb: null })
    pool.run([{ id: '1', queue: 'q', method: 'a.run', file: ${JSON.stringify(file)}, softTimeoutMs: null, params: '{}', attempt: 1, attemptsMax: 1, timeoutMs: 1000 }])`
  const cwd = join(import.meta.dirname, '..')
  const args = ['--enable-source-maps', '--input-type=module', '-e', program]
  assert.equal(execFileSync(process.execPath, args, { encoding: 'utf8', cwd }), 'log noise\n5\n')
})
