/** Operations of the whole queue, drawn at random, with few ids, keys and methods so that they meet. */
import fc from 'fast-check'
import type { ReminderChange } from '../../runtime/core/document.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import type { EnqueueRequest, FollowUp, JobSelection } from '../../runtime/core/job.ts'
import { type JobState, jobStates } from '../../runtime/core/lifecycle.ts'
import type { Ending } from '../../runtime/queue/attempts.ts'
import type { BulkChange } from '../../runtime/queue/bulk.ts'
import type { ClaimedJob } from '../../runtime/queue/claimed-job.ts'
import type { JournalQuestion } from '../../runtime/queue/journal.ts'
import { type OpenQueue, queueConfig } from './open-queue.ts'

const keepAll = { ageMs: null, count: null, bytes: null }
export const queueConfigs = [
  queueConfig('default'),
  queueConfig('limited', {
    rateLimit: { max: 3, perMs: 20 },
    keyRateLimit: { max: 2, perMs: 40 },
    ageingMs: 1_000
  }),
  queueConfig('tenants', { keyRateLimit: { max: 1, perMs: 15 }, maxQueued: 40 }),
  queueConfig('trimmed', {
    retention: {
      completed: { ...keepAll, count: 2 },
      failed: { ...keepAll, ageMs: 30 },
      cancelled: { ...keepAll, bytes: 500 }
    }
  })
]
const queueNames = queueConfigs.map(({ name }) => name)

const endings: Record<string, Ending> = {
  completed: { type: 'completed', result: '{"done":true}' },
  failed: { type: 'failed', final: false, error: { code: 'THROWN', name: 'Error', message: 'no' } },
  final: { type: 'failed', final: true, error: { code: 'UNRECOVERABLE', name: 'Unrecoverable', message: 'never' } },
  later: { type: 'retryLater', delayMs: 30, message: 'later' },
  suspended: { type: 'suspended', entries: [0] },
  interrupted: { type: 'interrupted' },
  givenBack: { type: 'givenBack', hostEnded: false },
  crashed: { type: 'crashed', cause: { outOfMemory: false, message: 'SIGKILL' }, alone: true }
}

/** A document is written, or removed; asks for calls or takes them back; and enqueues, under an id that may be in use. */
function withEffects(ending: Ending, { seq, document }: ClaimedJob): Ending {
  if (ending.type !== 'completed' || document === undefined) return ending
  const jobs = [{ method: 'd.Doc.run', document: 'k', jobId: ids[seq % ids.length]! }]
  const reminders: ReminderChange[] = [
    { type: 'set', name: 'once', method: 'run', delay: 0.02 },
    seq % 2 === 0 ? { type: 'cancel', name: 'tick' } : { type: 'set', name: 'tick', method: 'run', cron: 'every 30' }
  ]
  const state = { state: String(seq), version: 1 }
  return {
    ...ending,
    effects: {
      document: seq % 5 === 0 ? 'removed' : state,
      reminders,
      ...(seq % 4 === 0 ? { jobs } : {})
    }
  }
}

const calls: JournalQuestion[] = [
  { type: 'waitFor', index: 0, name: 's', untilMs: null },
  { type: 'beginStep', index: 1, name: 'p' },
  { type: 'endStep', index: 1, result: '"é"' },
  { type: 'sleep', index: 2, name: 'z', untilMs: 0 },
  { type: 'enqueue', index: 3, name: 'e', jobs: [{ method: 'a.child', queue: 'tenants', key: 'k' }] }
]

const ids = ['x', 'x~next', 'y', 'zé'] as const
const id = fc.constantFrom(...ids)
const queueName = fc.constantFrom(...queueNames)
const seldom = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 2 })
/** One in five. */
const rarely = <T>(value: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value })
const span = fc.constantFrom(0, 0.005, 0.03)
const followUp: fc.Arbitrary<FollowUp> = fc.record({ method: fc.constant('a.after'), queue: queueName, delay: span })

