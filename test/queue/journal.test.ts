/** The journal of a job: what its attempts share, and what becomes of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JobError } from '../../runtime/core/job.ts'
import {
  instantMsMax,
  journalBytesMax,
  journalEntriesMax,
  nameCharsMax,
  stepResultBytesMax
} from '../../runtime/core/limits.ts'
import type { ClaimedJob } from '../../runtime/queue/claimed-job.ts'
import { type OpenQueue, openQueue, queueConfig } from './open-queue.ts'
import { assertInvariants, entriesByKind } from './store-invariants.ts'

const noTrace = { progress: null, logs: [] }
const dayMs = 86_400_000
const thrown: JobError = { code: 'THROWN', name: 'Error', message: 'no money', stack: 'at charge' }
const failed = { type: 'failed' as const, final: false, error: thrown }
const configs = new Map([['default', queueConfig('default')]])

function check({ store, tag }: OpenQueue): void {
  assertInvariants(store.reader, tag, configs)
}

function keptEntries({ store }: OpenQueue): number {
  const kinds = entriesByKind(store.reader)
  return (kinds.get('L')?.length ?? 0) + (kinds.get('H')?.length ?? 0)
}

async function claimOne({ queue }: OpenQueue): Promise<ClaimedJob> {
  const [job] = await queue.claim('default', 1)
  assert.ok(job, 'a job is ready')
  return job
}

/** A job of that id, claimed. */
async function running(open: OpenQueue, jobId = 'job', attempts = 1): Promise<ClaimedJob> {
  await open.queue.enqueue([{ method: 'a.x', jobId, attempts }])
  return claimOne(open)
}

/** A step that returned, one that threw, an open wait, and a job enqueued at once. */
async function fill(open: OpenQueue, job: ClaimedJob): Promise<void> {
  const { queue } = open
  await queue.ask(job, { type: 'beginStep', index: 0, name: 'charge' })
  await queue.ask(job, { type: 'endStep', index: 0, result: '{"paid":1}' })
  await queue.ask(job, { type: 'beginStep', index: 1, name: 'ship' })
  await queue.ask(job, { type: 'endStep', index: 1, error: thrown })
  await queue.ask(job, { type: 'waitFor', index: 2, name: 'approved', untilMs: null })
  await queue.signal(job.id, 'other', 1)
}

test('issue 6.5: a step that has returned is told to the next attempt, with its result, and asking twice changes nothing', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const { queue, clock } = open
  const first = await running(open, 'job', 2)
  assert.equal(first.journal, undefined)
  assert.deepEqual(await queue.ask(first, { type: 'beginStep', index: 0, name: 'charge' }), { run: 1, wasCut: false })
  clock.nowMs += 7
  assert.deepEqual(await queue.ask(first, { type: 'endStep', index: 0, result: '{"paid":1}' }), {})
  assert.deepEqual(await queue.ask(first, { type: 'endStep', index: 0, result: '{"paid":2}' }), {})
  assert.deepEqual(await queue.ask(first, { type: 'beginStep', index: 0, name: 'charge' }), { run: 1, wasCut: false })
  await queue.settle(first, failed, noTrace)
  await queue.promoteDue(clock.nowMs)
  const second = await claimOne(open)
  const startedAtMs = clock.nowMs - 7
  const expected = { index: 0, kind: 'step', name: 'charge', state: 'done', result: '{"paid":1}', runs: 1, cuts: 0 }
  assert.deepEqual(second.journal, [
    { ...expected, startedAtMs, finishedAtMs: clock.nowMs, untilMs: null, error: null, order: 0 }
  ])
  assert.deepEqual(queue.get('job').steps, [
    {
      name: 'charge',
      kind: 'step',
      state: 'done',
      runs: 1,
      cuts: 0,
      startedAt: new Date(startedAtMs).toISOString(),
      finishedAt: new Date(clock.nowMs).toISOString(),
      until: null,
      result: { paid: 1 }
    }
  ])
  check(open)
})

