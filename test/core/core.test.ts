import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { backoffDelayMs, backoffRule } from '../../runtime/core/backoff.ts'
import { didYouMean } from '../../runtime/core/did-you-mean.ts'
import { durationToMs } from '../../runtime/core/duration.ts'
import { errorCodes } from '../../runtime/core/errors.ts'
import { instantToMs, iso } from '../../runtime/core/instant.ts'
import { enqueueSchema } from '../../runtime/core/job-options.ts'
import { jsonDepth } from '../../runtime/core/json-depth.ts'
import { isFinished, jobStates, lifecycle } from '../../runtime/core/lifecycle.ts'
import { isMethodPath } from '../../runtime/core/method-path.ts'
import { checkOnce } from '../../runtime/core/schema.ts'

describe('durations', () => {
  it('takes numbers as seconds and texts with a unit', () => {
    const cases: [unknown, number | undefined][] = [
      [5, 5_000],
      [0.25, 250],
      ['250ms', 250],
      ['30s', 30_000],
      ['5m', 300_000],
      ['2h', 7_200_000],
      ['3d', 259_200_000],
      ['1.5 h', 5_400_000],
      [0, 0]
    ]
    for (const [text, ms] of cases) assert.equal(durationToMs(text), ms)
  })

  it('takes nothing else', () => {
    for (const wrong of [
      -1,
      '5',
      '',
      'soon',
      '-5s',
      '5 parsecs',
      Number.NaN,
      Number.POSITIVE_INFINITY,
      1e12,
      null,
      {},
      '1e3s'
    ]) {
      assert.equal(durationToMs(wrong), undefined, String(wrong))
    }
  })
})

describe('instants', () => {
  it('round-trips through ISO text', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: Date.UTC(9999, 11, 31) }), (atMs) => {
        assert.equal(instantToMs(iso(atMs)), atMs)
        assert.equal(instantToMs(atMs), atMs)
        assert.equal(instantToMs(new Date(atMs)), atMs)
      })
    )
  })

  it('reads zones, and takes a text without one as UTC', () => {
    const noon = Date.UTC(2026, 0, 31, 12)
    for (const text of [
      '2026-01-31T12:00:00Z',
      '2026-01-31T13:00+01:00',
      '2026-01-31 12:00',
      '2026-01-31T12:00:00,000'
    ]) {
      assert.equal(instantToMs(text), noon, text)
    }
    assert.equal(instantToMs('2026-01-31'), Date.UTC(2026, 0, 31))
  })

  it('takes nothing else', () => {
    for (const wrong of [
      '2026-02-31',
      '2026-13-01',
      'tomorrow',
      '31.01.2026',
      -1,
      Number.NaN,
      '',
      null,
      new Date('x')
    ]) {
      assert.equal(instantToMs(wrong), undefined, String(wrong))
    }
  })
})

describe('the retry rule', () => {
  it('waits a fixed time, or twice as long each time, up to its maximum', () => {
    const fixed = backoffRule({ type: 'fixed', delay: 2 })
    const exponential = backoffRule({ type: 'exponential', delay: '1s', max: '10s' })
    assert.deepEqual(
      [1, 2, 50].map((failures) => backoffDelayMs(fixed, failures, 0.5)),
      [2_000, 2_000, 2_000]
    )
    const waits = [1, 2, 3, 4, 5, 2_000].map((failures) => backoffDelayMs(exponential, failures, 0.5))
    assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 10_000, 10_000])
  })

  it('draws the share that jitter names', () => {
    const rule = backoffRule({ type: 'fixed', delay: 10, jitter: 0.2 })
    assert.equal(backoffDelayMs(rule, 1, 0), 10_000)
    assert.equal(backoffDelayMs(rule, 1, 0.5), 9_000)
    assert.ok(backoffDelayMs(rule, 1, 0.999_999) >= 8_000)
  })
})

