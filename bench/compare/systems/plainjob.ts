/** plainjob on SQLite, in the process of the caller. Its worker runs one job at a time and polls: here each 10 ms. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { importPeer } from '../peer-packages.ts'
import type { BenchJob, Place, StartedSystem, System } from '../system.ts'
import { Unfinished } from './unfinished.ts'

interface PlainQueue {
  add(type: string, data: unknown, options?: { delay: number }): unknown
  addMany(type: string, data: unknown[], options?: { delay: number }): unknown
  close(): void
}

interface PlainWorker {
  start(): Promise<void>
  stop(): Promise<void>
}

interface PlainJob {
  better(database: object): object
  defineQueue(options: object): PlainQueue
  defineWorker(type: string, processor: (job: { data: string }) => unknown, options: object): PlainWorker
}

interface BetterSqlite {
  default: new (file: string) => { pragma(text: string): void; close(): void }
}

const pollMs = 10
const type = 'bench'
const silent = { error: console.error, warn: console.warn, info() {}, debug() {} }

export const plainjobNormal: System = {
  name: 'plainjob, NORMAL',
  about:
    'handler in its process; SQLite WAL, `synchronous = NORMAL`, not flushed before an acknowledgement; 10 ms poll',
  packages: ['plainjob', 'better-sqlite3'],
  start: (place) => start(place, 'NORMAL')
}

export const plainjobFull: System = {
  name: 'plainjob, FULL',
  about: 'handler in its process; SQLite WAL, `synchronous = FULL`, flushed before every acknowledgement; 10 ms poll',
  packages: ['plainjob', 'better-sqlite3'],
  start: (place) => start(place, 'FULL')
}

async function start(place: Place, synchronous: 'NORMAL' | 'FULL'): Promise<StartedSystem> {
  const { better, defineQueue, defineWorker } = await importPeer<PlainJob>('plainjob')
  const { default: Database } = await importPeer<BetterSqlite>('better-sqlite3')
  const handlers = await import(pathToFileURL(place.handlersFile).href)
  const database = new Database(join(place.folder, 'plainjob.db'))
  const queue = defineQueue({ connection: better(database), logger: silent })
  database.pragma('journal_mode = WAL')
  database.pragma(`synchronous = ${synchronous}`)
  const unfinished = new Unfinished()
  let worker: PlainWorker | undefined
  let ended: Promise<void> | undefined
  return {
    async enqueue({ method, params, dueAtMs }) {
      unfinished.add(1)
      queue.add(type, { method, params }, delayOf(dueAtMs))
    },
    async enqueueMany(jobs) {
      unfinished.add(jobs.length)
      for (const group of groupsOfOneDue(jobs)) {
        const data = group.map(({ method, params }) => ({ method, params }))
        queue.addMany(type, data, delayOf(group[0]!.dueAtMs))
      }
    },
    async work() {
      worker = defineWorker(
        type,
        ({ data }) => {
          const { method, params } = JSON.parse(data) as BenchJob
          return handlers[method](params)
        },
        { queue, pollIntervall: pollMs, logger: silent, onCompleted: () => unfinished.finish(), onFailed: fail }
      )
      ended = worker.start()
    },
    async rest() {
      await worker?.stop()
      await ended
    },
    completed: () => unfinished.none(),
    processes: () => [process.pid],
    async stop() {
      await worker?.stop()
      queue.close()
    }
  }
}

function delayOf(dueAtMs: number | undefined): { delay: number } | undefined {
  return dueAtMs === undefined ? undefined : { delay: Math.max(0, dueAtMs - Date.now()) }
}

/** One call of it has one delay. */
function groupsOfOneDue(jobs: readonly BenchJob[]): BenchJob[][] {
  const groups: BenchJob[][] = []
  for (const job of jobs) {
    const last = groups.at(-1)
    if (last !== undefined && last[0]!.dueAtMs === job.dueAtMs) last.push(job)
    else groups.push([job])
  }
  return groups
}

function fail(_: unknown, error: unknown): never {
  throw new Error(String(error))
}
