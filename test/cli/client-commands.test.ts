/** Each client command, over a real socket, against a supervisor that answers what the test says. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import type { ServiceMethods } from '../../runtime/core/api.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import type { JobError } from '../../runtime/core/job.ts'
import type { MigrationView, SchedulerView } from '../../runtime/core/scheduler-event.ts'
import { RpcServer } from '../../runtime/rpc/server.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import {
  documentView,
  event,
  eventView,
  type FakeService,
  fakeService,
  jobView,
  preparedView,
  queueView,
  statusView
} from './fake-service.ts'
import { type Answered, runCli } from './run-cli.ts'
import { type Started, startCli } from './spawn-cli.ts'

interface Supervised {
  folder: string
  service: FakeService
  server: RpcServer
  run(args: readonly string[]): Promise<Answered>
}

/** A supervisor at the default socket of an empty folder, in which the command then runs. */
async function supervised(t: TestContext, answers: Partial<ServiceMethods>): Promise<Supervised> {
  const folder = temporaryFolder(t)
  const service = fakeService(answers)
  const socketPath = join(folder, '.runtime', 'runtime.sock')
  const server = new RpcServer({
    service,
    socketPath,
    onInternalError: (error) => {
      throw error
    }
  })
  await server.start()
  t.after(() => server.stop())
  return { folder, service, server, run: (args) => runCli([...args, '--socket', socketPath]) }
}

const enqueued = { id: '42', state: 'ready', deduplicated: false } as const
const thrown: JobError = {
  code: 'THROWN',
  name: 'TypeError',
  message: 'no',
  stack: 'TypeError: no\n    at run (a.js:1)'
}
const none = { scheduled: 0, ready: 0, running: 0, completed: 0, failed: 0, cancelled: 0 }
const schedule: SchedulerView = { state: 'paused', events: [eventView()] }
const migration: MigrationView = { added: ['daily:a.run'], changed: [], removed: ['hourly:a.run'], unchanged: 3 }
const change = { id: '42', state: 'ready', changed: true } as const

