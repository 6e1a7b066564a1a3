/** When work that falls due is done: on timers and a clock of the test's. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { DueWork } from '../../runtime/scheduler/due-work.ts'
import { FakeTimers } from '../dispatcher/fake-pool.ts'
import { FakeClock } from '../queue/open-queue.ts'

/** @param tookMs of each run @param nextOf tells, from the time of a run, when the next is due */
function machine(tookMs: number, nextOf: (nowMs: number) => number | null) {
  const clock = new FakeClock()
  const timers = new FakeTimers(clock)
  const runs: number[] = []
  const startMs = clock.nowMs
  const work = new DueWork(
    async (nowMs) => {
      runs.push(nowMs - startMs)
      clock.nowMs += tookMs
      timers.nowMs += tookMs
      return nextOf(nowMs)
    },
    timers,
    clock
  )
  const run = async () => {
    timers.runNext()
    await nextTurn()
  }
  return { clock, timers, runs, work, run, startMs }
}

test('issue 8.2: where something is due every millisecond, a run is followed by a rest as its time says, and takes all that is due then', async () => {
  for (const [tookMs, betweenMs] of [
    [0.5, 2],
    [1, 4],
    [10, 15]
  ] as const) {
    const { runs, work, run } = machine(tookMs, (nowMs) => nowMs + 1)
    work.start()
    for (let count = 0; count < 4; count++) await run()
    assert.deepEqual(
      runs,
      [0, 1, 2, 3].map((count) => count * betweenMs)
    )
  }
})

test('issue 8.2: what is due after a while is not late for a rest, and what was left of a run goes on at once', async () => {
  const seldom = machine(1, (nowMs) => nowMs + 50)
  seldom.work.start()
  for (let count = 0; count < 3; count++) await seldom.run()
  assert.deepEqual(seldom.runs, [0, 50, 100])
  seldom.clock.nowMs += 20
  seldom.timers.nowMs += 20
  seldom.work.dueAt(seldom.clock.nowMs)
  assert.equal(seldom.timers.delaysMs[0], 0)
  const pieces = machine(1, (nowMs) => nowMs)
  pieces.work.start()
  for (let count = 0; count < 3; count++) await pieces.run()
  assert.deepEqual(pieces.runs, [0, 1, 2])
})
