/**
 * A service in memory, for the tests of the protocol. Jobs are never run; the methods of `quirks` do what their names say.
 */

import type { Service, ServiceMethods, StatusView } from '../../runtime/core/api.ts'
import type { DocumentId, DocumentView } from '../../runtime/core/document.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { EventStream, type JobEvent } from '../../runtime/core/events.ts'
import type { BulkRequest, BulkStep, EnqueueRequest, JobView, Json, QueueView } from '../../runtime/core/job.ts'

export interface FakeService extends Service {
  /** Every request of `enqueue`, in order. */
  readonly enqueued: EnqueueRequest[]
  /** Ends the job: `job.wait` is answered. */
  finish(id: string): void
  /** Waits of `job.wait` so far. */
  readonly waits: number
  event(fields?: Partial<JobEvent>): void
}

const counts = { scheduled: 0, ready: 0, running: 0, completed: 0, failed: 0, cancelled: 0 }

const queueView: QueueView = {
  queue: 'default',
  paused: false,
  pausedUntil: null,
  configured: true,
  backgroundWorkers: 2,
  timeoutMs: 300_000,
  counts,
  rates: { enqueued: 0, completed: 0, failed: 0 }
}

const statusView: StatusView = {
  version: '0.0.0',
  pid: 1,
  state: 'running',
  startedAt: '2026-01-01T00:00:00.000Z',
  uptimeMs: 1,
  dataDir: '/data',
  socket: null,
  node: process.version,
  queues: [queueView],
  store: { format: 1, bytes: 0, usedBytes: 0, bytesMax: null, setAside: 0 },
  memory: { residentBytes: 1 }
}

/** Names of methods that `enqueue` answers in another way. */
const quirks: Readonly<Record<string, (params: unknown) => never>> = {
  'quirks.unknown': () => {
    throw new RuntimeError('METHOD_UNKNOWN', 'Cannot enqueue "quirks.unknown": no such method.', { near: 'a.b' })
  },
  'quirks.defect': () => {
    throw new TypeError('secret detail of a defect')
  },
  'quirks.unspeakable': () => {
    throw new RuntimeError('STORAGE_FAILED', 'Its data is not JSON.', { value: 1n })
  }
}

