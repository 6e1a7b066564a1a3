import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { configFromOptions } from '../../runtime/config/load.ts'
import type { RuntimeOptions } from '../../runtime/core/config.ts'
import { places, refusal } from './expect-problems.ts'
import { loadText, project } from './project.ts'

test('every problem is told at once, in the order of the file, in the spelling of the user', (t) => {
  const { load, folder } = project(t, {
    'config/runtime.yaml': `data_dir: 7
actor: actors
workers:
  mail:
    timeout: soon
    background_worker: 3
    background_workers: 300
    backoff: { type: exponentail, jitter: 2 }
  "bad name": {}
  report:
    attempts: 1.5
    maxQueued: 0
    rateLimit: { max: 1 }
scheduler_tick_interval: 0
`
  })
  const { error, problems } = refusal(load)
  assert.deepEqual(places(problems), [
    '1:1 data_dir',
    '2:1 actor',
    '5:5 workers.mail.timeout',
    '6:5 workers.mail.background_worker',
    '7:5 workers.mail.background_workers',
    '8:16 workers.mail.backoff.type',
    '8:35 workers.mail.backoff.jitter',
    '9:3 workers.bad name',
    '11:5 workers.report.attempts',
    '12:5 workers.report.maxQueued',
    '13:5 workers.report.rateLimit.per',
    '14:1 scheduler_tick_interval'
  ])
  const file = join(folder, 'config/runtime.yaml')
  const lines = error.message.split('\n')
  assert.equal(lines[0], 'Cannot use the configuration, 12 problems:')
  assert.equal(lines[1], `  ${file}:1:1: data_dir: expected a text, got 7.`)
  assert.equal(lines[2], `  ${file}:2:1: actor: unknown key. Did you mean "actors"?`)
  assert.match(lines[3] ?? '', /expected seconds above 0, or a text with a unit .* got "soon"\.$/)
  assert.match(lines[4] ?? '', /Did you mean "backgroundWorkers"\?$/)
  assert.match(lines[5] ?? '', /<= 256, got 300\.$/)
  assert.match(
    lines[6] ?? '',
    /expected one of fixed, exponential, list, got "exponentail"\. Did you mean "exponential"\?$/
  )
  assert.match(lines[11] ?? '', /is required/)
  assert.equal(lines.length, 13)
  assert.ok(problems.every((problem) => problem.file === file))
})

test('snake_case means camelCase at every level, and warnings keep the spelling', (t) => {
  const { queues, dataDir, maxStoreBytes, warnings, schedulerEvents, schedulerTickIntervalS, timezone } = loadText(
    t,
    `data_dir: d
max_store_bytes: 64000000
scheduler_events: { hourly_long: [maintenance.sweep], cron: { "15 18 * * *": [reports.daily.run] } }
scheduler_tick_interval: 30
timezone: Europe/Berlin
workers:
  my_queue:
    background_workers: 3
    max_queued: 9
    memory_limit_mb: 512
    rate_limit: { max: 10, per: 1m }
    key_rate_limit: { max: 2, per: 5 }
    retry_on: [TIMEOUT, E_NET]
    no_retry_on: [TypeError]
    ageing: 10m
    isolation: inline
    min_hosts: 1
    backoff: { type: list, delays: [1s, 5m], delay: 3 }
    env: { some_name: 1 }
    permissions: { read: [data], child_process: true }
    retention: { completed: { age: 1d, count: 100 }, failed: { bytes: 1000000 }, cancelled: {} }
`
  )
  assert.match(dataDir, /\/d$/)
  assert.equal(queues.get('my_queue')?.backgroundWorkers, 3)
  assert.equal(queues.get('my_queue')?.maxQueued, 9)
  assert.equal(queues.get('my_queue')?.memoryLimitMb, 512)
  assert.deepEqual(queues.get('my_queue')?.env, { some_name: '1' })
  const { read, ...rights } = queues.get('my_queue')!.permissions!
  assert.match(read[0]!, /^\/.*\/data$/)
  assert.deepEqual(rights, { write: [], childProcess: true, addons: false, worker: false })
  const mine = queues.get('my_queue')!
  assert.deepEqual(
    [mine.rateLimit, mine.keyRateLimit],
    [
      { max: 10, perMs: 60_000 },
      { max: 2, perMs: 5_000 }
    ]
  )
  assert.deepEqual([mine.retryOn, mine.noRetryOn, mine.ageingMs], [['TIMEOUT', 'E_NET'], ['TypeError'], 600_000])
  assert.deepEqual(mine.backoff.delaysMs, [1_000, 300_000])
  assert.deepEqual(mine.retention, {
    completed: { ageMs: 86_400_000, count: 100, bytes: null },
    failed: { ageMs: null, count: null, bytes: 1_000_000 },
    cancelled: { ageMs: null, count: null, bytes: null }
  })
  assert.equal(maxStoreBytes, 64_000_000)
  assert.deepEqual(warnings, [
    'workers.my_queue.backoff.delay has no effect on a backoff of type list: delays holds its waits.',
    'workers.my_queue.min_hosts has no effect with isolation inline, which has no host processes.'
  ])
  assert.deepEqual(schedulerEvents, {
    hourly_long: ['maintenance.sweep'],
    cron: { '15 18 * * *': ['reports.daily.run'] }
  })
  assert.deepEqual([schedulerTickIntervalS, timezone], [30, 'Europe/Berlin'])
})

