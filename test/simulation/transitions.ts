/**
 * Every transition of a job, and what else is one commit: how to come to it, what starts it, and how it looks on the disk.
 * `look` tells `from` before the commit, and `to` behind it.
 */
import type { ServiceMethods } from '../../runtime/core/api.ts'
import type { RuntimeOptions } from '../../runtime/core/config.ts'
import type { EnqueueRequest } from '../../runtime/core/job.ts'
import type { JobState, LifecycleEvent } from '../../runtime/core/lifecycle.ts'
import type { TransactionOperation } from '../../runtime/core/transaction.ts'
import { readEvent } from '../../runtime/queue/event-records.ts'
import { readJournal } from '../../runtime/queue/journal-entries.ts'
import { findJob } from '../../runtime/queue/stored-job.ts'
import { documentKey, preparedRange, queueRange } from '../../runtime/store/keys.ts'
import { documentCodec, queueCodec } from '../../runtime/store/records.ts'
import type { Reader } from '../../runtime/store/store.ts'
import type { Script } from './simulated-pool.ts'
import { tag } from './simulated-world.ts'

type Call = (service: ServiceMethods) => Promise<unknown>

export interface Transition {
  name: string
  /** The arrow of core/lifecycle.ts, where it is one. */
  arrow?: readonly [JobState, LifecycleEvent]
  runtime?: RuntimeOptions
  /** Asked for one after the other, and answered; then time goes on for so long. */
  setup?: readonly Call[]
  passMs?: number
  /** Starts the transition; absent: it comes as time goes on. */
  act?: Call
  look?: (reader: Reader) => string
  from: string
  to: string
  /** How it looks where nothing of it happened and a supervisor has started again. Default: `from`. */
  recovered?: string
}

const farMs = 500
const job = (script: Partial<Script> = {}, more: Partial<EnqueueRequest> = {}): Call => {
  const request = { method: 'w.run', jobId: 'j', params: { n: 1, ...script }, attempts: 3, ...more }
  return (service) => service.enqueue(request as EnqueueRequest)
}
const child = (ends: Script['ends'], more: Partial<EnqueueRequest> = {}): Call => {
  // In another queue: its end and the claim of the next job of its own would be one commit.
  const parent = { method: 'w.run', jobId: 'p', queue: 'long', params: { n: 1, ends } }
  const dependent = { method: 'w.run', jobId: 'j', params: { n: 2 }, dependsOn: [0], ...more }
  return (service) => service.enqueueMany({ jobs: [parent, dependent] as unknown as EnqueueRequest[] })
}
const pause: Call = (service) => service['queue.pause']({ queue: 'default' })
/** Nobody asks for what follows from its end. */
const pauseForASecond: Call = (service) => service['queue.pause']({ queue: 'default', until: '1s' })
/** Answered once the job has been claimed. */
const running: Call = async (service) => {
  while ((await service['job.get']({ id: 'j' })).state !== 'running') await service['queue.resume']({ queue: 'long' })
}
const cancel: Call = (service) => service['job.cancel']({ id: 'j' })
const retry: Call = (service) => service['job.retry']({ id: 'j' })
const waiting: Partial<Script> = { calls: [{ type: 'waitFor', name: 's', ms: null }] }
const state = { list: [], balance: 0, padding: '' }
const operations: TransactionOperation[] = [
  { op: 'enqueue', job: { method: 'w.run', jobId: 'j', params: { n: 1 } } },
  { op: 'cancel', id: 'k' },
  { op: 'setState', type: 'd.Marker', name: 'm', state }
]
const other: Call = (service) => service.enqueue({ method: 'w.run', jobId: 'k', params: { n: 2 }, delay: 9_000 })

const has = (reader: Reader, name: string) => reader.has(documentKey({ type: 'd.Marker', name }))
const wholeTransaction = (reader: Reader) =>
  `${lookAt('j')(reader)} ${lookAt('k')(reader)} ${has(reader, 'm')} ${[...reader.keys(preparedRange)].length}`
const preparedId = async (service: ServiceMethods) => (await service['outbox.list']({})).prepared[0]!.id
const minutely = 'cron * * * * *:w.run'
const everyMinute: RuntimeOptions = {
  schedulerEvents: { cron: { '* * * * *': [{ method: 'w.run', params: { n: 1 } }] } }
}

export function lookAt(id: string): (reader: Reader) => string {
  return (reader) => findJob(reader, id, tag)?.standing.state ?? 'none'
}

function journalOf(reader: Reader): string {
  const found = findJob(reader, 'j', tag)
  return found === undefined
    ? ''
    : readJournal(reader, found)
        .map(({ kind, state }) => `${kind} ${state}`)
        .join()
}

