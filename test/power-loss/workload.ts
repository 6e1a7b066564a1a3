/**
 * A program that works on a durable queue at random, and notes each change that was acknowledged to it in the file
 * `acknowledged` beside the data directory. Run under journal.c; arguments: folder, seed, number of operations.
 *
 * What is noted of a job only ever grows: 1 enqueued, 2 completed, 3 to be removed, 4 removed. Of what an outbox prepares, by
 * `outbox:` and its id: 1 prepared, 2 to be committed, 3 committed. Of steps, by `step:` and the job: how many are done, 0
 * once it is to be removed. Of the scheduler event, by `event:` and its id: its runs. What must hold in any case, whatever was
 * noted, is in image-invariants.ts.
 */
import assert from 'node:assert/strict'
import { openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Effects } from '../../runtime/core/pool.ts'
import type { ClaimedJob } from '../../runtime/queue/claimed-job.ts'
import { openQueueIn } from '../queue/open-queue.ts'
import { randomFrom } from '../support/random.ts'
import {
  bulkJobs,
  eventId,
  outboxJobs,
  pairNames,
  powerLossQueues,
  sumNames,
  transactionJobs
} from './image-invariants.ts'

const [folder = '', seed = '1', operations = '100'] = process.argv.slice(2)
const random = randomFrom(Number(seed))
const acknowledged = openSync(join(folder, 'acknowledged'), 'a')
const note = (line: string) => writeSync(acknowledged, `${line}\n`)
const upTo = (count: number) => Math.floor(random() * count)
const pick = <T>(list: T[]): T | undefined => list.splice(upTo(list.length), 1)[0]

const startAtMs = Date.UTC(2026, 0, 1)
const { queue, clock, close } = await openQueueIn(join(folder, 'data'), startAtMs, ...powerLossQueues)
note('open')

const noTrace = { progress: null, logs: [] }
const noTraceOf = () => undefined
let made = 0
const claimed: ClaimedJob[] = []
const finished: string[] = []
const prepared: string[] = []
const steps = new Map<ClaimedJob, number>()

async function enqueue(): Promise<void> {
  const ids = Array.from({ length: 1 + upTo(4) }, () => `job-${made++}`)
  const text = 'x'.repeat(Math.floor(random() ** 4 * 20_000))
  await queue.enqueue(
    ids.map((jobId) => ({
      method: 'a.work',
      queue: 'short',
      jobId,
      params: { text },
      ...(random() < 0.3 && { key: `key-${upTo(3)}`, keyConcurrency: 1 })
    }))
  )
  for (const id of ids) note(`${id} 1`)
}

async function append(): Promise<void> {
  const id = `append-${made++}`
  await queue.enqueue([{ method: 'd.Sum.append', queue: 'documents', document: sumNames[upTo(2)]!, jobId: id }])
  note(`${id} 1`)
}

/** Jobs and the states of two documents. */
async function transact(): Promise<void> {
  const number = made++
  const jobs = transactionJobs(number)
  await queue.transaction(
    [
      ...jobs.map((jobId) => ({ op: 'enqueue' as const, job: { method: 'a.work', queue: 'short', jobId } })),
      ...pairNames.map((name) => ({ op: 'setState' as const, type: 'd.Pair', name, state: { last: number } }))
    ],
    noTraceOf
  )
  for (const id of jobs) note(`${id} 1`)
}

async function prepare(): Promise<void> {
  const jobs = outboxJobs(`${made++}`)
  const { id } = await queue.outbox.prepare({
    outbox: jobs[0]!,
    operations: jobs.map((jobId) => ({ op: 'enqueue', job: { method: 'a.work', queue: 'short', jobId } }))
  })
  note(`outbox:${id} 1`)
  prepared.push(id)
}

async function commitPrepared(id: string): Promise<void> {
  note(`outbox:${id} 2`)
  const jobs = await queue.outbox.commit(id, noTraceOf)
  note(`outbox:${id} 3`)
  for (const job of jobs) note(`${job.id} 1`)
}

/** The instants up to now, with a job each. */
async function fire(): Promise<void> {
  for (const event of queue.schedule.due(clock.nowMs, 10)) {
    const atMs = event.nextAtMs!
    const draft = queue.draft({ method: 'a.work', queue: 'short' })
    const firing = { event, queue: 'short', method: 'a.work', runs: [{ atMs, draft }], overlap: 'allow' as const }
    await queue.schedule.fire([{ ...firing, skips: 0, misses: 0, nextAtMs: clock.nowMs + 2_000 }])
    note(`event:${event.id} ${event.runs + 1}`)
  }
}

