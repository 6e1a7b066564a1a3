/** How many jobs a second does one program enqueue one by one, with so many calls in flight? */
import { answeredPerSecond, usualPayload } from '../load.ts'
import { type Figures, figure, type Question } from '../question.ts'
import { queueNames } from '../systems.ts'

export const enqueue: Question = {
  name: 'enqueue',
  title: 'Enqueue one by one',
  about: 'Acknowledged jobs of 100 bytes per second; none is taken meanwhile.',
  systems: [...queueNames, 'limit: LMDB put', 'limit: fdatasync of 4 KiB', 'limit: socket echo'],
  async measure({ system, place, extent }) {
    const [warmUpMs, forMs] = extent === 'quick' ? [50, 200] : [500, 3_000]
    const started = await system.start(place)
    const call = (index: number) => started.enqueue({ method: 'noop', params: { index, payload: usualPayload } })
    const figures: Figures = {}
    for (const window of [1, 100, 1_000]) {
      await answeredPerSecond(window, warmUpMs, call)
      figures[`${window} in flight`] = figure(await answeredPerSecond(window, forMs, call), 'jobs/s')
    }
    await started.stop()
    return figures
  }
}
