/** What running jobs have said is stored while they run, and is theirs after an interruption (issue 5.8). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AttemptTrace } from '../../runtime/queue/claimed-job.ts'
import { openQueue, queueConfig } from './open-queue.ts'

function trace(percent: number, ...messages: string[]): AttemptTrace {
  return {
    progress: { percent, stage: 'half' },
    logs: messages.map((message) => ({ at: '2026-01-01T00:00:00.000Z', level: 'info' as const, message }))
  }
}

test('a stored trace survives an interruption, and stays until the next attempt has said something', async (t) => {
  const { queue, reopen, close } = await openQueue(queueConfig('default', { backgroundWorkers: 2 }))
  t.after(close)
  await queue.enqueue([{ method: 'a.x' }, { method: 'a.x' }])
  const [one, two] = await queue.claim('default', 2)
  await queue.storeTraces([
    { job: one!, trace: trace(10, 'first') },
    { job: two!, trace: trace(20, 'second') }
  ])
  await queue.storeTraces([{ job: one!, trace: trace(30, 'first', 'and more') }])
  const { queue: after, recovered } = await reopen()
  assert.equal(recovered, 2)
  const view = after.get(one!.id)
  assert.deepEqual([view.state, view.progress], ['ready', { percent: 30, stage: 'half' }])
  assert.deepEqual(
    view.logs.map(({ message }) => message),
    ['first', 'and more']
  )
  assert.deepEqual(
    view.history.map(({ attempt, outcome }) => [attempt, outcome]),
    [[1, 'interrupted']]
  )
  assert.deepEqual(after.get(two!.id).progress, { percent: 20, stage: 'half' })
  const [again] = await after.claim('default', 1)
  assert.equal(again!.attempt, 2)
  assert.equal(await after.settle(again!, { type: 'completed', result: '1' }, trace(100, 'done')), true)
  assert.deepEqual(
    after.get(one!.id).logs.map(({ message }) => message),
    ['done']
  )
})

test('a trace of a job that is not in that attempt any more changes nothing', async (t) => {
  const { queue, close } = await openQueue(queueConfig('default', { attempts: 3 }))
  t.after(close)
  const id = (await queue.enqueue([{ method: 'a.x' }]))[0]!.id
  const [first] = await queue.claim('default', 1)
  await queue.settle(first!, { type: 'interrupted' }, trace(1, 'of the first'))
  const ready = queue.get(id)
  await queue.storeTraces([{ job: first!, trace: trace(99, 'late') }])
  assert.deepEqual(queue.get(id), ready)
  const [second] = await queue.claim('default', 1)
  const running = queue.get(id)
  await queue.storeTraces([{ job: first!, trace: trace(99, 'late') }])
  assert.deepEqual(queue.get(id), running)
  await queue.settle(second!, { type: 'completed', result: '1' }, trace(2, 'of the second'))
  const completed = queue.get(id)
  await queue.storeTraces([{ job: second!, trace: trace(99, 'late') }])
  assert.deepEqual(queue.get(id), completed)
  await queue.remove(id)
  await queue.storeTraces([{ job: second!, trace: trace(99, 'late') }])
  assert.throws(() => queue.get(id), { code: 'JOB_UNKNOWN' })
})

test('a trace that was asked for before the settle of its attempt does not undo it', async (t) => {
  const { queue, close } = await openQueue(queueConfig('default'))
  t.after(close)
  const id = (await queue.enqueue([{ method: 'a.x' }]))[0]!.id
  const [job] = await queue.claim('default', 1)
  await Promise.all([
    queue.storeTraces([{ job: job!, trace: trace(50, 'half') }]),
    queue.settle(job!, { type: 'completed', result: '1' }, trace(100, 'half', 'whole')),
    queue.storeTraces([{ job: job!, trace: trace(50, 'half') }])
  ])
  const { state, progress, logs } = queue.get(id)
  assert.deepEqual([state, progress?.percent, logs.length], ['completed', 100, 2])
})
