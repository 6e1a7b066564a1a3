/**
 * A store that holds every kind of entry: jobs in every state, finished in every way; keys in turns, in strict order and
 * blocked by a rate; jobs that depend on others; deduplication; documents with reminders; journals and signals; prepared operations; a
 * scheduler event; jobs that were running. Always the same.
 */
import assert from 'node:assert/strict'
import type { QueueConfig } from '../../runtime/core/config.ts'
import type { EnqueueRequest } from '../../runtime/core/job.ts'
import type { Ending } from '../../runtime/queue/attempts.ts'
import type { ClaimedJob } from '../../runtime/queue/claimed-job.ts'
import { type OpenQueue, queueConfig } from '../queue/open-queue.ts'

const limits = { rateLimit: { max: 3, perMs: 60_000 }, keyRateLimit: { max: 1, perMs: 60_000 } }
const options: Record<string, Partial<QueueConfig>> = {
  default: {},
  aged: { ageingMs: 60_000 },
  limited: limits,
  paused: {}
}

export const everyKindConfigs: QueueConfig[] = Object.entries(options).map(([name, own]) => queueConfig(name, own))
export const everyKindStartMs = Date.UTC(2026, 0, 1)
const hourMs = 3_600_000

const trace = {
  progress: { percent: 40, stage: 'half' },
  logs: [{ at: '2026-01-01T00:00:01.000Z', level: 'info' as const, message: 'said' }]
}
const error = {
  code: 'THROWN' as const,
  name: 'TypeError',
  message: 'no',
  stack: 'TypeError: no',
  thrownCode: 'ENOENT'
}
const done: Ending = { type: 'completed', result: '{"a":1}' }
const failed = (final: boolean): Ending => ({ type: 'failed', final, error })

