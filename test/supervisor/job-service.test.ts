/** What the service makes of requests, over a queue that remembers what it was asked. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { EventStream } from '../../runtime/core/events.ts'
import type { QueueView } from '../../runtime/core/job.ts'
import { JobService, type JobServiceParts } from '../../runtime/supervisor/job-service.ts'
import { isIdle, QueueWaiters } from '../../runtime/supervisor/queue-waiters.ts'
import { Waiters } from '../../runtime/supervisor/waiters.ts'
import { ArmedTimers } from '../../runtime/wheel/armed-timers.ts'
import { queueView } from '../cli/fake-service.ts'
import { FakeTime } from '../wheel/fake-time.ts'

const nowMs = Date.parse('2026-01-31T12:00:00.000Z')
const none = { scheduled: 0, ready: 0, running: 0, completed: 0, failed: 0, cancelled: 0 }

class FakeQueue {
  readonly calls: unknown[][] = []
  readonly counts: Record<string, QueueView['counts']> = { default: { ...none }, long: { ...none } }
  looks = 0

  queue(name: string): QueueView {
    this.looks += 1
    return queueView({ queue: name, counts: { ...this.counts[name]! } })
  }
  /** All that is remembered of a job is how it ended, unless it is one of these. */
  readonly jobs = new Map<string, { id: string; queue: string; state: string }>()
  async enqueue() {
    return [{ id: 'gone', state: 'completed', deduplicated: true }]
  }
  get(id: string) {
    const job = this.jobs.get(id)
    if (job !== undefined) return job
    throw new RuntimeError('JOB_UNKNOWN', `Cannot show job "${id}".`)
  }
  async setPaused(queue: string, ...args: unknown[]): Promise<QueueView> {
    this.calls.push(['setPaused', queue, ...args])
    return queueView({ queue })
  }
  async move(...args: unknown[]) {
    this.calls.push(['move', ...args])
    return { id: 'j', state: 'ready', changed: true }
  }
  async bulk(...args: unknown[]) {
    this.calls.push(['bulk', ...args])
    return { changed: 1, cursor: null }
  }
  readonly documents = {
    get: (...args: unknown[]) => this.#asked('get', args),
    list: (...args: unknown[]) => this.#asked('list', args),
    remove: async (...args: unknown[]) => this.#asked('remove', args),
    cancelReminder: async (...args: unknown[]) => this.#asked('cancelReminder', args)
  }
  #asked(what: string, args: unknown[]): unknown {
    this.calls.push([what, ...args])
    return { answer: what }
  }
  async purge(...args: unknown[]) {
    this.calls.push(['purge', ...args])
    return 1
  }
}

function serviceOver(stopping = false) {
  const queue = new FakeQueue()
  const events = new EventStream()
  const time = new FakeTime()
  const trace = { progress: null, logs: [] }
  const waiters = new Waiters()
  const queueWaiters = new QueueWaiters((name) => isIdle(queue.queue(name)))
  const service = new JobService({
    queue: queue as unknown as JobServiceParts['queue'],
    dispatchers: new Map([['long', { trace: (id: string) => (id === 'runs' ? trace : undefined) }]]) as never,
    events,
    timers: new ArmedTimers(time.clock, time.alarm),
    waiters,
    queueWaiters,
    nowMs: () => nowMs,
    isStopping: () => stopping
  } as unknown as JobServiceParts)
  /** @returns how often queues were looked at because of it */
  const commit = async () => {
    const before = queue.looks
    queueWaiters.committed()
    await new Promise((resolve) => setImmediate(resolve))
    return queue.looks - before
  }
  return { service, methods: service.methods, queue, events, commit, time, trace, waiters, queueWaiters }
}

describe('enqueue with isAsync: false (issue 5.9)', () => {
  it('answers with how the job ended that its window remembers, where nothing else is kept of it', async () => {
    const { methods } = serviceOver()
    assert.deepEqual(
      await methods.enqueue({ method: 'a.b', jobId: 'gone', deduplicate: { for: '10m' }, isAsync: false }),
      { id: 'gone', state: 'completed', deduplicated: true }
    )
  })
})

