/** graphile-worker with a local queue and batched completion, as its page on performance advises; completed jobs are removed. */

import { EventEmitter } from 'node:events'
import { pathToFileURL } from 'node:url'
import { importPeer } from '../peer-packages.ts'
import type { BenchJob, StartedSystem, System } from '../system.ts'
import { connectionString, rowsOf } from './postgres-rows.ts'
import { Unfinished } from './unfinished.ts'

interface Graphile {
  makeWorkerUtils(options: object): Promise<{
    addJob(task: string, payload: object, spec?: { runAt?: Date }): Promise<unknown>
    addJobs(specs: { identifier: string; payload: object; runAt?: Date }[]): Promise<unknown>
    release(): Promise<void>
  }>
  run(options: object): Promise<{ stop(): Promise<void> }>
  Logger: new (factory: () => () => void) => object
}

const jobsInFlight = 24
const localQueueSize = 500

export const graphileWorker: System = {
  name: 'graphile-worker',
  about: `handler in its process, ${jobsInFlight} in flight, local queue of ${localQueueSize}, completions in batches; PostgreSQL flushes before every acknowledgement`,
  server: 'postgres',
  packages: ['graphile-worker'],
  cannot: { backlog: 'not asked: its rows lie in PostgreSQL, as those of pg-boss' },
  start
}

async function start({ server, handlersFile }: Parameters<System['start']>[0]): Promise<StartedSystem> {
  const { makeWorkerUtils, run, Logger } = await importPeer<Graphile>('graphile-worker')
  const handlers = await import(pathToFileURL(handlersFile).href)
  const unfinished = new Unfinished()
  const events = new EventEmitter()
  events.on('job:complete', ({ error }: { error?: unknown }) => {
    if (error) throw error
    unfinished.finish()
  })
  const shared = {
    connectionString: connectionString(server!),
    logger: new Logger(() => () => {}),
    maxPoolSize: 20
  }
  const utils = await makeWorkerUtils(shared)
  // Makes the schema.
  await (utils as unknown as { migrate(): Promise<void> }).migrate()
  const rows = await rowsOf(server!)
  let runner: { stop(): Promise<void> } | undefined
  const taskList = Object.fromEntries(
    ['noop', 'stamp'].map((method) => [method, (params: BenchJob['params']) => handlers[method](params)])
  )
  return {
    enqueue({ method, params, dueAtMs }) {
      unfinished.add(1)
      return utils.addJob(method, params, dueAtMs === undefined ? {} : { runAt: new Date(dueAtMs) })
    },
    enqueueMany(jobs) {
      unfinished.add(jobs.length)
      return utils.addJobs(
        jobs.map(({ method, params, dueAtMs }) => ({
          identifier: method,
          payload: params,
          ...(dueAtMs === undefined ? {} : { runAt: new Date(dueAtMs) })
        }))
      )
    },
    async work() {
      runner = await run({
        ...shared,
        events,
        taskList,
        noHandleSignals: true,
        preset: {
          worker: {
            concurrentJobs: jobsInFlight,
            pollInterval: 100,
            localQueue: { size: localQueueSize },
            completeJobBatchDelay: 0,
            failJobBatchDelay: 0
          }
        }
      })
    },
    async rest() {
      await runner?.stop()
      runner = undefined
    },
    async completed() {
      await unfinished.none()
      await rows.untilNone('select 1 from graphile_worker._private_jobs limit 1')
    },
    processes: () => [process.pid, server!.pid],
    async stop() {
      await runner?.stop()
      await utils.release()
      await rows.close()
    }
  }
}
