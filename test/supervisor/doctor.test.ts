import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Finding, QueueHealth, StatusView } from '../../runtime/core/api.ts'
import type { QueueView } from '../../runtime/core/job.ts'
import { type DoctorFacts, examine } from '../../runtime/supervisor/doctor.ts'
import { eventView, queueView, statusView } from '../cli/fake-service.ts'

const nowMs = Date.parse('2026-01-31T12:00:00.000Z')
const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs
const mebibyte = 1024 * 1024
const idle: QueueView['counts'] = { scheduled: 0, ready: 0, running: 0, completed: 9, failed: 0, cancelled: 1 }
const unlimited = { rateLimit: null, keyRateLimit: null }

function facts(changes: Partial<DoctorFacts> = {}): DoctorFacts {
  return {
    nowMs,
    status: statusView({ queues: [queueView({ counts: idle })] }),
    schedule: { state: 'active', events: [eventView({ next: '2999-01-01T00:00:00.000Z' })] },
    health: [health()],
    growth: [],
    prepared: [],
    limits: new Map([['default', unlimited]]),
    diskFreeBytes: 100 * 1024 * mebibyte,
    ...changes
  }
}

function health(changes: Partial<QueueHealth> = {}): QueueHealth {
  return { queue: 'default', oldestReady: null, oldestRunning: null, overdue: 0, ...changes }
}

const startedAt = new Date(nowMs - 10 * dayMs).toISOString()

function ofQueue(view: Partial<QueueView>, stands: Partial<QueueHealth> = {}, more: Partial<DoctorFacts> = {}) {
  const queue = queueView({ counts: idle, ...view })
  return facts({
    status: statusView({ startedAt, queues: [queue] }),
    health: [health({ queue: queue.queue, ...stands })],
    ...more
  })
}

function ofStore(store: Partial<StatusView['store']>, more: Partial<DoctorFacts> = {}) {
  const status = statusView({
    queues: [],
    store: { format: 1, bytes: 0, usedBytes: 0, bytesMax: null, setAside: 0, ...store }
  })
  return facts({ status, ...more })
}

/** The one finding there is. */
function only(given: DoctorFacts): Finding {
  const { ok, findings } = examine(given)
  assert.equal(findings.length, 1, JSON.stringify(findings))
  assert.equal(ok, findings[0]!.severity === 'warning')
  assert.ok(findings[0]!.advice.length > 0)
  return findings[0]!
}

function nothing(given: DoctorFacts): void {
  assert.deepEqual(examine(given), { ok: true, findings: [] })
}

describe('doctor (issue 5.7)', () => {
  it('finds nothing where nothing is wrong', () => nothing(facts()))

  it('tells everything at once, each with what to do', () => {
    const status = statusView({
      state: 'storageFull',
      queues: [
        queueView({ queue: 'old', configured: false, counts: { ...idle, ready: 2 } }),
        queueView({ queue: 'held', paused: true, counts: { ...idle, scheduled: 1 } }),
        queueView({ queue: 'bad', counts: { ...idle, failed: 3 } })
      ]
    })
    const events = [
      eventView({ event: 'cron x:a.run', state: 'invalid', problem: 'it never fires', next: null }),
      eventView({ event: 'hourly:a.late', next: '2020-01-01T00:00:00.000Z' }),
      eventView({ event: 'daily:a.fails', next: '2999-01-01T00:00:00.000Z', lastOutcome: 'failed', lastJob: 'j1' })
    ]
    const { ok, findings } = examine(facts({ status, schedule: { state: 'paused', events }, health: [] }))
    assert.equal(ok, false)
    const expected: [Finding['severity'], object, RegExp][] = [
      ['problem', { store: '/data' }, /disk takes no writes/],
      ['warning', { supervisor: 'scheduler' }, /The scheduler is paused/],
      ['problem', { queue: 'old' }, /Queue "old" is not configured any more, and 2 jobs wait/],
      ['warning', { queue: 'held' }, /Queue "held" is paused, and 1 job/],
      ['problem', { queue: 'bad' }, /Queue "bad" holds 3 failed jobs/],
      ['problem', { event: 'cron x:a.run' }, /"cron x:a.run" cannot run: it never fires/],
      ['problem', { event: 'hourly:a.late' }, /"hourly:a.late" is overdue since 2020/],
      ['problem', { event: 'daily:a.fails' }, /last run of scheduler event "daily:a.fails" failed/]
    ]
    assert.equal(findings.length, expected.length)
    for (const [index, [severity, about, words]] of expected.entries()) {
      const finding = findings[index]!
      assert.deepEqual([finding.severity, finding.about], [severity, about])
      assert.match(finding.what, words)
      assert.ok(finding.advice.length > 0)
    }
  })

  it('tells maintenance mode', () => {
    const finding = only(facts({ schedule: { state: 'maintenance', events: [] } }))
    assert.deepEqual([finding.severity, finding.about], ['warning', { supervisor: 'maintenance' }])
    assert.match(finding.what, /Maintenance mode is on/)
    nothing(facts({ schedule: { state: 'paused', events: [] } }))
  })

  it('tells until when a queue is paused', () => {
    const until = '2026-02-01T00:00:00.000Z'
    const paused = { paused: true, pausedUntil: until, counts: { ...idle, ready: 1 } }
    assert.match(only(ofQueue(paused)).what, /paused until 2026-02-01T00:00:00\.000Z, and 1 job waits/)
    nothing(ofQueue({ paused: true }))
  })
})

