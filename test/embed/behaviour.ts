/**
 * What every `Runtime` does, whoever made it. Run on `createRuntime` and on `connect`: see behaviour.test.ts.
 */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import type { EnqueueOptions, EventGap, JobEvent, JobState, Runtime, RuntimeError } from '../../runtime/index.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

interface Subject {
  runtime: Runtime
  folder: string
}

/** @param open over a data directory, a socket path and an actors folder below `folder` */
export function behaviour(name: string, open: (test: TestContext, folder: string) => Promise<Runtime>): void {
  const subject = async (test: TestContext): Promise<Subject> => {
    const folder = temporaryFolder(test)
    mkdirSync(join(folder, 'actors'))
    writeFileSync(join(folder, 'actors', 'a.js'), actors)
    return { runtime: await open(test, folder), folder }
  }

  describe(`a runtime made by ${name}`, () => {
    test('runs a job to its result (E2, E10)', async (test) => {
      const { runtime } = await subject(test)
      const { id, state, deduplicated } = await runtime.enqueue('a.echo', { month: 3, nested: [1, { zwölf: '12' }] })
      assert.deepEqual([state, deduplicated], ['ready', false])
      const job = await runtime.job.wait(id)
      assert.equal(job.state, 'completed')
      assert.deepEqual(job.result, { month: 3, nested: [1, { zwölf: '12' }] })
      assert.deepEqual(job.attempts, { made: 1, max: 1 })
      assert.deepEqual(await runtime.job.get(id), job)
      for (const instant of [job.enqueuedAt, job.startedAt, job.finishedAt]) assert.match(instant!, /^\d{4}-.*Z$/)
    })

    test('enqueues a function that an actor module exports, and refuses any other (E1)', async (test) => {
      const { runtime, folder } = await subject(test)
      const module = await import(join(folder, 'actors', 'a.js'))
      const { id } = await runtime.enqueue(module.echo, { by: 'function' })
      assert.deepEqual((await runtime.job.wait(id)).result, { by: 'function' })
      await refused(
        runtime.enqueue(() => 1),
        'METHOD_UNKNOWN'
      )
    })

    test('answers an unknown method and queue with the nearest name (E2, E3)', async (test) => {
      const { runtime } = await subject(test)
      assert.match((await refused(runtime.enqueue('a.ecko'), 'METHOD_UNKNOWN')).message, /Did you mean "a.echo"/)
      const error = await refused(runtime.enqueue('a.echo', {}, { queue: 'shrt' }), 'QUEUE_UNKNOWN')
      assert.match(error.message, /Did you mean "short"/)
    })

    test('refuses what has no meaning, in words', async (test) => {
      const { runtime } = await subject(test)
      const wrong: [EnqueueOptions, RegExp][] = [
        [{ timeout: -1 }, /timeout/],
        [{ timeout: '5 parsecs' }, /timeout/],
        [{ delay: 1, runAt: Date.now() }, /exclude each other/],
        [{ attempts: 0 }, /attempts/],
        [{ priority: 1.5 }, /priority/],
        [{ deduplicate: true }, /jobId/],
        [{ retry: 3 } as EnqueueOptions, /retry/]
      ]
      for (const [options, words] of wrong) {
        assert.match((await refused(runtime.enqueue('a.echo', {}, options), 'PARAMS_INVALID')).message, words)
      }
      await refused(runtime.enqueue('a.echo', deep(100)), 'PARAMS_INVALID')
      await refused(runtime.enqueue('a.echo', 'x'.repeat(9 * 1024 * 1024)), 'PAYLOAD_TOO_LARGE')
    })

    test('enqueues many in one commit, all or none', async (test) => {
      const { runtime } = await subject(test)
      const { ids } = await runtime.enqueueMany([1, 2, 3].map((n) => ({ method: 'a.echo', params: n })))
      const jobs = await Promise.all(ids.map((id) => runtime.job.wait(id)))
      assert.deepEqual(
        jobs.map(({ result }) => result),
        [1, 2, 3]
      )
      const error = await refused(
        runtime.enqueueMany([
          { method: 'a.echo', jobName: 'half' },
          { method: 'a.echo', queue: 'nowhere' }
        ]),
        'QUEUE_UNKNOWN'
      )
      assert.equal(error.data.index, 1)
      assert.deepEqual((await runtime.job.list({ jobName: 'half' })).jobs, [])
    })

    test('keeps class, code, message and stack of what a method throws', async (test) => {
      const { runtime } = await subject(test)
      const { id } = await runtime.enqueue('a.fails')
      const { state, error } = await runtime.job.wait(id)
      assert.equal(state, 'failed')
      assert.equal(error!.code, 'THROWN')
      assert.deepEqual([error!.name, error!.message, error!.thrownCode], ['RangeError', 'out of range', 'E_RANGE'])
      assert.match(error!.stack!, /a\.js/)
    })

    test('tries again with backoff, and then succeeds or fails', async (test) => {
      const { runtime, folder } = await subject(test)
      const file = join(folder, 'tries')
      const backoff = { type: 'exponential', delay: '20ms' } as const
      const good = await runtime.enqueue('a.failsBefore', { file, tries: 3 }, { attempts: 3, backoff })
      const job = await runtime.job.wait(good.id)
      assert.equal(job.state, 'completed')
      assert.deepEqual(job.attempts, { made: 3, max: 3 })
      assert.deepEqual(
        job.history.map(({ outcome }) => outcome),
        ['failed', 'failed', 'completed']
      )
      const waits = job.history
        .slice(1)
        .map(({ startedAt }, n) => Date.parse(startedAt) - Date.parse(job.history[n]!.finishedAt))
      assert.ok(waits[0]! >= 20 && waits[1]! >= 40, `waited ${waits}`)
      const bad = await runtime.enqueue('a.fails', {}, { attempts: 2 })
      assert.deepEqual((await runtime.job.wait(bad.id)).attempts, { made: 2, max: 2 })
    })

    test('fails at once what is unrecoverable, and runs later what asks for it', async (test) => {
      const { runtime, folder } = await subject(test)
      const never = await runtime.enqueue('a.unrecoverable', {}, { attempts: 5 })
      const failed = await runtime.job.wait(never.id)
      assert.deepEqual([failed.state, failed.attempts.made, failed.error!.code], ['failed', 1, 'UNRECOVERABLE'])
      const later = await runtime.enqueue('a.laterBefore', { file: join(folder, 'later'), tries: 2 })
      const completed = await runtime.job.wait(later.id)
      assert.equal(completed.state, 'completed')
      assert.deepEqual(
        completed.history.map(({ outcome }) => outcome),
        ['retryLater', 'completed']
      )
    })

    test('kills a job at its deadline, whatever it does (E4)', async (test) => {
      const { runtime } = await subject(test)
      const { id } = await runtime.enqueue('a.spins', {}, { timeout: '300ms' })
      const job = await runtime.job.wait(id)
      assert.deepEqual([job.state, job.error!.code], ['failed', 'TIMEOUT'])
    })

    test('waits for delay and runAt, never early', async (test) => {
      const { runtime } = await subject(test)
      const dueAt = new Date(Date.now() + 150)
      const jobs = [
        await runtime.enqueue('a.echo', {}, { delay: '150ms' }),
        await runtime.enqueue('a.echo', {}, { runAt: dueAt }),
        await runtime.enqueue('a.echo', {}, { runAt: dueAt.getTime() }),
        await runtime.enqueue('a.echo', {}, { runAt: dueAt.toISOString() })
      ]
      for (const { id, state } of jobs) {
        assert.equal(state, 'scheduled')
        const { startedAt, runAt } = await runtime.job.wait(id)
        assert.ok(Date.parse(startedAt!) >= Date.parse(runAt!), `${startedAt} is before ${runAt}`)
      }
      const past = await runtime.enqueue('a.echo', {}, { runAt: '2020-01-01T00:00:00Z' })
      assert.equal(past.state, 'ready')
    })

    test('runs at front first, then larger priorities, then in order (E9)', async (test) => {
      const { runtime, folder } = await subject(test)
      const file = join(folder, 'order')
      await runtime.queue.pause('long')
      const last = await runtime.enqueue('a.appends', { file, text: 'low' }, { queue: 'long', priority: -1 })
      const options: [string, EnqueueOptions][] = [
        ['first', {}],
        ['second', {}],
        ['high', { priority: 5 }],
        ['front', { atFront: true }],
        ['before front', { atFront: true }]
      ]
      for (const [text, more] of options) await runtime.enqueue('a.appends', { file, text }, { queue: 'long', ...more })
      await runtime.queue.resume('long')
      await runtime.job.wait(last.id)
      assert.equal(readFileSync(file, 'utf8'), 'before front\nfront\nhigh\nfirst\nsecond\nlow\n')
    })

    test('refuses an id in use, or returns its job (jobId, deduplicate)', async (test) => {
      const { runtime } = await subject(test)
      await runtime.queue.pause('default')
      const first = await runtime.enqueue('a.echo', {}, { jobId: 'mine' })
      assert.equal(first.id, 'mine')
      await refused(runtime.enqueue('a.echo', {}, { jobId: 'mine' }), 'JOB_EXISTS')
      const again = await runtime.enqueue('a.echo', {}, { jobId: 'mine', deduplicate: true })
      assert.deepEqual(again, { id: 'mine', state: 'ready', deduplicated: true })
    })

    test('cancels in every state', async (test) => {
      const { runtime } = await subject(test)
      const running = await runtime.enqueue('a.spins', {}, { queue: 'short' })
      await until(runtime, running.id, 'running')
      await runtime.queue.pause('default')
      const ready = await runtime.enqueue('a.echo')
      const scheduled = await runtime.enqueue('a.echo', {}, { delay: '1h' })
      for (const { id } of [running, ready, scheduled]) {
        assert.deepEqual(await runtime.job.cancel(id), { id, state: 'cancelled', changed: true })
        const job = await runtime.job.wait(id)
        assert.deepEqual([job.state, job.error!.code], ['cancelled', 'CANCELLED'])
        assert.deepEqual(await runtime.job.cancel(id), { id, state: 'cancelled', changed: false })
      }
      const next = await runtime.enqueue('a.echo', {}, { queue: 'short' })
      assert.equal((await runtime.job.wait(next.id)).state, 'completed')
      await refused(runtime.job.cancel('no such job'), 'JOB_UNKNOWN')
    })

    test('retries by hand, also with other params', async (test) => {
      const { runtime } = await subject(test)
      const { id } = await runtime.enqueue('a.failsIf', { fail: true })
      assert.equal((await runtime.job.wait(id)).state, 'failed')
      assert.deepEqual(await runtime.job.retry(id, { params: { fail: false } }), { id, state: 'ready', changed: true })
      const job = await runtime.job.wait(id)
      assert.deepEqual([job.state, job.params], ['completed', { fail: false }])
      assert.equal(job.attempts.made, 2)
      const later = await runtime.enqueue('a.echo', {}, { delay: '1h' })
      await runtime.job.retry(later.id)
      assert.equal((await runtime.job.wait(later.id)).state, 'completed')
    })

    test('pauses, resumes, counts, purges and removes', async (test) => {
      const { runtime } = await subject(test)
      assert.equal((await runtime.queue.pause('default')).paused, true)
      const { ids } = await runtime.enqueueMany([1, 2, 3].map((n) => ({ method: 'a.echo', params: n })))
      await runtime.enqueue('a.echo', {}, { delay: '1h' })
      const view = (await runtime.queue.list()).find(({ queue }) => queue === 'default')!
      assert.deepEqual([view.counts.ready, view.counts.scheduled, view.configured], [3, 1, true])
      assert.deepEqual(await runtime.job.remove(ids[0]!), { id: ids[0], removed: true })
      await refused(runtime.job.get(ids[0]!), 'JOB_UNKNOWN')
      assert.deepEqual(await runtime.queue.purge('default'), { removed: 3 })
      assert.equal((await runtime.queue.resume('default')).paused, false)
      await refused(runtime.queue.pause('nowhere'), 'QUEUE_UNKNOWN')
    })

    test('lists by filter, page by page', async (test) => {
      const { runtime } = await subject(test)
      await runtime.queue.pause('default')
      const { ids } = await runtime.enqueueMany(
        Array.from({ length: 25 }, (_, n) => ({ method: 'a.echo', params: n, jobName: n % 2 === 0 ? 'even' : 'odd' }))
      )
      const seen: string[] = []
      let cursor: string | null = null
      do {
        const page = await runtime.job.list({ limit: 10, ...(cursor === null ? {} : { cursor }) })
        seen.push(...page.jobs.map(({ id }) => id))
        cursor = page.cursor
      } while (cursor !== null)
      assert.deepEqual(seen, ids.toReversed())
      assert.equal((await runtime.job.list({ jobName: 'even', state: 'ready' })).jobs.length, 13)
      assert.deepEqual((await runtime.job.list({ queue: 'long' })).jobs, [])
      await refused(runtime.job.list({ cursor: 'nonsense' }), 'PARAMS_INVALID')
    })

    test('tells progress, logs and every step of the life of a job', async (test) => {
      const { runtime } = await subject(test)
      await runtime.queue.pause('default')
      const { id } = await runtime.enqueue('a.talks')
      const events: JobEvent[] = []
      const finished = new Promise<void>((resolve) => {
        void runtime
          .subscribe({ job: id }, (event) => {
            events.push(event)
            if (event.type === 'completed') resolve()
          })
          .then(() => runtime.queue.resume('default'))
      })
      await finished
      assert.deepEqual(
        events.map(({ type }) => type),
        ['started', 'progress', 'log', 'log', 'completed']
      )
      const job = await runtime.job.get(id)
      assert.deepEqual(job.progress, { percent: 50, stage: 'half' })
      assert.deepEqual(
        job.logs.map(({ level, message }) => [level, message]),
        [
          ['info', 'hello 7'],
          ['info', 'printed']
        ]
      )
    })

    test('goes on with the events since a cursor, and tells where some are missing (issue 5.8)', async (test) => {
      const { runtime } = await subject(test)
      const told: [string, string][] = []
      const gaps: EventGap[] = []
      const first = await runtime.subscribe({ method: 'a.echo', types: ['completed'] }, ({ job }, cursor) =>
        told.push([job, cursor])
      )
      const ids: string[] = []
      for (let n = 0; n < 3; n++) {
        const { id } = await runtime.enqueue('a.echo', n)
        await runtime.job.wait(id)
        ids.push(id)
      }
      await runtime.status()
      assert.deepEqual(
        told.map(([job]) => job),
        ids
      )
      await first.unsubscribe()
      for (const [cursor, expected] of [
        [first.cursor, ids],
        [told[0]![1], ids.slice(1)],
        [told[2]![1], []]
      ] as const) {
        const again: string[] = []
        const filter = { method: 'a.echo', types: ['completed'] as const }
        const onGap = (gap: EventGap) => gaps.push(gap)
        const second = await runtime.subscribe(filter, ({ job }) => again.push(job), { cursor, onGap })
        assert.equal(second.cursor, cursor)
        await runtime.status()
        assert.deepEqual(again, expected)
        await second.unsubscribe()
      }
      assert.equal(gaps.length, 0)
      let afterGap: string | undefined
      const late = await runtime.subscribe({}, () => {}, {
        cursor: '0123456789ab-1',
        onGap: (gap, cursor) => {
          gaps.push(gap)
          afterGap = cursor
        }
      })
      await runtime.status()
      assert.deepEqual(gaps, [{ missed: null, reason: 'restarted' }])
      assert.equal(afterGap, late.cursor)
      await refused(
        runtime.subscribe({}, () => {}, { cursor: 'nonsense' }),
        'PARAMS_INVALID'
      )
    })

    test('answers with the outcome for now and isAsync: false (E5, E6)', async (test) => {
      const { runtime } = await subject(test)
      const good = await runtime.enqueue('a.echo', 5, { isAsync: false })
      assert.deepEqual([good.state, good.result], ['completed', 5])
      const bad = await runtime.enqueue('a.fails', {}, { now: true })
      assert.deepEqual([bad.state, bad.error!.message], ['failed', 'out of range'])
    })

    test('gives up waiting when asked to', async (test) => {
      const { runtime } = await subject(test)
      const { id } = await runtime.enqueue('a.echo', {}, { delay: '1h' })
      const error = await refused(runtime.job.wait(id, { timeout: '50ms' }), 'WAIT_TIMEOUT')
      assert.equal(error.data.state, 'scheduled')
    })

    test('shows its status, and answers any protocol method by name', async (test) => {
      const { runtime } = await subject(test)
      const status = await runtime.status()
      assert.deepEqual([status.state, status.pid, status.node], ['running', process.pid, process.version])
      assert.deepEqual(status.queues.map(({ queue }) => queue).sort(), ['default', 'long', 'short'])
      const { id } = (await runtime.call('enqueue', { method: 'a.echo' })) as { id: string }
      assert.equal((await runtime.job.wait(id)).state, 'completed')
    })

    test('stops twice without complaint, and is of no use after that', async (test) => {
      const { runtime } = await subject(test)
      await Promise.all([runtime.stop(), runtime.stop()])
      await assert.rejects(runtime.enqueue('a.echo'))
    })
  })
}

