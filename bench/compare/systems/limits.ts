/**
 * What the parts below a durable queue do on this machine when they do nothing else, in the form of a system: no queue that
 * uses them once per job does more. `nothing` stands for what a limit has no part in.
 */
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { open } from 'lmdb'
import { Piscina } from 'piscina'
import { openCaller } from '../../../runtime/rpc/caller.ts'
import type { BenchJob, StartedSystem, System } from '../system.ts'
import { Unfinished } from './unfinished.ts'

const nothing: StartedSystem = {
  enqueue: () => Promise.reject(new Error('This limit is not asked that.')),
  enqueueMany: () => Promise.reject(new Error('This limit is not asked that.')),
  work: async () => {},
  rest: async () => {},
  completed: async () => {},
  processes: () => [process.pid],
  stop: async () => {}
}

/** Jobs wait in memory, and so many calls are in flight that threads never wait for the next. */
const callsInFlight = 100

export const barePiscina: System = {
  name: 'limit: bare piscina',
  about: 'one call per job, nothing stored',
  async start({ handlersFile, concurrency }) {
    const piscina = new Piscina({ filename: handlersFile, minThreads: concurrency, maxThreads: concurrency })
    let waiting: BenchJob[] = []
    let running: Promise<unknown> = Promise.resolve()
    return {
      ...nothing,
      async enqueueMany(jobs) {
        waiting = waiting.concat(jobs)
      },
      async work() {
        let next = 0
        const jobs = waiting
        waiting = []
        const one = async () => {
          for (let job = jobs[next++]; job !== undefined; job = jobs[next++]) {
            await piscina.run(job.params, { name: job.method })
          }
        }
        running = Promise.all(Array.from({ length: callsInFlight }, one))
      },
      completed: async () => void (await running),
      stop: () => piscina.destroy()
    }
  }
}

export const lmdbPut: System = {
  name: 'limit: LMDB put',
  about: 'one record per job, flushed; those of one turn of the event loop in one commit',
  async start({ folder }) {
    const { put, putMany, close } = openRecords(folder)
    return { ...nothing, enqueue: put, enqueueMany: async (jobs) => putMany(jobs), stop: close }
  }
}

export const lmdbAndPiscina: System = {
  name: 'limit: LMDB put, piscina',
  about: 'one flushed record per job, then one call of a thread of the same process; of its end nothing is stored',
  async start({ folder, handlersFile, concurrency }) {
    const { put, close } = openRecords(folder)
    const piscina = new Piscina({ filename: handlersFile, minThreads: concurrency, maxThreads: concurrency })
    const unfinished = new Unfinished()
    return {
      ...nothing,
      async enqueue(job) {
        unfinished.add(1)
        await put(job)
        void piscina.run(job.params, { name: job.method }).then(() => unfinished.finish())
      },
      completed: () => unfinished.none(),
      async stop() {
        await piscina.destroy()
        await close()
      }
    }
  }
}

/** Records in LMDB, flushed when the promise resolves; those of one turn of the event loop are one commit. */
function openRecords(folder: string) {
  const db = open({
    path: join(folder, 'limit.mdb'),
    overlappingSync: false,
    eventTurnBatching: false,
    encoding: 'binary'
  })
  let next = 0
  let waiting: { job: BenchJob; done: () => void }[] = []
  const putMany = (jobs: readonly BenchJob[]) => {
    db.transactionSync(() => {
      for (const job of jobs) db.putSync(next++, Buffer.from(JSON.stringify(job)))
    })
  }
  const commit = () => {
    const group = waiting
    waiting = []
    putMany(group.map(({ job }) => job))
    for (const { done } of group) done()
  }
  const put = (job: BenchJob) =>
    new Promise<void>((resolve) => {
      if (waiting.length === 0) setImmediate(commit)
      waiting.push({ job, done: resolve })
    })
  return { put, putMany, close: () => db.close() }
}

export const flush: System = {
  name: 'limit: fdatasync of 4 KiB',
  about: 'one write and one flush per call',
  async start({ folder }) {
    const file = openSync(join(folder, 'limit.bin'), 'w')
    const block = Buffer.alloc(4096, 1)
    writeSync(file, Buffer.alloc(64 * 4096))
    return {
      ...nothing,
      async enqueue({ params }) {
        writeSync(file, block, 0, block.length, (params.index % 64) * block.length)
        fdatasyncSync(file)
      },
      stop: async () => closeSync(file)
    }
  }
}

export const socketEcho: System = {
  name: 'limit: socket echo',
  about: 'JSON-RPC over a Unix socket with our client, answered at once; nothing stored',
  async start({ folder }) {
    const path = join(folder, 'echo.sock')
    const server = createServer((socket) => {
      let rest = ''
      socket.on('data', (chunk) => {
        const lines = (rest + chunk.toString()).split('\n')
        rest = lines.pop()!
        const answers = lines.map((line) => {
          const { id } = JSON.parse(line) as { id: number }
          return `${JSON.stringify({ jsonrpc: '2.0', id, result: {} })}\n`
        })
        socket.write(answers.join(''))
      })
      socket.on('error', () => {})
    })
    await new Promise<void>((resolve) => server.listen(path, resolve))
    const caller = await openCaller(path)
    return {
      ...nothing,
      enqueue: ({ params }) => caller.call('echo', params),
      async stop() {
        await caller.stop()
        server.close()
      }
    }
  }
}
