/**
 * BullMQ on Redis. Completed jobs are kept, as it does by default and as ours are. `concurrency` of a handler in its own
 * process is a number of promises that are in flight, so it is set to what is best for it.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { importPeer } from '../peer-packages.ts'
import type { BenchJob, Place, StartedSystem, System } from '../system.ts'
import { Unfinished } from './unfinished.ts'

interface BullJob {
  name: string
  data: BenchJob['params']
  waitUntilFinished(events: object): Promise<unknown>
}

interface BullMq {
  Queue: new (
    name: string,
    options: object
  ) => {
    add(name: string, data: object, options?: object): Promise<BullJob>
    addBulk(jobs: object[]): Promise<unknown>
    waitUntilReady(): Promise<unknown>
    close(): Promise<void>
    setMaxListeners(count: number): void
  }
  QueueEvents: new (
    name: string,
    options: object
  ) => { waitUntilReady(): Promise<unknown>; close(): Promise<void>; setMaxListeners(count: number): void }
  Worker: new (
    name: string,
    processor: string | URL | ((job: BullJob) => Promise<unknown>),
    options: object
  ) => {
    on(event: 'completed' | 'failed' | 'error', listener: (...args: unknown[]) => void): void
    run(): Promise<void>
    pause(): Promise<void>
    resume(): void
    isPaused(): boolean
    waitUntilReady(): Promise<unknown>
    close(force?: boolean): Promise<void>
  }
}

const promisesInFlight = 100
const packages = ['bullmq', 'ioredis']

export const bullmqEachSecond: System = {
  name: 'BullMQ, fsync each second',
  about: 'handler in its process, 100 in flight; Redis `appendfsync everysec`, not flushed before an acknowledgement',
  server: 'redis everysec',
  packages,
  start: (place) => start(place, false)
}

export const bullmqAlways: System = {
  name: 'BullMQ, fsync always',
  about: 'handler in its process, 100 in flight; Redis `appendfsync always`, flushed before every acknowledgement',
  server: 'redis always',
  packages,
  start: (place) => start(place, false)
}

export const bullmqThreads: System = {
  name: 'BullMQ, worker threads',
  about: 'handler in its worker threads (`useWorkerThreads`); Redis `appendfsync everysec`',
  server: 'redis everysec',
  packages,
  start: (place) => start(place, true)
}

async function start(place: Place, inThreads: boolean): Promise<StartedSystem> {
  const { Queue, QueueEvents, Worker } = await importPeer<BullMq>('bullmq')
  const connection = { host: place.server!.host, port: place.server!.port, maxRetriesPerRequest: null }
  const queue = new Queue('bench', { connection })
  await queue.waitUntilReady()
  const events = new QueueEvents('bench', { connection })
  await events.waitUntilReady()
  // Each job that is waited for listens to both.
  for (const emitter of [queue, events]) emitter.setMaxListeners(0)
  const unfinished = new Unfinished()
  const worker = new Worker('bench', inThreads ? processorFile(place) : await inProcess(place), {
    connection,
    autorun: false,
    concurrency: inThreads ? place.concurrency : promisesInFlight,
    useWorkerThreads: inThreads
  })
  worker.on('completed', () => unfinished.finish())
  worker.on('failed', (_, error) => fail(error))
  worker.on('error', fail)
  await worker.waitUntilReady()
  let runs = false
  return {
    enqueue({ method, params, dueAtMs }) {
      unfinished.add(1)
      return queue.add(method, params, optionsOf(dueAtMs))
    },
    enqueueMany(jobs) {
      unfinished.add(jobs.length)
      return queue.addBulk(
        jobs.map(({ method, params, dueAtMs }) => ({ name: method, data: params, opts: optionsOf(dueAtMs) }))
      )
    },
    async work() {
      if (runs) worker.resume()
      else void worker.run()
      runs = true
    },
    rest: () => worker.pause(),
    completed: () => unfinished.none(),
    async run({ method, params }) {
      unfinished.add(1)
      const job = await queue.add(method, params)
      return job.waitUntilFinished(events)
    },
    processes: () => [process.pid, place.server!.pid],
    async stop() {
      await worker.close(true)
      await events.close()
      await queue.close()
    }
  }
}

/** A delay counts from the timestamp of the job. */
function optionsOf(dueAtMs: number | undefined): object {
  if (dueAtMs === undefined) return {}
  const timestamp = Date.now()
  return { timestamp, delay: Math.max(0, dueAtMs - timestamp) }
}

async function inProcess(place: Place): Promise<(job: BullJob) => Promise<unknown>> {
  const handlers = await import(pathToFileURL(place.handlersFile).href)
  return async ({ name, data }) => handlers[name](data)
}

function processorFile(place: Place): URL {
  const file = join(place.folder, 'processor.mjs')
  writeFileSync(
    file,
    `import * as handlers from ${JSON.stringify(pathToFileURL(place.handlersFile).href)}
export default async ({ name, data }) => handlers[name](data)
`
  )
  return pathToFileURL(file)
}

function fail(error: unknown): never {
  throw error
}
