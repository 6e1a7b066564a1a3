import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { type JobState, jobStates } from '../../runtime/core/lifecycle.ts'
import type { Ending } from '../../runtime/queue/attempts.ts'
import type { ClaimedJob } from '../../runtime/queue/claimed-job.ts'
import { type ModelJob, ModelQueue, type ModelRequest } from './model.ts'
import { type OpenQueue, openQueue, queueConfig } from './open-queue.ts'

const queueNames = ['default', 'long'] as const
const longMax = 6
const runs = 130
const stepsMin = 80

type Crash = Extract<Ending, { type: 'crashed' }>
const crashes: Record<string, Crash> = {
  crashedShared: { type: 'crashed', cause: { outOfMemory: false, message: 'SIGKILL' }, alone: false },
  crashedAlone: { type: 'crashed', cause: { outOfMemory: false, message: 'SIGKILL' }, alone: true },
  memoryShared: { type: 'crashed', cause: { outOfMemory: true, message: 'full' }, alone: false },
  memoryAlone: { type: 'crashed', cause: { outOfMemory: true, message: 'full' }, alone: true }
}
const endings: Record<string, Ending> = {
  completed: { type: 'completed', result: '{"done":true}' },
  failed: { type: 'failed', final: false, error: { code: 'THROWN', name: 'Error', message: 'no' } },
  final: { type: 'failed', final: true, error: { code: 'UNRECOVERABLE', name: 'Unrecoverable', message: 'never' } },
  later: { type: 'retryLater', delayMs: 30, message: 'later' },
  interrupted: { type: 'interrupted' },
  ...crashes
}

const request = fc.record({
  jobId: fc.option(fc.constantFrom('x', 'y', 'zé'), { nil: undefined, freq: 3 }),
  queue: fc.constantFrom(...queueNames),
  priority: fc.integer({ min: -2, max: 2 }),
  atFront: fc.boolean(),
  delayMs: fc.constantFrom(0, 0, 0, 5, 50),
  attempts: fc.integer({ min: 1, max: 3 }),
  backoffMs: fc.constantFrom(0, 10),
  deduplicate: fc.boolean()
})

const pick = fc.nat()
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('enqueue'), requests: fc.array(request, { minLength: 1, maxLength: 3 }) })
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('claim'),
      queue: fc.constantFrom(...queueNames),
      max: fc.integer({ min: 1, max: 3 })
    })
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('settle'),
      pick,
      ending: fc.constantFrom(...Object.keys(endings))
    })
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('advance'), byMs: fc.constantFrom(1, 5, 10, 60) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('cancel', 'retry', 'remove'), pick }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('pause'), queue: fc.constantFrom(...queueNames), paused: fc.boolean() })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('purge'),
      queue: fc.constantFrom(...queueNames),
      state: fc.constantFrom(...jobStates.filter((state) => state !== 'running'))
    })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash') }) }
)
type Step = { do: string; [key: string]: unknown }

test('the durable queue does what a plain array of jobs does, over any operations and crashes', async () => {
  let steps = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: stepsMin, maxLength: stepsMin + 40, size: 'max' }),
      async (sequence) => {
        const open = await openQueue(queueConfig('default'), queueConfig('long', { maxQueued: longMax }))
        try {
          const pair = new QueueAndModel(open)
          for (const each of sequence as Step[]) {
            await pair.perform(each)
            pair.compare()
            steps++
          }
        } finally {
          await open.close()
        }
      }
    ),
    { numRuns: runs }
  )
  assert.ok(steps >= 10_000, `${steps} steps`)
})

class QueueAndModel {
  open: OpenQueue
  readonly model = new ModelQueue(new Map([['long', longMax]]))
  claimed: { job: ModelJob; claim: ClaimedJob }[] = []

  constructor(open: OpenQueue) {
    this.open = open
  }

  async perform(each: Step): Promise<void> {
    const { queue, clock } = this.open
    switch (each.do) {
      case 'enqueue':
        return this.enqueue(each.requests as ModelRequest[])
      case 'claim': {
        const claims = await queue.claim(each.queue as string, each.max as number)
        const jobs = this.model.claim(each.queue as string, each.max as number)
        assert.deepEqual(
          claims.map(({ id, attempt, alone }) => [id, attempt, alone]),
          jobs.map(({ id, made, crashes }) => [id, made, crashes > 0])
        )
        this.claimed.push(...jobs.map((job, index) => ({ job, claim: claims[index]! })))
        return
      }
      case 'settle':
        return this.settle(each.pick as number, each.ending as string)
      case 'advance':
        clock.nowMs += each.byMs as number
        this.model.promote(clock.nowMs)
        assert.equal(await queue.promoteDue(clock.nowMs), this.model.nextDueAtMs())
        return
      case 'pause':
        await queue.setPaused(each.queue as string, each.paused as boolean)
        this.model.paused[each.paused ? 'add' : 'delete'](each.queue as string)
        return
      case 'purge': {
        const state = each.state as Exclude<JobState, 'running'>
        const removed = await queue.purge(each.queue as string, [state])
        assert.equal(removed, this.model.count(each.queue as string, state))
        this.model.jobs = this.model.jobs.filter((job) => job.queue !== each.queue || job.state !== state)
        return
      }
      case 'crash': {
        const running = this.model.jobs.filter(({ state }) => state === 'running').length
        this.model.crash()
        this.open = await this.open.reopen()
        assert.equal(this.open.recovered, running)
        return
      }
      default:
        return this.change(each.do, each.pick as number)
    }
  }

