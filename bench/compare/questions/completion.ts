/** How many no-op jobs a second are taken, run in their threads, and stored as completed? */
import { figure, type Question } from '../question.ts'
import type { StartedSystem } from '../system.ts'
import { queueNames } from '../systems.ts'
import { noops } from './bulk.ts'

const groupMax = 10_000
const groupBytesMax = 4e6

export const completion: Question = {
  name: 'completion',
  title: 'Complete no-op jobs',
  about:
    'The jobs of 100 bytes wait before the clock starts; it stops when all completions are stored. A fifth as many warm up.',
  systems: [...queueNames, 'limit: bare piscina'],
  async measure({ system, place, extent }) {
    const count = extent === 'quick' ? 1_000 : 100_000
    const started = await system.start(place)
    await completedPerSecond(started, count / 5)
    await started.rest()
    const perSecond = await completedPerSecond(started, count)
    await started.stop()
    return { completed: figure(perSecond, 'jobs/s') }
  }
}

/** The system rests before. */
export async function completedPerSecond(started: StartedSystem, count: number, payload?: string): Promise<number> {
  const group = Math.max(1, Math.min(groupMax, Math.floor(groupBytesMax / (payload?.length ?? 1))))
  for (let from = 0; from < count; from += group) {
    await started.enqueueMany(noops(Math.min(group, count - from), from, payload))
  }
  const fromMs = performance.now()
  await started.work()
  await started.completed()
  return (1000 * count) / (performance.now() - fromMs)
}