describe('commands that show', () => {
  const page = { jobs: [jobView({ id: 'a' }), jobView({ id: 'b', state: 'failed', error: thrown })], cursor: 'next' }
  const cases: {
    args: string[]
    answers: Partial<ServiceMethods>
    asked: { method: string; params: unknown }
    text: RegExp
    json: unknown
  }[] = [
    {
      args: ['status'],
      answers: { status: async () => statusView() },
      asked: { method: 'status', params: {} },
      text: /^state +running\nversion +0\.1\.0 on Node/,
      json: statusView()
    },
    {
      args: ['queues'],
      answers: { 'queue.list': async () => ({ queues: [queueView({ paused: true })] }) },
      asked: { method: 'queue.list', params: {} },
      text: /^QUEUE .*\ndefault +paused +2 +300 s +1 +2 +3 +4 +5 +6\n$/,
      json: { queues: [queueView({ paused: true })] }
    },
    {
      args: ['job', '42'],
      answers: { 'job.get': async () => jobView({ state: 'completed', result: { sum: 3 } }) },
      asked: { method: 'job.get', params: { id: '42' } },
      text: /^id +42\n.*result\n {2}\{\n {4}"sum": 3/s,
      json: jobView({ state: 'completed', result: { sum: 3 } })
    },
    {
      args: ['jobs', '--queue', 'long', '--state', 'failed', '--method', 'a.run', '--name', 'n', '--limit', '2'],
      answers: { 'job.list': async () => page },
      asked: {
        method: 'job.list',
        params: { queue: 'long', state: 'failed', method: 'a.run', jobName: 'n', limit: 2 }
      },
      text: /^ID .*\na .*\nb +failed .*TypeError: no\n$/,
      json: page
    },
    {
      args: [
        ...['jobs', '--key', 'k', '--error-code', 'TIMEOUT', '--since', '2026-01-31', '--until', '1769883300000'],
        ...['--text', '"month":3']
      ],
      answers: { 'job.list': async () => ({ jobs: [], cursor: null }) },
      asked: {
        method: 'job.list',
        params: { key: 'k', errorCode: 'TIMEOUT', since: '2026-01-31', until: 1_769_883_300_000, text: '"month":3' }
      },
      text: /^No jobs\.\n$/,
      json: { jobs: [], cursor: null }
    },
    {
      args: ['cancel', '--all', '--queue', 'long', '--method', 'a.run'],
      answers: { 'job.cancelMany': async () => ({ changed: 7, cursor: null }) },
      asked: { method: 'job.cancelMany', params: { queue: 'long', method: 'a.run' } },
      text: /^Cancelled 7 jobs\.\n$/,
      json: { cancelled: 7 }
    },
    {
      args: ['remove', '--state', 'failed', '--name', 'n'],
      answers: { 'job.removeMany': async () => ({ changed: 1, cursor: null }) },
      asked: { method: 'job.removeMany', params: { state: 'failed', jobName: 'n' } },
      text: /^Removed 1 failed job\.\n$/,
      json: { removed: 1 }
    },
    {
      args: ['retry', '--state', 'cancelled', '--key', 'k', '--params', '{"month":4}'],
      answers: { 'job.retryMany': async () => ({ changed: 2, cursor: null }) },
      asked: { method: 'job.retryMany', params: { state: 'cancelled', key: 'k', params: { month: 4 } } },
      text: /^Retried 2 jobs\.\n$/,
      json: { retried: 2, unchanged: [], refused: [] }
    },
    {
      args: ['move', '42', '--to', 'long'],
      answers: { 'job.move': async () => change },
      asked: { method: 'job.move', params: { id: '42', queue: 'long' } },
      text: /^Moved 1 job to long\.\n$/,
      json: { moved: 1, unchanged: [], refused: [] }
    },
    {
      args: ['move', '--queue', 'short', '--state', 'ready', '--to', 'long'],
      answers: { 'job.moveMany': async () => ({ changed: 5, cursor: null }) },
      asked: { method: 'job.moveMany', params: { queue: 'short', state: 'ready', to: 'long' } },
      text: /^Moved 5 jobs to long\.\n$/,
      json: { moved: 5, unchanged: [], refused: [] }
    },
    {
      args: ['drain', 'long', '--timeout', '5m'],
      answers: { 'queue.drain': async () => queueView({ queue: 'long' }) },
      asked: { method: 'queue.drain', params: { queue: 'long', timeout: '5m' } },
      text: /^Drained long: no job is ready or running, 1 job scheduled\.\n$/,
      json: queueView({ queue: 'long' })
    },
    {
      args: ['pause', 'long', '--until', '2h'],
      answers: { 'queue.pause': async () => queueView({ paused: true, pausedUntil: '2999-01-01T00:00:00.000Z' }) },
      asked: { method: 'queue.pause', params: { queue: 'long', until: '2h' } },
      text: /^Paused long until 2999-01-01T00:00:00\.000Z \(in \d+ d\): no job starts/,
      json: queueView({ paused: true, pausedUntil: '2999-01-01T00:00:00.000Z' })
    },
    {
      args: ['ready-for-migration'],
      answers: {
        'queue.list': async () => ({ queues: [queueView({ counts: { ...none, scheduled: 3, failed: 1 } })] })
      },
      asked: { method: 'queue.list', params: {} },
      text: /^Ready for migration/,
      json: { ready: true, pending: [] }
    },
    {
      args: ['doctor'],
      answers: { doctor: async () => ({ ok: true, findings: [] }) },
      asked: { method: 'doctor', params: {} },
      text: /^Nothing is wrong\.\n$/,
      json: { ok: true, findings: [] }
    },
    {
      args: ['pause', 'long'],
      answers: { 'queue.pause': async () => queueView({ queue: 'long', paused: true }) },
      asked: { method: 'queue.pause', params: { queue: 'long' } },
      text: /^Paused long: no job starts, 3 jobs still running/,
      json: queueView({ queue: 'long', paused: true })
    },
    {
      args: ['resume', 'long'],
      answers: { 'queue.resume': async () => queueView({ queue: 'long' }) },
      asked: { method: 'queue.resume', params: { queue: 'long' } },
      text: /^Resumed long: 2 jobs ready/,
      json: queueView({ queue: 'long' })
    },
    {
      args: ['purge', 'long', '--state', 'failed'],
      answers: { 'queue.purge': async () => ({ removed: 7 }) },
      asked: { method: 'queue.purge', params: { queue: 'long', state: 'failed' } },
      text: /^Removed 7 failed jobs of long\.\n$/,
      json: { removed: 7 }
    },
    {
      args: ['cancel', '42'],
      answers: { 'job.cancel': async () => ({ id: '42', state: 'cancelled', changed: true }) },
      asked: { method: 'job.cancel', params: { id: '42' } },
      text: /^Cancelled 42\.\n$/,
      json: { id: '42', state: 'cancelled', changed: true }
    },
    {
      args: ['remove', '42'],
      answers: { 'job.remove': async () => ({ id: '42', removed: true }) },
      asked: { method: 'job.remove', params: { id: '42' } },
      text: /^Removed 42\.\n$/,
      json: { id: '42', removed: true }
    },
    {
      args: ['retry', '42'],
      answers: { 'job.retry': async () => change },
      asked: { method: 'job.retry', params: { id: '42' } },
      text: /^Retried 1 job\.\n$/,
      json: { retried: 1, unchanged: [], refused: [] }
    },
    {
      args: ['signal', '42', 'approved', '{"by":"me"}'],
      answers: { 'job.signal': async () => change },
      asked: { method: 'job.signal', params: { id: '42', name: 'approved', payload: { by: 'me' } } },
      text: /^Sent approved to 42, which is ready\.\n$/,
      json: change
    },
    {
      args: ['doc', 'get', 'billing.Invoice', 'INV-1'],
      answers: { 'doc.get': async () => documentView() },
      asked: { method: 'doc.get', params: { type: 'billing.Invoice', name: 'INV-1' } },
      text: /^type +billing\.Invoice\nname +INV-1\n.*state\n {2}\{\n {4}"lines": \[\]/s,
      json: documentView()
    },
    {
      args: ['doc', 'list', 'billing.Invoice', '--limit', '2', '--cursor', 'c'],
      answers: { 'doc.list': async () => ({ documents: [documentView()], cursor: null }) },
      asked: { method: 'doc.list', params: { type: 'billing.Invoice', limit: 2, cursor: 'c' } },
      text: /^NAME .*\nINV-1 +.* ago +12 B +2 +- +\{"lines":\[\]\}\n$/,
      json: { documents: [documentView()], cursor: null }
    },
    {
      args: ['doc', 'remove', 'billing.Invoice', 'INV-1'],
      answers: { 'doc.remove': async (document) => ({ ...document, removed: true }) },
      asked: { method: 'doc.remove', params: { type: 'billing.Invoice', name: 'INV-1' } },
      text: /^Removed billing\.Invoice INV-1\.\n$/,
      json: { type: 'billing.Invoice', name: 'INV-1', removed: true }
    },
    {
      args: ['doc', 'cancel-reminder', 'billing.Invoice', 'INV-1', 'dunning'],
      answers: { 'doc.cancelReminder': async () => documentView() },
      asked: {
        method: 'doc.cancelReminder',
        params: { type: 'billing.Invoice', name: 'INV-1', reminder: 'dunning' }
      },
      text: /^billing\.Invoice INV-1 has no reminder dunning any more\.\n$/,
      json: documentView()
    },
    {
      args: ['outbox', 'list', '--outbox', 'shop'],
      answers: { 'outbox.list': async () => ({ prepared: [preparedView()] }) },
      asked: { method: 'outbox.list', params: { outbox: 'shop' } },
      text: /^ID .*\np1 +shop +3 +.* ago +.* ago\n$/,
      json: { prepared: [preparedView()] }
    },
    {
      args: ['outbox', 'commit', 'p1'],
      answers: { 'outbox.commit': async () => ({ jobs: [enqueued] }) },
      asked: { method: 'outbox.commit', params: { id: 'p1' } },
      text: /^Committed p1: 1 job enqueued\.\n$/,
      json: { jobs: [enqueued] }
    },
    {
      args: ['outbox', 'abort', 'p1'],
      answers: { 'outbox.abort': async () => ({ id: 'p1', aborted: true }) },
      asked: { method: 'outbox.abort', params: { id: 'p1' } },
      text: /^Aborted p1: nothing of it is done\.\n$/,
      json: { id: 'p1', aborted: true }
    },
    {
      args: ['schedule'],
      answers: { 'schedule.list': async () => schedule },
      asked: { method: 'schedule.list', params: {} },
      text: /^EVENT .*\nhourly:a\.run +a\.run +hourly +UTC +2026-01-31T13:00:00\.000Z \(.*\) +- +- +- +0 +0 +0 +0\nThe scheduler is paused\.\n$/,
      json: schedule
    },
    {
      args: ['scheduler', 'status'],
      answers: { 'schedule.list': async () => schedule },
      asked: { method: 'schedule.list', params: {} },
      text: /The scheduler is paused/,
      json: schedule
    },
    {
      args: ['trigger', 'hourly'],
      answers: { 'schedule.trigger': async () => ({ ids: ['1', '2'] }) },
      asked: { method: 'schedule.trigger', params: { event: 'hourly' } },
      text: /^1\n2\n$/,
      json: { ids: ['1', '2'] }
    },
    {
      args: ['migrate', '--dry-run'],
      answers: { 'schedule.migrate': async () => migration },
      asked: { method: 'schedule.migrate', params: { dryRun: true } },
      text: /^added {4}daily:a\.run\nremoved {2}hourly:a\.run\n2 changes would be made, 3 unchanged\.\n$/,
      json: migration
    },
    {
      args: ['migrate'],
      answers: { 'schedule.migrate': async () => migration },
      asked: { method: 'schedule.migrate', params: { dryRun: false } },
      text: /\n2 changes, 3 unchanged\.\n$/,
      json: migration
    },
    {
      args: ['scheduler', 'pause'],
      answers: { 'schedule.pause': async () => ({ state: 'paused' }) },
      asked: { method: 'schedule.pause', params: {} },
      text: /^Paused the scheduler: what would have run is skipped until resume\.\n$/,
      json: { state: 'paused' }
    },
    {
      args: ['scheduler', 'resume', 'hourly:a.run'],
      answers: { 'schedule.resume': async () => ({ state: 'active' }) },
      asked: { method: 'schedule.resume', params: { event: 'hourly:a.run' } },
      text: /^Resumed hourly:a\.run\.\n$/,
      json: { state: 'active' }
    },
    {
      args: ['scheduler', 'skip', 'hourly'],
      answers: { 'schedule.skip': async () => ({ state: 'active' }) },
      asked: { method: 'schedule.skip', params: { event: 'hourly' } },
      text: /^The next run of hourly will be left out\.\n$/,
      json: { state: 'active' }
    },
    {
      args: ['maintenance', 'on'],
      answers: { maintenance: async () => ({ state: 'maintenance' }) },
      asked: { method: 'maintenance', params: { on: true } },
      text: /^Maintenance: no events fire and no jobs start/,
      json: { state: 'maintenance' }
    },
    {
      args: ['maintenance', 'off'],
      answers: { maintenance: async () => ({ state: 'active' }) },
      asked: { method: 'maintenance', params: { on: false } },
      text: /^Maintenance is over/,
      json: { state: 'active' }
    },
    {
      args: ['call', 'job.get', '{"id":"42"}'],
      answers: { 'job.get': async () => jobView() },
      asked: { method: 'job.get', params: { id: '42' } },
      text: /^\{\n {2}"id": "42"/,
      json: jobView()
    }
  ]
  for (const { args, answers, asked, text, json } of cases) {
    it(`${args.join(' ')}, for people and with --json`, async (t) => {
      const { run, service } = await supervised(t, answers)
      const human = await run(args)
      assert.equal(human.code, 0, human.stderr)
      assert.match(human.stdout, text)
      assert.deepEqual(service.calls, [asked])
      const machine = await run([...args, '--json'])
      assert.equal(machine.code, 0)
      assert.deepEqual(JSON.parse(machine.stdout), json)
      assert.equal(machine.stderr, '')
    })
  }
})

describe('enqueue', () => {
  it('sends every flag and prints the id', async (t) => {
    const { run, service } = await supervised(t, { enqueue: async () => enqueued })
    const flags = [
      ...['--queue', 'long', '--timeout', '5m', '--at', '2026-01-31T18:15:00Z', '--priority', '-5', '--at-front'],
      ...['--job-name', 'n', '--job-id', '42', '--deduplicate', '--attempts', '3'],
      ...['--backoff', '{"type":"fixed","delay":5}', '--retry-on', 'TIMEOUT', '--retry-on', 'E_NET'],
      ...['--never-retry', 'TypeError', '--key', 'k', '--key-concurrency', '1', '--depends-on', '40', '41'],
      ...['--on-parent-failure', 'release', '--on-success', 'a.done', '--on-failure', 'a.sorry'],
      ...['--expires', '10m', '--result-ttl', '0'],
      ...['--params', '{"a":1,"b":1}', '-p', 'b=2', '-p', 'c=text']
    ]
    const { code, stdout, stderr } = await run(['enqueue', 'a.run', ...flags])
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: '42\n', stderr: '' })
    const options = {
      ...{ queue: 'long', timeout: '5m', runAt: '2026-01-31T18:15:00Z', priority: -5, atFront: true },
      ...{ jobName: 'n', jobId: '42', deduplicate: true, attempts: 3, backoff: { type: 'fixed', delay: 5 } },
      ...{ retryOn: ['TIMEOUT', 'E_NET'], noRetryOn: ['TypeError'], key: 'k', keyConcurrency: 1 },
      ...{ dependsOn: ['40', '41'], onParentFailure: 'release', onSuccess: 'a.done', onFailure: 'a.sorry' },
      ...{ expires: '10m', resultTtl: 0 }
    }
    assert.deepEqual(service.calls[0]!.params, { method: 'a.run', params: { a: 1, b: 2, c: 'text' }, ...options })
  })

  const forms: [args: string[], deduplicate: unknown][] = [
    [['--throttle', '10m'], { for: '10m' }],
    [['--debounce', '2'], { debounce: 2 }],
    [['--keep-last'], { keepLast: true }]
  ]
  for (const [args, deduplicate] of forms) {
    it(`sends ${args[0]} as a form of deduplicate (issue 5.1)`, async (t) => {
      const { run, service } = await supervised(t, { enqueue: async () => enqueued })
      assert.equal((await run(['enqueue', 'a.run', '--job-id', '42', ...args])).code, 0)
      assert.deepEqual(service.calls[0]!.params, { method: 'a.run', jobId: '42', deduplicate })
    })
  }

  it('sends nothing that was not given', async (t) => {
    const { run, service } = await supervised(t, { enqueue: async () => enqueued })
    const { stdout } = await run(['enqueue', 'a.run', '--json', '--delay', '90'])
    assert.deepEqual(JSON.parse(stdout), enqueued)
    assert.deepEqual(service.calls[0]!.params, { method: 'a.run', delay: 90 })
  })

  it('reads --params - from standard input', async (t) => {
    const { folder, service } = await supervised(t, { enqueue: async () => enqueued })
    const started = startCli(t, folder, ['enqueue', 'a.run', '--params', '-'])
    started.process.stdin.end('{"month":3}')
    const { code, stdout } = await started.ended
    assert.deepEqual([code, stdout], [0, '42\n'])
    assert.deepEqual(service.calls[0]!.params, { method: 'a.run', params: { month: 3 } })
  })

  for (const params of ['{', '[1]', '3', 'null']) {
    it(`refuses --params ${params} with 2 and sends nothing`, async (t) => {
      const { run, service } = await supervised(t, {})
      const { code, stdout, stderr } = await run(['enqueue', 'a.run', '--params', params])
      assert.deepEqual({ code, stdout, calls: service.calls }, { code: 2, stdout: '', calls: [] })
      assert.match(stderr, /^runtime: --params/)
    })
  }

  it('refuses a --backoff that is not JSON with 2', async (t) => {
    const { run, service } = await supervised(t, {})
    const { code, stderr } = await run(['enqueue', 'a.run', '--backoff', 'exponential'])
    assert.deepEqual([code, service.calls], [2, []])
    assert.match(stderr, /^runtime: --backoff is not JSON/)
  })

  const refusals = { METHOD_UNKNOWN: 2, QUEUE_UNKNOWN: 2, PARAMS_INVALID: 2, QUEUE_FULL: 1, STOPPING: 1 } as const
  for (const [refusal, exit] of Object.entries(refusals)) {
    it(`ends with ${exit} when refused with ${refusal}`, async (t) => {
      const refuse = async () => {
        throw new RuntimeError(refusal as keyof typeof refusals, 'Cannot enqueue.', { hint: 1 })
      }
      const { run } = await supervised(t, { enqueue: refuse })
      const human = await run(['enqueue', 'a.run'])
      assert.deepEqual([human.code, human.stdout, human.stderr], [exit, '', 'runtime: Cannot enqueue.\n'])
      const machine = await run(['enqueue', 'a.run', '--json'])
      assert.deepEqual([machine.code, machine.stdout], [exit, ''])
      assert.deepEqual(JSON.parse(machine.stderr).error, {
        code: refusal,
        message: 'Cannot enqueue.',
        data: { hint: 1 }
      })
    })
  }

  it('--now prints the result, and ends with 1 where the job failed', async (t) => {
    const good = await supervised(t, { enqueue: async () => ({ ...enqueued, state: 'completed', result: [1] }) })
    const { code, stdout } = await good.run(['enqueue', 'a.run', '--now'])
    assert.deepEqual([code, JSON.parse(stdout)], [0, [1]])
    assert.deepEqual(good.service.calls[0]!.params, { method: 'a.run', now: true })
    const bad = await supervised(t, { enqueue: async () => ({ ...enqueued, state: 'failed', error: thrown }) })
    assert.equal((await bad.run(['enqueue', 'a.run', '--now'])).code, 1)
  })
})

describe('enqueue-doc', () => {
  it('sends type, name, method and the options of a job, and prints the id (issue 6.1)', async (t) => {
    const { run, service } = await supervised(t, { enqueueDoc: async () => enqueued })
    const flags = ['-p', 'amount=12', '--queue', 'long', '--delay', '5m', '--attempts', '3']
    const { code, stdout, stderr } = await run(['enqueue-doc', 'billing.Invoice', 'INV-1', 'addLine', ...flags])
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: '42\n', stderr: '' })
    const call = { type: 'billing.Invoice', name: 'INV-1', method: 'addLine', params: { amount: 12 } }
    assert.deepEqual(service.calls, [
      { method: 'enqueueDoc', params: { ...call, queue: 'long', delay: '5m', attempts: 3 } }
    ])
  })

  it('--now prints the result, and ends with 1 where the job failed (issue 6.1)', async (t) => {
    const good = await supervised(t, { enqueueDoc: async () => ({ ...enqueued, state: 'completed', result: 3 }) })
    const { code, stdout } = await good.run(['enqueue-doc', 'billing.Invoice', 'INV-1', 'count', '--now'])
    assert.deepEqual([code, stdout], [0, '3\n'])
    const bad = await supervised(t, { enqueueDoc: async () => ({ ...enqueued, state: 'failed', error: thrown }) })
    assert.equal((await bad.run(['enqueue-doc', 'billing.Invoice', 'INV-1', 'count', '--now'])).code, 1)
  })
})