  async enqueue(requests: ModelRequest[]): Promise<void> {
    const { queue, clock } = this.open
    const before = this.model.jobs.length
    const expected = this.model.enqueue(requests, clock.nowMs)
    const results = await codeOr(
      queue.enqueue(
        requests.map(({ jobId, delayMs, backoffMs, deduplicate, ...rest }) => ({
          ...rest,
          ...(jobId === undefined ? {} : { jobId, deduplicate }),
          method: 'a.run',
          delay: delayMs / 1000,
          backoff: { type: 'fixed', delay: backoffMs / 1000 }
        }))
      )
    )
    if (typeof expected === 'string' || typeof results === 'string') return assert.equal(results, expected)
    assert.deepEqual(
      results.map(({ deduplicated }) => deduplicated),
      expected
    )
    const added = this.model.jobs.slice(before)
    for (const { id, deduplicated } of results) if (!deduplicated) added.shift()!.id = id
  }

  async settle(pick: number, ending: string): Promise<void> {
    const entry = this.claimed.splice(pick % Math.max(this.claimed.length, 1), 1)[0]
    if (entry === undefined) return
    const { job, claim } = entry
    const stillIts = this.model.jobs.includes(job) && job.state === 'running' && job.made === claim.attempt
    const settled = await this.open.queue.settle(claim, endings[ending]!, { progress: null, logs: [] })
    assert.equal(settled, stillIts, 'only the attempt that runs can be settled')
    if (!stillIts) return
    const { nowMs } = this.open.clock
    const crash = crashes[ending]
    if (ending === 'completed') job.state = 'completed'
    else if (ending === 'later') this.model.runLater(job, nowMs + 30)
    else if (ending === 'interrupted') Object.assign(job, { state: 'ready', interruptions: job.interruptions + 1 })
    else if (crash !== undefined) this.model.hostEnded(job, crash.cause.outOfMemory, crash.alone, nowMs)
    else this.model.fail(job, ending === 'final', nowMs)
  }

  async change(action: string, pick: number): Promise<void> {
    const { queue, told } = this.open
    const job = this.model.jobs[pick % Math.max(this.model.jobs.length, 1)]
    if (job === undefined) return
    if (action === 'cancel') {
      const wasRunning = job.state === 'running'
      const isOver = ['completed', 'failed', 'cancelled'].includes(job.state)
      const { changed } = await queue.cancel(job.id, () => undefined)
      assert.equal(changed, !isOver)
      if (wasRunning) assert.equal(told.cancelled.at(-1), job.id)
      if (!isOver) job.state = 'cancelled'
    } else if (action === 'retry') {
      const result = await codeOr(queue.retry(job.id))
      assert.equal(typeof result === 'string' ? result : undefined, this.model.retry(job))
    } else {
      const result = await codeOr(queue.remove(job.id))
      assert.equal(result, this.model.remove(job))
    }
  }

  compare(): void {
    const { queue } = this.open
    for (const job of this.model.jobs) {
      const view = queue.get(job.id)
      assert.deepEqual(
        [
          view.state,
          view.attempts.made,
          view.crashes,
          view.queue,
          view.history.filter(({ outcome }) => outcome === 'interrupted').length
        ],
        [job.state, job.made, job.crashes, job.queue, Math.min(job.interruptions, view.history.length)]
      )
      if (job.state === 'scheduled') assert.equal(Date.parse(view.runAt!), job.dueAtMs)
    }
    for (const name of queueNames) {
      const counts = Object.fromEntries(jobStates.map((state) => [state, this.model.count(name, state)]))
      assert.deepEqual(queue.queue(name).counts, counts)
    }
    const listed = queue.list({ limit: 1000 }).jobs.map(({ id }) => id)
    assert.deepEqual(
      listed,
      this.model.jobs.toReversed().map(({ id }) => id)
    )
  }
}

/** @returns what the promise gives, or the code of the refusal */
async function codeOr<T>(promise: Promise<T>): Promise<T | string> {
  try {
    return await promise
  } catch (error) {
    if (error instanceof RuntimeError) return error.code
    throw error
  }
}
