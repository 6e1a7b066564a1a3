/** Events by the thousand: due at once, and idle. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimulatedMachine } from './simulated-machine.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const midnightMs = Date.UTC(2026, 0, 2)
const nights = 8

const methods = (count: number) => Array.from({ length: count }, (_, index) => `a.m${index}`)

test('1,000 events that are due at midnight: all enqueued by one commit, in under 100 ms', async (t) => {
  const daily = { schedulerEvents: { daily: methods(1_000) } }
  const machine = await SimulatedMachine.open(t, daily, { startAtMs: midnightMs - 1 })
  const tookMs: number[] = []
  for (let night = 0; night < nights; night++) {
    const commitsBefore = machine.commits.length
    await machine.passUntil(midnightMs + night * 24 * hourMs)
    const [fired, ...others] = machine.commits.slice(commitsBefore).filter(({ enqueued }) => enqueued > 0)
    assert.deepEqual([fired!.enqueued, others.length], [1_000, 0])
    tookMs.push(fired!.ms)
  }
  assert.equal(new Set(machine.enqueued).size, nights * 1_000)
  assert.ok(
    machine.scheduler.list().events.every(({ runs, lastOutcome }) => runs === nights && lastOutcome === 'completed')
  )
  t.diagnostic(`fired in ${tookMs.map((ms) => ms.toFixed(1)).join(', ')} ms`)
  // The best of them: the others may have had to share the machine.
  assert.ok(Math.min(...tookMs) < 100)
})

test('spread: 1,000 events over an hour, evenly, each always at the same place', async (t) => {
  const daily = methods(1_000).map((method) => ({ method, spread: '1h' }))
  const machine = await SimulatedMachine.open(t, { schedulerEvents: { daily } }, { startAtMs: midnightMs })
  const offsets = () =>
    machine.enqueued.splice(0).map((id) => Date.parse(id.slice(id.indexOf('@') + 1)) % (24 * hourMs))
  await machine.pass(24 * hourMs - minuteMs)
  const first = offsets()
  assert.equal(first.length, 1_000)
  assert.ok(first.every((offsetMs) => offsetMs >= 0 && offsetMs < hourMs))
  const perTenth = Array.from({ length: 10 }, (_, tenth) => {
    return first.filter((offsetMs) => Math.floor((offsetMs / hourMs) * 10) === tenth).length
  })
  t.diagnostic(`events per six minutes: ${perTenth.join(' ')}`)
  assert.ok(
    perTenth.every((count) => count > 60 && count < 140),
    'no tenth of the hour has far more than its share'
  )
  await machine.restart(0)
  await machine.pass(24 * hourMs)
  assert.deepEqual(offsets(), first)
})

test('100,000 events that are not due: one look at the clock a minute, and nothing else', async (t) => {
  const machine = await SimulatedMachine.open(t, { schedulerEvents: {} }, { startAtMs: midnightMs })
  const beganMs = performance.now()
  await machine.restart(0, { schedulerEvents: { yearly: methods(100_000) } })
  t.diagnostic(`first start ${Math.round(performance.now() - beganMs)} ms`)
  const againMs = performance.now()
  await machine.restart(0)
  t.diagnostic(`start ${Math.round(performance.now() - againMs)} ms`)
  await machine.pass(minuteMs)
  const { wakeUps } = machine
  const commits = machine.commits.length
  await machine.pass(hourMs)
  assert.equal(machine.wakeUps - wakeUps, 60)
  assert.equal(machine.commits.length, commits)
})
