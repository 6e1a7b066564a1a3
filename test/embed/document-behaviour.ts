/**
 * What every `Runtime` does with documents, effects of jobs, steps and signals, whoever made it. Run on `createRuntime` and
 * on `connect`: see document-behaviour.test.ts.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EnqueueOptions, Runtime } from '../../runtime/index.ts'
import { finishedJob, untilState } from '../support/connected.ts'
import { actorImports } from '../support/documents.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { type Open, refused } from './subjects.ts'

interface Subject {
  runtime: Runtime
  folder: string
}

const type = 'b.Cart'

/** @param open over a data directory, a socket path and an actors folder below `folder` */
export function documentBehaviour(name: string, open: Open): void {
  const subject = async (test: TestContext): Promise<Subject> => {
    const folder = temporaryFolder(test)
    mkdirSync(join(folder, 'actors'))
    writeFileSync(join(folder, 'actors', 'b.js'), actorImports + actors)
    return { runtime: await open(test, folder), folder }
  }

  describe(`documents of a runtime made by ${name}`, () => {
    test('a method runs on the state of its document, and its job shows the document (E11)', async (test) => {
      const { runtime } = await subject(test)
      const first = await runtime.enqueueDoc(type, 'c-1', 'add', { item: 'tea' })
      const job = await runtime.job.wait(first.id)
      assert.deepEqual([job.state, job.result, job.method], ['completed', 1, 'b.Cart.add'], job.error?.message)
      assert.deepEqual(job.document, { type, name: 'c-1' })
      const second = await runtime.enqueueDoc(type, 'c-1', 'add', { item: 'rice' }, { isAsync: false })
      assert.equal(second.result, 2)
      const { state, version, createdAt, updatedAt, bytes, reminders } = await runtime.doc.get(type, 'c-1')
      assert.deepEqual(state, { owner: 'c-1', items: ['tea', 'rice'] })
      assert.deepEqual([version, bytes, reminders], [1, JSON.stringify(state).length, []])
      assert.ok(createdAt <= updatedAt)
      const { documents, cursor } = await runtime.doc.list(type)
      assert.deepEqual([documents, cursor], [[await runtime.doc.get(type, 'c-1')], null])
    })

    test('calls the class and the function that a module exports (E1, E11)', async (test) => {
      const { runtime, folder } = await subject(test)
      const { Cart } = await import(join(folder, 'actors', 'b.js'))
      const { id } = await runtime.enqueueDoc(Cart, 'c-1', 'add', { item: 'tea' })
      assert.equal((await runtime.job.wait(id)).result, 1)
      assert.deepEqual((await runtime.doc.get(Cart, 'c-1')).state, { owner: 'c-1', items: ['tea'] })
    })

    test('refuses what has no meaning, in words', async (test) => {
      const { runtime } = await subject(test)
      assert.match(
        (await refused(runtime.enqueueDoc(type, 'c', 'ad'), 'METHOD_UNKNOWN')).message,
        /Did you mean "b.Cart.add"/
      )
      assert.match((await refused(runtime.enqueueDoc('b.Crt', 'c', 'add'), 'METHOD_UNKNOWN')).message, /b\.Cart/)
      for (const method of ['constructor', 'initialState', '_hidden', 'total', 'toString']) {
        await refused(runtime.enqueueDoc(type, 'c', method), 'METHOD_UNKNOWN')
      }
      await refused(runtime.enqueue('b.Cart.add', { item: 'tea' }), 'PARAMS_INVALID')
      await refused(runtime.enqueue('b.echo', {}, { document: 'c' }), 'PARAMS_INVALID')
      await refused(runtime.enqueueDoc(type, 'c', 'add', {}, { key: 'k' } as EnqueueOptions), 'PARAMS_INVALID')
      await refused(runtime.enqueueDoc(type, '', 'add'), 'PARAMS_INVALID')
      await refused(runtime.doc.get(type, 'c'), 'DOCUMENT_UNKNOWN')
      await refused(runtime.doc.remove(type, 'c'), 'DOCUMENT_UNKNOWN')
    })

    test('a method that fails in any way changes nothing', async (test) => {
      const { runtime } = await subject(test)
      await runtime.enqueueDoc(type, 'c-1', 'add', { item: 'tea' }, { isAsync: false })
      const before = await runtime.doc.get(type, 'c-1')
      const failures: [string, EnqueueOptions, string][] = [
        ['addsAndThrows', {}, 'THROWN'],
        ['addsAndSpins', { timeout: '300ms' }, 'TIMEOUT'],
        ['addsNoJson', {}, 'RESULT_INVALID'],
        ['addsAndReturnsNoJson', {}, 'RESULT_INVALID'],
        ['addsAndExits', {}, 'WORKER_EXITED']
      ]
      for (const [method, options, code] of failures) {
        const { id } = await runtime.enqueueDoc(type, 'c-1', method, {}, options)
        assert.equal((await runtime.job.wait(id)).error?.code, code, method)
        assert.deepEqual(await runtime.doc.get(type, 'c-1'), before, method)
      }
      const again = await runtime.enqueueDoc(type, 'c-1', 'add', { item: 'rice' }, { isAsync: false })
      assert.equal(again.result, 2)
      await runtime.job.wait((await runtime.enqueueDoc(type, 'new', 'addsAndThrows')).id)
      await refused(runtime.doc.get(type, 'new'), 'DOCUMENT_UNKNOWN')
    })

    test('a method that only reads leaves the document as it is', async (test) => {
      const { runtime } = await subject(test)
      await runtime.enqueueDoc(type, 'c-1', 'add', { item: 'tea' }, { isAsync: false })
      const before = await runtime.doc.get(type, 'c-1')
      const { result } = await runtime.enqueueDoc(type, 'c-1', 'items', {}, { isAsync: false })
      assert.deepEqual(result, ['tea'])
      assert.deepEqual(await runtime.doc.get(type, 'c-1'), before)
    })

    test('the first job that completes makes the document, also one that only reads', async (test) => {
      const { runtime } = await subject(test)
      const first = await runtime.enqueueDoc('b.Ticket', 't-1', 'number', {}, { isAsync: false })
      assert.deepEqual((await runtime.doc.get('b.Ticket', 't-1')).state, { number: first.result })
      const second = await runtime.enqueueDoc('b.Ticket', 't-1', 'number', {}, { isAsync: false })
      assert.equal(second.result, first.result, 'what initialState gave is kept')
    })

    test('calls of one document run in order over two queues; at front and priority count (E9, E11)', async (test) => {
      const { runtime } = await subject(test)
      const queues = ['default', 'long']
      for (const queue of queues) await runtime.queue.pause(queue)
      const add = (item: string, options: EnqueueOptions) => runtime.enqueueDoc(type, 'c-1', 'add', { item }, options)
      const backoff = { type: 'fixed', delay: '50ms' } as const
      await runtime.enqueueDoc(type, 'c-1', 'addsAtLast', { item: 'retried' }, { attempts: 3, backoff, queue: 'long' })
      for (const n of [1, 2, 3, 4]) await add(`plain ${n}`, { queue: queues[n % 2]! })
      await add('high', { priority: 5, queue: 'long' })
      await add('front', { atFront: true })
      const last = await add('last', { priority: -1, queue: 'long' })
      for (const queue of queues) await runtime.queue.resume(queue)
      assert.equal((await runtime.job.wait(last.id)).state, 'completed')
      const { state } = await runtime.doc.get(type, 'c-1')
      const plain = [1, 2, 3, 4].map((n) => `plain ${n}`)
      assert.deepEqual((state as { items: string[] }).items, ['front', 'high', 'retried', ...plain, 'last'])
    })

    test('documents run beside each other', async (test) => {
      const { runtime, folder } = await subject(test)
      const ids: string[] = []
      for (const [at, other] of [
        ['a', 'b'],
        ['b', 'a']
      ]) {
        const params = { mine: join(folder, at!), theirs: join(folder, other!) }
        ids.push((await runtime.enqueueDoc(type, at!, 'meets', params)).id)
      }
      for (const id of ids) assert.equal((await runtime.job.wait(id, { timeout: '20s' })).result, 'met')
    })

    test('lists and exports by name, page by page, and removes', async (test) => {
      const { runtime } = await subject(test)
      const names = Array.from({ length: 25 }, (_, n) => `c-${String(n).padStart(2, '0')}`)
      const { ids } = await runtime.enqueueMany(
        names.toReversed().map((document) => ({ method: 'b.Cart.add', document, params: { item: document } }))
      )
      ids.push((await runtime.enqueueDoc('b.Other', 'o', 'set', 1)).id)
      for (const id of ids) assert.equal((await runtime.job.wait(id)).state, 'completed')
      const seen: string[] = []
      let cursor: string | null = null
      do {
        const page = await runtime.doc.list(type, { limit: 10, ...(cursor === null ? {} : { cursor }) })
        seen.push(...page.documents.map((document) => document.name))
        cursor = page.cursor
      } while (cursor !== null)
      assert.deepEqual(seen, names)
      const exported: string[] = []
      for await (const { type, name } of runtime.doc.export()) exported.push(`${type} ${name}`)
      assert.deepEqual(exported, [...names.map((each) => `${type} ${each}`), 'b.Other o'])

      assert.deepEqual(await runtime.doc.remove(type, 'c-00'), { type, name: 'c-00', removed: true })
      await refused(runtime.doc.get(type, 'c-00'), 'DOCUMENT_UNKNOWN')
      assert.equal((await runtime.doc.list(type, { limit: 1 })).documents[0]!.name, 'c-01')
      const anew = await runtime.enqueueDoc(type, 'c-00', 'add', { item: 'anew' }, { isAsync: false })
      assert.equal(anew.result, 1)
    })

    test('a document removes itself as a job completes', async (test) => {
      const { runtime } = await subject(test)
      await runtime.enqueueDoc(type, 'c-1', 'add', { item: 'tea' }, { isAsync: false })
      assert.equal((await runtime.enqueueDoc(type, 'c-1', 'checkOut', {}, { isAsync: false })).result, 1)
      await refused(runtime.doc.get(type, 'c-1'), 'DOCUMENT_UNKNOWN')
    })

    test('a document that was removed meanwhile is not brought back by the job that ran', async (test) => {
      const { runtime, folder } = await subject(test)
      await runtime.enqueueDoc(type, 'c-1', 'add', { item: 'tea' }, { isAsync: false })
      const file = join(folder, 'held')
      const { id } = await runtime.enqueueDoc(type, 'c-1', 'addsHeld', { item: 'rice', file })
      await lines(file, 1)
      await runtime.doc.remove(type, 'c-1')
      writeFileSync(`${file} go`, '')
      const job = await runtime.job.wait(id)
      assert.deepEqual(
        job.history.map(({ outcome }) => outcome),
        ['interrupted', 'completed']
      )
      assert.deepEqual((await runtime.doc.get(type, 'c-1')).state, { owner: 'c-1', items: ['rice'] })
    })

    test('what a job enqueues exists as it completes, in order, and never before (E8)', async (test) => {
      const { runtime, folder } = await subject(test)
      const file = join(folder, 'parent')
      const { id } = await runtime.enqueue('b.parent', { file })
      await lines(file, 1)
      assert.deepEqual(await methodsOf(runtime), ['b.parent'])
      writeFileSync(`${file} go`, '')
      const job = await runtime.job.wait(id)
      assert.equal(job.state, 'completed', job.error?.message)
      const ids = job.result as string[]
      const children = await Promise.all(ids.map((child) => runtime.job.wait(child)))
      assert.deepEqual(
        children.map(({ method, params, document }) => [method, params, document?.name]),
        [
          ['b.echo', 1, undefined],
          ['b.echo', 2, undefined],
          ['b.echo', 3, undefined],
          ['b.Cart.add', { item: 'from a job' }, 'c-9']
        ]
      )
      assert.equal(ids[0], 'my-id')
    })

    test('jobs that cannot be enqueued fail the attempt, with what speaks against them', async (test) => {
      const { runtime } = await subject(test)
      const cases: [object, string][] = [
        [{ method: 'b.ecko' }, 'METHOD_UNKNOWN'],
        [{ method: 'b.echo', queue: 'nowhere' }, 'QUEUE_UNKNOWN'],
        [{ method: 'b.echo', jobId: 'taken' }, 'JOB_EXISTS']
      ]
      await runtime.enqueue('b.echo', {}, { jobId: 'taken', delay: '1h' })
      for (const [job, code] of cases) {
        const { id } = await runtime.enqueueDoc(type, 'c-1', 'addsAndEnqueues', { job })
        const { state, error } = await runtime.job.wait(id)
        assert.deepEqual([state, error?.code, error?.thrownCode], ['failed', 'THROWN', code], error?.message)
      }
      await refused(runtime.doc.get(type, 'c-1'), 'DOCUMENT_UNKNOWN')
      assert.equal((await runtime.job.list({ method: 'b.echo' })).jobs.length, 1, 'all or none')
    })

    test('what a job enqueues at once exists while it runs, once over its attempts (E8)', async (test) => {
      const { runtime, folder } = await subject(test)
      const file = join(folder, 'at-once')
      const { id } = await runtime.enqueue('b.atOnce', { file }, { attempts: 3 })
      await lines(file, 3)
      const child = (await runtime.job.list({ method: 'b.echo' })).jobs
      assert.equal(child.length, 1)
      assert.equal((await runtime.job.wait(child[0]!.id)).state, 'completed')
      assert.equal((await runtime.job.get(id)).state, 'running')
      writeFileSync(`${file} go`, '')
      const job = await runtime.job.wait(id)
      assert.deepEqual([job.state, job.result, job.attempts.made], ['completed', child[0]!.id, 3])
      const refusedIn = await runtime.enqueue('b.enqueuesUnknownAtOnce')
      assert.deepEqual((await runtime.job.wait(refusedIn.id)).result, 'METHOD_UNKNOWN')
    })

    test('steps run once over attempts, and the job shows them', async (test) => {
      const { runtime, folder } = await subject(test)
      const file = join(folder, 'steps')
      const { id } = await runtime.enqueue('b.steps', { file }, { attempts: 3 })
      const job = await runtime.job.wait(id)
      assert.deepEqual(await runtime.job.get(id), job)
      assert.deepEqual(
        [job.state, job.result, job.attempts.made],
        ['completed', [1, null, 'third 2'], 3],
        job.error?.message
      )
      assert.equal(readFileSync(file, 'utf8'), 'first\nsecond\nthird 1\nthird 2\n')
      assert.deepEqual(
        job.steps!.map(({ name, kind, state, runs, cuts }) => [name, kind, state, runs, cuts]),
        [
          ['first', 'step', 'done', 1, 0],
          ['second', 'step', 'done', 1, 0],
          ['third', 'step', 'done', 2, 0]
        ]
      )
      assert.deepEqual(
        job.steps!.map(({ result }) => result),
        [1, null, 'third 2']
      )
      const listed = (await runtime.job.list({ method: 'b.steps' })).jobs[0]!
      assert.deepEqual([listed.steps, listed.signals], [undefined, undefined], 'lists do not show them')
      // A completed job that is run again by hand begins anew.
      await runtime.job.retry(id)
      await runtime.job.wait(id)
      assert.equal(
        readFileSync(file, 'utf8')
          .split('\n')
          .filter((line) => line === 'first').length,
        2
      )
    })

    test('sleeps without its thread, and goes on', async (test) => {
      const { runtime, folder } = await subject(test)
      const file = join(folder, 'naps')
      const { id } = await runtime.enqueue('b.naps', { file, time: '400ms' }, { queue: 'long' })
      const asleep = await untilState(runtime, id, 'scheduled')
      assert.deepEqual([asleep.steps!.at(-1)!.state, asleep.steps!.at(-1)!.until], ['sleeping', asleep.runAt])
      const job = await finishedJob(runtime, id)
      assert.deepEqual([job.state, job.result], ['completed', 'rested'], job.error?.message)
      assert.deepEqual(
        job.history.map(({ outcome }) => outcome),
        ['suspended', 'completed']
      )
      assert.ok(Date.parse(job.startedAt!) >= Date.parse(asleep.runAt!))
      assert.equal(readFileSync(file, 'utf8'), 'before\nafter\n')
    })

    test('waits for signals, in their order, also for those that came before', async (test) => {
      const { runtime } = await subject(test)
      const { id } = await runtime.enqueue('b.asks', {})
      await untilState(runtime, id, 'scheduled')
      assert.deepEqual(await runtime.job.signal(id, 'second', 2), { id, state: 'scheduled', changed: true })
      const { signals, steps } = await runtime.job.get(id)
      assert.deepEqual(
        signals!.map(({ name, payload }) => [name, payload]),
        [['second', 2]]
      )
      assert.deepEqual([steps!.at(-1)!.kind, steps!.at(-1)!.state], ['signal', 'waiting'])
      assert.equal((await runtime.job.signal(id, 'first', { a: 1 })).changed, true)
      const job = await finishedJob(runtime, id)
      assert.deepEqual([job.state, job.result], ['completed', [{ a: 1 }, 2]], job.error?.message)
      await refused(runtime.job.signal(id, 'first'), 'JOB_STATE')
      await refused(runtime.job.signal('no such job', 'first'), 'JOB_UNKNOWN')
    })

    test('issue 6.4: an outbox needs no options; what is prepared is decided by its id', async (test) => {
      const { runtime } = await subject(test)
      const outbox = runtime.outbox()
      const kept = await outbox.prepare((tx) => tx.enqueue('b.echo', 1, { jobId: 'kept' }))
      const dropped = await outbox.prepare((tx) => tx.enqueue('b.echo', 2, { jobId: 'dropped' }))
      // Oldest first; both may be of one millisecond.
      const listed = await outbox.list()
      assert.deepEqual(new Set(listed.map(({ id }) => id)), new Set([kept.id, dropped.id]))
      assert.deepEqual(
        listed.map(({ outbox }) => outbox),
        ['default', 'default']
      )
      // As the next run of the program would, which has no more than the ids.
      const later = runtime.outbox()
      assert.deepEqual(
        (await later.commit(kept.id)).jobs.map(({ id }) => id),
        ['kept']
      )
      await later.abort(dropped.id)
      assert.deepEqual(await outbox.list(), [])
      assert.equal((await runtime.job.wait('kept')).result, 1)
      await refused(runtime.job.get('dropped'), 'JOB_UNKNOWN')
      await refused(later.commit(kept.id), 'OUTBOX_UNKNOWN')
      await refused(outbox.abort('no such entry'), 'OUTBOX_UNKNOWN')
    })

    test('waits for a signal no longer than asked to', async (test) => {
      const { runtime } = await subject(test)
      const { id } = await runtime.enqueue('b.asks', { timeout: '100ms' })
      const job = await finishedJob(runtime, id)
      assert.deepEqual([job.state, job.result], ['completed', [null, null]], job.error?.message)
      assert.deepEqual(
        job.steps!.map(({ state }) => state),
        ['timedOut', 'timedOut']
      )
    })

    test('a job that sleeps or waits can be cancelled, and removed', async (test) => {
      const { runtime, folder } = await subject(test)
      const naps = await runtime.enqueue('b.naps', { file: join(folder, 'naps'), time: '1h' })
      const asks = await runtime.enqueue('b.asks', {})
      for (const { id } of [naps, asks]) {
        await untilState(runtime, id, 'scheduled')
        await runtime.job.signal(id, 'unread', 1)
        assert.equal((await runtime.job.cancel(id)).state, 'cancelled')
        assert.deepEqual(await runtime.job.remove(id), { id, removed: true })
        await refused(runtime.job.get(id), 'JOB_UNKNOWN')
      }
    })

    test('a reminder calls its document, once or until it is taken back, and goes with it', async (test) => {
      const { runtime } = await subject(test)
      const set = (params: object) => runtime.enqueueDoc(type, 'c-1', 'remindMe', params, { isAsync: false })
      assert.equal(
        (await set({ name: 'soon', reminder: { method: 'add', params: { item: 'soon' }, delay: '50ms' } })).state,
        'completed'
      )
      const added = await nextOf(runtime, 'b.Cart.add', 'c-1')
      assert.equal((await runtime.job.wait(added)).state, 'completed')
      assert.deepEqual((await runtime.doc.get(type, 'c-1')).reminders, [], 'it happened once')

      await set({
        name: 'daily',
        reminder: { method: 'add', params: { item: 'daily' }, cron: '0 6 * * *', timezone: 'Europe/Berlin' }
      })
      await set({ name: 'far', reminder: { method: 'add', delay: '300d' } })
      const { reminders } = await runtime.doc.get(type, 'c-1')
      assert.deepEqual(
        reminders.map(({ name, method, cron, timezone }) => [name, method, cron, timezone]),
        [
          ['daily', 'add', '0 6 * * *', 'Europe/Berlin'],
          ['far', 'add', null, null]
        ]
      )
      assert.ok(Date.parse(reminders[0]!.nextAt) - Date.now() <= 25 * 3_600_000)
      assert.deepEqual((await runtime.doc.cancelReminder(type, 'c-1', 'far')).reminders, reminders.slice(0, 1))
      await runtime.enqueueDoc(type, 'c-1', 'forget', { name: 'daily' }, { isAsync: false })
      assert.deepEqual((await runtime.doc.get(type, 'c-1')).reminders, [])

      const wrong = await runtime.enqueueDoc(type, 'c-1', 'remindMe', {
        name: 'x',
        reminder: { method: 'add', cron: 'never' }
      })
      assert.equal((await runtime.job.wait(wrong.id)).error?.thrownCode, 'PARAMS_INVALID')
    })
  })
}