describe('doc export', () => {
  const names = ['a', 'b', 'c']
  const answers: Partial<ServiceMethods> = {
    'doc.export': async ({ cursor = '0' }) => {
      const index = Number(cursor)
      const next = index + 1 < names.length ? String(index + 1) : null
      return { documents: [documentView({ name: names[index]! })], cursor: next }
    }
  }
  const lines = names.map((name) => `${JSON.stringify(documentView({ name }))}\n`).join('')

  it('prints one document a line, with --json the same, and asks for page after page (issue 6.1)', async (t) => {
    const { run, service } = await supervised(t, answers)
    assert.deepEqual(await run(['doc', 'export']), { code: 0, stdout: lines, stderr: '' })
    assert.deepEqual(
      service.calls.map(({ params }) => params),
      [{}, { cursor: '1' }, { cursor: '2' }]
    )
    assert.deepEqual(await run(['doc', 'export', 'billing.Invoice', '--json']), { code: 0, stdout: lines, stderr: '' })
    assert.deepEqual(service.calls[3]!.params, { type: 'billing.Invoice' })
  })

  it('writes them into a file that only its owner may read (issue 6.1)', async (t) => {
    const { folder, run } = await supervised(t, answers)
    const file = join(folder, 'documents.jsonl')
    const human = await run(['doc', 'export', '--output', file])
    assert.deepEqual(human, { code: 0, stdout: `Exported 3 documents to ${file}.\n`, stderr: '' })
    assert.equal(readFileSync(file, 'utf8'), lines)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    const machine = await run(['doc', 'export', '--output', file, '--json'])
    assert.deepEqual(JSON.parse(machine.stdout), { exported: 3, file })
  })

  it('leaves the file as it was where the export breaks off, and tells a file that cannot be written (issue 6.1)', async (t) => {
    const { folder, run } = await supervised(t, {
      'doc.export': async ({ cursor }) => {
        if (cursor !== undefined) throw new RuntimeError('STORAGE_FAILED', 'The store failed.')
        return { documents: [documentView()], cursor: 'next' }
      }
    })
    const file = join(folder, 'documents.jsonl')
    writeFileSync(file, 'of yesterday')
    const broken = await run(['doc', 'export', '--output', file])
    assert.deepEqual(broken, { code: 1, stdout: '', stderr: 'runtime: The store failed.\n' })
    assert.equal(readFileSync(file, 'utf8'), 'of yesterday')
    assert.deepEqual(readdirSync(folder).sort(), ['.runtime', 'documents.jsonl'])
    const { code, stderr } = await run(['doc', 'export', '--output', join(folder, 'none', 'x')])
    assert.equal(code, 2)
    assert.match(stderr, /^runtime: Cannot write the documents to .*ENOENT/)
  })
})

