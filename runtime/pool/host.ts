/**
 * The host process: the threads of one queue, and nothing else. It does what the supervisor says, and ends with it: when
 * the channel closes it kills its whole process group, so that nothing a job has started outlives the supervisor.
 */

import { failPoint } from '../core/fail-points.ts'
import { closeInheritedFiles } from '../core/inherited-files.ts'
import type { PoolListener } from '../core/pool.ts'
import type { FromHost, HostOptions, ToHost } from './host-messages.ts'
import { Outbox } from './host-messages.ts'
import { MemoryWatch } from './memory-watch.ts'
import { ThreadPool } from './thread-pool.ts'

const { queue, threads, memoryLimitMb, threadFlags } = JSON.parse(process.argv[2] ?? '{}') as HostOptions

closeInheritedFiles()
const outbox = new Outbox<FromHost>((messages) => {
  process.send?.(messages)
  failPoint('host.sent')
})
/** The numbers of the attempts that run. */
const runs = new Map<string, number>()
const listener: PoolListener = {
  started: (id, agoMs) => outbox.post({ type: 'started', id, run: runs.get(id)!, agoMs }),
  called: (id) => outbox.post({ type: 'called', id, run: runs.get(id)! }),
  progress: (id, percent, stage) => outbox.post({ type: 'progress', id, run: runs.get(id)!, percent, stage }),
  log: (id, line) => outbox.post({ type: 'log', id, run: runs.get(id)!, line }),
  asked: (id, number, question) => outbox.post({ type: 'asked', id, run: runs.get(id)!, number, question }),
  outcomes: (ended) => {
    for (const { id, outcome } of ended) {
      failPoint('host.outcome')
      outbox.post({ type: 'outcome', id, run: runs.get(id)!, outcome })
      runs.delete(id)
    }
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
  for (const message of messages) {
    if (message.type === 'run') {
      failPoint('host.received')
      runs.set(message.job.id, message.run)
      pool.run([message.job])
    } else if (message.type === 'kill') {
      pool.kill(message.id)
      runs.delete(message.id)
    } else if (runs.get(message.id) === message.run) pool.answer(message.id, message.number, message.answer)
  }
  memory?.look()
})
process.on('disconnect', endWithGroup)
// The supervisor is gone, and nobody reads any more: the channel says so as well, and that ends this process.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)

pool.start()
failPoint('host.starting')
outbox.post({ type: 'ready' })

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