test('issue 6.5: a step that a kill has cut is said to be cut, one that threw is not, and both run again', async (t) => {
  let open = await openQueue(queueConfig('default'))
  t.after(() => open.close())
  const first = await running(open)
  await open.queue.ask(first, { type: 'beginStep', index: 0, name: 'cut' })
  await open.queue.ask(first, { type: 'beginStep', index: 1, name: 'thrower' })
  await open.queue.ask(first, { type: 'endStep', index: 1, error: thrown })
  const shown = () => open.queue.get('job').steps!.map(({ state, runs, cuts, error }) => [state, runs, cuts, error])
  assert.deepEqual(shown(), [
    ['running', 1, 0, undefined],
    ['failed', 1, 0, thrown]
  ])
  open = await open.reopen()
  const second = await claimOne(open)
  assert.equal(second.attempt, 2)
  const again = (index: number, name: string) => open.queue.ask(second, { type: 'beginStep', index, name })
  assert.deepEqual(await again(0, 'cut'), { run: 2, wasCut: true })
  assert.deepEqual(await again(1, 'thrower'), { run: 2, wasCut: false })
  assert.deepEqual(shown(), [
    ['running', 2, 1, undefined],
    ['running', 2, 0, undefined]
  ])
  check(open)
})

test('issue 6.5: a sleep of three days gives the thread back, survives two restarts, and is over when it is over', async (t) => {
  let open = await openQueue(queueConfig('default'))
  t.after(() => open.close())
  const { clock, told } = open
  const untilMs = clock.nowMs + 3 * dayMs
  const first = await running(open)
  assert.deepEqual(await open.queue.ask(first, { type: 'sleep', index: 0, name: 'wait', untilMs }), { isOver: false })
  assert.equal(await open.queue.settle(first, { type: 'suspended', entries: [0] }, noTrace), true)
  assert.deepEqual(told.scheduled, [untilMs])
  const event = open.events.at(-1)!
  assert.deepEqual([event.type, event.state, event.runAt], ['suspended', 'scheduled', new Date(untilMs).toISOString()])
  for (let day = 0; day < 3; day++) {
    const { state, runAt, history, attempts, steps } = open.queue.get('job')
    assert.deepEqual([state, runAt, attempts], ['scheduled', new Date(untilMs).toISOString(), { made: 1, max: 1 }])
    assert.deepEqual(
      history.map(({ outcome }) => outcome),
      ['suspended']
    )
    assert.equal(steps![0]!.state, 'sleeping')
    clock.nowMs += dayMs - 1
    assert.equal(await open.queue.promoteDue(clock.nowMs), untilMs)
    assert.deepEqual(await open.queue.claim('default', 1), [])
    clock.nowMs += 1
    if (day < 2) open = await open.reopen()
    assert.equal(open.recovered, 0)
    check(open)
  }
  assert.equal(await open.queue.promoteDue(clock.nowMs), null)
  const second = await claimOne(open)
  assert.deepEqual([second.attempt, second.journal![0]!.state], [2, 'open'])
  const again = { type: 'sleep' as const, index: 0, name: 'wait', untilMs: clock.nowMs + dayMs }
  assert.deepEqual(await open.queue.ask(second, again), { isOver: true })
  await open.queue.settle(second, { type: 'completed', result: '1' }, noTrace)
  const { state, steps, history } = open.queue.get('job')
  assert.deepEqual([state, steps![0]!.state, steps![0]!.until], ['completed', 'done', new Date(untilMs).toISOString()])
  assert.deepEqual(
    history.map(({ outcome }) => outcome),
    ['suspended', 'completed']
  )
  check(open)
})

