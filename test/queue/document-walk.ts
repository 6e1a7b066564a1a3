/** Random operations on documents, done by the durable queue and by {@link DocumentModel}, compared after each. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { QueueConfig } from '../../runtime/core/config.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { isFinished } from '../../runtime/core/lifecycle.ts'
import type { Effects } from '../../runtime/core/pool.ts'
import type { Ending } from '../../runtime/queue/attempts.ts'
import type { ClaimedJob } from '../../runtime/queue/claimed-job.ts'
import { writeState } from '../../runtime/queue/document-records.ts'
import { metaKey } from '../../runtime/store/keys.ts'
import { countersCodec } from '../../runtime/store/records.ts'
import { DocumentModel, type ModelJob } from './document-model.ts'
import { type OpenQueue, queueConfig } from './open-queue.ts'
import { assertInvariants } from './store-invariants.ts'

export const walkQueues: QueueConfig[] = [
  queueConfig('default'),
  queueConfig('aged', { ageingMs: 60_000 }),
  queueConfig('limited', { rateLimit: { max: 3, perMs: 1_000 }, keyRateLimit: { max: 1, perMs: 1_000 } })
]
const names = walkQueues.map(({ name }) => name)
const type = 'd.Doc'
const noTrace = { progress: null, logs: [] }
const error = { code: 'THROWN', name: 'Error', message: 'no' } as const

const endings = ['complete', 'same', 'removed', 'fail', 'later', 'interrupt', 'crash'] as const
const pick = fc.nat(99)
const queue = fc.constantFrom(...names)
const name = fc.constantFrom('one', 'two', 'three')
export const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('enqueue' as const),
      document: name,
      queue,
      priority: fc.integer({ min: -1, max: 1 }),
      atFront: fc.boolean(),
      attempts: fc.integer({ min: 1, max: 3 }),
      delayS: fc.constantFrom(0, 0, 0, 2)
    })
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('claim' as const), queue, max: fc.integer({ min: 1, max: 3 }) })
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      pick,
      how: fc.constantFrom(...endings),
      /** A job that it enqueues; ids are few, so that some are in use. */
      child: fc.option(fc.record({ document: name, id: fc.integer({ min: 1, max: 3 }).map((at) => `child ${at}`) })),
      /** In the same commit. */
      thenClaim: fc.option(queue)
    })
  },
  fc.record({ do: fc.constant('advance' as const), byMs: fc.constantFrom(1, 1_000, 5_000) }),
  fc.record({ do: fc.constant('write' as const), document: name }),
  fc.record({ do: fc.constant('remove' as const), document: name }),
  fc.record({ do: fc.constantFrom('cancel' as const, 'forget' as const, 'retry' as const), pick }),
  fc.record({ do: fc.constant('move' as const), pick, queue }),
  fc.record({ do: fc.constant('reopen' as const) })
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

interface Child {
  id: string
  document: string
}

export class DocumentWalk {
  open: OpenQueue
  readonly #model = new DocumentModel()
  /** How often what was met, over all walks. */
  readonly #seen: Map<string, number>
  readonly #revisions = new Set<number>()
  #claimed: ClaimedJob[] = []
  #ids = 0
  #writes = 0

  constructor(open: OpenQueue, seen: Map<string, number>) {
    this.open = open
    this.#seen = seen
  }