function pausedIn(reader: Reader): string {
  const queues = [...reader.entries(queueRange)].map(({ key, value }) => queueCodec.decode(key, value))
  return String(queues.find(({ name }) => name === 'default')?.paused)
}

function listOf(reader: Reader, name: string): string {
  const key = documentKey({ type: 'd.Clock', name })
  const value = reader.get(key)
  return value === undefined ? '' : JSON.stringify(JSON.parse(documentCodec.decode(key, value).state).list)
}

/** What a commit makes ready is running after it, where a thread is free. */
export const transitions: readonly Transition[] = [
  { name: 'due', arrow: ['scheduled', 'due'], setup: [pause, job({}, { delay: 5 })], from: 'scheduled', to: 'ready' },
  {
    name: 'release',
    arrow: ['scheduled', 'release'],
    setup: [pause, child(['complete'])],
    from: 'scheduled',
    to: 'ready'
  },
  {
    name: 'postpone',
    arrow: ['scheduled', 'postpone'],
    setup: [child(['complete'], { delay: 900 })],
    look: (reader) => `${lookAt('j')(reader)} ${findJob(reader, 'j', tag)?.standing.dependencies?.completed}`,
    from: 'scheduled 0',
    to: 'scheduled 1'
  },
  {
    name: 'retry of a scheduled job',
    arrow: ['scheduled', 'retry'],
    setup: [pause, job({}, { delay: 9_000 })],
    act: retry,
    from: 'scheduled',
    to: 'ready'
  },
  {
    name: 'failure of a parent',
    arrow: ['scheduled', 'fail'],
    setup: [child(['throwForGood'])],
    from: 'scheduled',
    to: 'failed'
  },
  {
    name: 'cancel of a scheduled job',
    arrow: ['scheduled', 'cancel'],
    setup: [job({}, { delay: 9_000 })],
    act: cancel,
    from: 'scheduled',
    to: 'cancelled'
  },
  { name: 'claim', arrow: ['ready', 'claim'], setup: [pauseForASecond, job()], from: 'ready', to: 'running' },
  {
    name: 'cancel of a ready job',
    arrow: ['ready', 'cancel'],
    setup: [pause, job()],
    act: cancel,
    from: 'ready',
    to: 'cancelled'
  },
  {
    name: 'complete',
    arrow: ['running', 'complete'],
    setup: [job()],
    from: 'running',
    to: 'completed',
    recovered: 'ready'
  },
  {
    name: 'retryLater',
    arrow: ['running', 'retryLater'],
    setup: [job({ ends: ['retryLater', 'complete'] })],
    from: 'running',
    to: 'scheduled',
    recovered: 'ready'
  },
  {
    name: 'attempt after a failure',
    setup: [job({ ends: ['throw', 'complete'] }, { backoff: { type: 'fixed', delay: 5 } })],
    from: 'running',
    to: 'scheduled',
    recovered: 'ready'
  },
  {
    name: 'suspend',
    arrow: ['running', 'suspend'],
    setup: [job({ calls: [{ type: 'sleep', ms: 5_000 }] })],
    from: 'running',
    to: 'scheduled',
    recovered: 'ready'
  },
  {
    name: 'fail',
    arrow: ['running', 'fail'],
    setup: [job({ ends: ['throwForGood'] })],
    from: 'running',
    to: 'failed',
    recovered: 'ready'
  },
  {
    name: 'deadline',
    setup: [job({ ends: ['hang'] }, { attempts: 1 })],
    from: 'running',
    to: 'failed',
    recovered: 'ready'
  },
  {
    name: 'interrupt',
    arrow: ['running', 'interrupt'],
    setup: [job({ ends: ['crash', 'complete'] }), running, pause],
    from: 'running',
    to: 'ready',
    recovered: 'ready'
  },
  {
    name: 'cancel of a running job',
    arrow: ['running', 'cancel'],
    setup: [job({ ends: ['hang'] })],
    passMs: 2_000,
    act: cancel,
    from: 'running',
    to: 'cancelled',
    recovered: 'ready'
  },
  {
    name: 'retry of a completed job',
    arrow: ['completed', 'retry'],
    setup: [job()],
    passMs: farMs * 10,
    act: retry,
    from: 'completed',
    to: 'running'
  },
  {
    name: 'retry of a failed job',
    arrow: ['failed', 'retry'],
    setup: [job({ ends: ['throwForGood'] })],
    passMs: farMs * 10,
    act: retry,
    from: 'failed',
    to: 'running'
  },
  {
    name: 'retry of a cancelled job',
    arrow: ['cancelled', 'retry'],
    setup: [pause, job(), cancel],
    act: retry,
    from: 'cancelled',
    to: 'ready'
  },
  { name: 'enqueue', act: job({}, { delay: 60 }), from: 'none', to: 'scheduled' },
  {
    name: 'enqueue of several',
    act: child(['complete']),
    look: (reader) => `${lookAt('p')(reader)} ${lookAt('j')(reader)}`,
    from: 'none none',
    to: 'running scheduled'
  },
  {
    name: 'fire',
    runtime: everyMinute,
    look: (reader) => `${lookAt(`${minutely}@2026-01-01T00:01:00.000Z`)(reader)} ${readEvent(reader, minutely)?.runs}`,
    from: 'none 0',
    to: 'running 1'
  },
  {
    name: 'reminder',
    setup: [
      (service) =>
        service.enqueueDoc({
          type: 'd.Clock',
          name: 'c',
          method: 'tick',
          queue: 'bank',
          params: { n: 1, remindsAfterMs: 9_000 }
        })
    ],
    runtime: { workers: { bank: { attempts: 9 } } },
    look: (reader) => listOf(reader, 'c'),
    from: '[1]',
    to: '[1,1.5]'
  },
  {
    name: 'signal',
    setup: [job(waiting)],
    passMs: farMs * 10,
    act: (service) => service['job.signal']({ id: 'j', name: 's', payload: 'x' }),
    look: (reader) => `${lookAt('j')(reader)} ${journalOf(reader)}`,
    from: 'scheduled signal open',
    to: 'running signal done'
  },
  { name: 'begin of a step', setup: [job({ calls: [{ type: 'step' }] })], look: journalOf, from: '', to: 'step open' },
  {
    name: 'end of a step',
    setup: [job({ calls: [{ type: 'step' }] })],
    look: journalOf,
    from: 'step open',
    to: 'step done'
  },
  {
    name: 'enqueue at once by a job',
    setup: [job({ calls: [{ type: 'enqueue', jobId: 'k', queue: 'default' }] })],
    look: (reader) => `${journalOf(reader)} ${lookAt('k')(reader)}`,
    from: ' none',
    to: 'enqueue done running'
  },
  {
    name: 'completion with effects',
    setup: [job({ children: [{ jobId: 'k', method: 'w.run', queue: 'long', params: { n: 2 } }] })],
    look: (reader) => `${lookAt('j')(reader)} ${lookAt('k')(reader)}`,
    from: 'running none',
    to: 'completed running',
    recovered: 'ready none'
  },
  {
    name: 'transaction',
    setup: [other, pause],
    act: (service) => service.transaction({ operations }),
    look: wholeTransaction,
    from: 'none scheduled false 0',
    to: 'ready cancelled true 0'
  },
  {
    name: 'prepare',
    setup: [other],
    act: (service) => service['outbox.prepare']({ outbox: 'o', operations }),
    look: wholeTransaction,
    from: 'none scheduled false 0',
    to: 'none scheduled false 1'
  },
  {
    name: 'commit of what was prepared',
    setup: [other, pause, (service) => service['outbox.prepare']({ outbox: 'o', operations })],
    act: async (service) => service['outbox.commit']({ id: await preparedId(service) }),
    look: wholeTransaction,
    from: 'none scheduled false 1',
    to: 'ready cancelled true 0'
  },
  {
    name: 'abort of what was prepared',
    setup: [other, (service) => service['outbox.prepare']({ outbox: 'o', operations })],
    act: async (service) => service['outbox.abort']({ id: await preparedId(service) }),
    look: wholeTransaction,
    from: 'none scheduled false 1',
    to: 'none scheduled false 0'
  },
  { name: 'pause', act: pause, look: pausedIn, from: 'false', to: 'true' },
  {
    name: 'move',
    setup: [pause, job()],
    act: (service) => service['job.move']({ id: 'j', queue: 'long' }),
    look: (reader) => String(findJob(reader, 'j', tag)?.spec.queue),
    from: '2',
    to: '3'
  },
  {
    name: 'remove',
    setup: [pause, job()],
    act: (service) => service['job.remove']({ id: 'j' }),
    from: 'ready',
    to: 'none'
  },
  {
    name: 'purge',
    setup: [pause, job()],
    act: (service) => service['queue.purge']({ queue: 'default' }),
    from: 'ready',
    to: 'none'
  },
  { name: 'expiry', setup: [pause, job({}, { expires: 9 })], from: 'ready', to: 'cancelled' },
  { name: 'retention', setup: [job({}, { resultTtl: 9 })], from: 'completed', to: 'none' }
]