test('issue 6.5: a suspended job goes on with the first of what it waits for, and one brought forward by hand sleeps again', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const { queue, clock } = open
  const first = await running(open)
  const begin = clock.nowMs
  await queue.ask(first, { type: 'sleep', index: 0, name: 'long', untilMs: begin + 500 })
  await queue.ask(first, { type: 'waitFor', index: 1, name: 'short', untilMs: begin + 100 })
  await queue.ask(first, { type: 'waitFor', index: 2, name: 'endless', untilMs: null })
  await queue.settle(first, { type: 'suspended', entries: [0, 1, 2] }, noTrace)
  assert.equal(await queue.promoteDue(clock.nowMs), begin + 100)
  assert.equal((await queue.retry('job')).state, 'ready')
  const second = await claimOne(open)
  const long = { type: 'sleep' as const, index: 0, name: 'long', untilMs: begin + 9_000 }
  assert.deepEqual(await queue.ask(second, long), { isOver: false })
  await queue.settle(second, { type: 'suspended', entries: [0] }, noTrace)
  assert.equal(await queue.promoteDue(clock.nowMs), begin + 500)
  assert.equal(queue.get('job').attempts.made, 2)
  check(open)
})

test('issue 6.5: what waits without an end is not due, and shown so', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const { queue, clock, told } = open
  const job = await running(open)
  await queue.ask(job, { type: 'waitFor', index: 0, name: 'approved', untilMs: null })
  await queue.settle(job, { type: 'suspended', entries: [0] }, noTrace)
  assert.deepEqual(told.scheduled, [])
  assert.equal(await queue.promoteDue(clock.nowMs + 1000 * 365 * dayMs), null)
  const { state, runAt, steps } = queue.get('job')
  assert.deepEqual([state, runAt, steps![0]!.state, steps![0]!.until], ['scheduled', null, 'waiting', null])
  assert.equal(queue.list({}).jobs[0]!.runAt, null)
  assert.equal(open.events.at(-1)!.runAt, undefined)
  check(open)
})

test('issue 6.5: an attempt that fails after a sleep counts from where it was, and its key is held while it sleeps', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const { queue, clock } = open
  const keyed = { method: 'a.x', key: 'k', keyConcurrency: 1, attempts: 2 }
  await queue.enqueue([
    { ...keyed, jobId: 'first' },
    { ...keyed, jobId: 'second' }
  ])
  const job = await claimOne(open)
  await queue.settle(job, failed, noTrace)
  await queue.promoteDue(clock.nowMs)
  const second = await claimOne(open)
  assert.equal(second.id, 'first')
  await queue.ask(second, { type: 'sleep', index: 0, name: 'wait', untilMs: clock.nowMs + 50 })
  await queue.settle(second, { type: 'suspended', entries: [0] }, noTrace)
  assert.equal(queue.get('first').error, undefined)
  assert.deepEqual(await queue.claim('default', 2), [])
  clock.nowMs += 50
  await queue.promoteDue(clock.nowMs)
  const third = await claimOne(open)
  assert.equal(third.id, 'first')
  await queue.settle(third, failed, noTrace)
  assert.equal(queue.get('first').state, 'failed')
  assert.equal((await claimOne(open)).id, 'second')
  check(open)
})

test('issue 6.5: a question of an attempt that is over is refused and changes nothing', async (t) => {
  let open = await openQueue(queueConfig('default'))
  t.after(() => open.close())
  const stale = await running(open, 'job', 3)
  await open.queue.settle(stale, failed, noTrace)
  await open.queue.promoteDue(open.clock.nowMs)
  const questions = [
    { type: 'beginStep', index: 0, name: 'a' },
    { type: 'endStep', index: 0, result: '1' },
    { type: 'sleep', index: 0, name: 'a', untilMs: 0 },
    { type: 'waitFor', index: 0, name: 'a', untilMs: null },
    { type: 'enqueue', index: 0, name: 'a', jobs: [{ method: 'a.y' }] }
  ] as const
  const refuseAll = async (job: ClaimedJob) => {
    const before = keptEntries(open)
    for (const question of questions) {
      const asked = { ...question, ...('jobs' in question ? { jobs: [...question.jobs] } : {}) } as typeof question
      await assert.rejects(open.queue.ask(job, asked as never), { code: 'JOB_STATE' }, `${question.type}`)
    }
    assert.equal(keptEntries(open), before)
  }
  await refuseAll(stale)
  const second = await claimOne(open)
  await refuseAll(stale)
  const cancel = open.queue.cancel('job', () => undefined)
  await assert.rejects(open.queue.ask(second, questions[0]), { code: 'JOB_STATE' }, 'in the commit of the cancel')
  await cancel
  await open.queue.remove('job')
  await refuseAll(second)
  const other = await running(open, 'other')
  open = await open.reopen()
  await refuseAll(other)
  assert.equal(open.queue.list({}).jobs.length, 1)
})