test('keys in effect give no warning', (t) => {
  const text =
    'workers: { a: { timeout: 5, backgroundWorkers: 1, attempts: 2, backoff: { type: fixed }, maxQueued: 1 } }'
  assert.deepEqual(loadText(t, text).warnings, [])
})

test('keys that another key leaves without effect give a warning', (t) => {
  const queues = '{ a: { backoff: { type: fixed, delays: [1] } }, b: { isolation: inline, hostIdleTimeout: 5 } }'
  const warnings = loadText(t, `workers: ${queues}`).warnings.map((warning) => warning.split(' ')[0])
  assert.deepEqual(warnings, ['workers.a.backoff.delays', 'workers.b.hostIdleTimeout'])
})

test('an outcome that is not named keeps its default retention (issue 5.6)', (t) => {
  const { queues } = loadText(t, 'workers: { a: { retention: { failed: { count: 0 } } } }')
  const { completed, failed, cancelled } = queues.get('a')!.retention
  assert.deepEqual(failed, { ageMs: null, count: 0, bytes: null })
  assert.deepEqual([completed, cancelled], Array(2).fill({ ageMs: 7 * 86_400_000, count: null, bytes: null }))
})

test('two spellings of one key, or one key twice, are refused at the second', (t) => {
  const text = `workers:
  mail:
    backgroundWorkers: 2
    background_workers: 4
  mail: {}
dataDir: a
dataDir: b
`
  const { problems } = refusal(() => loadText(t, text))
  assert.deepEqual(places(problems), ['4:5 workers.mail.background_workers', '5:3 workers.mail', '7:1 dataDir'])
  assert.equal(problems[0]?.message, 'is on line 3 already, spelled "backgroundWorkers". Keep one of them.')
  assert.equal(problems[2]?.message, 'is on line 6 already. Keep one of them.')
})

test('queue names are data: case, underscores and digits stay as written', (t) => {
  const { queues } = loadText(
    t,
    'workers: { My_queue: {}, my-queue.2: {}, 007: {}, 7: {}, 1.0: {}, timeout: {}, null: {} }'
  )
  for (const name of ['My_queue', 'my-queue.2', '007', '7', '1.0', 'timeout', 'null']) assert.ok(queues.has(name), name)
  assert.equal(queues.size, 10)
})

test('a problem below a queue that is named by digits', (t) => {
  const { problems } = refusal(() => loadText(t, 'workers:\n  10: { timeout: 5 }\n  2: { timeout: 0 }\n'))
  assert.deepEqual(places(problems), ['3:8 workers.2.timeout'])
})

test('hostile queue names neither pollute nor crash', (t) => {
  const names = ['__proto__', 'constructor', 'prototype', 'hasOwnProperty', 'toString']
  const workers = names.map((name) => `"${name}": { "timeout": 7, "polluted": 1 }`)
  const unknown = refusal(() => loadText(t, `{ "workers": { ${workers.join(', ')} } }`))
  assert.deepEqual(
    unknown.problems.map(({ path }) => path),
    names.map((name) => `workers.${name}.polluted`)
  )
  const { queues } = loadText(t, `{ "workers": { ${workers.join(', ').replaceAll(', "polluted": 1', '')} } }`)
  for (const name of names) assert.equal(queues.get(name)?.timeoutMs, 7000, name)
  assert.equal(queues.size, 3 + names.length)
  assert.equal(({} as Record<string, unknown>).timeout, undefined)

  const keys = refusal(() =>
    loadText(
      t,
      '{ "__proto__": { "dataDir": "x" }, "constructor": 1, "workers": {"a": {"__proto__": {"timeout": 1}}} }'
    )
  )
  assert.deepEqual(
    keys.problems.map(({ path }) => path),
    ['__proto__', 'constructor', 'workers.a.__proto__']
  )
})

test('a key cannot break the lines of the message or reach the terminal', (t) => {
  const { error, problems } = refusal(() => loadText(t, '"a\\nb\\e[31m\\u2028": 1\n'))
  assert.equal(error.message.split('\n').length, 2)
  assert.equal(problems[0]?.path, 'a\\u000ab\\u001b[31m\\u2028')
})

