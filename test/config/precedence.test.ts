import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { configFromOptions } from '../../runtime/config/load.ts'
import { refusal } from './expect-problems.ts'
import { project } from './project.ts'

test('without a file everything has its default', (t) => {
  const { load, folder } = project(t, {})
  const usual = {
    backgroundWorkers: 2,
    attempts: 1,
    backoff: { type: 'fixed', delayMs: 0, maxMs: 86_400_000, jitter: 0, delaysMs: [] },
    maxQueued: null,
    softTimeoutMs: null,
    isolation: 'process',
    memoryLimitMb: null,
    minHosts: 0,
    hostIdleMs: 60_000,
    env: {},
    permissions: null,
    retryOn: null,
    noRetryOn: null,
    rateLimit: null,
    keyRateLimit: null,
    ageingMs: null,
    retention: {
      completed: { ageMs: 7 * 86_400_000, count: null, bytes: null },
      failed: { ageMs: 180 * 86_400_000, count: null, bytes: null },
      cancelled: { ageMs: 7 * 86_400_000, count: null, bytes: null }
    }
  }
  assert.deepEqual(load(), {
    dataDir: join(folder, '.runtime'),
    socket: join(folder, '.runtime/runtime.sock'),
    actors: [join(folder, 'actors')],
    queues: new Map([
      ['short', { name: 'short', timeoutMs: 300_000, ...usual }],
      ['default', { name: 'default', timeoutMs: 300_000, ...usual }],
      ['long', { name: 'long', timeoutMs: 1_500_000, ...usual }]
    ]),
    schedulerEvents: {},
    schedulerTickIntervalS: 60,
    timezone: 'UTC',
    maxStoreBytes: null,
    file: null,
    warnings: []
  })
})

test('the file: argument, RUNTIME_CONFIG, config/runtime.yaml, config/runtime.json', (t) => {
  const files = ['argument.yaml', 'env.yaml', 'config/runtime.yaml', 'config/runtime.json']
  const all = Object.fromEntries(files.map((file, index) => [file, `{ "workers": { "q${index}": {} } }`]))
  const both = project(t, all)
  const env = { RUNTIME_CONFIG: 'env.yaml' }
  const loads = [
    both.load({ file: 'argument.yaml', env }),
    both.load({ env }),
    both.load({ env: { RUNTIME_CONFIG: '' } }),
    project(t, { 'config/runtime.json': all['config/runtime.json'] ?? '' }).load()
  ]
  loads.forEach((config, index) => {
    assert.ok(config.queues.has(`q${index}`), files[index])
    assert.ok(config.file?.endsWith(`/${files[index]}`), `${config.file}`)
  })
})

test('a named file that is missing or no file is an error', (t) => {
  const { load, folder } = project(t, { 'config/runtime.yaml': '' })
  for (const sources of [{ file: 'none.yaml' }, { env: { RUNTIME_CONFIG: 'none.yaml' } }]) {
    const { error, problems } = refusal(() => load(sources))
    assert.equal(problems[0]?.file, join(folder, 'none.yaml'))
    assert.equal(problems[0]?.line, null)
    assert.match(error.message, /none\.yaml: the file does not exist/)
  }
  assert.match(refusal(() => load({ file: 'config' })).error.message, /cannot be read/)
})

test('arguments beat the environment, which beats the file', (t) => {
  const { load, folder } = project(t, { 'config/runtime.yaml': 'dataDir: fd\nsocket: fs\nactors: [fa, /b]\n' })
  const env = { RUNTIME_DATA_DIR: 'ed', RUNTIME_SOCKET: 'es' }
  const overrides = { dataDir: 'ad', socket: 'as', actors: 'aa' }
  const at = (config: ReturnType<typeof load>) => [config.dataDir, config.socket, ...config.actors]
  const under = (...paths: string[]) => paths.map((path) => (path.startsWith('/') ? path : join(folder, path)))
  assert.deepEqual(at(load()), under('fd', 'fs', 'fa', '/b'))
  assert.deepEqual(at(load({ env: { RUNTIME_DATA_DIR: '', RUNTIME_SOCKET: '' } })), under('fd', 'fs', 'fa', '/b'))
  assert.deepEqual(at(load({ env })), under('ed', 'es', 'fa', '/b'))
  assert.deepEqual(at(load({ env, overrides })), under('ad', 'as', 'aa'))
  assert.deepEqual(load({ overrides: { actors: ['x', 'y'] } }).actors, under('x', 'y'))
})

