/** How late do delayed jobs start, does any start early, and what does that cost? */
import { percentile } from '../../percentile.ts'
import { usageOf } from '../../process-usage.ts'
import { StampFile } from '../bench-actor.ts'
import { usualPayload } from '../load.ts'
import { figure, type Question } from '../question.ts'
import type { BenchMethod } from '../system.ts'
import { queueNames } from '../systems.ts'

const groupMax = 1_000
const startWithinMs = 120_000

export const delayed: Question = {
  name: 'delayed',
  title: 'Delayed jobs',
  about:
    '100,000 jobs that are due at whole milliseconds spread evenly over 20 s, all enqueued before the first is due. A tenth as many have run before, in the same way. CPU time is that of all processes from then until the last has started.',
  systems: queueNames.filter((name) => name !== 'ours, inline' && name !== 'BullMQ, worker threads'),
  roundsMax: 3,
  async measure({ system, place, extent }) {
    const [count, overMs, leadMs] = extent === 'quick' ? [500, 1_000, 2_000] : [100_000, 20_000, 15_000]
    const started = await system.start(place)
    const stamps = new StampFile(place.stampFile)
    await started.work()
    const enqueue = async (method: BenchMethod, jobCount: number, firstDueMs: number) => {
      const jobs = Array.from({ length: jobCount }, (_, index) => ({
        method,
        params: { index, payload: usualPayload },
        dueAtMs: firstDueMs + Math.floor((index * overMs) / count)
      }))
      for (let from = 0; from < jobCount; from += groupMax) await started.enqueueMany(jobs.slice(from, from + groupMax))
      return jobs
    }
    // Warm, as a system is that has been used before.
    await enqueue('noop', count / 10, Date.now() + leadMs / 10)
    await started.completed()
    const firstDueMs = Date.now() + leadMs
    const jobs = await enqueue('stamp', count, firstDueMs)
    const leftMs = firstDueMs - Date.now()
    if (leftMs < 0) throw new Error(`Enqueueing took ${-leftMs} ms longer than until the first job was due.`)
    const before = cpuSecondsOf(started.processes())
    const begun = await stamps.untilStarted(count, leftMs + overMs + startWithinMs)
    const cpuSeconds = cpuSecondsOf(started.processes()) - before
    const late = begun.map((stamp, index) => (stamp?.wallMs ?? Date.now()) - jobs[index]!.dueAtMs)
    stamps.close()
    await started.stop()
    return {
      'lateness p50': figure(percentile(late, 0.5), 'ms'),
      'lateness p99': figure(percentile(late, 0.99), 'ms'),
      'lateness max': figure(percentile(late, 1), 'ms'),
      early: figure(late.filter((ms) => ms < 0).length, 'count'),
      'not started': figure(begun.filter((stamp) => stamp === undefined).length, 'count'),
      'CPU time': figure(cpuSeconds, 's')
    }
  }
}

function cpuSecondsOf(processes: readonly number[]): number {
  return processes.reduce((total, pid) => total + usageOf(pid).cpuSeconds, 0)
}
