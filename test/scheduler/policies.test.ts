/** What an event does when it was missed, overlaps, is paused, skipped, triggered, changed; on a machine whose time is the test's. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { RuntimeOptions } from '../../runtime/core/config.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import type { EventOptions } from '../../runtime/core/scheduler-event.ts'
import { type MachineOptions, SimulatedMachine } from './simulated-machine.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const startAtMs = Date.UTC(2026, 0, 1, 11, 59)

function hourly(...entries: (string | EventOptions)[]): RuntimeOptions {
  return { schedulerEvents: { hourly: entries } }
}

function open(t: TestContext, options: RuntimeOptions, more: MachineOptions = {}): Promise<SimulatedMachine> {
  return SimulatedMachine.open(t, options, { startAtMs, ...more })
}

function hour(number: number): string {
  return new Date(Date.UTC(2026, 0, 1, number)).toISOString()
}

function countsOf(machine: SimulatedMachine, id: string) {
  const { runs, failures, skips, misses } = machine.event(id)
  return { runs, failures, skips, misses }
}

const code = (wanted: string) => (error: unknown) => error instanceof RuntimeError && error.code === wanted

describe('missed', () => {
  const events = hourly(
    { method: 'a.once' },
    { method: 'a.skip', missed: 'skip' },
    { method: 'a.all', missed: 'all' },
    { method: 'a.kept', overlap: 'allow', missed: 'all' }
  )

  it('down for three intervals: once runs the last, skip none, all each', async (t) => {
    const machine = await open(t, events)
    await machine.restart(3 * hourMs)
    await machine.pass(0)
    assert.deepEqual(machine.instantsOf('hourly:a.once'), [hour(14)])
    assert.deepEqual(machine.instantsOf('hourly:a.skip'), [])
    assert.deepEqual(machine.instantsOf('hourly:a.all'), [hour(12), hour(13), hour(14)])
    assert.deepEqual(countsOf(machine, 'hourly:a.once'), { runs: 1, failures: 0, skips: 0, misses: 2 })
    assert.deepEqual(countsOf(machine, 'hourly:a.skip'), { runs: 0, failures: 0, skips: 0, misses: 3 })
    assert.deepEqual(countsOf(machine, 'hourly:a.all'), { runs: 3, failures: 0, skips: 0, misses: 0 })
    assert.deepEqual(machine.unfired.map(({ type, job, count }) => [type, job, count]).sort(), [
      ['missed', 'hourly:a.once', 2],
      ['missed', 'hourly:a.skip', 3]
    ])
    await machine.passUntil(Date.parse(hour(15)))
    for (const name of ['once', 'skip', 'all']) {
      assert.equal(machine.instantsOf(`hourly:a.${name}`).at(-1), hour(15), `${name} goes on`)
    }
  })

  it('all makes up for 100 at most, the latest', async (t) => {
    const machine = await open(t, events)
    await machine.restart(150 * hourMs)
    await machine.pass(0)
    const run = machine.instantsOf('hourly:a.all')
    assert.deepEqual([run.length, run[0], run.at(-1)], [100, hour(12 + 50), hour(12 + 149)])
    assert.deepEqual(countsOf(machine, 'hourly:a.all'), { runs: 100, failures: 0, skips: 0, misses: 50 })
  })

  it('a machine that slept: the same, without a restart, within a minute', async (t) => {
    const machine = await open(t, events)
    await machine.pass(0)
    machine.setClock(3 * hourMs)
    await machine.pass(minuteMs)
    assert.deepEqual(machine.instantsOf('hourly:a.once'), [hour(15)])
    assert.deepEqual(machine.instantsOf('hourly:a.skip'), [hour(15)], 'due within the last minute: not missed')
    assert.deepEqual(machine.instantsOf('hourly:a.all'), [hour(12), hour(13), hour(14), hour(15)])
  })

  it('down for years: the last instant runs, and the supervisor does not count for minutes', async (t) => {
    const everySecond = { schedulerEvents: { all: ['a.once', { method: 'a.all', missed: 'all' as const }] } }
    const machine = await open(t, { ...everySecond, schedulerTickInterval: 1 })
    const downMs = 3 * 365 * 24 * hourMs
    const beganMs = performance.now()
    await machine.restart(downMs)
    await machine.pass(0)
    assert.ok(performance.now() - beganMs < 5_000)
    const last = new Date(startAtMs + downMs).toISOString()
    assert.equal(machine.instantsOf('all:a.once').at(-1), last)
    const made = machine.instantsOf('all:a.all')
    assert.deepEqual([made.length, made.at(-1)], [100, last])
    assert.equal(Date.parse(last) - Date.parse(made[0]!), 99_000, 'the latest hundred')
  })
})

it('a full disk: what is due runs within a second of there being room again, and is late rather than missed', async (t) => {
  const machine = await open(t, hourly({ method: 'a.run', missed: 'skip' }, { method: 'a.queue', overlap: 'queue' }), {
    work: () => undefined
  })
  await machine.passUntil(Date.parse(hour(13)) + 10_000)
  machine.diskIsFull = true
  await machine.passUntil(Date.parse(hour(14)) + 30_000)
  assert.deepEqual(machine.instantsOf('hourly:a.run'), [hour(12)])
  machine.diskIsFull = false
  while (machine.running.length > 0) await machine.settle('completed')
  await machine.pass(1_000)
  assert.deepEqual(machine.instantsOf('hourly:a.run'), [hour(12), hour(14)])
  assert.deepEqual(machine.instantsOf('hourly:a.queue'), [hour(12), hour(13), hour(14)])
})

describe('overlap', () => {
  const events = hourly(
    { method: 'a.skip' },
    { method: 'a.queue', overlap: 'queue' },
    { method: 'a.allow', overlap: 'allow' }
  )
  const atWork = { work: () => undefined }

  async function overlapping(t: TestContext): Promise<SimulatedMachine> {
    const machine = await open(t, events, atWork)
    await machine.passUntil(Date.parse(hour(14)))
    return machine
  }

  async function finish(machine: SimulatedMachine, job: string): Promise<void> {
    while (machine.running[0]!.id !== job) machine.running.push(machine.running.shift()!)
    await machine.settle('completed')
  }

  it('skip: none runs while the last one has not finished, and it is counted', async (t) => {
    const machine = await overlapping(t)
    assert.deepEqual(machine.instantsOf('hourly:a.skip'), [hour(12)])
    assert.deepEqual(countsOf(machine, 'hourly:a.skip'), { runs: 1, failures: 0, skips: 2, misses: 0 })
    assert.equal(machine.event('hourly:a.skip').lastOutcome, null)
    const told = machine.unfired.filter(({ job }) => job === 'hourly:a.skip')
    assert.deepEqual(
      told.map(({ type, method, count }) => [type, method, count]),
      [
        ['skipped', 'a.skip', 1],
        ['skipped', 'a.skip', 1]
      ]
    )
    await finish(machine, `hourly:a.skip@${hour(12)}`)
    assert.deepEqual(machine.instantsOf('hourly:a.skip'), [hour(12)])
    await machine.pass(hourMs)
    assert.deepEqual(machine.instantsOf('hourly:a.skip'), [hour(12), hour(15)])
  })

  it('queue: the latest runs when the last one has finished, those between are skipped', async (t) => {
    const machine = await overlapping(t)
    assert.deepEqual(machine.instantsOf('hourly:a.queue'), [hour(12)])
    await finish(machine, `hourly:a.queue@${hour(12)}`)
    assert.deepEqual(machine.instantsOf('hourly:a.queue'), [hour(12), hour(14)])
    await finish(machine, `hourly:a.queue@${hour(14)}`)
    assert.deepEqual(machine.instantsOf('hourly:a.queue'), [hour(12), hour(14)])
    assert.deepEqual(countsOf(machine, 'hourly:a.queue'), { runs: 2, failures: 0, skips: 1, misses: 0 })
  })

  it('queue: what waits is not lost by a crash', async (t) => {
    const machine = await overlapping(t)
    machine.crashAtCommit(1, 'before')
    await finish(machine, `hourly:a.queue@${hour(12)}`)
    assert.ok(machine.hasCrashed)
    await machine.boot()
    assert.deepEqual(machine.instantsOf('hourly:a.queue'), [hour(12), hour(14)])
  })

  it('allow: all run side by side', async (t) => {
    const machine = await overlapping(t)
    assert.deepEqual(machine.instantsOf('hourly:a.allow'), [hour(12), hour(13), hour(14)])
    assert.equal(machine.running.filter(({ method }) => method === 'a.allow').length, 3)
  })

  it('a last job that was removed or cancelled holds nothing back', async (t) => {
    const machine = await open(t, events, atWork)
    await machine.scheduler.setMaintenance(false)
    await machine.queue.setPaused('default', true)
    await machine.passUntil(Date.parse(hour(13)))
    for (const name of ['skip', 'queue']) assert.deepEqual(machine.instantsOf(`hourly:a.${name}`), [hour(12)])
    for (const name of ['skip', 'queue']) await machine.queue.remove(`hourly:a.${name}@${hour(12)}`)
    await machine.rest()
    assert.deepEqual(machine.instantsOf('hourly:a.queue'), [hour(12), hour(13)], 'what waited for it runs')
    assert.deepEqual(
      [machine.event('hourly:a.skip').lastJob, machine.event('hourly:a.skip').lastOutcome],
      [null, null],
      'a job that is gone is not shown as running'
    )
    await machine.queue.cancel(`hourly:a.queue@${hour(13)}`, () => undefined)
    await machine.pass(hourMs)
    assert.deepEqual(machine.instantsOf('hourly:a.skip'), [hour(12), hour(14)])
    assert.deepEqual(machine.instantsOf('hourly:a.queue'), [hour(12), hour(13), hour(14)])
  })
})

describe('by hand', () => {
  const events: RuntimeOptions = {
    schedulerEvents: {
      hourly: ['a.sweep', 'a.count'],
      cron: { '0 12 * * *': ['a.sweep'] }
    }
  }
  const ids = ['hourly:a.sweep', 'hourly:a.count', 'cron 0 12 * * *:a.sweep'] as const

  it('one event is paused and resumed; what would have run is skipped; a restart changes nothing', async (t) => {
    const machine = await open(t, events)
    await machine.scheduler.setPaused(ids[0], true)
    await machine.pass(hourMs)
    await machine.restart(0)
    assert.equal(machine.event(ids[0]).state, 'paused')
    await machine.pass(hourMs)
    assert.deepEqual(machine.instantsOf(ids[0]), [])
    assert.deepEqual(machine.instantsOf(ids[1]), [hour(12), hour(13)])
    assert.deepEqual(countsOf(machine, ids[0]), { runs: 0, failures: 0, skips: 2, misses: 0 })
    await machine.scheduler.setPaused(ids[0], false)
    await machine.pass(hourMs)
    assert.deepEqual(machine.instantsOf(ids[0]), [hour(14)])
  })

  it('the whole scheduler is paused and resumed', async (t) => {
    const machine = await open(t, events)
    await machine.scheduler.setPaused(undefined, true)
    assert.equal(machine.scheduler.list().state, 'paused')
    await machine.restart(0)
    await machine.pass(2 * hourMs)
    assert.deepEqual(machine.enqueued, [])
    await machine.scheduler.setPaused(undefined, false)
    assert.equal(machine.scheduler.list().state, 'active')
    await machine.pass(hourMs)
    assert.deepEqual(machine.instantsOf(ids[0]), [hour(14)])
    assert.deepEqual(countsOf(machine, ids[2]), { runs: 0, failures: 0, skips: 1, misses: 0 })
  })

  it('the next instant is left out, and only that', async (t) => {
    const machine = await open(t, events)
    await machine.scheduler.skipNext(ids[0])
    assert.equal(machine.event(ids[0]).skipsNext, true)
    await machine.pass(2 * hourMs)
    assert.deepEqual(machine.instantsOf(ids[0]), [hour(13)])
    assert.deepEqual(countsOf(machine, ids[0]), { runs: 1, failures: 0, skips: 1, misses: 0 })
    assert.equal(machine.event(ids[0]).skipsNext, false)
  })

  it('trigger by id, key and method, also of what is paused; the instants stay', async (t) => {
    const machine = await open(t, events)
    const next = machine.event(ids[0]).next
    await machine.scheduler.setPaused(ids[0], true)
    assert.equal((await machine.scheduler.trigger(ids[0])).length, 1)
    assert.equal((await machine.scheduler.trigger('hourly')).length, 2)
    assert.equal((await machine.scheduler.trigger('0 12 * * *')).length, 1)
    const jobs = await machine.scheduler.trigger('a.sweep')
    assert.equal(jobs.length, 2)
    await machine.rest()
    assert.deepEqual(
      jobs.map((job) => machine.stateOf(job)),
      ['completed', 'completed']
    )
    assert.deepEqual(
      ids.map((id) => machine.event(id).runs),
      [3, 1, 2]
    )
    assert.deepEqual(
      [machine.event(ids[0]).next, machine.event(ids[0]).lastInstant, machine.event(ids[0]).lastOutcome],
      [next, null, 'completed']
    )
  })

  it('who is not known is refused, with the nearest name', async (t) => {
    const machine = await open(t, hourly('a.sweep', 'gone.away'))
    for (const act of [
      () => machine.scheduler.trigger('a.swep'),
      () => machine.scheduler.skipNext('a.swep'),
      () => machine.scheduler.setPaused('a.swep', true)
    ]) {
      await assert.rejects(act, (error: Error) => code('EVENT_UNKNOWN')(error) && /"a\.sweep"/.test(error.message))
    }
    await assert.rejects(() => machine.scheduler.trigger('gone.away'), code('METHOD_UNKNOWN'))
  })

  it('maintenance: no events, no claims; enqueues are accepted, and run when it is over', async (t) => {
    const machine = await open(t, events)
    await machine.scheduler.setMaintenance(true)
    assert.equal(machine.scheduler.list().state, 'maintenance')
    const [job] = await machine.queue.enqueue([{ method: 'a.user' }])
    const [long] = await machine.queue.enqueue([{ method: 'a.user', queue: 'long' }])
    await machine.restart(0)
    await machine.pass(hourMs)
    assert.deepEqual([machine.stateOf(job!.id), machine.stateOf(long!.id)], ['ready', 'ready'])
    assert.equal(machine.event(ids[0]).skips, 1)
    await machine.scheduler.setMaintenance(false)
    await machine.rest()
    assert.deepEqual([machine.stateOf(job!.id), machine.stateOf(long!.id)], ['completed', 'completed'])
    await machine.pass(hourMs)
    assert.deepEqual(machine.instantsOf(ids[0]), [hour(13)])
  })
})

describe('migrate', () => {
  const before = hourly('a.kept', 'a.removed', { method: 'a.options' })
  const after: RuntimeOptions = {
    schedulerEvents: {
      hourly: ['a.kept', { method: 'a.options', params: { deep: true } }],
      daily: ['a.added']
    }
  }

  it('tells and applies what was added, changed and removed, and keeps the state of the rest', async (t) => {
    const machine = await open(t, before)
    await machine.pass(hourMs)
    const found = {
      added: ['daily:a.added'],
      changed: ['hourly:a.options'],
      removed: ['hourly:a.removed'],
      unchanged: 1
    }
    const shown = machine.scheduler.list()
    assert.deepEqual(await machine.migrate(after, true), found)
    assert.deepEqual(machine.scheduler.list(), shown, 'a dry run changes nothing')
    assert.deepEqual(await machine.migrate(after), found)
    assert.deepEqual(await machine.migrate(after), { added: [], changed: [], removed: [], unchanged: 3 })
    assert.deepEqual(
      machine.scheduler.list().events.map(({ event, runs, next }) => [event, runs, next]),
      [
        ['hourly:a.kept', 1, hour(13)],
        ['hourly:a.options', 1, hour(13)],
        ['daily:a.added', 0, hour(24)]
      ]
    )
    await machine.pass(12 * hourMs)
    assert.deepEqual(machine.instantsOf('hourly:a.removed'), [hour(12)])
    assert.deepEqual(machine.instantsOf('daily:a.added'), [hour(24)])
    const job = machine.queue.get(`hourly:a.options@${hour(13)}`)
    assert.deepEqual(job.params, { deep: true })
  })

  it('the same at a start; what was missed meanwhile is kept unless the instants themselves have changed', async (t) => {
    const machine = await open(t, hourly('a.kept', 'a.options', 'a.zone'))
    await machine.restart(
      3 * hourMs,
      hourly('a.kept', { method: 'a.options', attempts: 3 }, { method: 'a.zone', timezone: 'Asia/Kolkata' })
    )
    await machine.pass(0)
    assert.deepEqual(machine.instantsOf('hourly:a.kept'), [hour(14)])
    assert.deepEqual(machine.instantsOf('hourly:a.options'), [hour(14)])
    assert.deepEqual(machine.instantsOf('hourly:a.zone'), [])
    assert.equal(machine.event('hourly:a.zone').next, new Date(Date.UTC(2026, 0, 1, 15, 30)).toISOString())
  })

  it('another tick interval changes all, and only that', async (t) => {
    const events = { schedulerEvents: { all: ['a.tick'], hourly: ['a.kept'] } }
    const machine = await open(t, events)
    const found = await machine.migrate({ ...events, schedulerTickInterval: 1 })
    assert.deepEqual(found, { added: [], changed: ['all:a.tick'], removed: [], unchanged: 1 })
    await machine.pass(3_000)
    assert.equal(machine.instantsOf('all:a.tick').length, 3)
  })

  it('an instant that ran does not run again when its event comes back and the clock is set back', async (t) => {
    const machine = await open(t, hourly('a.kept'))
    await machine.pass(hourMs)
    await machine.migrate({ schedulerEvents: {} })
    machine.setClock(-2 * hourMs)
    await machine.migrate(hourly('a.kept'))
    await machine.pass(3 * hourMs)
    assert.deepEqual(machine.instantsOf('hourly:a.kept'), [hour(12), hour(11), hour(13)])
  })
})

describe('the job of an event', () => {
  it('has the options of the event', async (t) => {
    const options = { params: { month: 3 }, timeout: '2m', jobName: 'sums', attempts: 4, queue: 'short' }
    const machine = await open(t, {
      schedulerEvents: { hourly: ['a.plain', { method: 'a.full', ...options }], hourly_long: ['a.long'] }
    })
    await machine.pass(hourMs)
    const shown = (id: string) => {
      const { params, timeoutMs, jobName, attempts, queue } = machine.queue.get(`${id}@${hour(12)}`)
      return { params, timeoutMs, jobName, attempts: attempts.max, queue }
    }
    assert.deepEqual(shown('hourly:a.plain'), {
      ...{ params: {}, timeoutMs: 300_000, jobName: null, attempts: 1, queue: 'default' }
    })
    assert.deepEqual(shown('hourly:a.full'), {
      ...{ params: { month: 3 }, timeoutMs: 120_000, jobName: 'sums', attempts: 4, queue: 'short' }
    })
    assert.equal(shown('hourly_long:a.long').queue, 'long')
    assert.equal(shown('hourly_long:a.long').timeoutMs, 1_500_000)
  })

  it('leaves its outcome, its duration and its failure with the event', async (t) => {
    const machine = await open(t, hourly('a.run'), { work: () => undefined })
    await machine.pass(minuteMs)
    assert.equal(machine.event('hourly:a.run').lastOutcome, null)
    await machine.pass(7_000)
    await machine.settle('failed')
    const { lastOutcome, lastDurationMs, lastInstant, lastJob, failures } = machine.event('hourly:a.run')
    assert.deepEqual(
      { lastOutcome, lastDurationMs, lastInstant, lastJob, failures },
      {
        ...{ lastOutcome: 'failed', lastDurationMs: 7_000, lastInstant: hour(12), failures: 1 },
        lastJob: `hourly:a.run@${hour(12)}`
      }
    )
    await machine.pass(hourMs)
    await machine.settle('completed')
    assert.equal(machine.event('hourly:a.run').lastOutcome, 'completed')
    assert.deepEqual(countsOf(machine, 'hourly:a.run'), { runs: 2, failures: 1, skips: 0, misses: 0 })
  })

  it('is left out while no module exports its method, and that is shown', async (t) => {
    const machine = await open(t, hourly('gone.away', 'a.run'))
    await machine.pass(hourMs)
    const { state, problem, skips } = machine.event('hourly:gone.away')
    assert.deepEqual([state, skips], ['active', 1])
    assert.match(problem!, /"gone\.away"/)
    assert.deepEqual(machine.enqueued, [`hourly:a.run@${hour(12)}`])
  })

  it('is left out where its method is one of a document, and that is shown (issue 6.1)', async (t) => {
    const machine = await open(t, hourly('document.Invoice.close', 'a.run'))
    await machine.pass(hourMs)
    const { state, problem, skips } = machine.event('hourly:document.Invoice.close')
    assert.deepEqual([state, skips], ['active', 1])
    assert.match(problem!, /is a method of a document, and an event names none/)
    assert.deepEqual(machine.enqueued, [`hourly:a.run@${hour(12)}`])
    await assert.rejects(() => machine.scheduler.trigger('document.Invoice.close'), code('PARAMS_INVALID'))
  })
})