describe('enqueue --wait', () => {
  /** Emits, then answers, once the command waits. */
  async function waited(t: TestContext, wait: () => ReturnType<ServiceMethods['job.wait']>): Promise<Supervised> {
    const answers: Partial<ServiceMethods> = {
      enqueue: async () => enqueued,
      'job.wait': () => {
        const { events } = supervisor.service
        events.emit(event({ type: 'progress', progress: { percent: 50, stage: 'mail' } }))
        events.emit(event({ type: 'retrying', attempt: 1, error: thrown }))
        events.emit(event({ type: 'suspended', attempt: 2, runAt: '9999-01-01T00:00:00.000Z' }))
        events.emit(event({ type: 'suspended', attempt: 3 }))
        events.emit(event({ type: 'progress', job: 'other', progress: { percent: 99, stage: null } }))
        return wait()
      }
    }
    const supervisor = await supervised(t, answers)
    return supervisor
  }

  it('tells progress on standard error and prints the result', async (t) => {
    const { run } = await waited(t, async () => jobView({ state: 'completed', result: { sum: 3 } }))
    const { code, stdout, stderr } = await run(['enqueue', 'a.run', '--wait'])
    assert.deepEqual([code, JSON.parse(stdout)], [0, { sum: 3 }])
    const suspended =
      /The job sleeps, or waits for a signal; it goes on in \d+ d at the latest\.\nThe job waits for a signal\.\n$/
    assert.match(stderr, suspended)
    assert.equal(stderr.replace(suspended, ''), 'job 42\n50% mail\nattempt 1 failed: TypeError: no.\n')
  })

  it('prints the job and nothing else with --json', async (t) => {
    const done = jobView({ state: 'completed', result: 3 })
    const { run } = await waited(t, async () => done)
    const { code, stdout, stderr } = await run(['enqueue', 'a.run', '--wait', '--json'])
    assert.deepEqual([code, JSON.parse(stdout), stderr], [0, done, ''])
  })

  it('prints error and stack of a failed job and ends with 1', async (t) => {
    const { run } = await waited(t, async () => jobView({ state: 'failed', error: thrown }))
    const { code, stdout, stderr } = await run(['enqueue', 'a.run', '--wait'])
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /job 42 failed: TypeError: no\n {2}at run \(a\.js:1\)\n$/)
  })

  it('prints a cancelled job with --json and ends with 1', async (t) => {
    const cancelled = jobView({ state: 'cancelled' })
    const { run } = await waited(t, async () => cancelled)
    const { code, stdout } = await run(['enqueue', 'a.run', '--wait', '--json'])
    assert.deepEqual([code, JSON.parse(stdout)], [1, cancelled])
  })

  it('ends with 4 when the job takes longer than --wait-timeout', async (t) => {
    const { run, service } = await waited(t, async () => {
      throw new RuntimeError('WAIT_TIMEOUT', 'Not yet.')
    })
    const { code, stdout } = await run(['enqueue', 'a.run', '--wait-timeout', '2s'])
    assert.deepEqual([code, stdout], [4, ''])
    assert.deepEqual(service.calls[1], { method: 'job.wait', params: { id: '42', timeout: '2s' } })
  })

  it('ends with 3 when the supervisor goes away', async (t) => {
    const supervisor = await waited(t, () => {
      void supervisor.server.stop()
      return new Promise(() => {})
    })
    assert.equal((await supervisor.run(['enqueue', 'a.run', '--wait'])).code, 3)
  })
})

