/** Properties: valid options survive the way through YAML and JSON text; no text at all is more than `CONFIG_INVALID`. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { configFromOptions } from '../../runtime/config/load.ts'
import { backoffDefault } from '../../runtime/core/backoff.ts'
import type { QueueConfig, QueueOptions, RuntimeConfig, RuntimeOptions } from '../../runtime/core/config.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { project } from './project.ts'

const unitsMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** A duration beside the milliseconds it means. */
const duration = fc.oneof(
  fc
    .integer({ min: 1, max: 1_000_000 })
    .map((seconds) => ({ written: seconds as number | string, ms: seconds * 1000 })),
  fc
    .tuple(fc.integer({ min: 1, max: 999 }), fc.constantFrom('ms', 's', 'm', 'h', 'd'))
    .map(([count, unit]) => ({ written: `${count}${unit}`, ms: count * unitsMs[unit] }))
)

const defined = <Value extends object>(value: Value) =>
  Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined))

const backoff = fc
  .record({
    type: fc.constantFrom('fixed' as const, 'exponential' as const, 'list' as const),
    delays: fc.array(duration, { minLength: 1, maxLength: 4 }),
    delay: fc.option(duration, { nil: undefined }),
    max: fc.option(duration, { nil: undefined }),
    jitter: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined })
  })
  .map(({ type, delay: any, delays: list, max, jitter }) => {
    // A list has no use for delay, the others have none for delays: that is warned of, and tested elsewhere.
    const [delay, delays] = type === 'list' ? [undefined, list] : [any, undefined]
    return {
      written: defined({
        ...{ type, max: max?.written, jitter },
        ...{ delay: delay?.written, delays: delays?.map(({ written }) => written) }
      }) as unknown as QueueOptions['backoff'],
      rule: {
        ...{ type, delayMs: delay?.ms ?? 1000, maxMs: max?.ms ?? 86_400_000, jitter: jitter ?? 0 },
        delaysMs: (delays ?? []).map(({ ms }) => ms)
      }
    }
  })

const rateLimit = fc
  .record({ max: fc.integer({ min: 1, max: 1_000_000 }), per: duration })
  .map(({ max, per }) => ({ written: { max, per: per.written }, rule: { max, perMs: per.ms } }))

const bound = fc.option(fc.integer({ min: 0 }), { nil: undefined })
const kept = fc
  .record({ age: fc.option(duration, { nil: undefined }), count: bound, bytes: bound })
  .map(({ age, count, bytes }) => ({
    written: defined({ age: age?.written, count, bytes }),
    rule: { ageMs: age?.ms ?? null, count: count ?? null, bytes: bytes ?? null }
  }))
const outcome = fc.option(kept, { nil: undefined })
const retention = fc
  .record({ completed: outcome, failed: outcome, cancelled: outcome })
  .map(({ completed, failed, cancelled }) => ({
    written: defined({ completed: completed?.written, failed: failed?.written, cancelled: cancelled?.written }),
    rules: defined({ completed: completed?.rule, failed: failed?.rule, cancelled: cancelled?.rule })
  }))
const errorNames = fc.option(fc.array(fc.stringMatching(/^[A-Z_]{1,9}$/), { minLength: 1, maxLength: 3 }), {
  nil: undefined
})

const queue = fc
  .record({
    timeout: fc.option(duration, { nil: undefined }),
    backgroundWorkers: fc.option(fc.integer({ min: 1, max: 256 }), { nil: undefined }),
    attempts: fc.option(fc.integer({ min: 1, max: 1_000_000 }), { nil: undefined }),
    maxQueued: fc.option(fc.integer({ min: 1 }), { nil: undefined }),
    backoff: fc.option(backoff, { nil: undefined }),
    retryOn: errorNames,
    noRetryOn: errorNames,
    rateLimit: fc.option(rateLimit, { nil: undefined }),
    keyRateLimit: fc.option(rateLimit, { nil: undefined }),
    ageing: fc.option(duration, { nil: undefined }),
    retention: fc.option(retention, { nil: undefined })
  })
  .map((parts) => ({
    written: defined({
      ...parts,
      timeout: parts.timeout?.written,
      backoff: parts.backoff?.written,
      rateLimit: parts.rateLimit?.written,
      keyRateLimit: parts.keyRateLimit?.written,
      ageing: parts.ageing?.written,
      retention: parts.retention?.written
    }) as QueueOptions,
    meant: (name: string, timeoutMs: number): QueueConfig => ({
      ...plainQueue(name, timeoutMs),
      timeoutMs: parts.timeout?.ms ?? timeoutMs,
      backgroundWorkers: parts.backgroundWorkers ?? 2,
      attempts: parts.attempts ?? 1,
      backoff: parts.backoff?.rule ?? backoffDefault,
      maxQueued: parts.maxQueued ?? null,
      retryOn: parts.retryOn ?? null,
      noRetryOn: parts.noRetryOn ?? null,
      rateLimit: parts.rateLimit?.rule ?? null,
      keyRateLimit: parts.keyRateLimit?.rule ?? null,
      ageingMs: parts.ageing?.ms ?? null,
      retention: { ...plainQueue(name, timeoutMs).retention, ...parts.retention?.rules }
    })
  }))

