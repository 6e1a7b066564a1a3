/** What do jobs cost as they carry more? */
import { answeredPerSecond } from '../load.ts'
import { type Figures, figure, type Question } from '../question.ts'
import { queueNames } from '../systems.ts'
import { completedPerSecond } from './completion.ts'

interface Size {
  title: string
  bytes: number
  /** Calls in flight. */
  window: number
  jobs: number
}

const sizes: readonly Size[] = [
  { title: '100 B', bytes: 70, window: 100, jobs: 20_000 },
  { title: '10 KB', bytes: 10_000, window: 100, jobs: 5_000 },
  { title: '1 MB', bytes: 1_000_000, window: 4, jobs: 100 }
]

export const payload: Question = {
  name: 'payload',
  title: 'Payloads',
  about:
    'Jobs whose params are a text of this size, enqueued one by one with 100 calls in flight (1 MB: 4), then completed.',
  systems: queueNames.filter((name) => name !== 'BullMQ, worker threads'),
  roundsMax: 3,
  async measure({ system, place, extent }) {
    const started = await system.start(place)
    const figures: Figures = {}
    for (const { title, bytes, window, jobs } of sizes) {
      const text = 'x'.repeat(bytes)
      const call = (index: number) => started.enqueue({ method: 'noop', params: { index, payload: text } })
      const [warmUpMs, forMs] = extent === 'quick' ? [20, 100] : [500, 2_000]
      await answeredPerSecond(window, warmUpMs, call)
      figures[`${title} enqueued`] = figure(await answeredPerSecond(window, forMs, call), 'jobs/s')
      await started.work()
      await started.completed()
      await started.rest()
      const count = extent === 'quick' ? Math.ceil(jobs / 50) : jobs
      figures[`${title} completed`] = figure(await completedPerSecond(started, count, text), 'jobs/s')
      await started.rest()
    }
    await started.stop()
    return figures
  }
}
