/** How many jobs a second go the whole way while they are enqueued one by one? */
import { secondsFor, usualPayload } from '../load.ts'
import { figure, type Question } from '../question.ts'
import { queueNames } from '../systems.ts'

const window = 1_000

export const cycle: Question = {
  name: 'cycle',
  title: 'Full cycle',
  about: `Jobs of 100 bytes are enqueued one by one, ${window} calls in flight, while others run; the clock stops when all completions are stored.`,
  systems: queueNames,
  async measure({ system, place, extent }) {
    const count = extent === 'quick' ? 1_000 : 30_000
    const started = await system.start(place)
    const call = (index: number) => started.enqueue({ method: 'noop', params: { index, payload: usualPayload } })
    await started.work()
    await secondsFor(count / 10, window, call)
    await started.completed()
    const fromMs = performance.now()
    await secondsFor(count, window, call)
    await started.completed()
    const seconds = (performance.now() - fromMs) / 1000
    await started.stop()
    return { 'enqueued and completed': figure(count / seconds, 'jobs/s') }
  }
}
