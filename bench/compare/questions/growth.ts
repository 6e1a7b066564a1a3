/** Does a job cost more as threads, queues, what waits and what is kept grow by powers of ten? */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRuntime } from '../../../runtime/embed/create-runtime.ts'
import { openStore } from '../../open-store.ts'
import { usualPayload } from '../load.ts'
import { type Extent, type Figures, figure, type Question } from '../question.ts'
import type { Place } from '../system.ts'

const queue = 'default'
const groupJobs = 1_000
const usualThreads = 2
const pollMs = 5

interface Setting {
  threads?: number
  /** Configured beside the one that works, with ten waiting jobs each. */
  queues?: number
  waiting?: number
  completed?: number
}

const settings: Record<Exclude<Extent, 'large'>, readonly [title: string, setting: Setting][]> = {
  quick: [
    ['1 thread', { threads: 1 }],
    ['10 more queues', { queues: 10 }],
    ['1,000 waiting', { waiting: 1_000 }],
    ['1,000 completed', { completed: 1_000 }]
  ],
  usual: [
    ['empty', {}],
    ['1 thread', { threads: 1 }],
    ['10 threads', { threads: 10 }],
    ['100 threads', { threads: 100 }],
    ['10 more queues', { queues: 10 }],
    ['100 more queues', { queues: 100 }],
    ['1,000 more queues', { queues: 1_000 }],
    ['10,000 waiting', { waiting: 10_000 }],
    ['100,000 waiting', { waiting: 100_000 }],
    ['1,000,000 waiting', { waiting: 1_000_000 }],
    ['10,000 completed', { completed: 10_000 }],
    ['100,000 completed', { completed: 100_000 }],
    ['1,000,000 completed', { completed: 1_000_000 }]
  ]
}

export const growth: Question = {
  name: 'growth',
  title: 'Cost of a job as things grow',
  about:
    'Embedded, 2 threads in a host process unless the row says otherwise. No-op jobs of 100 bytes, enqueued in groups of 1,000 and completed; what waits is in the same queue and comes after them by priority. Flat is the aim.',
  systems: ['ours'],
  roundsMax: 2,
  async measure({ place, extent }) {
    const count = extent === 'quick' ? 500 : 20_000
    const figures: Figures = {}
    for (const [index, [title, setting]] of settings[extent === 'quick' ? 'quick' : 'usual'].entries()) {
      const folder = join(place.folder, `${index}`)
      mkdirSync(folder)
      const { enqueueSeconds, completeSeconds } = await costs(place, folder, setting, count)
      figures[`${title}: enqueue`] = figure((1e6 * enqueueSeconds) / count, 'µs/job')
      figures[`${title}: complete`] = figure((1e6 * completeSeconds) / count, 'µs/job')
    }
    return figures
  }
}

async function costs(place: Place, folder: string, setting: Setting, count: number) {
  const { threads = usualThreads, queues = 0, waiting = 0, completed = 0 } = setting
  const names = Array.from({ length: queues }, (_, index) => `queue${index}`)
  const workers = {
    ...Object.fromEntries(names.map((name) => [name, {}])),
    [queue]: { backgroundWorkers: threads }
  }
  const dataDir = join(folder, '.runtime')
  await fill(dataDir, { workers }, completed)
  const runtime = await createRuntime({ dataDir, actors: join(place.folder, 'actors'), workers })
  for (const name of [...names, queue]) await runtime.queue.pause(name)
  for (const name of names) await enqueue(name, 10, 0)
  await enqueue(queue, waiting, 0)

  await once(count / 10)
  const took = await once(count)
  await runtime.stop({ deadline: 0 })
  return took

  async function enqueue(name: string, jobs: number, priority: number): Promise<void> {
    const job = { method: 'bench.noop', params: { payload: usualPayload }, queue: name, priority }
    for (let left = jobs; left > 0; left -= groupJobs) {
      await runtime.enqueueMany(Array.from({ length: Math.min(left, groupJobs) }, () => job))
    }
  }

  async function once(jobs: number): Promise<{ enqueueSeconds: number; completeSeconds: number }> {
    const fromMs = performance.now()
    await enqueue(queue, jobs, 1)
    const enqueuedMs = performance.now()
    const until = (await completedJobs()) + jobs
    const resumedMs = performance.now()
    await runtime.queue.resume(queue)
    while ((await completedJobs()) < until) await sleep(pollMs)
    const completedMs = performance.now()
    await runtime.queue.pause(queue)
    return { enqueueSeconds: (enqueuedMs - fromMs) / 1000, completeSeconds: (completedMs - resumedMs) / 1000 }
  }

  async function completedJobs(): Promise<number> {
    const views = await runtime.queue.list()
    return views.find((view) => view.queue === queue)!.counts.completed
  }
}

/** With jobs that have completed, without threads. */
async function fill(dataDir: string, options: Parameters<typeof openStore>[1], completed: number): Promise<void> {
  if (completed === 0) return
  const { queue: store, close } = await openStore(dataDir, options)
  const job = { method: 'bench.noop', params: { payload: usualPayload } }
  for (let left = completed; left > 0; left -= groupJobs) {
    await store.enqueue(Array.from({ length: Math.min(left, groupJobs) }, () => job))
    const claimed = await store.claim(queue, groupJobs)
    await Promise.all(
      claimed.map((job) => store.settle(job, { type: 'completed', result: 'null' }, { progress: null, logs: [] }))
    )
  }
  await close()
}
