/** pg-boss, woken by notifications of PostgreSQL, in batches of 1,000. It keeps completed jobs, as ours does. */
import { pathToFileURL } from 'node:url'
import { importPeer } from '../peer-packages.ts'
import type { BenchJob, StartedSystem, System } from '../system.ts'
import { connectionString, rowsOf } from './postgres-rows.ts'
import { Unfinished } from './unfinished.ts'

interface Boss {
  on(event: 'error', listener: (error: unknown) => void): void
  start(): Promise<unknown>
  createQueue(name: string, options: object): Promise<void>
  send(name: string, data: object, options?: object): Promise<unknown>
  insert(name: string, jobs: object[]): Promise<unknown>
  work(name: string, options: object, handler: (jobs: { data: BenchJob }[]) => Promise<void>): Promise<string>
  offWork(name: string, options: object): Promise<void>
  stop(options: object): Promise<void>
}

const name = 'bench'
const batchSize = 1_000

export const pgBoss: System = {
  name: 'pg-boss',
  about: `handler in its process, batches of ${batchSize}, woken by NOTIFY; PostgreSQL flushes before every acknowledgement`,
  server: 'postgres',
  packages: ['pg-boss'],
  start
}

async function start({ server, handlersFile }: Parameters<System['start']>[0]): Promise<StartedSystem> {
  const { PgBoss } = await importPeer<{ PgBoss: new (options: object) => Boss }>('pg-boss')
  const handlers = await import(pathToFileURL(handlersFile).href)
  const boss = new PgBoss({ connectionString: connectionString(server!), useListenNotify: true })
  boss.on('error', (error) => {
    throw error
  })
  await boss.start()
  await boss.createQueue(name, { notify: true })
  const rows = await rowsOf(server!)
  const unfinished = new Unfinished()
  return {
    enqueue(job) {
      unfinished.add(1)
      return boss.send(name, dataOf(job), startOf(job))
    },
    enqueueMany(jobs) {
      unfinished.add(jobs.length)
      return boss.insert(
        name,
        jobs.map((job) => ({ data: dataOf(job), ...startOf(job) }))
      )
    },
    async work() {
      const settings = {
        batchSize,
        pollingIntervalSeconds: 0.5,
        notifyPollingIntervalSeconds: 0.5,
        burstWhenBatchFull: true
      }
      await boss.work(name, settings, async (jobs) => {
        for (const { data } of jobs) {
          handlers[data.method](data.params)
          unfinished.finish()
        }
      })
    },
    rest: () => boss.offWork(name, { wait: true }),
    async completed() {
      await unfinished.none()
      await rows.untilNone(`select 1 from pgboss.job where name = '${name}' and state < 'completed' limit 1`)
    },
    processes: () => [process.pid, server!.pid],
    async stop() {
      await rows.close()
      await boss.stop({ graceful: false, close: true })
    }
  }
}

function dataOf({ method, params }: BenchJob): object {
  return { method, params }
}

function startOf({ dueAtMs }: BenchJob): object {
  return dueAtMs === undefined ? {} : { startAfter: new Date(dueAtMs) }
}