const actors = `
import { appendFileSync, existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

async function held(file) {
  appendFileSync(file, 'held\\n')
  while (!existsSync(file + ' go')) await sleep(5)
}

export class Cart extends Actor {
  initialState(name) {
    return { owner: name, items: [] }
  }
  get total() { return this.state.items.length }
  _hidden() {}
  add({ item }) { return this.state.items.push(item) }
  items() { return this.state.items }
  addsAndThrows() { this.state.items.push('x'); throw new Error('as told') }
  addsAndSpins() { this.state.items.push('x'); for (;;); }
  addsNoJson() { this.state.items.push(1n) }
  addsAndReturnsNoJson() { this.state.items.push('x'); return () => {} }
  addsAndExits() { this.state.items.push('x'); process.exit(0) }
  addsAtLast({ item }, { attempt }) {
    this.state.items.push(attempt < 3 ? 'too early' : item)
    if (attempt < 3) throw new Error('not yet')
  }
  async addsHeld({ item, file }) {
    this.state.items.push(item)
    await held(file)
  }
  async addsAndEnqueues({ job }, ctx) {
    this.state.items.push('x')
    await ctx.enqueueMany([{ method: 'b.echo' }, job])
  }
  async meets({ mine, theirs }) {
    appendFileSync(mine, '')
    while (!existsSync(theirs)) await sleep(5)
    return 'met'
  }
  checkOut(params, ctx) { ctx.removeDocument(); return this.state.items.length }
  remindMe({ name, reminder }, ctx) { ctx.remind(name, reminder) }
  forget({ name }, ctx) { ctx.cancelReminder(name) }
}

export class Ticket extends Actor {
  initialState() { return { number: Math.random() } }
  number() { return this.state.number }
}

export class Other extends Actor {
  set(value) { this.state = { value } }
}

export const echo = (params) => params

export async function parent({ file }, ctx) {
  const ids = [(await ctx.enqueue('b.echo', 1, { jobId: 'my-id' })).id]
  ids.push(...(await ctx.enqueueMany([2, 3].map((params) => ({ method: 'b.echo', params })))).ids)
  ids.push((await ctx.enqueueDoc('b.Cart', 'c-9', 'add', { item: 'from a job' })).id)
  await held(file)
  return ids
}

export async function atOnce({ file }, ctx) {
  const { id } = await ctx.enqueue('b.echo', 1, { enqueueAfterCommit: false })
  if (ctx.attempt < 3) {
    appendFileSync(file, 'failed\\n')
    throw new Error('not yet')
  }
  await held(file)
  return id
}

export async function enqueuesUnknownAtOnce(params, ctx) {
  try {
    await ctx.enqueue('b.ecko', 1, { enqueueAfterCommit: false })
  } catch (error) {
    return error.code
  }
}

export async function steps({ file }, ctx) {
  const first = await ctx.step('first', () => { appendFileSync(file, 'first\\n'); return 1 })
  const second = await ctx.step('second', async () => appendFileSync(file, 'second\\n'))
  if (ctx.attempt === 1) throw new Error('between steps')
  const third = await ctx.step('third', ({ run }) => {
    appendFileSync(file, 'third ' + run + '\\n')
    if (run === 1) throw new Error('in a step')
    return 'third ' + run
  })
  return [first, second ?? null, third]
}

export async function naps({ file, time }, ctx) {
  await ctx.step('before', () => appendFileSync(file, 'before\\n'))
  await ctx.sleep('nap', time)
  await ctx.step('after', () => appendFileSync(file, 'after\\n'))
  return 'rested'
}

export async function asks(options, ctx) {
  const first = await ctx.waitFor('first', options)
  const second = await ctx.waitFor('second', options)
  return [first ?? null, second ?? null]
}
`

/** Resolves once the file has so many lines. */
async function lines(file: string, count: number): Promise<void> {
  while (!existsSync(file) || readFileSync(file, 'utf8').split('\n').length <= count) await sleep(5)
}

async function methodsOf(runtime: Runtime): Promise<string[]> {
  return (await runtime.job.list()).jobs.map(({ method }) => method)
}

/** Resolves with the id of the newest unasked-for job of a method: the one that a reminder has enqueued. */
async function nextOf(runtime: Runtime, method: string, document: string): Promise<string> {
  for (;;) {
    const { jobs } = await runtime.job.list({ method })
    const found = jobs.find((job) => job.document?.name === document)
    if (found !== undefined) return found.id
    await sleep(10)
  }
}