const request = fc
  .record({
    queue: queueName,
    method: fc.constantFrom('a.one', 'a.two'),
    identity: fc.oneof(
      { weight: 3, arbitrary: fc.constant({}) },
      {
        weight: 3,
        arbitrary: fc.record({
          jobId: id,
          deduplicate: fc.constantFrom(false, true, { for: 0.03 }, { debounce: 0.01 }, { keepLast: true as const })
        })
      }
    ),
    keys: fc.oneof(
      fc.constant({}),
      fc.record({ key: fc.constantFrom('k', 'é', 'a key'), keyConcurrency: fc.constantFrom(1, 2, 1_000_000) }),
      fc.record({ key: fc.constantFrom('k', 'é', 'a key') }),
      {
        // Their calls turn up often enough to be counted on.
        weight: 3,
        arbitrary: fc.record({ method: fc.constant('d.Doc.run'), document: fc.constantFrom('k', 'é') })
      }
    ),
    delay: seldom(span),
    priority: fc.integer({ min: -1, max: 1 }),
    atFront: fc.boolean(),
    attempts: fc.integer({ min: 1, max: 3 }),
    backoff: rarely(fc.constant({ type: 'list' as const, delays: [0, 0.01] })),
    dependsOn: rarely(
      fc.oneof(
        fc.array(fc.oneof<fc.Arbitrary<string | number>[]>(id, fc.nat(2)), { maxLength: 3 }),
        fc.constant('others' as const)
      )
    ),
    onParentFailure: seldom(fc.constantFrom('fail' as const, 'cancel' as const, 'release' as const)),
    onSuccess: rarely(fc.oneof(fc.constant('a.after'), followUp)),
    onFailure: rarely(followUp),
    expires: rarely(fc.constantFrom(0.02, 0.05)),
    resultTtl: rarely(span),
    retention: rarely(fc.constantFrom({ failed: { age: 0 } }, { cancelled: { age: 0.02 }, failed: { age: 0.02 } }))
  })
  .map(({ identity, keys, delay, ...rest }): EnqueueRequest => {
    const all = { ...rest, ...identity, ...keys, ...(isDebounced(identity) ? {} : { delay }) }
    return Object.fromEntries(
      Object.entries(all).filter(([, value]) => value !== undefined)
    ) as unknown as EnqueueRequest
  })

function isDebounced({ deduplicate }: Pick<EnqueueRequest, 'deduplicate'>): boolean {
  return typeof deduplicate === 'object' && 'debounce' in deduplicate
}

const pick = fc.nat(30)
const selection: fc.Arbitrary<JobSelection> = fc.record(
  {
    queue: queueName,
    state: fc.constantFrom(...jobStates),
    method: fc.constantFrom('a.one', 'a.two', 'a.after'),
    key: fc.constantFrom('k', 'é')
  },
  { requiredKeys: [], noNullPrototype: true }
)

const operation = fc.oneof(
  weighted(
    8,
    fc.record({ do: fc.constant('enqueue' as const), requests: fc.array(request, { minLength: 1, maxLength: 4 }) })
  ),
  weighted(
    7,
    fc.record({
      do: fc.constant('claim' as const),
      queue: queueName,
      max: fc.integer({ min: 1, max: 4 }),
      ahead: fc.constantFrom(0, 3, 150)
    })
  ),
  weighted(3, fc.record({ do: fc.constant('start' as const), pick })),
  weighted(
    7,
    fc.record({ do: fc.constant('settle' as const), pick, ending: fc.constantFrom(...Object.keys(endings)) })
  ),
  weighted(
    3,
    fc.record({
      do: fc.constant('settleAll' as const),
      picks: fc.array(pick, { minLength: 1, maxLength: 30 }),
      ending: fc.constantFrom(...Object.keys(endings), 'completed', 'completed')
    })
  ),
  weighted(2, fc.record({ do: fc.constant('ask' as const), pick, call: fc.constantFrom(...calls) })),
  weighted(2, fc.record({ do: fc.constant('signal' as const), pick, name: fc.constantFrom('s', 't') })),
  weighted(4, fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1, 7, 16, 45) })),
  weighted(2, fc.record({ do: fc.constant('promote' as const) })),
  weighted(3, fc.record({ do: fc.constant('upkeep' as const) })),
  weighted(3, fc.record({ do: fc.constantFrom('cancel' as const, 'retry' as const, 'remove' as const), pick })),
  weighted(1, fc.record({ do: fc.constant('move' as const), pick, queue: queueName })),
  weighted(
    1,
    fc.record({
      do: fc.constant('bulk' as const),
      change: fc.constantFrom('cancel' as const, 'retry' as const, 'remove' as const, 'move' as const),
      queue: queueName,
      selection,
      limit: fc.constantFrom(1, 3, 40)
    })
  ),
  weighted(
    1,
    fc.record({
      do: fc.constant('purge' as const),
      queue: queueName,
      state: fc.constantFrom(...jobStates.filter((state) => state !== 'running'))
    })
  ),
  weighted(
    1,
    fc.record({
      do: fc.constant('pause' as const),
      queue: queueName,
      paused: fc.boolean(),
      untilMs: seldom(fc.nat(20))
    })
  ),
  // More children of one job than one commit tells.
  weighted(
    1,
    fc.record({
      do: fc.constant('fan' as const),
      id,
      queue: queueName,
      of: request,
      children: fc.constantFrom(101, 120, 230)
    })
  ),
  weighted(
    1,
    fc.record({
      do: fc.constant('gather' as const),
      queue: queueName,
      of: request,
      parents: fc.constantFrom(101, 120, 230)
    })
  )
)

function weighted<T>(weight: number, arbitrary: fc.Arbitrary<T>): { weight: number; arbitrary: fc.Arbitrary<T> } {
  return { weight, arbitrary }
}

export type Operation = typeof operation extends fc.Arbitrary<infer O> ? O : never

