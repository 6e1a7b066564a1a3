/**
 * The host process: the threads of one queue, and nothing else. It does what the supervisor says, and ends with it: when
 * the channel closes it kills its whole process group, so that nothing a job has started outlives the supervisor.
 */

import { failPoint } from '../core/fail-points.ts'
import { closeInheritedFiles } from '../core/inherited-files.ts'
import { jobAt } from '../core/packed-jobs.ts'
import type { JobMessage, PoolListener } from '../core/pool.ts'
import {
  type FromHost,
  type HostOptions,
  Outbox,
  type PackedOutcome,
  packOutcome,
  type ToHost
} from './host-messages.ts'
import { MemoryWatch } from './memory-watch.ts'
import { ThreadPool } from './thread-pool.ts'

const { queue, threads, memoryLimitMb, threadFlags } = JSON.parse(process.argv[2] ?? '{}') as HostOptions

closeInheritedFiles()
const outbox = new Outbox<FromHost>((messages) => {
  process.send?.(messages)
  failPoint('host.sent')
}, setImmediate)
/** The numbers of the attempts that the pool has. */
const runs = new Map<string, number>()
const listener: PoolListener = {
  started: (id, agoMs) => outbox.post({ type: 'started', run: runs.get(id)!, agoMs }),
  called: (id) => outbox.post({ type: 'called', run: runs.get(id)! }),
  progress: (id, percent, stage) => outbox.post({ type: 'progress', run: runs.get(id)!, percent, stage }),
  log: (id, line) => outbox.post({ type: 'log', run: runs.get(id)!, line }),
  asked: (id, number, question) => outbox.post({ type: 'asked', run: runs.get(id)!, number, question }),
  outcomes: (ended) => {
    const message = { type: 'outcomes' as const, runs: [] as number[], outcomes: [] as PackedOutcome[] }
    for (const { id, outcome } of ended) {
      failPoint('host.outcome')
      message.runs.push(runs.get(id)!)
      message.outcomes.push(packOutcome(outcome))
      runs.delete(id)
    }
    outbox.post(message)
  }
}
const pool = new ThreadPool({
  queue,
  threads,
  listener,
  heapLimitMb: memoryLimitMb,
  execArgv: threadFlags ?? undefined,
  stuck: () => outbox.post({ type: 'stuck' })
})

const memory = memoryLimitMb === null ? undefined : new MemoryWatch(pool, threads, memoryLimitMb, endOutOfMemory)

process.on('message', (messages: ToHost[]) => {
  for (const message of messages) hear(message)
  memory?.look()
})
process.on('disconnect', endWithGroup)
// The supervisor is gone, and nobody reads any more: the channel says so as well, and that ends this process.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)

pool.start()
failPoint('host.starting')
outbox.post({ type: 'ready' })

function hear(message: ToHost): void {
  switch (message.type) {
    case 'run':
      run(message.run, [message.job])
      break
    case 'runMany':
      run(
        message.run,
        message.jobs.ids.map((_, index) => jobAt(message.jobs, index))
      )
      break
    case 'kill':
      pool.kill(message.id)
      runs.delete(message.id)
      break
    case 'answer':
      if (runs.get(message.id) === message.run) pool.answer(message.id, message.number, message.answer)
      break
    case 'giveBack':
      pool.giveBack()
      break
    case 'limit':
      pool.limit(message.threads)
  }
}

function run(first: number, jobs: readonly JobMessage[]): void {
  for (const [index, job] of jobs.entries()) {
    failPoint('host.received')
    runs.set(job.id, first + index)
  }
  pool.run(jobs)
}

function endOutOfMemory(message: string): void {
  process.send?.([{ type: 'outOfMemory', message }] satisfies FromHost[], () => endWithGroup())
}

function endWithGroup(): void {
  try {
    process.kill(-process.pid, 'SIGKILL')
  } catch {
    process.kill(process.pid, 'SIGKILL')
  }
}
