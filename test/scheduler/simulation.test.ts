/**
 * The example of the reference's documentation, whole, over a simulated year: every entry runs at each of its instants and
 * at no other, whatever crashes, restarts, and whoever sets the clock.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { EventOptions, SchedulerEvents } from '../../runtime/core/scheduler-event.ts'
import { SimulatedMachine } from './simulated-machine.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

const documented: SchedulerEvents = {
  all: ['app.scheduled_tasks.update_database_usage'],
  hourly: ['app.scheduled_tasks.update_hourly'],
  daily: ['app.scheduled_tasks.update_daily'],
  weekly: ['app.scheduled_tasks.update_weekly'],
  monthly: ['app.scheduled_tasks.update_monthly'],
  yearly: ['app.scheduled_tasks.update_yearly'],
  annual: ['app.scheduled_tasks.update_annual'],
  hourly_long: ['app.scheduled_tasks.take_backups_hourly'],
  daily_long: ['app.scheduled_tasks.take_backups_daily'],
  weekly_long: ['app.scheduled_tasks.take_backups_weekly'],
  monthly_long: ['app.scheduled_tasks.take_backups_monthly'],
  cron: {
    '15 18 * * *': ['app.scheduled_tasks.delete_all_barcodes_for_users'],
    '*/6 * * * *': ['app.scheduled_tasks.collect_error_snapshots'],
    annual: ['app.scheduled_tasks.collect_error_snapshots']
  }
}

/** Whether an entry runs in the minute that begins at `date`, said as plainly as can be. */
const isInstant: Record<string, (date: Date, tickMinutes: number) => boolean> = {
  'all:app.scheduled_tasks.update_database_usage': (date, tickMinutes) =>
    (date.getTime() / minuteMs) % tickMinutes === 0,
  'hourly:app.scheduled_tasks.update_hourly': isHour,
  'daily:app.scheduled_tasks.update_daily': isMidnight,
  'weekly:app.scheduled_tasks.update_weekly': (date) => isMidnight(date) && date.getUTCDay() === 0,
  'monthly:app.scheduled_tasks.update_monthly': (date) => isMidnight(date) && date.getUTCDate() === 1,
  'yearly:app.scheduled_tasks.update_yearly': isNewYear,
  'annual:app.scheduled_tasks.update_annual': isNewYear,
  'hourly_long:app.scheduled_tasks.take_backups_hourly': isHour,
  'daily_long:app.scheduled_tasks.take_backups_daily': isMidnight,
  'weekly_long:app.scheduled_tasks.take_backups_weekly': (date) => isMidnight(date) && date.getUTCDay() === 0,
  'monthly_long:app.scheduled_tasks.take_backups_monthly': (date) => isMidnight(date) && date.getUTCDate() === 1,
  'cron 15 18 * * *:app.scheduled_tasks.delete_all_barcodes_for_users': (date) =>
    date.getUTCHours() === 18 && date.getUTCMinutes() === 15,
  'cron */6 * * * *:app.scheduled_tasks.collect_error_snapshots': (date) => date.getUTCMinutes() % 6 === 0,
  'cron annual:app.scheduled_tasks.collect_error_snapshots': isNewYear
}

function isHour(date: Date): boolean {
  return date.getUTCMinutes() === 0
}

function isMidnight(date: Date): boolean {
  return isHour(date) && date.getUTCHours() === 0
}

function isNewYear(date: Date): boolean {
  return isMidnight(date) && date.getUTCMonth() === 0 && date.getUTCDate() === 1
}

/** @returns for each entry its instants after `fromMs`, up to `toMs` */
function expectedInstants(fromMs: number, toMs: number, tickMinutes: number): Record<string, string[]> {
  const expected: Record<string, string[]> = Object.fromEntries(Object.keys(isInstant).map((id) => [id, []]))
  for (let atMs = Math.floor(fromMs / minuteMs) * minuteMs + minuteMs; atMs <= toMs; atMs += minuteMs) {
    const date = new Date(atMs)
    for (const [id, is] of Object.entries(isInstant)) if (is(date, tickMinutes)) expected[id]!.push(date.toISOString())
  }
  return expected
}

function instantsRun(machine: SimulatedMachine): Record<string, string[]> {
  const run: Record<string, string[]> = Object.fromEntries(Object.keys(isInstant).map((id) => [id, []]))
  for (const job of machine.enqueued) {
    const at = job.lastIndexOf('@')
    run[job.slice(0, at)]!.push(job.slice(at + 1))
  }
  return run
}

/** Numbers between 0 and 1 that are the same in every run. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** Half a minute before a Christmas; the new year and with it every entry is within two weeks. */
const startAtMs = Date.UTC(2026, 11, 24, 23, 59, 30)
const isLong = process.env.LONG === '1'
const limit = { timeout: isLong ? 3_600_000 : 120_000 }

function open(t: TestContext, tickMinutes: number, schedulerEvents = documented): Promise<SimulatedMachine> {
  return SimulatedMachine.open(t, { schedulerEvents, schedulerTickInterval: tickMinutes * 60 }, { startAtMs })
}

/** Moments in order, spread at random over a span. */
function moments(random: () => number, count: number, spanMs: number): number[] {
  return Array.from({ length: count }, () => startAtMs + Math.floor(random() * spanMs)).sort((a, b) => a - b)
}

