/** A durable queue on a real store, with a clock that the test moves. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { backoffDefault } from '../../runtime/core/backoff.ts'
import type { MethodCatalogue } from '../../runtime/core/catalogue.ts'
import type { QueueConfig, RetentionRule } from '../../runtime/core/config.ts'
import { splitMethodPath } from '../../runtime/core/document.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { EventStream, type JobEvent } from '../../runtime/core/events.ts'
import type { Dispatcher } from '../../runtime/dispatcher/dispatcher.ts'
import { DurableQueue } from '../../runtime/queue/durable-queue.ts'
import type { NextInstant } from '../../runtime/queue/reminders.ts'
import { type OpenDataDirectory, openDataDirectory } from '../../runtime/store/data-directory.ts'
import { metaKey } from '../../runtime/store/keys.ts'
import type { CommitStates, Store, Transaction, TransactOptions } from '../../runtime/store/store.ts'

const startAtMs = Date.UTC(2026, 0, 1)

export class FakeClock {
  nowMs = startAtMs
  wallMs(): number {
    return this.nowMs
  }
  monotonicMs(): number {
    return this.nowMs
  }
}

/** Of every document type. */
export const documentVersion = 3

/** Knows every method of the form `a.x`, and of the form `d.Type.x`, which is one of a document type. */
const anyMethod: MethodCatalogue = {
  known: (method) => {
    if (!method.startsWith('a.') && !method.startsWith('d.')) return undefined
    const documentType = method.startsWith('d.') ? splitMethodPath(method).type : null
    return { method, file: '/a.js', functionName: method.slice(2), sourceHash: '', documentType }
  },
  resolve: async (method) => {
    throw new RuntimeError('METHOD_UNKNOWN', `unknown method ${method}`)
  },
  documentType: (type) =>
    type.startsWith('d.') ? { type, file: '/a.js', version: documentVersion, methods: [] } : undefined,
  list: () => [],
  problems: []
}

/** Cron as `every 5000`, or `every 5000 until 9000`: each multiple of so many milliseconds, up to an instant. */
const nextOfEvery: NextInstant = (cron, _timezone, afterMs) => {
  const [, everyMs, untilMs] = /^every (\d+)(?: until (\d+))?$/.exec(cron) ?? []
  if (everyMs === undefined) throw new RuntimeError('PARAMS_INVALID', `Cannot use "${cron}"`)
  const nextAtMs = (Math.floor(afterMs / Number(everyMs)) + 1) * Number(everyMs)
  return untilMs !== undefined && nextAtMs > Number(untilMs) ? null : nextAtMs
}

const keepAll: RetentionRule = { ageMs: null, count: null, bytes: null }

export function queueConfig(name: string, options: Partial<QueueConfig> = {}): QueueConfig {
  return {
    name,
    timeoutMs: 300_000,
    backgroundWorkers: 1,
    attempts: 1,
    backoff: backoffDefault,
    maxQueued: null,
    softTimeoutMs: null,
    isolation: 'inline',
    memoryLimitMb: null,
    minHosts: 0,
    hostIdleMs: 60_000,
    env: {},
    permissions: null,
    retryOn: null,
    noRetryOn: null,
    rateLimit: null,
    keyRateLimit: null,
    ageingMs: null,
    retention: { completed: keepAll, failed: keepAll, cancelled: keepAll },
    ...options
  }
}

export interface OpenQueue {
  tag: string
  queue: DurableQueue
  clock: FakeClock
  events: JobEvent[]
  told: { ready: string[]; readyAt: [string, number][]; scheduled: number[]; upkeepAt: number[]; cancelled: string[] }
  recovered: number
  store: Store
  /** The process dies once that many commits have reached the disk; the last of them is not acknowledged any more. */
  dieAfter(commits: number): void
  /** While it is full every commit fails, as LMDB's does: test/store/store.test.ts has a disk that really is. */
  setDiskFull(isFull: boolean): void
  /** Commits claim for it, as in a supervisor. */
  claimFor(dispatcher: Pick<Dispatcher, 'room' | 'claimed'>): void
  /** Another queue over the same store, as after a crash: what was running is recovered. @param queues none: as before */
  reopen(...queues: QueueConfig[]): Promise<OpenQueue>
  /** Another queue over the same store, emptied. */
  fresh(): Promise<OpenQueue>
  close(): Promise<void>
}