  async perform(step: Step): Promise<void> {
    this.#saw(step.do)
    switch (step.do) {
      case 'enqueue':
        await this.#enqueue(step)
        break
      case 'claim':
        this.#started(step.queue, step.max, await this.open.queue.claim(step.queue, step.max))
        break
      case 'settle':
        await this.#settle(step)
        break
      case 'advance':
        this.open.clock.nowMs += step.byMs
        await this.open.queue.promoteDue(this.open.clock.nowMs)
        this.#model.promote(this.open.clock.nowMs)
        break
      case 'write':
        await this.#write(step.document)
        break
      case 'remove':
        await this.#remove(step.document)
        break
      case 'reopen':
        this.open = await this.open.reopen()
        for (const job of this.#model.jobs) if (job.state === 'running') this.#model.again(job, null)
        this.#claimed = []
        break
      default:
        await this.#change(step)
    }
    this.#compare()
  }

  /** Every job is run to its end, and nothing is left. */
  async drain(): Promise<void> {
    for (let turns = 0; this.#model.jobs.some(({ state }) => !isFinished(state)); turns++) {
      assert(turns < 1_000, 'it comes to an end')
      for (const name of names) await this.perform({ do: 'claim', queue: name, max: 3 })
      while (this.#claimed.length > 0) {
        await this.perform({ do: 'settle', pick: 0, how: 'complete', child: null, thenClaim: null })
      }
      await this.perform({ do: 'advance', byMs: 5_000 })
    }
  }

  async #enqueue({ document, queue, priority, atFront, attempts, delayS }: Step & { do: 'enqueue' }): Promise<void> {
    const jobId = `job ${++this.#ids}`
    const options = { queue, priority, atFront, attempts, ...(delayS > 0 ? { delay: delayS } : {}) }
    await this.open.queue.enqueue([{ method: `${type}.run`, document, jobId, ...options }])
    const dueAtMs = delayS > 0 ? this.open.clock.nowMs + delayS * 1000 : null
    this.#model.add({ id: jobId, document, queue, priority, atFront, attemptsMax: attempts, dueAtMs })
  }

  /** Each is the next of its document, and no document is left that could have started one. */
  #started(queue: string, max: number, claimed: ClaimedJob[]): void {
    for (const job of claimed) {
      const expected = this.#model.next(job.document!.name)
      assert.equal(job.id, expected?.id, 'the next job of its document')
      assert.equal(job.queue, queue)
      this.#model.start(expected!)
      assert.equal(job.attempt, expected!.made)
      const { state, revision, nextRevision } = job.document!
      assert.equal(state, expected!.claimed === null ? undefined : JSON.stringify(expected!.claimed))
      assert.equal(revision === null, expected!.claimed === null)
      assert(!this.#revisions.has(nextRevision), 'a revision is given once')
      this.#revisions.add(nextRevision)
    }
    this.#claimed.push(...claimed)
    const isLimited = queue === 'limited'
    if (claimed.length < max && !isLimited) assert.deepEqual(this.#model.startable(queue), [], `idle ${queue}`)
  }

  async #settle({ pick, how, child, thenClaim }: Step & { do: 'settle' }): Promise<void> {
    const [claimed] = this.#claimed.splice(pick % Math.max(this.#claimed.length, 1), 1)
    if (claimed === undefined) return
    const ending = endingOf(how, claimed, child)
    const settled = this.open.queue.settle(claimed, ending, noTrace)
    const claims = thenClaim === null ? undefined : this.open.queue.claim(thenClaim, 2)
    const job = this.#model.find(claimed.id)
    const runs = job?.state === 'running' && job.made === claimed.attempt
    assert.equal(await settled, runs)
    if (runs) this.#end(job, how, claimed, child)
    if (claims !== undefined) this.#started(thenClaim!, 2, await claims)
  }