/** The operations of one step are asked for at once, so that they share a commit where they can; `crash` stands alone. */
export const steps = (minLength: number, maxLength: number): fc.Arbitrary<(Operation[] | 'crash')[]> =>
  fc.array(
    fc.oneof(
      { weight: 20, arbitrary: fc.array(operation, { minLength: 1, maxLength: 3 }) },
      { weight: 1, arbitrary: fc.constant('crash' as const) }
    ),
    { minLength, maxLength, size: 'max' }
  )

const noTrace = { progress: null, logs: [] }

export class RandomUse {
  open: OpenQueue
  claimed: ClaimedJob[] = []
  /** How often each operation did something, and each refusal was given. */
  readonly done: Map<string, number>

  constructor(open: OpenQueue, done: Map<string, number>) {
    this.open = open
    this.done = done
  }

  async perform(step: Operation[] | 'crash'): Promise<void> {
    if (step === 'crash') {
      this.open = await this.open.reopen()
      this.#count('crash')
      return
    }
    await Promise.all(step.map((each) => this.#attempt(each)))
  }

  async #attempt(each: Operation): Promise<void> {
    try {
      await this.#one(each)
      this.#count(each.do)
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error
      this.#count(error.code)
    }
  }

  async #one(each: Operation): Promise<unknown> {
    const { queue, clock } = this.open
    switch (each.do) {
      case 'enqueue':
        return queue.enqueue(each.requests)
      case 'fan':
        return queue.enqueue(
          Array.from({ length: each.children }, (_, at): EnqueueRequest => {
            const { jobId: _id, deduplicate: _mode, expires: _span, ...rest } = each.of
            return at % 2 === 0
              ? { ...rest, dependsOn: [each.id] }
              : { method: 'a.child', queue: each.queue, dependsOn: [each.id], onParentFailure: 'release' }
          })
        )
      case 'gather': {
        const { jobId: _id, deduplicate: _mode, expires: _span, ...rest } = each.of
        const parents = Array.from(
          { length: each.parents },
          (): EnqueueRequest => ({ method: 'a.part', queue: each.queue })
        )
        return queue.enqueue([{ ...rest, dependsOn: 'others' }, ...parents])
      }
      case 'claim':
        for (const job of await queue.claim(each.queue, { threads: each.max, jobs: each.max + each.ahead })) {
          this.claimed.push(job)
          if (job.document !== undefined) this.#count('document jobs')
        }
        return
      case 'start': {
        const job = this.claimed[each.pick % Math.max(this.claimed.length, 1)]
        return job === undefined ? undefined : queue.noteStart(job, clock.nowMs)
      }
      case 'settle': {
        const [job] = this.claimed.splice(each.pick % Math.max(this.claimed.length, 1), 1)
        return job === undefined ? undefined : queue.settle(job, withEffects(endings[each.ending]!, job), noTrace)
      }
      case 'settleAll': {
        const jobs = each.picks.flatMap((pick) => this.claimed.splice(pick % Math.max(this.claimed.length, 1), 1))
        return queue.settleAll(
          jobs.map((job) => ({ job, ending: withEffects(endings[each.ending]!, job), trace: noTrace }))
        )
      }
      case 'ask': {
        const job = this.claimed[each.pick % Math.max(this.claimed.length, 1)]
        return job === undefined ? undefined : queue.ask(job, each.call)
      }
      case 'signal':
        return queue.signal(this.#pick(each.pick), each.name, 'é')
      case 'pass':
        clock.nowMs += each.ms
        return
      case 'promote':
        return queue.promoteDue(clock.nowMs)
      case 'upkeep':
        return queue.upkeep(clock.nowMs)
      case 'cancel':
        return queue.cancel(this.#pick(each.pick), () => noTrace)
      case 'retry':
        return queue.retry(this.#pick(each.pick), each.pick % 2 === 0 ? { again: true } : undefined)
      case 'remove':
        return queue.remove(this.#pick(each.pick))
      case 'move':
        return queue.move(this.#pick(each.pick), each.queue)
      case 'bulk': {
        const change: BulkChange =
          each.change === 'cancel'
            ? { type: 'cancel', traceOf: () => noTrace }
            : each.change === 'move'
              ? { type: 'move', to: each.queue }
              : { type: each.change }
        return queue.bulk(change, { ...each.selection, limit: each.limit })
      }
      case 'purge':
        return queue.purge(each.queue, [each.state as Exclude<JobState, 'running'>])
      case 'pause':
        return queue.setPaused(each.queue, each.paused, each.untilMs === undefined ? null : clock.nowMs + each.untilMs)
    }
  }

  #pick(pick: number): string {
    const { jobs } = this.open.queue.list({ limit: 40 })
    return jobs[pick % Math.max(jobs.length, 1)]?.id ?? 'none'
  }

  #count(what: string): void {
    this.done.set(what, (this.done.get(what) ?? 0) + 1)
  }
}
