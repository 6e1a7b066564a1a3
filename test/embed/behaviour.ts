/**
 * What every `Runtime` does, whoever made it. Run on `createRuntime` and on `connect`: see behaviour.test.ts.
 */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import type {
  Backoff,
  EnqueueOptions,
  ErrorCode,
  EventGap,
  JobEvent,
  JobFilter,
  JobState,
  JobView,
  Runtime,
  TransactionScope
} from '../../runtime/index.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { type Open, refused } from './subjects.ts'

interface Subject {
  runtime: Runtime
  folder: string
}

/** @param open over a data directory, a socket path and an actors folder below `folder` */
export function behaviour(name: string, open: Open): void {
  const subject = async (test: TestContext, more: Record<string, string> = {}): Promise<Subject> => {
    const folder = temporaryFolder(test)
    mkdirSync(join(folder, 'actors'))
    for (const [file, text] of Object.entries({ 'a.js': actors, ...more })) {
      writeFileSync(join(folder, 'actors', file), text)
    }
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

    test('does a transaction all or not at all (issue 6.4)', async (test) => {
      const { runtime, folder } = await subject(test, { 'bank.js': bank })
      const { Account } = await import(join(folder, 'actors', 'bank.js'))
      const { echo } = await import(join(folder, 'actors', 'a.js'))
      const spinning = (await runtime.enqueue('a.spins')).id
      await until(runtime, spinning, 'running')
      const waiting = (await runtime.enqueue('a.echo', {}, { delay: '1h' })).id
      const params = { n: 1 }
      const ids = await runtime.transaction(async (tx) => {
        const first = tx.enqueue('a.echo', params, { jobName: 'in transaction' })
        params.n = 2
        const second = tx.enqueue(echo, params, { jobId: 'mine', dependsOn: [0] })
        const [third, fourth] = tx.enqueueMany([
          { method: 'a.echo', runAt: new Date('2099-01-01'), dependsOn: [first.id] },
          { method: 'a.echo', dependsOn: [0] }
        ]).ids
        tx.cancel(waiting)
        tx.cancel(spinning)
        tx.setState('bank.Account', 'a', { balance: 10 })
        tx.setState(Account, 'b', { balance: 20 })
        assert.deepEqual(await tx.getState(Account, 'a'), { balance: 10 })
        tx.removeState('bank.Account', 'c')
        assert.equal(await tx.getState('bank.Account', 'c'), undefined)
        return [first.id, second.id, third!, fourth!]
      })
      assert.equal(ids[1], 'mine')
      assert.deepEqual((await runtime.job.wait(ids[0]!)).result, { n: 1 })
      assert.deepEqual((await runtime.job.wait('mine')).result, { n: 2 })
      assert.equal((await runtime.job.get(ids[2]!)).runAt, '2099-01-01T00:00:00.000Z')
      assert.deepEqual((await runtime.job.get(ids[3]!)).dependsOn, [ids[2]], 'an index counts the jobs of its call')
      assert.equal((await runtime.job.get(waiting)).state, 'cancelled')
      assert.equal((await runtime.job.wait(spinning)).error!.code, 'CANCELLED')
      assert.deepEqual((await runtime.doc.get(Account, 'b')).state, { balance: 20 })

      const half = (tx: TransactionScope) => {
        tx.enqueue('a.echo', {}, { jobName: 'half' })
        tx.setState(Account, 'a', { balance: 0 })
        tx.cancel(ids[2]!)
      }
      await assert.rejects(
        runtime.transaction((tx) => {
          half(tx)
          throw new RangeError('changed my mind')
        }),
        RangeError
      )
      const refusals: [ErrorCode, (tx: TransactionScope) => void][] = [
        ['METHOD_UNKNOWN', (tx) => tx.enqueue('a.ecko')],
        ['QUEUE_UNKNOWN', (tx) => tx.enqueue('a.echo', {}, { queue: 'shrt' })],
        ['JOB_EXISTS', (tx) => tx.enqueue('a.echo', {}, { jobId: 'mine' })],
        ['PARAMS_INVALID', (tx) => tx.enqueue('a.echo', {}, { timeout: -1 })],
        ['PARAMS_INVALID', (tx) => tx.setState('bank.Account', 'a', undefined)],
        ['PARAMS_INVALID', (tx) => tx.setState('bank.Account', 'a', () => 1)],
        ['PARAMS_INVALID', (tx) => tx.setState('bank.Account', 'a', deep(100))],
        ['PARAMS_INVALID', (tx) => tx.setState('bank.Account', '', 1)],
        ['METHOD_UNKNOWN', (tx) => tx.setState('bank.Acount', 'a', 1)],
        ['PAYLOAD_TOO_LARGE', (tx) => tx.setState('bank.Account', 'a', 'x'.repeat(9 * 1024 * 1024))],
        ['JOB_UNKNOWN', (tx) => tx.cancel('nobody')]
      ]
      for (const [code, operation] of refusals) {
        const refusal = await refused(
          runtime.transaction((tx) => {
            half(tx)
            operation(tx)
          }),
          code
        )
        if (code === 'METHOD_UNKNOWN') assert.match(refusal.message, /Did you mean/)
      }
      assert.deepEqual((await runtime.job.list({ jobName: 'half' })).jobs, [])
      assert.deepEqual((await runtime.doc.get('bank.Account', 'a')).state, { balance: 10 })
      assert.equal((await runtime.job.get(ids[2]!)).state, 'scheduled')
      assert.equal(await runtime.transaction(() => 'nothing'), 'nothing')
    })

    test('runs a transaction again when a document it has read was changed meanwhile (issue 6.4)', async (test) => {
      const { runtime, folder } = await subject(test)
      writeFileSync(join(folder, 'actors', 'bank.js'), bank)
      const add = (amount: number) =>
        runtime.transaction(
          async (tx) => {
            const before = await tx.getState<{ balance: number }>('bank.Account', 'a')
            tx.setState('bank.Account', 'a', { balance: (before?.balance ?? 0) + amount })
          },
          { attempts: 100 }
        )
      await Promise.all([1, 2, 3, 4, 5].map(add))
      assert.deepEqual((await runtime.doc.get('bank.Account', 'a')).state, { balance: 15 })

      let runs = 0
      const never = runtime.transaction(
        async (tx) => {
          runs++
          await tx.getState('bank.Account', 'a')
          tx.removeState('bank.Account', 'a')
          await runtime.transaction((other) => other.setState('bank.Account', 'a', { balance: runs }))
        },
        { attempts: 3 }
      )
      await refused(never, 'DOCUMENT_CHANGED')
      assert.equal(runs, 3)
      await runtime.transaction(async (tx) => {
        await tx.getState('bank.Account', 'a')
        await runtime.transaction((other) => other.setState('bank.Account', 'a', { balance: -1 }))
        tx.setState('bank.Account', 'b', 'a was only read')
      })
      assert.deepEqual((await runtime.doc.get('bank.Account', 'a')).state, { balance: -1 })
    })

    test('refuses what a transaction cannot do (issue 6.4)', async (test) => {
      const { runtime } = await subject(test)
      const waits = { now: true } as object
      await assert.rejects(
        runtime.transaction((tx) => tx.enqueue('a.echo', {}, waits)),
        TypeError
      )
      let ended!: TransactionScope
      await runtime.transaction((tx) => {
        ended = tx
      })
      assert.throws(() => ended.enqueue('a.echo'), TypeError)
      await assert.rejects(ended.getState('bank.Account', 'a'), TypeError)
      for (const operation of [{ op: 'cancel' }, { op: 'enqueue', id: 'x' }, { op: 'shout' }, 7]) {
        await refused(runtime.call('transaction', { operations: [operation] }), 'PARAMS_INVALID')
      }
    })

    test('does what was prepared when the program says so, or decide does (issue 6.4)', async (test) => {
      const { runtime, folder } = await subject(test)
      writeFileSync(join(folder, 'actors', 'bank.js'), bank)
      const decided = new Set<string>()
      let asked!: (id: string) => void
      const outbox = runtime.outbox({
        name: 'orders',
        timeout: '100ms',
        decide: (id) => {
          asked(id)
          return decided.has(id) ? 'commit' : 'abort'
        }
      })
      const nextAsked = () =>
        new Promise<string>((resolve) => {
          asked = resolve
        })
      const prepare = (jobId: string) =>
        outbox.prepare((tx) => {
          tx.enqueue('a.echo', { jobId }, { jobId, expires: new Date('2099-01-01') })
          tx.setState('bank.Account', jobId, { jobId })
        })
      const committed = await prepare('committed')
      await refused(runtime.job.get('committed'), 'JOB_UNKNOWN')
      assert.equal((await committed.commit()).jobs[0]!.id, 'committed')
      assert.deepEqual((await runtime.job.wait('committed')).result, { jobId: 'committed' })
      assert.deepEqual((await runtime.doc.get('bank.Account', 'committed')).state, { jobId: 'committed' })
      await (await prepare('aborted')).abort()

      const kept = nextAsked()
      const forgotten = await prepare('forgotten')
      decided.add(forgotten.id)
      assert.equal(await kept, forgotten.id)
      await arrived(runtime, 'forgotten')
      assert.equal((await runtime.job.wait('forgotten')).state, 'completed')
      const dropped = nextAsked()
      const lost = await prepare('lost')
      assert.equal(await dropped, lost.id)
      await lost.abort()
      await outbox.stop()
      assert.deepEqual(await runtime.call('outbox.list', {}), { prepared: [] })
      await refused(lost.commit(), 'OUTBOX_UNKNOWN')
      for (const id of ['aborted', 'lost']) await refused(runtime.job.get(id), 'JOB_UNKNOWN')
      await refused(prepareUnknown(runtime), 'METHOD_UNKNOWN')
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

    test('shares one job per window, for callers of one id (issue 5.1: deduplicate for)', async (test) => {
      const { runtime } = await subject(test)
      const options = { jobId: 'once', deduplicate: { for: '1h' } }
      const first = await runtime.enqueue('a.echo', 1, options)
      assert.deepEqual([first.id, first.deduplicated], ['once', false])
      await runtime.job.wait('once')
      const again = await runtime.enqueue('a.echo', 2, options)
      assert.deepEqual([again.id, again.state, again.deduplicated], ['once', 'completed', true])
      assert.equal((await runtime.job.get('once')).result, 1)
    })

    test('replaces the waiting job and starts its wait again (issue 5.1: debounce)', async (test) => {
      const { runtime } = await subject(test)
      const options = { jobId: 'calm', deduplicate: { debounce: '3s' } }
      assert.equal((await runtime.enqueue('a.echo', 'old', options)).state, 'scheduled')
      const firstDueAt = Date.parse((await runtime.job.get('calm')).runAt!)
      await until(runtime, (await runtime.enqueue('a.echo', {}, { delay: '50ms' })).id, 'completed')
      assert.equal((await runtime.enqueue('a.echo', 'new', options)).deduplicated, true)
      const job = await runtime.job.wait('calm')
      assert.deepEqual([job.state, job.result, job.attempts.made], ['completed', 'new', 1])
      assert.ok(Date.parse(job.startedAt!) >= firstDueAt + 50, `started ${job.startedAt}`)
    })

    test('keeps one successor with the newest params while a job runs (issue 5.1: keepLast)', async (test) => {
      const { runtime, folder } = await subject(test)
      const gate = join(folder, 'gate')
      const options = { jobId: 'last', deduplicate: { keepLast: true } } as const
      await runtime.enqueue('a.waitsFor', { gate, text: 1 }, options)
      await until(runtime, 'last', 'running')
      for (const text of [2, 3, 4]) {
        assert.equal((await runtime.enqueue('a.waitsFor', { gate, text }, options)).id, 'last~next')
      }
      writeFileSync(gate, '')
      assert.equal((await runtime.job.wait('last~next')).result, 4)
      assert.equal((await runtime.job.get('last')).result, 1)
      assert.equal((await runtime.job.list({ method: 'a.waitsFor' })).jobs.length, 2)
    })

    test('runs the successor also after a failure, and after a cancel (issue 5.1: keepLast)', async (test) => {
      const { runtime, folder } = await subject(test)
      const gate = join(folder, 'gate')
      const start = async (jobId: string) => {
        const options = { jobId, deduplicate: { keepLast: true } } as const
        await runtime.enqueue('a.waitsFor', { gate, fails: true }, options)
        await until(runtime, jobId, 'running')
        await runtime.enqueue('a.echo', 'next', options)
      }
      await start('fails')
      await start('cancelled')
      await runtime.job.cancel('cancelled')
      writeFileSync(gate, '')
      for (const [id, state] of [
        ['fails', 'failed'],
        ['cancelled', 'cancelled']
      ]) {
        assert.equal((await runtime.job.wait(`${id}~next`)).result, 'next')
        assert.equal((await runtime.job.get(id!)).state, state)
      }
    })

    test('waits by list, and tries again only after the errors that it is told (issue 5.2)', async (test) => {
      const { runtime, folder } = await subject(test)
      const backoff = { type: 'list', delays: ['10ms', '60ms'] } satisfies Backoff
      const file = join(folder, 'tries')
      const { id } = await runtime.enqueue('a.failsBefore', { file, tries: 4 }, { attempts: 4, backoff })
      const { history } = await runtime.job.wait(id)
      const waits = history
        .slice(1)
        .map(({ startedAt }, n) => Date.parse(startedAt) - Date.parse(history[n]!.finishedAt))
      assert.ok(waits[0]! >= 10 && waits[1]! >= 60 && waits[2]! >= 60, `waited ${waits}`)
      const made = async (options: EnqueueOptions) => {
        const job = await runtime.enqueue('a.fails', {}, { attempts: 3, ...options })
        return (await runtime.job.wait(job.id)).attempts.made
      }
      assert.equal(await made({ retryOn: ['TIMEOUT'] }), 1)
      assert.equal(await made({ retryOn: ['TIMEOUT', 'E_RANGE'] }), 3)
      assert.equal(await made({ noRetryOn: ['RangeError'] }), 1)
      assert.equal(await made({ noRetryOn: ['TypeError'] }), 3)
      await refused(runtime.enqueue('a.echo', {}, { backoff: { type: 'list' } }), 'PARAMS_INVALID')
    })

    test('runs one key strictly in order, also over retries (issue 5.3)', async (test) => {
      const { runtime, folder } = await subject(test)
      const file = join(folder, 'order')
      const options = { key: 'k', keyConcurrency: 1, attempts: 3, backoff: { type: 'fixed', delay: '20ms' } } as const
      const { ids } = await runtime.enqueueMany(
        [1, 2, 3, 4, 5].map((text) => ({ method: 'a.appendsAtLast', params: { file, text, folder }, ...options }))
      )
      const jobs = await Promise.all(ids.map((id) => runtime.job.wait(id)))
      assert.ok(jobs.every(({ state, attempts }) => state === 'completed' && attempts.made === 2))
      assert.equal(readFileSync(file, 'utf8'), '1\n2\n3\n4\n5\n')
      assert.deepEqual([jobs[0]!.key, jobs[0]!.keyConcurrency], ['k', 1])
      await refused(runtime.enqueue('a.echo', {}, { keyConcurrency: 1 }), 'PARAMS_INVALID')
    })

    test('lets keys take turns (issue 5.3)', async (test) => {
      const { runtime, folder } = await subject(test)
      const file = join(folder, 'turns')
      await runtime.queue.pause('long')
      const request = (key: string) => ({ method: 'a.appends', params: { file, text: key }, queue: 'long', key })
      const { ids } = await runtime.enqueueMany([
        ...Array.from({ length: 20 }, () => request('many')),
        request('few'),
        request('few')
      ])
      await runtime.queue.resume('long')
      await Promise.all(ids.map((id) => runtime.job.wait(id)))
      const order = readFileSync(file, 'utf8').trim().split('\n')
      assert.ok(order.lastIndexOf('few') < 6, `${order}`)
    })

    test('starts no more than the rate limit allows (issue 5.3)', async (test) => {
      const { runtime } = await subject(test)
      const { ids } = await runtime.enqueueMany(Array.from({ length: 8 }, () => ({ method: 'a.echo', queue: 'short' })))
      const jobs = await Promise.all(ids.map((id) => runtime.job.wait(id)))
      const startsMs = jobs.map(({ startedAt }) => Date.parse(startedAt!)).sort((a, b) => a - b)
      for (const [index, startMs] of startsMs.entries()) {
        const fourth = startsMs[index + 3]
        assert.ok(fourth === undefined || fourth - startMs >= 500, `${startsMs.map((ms) => ms - startsMs[0]!)}`)
      }
    })

    test('starts a job when those it depends on have finished, with their results (issue 5.4)', async (test) => {
      const { runtime } = await subject(test)
      const first = await runtime.enqueue('a.echo', 'from before')
      const { ids } = await runtime.enqueueMany([
        { method: 'a.parents', dependsOn: [1, 2, first.id], jobName: 'end' },
        { method: 'a.echo', params: 'one', delay: '30ms' },
        { method: 'a.echo', params: 'two', dependsOn: [1] }
      ])
      const waiting = await runtime.job.get(ids[0]!)
      assert.equal(waiting.state, 'scheduled')
      assert.equal(waiting.dependencies!.total, 3)
      assert.deepEqual([...waiting.dependsOn!].sort(), [first.id, ids[1]!, ids[2]!].sort())
      const { result, dependencies } = await runtime.job.wait(ids[0]!)
      assert.deepEqual(result, [
        { id: first.id, state: 'completed', result: 'from before' },
        { id: ids[1], state: 'completed', result: 'one' },
        { id: ids[2], state: 'completed', result: 'two' }
      ])
      assert.deepEqual(dependencies, { total: 3, completed: 3, failed: 0, cancelled: 0 })
      const circle = [
        { method: 'a.echo', dependsOn: [1] },
        { method: 'a.echo', dependsOn: [0] }
      ]
      assert.match((await refused(runtime.enqueueMany(circle), 'PARAMS_INVALID')).message, /circle/)
      await refused(runtime.enqueue('a.echo', {}, { dependsOn: ['no such job'] }), 'JOB_UNKNOWN')
    })

    test('runs the last job of a batch when all others are done (issue 5.4)', async (test) => {
      const { runtime } = await subject(test)
      const { ids } = await runtime.enqueueMany([
        ...Array.from({ length: 20 }, (_, n) => ({ method: 'a.echo', params: n })),
        { method: 'a.parents', dependsOn: 'others' as const }
      ])
      const results = (await runtime.job.wait(ids.at(-1)!)).result as { result: number }[]
      assert.deepEqual(
        results.map(({ result }) => result),
        Array.from({ length: 20 }, (_, n) => n)
      )
    })

    test('fails, cancels or runs what depends on a job that failed, as it says (issue 5.4)', async (test) => {
      const { runtime } = await subject(test)
      const { ids } = await runtime.enqueueMany([
        { method: 'a.fails', delay: '20ms' },
        { method: 'a.echo', dependsOn: [0] },
        { method: 'a.echo', dependsOn: [0], onParentFailure: 'cancel' },
        { method: 'a.parents', dependsOn: [0], onParentFailure: 'release' },
        { method: 'a.echo', dependsOn: [1] }
      ])
      const jobs = await Promise.all(ids.map((id) => runtime.job.wait(id)))
      assert.deepEqual(
        jobs.map(({ state }) => state),
        ['failed', 'failed', 'cancelled', 'completed', 'failed']
      )
      assert.match(jobs[1]!.error!.message, new RegExp(ids[0]!))
      assert.deepEqual(jobs[3]!.result, [{ id: ids[0], state: 'failed' }])
    })

    test('enqueues what follows a success or a failure, with what became of the job (issue 5.4)', async (test) => {
      const { runtime } = await subject(test)
      const followed = async (method: string, options: EnqueueOptions) => {
        const following = nextOf(runtime, 'a.follows')
        const { id } = await runtime.enqueue(method, { month: 3 }, options)
        const follower = await runtime.job.wait(await following)
        return { id, ...(follower.result as unknown as { job: JobView; note?: string }) }
      }
      const good = await followed('a.echo', { onSuccess: 'a.follows', onFailure: 'a.spins' })
      assert.deepEqual([good.job.id, good.job.method, good.job.state], [good.id, 'a.echo', 'completed'])
      assert.deepEqual([good.job.params, good.job.result], [{ month: 3 }, { month: 3 }])
      const onFailure = { method: 'a.follows', params: { note: 'sorry' } }
      const bad = await followed('a.fails', { attempts: 2, onSuccess: 'a.spins', onFailure })
      assert.deepEqual([bad.job.id, bad.job.state, bad.note], [bad.id, 'failed', 'sorry'])
      assert.equal(bad.job.error!.message, 'out of range')
      assert.deepEqual((await runtime.job.list({ method: 'a.spins' })).jobs, [])
    })

    test('cancels what was not started before it expired (issue 5.5)', async (test) => {
      const { runtime } = await subject(test)
      await runtime.queue.pause('default')
      const soon = await runtime.enqueue('a.echo', {}, { expires: '50ms' })
      const later = await runtime.enqueue('a.echo', {}, { expires: new Date(Date.now() + 3_600_000) })
      const job = await runtime.job.wait(soon.id)
      assert.deepEqual([job.state, job.error!.code, job.attempts.made], ['cancelled', 'CANCELLED', 0])
      assert.ok(Date.parse(job.finishedAt!) >= Date.parse(job.expiresAt!))
      await runtime.queue.resume('default')
      assert.equal((await runtime.job.wait(later.id)).state, 'completed')
      await refused(runtime.enqueue('a.echo', {}, { expires: '2020-01-01' }), 'PARAMS_INVALID')
    })

    test('forgets finished jobs as they or their queue say (issue 5.6)', async (test) => {
      const { runtime } = await subject(test)
      const none = await runtime.enqueue('a.echo', 5, { resultTtl: 0, isAsync: false })
      assert.deepEqual([none.state, none.result], ['completed', 5])
      await gone(runtime, none.id)
      const brief = await runtime.enqueue('a.fails', {}, { retention: { failed: { age: '50ms' } } })
      assert.equal((await runtime.job.wait(brief.id)).state, 'failed')
      await gone(runtime, brief.id)
      const failures: string[] = []
      for (let n = 0; n < 4; n++) {
        const { id } = await runtime.enqueue('a.fails', {}, { queue: 'short' })
        await runtime.job.wait(id)
        failures.push(id)
      }
      for (const id of failures.slice(0, 2)) await gone(runtime, id)
      const { jobs } = await runtime.job.list({ queue: 'short', state: 'failed' })
      assert.deepEqual(
        jobs.map(({ id }) => id),
        failures.slice(2).reverse()
      )
    })

    test('lists by key, error code, time and text in params (issue 5.7)', async (test) => {
      const { runtime } = await subject(test)
      const idsOf = async (filter: JobFilter) => (await runtime.job.list(filter)).jobs.map(({ id }) => id)
      const failed = await runtime.enqueue('a.fails', { city: 'Köln' }, { key: 'tenant' })
      await runtime.job.wait(failed.id)
      const late = await runtime.enqueue('a.spins', { city: 'Bonn' }, { timeout: '100ms' })
      const { finishedAt } = await runtime.job.wait(late.id)
      const at = new Date(finishedAt!)
      assert.deepEqual(await idsOf({ key: 'tenant' }), [failed.id])
      assert.deepEqual(await idsOf({ errorCode: 'TIMEOUT' }), [late.id])
      assert.deepEqual(await idsOf({ state: 'failed', errorCode: 'THROWN', text: '"Köln"' }), [failed.id])
      assert.deepEqual(await idsOf({ text: 'köln' }), [])
      assert.deepEqual(await idsOf({ state: 'failed', since: at }), [late.id])
      assert.deepEqual(await idsOf({ state: 'failed', until: at }), [failed.id])
      assert.deepEqual(await idsOf({ method: 'a.fails', until: at.getTime(), key: 'other' }), [])
    })

    test('moves a job to another queue (issue 5.7)', async (test) => {
      const { runtime } = await subject(test)
      await runtime.queue.pause('long')
      const { id } = await runtime.enqueue('a.echo', 1, { queue: 'long' })
      const later = await runtime.enqueue('a.echo', 2, { queue: 'long', delay: '1h' })
      assert.deepEqual(await runtime.job.move(id, 'default'), { id, state: 'ready', changed: true })
      const job = await runtime.job.wait(id)
      assert.deepEqual([job.queue, job.result], ['default', 1])
      await runtime.job.move(later.id, 'short')
      assert.equal((await runtime.job.get(later.id)).queue, 'short')
      await refused(runtime.job.move(id, 'short'), 'JOB_STATE')
      await refused(runtime.job.move(later.id, 'nowhere'), 'QUEUE_UNKNOWN')
      await refused(runtime.job.move('no such job', 'short'), 'JOB_UNKNOWN')
    })

    test('cancels, retries, moves and removes many, and tells how far it is (issue 5.7)', async (test) => {
      const { runtime } = await subject(test)
      await runtime.queue.pause('long')
      const jobs = Array.from({ length: 1_200 }, (_, n) => ({
        ...{ method: 'a.echo', params: n, queue: 'long' },
        ...(n % 2 === 0 ? { key: 'even' } : { jobName: 'odd' })
      }))
      await runtime.enqueueMany(jobs)
      const told: number[] = []
      const onProgress = (changed: number) => void told.push(changed)
      assert.equal(await runtime.job.cancelMany({ queue: 'long', key: 'even' }, { onProgress }), 600)
      assert.equal(told.at(-1), 600)
      assert.deepEqual(
        told,
        [...told].sort((a, b) => a - b)
      )
      const counts = async (queue: string) => (await runtime.queue.list()).find((view) => view.queue === queue)!.counts
      assert.deepEqual([(await counts('long')).ready, (await counts('long')).cancelled], [600, 600])
      assert.equal(await runtime.job.retryMany({ state: 'cancelled', text: '1' }, { params: 'again' }), 195)
      assert.equal((await runtime.job.list({ text: 'again', limit: 1000 })).jobs.length, 195)
      assert.equal(await runtime.job.retryMany({ queue: 'long' }), 0, 'without a state: what failed')
      await runtime.queue.pause('default')
      assert.equal(await runtime.job.moveMany({ jobName: 'odd' }, 'default'), 600)
      assert.equal((await counts('default')).ready, 600)
      assert.equal(await runtime.job.removeMany({ queue: 'default', state: 'ready' }), 600)
      assert.equal(await runtime.job.removeMany({ state: 'cancelled' }), 405)
      await refused(runtime.job.removeMany({ state: 'running' }), 'JOB_STATE')
      await refused(runtime.job.removeMany({} as never), 'PARAMS_INVALID')
      await refused(runtime.job.moveMany({ queue: 'long' }, 'nowhere'), 'QUEUE_UNKNOWN')
    })

    test('ends a pause by itself, and drains (issue 5.7)', async (test) => {
      const { runtime } = await subject(test)
      const paused = await runtime.queue.pause('default', { until: '300ms' })
      assert.equal(paused.paused, true)
      const endsAtMs = Date.parse(paused.pausedUntil!)
      const { ids } = await runtime.enqueueMany([1, 2, 3].map((n) => ({ method: 'a.echo', params: n })))
      const error = await refused(runtime.queue.drain('default', { timeout: '20ms' }), 'WAIT_TIMEOUT')
      assert.deepEqual([error.data.queue, error.data.ready, error.data.running], ['default', 3, 0])
      const drained = await runtime.queue.drain('default')
      assert.deepEqual([drained.counts.completed, drained.paused, drained.pausedUntil], [3, false, null])
      for (const id of ids) assert.ok(Date.parse((await runtime.job.get(id)).startedAt!) >= endsAtMs)
      assert.equal((await runtime.queue.drain('long')).queue, 'long')
      await refused(runtime.queue.drain('nowhere'), 'QUEUE_UNKNOWN')
    })

    test('tells what is wrong (issue 5.7)', async (test) => {
      const { runtime } = await subject(test)
      assert.deepEqual(await runtime.doctor(), { ok: true, findings: [] })
      await runtime.job.wait((await runtime.enqueue('a.fails')).id)
      const { ok, findings } = await runtime.doctor()
      assert.equal(ok, false)
      assert.deepEqual(
        findings.map(({ severity, about }) => [severity, about]),
        [['problem', { queue: 'default' }]]
      )
      const { store } = await runtime.status()
      assert.ok(store.usedBytes > 0 && store.usedBytes <= store.bytes && store.bytesMax === null, JSON.stringify(store))
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
export const parents = (params, ctx) => ctx.parents
export const follows = (params) => params
export async function waitsFor({ gate, text, fails }) {
  while (!existsSync(gate)) await new Promise((resolve) => setTimeout(resolve, 5))
  if (fails) throw new Error('as told')
  return text
}
export function appendsAtLast({ file, text, folder }) {
  if (count(folder + '/try-' + text) < 2) throw new Error('not yet')
  appendFileSync(file, text + '\\n')
}
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

/** A document type; its class is marked as one that extends `Actor` of any copy of the package. */
const bank = `
export class Account {
  static [Symbol.for('actor-runtime.Actor')] = true
  add({ amount }) { this.state.balance += amount }
}
`

function prepareUnknown(runtime: Runtime): Promise<unknown> {
  const outbox = runtime.outbox({ name: 'unknown', decide: () => undefined })
  return outbox.prepare((tx) => void tx.enqueue('a.ecko'))
}

/** Resolves when there is a job of the id. */
async function arrived(runtime: Runtime, id: string): Promise<void> {
  let found!: () => void
  const arrival = new Promise<void>((resolve) => {
    found = resolve
  })
  const subscription = await runtime.subscribe({ types: ['enqueued'] }, ({ job }) => {
    if (job === id) found()
  })
  const exists = await runtime.job.get(id).then(
    () => true,
    () => false
  )
  if (!exists) await arrival
  await subscription.unsubscribe()
}

/** Resolves with the id of the next job of a method, once it has been enqueued. */
async function nextOf(runtime: Runtime, method: string): Promise<string> {
  let found!: (id: string) => void
  const id = new Promise<string>((resolve) => {
    found = resolve
  })
  const subscription = await runtime.subscribe({ types: ['enqueued'] }, (event) => {
    if (event.method === method) found(event.job)
  })
  await id
  await subscription.unsubscribe()
  return id
}

/** Resolves when the job has been forgotten. */
async function gone(runtime: Runtime, id: string): Promise<void> {
  let arrived!: () => void
  const arrival = new Promise<void>((resolve) => {
    arrived = resolve
  })
  const subscription = await runtime.subscribe({ job: id, types: ['removed'] }, () => arrived())
  const exists = await runtime.job.get(id).then(
    () => true,
    () => false
  )
  if (exists) await arrival
  await subscription.unsubscribe()
  await refused(runtime.job.get(id), 'JOB_UNKNOWN')
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
