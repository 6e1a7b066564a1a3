/**
 * How long after the call does the handler begin, and how long until the caller has the result? An open loop at fixed rates;
 * every latency counts from the instant for which the call was planned (see load.ts), and the handler's first line is timed on the
 * clock that all processes share (see bench-actor.ts).
 */
import { percentile } from '../../percentile.ts'
import { monotonicMs, type Stamp, StampFile } from '../bench-actor.ts'
import { openLoop, usualPayload } from '../load.ts'
import { type Figures, figure, type Question } from '../question.ts'
import { queueNames } from '../systems.ts'

const startWithinMs = 30_000
/** A service is measured, not the first seconds of a process, in which V8 compiles: see RESULTS.md for what those are. */
const warmUpJobs = { quick: 100, usual: 5_000, large: 5_000 }
const warmUpPerSecond = 1_000
/** A system that is further behind does not keep up with the rate: there is no steady latency of results to tell. */
const keepsUpMsMax = 500

export const latency: Question = {
  name: 'latency',
  title: 'Latency at a fixed rate',
  about: `From the planned instant of the call to the handler's first line, and to the result in the caller's hands. What had not started ${startWithinMs / 1000} s after the last call counts with that instant. Each system has run ${2 * warmUpJobs.usual} jobs before, half of them with a caller who waits for the result.`,
  systems: [...queueNames, 'limit: LMDB put, piscina'],
  roundsMax: 3,
  async measure({ system, place, extent }) {
    const started = await system.start(place)
    const stamps = new StampFile(place.stampFile)
    const job = (index: number) => ({ method: 'stamp' as const, params: { index, payload: usualPayload } })
    await started.work()
    for (const call of [started.enqueue, started.run ?? started.enqueue]) {
      await openLoop(warmUpPerSecond, warmUpJobs[extent], (index) => call(job(index)))
      await started.completed()
    }
    const figures: Figures = {}
    for (const [perSecond, seconds] of extent === 'quick' ? quickRates : rates) {
      const count = perSecond * seconds
      stamps.clear()
      const { plannedMs, lateMs } = await openLoop(perSecond, count, (index) => started.enqueue(job(index)))
      const begun = await stamps.untilStarted(count, startWithinMs)
      await started.completed()
      const startMs = waits(plannedMs, begun)
      figures[`start p50 at ${perSecond}/s`] = figure(percentile(startMs, 0.5), 'ms')
      figures[`start p99 at ${perSecond}/s`] = figure(percentile(startMs, 0.99), 'ms')
      figures[`calls made late, p99 at ${perSecond}/s`] = figure(percentile(lateMs, 0.99), 'ms')
      if (started.run === undefined || percentile(startMs, 0.99) > keepsUpMsMax) continue
      const endsMs: number[] = []
      const asked = await openLoop(perSecond, count, async (index) => {
        await started.run!(job(index))
        endsMs[index] = monotonicMs()
      })
      const resultMs = endsMs.map((endMs, index) => endMs - asked.plannedMs[index]!)
      figures[`result p50 at ${perSecond}/s`] = figure(percentile(resultMs, 0.5), 'ms')
      figures[`result p99 at ${perSecond}/s`] = figure(percentile(resultMs, 0.99), 'ms')
    }
    stamps.close()
    await started.stop()
    return figures
  }
}

type Rate = readonly [perSecond: number, seconds: number]
const rates: readonly Rate[] = [
  [1, 10],
  [200, 10],
  [2_000, 5],
  [10_000, 3]
]
const quickRates: readonly Rate[] = [
  [1, 2],
  [200, 1],
  [2_000, 0.5]
]

function waits(plannedMs: readonly number[], begun: readonly (Stamp | undefined)[]): number[] {
  const nowMs = monotonicMs()
  return plannedMs.map((ms, index) => (begun[index]?.atMs ?? nowMs) - ms)
}