export async function openQueue(...queues: QueueConfig[]): Promise<OpenQueue> {
  // What these tests are about is order and state; that commits reach the disk is the affair of test/store.
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'ar-'))
  const directory = await openDataDirectory(join(folder, 'data'))
  const clock = new FakeClock()
  return over(directory, clock, queues, async () => {
    await directory.close()
    rmSync(folder, { recursive: true, force: true })
  })
}

/** What every call gets from the process on that it was to die. */
export class Died extends Error {}

/** A store whose process dies between two commits, and whose disk may be full: then the commit fails after all was written. */
class MortalStore {
  readonly #store: Store
  commitsLeft = Number.POSITIVE_INFINITY
  isDiskFull = false

  constructor(store: Store) {
    this.#store = store
  }

  async transact<T>(
    operation: (transaction: Transaction, states: CommitStates) => T,
    options?: TransactOptions<T>
  ): Promise<T> {
    if (this.commitsLeft <= 0) throw new Died()
    this.commitsLeft--
    const value = await this.#store.transact((transaction, states) => {
      const result = operation(transaction, states)
      if (this.isDiskFull) throw Object.assign(new Error('No space left on device'), { code: 28 })
      return result
    }, options)
    if (this.commitsLeft <= 0) throw new Died()
    return value
  }

  get reader() {
    return this.#store.reader
  }

  get usedBytes(): number {
    return this.#store.usedBytes
  }

  checkRoomToGrow(): void {
    this.#store.checkRoomToGrow()
  }
}

/** Everything but the record of who owns the store. */
async function empty(store: Store): Promise<void> {
  const owner = metaKey('owner')
  await store.transact((transaction) => {
    for (const key of [...transaction.keys({ start: Buffer.of(0), end: Buffer.of(255) })]) {
      if (!key.equals(owner)) transaction.remove(key)
    }
  })
}

/** A queue over a data directory that is there already. */
export async function openQueueIn(path: string, nowMs: number, ...queues: QueueConfig[]): Promise<OpenQueue> {
  const directory = await openDataDirectory(path)
  const clock = new FakeClock()
  clock.nowMs = nowMs
  return over(directory, clock, queues, () => directory.close())
}

async function over(
  { store, tag }: OpenDataDirectory,
  clock: FakeClock,
  configs: QueueConfig[],
  close: () => Promise<void>
): Promise<OpenQueue> {
  const events: JobEvent[] = []
  const stream = new EventStream()
  stream.subscribe({}, (event) => events.push(event))
  const told: OpenQueue['told'] = { ready: [], readyAt: [], scheduled: [], upkeepAt: [], cancelled: [] }
  let claimer: Pick<Dispatcher, 'room' | 'claimed'> | undefined
  const mortal = new MortalStore(store)
  const queue = new DurableQueue({
    store: mortal as unknown as Store,
    tag,
    queues: new Map(configs.map((config) => [config.name, config])),
    maxStoreBytes: null,
    catalogue: anyMethod,
    clock,
    random: () => 0,
    nextInstant: nextOfEvery,
    events: stream,
    listener: {
      ready: (name) => told.ready.push(name),
      readyAt: (name, atMs) => told.readyAt.push([name, atMs]),
      scheduled: (atMs) => told.scheduled.push(atMs),
      upkeepAt: (atMs) => told.upkeepAt.push(atMs),
      cancelled: (_, id) => told.cancelled.push(id),
      eventFinished: () => {},
      eventsLost: () => {},
      room: () => claimer?.room ?? { threads: 0, jobs: 0 },
      claimed: (_, jobs) => claimer?.claimed(jobs),
      committed() {},
      isAwaited: () => false,
      ended: () => {}
    }
  })
  const recovered = await queue.start()
  const reopen = (...changed: QueueConfig[]) =>
    over({ store, tag } as OpenDataDirectory, clock, changed.length === 0 ? configs : changed, close)
  const fresh = async () => {
    await empty(store)
    clock.nowMs = startAtMs
    return reopen()
  }
  const dieAfter = (commits: number) => {
    mortal.commitsLeft = commits
  }
  const setDiskFull = (isFull: boolean) => {
    mortal.isDiskFull = isFull
  }
  const claimFor: OpenQueue['claimFor'] = (dispatcher) => {
    claimer = dispatcher
  }
  return { setDiskFull, claimFor, queue, clock, events, told, recovered, store, tag, dieAfter, reopen, fresh, close }
}
