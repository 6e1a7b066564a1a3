/** A supervisor that answers what a test tells it to, and remembers what it was asked. */
import type { Service, ServiceMethods, StatusView } from '../../runtime/core/api.ts'
import type { DocumentView } from '../../runtime/core/document.ts'
import { EventStream, type JobEvent } from '../../runtime/core/events.ts'
import type { JobView, QueueView } from '../../runtime/core/job.ts'
import type { EventView } from '../../runtime/core/scheduler-event.ts'
import type { PreparedView } from '../../runtime/core/transaction.ts'

interface Call {
  method: string
  params: unknown
}

export interface FakeService extends Service {
  calls: Call[]
}

/** @param answers the methods that the test needs; every other one rejects as a defect would */
export function fakeService(answers: Partial<ServiceMethods>): FakeService {
  const calls: Call[] = []
  const methods = new Proxy({} as ServiceMethods, {
    get: (_, method: keyof ServiceMethods) => async (params: never) => {
      calls.push({ method, params })
      const answer = answers[method]
      if (answer === undefined) throw new Error(`The test does not expect ${method}`)
      return answer(params)
    }
  })
  return { methods, events: new EventStream(), calls }
}

export function jobView(fields: Partial<JobView> = {}): JobView {
  return {
    id: '42',
    method: 'a.run',
    queue: 'default',
    state: 'ready',
    jobName: null,
    params: {},
    priority: 0,
    attempts: { made: 1, max: 3 },
    crashes: 0,
    timeoutMs: 300_000,
    key: null,
    keyConcurrency: null,
    dependencies: null,
    expiresAt: null,
    enqueuedAt: '2026-01-31T12:00:00.000Z',
    runAt: null,
    startedAt: null,
    finishedAt: null,
    progress: null,
    logs: [],
    history: [],
    ...fields
  }
}

export function documentView(fields: Partial<DocumentView> = {}): DocumentView {
  return {
    type: 'billing.Invoice',
    name: 'INV-1',
    state: { lines: [] },
    version: 2,
    revision: 7,
    bytes: 12,
    createdAt: '2026-01-31T12:00:00.000Z',
    updatedAt: '2026-01-31T12:00:00.000Z',
    reminders: [],
    ...fields
  }
}

export function preparedView(fields: Partial<PreparedView> = {}): PreparedView {
  return {
    id: 'p1',
    outbox: 'shop',
    operations: 3,
    preparedAt: '2026-01-31T12:00:00.000Z',
    undecidedAt: '2026-01-31T12:01:00.000Z',
    ...fields
  }
}

export function queueView(fields: Partial<QueueView> = {}): QueueView {
  return {
    queue: 'default',
    paused: false,
    pausedUntil: null,
    configured: true,
    backgroundWorkers: 2,
    timeoutMs: 300_000,
    counts: { scheduled: 1, ready: 2, running: 3, completed: 4, failed: 5, cancelled: 6 },
    rates: { enqueued: 7, completed: 8, failed: 9 },
    ...fields
  }
}

export function statusView(fields: Partial<StatusView> = {}): StatusView {
  return {
    version: '0.1.0',
    pid: 4_194_305,
    state: 'running',
    startedAt: '2026-01-31T12:00:00.000Z',
    uptimeMs: 5_000,
    dataDir: '/data',
    socket: '/data/runtime.sock',
    node: 'v20.20.2',
    queues: [queueView()],
    store: { format: 1, bytes: 4096, usedBytes: 2048, bytesMax: null, setAside: 0 },
    memory: { residentBytes: 60_000_000 },
    ...fields
  }
}

export function eventView(fields: Partial<EventView> = {}): EventView {
  return {
    event: 'hourly:a.run',
    method: 'a.run',
    expression: 'hourly',
    timezone: 'UTC',
    queue: 'default',
    state: 'active',
    problem: null,
    next: '2026-01-31T13:00:00.000Z',
    skipsNext: false,
    lastInstant: null,
    lastJob: null,
    lastOutcome: null,
    lastDurationMs: null,
    runs: 0,
    failures: 0,
    skips: 0,
    misses: 0,
    ...fields
  }
}

export function event(fields: Partial<JobEvent> = {}): JobEvent {
  return { type: 'started', job: '42', queue: 'default', method: 'a.run', at: '2026-01-31T12:00:00.000Z', ...fields }
}