describe('the lifecycle', () => {
  it('leads out of every state, and into every state', () => {
    const reached = new Set(jobStates.flatMap((state) => Object.values(lifecycle[state])))
    assert.deepEqual([...reached].sort(), [...jobStates].sort())
    for (const state of jobStates) assert.ok(Object.keys(lifecycle[state]).length > 0, state)
  })

  it('lets only a user leave a finished state', () => {
    for (const state of jobStates.filter(isFinished)) assert.deepEqual(Object.keys(lifecycle[state]), ['retry'])
  })
})

describe('method paths', () => {
  it('are two segments or more of the grammar (E2)', () => {
    for (const good of ['a.b', 'reports.daily.run', '_x.$y-z.f1']) assert.ok(isMethodPath(good), good)
    for (const bad of [
      'a',
      '',
      '.',
      'a.',
      '.a',
      'a..b',
      '../a.b',
      '/etc.passwd',
      'a/b.c',
      'a.b c',
      '1a.b',
      `a.${'b'.repeat(600)}`
    ]) {
      assert.ok(!isMethodPath(bad), bad)
    }
  })
})

describe('error codes', () => {
  it('have a number of their own each', () => {
    const numbers = Object.values(errorCodes).map(({ rpc }) => rpc)
    assert.equal(new Set(numbers).size, numbers.length)
    for (const number of numbers) assert.ok((number <= -32000 && number >= -32099) || number === -32602)
  })
})

describe('did you mean', () => {
  it('names the nearest, and nothing that is far', () => {
    assert.equal(didYouMean('shrot', ['short', 'default', 'long']), ' Did you mean "short"?')
    assert.equal(didYouMean('Default', ['short', 'default']), ' Did you mean "default"?')
    assert.equal(didYouMean('xyzzy', ['short', 'default', 'long']), '')
  })

  it('does not compare what is longer than any name (issue 7.6)', () => {
    const known = Array.from({ length: 200 }, (_, index) => `option-${index}`)
    const beganMs = performance.now()
    assert.equal(didYouMean('x'.repeat(8_000_000), known), '')
    assert.ok(performance.now() - beganMs < 200)
  })
})

describe('the depth of JSON text', () => {
  it('equals the depth of the value', () => {
    const depthOf = (value: unknown): number =>
      typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6, stringUnit: 'grapheme' }), (value) => {
        assert.equal(jsonDepth(JSON.stringify(value)), depthOf(value))
      })
    )
    assert.equal(jsonDepth(JSON.stringify({ 'a"[[{\\': ['\\"[', '\\\\'] })), 2)
  })

  it('is found for any depth', () => {
    assert.equal(jsonDepth('['.repeat(1_000_000) + ']'.repeat(1_000_000)), 1_000_000)
  })
})

describe('schemas', () => {
  const words = (value: unknown) =>
    checkOnce(enqueueSchema, value).map(({ path, message }) => `${path.join('.')}: ${message}`)

  it('say where, what was expected and what was got', () => {
    const problems = words({
      method: 'a.b',
      timeout: -1,
      tiemout: 3,
      priority: '1',
      backoff: { type: 'fixd' },
      queue: ''
    })
    assert.deepEqual(problems.sort(), [
      'backoff.type: expected one of fixed, exponential, list, got "fixd". Did you mean "fixed"?',
      'priority: expected a whole number, got "1".',
      'queue: holds characters that are not allowed, got "".',
      'queue: may not be empty, got "".',
      'tiemout: unknown key. Did you mean "timeout"?',
      'timeout: expected seconds above 0, or a text with a unit such as "250ms", "30s", "5m", "2h", got -1.'
    ])
    assert.deepEqual(words({ method: 'a.b', timeout: {} }), ['timeout: expected a number or a text, got an object.'])
  })

  it('issue 5.1: refuse a key or an id with half of a surrogate pair, which the store could not tell from another', () => {
    for (const half of ['tenant \ud83d', '\udc00', 'a\udc00\ud83d']) {
      for (const name of ['jobId', 'key', 'jobName']) {
        const problems = words({ method: 'a.b', [name]: half })
        assert.equal(problems.length, 1)
        assert.match(problems[0]!, /holds characters that are not allowed/)
      }
    }
    const whole = 'Zwölf \u{1f600} 🧵'
    assert.deepEqual(words({ method: 'a.b', jobId: whole, key: whole }), [])
  })
})