describe('jobs that wait long', () => {
  const since = (spanMs: number) => ({ oldestReady: { id: 'j1', readySinceMs: nowMs - spanMs } })
  const waiting = { counts: { ...idle, ready: 5 } }

  it('are no finding up to 10 minutes', () => nothing(ofQueue(waiting, since(10 * minuteMs))))

  it('are no finding in the first 10 minutes of a supervisor', () => {
    const given = ofQueue(waiting, since(dayMs))
    const startedAt = new Date(nowMs - 10 * minuteMs).toISOString()
    nothing({ ...given, status: { ...given.status, startedAt } })
  })

  it('are a problem where nothing runs', () => {
    const { severity, what } = only(ofQueue(waiting, since(11 * minuteMs)))
    assert.equal(severity, 'problem')
    assert.equal(what, 'Job j1 of queue "default" has been ready for 11 min although 2 of 2 workers are idle.')
  })

  it('may be held back by a rate limit or a key', () => {
    for (const limit of ['rateLimit', 'keyRateLimit']) {
      const limits = new Map([['default', { ...unlimited, [limit]: { max: 1, perMs: hourMs } }]])
      assert.equal(only(ofQueue(waiting, since(hourMs), { limits })).severity, 'warning')
    }
    const { severity, advice } = only(ofQueue({ counts: { ...idle, ready: 5, running: 1 } }, since(hourMs)))
    assert.deepEqual([severity, /keyConcurrency/.test(advice)], ['warning', true])
  })

  it('are a backlog where all workers are busy', () => {
    const { severity, what, advice } = only(ofQueue({ counts: { ...idle, ready: 5, running: 2 } }, since(3 * dayMs)))
    assert.equal(severity, 'warning')
    assert.match(what, /ready for 3 d: all 2 workers are busy/)
    assert.match(advice, /backgroundWorkers/)
  })

  it('are meant where the queue is paused, or maintenance mode is on', () => {
    assert.match(only(ofQueue({ ...waiting, paused: true }, since(dayMs))).what, /is paused/)
    const schedule = { state: 'maintenance', events: [] } as const
    assert.match(only(ofQueue(waiting, since(dayMs), { schedule: { ...schedule, events: [] } })).what, /Maintenance/)
    assert.match(only(ofQueue({ ...waiting, configured: false }, since(dayMs))).what, /not configured/)
  })
})

describe('jobs that are stuck', () => {
  it('run longer than their timeout and a minute', () => {
    const runs = (pastMs: number) => ({
      oldestRunning: { id: 'j2', startedAtMs: nowMs - 300_000 - pastMs, timeoutMs: 300_000 }
    })
    const running = { counts: { ...idle, running: 1 } }
    nothing(ofQueue(running, runs(minuteMs)))
    const { severity, what } = only(ofQueue(running, runs(5 * minuteMs)))
    assert.equal(severity, 'problem')
    assert.match(what, /"default" is stuck: its job j2 runs although its timeout passed 5 min ago/)
  })

  it('were due and are not ready', () => {
    const { severity, what } = only(ofQueue({ counts: { ...idle, scheduled: 3 } }, { overdue: 2 }))
    assert.equal(severity, 'problem')
    assert.match(what, /^2 scheduled jobs of queue "default" are overdue/)
    assert.match(only(ofQueue({}, { overdue: 1 })).what, /^1 scheduled job of queue "default" is overdue/)
  })
})