const builtIn = { short: 300_000, default: 300_000, long: 1_500_000 }
const queueName = fc.oneof(
  fc.constantFrom('short', 'default', 'long', '__proto__', 'constructor', '1', '007', 'null', 'true', '1e3'),
  fc.stringMatching(/^[A-Za-z0-9_.-]{1,20}$/)
)
/** Any text at all that is not empty: paths are the user's. */
const path = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }).filter((text) => !/\p{Surrogate}/u.test(text))

const options = fc.record({
  dataDir: fc.option(path, { nil: undefined }),
  socket: fc.option(path, { nil: undefined }),
  actors: fc.option(fc.oneof(path, fc.array(path, { minLength: 1, maxLength: 3 })), { nil: undefined }),
  maxStoreBytes: fc.option(fc.integer({ min: 1 }), { nil: undefined }),
  queues: fc.uniqueArray(fc.tuple(queueName, queue), { selector: ([name]) => name, maxLength: 6 })
})

test('options survive the way through text, in every style and spelling', (t) => {
  const { load, folder } = project(t, { 'config/runtime.yaml': '' }, 'memory')
  const file = join(folder, 'config/runtime.yaml')
  const styles = fc.constantFrom<(value: unknown) => string>(
    (value) => stringify(value),
    (value) => stringify(value, { defaultStringType: 'QUOTE_SINGLE', indent: 4 }),
    (value) => stringify(value, { collectionStyle: 'flow' }),
    (value) => JSON.stringify(value),
    (value) => `# a comment\n${JSON.stringify(value, null, '\t')} # the end\n`,
    (value) => JSON.stringify(value, null, '\t').slice(1, -1)
  )
  fc.assert(
    fc.property(options, styles, fc.boolean(), (generated, style, snake) => {
      const workers = Object.fromEntries(generated.queues.map(([name, { written }]) => [name, respell(written, snake)]))
      const { dataDir, socket, actors, maxStoreBytes } = generated
      const text = style(respell(defined({ dataDir, socket, actors, maxStoreBytes, workers }), snake))
      writeFileSync(file, text)
      const queues = new Map(Object.entries(builtIn).map(([name, ms]) => [name, plainQueue(name, ms)]))
      for (const [name, { meant }] of generated.queues)
        queues.set(name, meant(name, queues.get(name)?.timeoutMs ?? 300_000))
      const expected: RuntimeConfig = {
        dataDir: resolve(folder, dataDir ?? '.runtime'),
        socket: resolve(folder, socket ?? join(dataDir ?? '.runtime', 'runtime.sock')),
        actors: [actors ?? 'actors'].flat().map((actor) => resolve(folder, actor)),
        queues,
        schedulerEvents: {},
        schedulerTickIntervalS: 60,
        timezone: 'UTC',
        maxStoreBytes: maxStoreBytes ?? null,
        file,
        warnings: []
      }
      assert.deepEqual(load(), expected)
      const embedded = configFromOptions(
        defined({ dataDir, socket, actors, maxStoreBytes, workers }) as RuntimeOptions,
        folder
      )
      assert.deepEqual(embedded, { ...expected, socket: socket === undefined ? null : expected.socket, file: null })
    }),
    { numRuns: 300 }
  )
})

function plainQueue(name: string, timeoutMs: number): QueueConfig {
  return {
    name,
    timeoutMs,
    backgroundWorkers: 2,
    attempts: 1,
    backoff: backoffDefault,
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
}

function respell(value: object, snake: boolean): object {
  if (!snake) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), part])
  )
}

test('no text brings anything but a configuration or CONFIG_INVALID', (t) => {
  const { load, folder } = project(t, { 'config/runtime.yaml': '' }, 'memory')
  const file = join(folder, 'config/runtime.yaml')
  const pieces = fc.constantFrom(
    ...[
      '{',
      '}',
      '[',
      ']',
      ':',
      ': ',
      ',',
      '#',
      ' #',
      '\n',
      '\n  ',
      '\t',
      '- ',
      '? ',
      '"',
      "'",
      '|',
      '>',
      '&a ',
      '*a',
      '...'
    ],
    ...[
      '---',
      '%',
      '!!map ',
      '!',
      '<<: ',
      'workers',
      '"workers": {',
      'short',
      'timeout',
      'dataDir: ',
      '__proto__',
      '5'
    ],
    ...['null', '\r\n', '\\', '\u0000', '\ufeff', '@', '`', '~', '    ...\n', '%YAML 1.1\n', '1e400', '.nan']
  )
  const anyText = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(pieces, { maxLength: 40 }).map((parts) => parts.join('')),
    fc.uint8Array({ maxLength: 60 })
  )
  fc.assert(
    fc.property(anyText, (text) => {
      writeFileSync(file, text)
      try {
        assert.ok(load().queues.size >= 3)
      } catch (error) {
        assert.ok(error instanceof RuntimeError && error.code === 'CONFIG_INVALID', `${(error as Error).stack}`)
        assert.equal(error.message.split('\n').length, 1 + (error.data.problems as unknown[]).length)
      }
    }),
    { numRuns: 1000 }
  )
})