describe('retry', () => {
  it('goes on after a job that cannot be retried, and ends with 1', async (t) => {
    const { run } = await supervised(t, {
      'job.retry': async ({ id }) => {
        if (id === 'gone') throw new RuntimeError('JOB_UNKNOWN', 'No job "gone".')
        return { ...change, id }
      }
    })
    const { code, stdout, stderr } = await run(['retry', 'gone', '1', '2'])
    assert.deepEqual([code, stdout, stderr], [1, 'Retried 2 jobs.\n', 'gone: No job "gone".\n'])
  })

  it('--failed changes the failed jobs of the queue, step by step, and tells how far it is', async (t) => {
    const { run, service } = await supervised(t, {
      'job.retryMany': async ({ cursor }) =>
        cursor === undefined ? { changed: 1000, cursor: 'c' } : { changed: 1, cursor: null }
    })
    const human = await run(['retry', '--failed', '--queue', 'long'])
    assert.deepEqual([human.code, human.stdout], [0, 'Retried 1001 jobs.\n'])
    assert.equal(human.stderr, 'retried 1000 jobs so far\nretried 1001 jobs so far\n')
    const { code, stdout, stderr } = await run(['retry', '--failed', '--queue', 'long', '--json'])
    assert.deepEqual([code, JSON.parse(stdout), stderr], [0, { retried: 1001, unchanged: [], refused: [] }, ''])
    const filter = { queue: 'long', state: 'failed' }
    const steps = [filter, { ...filter, cursor: 'c' }]
    assert.deepEqual(
      service.calls.map(({ params }) => params),
      [...steps, ...steps]
    )
  })

  it('stops at a refusal that would meet every job', async (t) => {
    const { run } = await supervised(t, {
      'job.retry': async () => {
        throw new RuntimeError('STORAGE_FULL', 'The disk is full.')
      }
    })
    const { code, stdout } = await run(['retry', '1', '2'])
    assert.deepEqual([code, stdout], [1, ''])
  })

  for (const args of [
    [],
    ['1', '--failed'],
    ['1', '--queue', 'long'],
    ['--queue', 'long'],
    ['1', '--state', 'failed']
  ]) {
    it(`ends with 2 after "retry ${args.join(' ')}"`, async (t) => {
      const { run } = await supervised(t, {})
      assert.equal((await run(['retry', ...args])).code, 2)
    })
  }
})