describe('job.wait (issue 7.7)', () => {
  it('ends where the job is removed, also where another one has its id at once', async () => {
    const { methods, queue, waiters } = serviceOver()
    queue.jobs.set('x', { id: 'x', queue: 'default', state: 'ready' })
    const waited = methods['job.wait']({ id: 'x' })
    waiters.ended('x', undefined)
    await assert.rejects(waited, { code: 'JOB_UNKNOWN', message: /removed before it had finished/ })
  })
})

describe('queue.pause until (issue 5.7)', () => {
  it('takes a duration from now or an instant; resume has no end', async () => {
    const { methods, queue } = serviceOver()
    await methods['queue.pause']({ queue: 'long', until: '2h' })
    await methods['queue.pause']({ queue: 'long', until: 90 })
    await methods['queue.pause']({ queue: 'long', until: '2026-02-01T00:00:00Z' })
    await methods['queue.pause']({ queue: 'long', until: '99 w' })
    await methods['queue.pause']({ queue: 'long' })
    await methods['queue.resume']({ queue: 'long' })
    assert.deepEqual(queue.calls, [
      ['setPaused', 'long', true, nowMs + 7_200_000],
      ['setPaused', 'long', true, nowMs + 90_000],
      ['setPaused', 'long', true, Date.UTC(2026, 1, 1)],
      ['setPaused', 'long', true, nowMs + 99 * 7 * 86_400_000],
      ['setPaused', 'long', true, null],
      ['setPaused', 'long', false, null]
    ])
  })
})

describe('documents (issue 6.1, 6.6)', () => {
  it('are shown, listed, exported, removed and rid of reminders by the queue', async () => {
    const { methods, queue } = serviceOver()
    const id = { type: 'd.Doc', name: 'x' }
    const answers = [
      await methods['doc.get'](id),
      await methods['doc.list']({ type: 'd.Doc', limit: 5, cursor: 'c' }),
      await methods['doc.export']({}),
      await methods['doc.remove'](id),
      await methods['doc.cancelReminder']({ ...id, reminder: 'r' })
    ]
    assert.deepEqual(answers, [
      { answer: 'get' },
      { answer: 'list' },
      { answer: 'list' },
      { ...id, removed: true },
      { answer: 'cancelReminder' }
    ])
    assert.deepEqual(queue.calls, [
      ['get', id],
      ['list', { type: 'd.Doc', limit: 5, cursor: 'c' }],
      ['list', {}],
      ['remove', id],
      ['cancelReminder', id, 'r']
    ])
  })
})

describe('changes of many jobs (issue 5.7)', () => {
  it('are steps of the queue', async () => {
    const { methods, queue, trace } = serviceOver()
    const selection = { queue: 'long', key: 'k', limit: 5, cursor: 'c' }
    await methods['job.cancelMany'](selection)
    await methods['job.retryMany']({ ...selection, params: null })
    await methods['job.retryMany'](selection)
    await methods['job.removeMany']({ ...selection, state: 'failed' })
    await methods['job.moveMany']({ ...selection, to: 'short' })
    await methods['job.move']({ id: 'j', queue: 'short' })
    const [cancel, ...others] = queue.calls
    const { type, traceOf } = cancel![1] as { type: string; traceOf: (queue: string, id: string) => unknown }
    assert.deepEqual([type, cancel![2]], ['cancel', selection])
    assert.equal(traceOf('long', 'runs'), trace)
    assert.equal(traceOf('nowhere', 'runs'), undefined)
    assert.deepEqual(others, [
      ['bulk', { type: 'retry', params: null }, selection],
      ['bulk', { type: 'retry' }, selection],
      ['bulk', { type: 'remove' }, { ...selection, state: 'failed' }],
      ['bulk', { type: 'move', to: 'short' }, selection],
      ['move', 'j', 'short']
    ])
  })

  it('never remove what runs', async () => {
    const { methods, queue } = serviceOver()
    await assert.rejects(methods['job.removeMany']({ state: 'running' }), { code: 'JOB_STATE' })
    await assert.rejects(methods['queue.purge']({ queue: 'long', state: 'running' }), { code: 'JOB_STATE' })
    assert.deepEqual(queue.calls, [])
  })

  it('start no job while the supervisor stops', async () => {
    const { methods, queue } = serviceOver(true)
    await assert.rejects(methods['job.retryMany']({}), { code: 'STOPPING' })
    await methods['job.cancelMany']({})
    assert.equal(queue.calls.length, 1)
  })
})