/** @param events by default, of a stream that is done with a subscriber as soon as it has left */
export function fakeService(
  overrides: Partial<ServiceMethods> = {},
  events: EventStream = new EventStream({ keptMsMax: 0 })
): FakeService {
  const jobs = new Map<string, JobView>()
  const waiting = new Map<string, (() => void)[]>()
  const enqueued: EnqueueRequest[] = []
  let waits = 0

  function job(id: string): JobView {
    const view = jobs.get(id)
    if (view === undefined) throw new RuntimeError('JOB_UNKNOWN', `No job has the id "${id}".`, { id })
    return view
  }
  async function change(id: string) {
    return { id, state: job(id).state, changed: true }
  }

  /** Two jobs a step, two steps. */
  async function step({ cursor }: BulkRequest): Promise<BulkStep> {
    return { changed: 2, cursor: cursor === undefined ? 'next' : null }
  }

  const methods: ServiceMethods = {
    async enqueue(request) {
      quirks[request.method]?.(request.params)
      enqueued.push(request)
      const id = request.jobId ?? `job-${enqueued.length}`
      jobs.set(id, jobView(id, request))
      return { id, state: 'ready', deduplicated: false }
    },
    async enqueueMany({ jobs: requests }) {
      const results = await Promise.all(requests.map((request) => methods.enqueue(request)))
      return { ids: results.map(({ id }) => id) }
    },
    enqueueDoc: ({ type, name, method, ...options }) =>
      methods.enqueue({ ...options, method: `${type}.${method}`, document: name }),
    transaction: async () => ({ jobs: [] }),
    'outbox.prepare': async ({ outbox, operations }) => ({
      id: 'prepared-1',
      outbox,
      operations: operations.length,
      preparedAt: '2026-01-01T00:00:00.000Z',
      undecidedAt: '2026-01-01T00:01:00.000Z'
    }),
    'outbox.commit': async () => ({ jobs: [] }),
    'outbox.abort': async ({ id }) => ({ id, aborted: true }),
    'outbox.list': async () => ({ prepared: [] }),
    'doc.get': async (document) => documentView(document),
    'doc.list': async () => ({ documents: [], cursor: null }),
    'doc.export': async () => ({ documents: [], cursor: null }),
    'doc.remove': async (document) => ({ ...document, removed: true }),
    'doc.cancelReminder': async ({ type, name }) => documentView({ type, name }),
    'job.signal': ({ id }) => change(id),
    'job.get': async ({ id }) => job(id),
    'job.list': async ({ limit = 50 }) => ({ jobs: [...jobs.values()].slice(0, limit), cursor: null }),
    async 'job.wait'({ id }) {
      waits += 1
      await new Promise<void>((resolve) => {
        const resolves = waiting.get(id) ?? []
        waiting.set(id, resolves)
        resolves.push(resolve)
      })
      return { ...job(id), state: 'completed', result: null }
    },
    'job.cancel': ({ id }) => change(id),
    'job.retry': ({ id }) => change(id),
    async 'job.remove'({ id }) {
      job(id)
      jobs.delete(id)
      return { id, removed: true }
    },
    'job.move': ({ id }) => change(id),
    'job.cancelMany': step,
    'job.retryMany': step,
    'job.removeMany': step,
    'job.moveMany': step,
    'queue.list': async () => ({ queues: [queueView] }),
    'queue.pause': async ({ queue }) => ({ ...queueView, queue, paused: true }),
    'queue.resume': async ({ queue }) => ({ ...queueView, queue }),
    'queue.drain': async ({ queue }) => ({ ...queueView, queue }),
    'queue.purge': async () => ({ removed: 3 }),
    'method.list': async () => ({ methods: [] }),
    reload: async () => ({ methods: 0 }),
    'schedule.list': async () => ({ state: 'active', events: [] }),
    'schedule.trigger': async () => ({ ids: [] }),
    'schedule.pause': async () => ({ state: 'paused' }),
    'schedule.resume': async () => ({ state: 'active' }),
    'schedule.skip': async () => ({ state: 'active' }),
    'schedule.migrate': async () => ({ added: [], changed: [], removed: [], unchanged: 0 }),
    maintenance: async ({ on }) => ({ state: on ? 'maintenance' : 'active' }),
    status: async () => statusView,
    doctor: async () => ({ ok: true, findings: [] }),
    backup: async ({ directory }) => ({ directory, bytes: 8192, jobs: 0, durationMs: 1 }),
    shutdown: async () => ({ stopping: true }),
    ...overrides
  }
  return {
    methods,
    events,
    enqueued,
    get waits() {
      return waits
    },
    finish(id) {
      for (const resolve of waiting.get(id) ?? []) resolve()
    },
    event(fields = {}) {
      events.emit({
        type: 'started',
        job: 'job-1',
        queue: 'default',
        method: 'a.b',
        at: '2026-01-01T00:00:00Z',
        ...fields
      })
    }
  }
}

function jobView(id: string, { method, params = {}, queue = 'default', jobName = null }: JobRequest): JobView {
  return {
    id,
    method,
    queue,
    state: 'ready',
    jobName,
    params: params as Json,
    priority: 0,
    attempts: { made: 0, max: 1 },
    crashes: 0,
    timeoutMs: 300_000,
    key: null,
    keyConcurrency: null,
    dependencies: null,
    expiresAt: null,
    enqueuedAt: '2026-01-01T00:00:00.000Z',
    runAt: null,
    startedAt: null,
    finishedAt: null,
    progress: null,
    logs: [],
    history: []
  }
}

type JobRequest = Omit<EnqueueRequest, 'jobName'> & { jobName?: string | null }

export function documentView(document: DocumentId): DocumentView {
  const at = '2026-01-01T00:00:00.000Z'
  return { ...document, state: {}, version: 1, revision: 1, bytes: 2, createdAt: at, updatedAt: at, reminders: [] }
}