describe('cancel, remove and move', () => {
  const wrong = [
    ...[['cancel'], ['cancel', '1', '--all'], ['cancel', '--queue', 'long'], ['cancel', '1', '--queue', 'long']],
    ...[['remove'], ['remove', '1', '--state', 'failed'], ['remove', '--queue', 'long'], ['remove', '1', '--key', 'k']],
    ...[
      ['move', '--to', 'long'],
      ['move', '1'],
      ['move', '1', '--queue', 'long', '--to', 'short']
    ]
  ]
  for (const args of wrong) {
    it(`end with 2 after "${args.join(' ')}" and change nothing`, async (t) => {
      const { run, service } = await supervised(t, {})
      const { code, stdout } = await run(args)
      assert.deepEqual([code, stdout, service.calls], [2, '', []])
    })
  }

  it('move goes on after a job that cannot be moved, and ends with 1', async (t) => {
    const { run } = await supervised(t, {
      'job.move': async ({ id }) => {
        if (id === 'runs') throw new RuntimeError('JOB_STATE', 'It runs.')
        return { ...change, id, changed: id === '1' }
      }
    })
    const { code, stdout, stderr } = await run(['move', 'runs', '1', '2', '--to', 'long'])
    assert.deepEqual([code, stdout], [1, 'Moved 1 job to long.\n'])
    assert.equal(stderr, '2: it is there already.\nruns: It runs.\n')
  })

  it('drain ends with 4 when it takes longer than --timeout', async (t) => {
    const { run } = await supervised(t, {
      'queue.drain': async () => {
        throw new RuntimeError('WAIT_TIMEOUT', 'Not yet.')
      }
    })
    assert.equal((await run(['drain', 'long', '--timeout', '1'])).code, 4)
  })
})

