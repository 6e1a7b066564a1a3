/** How many jobs a second does one program enqueue in groups, one group after the other? */
import { answeredPerSecond, usualPayload } from '../load.ts'
import { type Figures, figure, type Question } from '../question.ts'
import type { BenchJob } from '../system.ts'
import { queueNames } from '../systems.ts'

export const bulk: Question = {
  name: 'bulk',
  title: 'Enqueue in groups',
  about: 'Acknowledged jobs of 100 bytes per second, each group all or none; none is taken meanwhile.',
  systems: [...queueNames, 'limit: LMDB put'],
  async measure({ system, place, extent }) {
    const [warmUpMs, forMs] = extent === 'quick' ? [50, 200] : [500, 3_000]
    const started = await system.start(place)
    const figures: Figures = {}
    for (const size of [100, 1_000, 10_000]) {
      const call = (group: number) => started.enqueueMany(noops(size, group * size))
      await answeredPerSecond(1, warmUpMs, call)
      figures[`groups of ${size}`] = figure(size * (await answeredPerSecond(1, forMs, call)), 'jobs/s')
    }
    await started.stop()
    return figures
  }
}

export function noops(count: number, from = 0, payload = usualPayload): BenchJob[] {
  return Array.from({ length: count }, (_, index) => ({ method: 'noop', params: { index: from + index, payload } }))
}

/** Jobs that say when they have started, in the places 0 to `count`. */
export function stampJobs(count: number): BenchJob[] {
  return Array.from({ length: count }, (_, index) => ({ method: 'stamp', params: { index, payload: usualPayload } }))
}