test('types of the whole and of the parts', (t) => {
  for (const [text, path, message] of [
    ['just a text', '', /expected an object, got "just a text"/],
    ['[1, 2]', '', /expected an object, got a list of 2/],
    ['workers: []', 'workers', /expected an object/],
    ['workers: { a: 5 }', 'workers.a', /expected an object, got 5/],
    ['dataDir: ""', 'dataDir', /may not be empty/],
    ['actors: []', 'actors', /fewer than 1/],
    ['actors: [a, 3]', 'actors[1]', /expected a text, got 3/],
    ['workers: { a: { timeout: } }', 'workers.a.timeout', /got null/],
    ['workers: { a: { timeout: 5 minutes } }', 'workers.a.timeout', /got "5 minutes"/],
    ['workers: { a: { timeout: .inf } }', 'workers.a.timeout', /got Infinity/],
    ['workers: { a: { timeout: 0.0001 } }', 'workers.a.timeout', /above 0/],
    ['workers: { a: { backoff: {} } }', 'workers.a.backoff.type', /is required/],
    ['workers: { a: { backoff: { type: fixed, delay: -1 } } }', 'workers.a.backoff.delay', /expected seconds/],
    ['workers: { a: { backgroundWorkers: 0 } }', 'workers.a.backgroundWorkers', />= 1/],
    ['workers: { a: { memoryLimitMb: 0 } }', 'workers.a.memoryLimitMb', />= 1/],
    ['workers: { a: { isolation: thread } }', 'workers.a.isolation', /process, inline/],
    ['workers: { a: { env: { X: [] } } }', 'workers.a.env.X', /a list of 0/],
    ['workers: { a: { retention: { completed: { ages: 1 } } } }', 'workers.a.retention.completed.ages', /"age"/],
    ['workers: { a: { backoff: { type: list } } }', 'workers.a.backoff.delays', /is required/],
    ['workers: { a: { backoff: { type: list, delays: [] } } }', 'workers.a.backoff.delays', /fewer than 1/],
    ['workers: { a: { backoff: { type: list, delays: [soon] } } }', 'workers.a.backoff.delays[0]', /expected seconds/],
    ['workers: { a: { retryOn: TIMEOUT } }', 'workers.a.retryOn', /expected a list/],
    ['workers: { a: { noRetryOn: [7] } }', 'workers.a.noRetryOn[0]', /expected a text/],
    ['workers: { a: { rateLimit: { max: 0, per: 1 } } }', 'workers.a.rateLimit.max', />= 1/],
    ['workers: { a: { rateLimit: { max: 1, per: 0 } } }', 'workers.a.rateLimit.per', /above 0/],
    ['workers: { a: { keyRateLimit: { per: 1 } } }', 'workers.a.keyRateLimit.max', /is required/],
    ['workers: { a: { ageing: 0 } }', 'workers.a.ageing', /above 0/],
    ['workers: { a: { retention: { done: {} } } }', 'workers.a.retention.done', /completed, failed, cancelled/],
    ['workers: { a: { retention: { cancelled: { count: -1 } } } }', 'workers.a.retention.cancelled.count', />= 0/],
    ['maxStoreBytes: 0', 'maxStoreBytes', />= 1/],
    ['maxStoreBytes: 64MB', 'maxStoreBytes', /whole number, got "64MB"/],
    ['workers: { "": {} }', 'workers.', /queue name/],
    ['workers: { a/b: {} }', 'workers.a/b', /queue name/],
    [`workers: { ${'a'.repeat(256)}: {} }`, `workers.${'a'.repeat(256)}`, /queue name/],
    ['schedulerEvents: [a]', 'schedulerEvents', /expected an object/],
    ['schedulerTickInterval: 1.5', 'schedulerTickInterval', /whole number/],
    ['timezone: 2', 'timezone', /expected a text/]
  ] as const) {
    const { problems } = refusal(() => loadText(t, text))
    assert.deepEqual(
      problems.map((problem) => problem.path),
      [path],
      text
    )
    assert.match(problems[0]?.message ?? '', message, text)
  }
})

test('options of a program have the same checks, without places', () => {
  const wrong = { worker: {}, workers: { mail: { timeout: 'soon', background_workers: 1, backgroundWorkers: 2 } } }
  const { error, problems } = refusal(() => configFromOptions(wrong as RuntimeOptions, '/w'))
  assert.deepEqual(places(problems).sort(), [
    'null:null worker',
    'null:null workers.mail.backgroundWorkers',
    'null:null workers.mail.timeout'
  ])
  assert.match(error.message, /^ {2}worker: unknown key\. Did you mean "workers"\?$/m)
  assert.match(error.message, /is there already, spelled "background_workers"/)
  assert.equal(problems[0]?.file, null)
})

test('options of a program that are no plain data are refused', () => {
  const cyclic: Record<string, unknown> = {}
  cyclic.workers = cyclic
  for (const [options, path] of [
    [{ workers: new Map([['a', {}]]) }, 'workers'],
    [{ dataDir: new URL('file:///x') }, 'dataDir'],
    [{ actors: () => 'x' }, 'actors'],
    [{ dataDir: Symbol('x') }, 'dataDir'],
    [cyclic, `workers${'.workers'.repeat(64)}`],
    ['text', '']
  ] as const) {
    const { problems } = refusal(() => configFromOptions(options as RuntimeOptions, '/w'))
    assert.deepEqual(
      problems.map((problem) => problem.path),
      [path]
    )
  }
})