describe('pending', () => {
  const waiting = queueView({ counts: { ...none, ready: 3, running: 1 } })
  const list: ServiceMethods['job.list'] = async ({ state, cursor }) => {
    if (state === 'running') return { jobs: [jobView({ method: 'a.other' })], cursor: null }
    return cursor === undefined
      ? { jobs: [jobView(), jobView()], cursor: 'c' }
      : { jobs: [jobView({ method: 'a.other' })], cursor: null }
  }

  it('counts what waits and runs by queue and method', async (t) => {
    const empty = queueView({ queue: 'short', counts: { ...none, completed: 9 } })
    const { run } = await supervised(t, { 'queue.list': async () => ({ queues: [waiting, empty] }), 'job.list': list })
    const { code, stdout, stderr } = await run(['pending'])
    assert.deepEqual([code, stderr], [0, ''])
    assert.match(
      stdout,
      /^QUEUE .*\ndefault +\(all\) +0 +3 +1\n +a\.run +0 +2 +0\n +a\.other +0 +1 +1\n4 jobs in all\.\n$/
    )
    const of = { scheduled: 0, ready: 2, running: 0, method: 'a.run' }
    const methods = [of, { scheduled: 0, ready: 1, running: 1, method: 'a.other' }]
    const full = { queue: 'default', scheduled: 0, ready: 3, running: 1, complete: true, methods }
    const machine = await run(['pending', '--queue', 'default', '--json'])
    assert.deepEqual(JSON.parse(machine.stdout), { total: 4, queues: [full] })
  })

  it('says when it did not look at all jobs', async (t) => {
    const jobs = Array.from({ length: 200 }, () => jobView())
    const counts = { ...none, ready: 1_000_000 }
    const { run, service } = await supervised(t, {
      'queue.list': async () => ({ queues: [queueView({ counts })] }),
      'job.list': async ({ cursor = '0' }) => ({ jobs, cursor: cursor === '29' ? null : String(Number(cursor) + 1) })
    })
    const { stdout, stderr } = await run(['pending'])
    assert.match(stdout, /\(all\) +0 +1000000 +0\n +a\.run +0 +2000 +0 +at least\n1000000 jobs in all/)
    assert.match(stderr, /^Not all jobs of default were looked at: 2000 in each state/)
    assert.equal(service.calls.filter(({ method }) => method === 'job.list').length, 10)
  })

  it('says so when there is nothing, and refuses an unknown queue', async (t) => {
    const { run } = await supervised(t, {
      'queue.list': async () => ({ queues: [queueView({ counts: none })] }),
      'job.list': async () => {
        throw new RuntimeError('QUEUE_UNKNOWN', 'No such queue.')
      }
    })
    assert.equal((await run(['pending'])).stdout, 'No job waits or runs.\n')
    assert.equal((await run(['pending', '--queue', 'nowhere'])).code, 2)
  })
})

describe('ready-for-migration', () => {
  it('ends with 1 while jobs are ready or running, and says where', async (t) => {
    const busy = queueView({ queue: 'long', counts: { ...none, ready: 1, running: 2 } })
    const { run } = await supervised(t, {
      'queue.list': async () => ({ queues: [queueView({ counts: none }), busy] })
    })
    const { code, stdout } = await run(['ready-for-migration'])
    assert.equal(code, 1)
    assert.match(stdout, /^Not ready for migration:\n {2}long: 1 job ready, 2 running\n/)
    const machine = await run(['ready-for-migration', '--json'])
    assert.equal(machine.code, 1)
    assert.deepEqual(JSON.parse(machine.stdout), { ready: false, pending: [{ queue: 'long', ready: 1, running: 2 }] })
  })
})