  #end(job: ModelJob, how: (typeof endings)[number], claimed: ClaimedJob, child: Child | null): void {
    const model = this.#model
    const { nowMs } = this.open.clock
    switch (how) {
      case 'complete':
      case 'same':
      case 'removed': {
        if (!model.isUnchanged(job)) {
          this.#saw('conflict')
          // What changes nothing counts as done before the other change.
          if (how === 'same' && child === null) model.end(job, 'completed')
          else model.again(job, null)
          return
        }
        if (child !== null && model.find(child.id) !== undefined) {
          this.#saw('refused')
          model.fail(job, nowMs)
          return
        }
        if (how === 'complete') {
          model.states.set(job.document, nextState(claimed))
          assert.equal(
            this.open.queue.documents.get({ type, name: job.document }).revision,
            claimed.document!.nextRevision
          )
        }
        if (how === 'removed') model.states.delete(job.document)
        if (child !== null) {
          const plain = { queue: 'default', priority: 0, atFront: false, attemptsMax: 1, dueAtMs: null }
          model.add({ ...child, ...plain })
        }
        model.end(job, 'completed')
        return
      }
      case 'fail':
        model.fail(job, nowMs)
        return
      case 'later':
        model.again(job, nowMs + 1_000)
        return
      case 'interrupt':
        model.again(job, null)
        return
      case 'crash':
        job.crashes++
        if (job.crashes >= 3) model.end(job, 'failed')
        else {
          job.made--
          model.again(job, null)
        }
    }
  }

  /** As a transaction does. */
  async #write(document: string): Promise<void> {
    const state = [...(this.#model.states.get(document) ?? []), `written ${++this.#writes}`]
    await this.open.store.transact((transaction) => {
      const key = metaKey('counters')
      const counters = countersCodec.decode(key, transaction.get(key)!)
      const scope = { transaction, nowMs: this.open.clock.nowMs, counters }
      const revision = writeState(scope, { type, name: document }, { state: JSON.stringify(state), version: 1 })
      assert(!this.#revisions.has(revision))
      this.#revisions.add(revision)
      transaction.put(key, countersCodec.encode(key, counters))
    })
    this.#model.states.set(document, state)
  }

  async #remove(document: string): Promise<void> {
    const removed = await codeOf(this.open.queue.documents.remove({ type, name: document }))
    assert.equal(removed, this.#model.states.delete(document) ? undefined : 'DOCUMENT_UNKNOWN')
  }

  async #change(step: Step & { do: 'cancel' | 'forget' | 'retry' | 'move' }): Promise<void> {
    const job = this.#model.jobs[step.pick % Math.max(this.#model.jobs.length, 1)]
    if (job === undefined) return
    const { queue } = this.open
    switch (step.do) {
      case 'cancel':
        await queue.cancel(job.id, () => undefined)
        if (!isFinished(job.state)) this.#model.end(job, 'cancelled')
        return
      case 'forget':
        if ((await codeOf(queue.remove(job.id))) === undefined) this.#model.forget(job)
        else assert.equal(job.state, 'running')
        return
      case 'retry':
        assert.equal((await codeOf(queue.retry(job.id))) === undefined, this.#model.retry(job))
        return
      case 'move':
        if ((await codeOf(queue.move(job.id, step.queue))) === undefined) job.queue = step.queue
        else assert(job.state === 'running' || isFinished(job.state))
    }
  }

  #compare(): void {
    const { queue, store, tag } = this.open
    const documents = queue.documents.list({ type }).documents.map(({ name, state }) => [name, state])
    assert.deepEqual(
      documents,
      [...this.#model.states].toSorted(([one], [other]) => (one < other ? -1 : 1))
    )
    const jobs = queue.list({ limit: 1000 }).jobs.map((job) => [job.id, job.state, job.queue, job.document?.name])
    const expected = this.#model.jobs.map(({ id, state, queue, document }) => [id, state, queue, document])
    assert.deepEqual(jobs.reverse(), expected)
    assertInvariants(store.reader, tag, new Map(walkQueues.map((config) => [config.name, config])))
  }

  #saw(what: string): void {
    this.#seen.set(what, (this.#seen.get(what) ?? 0) + 1)
  }
}

function nextState({ id, attempt, document }: ClaimedJob): string[] {
  return [...JSON.parse(document!.state ?? '[]'), `${id} #${attempt}`]
}

function endingOf(how: (typeof endings)[number], claimed: ClaimedJob, child: Child | null): Ending {
  switch (how) {
    case 'fail':
      return { type: 'failed', error, final: false }
    case 'later':
      return { type: 'retryLater', delayMs: 1_000, message: '' }
    case 'interrupt':
      return { type: 'interrupted' }
    case 'crash':
      return { type: 'crashed', cause: { outOfMemory: false, message: '' }, alone: false }
    default:
      return { type: 'completed', result: 'null', ...withEffects(how, claimed, child) }
  }
}

function withEffects(how: string, claimed: ClaimedJob, child: Child | null): { effects?: Effects } {
  const effects: Effects = {
    ...(how === 'complete' ? { document: { state: JSON.stringify(nextState(claimed)), version: 1 } } : {}),
    ...(how === 'removed' ? { document: 'removed' as const } : {}),
    ...(child === null ? {} : { jobs: [{ method: `${type}.run`, document: child.document, jobId: child.id }] })
  }
  return Object.keys(effects).length === 0 ? {} : { effects }
}

async function codeOf(change: Promise<unknown>): Promise<string | undefined> {
  try {
    await change
    return undefined
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error
    return error.code
  }
}