/** @param plainJobs how many ready jobs to add that ask for nothing */
export async function fillWithEveryKind({ queue, clock }: OpenQueue, plainJobs: number): Promise<void> {
  const pass = (ms: number) => {
    clock.nowMs += ms
  }
  const enqueue = (...jobs: Partial<EnqueueRequest>[]) =>
    queue.enqueue(jobs.map((job) => ({ method: 'a.b', params: { of: job.jobId ?? 'made' }, ...job })))
  const claimOne = async (name = 'default'): Promise<ClaimedJob> => {
    pass(1000)
    const [job] = await queue.claim(name, 1)
    assert(job)
    pass(500)
    return job
  }
  const settle = (job: ClaimedJob, ending: Ending) => queue.settle(job, ending, trace)

  const together = ['together 1', 'together 2', 'together 3', 'together 4']
  await enqueue(...together.map((jobId) => ({ jobId })))
  const claimed = await queue.claim('default', 4)
  assert.equal(claimed.length, 4)
  await queue.settleAll(claimed.map((job) => ({ job, ending: done, trace: { progress: null, logs: [] } })))

  await enqueue({ jobId: 'done' }, {}, { jobId: 'done of a key', key: 'k' })
  await enqueue({ jobId: 'kept', retention: { completed: { age: '1h' } } })
  for (let number = 0; number < 4; number++) await settle(await claimOne(), done)
  await enqueue({ jobId: 'failed', attempts: 2, jobName: 'a label', key: 'k', noRetryOn: ['ENOENT'] })
  await settle(await claimOne(), failed(false))
  await enqueue({ jobId: 'crashed for good' })
  for (let times = 0; times < 3; times++) {
    await settle(await claimOne(), { type: 'crashed', cause: { outOfMemory: false, message: 'SIGKILL' }, alone: true })
  }
  await enqueue({ jobId: 'cancelled', delay: 60, key: 'k' })
  await queue.cancel('cancelled', () => undefined)
  await enqueue({ jobId: 'expired', expires: 1 })
  pass(2000)
  for (let atMs = await queue.upkeep(clock.nowMs); atMs !== null && atMs <= clock.nowMs; ) {
    atMs = await queue.upkeep(clock.nowMs)
  }

  await documents()
  await journals()

  await enqueue(
    { jobId: 'parent' },
    { jobId: 'child', dependsOn: [0] },
    { jobId: 'grandchild', dependsOn: [1], key: 'k' },
    { jobId: 'child of done', dependsOn: ['done'] },
    { jobId: 'later child', dependsOn: [0], runAt: everyKindStartMs + hourMs },
    { jobId: 'child of failed', dependsOn: ['failed'] },
    { jobId: 'released', dependsOn: ['failed', 'parent'], onParentFailure: 'release' },
    { jobId: 'followed', onSuccess: { method: 'a.c', params: { p: 1 } }, onFailure: 'a.d' }
  )
  await enqueue({ jobId: 'throttled', deduplicate: { for: '1h' } })
  await enqueue({ jobId: 'debounced', deduplicate: { debounce: '2h' } })

  for (const key of ['k', 'l']) {
    await enqueue(
      { jobId: `${key} 1`, key },
      { jobId: `${key} 2`, key, priority: 1 },
      { jobId: `${key} 3`, key, queue: 'aged' }
    )
  }
  const strict = { key: 's', keyConcurrency: 1 }
  const retried = { attempts: 3, backoff: { type: 'fixed', delay: 600 } } as const
  await enqueue({ jobId: 'strict 1', ...strict, ...retried, priority: 9 }, { jobId: 'strict 2', ...strict })
  const first = await claimOne()
  assert.equal(first.id, 'strict 1')
  await settle(first, failed(false))
  for (const [name, of] of [
    ['aged', 'a'],
    ['paused', 'p']
  ] as const) {
    await enqueue(
      { jobId: `${of} 1`, queue: name },
      { jobId: `${of} 2`, queue: name, priority: 5 },
      { jobId: `${of} front`, queue: name, atFront: true },
      { jobId: `${of} key`, queue: name, key: 'k' },
      { jobId: `${of} large`, queue: name, params: { text: 'x'.repeat(9_000) } }
    )
    pass(90_000)
  }
  await queue.setPaused('paused', true)

  await enqueue(...[1, 2, 3].map((at) => ({ jobId: `limited ${at}`, queue: 'limited', key: 'k' })))
  await enqueue(...[4, 5, 6].map((at) => ({ jobId: `limited ${at}`, queue: 'limited' })))
  const [one, two] = [await claimOne('limited'), await claimOne('limited')]
  await queue.noteStart(one, clock.nowMs)
  await settle(one, done)
  await settle(two, { type: 'interrupted' })

  const wanted = { id: 'hourly', timing: 'each hour', fingerprint: 'one', firstAtMs: () => everyKindStartMs }
  await queue.schedule.migrate([wanted], false)
  for (const [runs, endIt] of [
    [0, true],
    [1, false]
  ] as const) {
    const atMs = everyKindStartMs + runs * hourMs
    const [event] = queue.schedule.due(atMs, 10)
    const draft = queue.draft({ method: 'a.event', queue: 'aged', atFront: true })
    const firing = {
      queue: 'aged',
      method: 'a.event',
      runs: [{ atMs, draft }],
      overlap: 'skip' as const,
      skips: 0,
      misses: 0
    }
    await queue.schedule.fire([{ ...firing, event: event!, nextAtMs: atMs + hourMs }])
    if (endIt) await settle(await claimOne('aged'), done)
  }
  await queue.outbox.prepare({ outbox: 'shop', operations: [{ op: 'enqueue', job: { method: 'a.b' } }] })
  await enqueue(...Array.from({ length: plainJobs }, (_, n) => ({ params: { n } })))
  await enqueue(...Array.from({ length: 10 }, (_, n) => ({ params: { n }, delay: 3600 + n })))
  const [said] = await queue.claim('default', 3)
  await queue.storeTraces([{ job: said!, trace }])
  await queue.retry('done', { of: 'edited' })
  pass(1000)

  async function documents(): Promise<void> {
    for (const name of ['x', 'y']) {
      await enqueue({ jobId: `${name} 1`, method: 'd.Doc.run', document: name })
      const job = await claimOne()
      const reminders = [{ type: 'set' as const, name: 'later', method: 'ring', delay: '1h' }] as never
      const effects = { document: { state: JSON.stringify({ name, text: 't'.repeat(500) }), version: 1 }, reminders }
      await settle(job, {
        type: 'completed',
        result: 'null',
        effects: name === 'x' ? effects : { document: effects.document }
      })
      await enqueue({ jobId: `${name} 2`, method: 'd.Doc.run', document: name, queue: 'paused' })
      await enqueue({ jobId: `${name} 3`, method: 'd.Doc.run', document: name, queue: 'aged' })
    }
  }

  async function journals(): Promise<void> {
    await enqueue({ jobId: 'stepped' })
    const job = await claimOne()
    assert.equal(job.id, 'stepped')
    await queue.ask(job, { type: 'beginStep', index: 0, name: 'charge' })
    await queue.ask(job, { type: 'endStep', index: 0, result: '{"paid":1}' })
    await queue.ask(job, { type: 'waitFor', index: 1, name: 'approved', untilMs: null })
    await settle(job, { type: 'suspended', entries: [1] })
    await queue.signal('stepped', 'other', { by: 'ann' })
  }
}