describe('queue.drain (issue 5.7)', () => {
  it('is answered at once where nothing is ready or running', async () => {
    const { methods, queue, commit } = serviceOver()
    queue.counts.default!.scheduled = 3
    assert.equal((await methods['queue.drain']({ queue: 'default' })).counts.scheduled, 3)
    assert.equal(await commit(), 0)
  })

  it('is answered after the commit with which the last job has left', async () => {
    const { methods, queue, commit } = serviceOver()
    queue.counts.default!.running = 1
    let answered = false
    const drained = methods['queue.drain']({ queue: 'default' }).then(() => {
      answered = true
    })
    await commit()
    assert.equal(answered, false)
    queue.counts.default!.running = 0
    await commit()
    await drained
    assert.equal(await commit(), 0, 'costs nothing any more')
  })

  it('looks once for commits that are told together', async () => {
    const { methods, queue, queueWaiters, commit } = serviceOver()
    queue.counts.default!.ready = 1
    const drained = methods['queue.drain']({ queue: 'default' })
    for (let n = 0; n < 100; n++) queueWaiters.committed()
    assert.equal(await commit(), 1)
    queue.counts.default!.ready = 0
    await commit()
    await drained
  })

  it('gives up after its time, and says what is left', async () => {
    const { methods, queue, commit, time } = serviceOver()
    Object.assign(queue.counts.default!, { ready: 2, running: 1 })
    const drained = methods['queue.drain']({ queue: 'default', timeout: '5s' })
    time.runUntil(6_000)
    await assert.rejects(drained, (error: { code: string; message: string; data: object }) => {
      assert.equal(error.code, 'WAIT_TIMEOUT')
      assert.match(error.message, /^Waited 5s for queue "default": 2 of its jobs are still ready and 1 running/)
      assert.deepEqual(error.data, { queue: 'default', ready: 2, running: 1 })
      return true
    })
    assert.equal(await commit(), 0)
  })

  it('is told when the supervisor stops', async () => {
    const { service, methods, queue, time } = serviceOver()
    queue.counts.default!.ready = 1
    queue.counts.long!.ready = 1
    const drained = ['default', 'default', 'long'].map((name) => methods['queue.drain']({ queue: name, timeout: 9 }))
    service.stop()
    for (const wait of drained) await assert.rejects(wait, { code: 'STOPPING' })
    assert.equal(time.alarmAtMs, undefined, 'its time-out is cancelled')
  })
})

describe('a caller that is gone', () => {
  it('leaves nothing of its waits behind (issue 7.6)', async () => {
    const { methods, queue, commit, time } = serviceOver()
    queue.counts.default!.ready = 1
    const gone = new Set<() => void>()
    const caller = {
      onGone(listener: () => void) {
        gone.add(listener)
        return () => gone.delete(listener)
      }
    }
    let isSettled = false
    const settled = () => {
      isSettled = true
    }
    methods['queue.drain']({ queue: 'default', timeout: 60 }, caller).then(settled, settled)
    await Promise.resolve()
    assert.equal(gone.size, 1)
    assert.equal(await commit(), 1)
    for (const leave of gone) leave()
    assert.equal(await commit(), 0)
    time.runUntil(120_000)
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(isSettled, false)
    gone.clear()
    const timedOut = methods['queue.drain']({ queue: 'default', timeout: 60 }, caller)
    await Promise.resolve()
    time.runUntil(240_000)
    await assert.rejects(timedOut, { code: 'WAIT_TIMEOUT' })
    assert.equal(gone.size, 0)
  })
})