/** A large payload that retention forgets soon: its pages are free then, and used again. */
async function churn(): Promise<void> {
  const bytes = random() < 0.2 ? 100_000 : 9_000
  await queue.enqueue([{ method: 'a.work', queue: 'churn', params: { text: 'y'.repeat(bytes) } }])
  const [job] = await queue.claim('churn', 1)
  if (job !== undefined) await queue.settle(job, { type: 'completed', result: '"done"' }, noTrace)
  await queue.upkeep(clock.nowMs)
}

async function enqueueBulk(): Promise<void> {
  const ids = bulkJobs(made++)
  await queue.enqueue(ids.map((jobId) => ({ method: 'a.work', queue: 'bulk', jobId })))
  note(`${ids[0]} 1`)
}

async function step(job: ClaimedJob): Promise<void> {
  const index = steps.get(job) ?? 0
  steps.set(job, index + 1)
  await queue.ask(job, { type: 'beginStep', index, name: `step ${index}` })
  await queue.ask(job, { type: 'endStep', index, result: `"${'z'.repeat(upTo(3_000))}"` })
  note(`step:${job.id} ${index + 1}`)
}

async function settle(job: ClaimedJob): Promise<void> {
  if (random() < 0.2) {
    const error = { code: 'THROWN', name: 'Error', message: 'no' } as const
    await queue.settle(job, { type: 'failed', error, final: false }, noTrace)
    return
  }
  const effects = job.document === undefined ? {} : { effects: effectsOf(job) }
  await queue.settle(job, { type: 'completed', result: '"done"', ...effects }, noTrace)
  assert.equal(queue.get(job.id).state, 'completed')
  note(`${job.id} 2`)
  if (job.id.startsWith('job-')) finished.push(job.id)
}

/** The document counts, a job follows, and the document asks to be reminded of it. */
function effectsOf(job: ClaimedJob): Effects {
  const { id, document } = job
  const before = document!.revision === null ? '{"appended":[],"text":""}' : queue.documents.stateOf(job)
  const { appended, text } = JSON.parse(before) as SumState
  const state = { appended: [...appended, id], text: random() < 0.3 ? 'w'.repeat(upTo(6_000)) : text }
  return {
    document: { state: JSON.stringify(state), version: 1 },
    jobs: [{ method: 'a.work', queue: 'short', jobId: `${id}-child` }],
    reminders: [{ type: 'set', name: 'last', method: 'remind', params: { id }, delay: '30d', queue: 'documents' }]
  }
}

interface SumState {
  appended: string[]
  text: string
}

async function remove(id: string): Promise<void> {
  note(`${id} 3\nstep:${id} 0`)
  await queue.remove(id)
  note(`${id} 4`)
}

async function claim(name: string): Promise<void> {
  claimed.push(...(await queue.claim(name, 3)))
}

function next(): Promise<unknown> | undefined {
  const choice = random()
  if (choice < 0.22) return enqueue()
  if (choice < 0.29) return append()
  if (choice < 0.34) return transact()
  if (choice < 0.38) return prepare()
  if (choice < 0.4) return fire()
  if (choice < 0.44) return churn()
  if (choice < 0.443) return enqueueBulk()
  if (choice < 0.58) return claim(random() < 0.6 ? 'short' : 'documents')
  if (choice < 0.82 && claimed.length > 0) {
    const job = pick(claimed)!
    if (job.document !== undefined || random() < 0.8) return settle(job)
    return step(job).then(() => claimed.push(job))
  }
  if (choice < 0.88 && prepared.length > 0) return commitPrepared(pick(prepared)!)
  if (finished.length > 0) return remove(pick(finished)!)
  return undefined
}

await queue.schedule.migrate([{ id: eventId, timing: 't', fingerprint: 'f', firstAtMs: () => startAtMs }], false)
for (let done = 0; done < Number(operations); done++) {
  clock.nowMs += upTo(1_000)
  // Several at a time share a commit.
  const underWay: (Promise<unknown> | undefined)[] = []
  for (let at = upTo(4); at >= 0; at--) underWay.push(next())
  await Promise.all(underWay)
  await queue.promoteDue(clock.nowMs)
}
if (random() < 0.5) await close()
note('end')
process.exit()
