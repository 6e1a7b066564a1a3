/** Signals: none is lost, none is received twice, whatever the job is doing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signalBytesMax, signalsMax } from '../../runtime/core/limits.ts'
import type { ClaimedJob } from '../../runtime/queue/claimed-job.ts'
import { type OpenQueue, openQueue, queueConfig } from './open-queue.ts'
import { assertInvariants } from './store-invariants.ts'

const noTrace = { progress: null, logs: [] }
const configs = new Map([['default', queueConfig('default')]])

function check({ store, tag }: OpenQueue): void {
  assertInvariants(store.reader, tag, configs)
}

async function claimOne({ queue }: OpenQueue): Promise<ClaimedJob> {
  const [job] = await queue.claim('default', 1)
  assert.ok(job, 'a job is ready')
  return job
}

async function running(open: OpenQueue): Promise<ClaimedJob> {
  await open.queue.enqueue([{ method: 'a.x', jobId: 'job', attempts: 2, backoff: { type: 'fixed', delay: 60 } }])
  return claimOne(open)
}

function wait({ queue }: OpenQueue, job: ClaimedJob, index: number, name: string, untilMs: number | null = null) {
  return queue.ask(job, { type: 'waitFor', index, name, untilMs })
}

test('issue 6.5: a signal wakes the job that sleeps until it comes, and is what the next attempt receives', async (t) => {
  let open = await openQueue(queueConfig('default'))
  t.after(() => open.close())
  const job = await running(open)
  assert.deepEqual(await wait(open, job, 0, 'approved'), { state: 'waiting' })
  await open.queue.settle(job, { type: 'suspended', entries: [0] }, noTrace)
  open = await open.reopen()
  open.told.ready.length = 0
  assert.deepEqual(await open.queue.signal('job', 'approved', { by: 'ann' }), {
    id: 'job',
    state: 'ready',
    changed: true
  })
  assert.deepEqual(open.told.ready, ['default'])
  check(open)
  const { steps, signals } = open.queue.get('job')
  assert.deepEqual([steps![0]!.state, steps![0]!.result, signals], ['done', { by: 'ann' }, []])
  const again = await claimOne(open)
  assert.equal(again.journal![0]!.result, '{"by":"ann"}')
  assert.deepEqual(await wait(open, again, 0, 'approved'), { state: 'received', payload: '{"by":"ann"}' })
  assert.deepEqual(await wait(open, again, 1, 'approved'), { state: 'waiting' })
})

test('issue 6.5: signals that come early are kept by name, and received oldest first', async (t) => {
  let open = await openQueue(queueConfig('default'))
  t.after(() => open.close())
  await open.queue.enqueue([
    { method: 'a.x', jobId: 'ready' },
    { method: 'a.x', jobId: 'delayed', delay: 60 },
    { method: 'a.x', jobId: 'keyed', key: 'k', keyConcurrency: 1 }
  ])
  for (const id of ['ready', 'delayed', 'keyed']) {
    const { state } = open.queue.get(id)
    for (const number of [1, 2]) {
      assert.deepEqual(await open.queue.signal(id, 'n', number), { id, state, changed: true })
      await open.queue.signal(id, 'other')
      check(open)
    }
    open = await open.reopen()
    assert.equal(open.queue.get(id).state, state)
    const kept = open.queue.get(id).signals!.map(({ name, payload }) => [name, payload])
    assert.deepEqual(kept, [
      ['n', 1],
      ['other', null],
      ['n', 2],
      ['other', null]
    ])
  }
  open.clock.nowMs += 60_000
  await open.queue.promoteDue(open.clock.nowMs)
  const claimed = await open.queue.claim('default', 3)
  assert.deepEqual(claimed.map(({ id }) => id).toSorted(), ['delayed', 'keyed', 'ready'])
  for (const job of claimed) {
    assert.equal(job.journal, undefined)
    assert.deepEqual(await wait(open, job, 0, 'n'), { state: 'received', payload: '1' })
    assert.deepEqual(await wait(open, job, 1, 'n'), { state: 'received', payload: '2' })
    assert.deepEqual(await wait(open, job, 0, 'n'), { state: 'received', payload: '1' })
    assert.deepEqual(await wait(open, job, 2, 'n'), { state: 'waiting' })
    assert.equal(open.queue.get(job.id).signals!.length, 2)
    check(open)
  }
})

test('issue 6.5: a signal that comes between the question and the end of the attempt is not missed', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const { queue, clock } = open
  const job = await running(open)
  await wait(open, job, 0, 'approved', clock.nowMs + 1_000)
  assert.equal((await queue.signal('job', 'approved', 1)).state, 'running')
  await queue.settle(job, { type: 'suspended', entries: [0] }, noTrace)
  assert.deepEqual(open.told.scheduled, [clock.nowMs])
  assert.equal(await queue.promoteDue(clock.nowMs), null)
  assert.deepEqual(await wait(open, await claimOne(open), 0, 'approved'), { state: 'received', payload: '1' })
})

test('issue 7.7: a signal that comes between the question and the end of the attempt is received before a later one', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(() => open.close())
  const job = await running(open)
  assert.deepEqual(await wait(open, job, 0, 'go'), { state: 'waiting' })
  await open.queue.signal('job', 'go', 1)
  await open.queue.settle(job, { type: 'suspended', entries: [0] }, noTrace)
  await open.queue.signal('job', 'go', 2)
  check(open)
  await open.queue.promoteDue(open.clock.nowMs)
  const again = await claimOne(open)
  assert.deepEqual(await wait(open, again, 0, 'go'), { state: 'received', payload: '1' })
  assert.deepEqual(await wait(open, again, 1, 'go'), { state: 'received', payload: '2' })
  check(open)
})

test('issue 6.5: a wait that has timed out stays so, and what comes later is for the next wait', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const { queue, clock } = open
  const job = await running(open)
  const untilMs = clock.nowMs + 100
  await wait(open, job, 0, 'approved', untilMs)
  await queue.settle(job, { type: 'suspended', entries: [0] }, noTrace)
  clock.nowMs = untilMs
  assert.equal(await queue.promoteDue(clock.nowMs), null)
  const again = await claimOne(open)
  assert.deepEqual(await wait(open, again, 0, 'approved', untilMs + 900), { state: 'timedOut' })
  await queue.signal('job', 'approved', 'late')
  assert.deepEqual(await wait(open, again, 0, 'approved'), { state: 'timedOut' })
  assert.deepEqual(await wait(open, again, 1, 'approved', 0), { state: 'received', payload: '"late"' })
  assert.deepEqual(
    queue.get('job').steps!.map(({ state }) => state),
    ['timedOut', 'done']
  )
  check(open)
})

test('issue 6.5: of several waits for one name the first call receives first, and other names wake nothing', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const { queue } = open
  const job = await running(open)
  for (const [index, name] of ['go', 'other', 'go'].entries()) await wait(open, job, index, name)
  await queue.settle(job, { type: 'suspended', entries: [0, 1, 2] }, noTrace)
  assert.equal((await queue.signal('job', 'unknown')).state, 'scheduled')
  assert.equal((await queue.signal('job', 'go', 1)).state, 'ready')
  assert.equal((await queue.signal('job', 'go', 2)).state, 'ready')
  assert.deepEqual(
    queue.get('job').steps!.map(({ state, result }) => [state, result]),
    [
      ['done', 1],
      ['waiting', undefined],
      ['done', 2]
    ]
  )
  check(open)
})

test('issue 6.5: a signal does not shorten the wait between two attempts', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const { queue, clock } = open
  const job = await running(open)
  await wait(open, job, 0, 'go')
  await queue.settle(job, { type: 'suspended', entries: [0] }, noTrace)
  await queue.retry('job')
  const second = await claimOne(open)
  const error = { code: 'THROWN' as const, name: 'Error', message: 'no' }
  await queue.settle(second, { type: 'failed', final: false, error }, noTrace)
  assert.equal((await queue.signal('job', 'go', 1)).state, 'scheduled')
  assert.equal(queue.get('job').steps![0]!.state, 'done')
  assert.equal(await queue.promoteDue(clock.nowMs), clock.nowMs + 60_000)
  check(open)
})

test('issue 6.5: a waiting job that becomes a newer request keeps its signals', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const newest = { method: 'a.x', jobId: 'job', deduplicate: { keepLast: true as const } }
  await open.queue.enqueue([newest])
  await open.queue.signal('job', 'go', 1)
  await open.queue.enqueue([{ ...newest, delay: 60 }])
  check(open)
  assert.equal(open.queue.get('job').signals!.length, 1)
  await open.queue.enqueue([newest])
  check(open)
  assert.deepEqual(await wait(open, await claimOne(open), 0, 'go'), { state: 'received', payload: '1' })
})

test('issue 6.5: a signal is refused by a job that is unknown, finished, or has too many, and one that is too large', async (t) => {
  const open = await openQueue(queueConfig('default'))
  t.after(open.close)
  const { queue } = open
  const job = await running(open)
  await assert.rejects(queue.signal('none', 'n'), { code: 'JOB_UNKNOWN' })
  await assert.rejects(queue.signal('job', 'n', 'x'.repeat(signalBytesMax - 1)), { code: 'PAYLOAD_TOO_LARGE' })
  await assert.rejects(
    queue.signal('job', 'n', () => 1),
    { code: 'PARAMS_INVALID' }
  )
  await assert.rejects(queue.signal('job', 'n', 1n), { code: 'PARAMS_INVALID' })
  assert.equal(queue.get('job').signals, undefined)
  await queue.signal('job', 'n', 'x'.repeat(signalBytesMax - 2))
  await Promise.all(Array.from({ length: signalsMax - 1 }, () => queue.signal('job', 'n')))
  await assert.rejects(queue.signal('job', 'm'), { code: 'JOB_STATE', message: /1000 signals.*"m"/ })
  check(open)
  await wait(open, job, 0, 'm')
  await queue.signal('job', 'm', 'waited for')
  await assert.rejects(queue.signal('job', 'm'), { code: 'JOB_STATE' })
  assert.deepEqual(await wait(open, job, 0, 'm'), { state: 'received', payload: '"waited for"' })
  assert.equal((await wait(open, job, 1, 'n')).state, 'received')
  await queue.signal('job', 'n')
  await queue.settle(job, { type: 'completed', result: '1' }, noTrace)
  await assert.rejects(queue.signal('job', 'n'), { code: 'JOB_STATE', message: /it is completed/ })
  assert.equal(queue.get('job').signals!.length, signalsMax)
  check(open)
})
