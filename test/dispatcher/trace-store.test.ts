/** How often what running jobs say is written: a timer of the test's, a queue that only counts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { traceStoreIntervalMs } from '../../runtime/core/limits.ts'
import { type Traced, TraceStore } from '../../runtime/dispatcher/trace-store.ts'
import { ArmedTimers } from '../../runtime/wheel/armed-timers.ts'
import { FakeTime } from '../wheel/fake-time.ts'

function openTraceStore() {
  const time = new FakeTime()
  const writes: string[][] = []
  let refusal: RuntimeError | undefined
  const queue = {
    async storeTraces(traces: readonly Traced[]) {
      writes.push(traces.map(({ job }) => job.id))
      if (refusal !== undefined) throw refusal
    }
  }
  return {
    time,
    writes,
    traces: new TraceStore(queue, new ArmedTimers(time.clock, time.alarm)),
    refuseWith: (error: RuntimeError | undefined) => {
      refusal = error
    }
  }
}

function running(id: string): Traced {
  const job = { id, seq: 1, queue: 'default', method: 'a.x', params: '1', attempt: 1, attemptsMax: 1 }
  const bounds = { timeoutMs: 1, softTimeoutMs: null, alone: false, startIsCounted: false }
  return { job: { ...job, ...bounds }, trace: { progress: null, logs: [] } }
}

test('a job that talks all the time is written once a second, many jobs together, and nothing is armed in silence', () => {
  const { time, writes, traces } = openTraceStore()
  const [one, two, silent] = [running('one'), running('two'), running('silent')]
  assert.equal(time.alarmAtMs, undefined)
  for (let atMs = 0; atMs < 3 * traceStoreIntervalMs; atMs += 10) {
    time.runUntil(atMs)
    traces.changed(one)
    if (atMs === 1_500) traces.changed(two)
  }
  traces.ended(silent)
  time.runUntil(10 * traceStoreIntervalMs)
  assert.deepEqual(writes, [['one'], ['one', 'two'], ['one']])
  assert.equal(time.alarmAtMs, undefined)
})

test('a job that has ended is left out, and the last one takes the timer with it', () => {
  const { time, writes, traces } = openTraceStore()
  const [one, two] = [running('one'), running('two')]
  traces.changed(one)
  traces.changed(two)
  traces.ended(one)
  time.runUntil(traceStoreIntervalMs)
  assert.deepEqual(writes, [['two']])
  traces.changed(two)
  traces.ended(two)
  assert.equal(time.alarmAtMs, undefined)
  time.runUntil(5 * traceStoreIntervalMs)
  assert.equal(writes.length, 1)
})

test('what a full disk refuses is tried again; after a failure of the store nothing is', async () => {
  const { time, writes, traces, refuseWith } = openTraceStore()
  refuseWith(new RuntimeError('STORAGE_FULL', 'full'))
  traces.changed(running('one'))
  for (const round of [1, 2]) {
    time.runUntil(round * traceStoreIntervalMs)
    await new Promise((resolve) => setImmediate(resolve))
  }
  refuseWith(new RuntimeError('STORAGE_FAILED', 'failed'))
  time.runUntil(3 * traceStoreIntervalMs)
  await new Promise((resolve) => setImmediate(resolve))
  time.runUntil(9 * traceStoreIntervalMs)
  assert.deepEqual(writes, [['one'], ['one'], ['one']])
})
