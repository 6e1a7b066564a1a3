/** Sets right a store that nobody uses meanwhile: what a running queue does when it meets damage, without waiting for that. */
import type { MethodCatalogue } from '../core/catalogue.ts'
import { systemClock } from '../core/clock.ts'
import { EventStream } from '../core/events.ts'
import { isOfDocument, originOfSetAsideKey, setAsideRange } from '../store/keys.ts'
import type { Reader, Store } from '../store/store.ts'
import type { QueueListener } from './after-commit.ts'
import { DurableQueue } from './durable-queue.ts'
import type { SetAside } from './set-aside.ts'
import { isSetAside } from './set-aside-records.ts'

/** Nothing is run, so no method is asked for. */
const noMethods: MethodCatalogue = {
  known: () => undefined,
  resolve: () => Promise.reject(new Error('a repair runs nothing')),
  documentType: () => undefined,
  list: () => [],
  problems: []
}

const nobody: QueueListener = {
  ready: () => {},
  readyAt: () => {},
  scheduled: () => {},
  upkeepAt: () => {},
  cancelled: () => {},
  eventFinished: () => {},
  eventsLost: () => {},
  room: () => ({ threads: 0, jobs: 0 }),
  claimed: () => {},
  committed() {},
  isAwaited: () => false,
  ended: () => {}
}

/** @throws RuntimeError `STORAGE_FULL`, `STORAGE_FAILED` */
export function repairStore(store: Store, tag: string): Promise<SetAside> {
  const queue = new DurableQueue({
    store,
    tag,
    queues: new Map(),
    maxStoreBytes: null,
    catalogue: noMethods,
    clock: systemClock,
    random: Math.random,
    nextInstant: () => null,
    events: new EventStream(),
    listener: nobody
  })
  return queue.repair()
}

/** Forgets what was set aside, but for documents that are damaged still. @returns how many records */
export function discardSetAside(store: Store): Promise<number> {
  return store.transact((transaction) => {
    const keys = [...transaction.keys(setAsideRange)].filter((key) => !isInPlace(transaction, key))
    for (const key of keys) transaction.remove(key)
    return keys.length
  })
}

function isInPlace(reader: Reader, aside: Buffer): boolean {
  const key = originOfSetAsideKey(aside)
  const value = isOfDocument(key) ? reader.get(key) : undefined
  return value !== undefined && isSetAside(reader, key, value)
}