test('the default socket lies in the data directory, wherever that was named', (t) => {
  const { load, folder } = project(t, { 'config/runtime.yaml': 'dataDir: fd' })
  assert.equal(load().socket, join(folder, 'fd/runtime.sock'))
  assert.equal(load({ env: { RUNTIME_DATA_DIR: 'ed' } }).socket, join(folder, 'ed/runtime.sock'))
  assert.equal(load({ overrides: { dataDir: '/ad' } }).socket, '/ad/runtime.sock')
})

test('paths of a file start at the project root, others at the working directory', (t) => {
  const text = 'dataDir: d\n'
  const { load, folder } = project(t, { 'a/config/mine.yaml': text, 'b/mine.yaml': text, 'w/.keep': '' })
  const workingDirectory = join(folder, 'w')
  const inConfig = load({ file: '../a/config/mine.yaml', workingDirectory })
  assert.equal(inConfig.file, join(folder, 'a/config/mine.yaml'))
  assert.equal(inConfig.dataDir, join(folder, 'a/d'))
  assert.deepEqual(inConfig.actors, [join(folder, 'a/actors')])
  assert.equal(load({ file: '../b/mine.yaml', workingDirectory }).dataDir, join(folder, 'b/d'))
  const moved = load({ file: '../b/mine.yaml', workingDirectory, overrides: { dataDir: 'd' } })
  assert.equal(moved.dataDir, join(folder, 'w/d'))
})

test('queues that always exist can be changed, key by key', (t) => {
  const { load } = project(t, {
    'config/runtime.yaml':
      'workers: { long: { attempts: 3 }, short: { timeout: 10s }, mail: { backoff: { type: fixed } } }'
  })
  const { queues } = load()
  assert.deepEqual([...queues.keys()], ['short', 'default', 'long', 'mail'])
  assert.deepEqual([queues.get('long')?.timeoutMs, queues.get('long')?.attempts], [1_500_000, 3])
  assert.equal(queues.get('short')?.timeoutMs, 10_000)
  assert.equal(queues.get('mail')?.timeoutMs, 300_000)
  assert.deepEqual(queues.get('mail')?.backoff, {
    ...{ type: 'fixed', delayMs: 1000, maxMs: 86_400_000, jitter: 0, delaysMs: [] }
  })
})

test('an embedded runtime has no socket unless it is named, and no environment', () => {
  process.env.RUNTIME_DATA_DIR = '/env'
  try {
    const config = configFromOptions({}, '/w')
    assert.equal(config.socket, null)
    assert.equal(config.dataDir, '/w/.runtime')
  } finally {
    delete process.env.RUNTIME_DATA_DIR
  }
  const named = configFromOptions(
    { dataDir: '/d', socket: 's', actors: './jobs', workers: { mail: { timeout: '1m' } } },
    '/w'
  )
  assert.deepEqual([named.dataDir, named.socket, named.actors, named.file], ['/d', '/w/s', ['/w/jobs'], null])
  assert.equal(named.queues.get('mail')?.timeoutMs, 60_000)
})

test('the result is frozen, all of it', (t) => {
  const { load } = project(t, { 'config/runtime.yaml': 'timezone: UTC' })
  const config = load()
  const short = config.queues.get('short')
  const parts = [short?.backoff, short?.backoff.delaysMs, short?.retention, short?.retention.failed]
  for (const part of [config, config.actors, config.warnings, config.queues, short, ...parts]) {
    assert.ok(Object.isFrozen(part))
  }
  const open = config.queues as Map<string, unknown>
  for (const change of [() => open.set('x', 1), () => open.delete('short'), () => open.clear()]) {
    assert.throws(change, TypeError)
  }
  assert.equal(config.queues.size, 3)
})
