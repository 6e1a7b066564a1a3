/** From what stands in a configuration file to events: every form, and what is refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configFromOptions } from '../../runtime/config/load.ts'
import { payloadBytesMax } from '../../runtime/core/limits.ts'
import { readEvents } from '../../runtime/scheduler/read-events.ts'
import { project } from '../config/project.ts'

test('every form: labels in both spellings, cron, texts and objects, labels inside cron', (t) => {
  const { load } = project(t, {
    'config/runtime.yaml': `
timezone: Europe/Berlin
schedulerTickInterval: 30
scheduler_events:
  all: [a.tick]
  hourly: [a.run, a.run]
  hourlyLong: [a.slow]
  daily_long: [{ method: a.run, queue: short }]
  annual: [a.run]
  cron:
    "15 18 * * *": [{ method: a.run, params: { deep_key: [1] }, timeout: 2m, timezone: Asia/Kolkata, missed: all,
      overlap: queue, spread: 10m, job_name: sums, attempts: 3 }]
    "* * * * * */15": [a.run]
    annual: [a.run]
    weekly_long: [a.run]
    "@midnight": [a.run]
`
  })
  const { planned, invalid } = readEvents(load())
  assert.deepEqual(invalid, [])
  assert.deepEqual(
    planned.map(({ id, queue, timezone }) => `${id} ${queue} ${timezone}`),
    [
      'all:a.tick default Europe/Berlin',
      'hourly:a.run default Europe/Berlin',
      'hourly:a.run#2 default Europe/Berlin',
      'annual:a.run default Europe/Berlin',
      'hourly_long:a.slow long Europe/Berlin',
      'daily_long:a.run short Europe/Berlin',
      'cron 15 18 * * *:a.run default Asia/Kolkata',
      'cron * * * * * */15:a.run default Europe/Berlin',
      'cron annual:a.run default Europe/Berlin',
      'cron weekly_long:a.run long Europe/Berlin',
      'cron @midnight:a.run default Europe/Berlin'
    ]
  )
  const { schedule: _, timing: __, fingerprint: ___, offsetMs, ...full } = planned[6]!
  assert.deepEqual(full, {
    id: 'cron 15 18 * * *:a.run',
    key: '15 18 * * *',
    method: 'a.run',
    params: { deep_key: [1] },
    queue: 'default',
    timeout: '2m',
    timezone: 'Asia/Kolkata',
    missed: 'all',
    overlap: 'queue',
    spreadMs: 600_000,
    jobName: 'sums',
    attempts: 3
  })
  assert.ok(offsetMs > 0 && offsetMs < 600_000)
  assert.deepEqual(
    planned
      .slice(0, 2)
      .map(({ params, missed, overlap, jobName, attempts }) => ({ params, missed, overlap, jobName, attempts })),
    Array(2).fill({ params: {}, missed: 'once', overlap: 'skip', jobName: null, attempts: null })
  )
})

test('instants are those of the zone, the tick interval and the spread', (t) => {
  const { load } = project(t, {
    'config/runtime.yaml': `
schedulerTickInterval: 30
schedulerEvents:
  all: [a.tick]
  daily: [{ method: a.run, timezone: Asia/Kolkata }, { method: a.spread, spread: 1h }]
  cron: { "* * * * * */15": [a.run] }
`
  })
  const { planned } = readEvents(load())
  const afterMs = Date.UTC(2026, 0, 1, 12, 0, 0)
  const next = planned.map(({ schedule }) => new Date(schedule.nextAfter(afterMs)!).toISOString())
  assert.deepEqual(next, [
    '2026-01-01T12:00:30.000Z',
    '2026-01-01T18:30:00.000Z',
    '2026-01-02T00:00:00.000Z',
    '2026-01-01T12:00:15.000Z'
  ])
  assert.ok(planned[2]!.offsetMs > 0)
})

test('what cannot fire is named with its reason, and the others are planned', (t) => {
  const long = `a.${'m'.repeat(240)}`
  const { load } = project(t, {
    'config/runtime.yaml': `
schedulerEvents:
  hourly:
    - a.good
    - nodots
    - { method: a.queue, queue: lnog }
    - { method: a.zone, timezone: Europe/Berln }
    - ${long}
  cron:
    "61 * * * *": [a.bad]
    "* * * *": [a.few]
    "0 0 30 2 *": [a.never]
    "0 12 * * *": [a.good]
`
  })
  const { planned, invalid } = readEvents(load())
  assert.deepEqual(
    planned.map(({ id }) => id),
    ['hourly:a.good', 'cron 0 12 * * *:a.good']
  )
  const reasons: [id: string, reason: RegExp][] = [
    ['hourly:nodots', /method path/],
    ['hourly:a.queue', /no queue "lnog".*Did you mean "long"/],
    ['hourly:a.zone', /Europe\/Berln.*"Europe\/Berlin"/],
    [`hourly:${long}`, /characters/],
    ['cron 61 * * * *:a.bad', /minute/],
    ['cron * * * *:a.few', /4 fields/],
    ['cron 0 0 30 2 *:a.never', /never fires/]
  ]
  assert.deepEqual(
    invalid.map(({ id }) => id),
    reasons.map(([id]) => id)
  )
  for (const [index, [id, reason]] of reasons.entries()) {
    const { problem } = invalid[index]!
    assert.ok(problem.startsWith(`Scheduler event "${id}" cannot fire: `), problem)
    assert.match(problem, reason)
  }
})

test('params that no job may have are refused with the event', () => {
  const method = 'a.large'
  const config = configFromOptions(
    { schedulerEvents: { daily: [{ method, params: 'x'.repeat(payloadBytesMax) }] } },
    '/'
  )
  const { planned, invalid } = readEvents(config)
  assert.deepEqual([planned.length, invalid.length], [0, 1])
  assert.match(invalid[0]!.problem, /"daily:a\.large" cannot fire: .* bytes/)
})

test('timing tells of another instant, fingerprint of any change', (t) => {
  const read = (event: string, more = '') => {
    const { load } = project(t, {
      'config/runtime.yaml': `${more}\nschedulerEvents: { all: [a.tick], daily: [${event}] }`
    })
    return readEvents(load()).planned
  }
  const [tick, daily] = read('a.run')
  const [, params] = read('{ method: a.run, params: [1] }')
  assert.equal(params!.timing, daily!.timing)
  assert.notEqual(params!.fingerprint, daily!.fingerprint)
  const [otherTick, sameDaily] = read('{ method: a.run }', 'schedulerTickInterval: 5')
  assert.notEqual(otherTick!.timing, tick!.timing)
  assert.deepEqual([sameDaily!.timing, sameDaily!.fingerprint], [daily!.timing, daily!.fingerprint])
  for (const option of ['timezone: Asia/Kolkata', 'spread: 1h']) {
    const [, changed] = read(`{ method: a.run, ${option} }`)
    assert.notEqual(changed!.timing, daily!.timing)
    assert.notEqual(changed!.fingerprint, daily!.fingerprint)
  }
})
