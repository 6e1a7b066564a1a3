/**
 * A durable queue on a store on disk, with its upkeep and its clock for scheduled jobs, in this process and without threads: a benchmark claims and settles
 * itself what it enqueues. For questions about the store with more jobs than threads could run in the time.
 */

import { configFromOptions } from '../runtime/config/load.ts'
import type { MethodCatalogue } from '../runtime/core/catalogue.ts'
import { systemClock } from '../runtime/core/clock.ts'
import type { RuntimeConfig, RuntimeOptions } from '../runtime/core/config.ts'
import { EventStream } from '../runtime/core/events.ts'
import { DurableQueue } from '../runtime/queue/durable-queue.ts'
import { DueWork } from '../runtime/scheduler/due-work.ts'
import { openDataDirectory } from '../runtime/store/data-directory.ts'
import type { Store } from '../runtime/store/store.ts'
import { ArmedTimers } from '../runtime/wheel/armed-timers.ts'

export interface OpenStore {
  queue: DurableQueue
  store: Store
  tag: string
  queues: RuntimeConfig['queues']
  close(): Promise<void>
}

/** Knows every method; nothing runs it. */
const anyMethod: MethodCatalogue = {
  known: (method) => ({ method, file: '/none.js', functionName: '', sourceHash: '', documentType: null }),
  resolve: (method) => Promise.reject(new Error(`unknown method ${method}`)),
  documentType: () => undefined,
  list: () => [],
  problems: []
}

export async function openStore(dataDir: string, options: RuntimeOptions): Promise<OpenStore> {
  const { queues } = configFromOptions({ ...options, dataDir }, dataDir)
  const { store, tag, close } = await openDataDirectory(dataDir)
  const timers = new ArmedTimers(systemClock)
  const queue = new DurableQueue({
    store,
    tag,
    queues,
    maxStoreBytes: null,
    catalogue: anyMethod,
    clock: systemClock,
    random: Math.random,
    nextInstant: () => null,
    events: new EventStream(),
    listener: {
      ready: () => {},
      readyAt: () => {},
      scheduled: (atMs) => dueJobs.dueAt(atMs),
      upkeepAt: (atMs) => upkeep.dueAt(atMs),
      cancelled: () => {},
      eventFinished: () => {},
      room: () => ({ threads: 0, jobs: 0 }),
      claimed: () => {},
      committed: () => {},
      eventsLost: () => {},
      isAwaited: () => false,
      ended: () => {}
    }
  })
  const dueJobs = new DueWork((nowMs) => queue.promoteDue(nowMs), timers, systemClock)
  const upkeep = new DueWork((nowMs) => queue.upkeep(nowMs), timers, systemClock)
  await queue.start()
  dueJobs.start()
  upkeep.start()
  return {
    queue,
    store,
    tag,
    queues,
    async close() {
      await dueJobs.stop()
      await upkeep.stop()
      timers.stop()
      await close()
    }
  }
}
