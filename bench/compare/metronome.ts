/** The thread of {@link openLoop}: tells at each planned instant how many calls are due. */
import { parentPort, workerData } from 'node:worker_threads'
import { monotonicMs } from './bench-actor.ts'

const leadMs = 50

const { perSecond, count } = workerData as { perSecond: number; count: number }
const sleeper = new Int32Array(new SharedArrayBuffer(4))
const fromMs = monotonicMs() + leadMs
for (let due = 0; due < count; ) {
  const inMs = fromMs + (1000 * due) / perSecond - monotonicMs()
  if (inMs > 0) {
    Atomics.wait(sleeper, 0, 0, inMs)
    continue
  }
  due = Math.min(count, Math.floor(((monotonicMs() - fromMs) * perSecond) / 1000) + 1)
  parentPort!.postMessage({ fromMs, due })
}