async function passWithCrashes(machine: SimulatedMachine, spanMs: number, crashes: number): Promise<void> {
  const random = randomFrom(crashes)
  for (const atMs of moments(random, crashes, spanMs)) {
    await machine.passUntil(atMs)
    // Any of the commits of an instant: of firing, claim or settle.
    const commit = Math.floor(random() * 3)
    machine.crashAtCommit(commit, random() < 0.5 ? 'before' : 'after')
    while (!machine.hasCrashed) await machine.pass(minuteMs)
    await machine.boot()
    if (random() < 0.5) await machine.restart(0)
  }
  await machine.passUntil(startAtMs + spanMs)
}

for (const [days, tickMinutes] of isLong ? [[366, 1] as const] : [[7, 60] as const, [1, 1] as const]) {
  const name = `${days} days of the documented example with 20 crashes, all every ${tickMinutes} min`
  test(`${name}: every entry runs at each of its instants, once`, limit, async (t) => {
    const machine = await open(t, tickMinutes)
    await passWithCrashes(machine, days * dayMs, 20)
    const expected = expectedInstants(startAtMs, startAtMs + days * dayMs, tickMinutes)
    assert.deepEqual(instantsRun(machine), expected)
    for (const [id, instants] of Object.entries(expected)) {
      const { runs, failures, skips, misses, lastInstant, lastOutcome } = machine.event(id)
      assert.deepEqual(
        { runs, failures, skips, misses, lastInstant, lastOutcome },
        {
          ...{ runs: instants.length, failures: 0, skips: 0, misses: 0 },
          lastInstant: instants.at(-1) ?? null,
          lastOutcome: instants.length > 0 ? 'completed' : null
        }
      )
    }
  })
}

/** Sets the clock by two hours, forward or back, again and again. @returns the spans of wall time that never were */
async function passWithJumps(machine: SimulatedMachine, days: number, jumps: number): Promise<[number, number][]> {
  const random = randomFrom(jumps)
  const leapt: [number, number][] = []
  let latestMs = startAtMs
  for (let jump = 0; jump < jumps; jump++) {
    await machine.pass((random() * 2 * days * dayMs) / jumps)
    latestMs = Math.max(latestMs, machine.wallMs)
    machine.setClock(random() < 0.5 ? 2 * hourMs : -2 * hourMs)
    if (machine.wallMs > latestMs) leapt.push([latestMs, machine.wallMs])
    latestMs = Math.max(latestMs, machine.wallMs)
  }
  await machine.passUntil(Math.max(latestMs, machine.wallMs) + 3 * hourMs)
  return leapt
}

test(
  'a clock that is set by two hours: no instant runs twice, of those that never were the last one runs',
  limit,
  async (t) => {
    const machine = await open(t, 60)
    const leapt = await passWithJumps(machine, isLong ? 60 : 4, 24)
    assert.ok(leapt.length > 3, 'the clock was set forward')
    const expected = expectedInstants(startAtMs, machine.wallMs, 60)
    const run = instantsRun(machine)
    for (const [id, instants] of Object.entries(expected)) {
      const view = machine.event(id)
      assert.deepEqual([...new Set(run[id])], run[id], `${id} ran twice for an instant`)
      assert.equal(view.runs + view.misses, instants.length, `each instant of ${id} ran or was counted as missed`)
      // The jump is noticed within a minute: an instant of that minute may make up for those before it, or be one more.
      const allowed = new Set(instants.filter((instant) => !isMadeUpByLater(instant, instants, leapt, 0)))
      const wanted = new Set(instants.filter((instant) => !isMadeUpByLater(instant, instants, leapt, noticedWithinMs)))
      assert.deepEqual(
        run[id]!.filter((instant) => wanted.has(instant)),
        [...wanted],
        id
      )
      assert.deepEqual(
        run[id]!.filter((instant) => !allowed.has(instant)),
        [],
        id
      )
    }
  }
)

test('a clock that is set by two hours, missed: all: every instant runs, once', limit, async (t) => {
  const all = (list: readonly (string | EventOptions)[]) =>
    list.map((entry) => ({ ...(typeof entry === 'string' ? { method: entry } : entry), missed: 'all' as const }))
  const { cron = {}, ...labels } = documented
  const machine = await open(t, 60, { ...mapValues(labels, all), cron: mapValues(cron, all) })
  await passWithJumps(machine, isLong ? 60 : 4, 24)
  assert.deepEqual(instantsRun(machine), expectedInstants(startAtMs, machine.wallMs, 60))
})

const noticedWithinMs = 60_000

/** Whether an instant never was, and a later one makes up for it that never was either or came soon after the jump. */
function isMadeUpByLater(
  instant: string,
  instants: readonly string[],
  leapt: readonly [number, number][],
  soonMs: number
): boolean {
  const atMs = Date.parse(instant)
  const span = leapt.find(([fromMs, toMs]) => fromMs < atMs && atMs <= toMs)
  return (
    span !== undefined && instants.some((later) => atMs < Date.parse(later) && Date.parse(later) <= span[1] + soonMs)
  )
}

function mapValues<T, U>(record: Record<string, T>, change: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]))
}