const actors = `
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
export const echo = (params) => params
export function fails() { throw Object.assign(new RangeError('out of range'), { code: 'E_RANGE' }) }
export function failsIf({ fail }) { if (fail) throw new Error('as told') }
function count(file) { appendFileSync(file, '.'); return readFileSync(file).length }
export function failsBefore({ file, tries }) { if (count(file) < tries) throw new Error('not yet') }
class RetryLater extends Error { name = 'RetryLater'; delay = '30ms' }
export function laterBefore({ file, tries }) { if (count(file) < tries) throw new RetryLater() }
class Unrecoverable extends Error { name = 'Unrecoverable' }
export function unrecoverable() { throw new Unrecoverable('never') }
export function spins() { while (true) {} }
export function appends({ file, text }) { appendFileSync(file, text + '\\n') }
export async function talks(params, ctx) {
  ctx.progress(50, 'half')
  ctx.log.info('hello', 7)
  console.log('printed')
}
`

async function refused(promise: Promise<unknown>, code: string): Promise<RuntimeError> {
  let refusal: RuntimeError | undefined
  await assert.rejects(promise, (error: RuntimeError) => {
    assert.equal(error.code, code, error.stack)
    refusal = error
    return true
  })
  return refusal!
}

/** Resolves when the job has come to a state. */
async function until(runtime: Runtime, id: string, state: JobState): Promise<void> {
  let arrived!: () => void
  const arrival = new Promise<void>((resolve) => {
    arrived = resolve
  })
  const subscription = await runtime.subscribe({ job: id }, (event) => {
    if (event.state === state) arrived()
  })
  if ((await runtime.job.get(id)).state === state) arrived()
  await arrival
  await subscription.unsubscribe()
}

function deep(levels: number): unknown {
  let value: unknown = 1
  for (let level = 0; level < levels; level++) value = [value]
  return value
}
