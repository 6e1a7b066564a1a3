/** What a job that completes changes besides is one commit with its completion, or nothing of it happens. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { EnqueueRequest } from '../../runtime/core/job.ts'
import { jobsPerCompletionMax } from '../../runtime/core/limits.ts'
import type { Effects } from '../../runtime/core/pool.ts'
import type { ClaimedJob } from '../../runtime/queue/claimed-job.ts'
import { Died, type OpenQueue, openQueue, queueConfig } from './open-queue.ts'
import { assertInvariants } from './store-invariants.ts'

const noTrace = { progress: null, logs: [] }
const x = { type: 'd.Doc', name: 'x' }
const written = { state: '{"n":1}', version: 1 }

async function open(test: TestContext, options: Parameters<typeof queueConfig>[1] = {}): Promise<OpenQueue> {
  const opened = await openQueue(queueConfig('default', options), queueConfig('small', { maxQueued: 1 }))
  test.after(() => opened.close())
  return opened
}

async function start({ queue }: OpenQueue, options: Partial<EnqueueRequest> = {}): Promise<ClaimedJob> {
  await queue.enqueue([{ method: 'd.Doc.run', document: 'x', jobId: 'job', ...options }])
  const [job] = await queue.claim('default', 1)
  return job!
}

function complete({ queue }: OpenQueue, job: ClaimedJob, effects: unknown): Promise<boolean> {
  return queue.settle(job, { type: 'completed', result: '"done"', effects: effects as Effects }, noTrace)
}

function ids({ queue }: OpenQueue): string[] {
  return queue
    .list({})
    .jobs.map(({ id }) => id)
    .toSorted()
}

function consistent({ store, tag }: OpenQueue): void {
  assertInvariants(store.reader, tag, new Map())
}

test('issue 6.1, 6.3: state, jobs, reminders, result and completion are one commit', async (test) => {
  const opened = await open(test)
  const job = await start(opened)
  const effects: Effects = {
    document: written,
    jobs: [
      { method: 'a.b', jobId: 'one', params: { of: 1 } },
      { method: 'd.Doc.run', document: 'y', jobId: 'two', dependsOn: [0] }
    ],
    reminders: [{ type: 'set', name: 'r', method: 'run', delay: 5 }]
  }
  const events = opened.events.length
  assert.equal(await complete(opened, job, effects), true)
  const { queue } = opened
  assert.deepEqual(queue.get('job').result, 'done')
  assert.deepEqual(queue.documents.get(x).state, { n: 1 })
  assert.equal(queue.documents.get(x).reminders.length, 1)
  assert.deepEqual([queue.get('one').params, queue.get('two').dependsOn], [{ of: 1 }, ['one']])
  assert.deepEqual(
    opened.events.slice(events).map((event) => [event.type, event.job]),
    [
      ['enqueued', 'one'],
      ['enqueued', 'two'],
      ['completed', 'job']
    ]
  )
  consistent(opened)
})

test('issue 6.1: a death before the commit leaves nothing of it, one after it all of it', async (test) => {
  for (const commits of [0, 1]) {
    const opened = await open(test)
    const job = await start(opened)
    opened.dieAfter(commits)
    await assert.rejects(complete(opened, job, { document: written, jobs: [{ method: 'a.b', jobId: 'one' }] }), Died)
    const { queue } = await opened.reopen()
    assert.equal(queue.get('job').state, commits === 0 ? 'ready' : 'completed')
    assert.equal(queue.documents.list({}).documents.length, commits)
    assert.deepEqual(ids(opened), commits === 0 ? ['job'] : ['job', 'one'])
  }
})

test('issue 6.3: jobs of a plain function exist if and only if it completes', async (test) => {
  const opened = await open(test)
  const { queue } = opened
  await queue.enqueue([{ method: 'a.b', jobId: 'job' }])
  const [job] = await queue.claim('default', 1)
  await complete(opened, job!, { jobs: [{ method: 'a.c', jobId: 'one' }] })
  assert.deepEqual([queue.get('job').state, queue.get('one').state], ['completed', 'ready'])
})

test('issue 6.3: where its jobs are refused, the attempt has failed as if the method had thrown, and changes nothing', async (test) => {
  const refused: [string, Effects['jobs']][] = [
    ['METHOD_UNKNOWN', [{ method: 'gone.away', jobId: 'one' }]],
    ['QUEUE_UNKNOWN', [{ method: 'a.b', jobId: 'one', queue: 'nowhere' }]],
    ['PARAMS_INVALID', [{ method: 'a.b', jobId: 'one', delay: 'soon' }]],
    ['PARAMS_INVALID', [{ method: 'a.b', jobId: 'one', colour: 'red' } as EnqueueRequest]],
    ['PARAMS_INVALID', [{ method: 'd.Doc.run', jobId: 'one' }]],
    ['PARAMS_INVALID', [7 as unknown as EnqueueRequest]],
    ['PARAMS_INVALID', Array.from({ length: jobsPerCompletionMax + 1 }, () => ({ method: 'a.b' }))],
    [
      'JOB_EXISTS',
      [
        { method: 'a.b', jobId: 'one' },
        { method: 'a.b', jobId: 'job' }
      ]
    ],
    ['JOB_UNKNOWN', [{ method: 'a.b', jobId: 'one', dependsOn: ['nobody'] }]],
    ['QUEUE_FULL', [1, 2].map((at) => ({ method: 'a.b', jobId: `one ${at}`, queue: 'small' }))]
  ]
  for (const [code, jobs] of refused) {
    const opened = await open(test)
    const { queue } = opened
    const job = await start(opened, { attempts: 2 })
    assert.equal(await complete(opened, job, { document: written, jobs }), true)
    const { state, error, attempts } = queue.get('job')
    assert.deepEqual([state, attempts.made], ['scheduled', 1], code)
    assert.deepEqual([error!.code, error!.name, error!.thrownCode], ['THROWN', 'RuntimeError', code])
    assert.deepEqual(ids(opened), ['job'])
    assert.deepEqual(queue.documents.list({}).documents, [])
    consistent(opened)
    await queue.promoteDue(opened.clock.nowMs)
    const [again] = await queue.claim('default', 1)
    await complete(opened, again!, { document: written, jobs: [{ method: 'a.b', jobId: 'one' }] })
    assert.equal(queue.get('job').state, 'completed')
  }
})

test('issue 6.1: a document that was changed meanwhile interrupts the attempt: nothing is done, and it runs again', async (test) => {
  const opened = await open(test)
  const { queue } = opened
  const job = await start(opened)
  await complete(opened, job, { document: written })
  const second = await start(opened, { jobId: 'second' })
  await queue.documents.remove(x)
  await complete(opened, second, {
    document: { state: '{"n":2}', version: 1 },
    jobs: [{ method: 'a.b', jobId: 'one' }]
  })
  const { state, history, attempts } = queue.get('second')
  assert.deepEqual([state, attempts.made, history.at(-1)!.outcome], ['ready', 1, 'interrupted'])
  assert.deepEqual(ids(opened), ['job', 'second'])
  assert.deepEqual(queue.documents.list({}).documents, [])
  const [again] = await queue.claim('default', 1)
  assert.equal(again!.document!.revision, null)
  await complete(opened, again!, { document: { state: '{"n":2}', version: 1 } })
  assert.deepEqual(queue.documents.get(x).state, { n: 2 })
  consistent(opened)
})

test('issue 6.1: an attempt that is over changes nothing', async (test) => {
  const opened = await open(test)
  const { queue } = opened
  const job = await start(opened)
  await queue.cancel('job', () => undefined)
  assert.equal(await complete(opened, job, { document: written, jobs: [{ method: 'a.b', jobId: 'one' }] }), false)
  assert.deepEqual([ids(opened), queue.documents.list({}).documents], [['job'], []])
})

test('issue 6.1: a removed document goes with its reminders, in the commit of the job', async (test) => {
  const opened = await open(test)
  const { queue } = opened
  const reminders = [{ type: 'set', name: 'r', method: 'run', delay: 5 }]
  await complete(opened, await start(opened), { document: written, reminders })
  await complete(opened, await start(opened, { jobId: 'second' }), { document: 'removed', reminders })
  assert.equal(queue.get('second').state, 'completed')
  assert.deepEqual(queue.documents.list({}).documents, [])
  assert.equal(await queue.upkeep(opened.clock.nowMs + 10_000), null)
  consistent(opened)
})

test('issue 6.1: a migrated state is written with its version, under the revision that the claim has reserved', async (test) => {
  const opened = await open(test)
  const { queue, clock } = opened
  await complete(opened, await start(opened), { document: written })
  const before = queue.documents.get(x)
  clock.nowMs += 1_000
  const second = await start(opened, { jobId: 'second' })
  await complete(opened, second, { document: { state: '{"n":1,"v":2}', version: 2 } })
  const after = queue.documents.get(x)
  assert.deepEqual([after.version, after.revision], [2, second.document!.nextRevision])
  assert.equal(after.createdAt, before.createdAt)
  assert(after.updatedAt > before.updatedAt)
})

test('issue 6.1: the settle of a job comes before the claim that is asked for in the same turn', async (test) => {
  const opened = await open(test)
  const { queue } = opened
  const job = await start(opened)
  await queue.enqueue([{ method: 'd.Doc.run', document: 'x', jobId: 'second' }])
  const [, claimed] = await Promise.all([
    complete(opened, job, { document: written, jobs: [{ method: 'a.b', jobId: 'one' }] }),
    queue.claim('default', 2)
  ])
  assert.deepEqual(claimed.map(({ id, document }) => [id, document?.state]).toSorted(), [
    ['one', undefined],
    ['second', '{"n":1}']
  ])
})

test('issue 6.3: an id that is too long for a key is refused, or one of no job, and no defect', async (test) => {
  const opened = await open(test)
  const job = await start(opened)
  const long = 'x'.repeat(5_000)
  await complete(opened, job, { document: written, jobs: [{ method: 'a.b', jobId: 'one', dependsOn: [long] }] })
  const { queue } = opened
  assert.deepEqual([queue.get('job').state, queue.get('job').error!.thrownCode], ['failed', 'PARAMS_INVALID'])
  assert.throws(() => queue.get(long), { code: 'JOB_UNKNOWN' })
  await assert.rejects(
    queue.transaction([{ op: 'cancel', id: long }], () => undefined),
    { code: 'JOB_UNKNOWN' }
  )
  const document = { type: `d.${long}`, name: 'x' }
  assert.throws(() => queue.documents.get(document), { code: 'DOCUMENT_UNKNOWN' })
  await queue.transaction([{ op: 'removeState', ...document }], () => undefined)
  const cursor = Buffer.from(`O${long}`).toString('base64url')
  assert.throws(() => queue.documents.list({ cursor }), { code: 'PARAMS_INVALID' })
  consistent(opened)
})

test('issue 6.3: whatever a thread sends as effects, the attempt ends, and nothing that nobody can read is stored', async (test) => {
  const opened = await open(test)
  const { queue } = opened
  const job = await start(opened, { attempts: 100 })
  const effects: unknown[] = [
    null,
    7,
    { jobs: null },
    { jobs: 'abc' },
    { jobs: { length: 1 } },
    { reminders: 5 },
    { document: null },
    { document: 5 },
    { document: 'gone' },
    { document: { version: 1 } },
    { document: { state: 5, version: 1 } },
    { document: { state: '1', version: 'x' } },
    { document: { state: '1', version: 1, revision: 7 } },
    { more: 1 }
  ]
  let claimed = job
  for (const each of effects) {
    assert.equal(await complete(opened, claimed, each), true)
    assert.equal(queue.get('job').error?.thrownCode, 'PARAMS_INVALID', JSON.stringify(each))
    assert.deepEqual(queue.documents.list({}).documents, [])
    await queue.promoteDue(opened.clock.nowMs)
    claimed = (await queue.claim('default', 1))[0]!
  }
  consistent(opened)
})