test('issue 6.5: a call that differs from the one before at its place is refused', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const { queue } = open
  const job = await running(open)
  await queue.ask(job, { type: 'beginStep', index: 0, name: 'charge' })
  const refusals = [
    { type: 'beginStep', index: 0, name: 'ship' },
    { type: 'sleep', index: 0, name: 'charge', untilMs: 1 },
    { type: 'waitFor', index: 0, name: 'charge', untilMs: 1 },
    { type: 'enqueue', index: 0, name: 'charge', jobs: [] },
    { type: 'endStep', index: 1, result: '1' }
  ] as const
  for (const question of refusals) {
    await assert.rejects(queue.ask(job, question as never), { code: 'JOB_STATE', message: /call \d of the method/ })
  }
  assert.equal(keptEntries(open), 1)
})

test('issue 6.5: bounds of a journal: number of calls, names, results, all together', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const { queue } = open
  const job = await running(open)
  const tooLarge = { code: 'PAYLOAD_TOO_LARGE' }
  const begin = (index: number, name = 's') => queue.ask(job, { type: 'beginStep', index, name })
  const end = (index: number, result: string) => queue.ask(job, { type: 'endStep', index, result })
  for (const index of [journalEntriesMax, 70_000, -1, 0.5, Number.NaN]) {
    await assert.rejects(begin(index), tooLarge)
    await assert.rejects(end(index, '1'), { code: 'JOB_STATE' })
    await assert.rejects(queue.ask(job, { type: 'enqueue', index, name: 'e', jobs: [] }), tooLarge)
  }
  await assert.rejects(begin(0, 'n'.repeat(nameCharsMax + 1)), { code: 'PARAMS_INVALID' })
  await assert.rejects(queue.ask(job, { type: 'sleep', index: 0, name: 's', untilMs: Number.NaN }), {
    code: 'PARAMS_INVALID'
  })
  assert.equal(keptEntries(open), 0)
  await begin(0)
  await begin(journalEntriesMax - 1)
  const largest = JSON.stringify('x'.repeat(stepResultBytesMax - 2))
  await assert.rejects(end(0, `${largest} `), { ...tooLarge, message: /step "s".*1048577 bytes/ })
  const [refused] = queue.get('job').steps!
  assert.deepEqual([refused!.state, refused!.error!.code], ['failed', 'RESULT_INVALID'])
  assert.deepEqual(await begin(0), { run: 2, wasCut: false })
  const fitting = journalBytesMax / stepResultBytesMax
  for (let index = 0; index < fitting; index++) {
    if (index > 0) await begin(index)
    await end(index, largest)
  }
  check(open)
  await begin(fitting)
  await assert.rejects(end(fitting, '1'), { ...tooLarge, message: /8388608/ })
  await queue.ask(job, { type: 'endStep', index: fitting, error: { ...thrown, message: '' } })
  assert.equal(queue.get('job').steps![fitting]!.error!.stack, undefined)
  const enqueue = { type: 'enqueue' as const, index: 20, name: 'e', jobs: [{ method: 'a.y' }] }
  await assert.rejects(queue.ask(job, enqueue), tooLarge)
  await assert.rejects(queue.signal('job', 'more', 1), tooLarge)
  assert.equal(queue.list({}).jobs.length, 1)
  check(open)
  await queue.settle(job, { type: 'suspended', entries: [70_000] }, noTrace)
  assert.equal(queue.get('job').state, 'scheduled')
})