describe('the store', () => {
  it('is nearly full from 80 % of its quota, and full at it', () => {
    const bytesMax = 100 * mebibyte
    nothing(ofStore({ bytes: 90 * mebibyte, usedBytes: 79.9 * mebibyte, bytesMax }))
    const near = only(ofStore({ bytes: 90 * mebibyte, usedBytes: 80 * mebibyte, bytesMax }))
    assert.deepEqual([near.severity, near.about], ['warning', { store: '/data' }])
    assert.match(near.what, /holds 80\.0 MiB, 80 % of maxStoreBytes/)
    const full = ofStore({ bytes: 100 * mebibyte, usedBytes: bytesMax, bytesMax })
    const problem = only({ ...full, status: { ...full.status, state: 'storageFull' } })
    assert.equal(problem.severity, 'problem')
    assert.match(problem.what, /has reached maxStoreBytes \(100\.0 MiB\): enqueue is refused/)
  })

  const grown = (bytes: number, spanMs: number) => [
    { atMs: nowMs - spanMs, usedBytes: 0 },
    { atMs: nowMs - 1, usedBytes: bytes }
  ]

  it('grows towards its quota', () => {
    const store = { bytes: 10 * mebibyte, usedBytes: 10 * mebibyte, bytesMax: 60 * mebibyte }
    const { severity, what } = only(ofStore(store, { growth: grown(10 * mebibyte, dayMs) }))
    assert.equal(severity, 'warning')
    assert.equal(what, 'The store grows by 10.0 MiB a day: it reaches maxStoreBytes in 5 d.')
    assert.equal(only(ofStore(store, { growth: grown(10 * mebibyte, 4 * hourMs) })).severity, 'problem')
    nothing(ofStore(store, { growth: grown(10 * mebibyte, 2 * dayMs) }))
    nothing(ofStore(store, { growth: grown(10 * mebibyte, 2 * hourMs) }))
    nothing(ofStore(store, { growth: [{ atMs: nowMs - dayMs, usedBytes: 20 * mebibyte }] }))
  })

  it('grows towards the end of the disk, the free space in its file included', () => {
    const store = { bytes: 30 * mebibyte, usedBytes: 10 * mebibyte }
    const growth = grown(10 * mebibyte, dayMs)
    const { what } = only(ofStore(store, { growth, diskFreeBytes: 20 * mebibyte }))
    assert.match(what, /it fills the disk in 4 d\./)
    nothing(ofStore(store, { growth, diskFreeBytes: 80 * mebibyte }))
    nothing(ofStore(store, { growth, diskFreeBytes: null }))
  })

  it('has a file that is mostly free', () => {
    const { severity, what } = only(ofStore({ bytes: 2048 * mebibyte, usedBytes: 512 * mebibyte }))
    assert.equal(severity, 'warning')
    assert.equal(what, "Of the 2.0 GiB of the store's file, 1.5 GiB are free.")
    nothing(ofStore({ bytes: 2048 * mebibyte, usedBytes: 1024 * mebibyte }))
    nothing(ofStore({ bytes: 256 * mebibyte, usedBytes: 1 }))
  })
})

describe('an outbox that nobody decides about', () => {
  const undecided = (outbox: string, ageMs: number) => ({
    id: `${outbox}-${ageMs}`,
    outbox,
    operations: 1,
    preparedAt: new Date(nowMs - ageMs - minuteMs).toISOString(),
    undecidedAt: new Date(nowMs - ageMs).toISOString()
  })

  it('is a warning after an hour, one for each outbox', () => {
    nothing(facts({ prepared: [undecided('orders', hourMs), undecided('orders', -minuteMs)] }))
    const prepared = [undecided('orders', 3 * hourMs), undecided('mails', 2 * hourMs), undecided('orders', 2 * hourMs)]
    const { ok, findings } = examine(facts({ prepared }))
    assert.equal(ok, true)
    assert.deepEqual(
      findings.map(({ severity, about }) => [severity, about]),
      [
        ['warning', { outbox: 'orders' }],
        ['warning', { outbox: 'mails' }]
      ]
    )
    assert.match(findings[0]!.what, /"orders" holds 2 entries .* the oldest 3 h ago/)
    assert.match(findings[1]!.what, /"mails" holds 1 entry/)
  })
})
