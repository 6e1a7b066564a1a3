/** This project. Every acknowledgement follows a flush, of a completion too; settings are the defaults but for the threads. */
import { join } from 'node:path'
import type { Runtime } from '../../../runtime/core/api.ts'
import type { EnqueueRequest } from '../../../runtime/core/job.ts'
import { serveProject } from '../../served-project.ts'
import type { BenchJob, Place, StartedSystem, System } from '../system.ts'

const queue = 'default'
/** Jobs of 1 MB share a frame of the socket up to its bound. */
const groupBytesMax = 8e6

export const ours: System = {
  name: 'ours',
  about: 'embedded, jobs in threads of a host process; flushed before every acknowledgement',
  start: (place) => embedded(place, 'process')
}

export const oursInline: System = {
  name: 'ours, inline',
  about: 'embedded, jobs in threads of the same process; flushed before every acknowledgement',
  start: (place) => embedded(place, 'inline')
}

export const oursOverSocket: System = {
  name: 'ours, socket',
  about: 'a client of `runtime serve`, jobs in threads of its host process; flushed before every acknowledgement',
  async start(place) {
    const { runtime, pid, stop } = await serveProject(
      {
        'config/runtime.json': JSON.stringify({ workers: { [queue]: { backgroundWorkers: place.concurrency } } })
      },
      place.folder
    )
    return start(runtime, [pid], () => stop({ keepFolder: true }))
  }
}

async function embedded(place: Place, isolation: 'process' | 'inline'): Promise<StartedSystem> {
  const { createRuntime } = await import('../../../runtime/embed/create-runtime.ts')
  const runtime = await createRuntime({
    dataDir: join(place.folder, '.runtime'),
    actors: join(place.folder, 'actors'),
    workers: { [queue]: { isolation, backgroundWorkers: place.concurrency } }
  })
  return start(runtime, [process.pid], () => runtime.stop({ deadline: 0 }))
}

async function start(runtime: Runtime, processes: number[], stop: () => Promise<void>): Promise<StartedSystem> {
  await runtime.queue.pause(queue)
  return {
    enqueue: ({ method, params, dueAtMs }) =>
      runtime.enqueue(`bench.${method}`, params, dueAtMs === undefined ? {} : { runAt: dueAtMs }),
    async enqueueMany(jobs) {
      for (const group of groups(jobs)) await runtime.enqueueMany(group.map(requestOf))
    },
    work: async () => void (await runtime.queue.resume(queue)),
    rest: async () => void (await runtime.queue.pause(queue)),
    completed: async () => void (await runtime.queue.drain(queue)),
    run: ({ method, params }) => runtime.enqueue(`bench.${method}`, params, { isAsync: false }),
    processes: () => processes,
    stop
  }
}

function requestOf({ method, params, dueAtMs }: BenchJob): EnqueueRequest {
  return { method: `bench.${method}`, params, ...(dueAtMs === undefined ? {} : { runAt: dueAtMs }) }
}

function groups(jobs: readonly BenchJob[]): (readonly BenchJob[])[] {
  const perGroup = Math.max(1, Math.floor(groupBytesMax / (jobs[0]?.params.payload.length || 1)))
  if (jobs.length <= perGroup) return [jobs]
  const count = Math.ceil(jobs.length / perGroup)
  return Array.from({ length: count }, (_, index) => jobs.slice(index * perGroup, (index + 1) * perGroup))
}