test('issue 6.5: an instant beyond what can be stored is the last one', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const job = await running(open)
  await open.queue.ask(job, { type: 'sleep', index: 0, name: 's', untilMs: 1e300 })
  await open.queue.ask(job, { type: 'sleep', index: 1, name: 's', untilMs: -1e300 })
  await open.queue.ask(job, { type: 'sleep', index: 2, name: 's', untilMs: open.clock.nowMs + 0.5 })
  const until = open.queue.get('job').steps!.map((step) => Date.parse(step.until!))
  assert.deepEqual(until, [instantMsMax, 0, open.clock.nowMs + 1])
})

test('issue 6.3: jobs that are enqueued at once exist once, however often attempts ask, also after a kill before the answer', async (t) => {
  let open = await openQueue(queueConfig('default', { maxQueued: 3 }))
  t.after(() => open.close())
  const first = await running(open)
  const jobs = [{ method: 'a.y' }, { method: 'a.y', jobId: 'chosen', dependsOn: [0] }]
  open.dieAfter(1)
  const question = { type: 'enqueue' as const, index: 0, name: 'enqueue a.y', jobs }
  await assert.rejects(open.queue.ask(first, question), { name: 'Error' })
  open = await open.reopen()
  const [second] = (await open.queue.claim('default', 5)).filter(({ id }) => id === 'job')
  const stored = JSON.parse(second!.journal![0]!.result!)
  const { ids } = await open.queue.ask(second!, question)
  assert.deepEqual(ids, stored)
  assert.equal(ids[1], 'chosen')
  // What is refused by now was enqueued all the same.
  const gone = { ...question, jobs: [{ method: 'b.gone' }] }
  assert.deepEqual(await open.queue.ask(second!, gone), { ids })
  assert.equal(open.queue.list({ method: 'a.y' }).jobs.length, 2)
  check(open)
})

test('issue 6.3: a refusal of jobs that were to be enqueued at once leaves nothing', async (t) => {
  const open = await openQueue(queueConfig('default', { maxQueued: 2 }))
  t.after(open.close)
  const { queue } = open
  const job = await running(open)
  const enqueue = (jobs: unknown[]) =>
    queue.ask(job, { type: 'enqueue', index: 0, name: 'enqueue', jobs: jobs as never })
  const one = { method: 'a.y' }
  await assert.rejects(enqueue([one, one, one]), { code: 'QUEUE_FULL' })
  await assert.rejects(enqueue([one, { method: 'a.y', jobId: 'job' }]), { code: 'JOB_EXISTS' })
  await assert.rejects(enqueue([{ method: 'a.y', delay: 'soon' }]), { code: 'PARAMS_INVALID' })
  await assert.rejects(enqueue([7]), { code: 'PARAMS_INVALID' })
  await assert.rejects(enqueue(Array(10_001).fill(one)), { code: 'PARAMS_INVALID' })
  await assert.rejects(enqueue([{ method: 'a.y', queue: 'none' }]), { code: 'QUEUE_UNKNOWN' })
  assert.equal(keptEntries(open), 0)
  assert.deepEqual(await enqueue([]), { ids: [] })
  assert.equal(queue.list({}).jobs.length, 1)
  check(open)
})

test('issue 6.5: a retry goes on where a failed or cancelled job was; a completed one, or other params, begin anew', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const { queue } = open
  const endings = {
    failed: (job: ClaimedJob) => queue.settle(job, failed, noTrace),
    completed: (job: ClaimedJob) => queue.settle(job, { type: 'completed', result: '1' }, noTrace),
    cancelled: (job: ClaimedJob) => queue.cancel(job.id, () => undefined),
    scheduled: (job: ClaimedJob) => queue.settle(job, { type: 'suspended', entries: [2] }, noTrace)
  }
  for (const [state, end] of Object.entries(endings)) {
    for (const params of [undefined, { other: true }]) {
      for (const by of ['hand', 'bulk'] as const) {
        const id = `${state} ${params === undefined} ${by}`
        const job = await running(open, id)
        await fill(open, job)
        await end(job)
        assert.equal(queue.get(id).steps!.length, 3)
        if (by === 'hand') await queue.retry(id, params)
        else await queue.bulk({ type: 'retry', ...(params && { params }) }, { state: state as 'failed' })
        check(open)
        const keeps = state !== 'completed' && params === undefined
        const { steps, signals } = queue.get(id)
        assert.deepEqual(
          steps?.map((step) => step.state),
          keeps ? ['done', 'failed', 'waiting'] : undefined,
          id
        )
        assert.deepEqual(
          signals?.map((signal) => signal.name),
          keeps ? ['other'] : undefined,
          id
        )
        const again = await claimOne(open)
        assert.equal(again.journal?.length, keeps ? 3 : undefined)
        await queue.settle(again, { type: 'completed', result: '1' }, noTrace)
        await queue.remove(id)
        assert.equal(keptEntries(open), 0)
      }
    }
  }
})