describe('events', { concurrency: true }, () => {
  async function watching(t: TestContext, ...args: string[]): Promise<Supervised & Started> {
    const supervisor = await supervised(t, {})
    const started = startCli(t, supervisor.folder, ['events', ...args])
    while (!supervisor.service.events.listened) await new Promise((resolve) => setImmediate(resolve))
    return { ...supervisor, ...started }
  }

  it('prints one JSON value a line and ends with 0 when interrupted', async (t) => {
    const { service, process: child, stdout, ended } = await watching(t, '--follow', '--queue', 'long', '--json')
    service.events.emit(event({ queue: 'short' }))
    service.events.emit(event({ queue: 'long' }))
    service.events.emit(event({ queue: 'long', type: 'completed' }))
    await stdout.said('completed')
    child.kill('SIGINT')
    assert.equal((await ended).code, 0)
    assert.deepEqual(
      stdout.text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
      [event({ queue: 'long' }), event({ queue: 'long', type: 'completed' })]
    )
  })

  it('prints lines for people', async (t) => {
    const { service, stdout } = await watching(t, '--job', '42')
    service.events.emit(event())
    await stdout.said('\n')
    assert.match(stdout.text, /^2026-\S+ {2}started +42 {2}default {2}a\.run\n$/)
  })

  it('filters by method and types, and says at the end how to go on', async (t) => {
    const args = ['--method', 'a.run', '--type', 'failed', 'completed']
    const { service, process: child, stdout, ended } = await watching(t, ...args)
    service.events.emit(event())
    service.events.emit(event({ type: 'failed', method: 'a.other' }))
    service.events.emit(event({ type: 'failed' }))
    service.events.emit(event({ type: 'completed' }))
    await stdout.said('completed')
    child.kill('SIGINT')
    const { stderr } = await ended
    assert.deepEqual(stdout.text.match(/failed|completed|a\.\w+/g), ['failed', 'a.run', 'completed', 'a.run'])
    assert.match(stderr, /^To go on from here: --since [0-9a-f]{12}-\w+\n$/)
  })

  it('tells a gap on standard error, in words or as JSON', async (t) => {
    const since = ['--since', '0123456789ab-1']
    const people = await watching(t, ...since)
    await people.stderr.said('\n')
    assert.equal(people.stderr.text, 'Events may be missing here: the supervisor has been restarted since.\n')
    const { process: child, stderr, ended } = await watching(t, '--json', ...since)
    await stderr.said('\n')
    child.kill('SIGINT')
    const [gap, end] = (await ended).stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    assert.deepEqual(gap, { gap: { missed: null, reason: 'restarted' } })
    assert.deepEqual(Object.keys(end), ['cursor'])
  })

  it('refuses a cursor that is none, and an unknown type', async (t) => {
    const { run } = await supervised(t, {})
    assert.match((await run(['events', '--since', 'x'])).stderr, /cursor: expected one that/)
    assert.equal((await run(['events', '--type', 'x'])).code, 2)
  })

  it('ends with 3 when the supervisor goes away', async (t) => {
    const { server, ended } = await watching(t)
    await server.stop()
    const { code, stderr } = await ended
    assert.equal(code, 3)
    assert.match(stderr, /connection to the supervisor ended/)
  })
})

describe('stop', () => {
  it('returns when the supervisor has gone', async (t) => {
    const { run, service, server } = await supervised(t, {
      status: async () => statusView(),
      shutdown: async () => {
        setImmediate(() => void server.stop())
        return { stopping: true }
      }
    })
    const { code, stdout } = await run(['stop', '--deadline', '5s'])
    assert.deepEqual([code, stdout], [0, 'Stopped the supervisor (pid 4194305).\n'])
    assert.deepEqual(
      service.calls.find(({ method }) => method === 'shutdown'),
      { method: 'shutdown', params: { deadline: '5s' } }
    )
  })
})

describe('call', () => {
  it('ends with 2 after a method that does not exist, and after parameters that do not fit', async (t) => {
    const { run } = await supervised(t, {})
    assert.equal((await run(['call', 'nonsense'])).code, 2)
    assert.equal((await run(['call', 'job.get', '{"idd":1}'])).code, 2)
    assert.equal((await run(['call', 'job.get', '{'])).code, 2)
  })

  it('ends with 1 after a job that does not exist', async (t) => {
    const { run } = await supervised(t, {
      'job.get': async () => {
        throw new RuntimeError('JOB_UNKNOWN', 'No job "1".')
      }
    })
    assert.equal((await run(['call', 'job.get', '{"id":"1"}'])).code, 1)
  })
})

describe('as processes', { concurrency: true }, () => {
  const refused = async () => {
    throw new RuntimeError('WAIT_TIMEOUT', 'Not yet.')
  }
  const cases: { args: string[]; exit: number; answers: Partial<ServiceMethods> }[] = [
    { args: ['status'], exit: 0, answers: { status: async () => statusView() } },
    {
      args: ['enqueue', 'a.run', '--wait'],
      exit: 1,
      answers: { enqueue: async () => enqueued, 'job.wait': async () => jobView({ state: 'failed', error: thrown }) }
    },
    { args: ['call', 'job.wait', '{"id":"42"}'], exit: 4, answers: { 'job.wait': refused } }
  ]
  for (const { args, exit, answers } of cases) {
    it(`"${args.join(' ')}" ends with ${exit}`, async (t) => {
      const { folder } = await supervised(t, answers)
      const { code, stdout, stderr } = await startCli(t, folder, [...args, '--json']).ended
      assert.equal(code, exit)
      // One of the two streams holds one JSON value, the other nothing.
      assert.ok(typeof JSON.parse(stdout + stderr) === 'object')
      assert.equal(stdout === '', exit === 4)
    })
  }
})