test('issue 6.5: a journal goes with its job, whichever way that is forgotten', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const { queue, clock } = open
  const ways: Record<string, (id: string) => Promise<unknown>> = {
    remove: (id) => queue.remove(id),
    bulk: () => queue.bulk({ type: 'remove' }, { state: 'completed' }),
    purge: () => queue.purge('default', ['completed']),
    another: (jobId) => queue.enqueue([{ method: 'a.x', jobId, deduplicate: true, delay: 60 }])
  }
  for (const [id, forget] of Object.entries(ways)) {
    const job = await running(open, id)
    await fill(open, job)
    await queue.settle(job, { type: 'completed', result: '1' }, noTrace)
    assert.equal(keptEntries(open), 4)
    await forget(id)
    assert.equal(keptEntries(open), 0, id)
    check(open)
  }
  await queue.enqueue([{ method: 'a.x', jobId: 'short', resultTtl: 0 }])
  const short = await claimOne(open)
  await fill(open, short)
  await queue.settle(short, { type: 'completed', result: '1' }, noTrace)
  assert.equal(keptEntries(open), 0)
  await queue.upkeep(clock.nowMs)
  check(open)
})

test('issue 6.5: what a journal takes counts in the retention of its queue', async (t) => {
  const none = { ageMs: null, count: null, bytes: null }
  const bytes = 100_000
  const open = await openQueue(
    queueConfig('default', { retention: { completed: { ...none, bytes }, failed: none, cancelled: none } })
  )
  t.after(open.close)
  const { queue, clock } = open
  for (const [id, size] of [
    ['small', 10],
    ['result', bytes],
    ['after', 10],
    ['signal', bytes]
  ] as const) {
    const job = await running(open, id)
    if (id === 'signal') await queue.signal(id, 'unread', 'x'.repeat(size))
    else {
      await queue.ask(job, { type: 'beginStep', index: 0, name: 's' })
      await queue.ask(job, { type: 'endStep', index: 0, result: JSON.stringify('x'.repeat(size)) })
    }
    await queue.settle(job, { type: 'completed', result: '1' }, noTrace)
    while ((await queue.upkeep(clock.nowMs)) !== null);
    clock.nowMs++
    const left = queue.list({}).jobs.map((each) => each.id)
    assert.deepEqual(left, size === bytes ? [] : [id], `after ${id}`)
  }
  assert.equal(keptEntries(open), 0)
})

test('issue 6.5: questions of one turn share a commit, and each sees what those before it did', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const { queue } = open
  const job = await running(open)
  const asked = [
    queue.ask(job, { type: 'beginStep', index: 0, name: 'a' }),
    queue.ask(job, { type: 'beginStep', index: 1, name: 'b' }),
    queue.ask(job, { type: 'endStep', index: 0, result: '"A"' }),
    queue.signal('job', 'go', 'now'),
    queue.ask(job, { type: 'waitFor', index: 2, name: 'go', untilMs: null }),
    queue.settle(job, { type: 'completed', result: '1' }, noTrace)
  ] as const
  const [, , , , received] = await Promise.all(asked)
  assert.deepEqual(received, { state: 'received', payload: '"now"' })
  assert.deepEqual(
    queue.get('job').steps!.map(({ state }) => state),
    ['done', 'running', 'done']
  )
  check(open)
})
