/**
 * The durable queue: the only code that changes a job's state. Each method is one arrow, or one family of arrows, of the
 * lifecycle (core/lifecycle.ts), done in one commit; when its promise resolves, the change is flushed to disk. Plain data in,
 * plain data out; who must act on a change is told through {@link QueueListener}, who wants to know through the events.
 */
import type { JobChange, QueueHealth, StoreGrowth } from '../core/api.ts'
import type { MethodCatalogue } from '../core/catalogue.ts'
import type { Clock } from '../core/clock.ts'
import type { QueueConfig } from '../core/config.ts'
import { RuntimeError } from '../core/errors.ts'
import type { EventStream } from '../core/events.ts'
import { failPoint } from '../core/fail-points.ts'
import type {
  BulkRequest,
  BulkStep,
  EnqueueRequest,
  EnqueueResult,
  JobFilter,
  JobPage,
  JobView,
  QueueView
} from '../core/job.ts'
import { finishedStates, type JobState } from '../core/lifecycle.ts'
import { instantMsMax, moveBatchMax } from '../core/limits.ts'
import type { DocumentMessage, Effects } from '../core/pool.ts'
import type { TransactionOperation, TransactionResult } from '../core/transaction.ts'
import { dueOfScheduledKey, dueRange, type KeyRange, scheduledRange } from '../store/keys.ts'
import type { Store, Transaction, TransactOptions } from '../store/store.ts'
import { type AdmissionRules, admit } from './admission.ts'
import type { QueueListener } from './after-commit.ts'
import { type AttemptEnd, type Ending, endAttempt } from './attempts.ts'
import { type BulkChange, BulkChanges } from './bulk.ts'
import { cancelJob, moveJob, requireTarget, retryJob } from './changes-by-hand.ts'
import { type AttemptTrace, type ClaimedJob, type ClaimRoom, HeldJob } from './claimed-job.ts'
import { claimReady } from './claiming.ts'
import { type CommitParts, QueueCommit } from './commit.ts'
import { Damage, jobErrorOf } from './damage.ts'
import { parentsOf } from './dependencies.ts'
import { Documents, documentMessage } from './documents.ts'
import { Drafting } from './drafting.ts'
import { DurableSchedule } from './durable-schedule.ts'
import { applyEffects, type EffectsPlan, isUnchanged, planEffects, refusedWith, requestsOf } from './effects.ts'
import { readScheduler } from './event-records.ts'
import { Growth } from './growth.ts'
import { encodePayload, type JobDraft } from './job-draft.ts'
import type { AnswerTo, JournalQuestion } from './journal.ts'
import { readJournal } from './journal-entries.ts'
import { noneKnown } from './key-groups.ts'
import { DurableOutbox } from './outbox.ts'
import { placesIn, rangesOf } from './places.ts'
import { Questions } from './questions.ts'
import { isPaused, QueueRegistry } from './queue-registry.ts'
import { QueueViews } from './queue-views.ts'
import { Rates } from './rates.ts'
import { Recovery } from './recovery.ts'
import { wrongState } from './refusals.ts'
import type { NextInstant } from './reminders.ts'
import { type SetAside, setAsideDamaged } from './set-aside.ts'
import { countSetAside } from './set-aside-records.ts'
import { encodeSignal, sendSignal } from './signals.ts'
import { readAttempt, readJob, requireJob, type StoredJob, unmetDependencies, waitsForOthers } from './stored-job.ts'
import { knownOperations, perform, requestedJobs, type TraceOf, workOf } from './transaction.ts'
import { nextUpkeepAtMs, type RetainedPlace, RetentionFronts, upkeepPiece } from './upkeep.ts'

export interface DurableQueueParts {
  store: Store
  /** Of the store; begins the ids that it makes. */
  tag: string
  queues: ReadonlyMap<string, QueueConfig>
  /** Bytes that the store may use; null: no bound. */
  maxStoreBytes: number | null
  catalogue: MethodCatalogue
  clock: Clock
  /** From 0 to 1, exclusive; for the jitter of backoffs. */
  random: () => number
  /** For reminders. */
  nextInstant: NextInstant
  events: EventStream
  listener: QueueListener
}

/** Jobs that come back before the start ends, and in each piece of upkeep after it. */
const recoveredTogetherMax = 250

/** Commits of one promotion. */
const promoteBatchesMax = 10

export class DurableQueue {
  readonly #parts: DurableQueueParts
  readonly #registry = new QueueRegistry()
  readonly #rates = new Rates()
  readonly #growth: Growth
  readonly #commitParts: CommitParts
  readonly #drafting: Drafting
  readonly #questions: Questions
  readonly #admission: AdmissionRules
  readonly #views: QueueViews
  readonly #bulkChanges: BulkChanges
  readonly #fronts = new RetentionFronts()
  #retained: readonly RetainedPlace[] = []
  readonly #damage: Damage
  #recovery: Recovery | undefined
  #lastCommitAtMs = 0
  /** Scheduler events, in the same store, so that an instant and its job are one commit. */
  readonly schedule: DurableSchedule
  readonly documents: Documents
  /** Transactions that wait for the decision of the program that prepared them. */
  readonly outbox: DurableOutbox

  constructor(parts: DurableQueueParts) {
    this.#parts = parts
    const usedBytes = () => parts.store.usedBytes
    this.#growth = new Growth(usedBytes)
    this.#commitParts = {
      ...parts,
      registry: this.#registry,
      rates: this.#rates,
      growth: this.#growth,
      claims: new Map(),
      withoutGroups: noneKnown(),
      claimed: (seq) => this.#recovery?.forget(seq),
      claim: (commit, queue, room) => this.#claimIn(commit, queue, room)
    }
    this.#drafting = new Drafting(parts)
    this.#admission = {
      registry: this.#registry,
      tag: parts.tag,
      maxStoreBytes: parts.maxStoreBytes,
      usedBytes,
      checkDisk: () => parts.store.checkRoomToGrow()
    }
    const { registry, rates } = this.#commitParts
    this.#damage = new Damage(parts.store, () => this.repair())
    this.#views = new QueueViews({ ...parts, registry, rates })
    const shared = {
      ...parts,
      reader: () => parts.store.reader,
      read: <T>(look: () => T) => this.#damage.read(look),
      commit: <T>(operation: (commit: QueueCommit, transaction: Transaction) => T) => this.#commit(operation),
      registry,
      admission: this.#admission,
      drafting: this.#drafting
    }
    this.#bulkChanges = new BulkChanges(shared)
    this.#questions = new Questions(shared)
    this.schedule = new DurableSchedule(shared)
    this.outbox = new DurableOutbox(shared)
    this.documents = new Documents(shared)
  }

  /**
   * Registers the queues, and brings back to ready what was running when the last supervisor died: the attempt counts as
   * made and is shown as interrupted, but it is no failure. Where those are many, {@link DurableQueue.upkeep} brings back the
   * others; see recovery.ts.
   *
   * @param hasWork told before that of each queue whose jobs may be claimed soon
   * @returns how many jobs were running
   */
  async start(hasWork: (queue: string) => void = () => {}): Promise<number> {
    const { queues } = this.#parts
    await this.#commit((commit, transaction) => this.#registry.open(transaction, commit.counters, queues))
    failPoint('start.queuesNumbered')
    for (const name of this.#queuesWithWork()) hasWork(name)
    this.#retained = [...queues.values()].flatMap(({ name, retention }) =>
      finishedStates.map((state) => ({ queue: this.#registry.numberOf(name)!, state, rule: retention[state] }))
    )
    const { reader } = this.#parts.store
    const find = () => new Recovery(reader)
    try {
      this.#recovery = find()
    } catch (error) {
      this.#recovery = await this.#damage.after(error, async () => find())
    }
    const { count } = this.#recovery
    await this.#recover()
    return count
  }

  /** Only a hint: what is damaged is told by whoever needs it. */
  #queuesWithWork(): string[] {
    try {
      const queues = this.#views.queues().filter(({ paused, counts }) => !paused && counts.ready + counts.running > 0)
      return queues.map(({ queue }) => queue)
    } catch {
      return []
    }
  }

  /**
   * All of the jobs or none, in one commit.
   *
   * @throws RuntimeError `METHOD_UNKNOWN`, `QUEUE_UNKNOWN`, `PARAMS_INVALID`, `PAYLOAD_TOO_LARGE`, `JOB_EXISTS`,
   * `JOB_UNKNOWN` of a job that it depends on, `QUEUE_FULL`, `STORAGE_FULL`; of several jobs, `data.index` says which
   */
  async enqueue(requests: readonly EnqueueRequest[]): Promise<EnqueueResult[]> {
    const unknown = this.#drafting.lookUp(requests)
    if (unknown !== undefined) await unknown
    const drafts = this.#drafting.draft(requests)
    return this.#commit((commit) => admit(commit, this.#admission, drafts))
  }

  /**
   * All of the operations or none, in one commit; see transaction.ts.
   *
   * @throws RuntimeError as {@link DurableQueue.enqueue}; `DOCUMENT_CHANGED`; `JOB_UNKNOWN` of a job to cancel
   */
  async transaction(operations: readonly TransactionOperation[], traceOf: TraceOf): Promise<TransactionResult> {
    const known = await knownOperations(operations, this.#parts.catalogue)
    const work = workOf(known, await this.#drafting.all(requestedJobs(known)))
    return this.#commit((commit) => ({ jobs: perform(commit, this.#admission, work, traceOf) }))
  }

  /**
   * A job as it would be enqueued, for {@link DurableQueue.schedule}. The method must be known.
   *
   * @throws RuntimeError as {@link DurableQueue.enqueue}
   */
  draft(request: EnqueueRequest): JobDraft {
    return this.#drafting.draft([request])[0]!
  }

  /**
   * Takes ready jobs of a queue, in the order of claiming.ts; none while the queue is paused, or in maintenance mode. Where a
   * limit or a pause ends at an instant, {@link QueueListener.readyAt} tells. For who works on the queue without a dispatcher.
   *
   * @param room a number: so many threads, and no jobs beyond them
   */
  async claim(queue: string, room: ClaimRoom | number): Promise<ClaimedJob[]> {
    const number = this.#registry.require(queue, 'claim from')
    const { commit, jobs } = await this.#commit((commit) => {
      const space = typeof room === 'number' ? { threads: room, jobs: room } : room
      return { commit, jobs: this.#claimIn(commit, number, space) }
    })
    // What a later operation of the same commit cancelled must not start any more.
    return jobs.filter(({ seq, attempt }) => !commit.after.hasCancelled(seq, attempt))
  }

  /**
   * Claims at the end of the next commit, as after each change that makes jobs ready: {@link QueueListener.room} tells how
   * many, and {@link QueueListener.claimed} gets them, on disk.
   */
  wake(queue: string): Promise<void> {
    const number = this.#registry.require(queue, 'claim from')
    return this.#commit((commit) => commit.wake(number))
  }

  #claimIn(commit: QueueCommit, queue: number, room: ClaimRoom): ClaimedJob[] {
    const { transaction, nowMs } = commit
    const record = this.#registry.record(transaction, queue)
    if (record.pausedUntilMs !== null && record.pausedUntilMs > nowMs) commit.wakeAt(queue, record.pausedUntilMs)
    if (isPaused(record, nowMs) || readScheduler(transaction).maintenance) return []
    return claimReady(commit, queue, room).flatMap((job) => this.#claimed(job, commit) ?? [])
  }

  /** The method runs at `atMs`: from then on its start counts in the window of a rate limit. */
  noteStart(claimed: ClaimedJob, atMs: number): Promise<void> {
    return this.#commit((commit, transaction) => {
      const job = readAttempt(transaction, claimed)
      if (job !== undefined) commit.noteStart(job, atMs)
    })
  }

  /**
   * Ends an attempt: completed, with its effects, failed, scheduled again, or ready again. One that completed has failed
   * where its effects are refused, and is interrupted where its document has changed since it was claimed.
   *
   * @returns false where the job is not in this attempt any more, because it was cancelled; nothing is changed then
   */
  settle(claimed: ClaimedJob, ending: Ending, trace: AttemptTrace): Promise<boolean> {
    const effects = effectsOf(ending)
    if (effects === undefined) return this.#settle(claimed, ending, trace)
    return this.#settleWith(effects, claimed, ending, trace)
  }

  /**
   * Ends attempts as {@link DurableQueue.settle} does, in one operation those without effects. One that is not running any more
   * is passed over.
   *
   * @throws RuntimeError the first refusal, after all others were settled; those that were are passed over if it is tried again
   */
  async settleAll(ends: readonly AttemptEnd[]): Promise<void> {
    const plain = ends.filter(({ ending }) => effectsOf(ending) === undefined)
    const others = ends.filter(({ ending }) => effectsOf(ending) !== undefined)
    // All are asked for in this turn, so that they share a commit.
    const settled = [
      ...(plain.length === 0 ? [] : [this.#settleTogether(plain)]),
      ...others.map(({ job, ending, trace }) => this.settle(job, ending, trace))
    ]
    await allSettled(settled)
  }

  async #settleTogether(ends: readonly AttemptEnd[]): Promise<void> {
    try {
      await this.#commit((commit, transaction) => {
        for (const end of ends) this.#end(commit, transaction, end)
      })
    } catch (error) {
      if (ends.length === 1 || !(error instanceof RuntimeError) || error.code === 'STORAGE_FAILED') throw error
      // One of them is to blame: the others are not to wait for it.
      await allSettled(ends.map(({ job, ending, trace }) => this.#settle(job, ending, trace)))
    }
  }

  /** Where all methods are known the commit is asked for in this turn, before the claim of the next job. */
  async #settleWith(effects: Effects, claimed: ClaimedJob, ending: Ending, trace: AttemptTrace): Promise<boolean> {
    const { clock, nextInstant } = this.#parts
    let plan: EffectsPlan
    try {
      const requests = requestsOf(effects, claimed.document)
      const unknown = this.#drafting.lookUp(requests)
      if (unknown !== undefined) await unknown
      plan = planEffects(effects, claimed.document, {
        draft: (jobs) => this.#drafting.draft(jobs),
        nextInstant,
        nowMs: clock.wallMs()
      })
    } catch (error) {
      return this.#settle(claimed, failedBy(error), trace)
    }
    return this.#settle(claimed, ending, trace, plan)
  }

  #settle(job: ClaimedJob, ending: Ending, trace: AttemptTrace, plan?: EffectsPlan): Promise<boolean> {
    return this.#commit((commit, transaction) => this.#end(commit, transaction, { job, ending, trace }, plan))
  }

  #end(
    commit: QueueCommit,
    transaction: Transaction,
    { job: claimed, ending, trace }: AttemptEnd,
    plan?: EffectsPlan
  ): boolean {
    const job = HeldJob.jobOf(claimed, commit.transaction.claims) ?? readAttempt(transaction, claimed)
    if (job === undefined) return false
    // What earlier attempts said stays with a job that no thread has begun.
    if (ending.type !== 'givenBack') Object.assign(job.standing, trace)
    const end = plan === undefined ? ending : this.#afterEffects(commit, plan, claimed.document, ending)
    endAttempt(commit, job, end, this.#parts.random())
    return true
  }

  #afterEffects(commit: QueueCommit, plan: EffectsPlan, document: DocumentMessage | undefined, ending: Ending): Ending {
    try {
      if (document !== undefined && !isUnchanged(commit, document)) return { type: 'interrupted' }
    } catch (error) {
      this.#damage.found(error)
      return { type: 'failed', final: true, error: jobErrorOf(error) }
    }
    try {
      applyEffects(commit, plan, document, this.#admission)
      return ending
    } catch (error) {
      return failedBy(error)
    }
  }

  /**
   * What a running job asks of its journal; see journal.ts. On disk when it resolves.
   *
   * @throws RuntimeError `JOB_STATE`: the attempt is over, or the journal has another call there · `PAYLOAD_TOO_LARGE`,
   * `PARAMS_INVALID` · of `enqueue` also as {@link DurableQueue.enqueue}
   */
  ask<Q extends JournalQuestion>(job: ClaimedJob, question: Q): Promise<AnswerTo<Q>> {
    return this.#questions.ask(job, question)
  }

  /**
   * Tells a job something by name: the `ctx.waitFor` that waits for it takes it, now or later.
   *
   * @param payload JSON value; undefined: null
   * @throws RuntimeError `JOB_UNKNOWN`, `JOB_STATE` where it has finished or leaves too many untaken, `PARAMS_INVALID`,
   * `PAYLOAD_TOO_LARGE`
   */
  async signal(id: string, name: string, payload: unknown = null): Promise<JobChange> {
    const text = encodeSignal(payload, id, name)
    return this.#commit((commit, transaction) => {
      const job = requireJob(transaction, id, this.#parts.tag, 'send a signal to')
      sendSignal(commit, job, name, text)
      return { id, state: job.standing.state, changed: true }
    })
  }

  /**
   * Stores what running jobs have said so far, so that an interrupted attempt keeps it. A job that is not in this attempt
   * any more is left alone.
   *
   * @throws RuntimeError `STORAGE_FULL`: some of them may not be stored
   */
  async storeTraces(traces: readonly { job: ClaimedJob; trace: AttemptTrace }[]): Promise<void> {
    // An operation each: they share a commit as far as one commit may grow.
    const stored = traces.map(({ job, trace }) =>
      this.#commit((commit, transaction) => {
        const running = readAttempt(transaction, job)
        if (running !== undefined) commit.amend(running, trace)
      })
    )
    await Promise.all(stored)
  }

  /**
   * Moves what is due at `nowMs` to ready, so much of it that a stop need not wait long.
   *
   * @returns when the next job is due, which is in the past where more is due; null where none is scheduled
   */
  async promoteDue(nowMs: number): Promise<number | null> {
    const dueAtMs = this.#nextDueAtMs()
    if (dueAtMs === null || dueAtMs > nowMs) return dueAtMs
    failPoint('promote.before')
    await this.#visit(
      'scheduled',
      dueRange(nowMs),
      (commit, job) => {
        commit.move(job, 'due', { dueAtMs: null })
        commit.tell(job, 'ready')
        return true
      },
      promoteBatchesMax
    )
    failPoint('promote.after')
    return this.#nextDueAtMs()
  }

  /** A small piece of what upkeep.ts does, if it is due at `nowMs`. @returns when to ask again; null: not as things are */
  async upkeep(nowMs: number): Promise<number | null> {
    await this.#recover()
    const nextAtMs = await this.#nextUpkeepAtMs()
    if (nextAtMs === null || nextAtMs > nowMs) return nextAtMs
    const { nextInstant } = this.#parts
    failPoint('upkeep.before')
    await this.#commit((commit) => upkeepPiece(commit, this.#retained, this.#fronts, nextInstant))
    failPoint('upkeep.after')
    return this.#nextUpkeepAtMs()
  }

  /** Brings back some of those that were running when this life began. */
  async #recover(): Promise<void> {
    const recovery = this.#recovery
    if (recovery === undefined) return
    if (!recovery.isOver) await this.#commit((commit) => recovery.piece(commit, recoveredTogetherMax))
    if (recovery.isOver) this.#recovery = undefined
  }

  async #nextUpkeepAtMs(): Promise<number | null> {
    if (this.#recovery !== undefined) return 0
    const look = () => nextUpkeepAtMs(this.#parts.store.reader, this.#retained, this.#fronts)
    try {
      return look()
    } catch (error) {
      return this.#damage.after(error, async () => look())
    }
  }

  /**
   * Cancels in any state; a finished job stays as it is.
   *
   * @param traceOf what the attempt has said so far, if the job runs
   * @throws RuntimeError `JOB_UNKNOWN`
   */
  cancel(id: string, traceOf: (queue: string) => AttemptTrace | undefined): Promise<JobChange> {
    return this.#commit((commit, transaction) => {
      const job = requireJob(transaction, id, this.#parts.tag, 'cancel')
      const changed = cancelJob(commit, job, () => traceOf(this.#registry.nameOf(job.spec.queue)))
      return { id, state: job.standing.state, changed }
    })
  }

  /**
   * Starts a finished job again with all its attempts, or brings a scheduled one forward.
   *
   * @param params JSON value that replaces the old one; undefined keeps it
   * @throws RuntimeError `JOB_UNKNOWN`, `JOB_STATE` where it is ready, running, or waits for other jobs, `PARAMS_INVALID`,
   * `PAYLOAD_TOO_LARGE`
   */
  async retry(id: string, params?: unknown): Promise<JobChange> {
    const payload = params === undefined ? undefined : encodePayload(params, `retry job "${id}"`)
    return this.#commit((commit, transaction) => {
      const job = requireJob(transaction, id, this.#parts.tag, 'retry')
      const { state } = job.standing
      if (state === 'ready' || state === 'running') throw wrongState('retry', id, state, 'Wait until it has finished.')
      if (waitsForOthers(job.standing)) {
        const unmet = unmetDependencies(job.standing)
        throw wrongState('retry', id, state, `It waits for ${unmet} of the jobs that it depends on.`)
      }
      retryJob(commit, job, payload)
      return { id, state: job.standing.state, changed: true }
    })
  }

  /** Forgets a job. @throws RuntimeError `JOB_UNKNOWN`, `JOB_STATE` while it runs */
  remove(id: string): Promise<void> {
    return this.#commit((commit, transaction) => {
      const job = requireJob(transaction, id, this.#parts.tag, 'remove')
      if (job.standing.state === 'running') throw wrongState('remove', id, 'running', 'Cancel it first.')
      commit.forget(job, 'hand')
    })
  }

  /**
   * Moves a scheduled or ready job to another queue; its timeout and other options stay as they are.
   *
   * @throws RuntimeError `JOB_UNKNOWN`, `JOB_STATE`, `QUEUE_UNKNOWN`, `QUEUE_FULL`
   */
  move(id: string, queue: string): Promise<JobChange> {
    const target = requireTarget(this.#parts.queues, queue)
    return this.#commit((commit, transaction) => {
      const job = requireJob(transaction, id, this.#parts.tag, 'move')
      const { state } = job.standing
      if (state !== 'ready' && state !== 'scheduled') {
        throw wrongState('move', id, state, 'Only scheduled and ready jobs can be moved.')
      }
      return { id, state, changed: moveJob(commit, job, target, `move job "${id}"`) }
    })
  }

  /**
   * One step of a change of many jobs; see bulk.ts.
   *
   * @throws RuntimeError `QUEUE_UNKNOWN`, `QUEUE_FULL`, `PARAMS_INVALID`, `PAYLOAD_TOO_LARGE`
   */
  bulk(change: BulkChange, request: BulkRequest): Promise<BulkStep> {
    return this.#bulkChanges.step(change, request)
  }

  /**
   * Forgets the jobs of a queue that are in one of `states`, in several commits.
   *
   * @returns how many
   * @throws RuntimeError `QUEUE_UNKNOWN`
   */
  async purge(queue: string, states: readonly Exclude<JobState, 'running'>[]): Promise<number> {
    const number = this.#registry.require(queue, 'purge')
    let removed = 0
    for (const state of states) {
      for (const range of rangesOf(state, number)) {
        removed += await this.#visit(state, range, (commit, job) => {
          if (job.spec.queue !== number) return false
          commit.forget(job, 'hand')
          return true
        })
      }
    }
    return removed
  }

  /**
   * No job of a paused queue is claimed; survives restarts.
   *
   * @param untilMs when the pause ends by itself; null: it does not
   * @returns the queue as this change leaves it, whatever others change in the same commit
   * @throws RuntimeError `QUEUE_UNKNOWN`
   */
  setPaused(queue: string, paused: boolean, untilMs: number | null = null): Promise<QueueView> {
    const number = this.#registry.require(queue, paused ? 'pause' : 'resume')
    return this.#commit((commit, transaction) => {
      this.#registry.write(transaction, number, { name: queue, paused, pausedUntilMs: paused ? untilMs : null })
      commit.wake(number)
      return { ...this.#views.queue(queue), counts: { ...commit.counts(number) } }
    })
  }

  /** @throws RuntimeError `JOB_UNKNOWN` */
  get(id: string): JobView {
    return this.#damage.read(() => this.#views.job(id))
  }

  /** @throws RuntimeError `QUEUE_UNKNOWN`, `PARAMS_INVALID` for a cursor that is none */
  list(filter: JobFilter): JobPage {
    return this.#damage.read(() => this.#views.jobs(filter))
  }

  queues(): QueueView[] {
    return this.#damage.read(() => this.#views.queues())
  }

  /** @throws RuntimeError `QUEUE_UNKNOWN` */
  queue(name: string): QueueView {
    return this.#damage.read(() => this.#views.queue(name))
  }

  /** For the diagnosis of a supervisor; a bounded look. */
  health(): QueueHealth[] {
    return this.#damage.read(() => this.#views.health())
  }

  growth(): StoreGrowth {
    return this.#damage.read(() => this.#growth.list(this.#parts.store.reader))
  }

  #nextDueAtMs(): number | null {
    for (const key of this.#parts.store.reader.keys({ ...scheduledRange, limit: 1 })) {
      const dueAtMs = dueOfScheduledKey(key)
      // What waits for other jobs, or for a signal without an end, is not due by itself.
      return dueAtMs >= instantMsMax ? null : dueAtMs
    }
    return null
  }

  /** @returns undefined: its document is damaged, so it has failed */
  #claimed(job: StoredJob, commit: QueueCommit): ClaimedJob | undefined {
    const { seq, spec, standing, claim } = job
    if (claim !== undefined) return new HeldJob(job, claim, this.#registry.nameOf(spec.queue))
    let document: DocumentMessage | undefined
    try {
      document = documentMessage(commit, job)
    } catch (error) {
      this.#damage.found(error)
      commit.finish(job, 'fail', { error: jobErrorOf(error) })
      commit.wake(spec.queue)
      return undefined
    }
    const journal = readJournal(commit.transaction, job)
    return {
      seq,
      id: spec.id,
      queue: this.#registry.nameOf(spec.queue),
      method: spec.method,
      params: spec.params,
      attempt: standing.made,
      attemptsMax: spec.attemptsMax,
      timeoutMs: spec.timeoutMs,
      softTimeoutMs: spec.softTimeoutMs,
      alone: standing.crashes > 0,
      startIsCounted: standing.startTurn !== null,
      ...(standing.dependencies === null ? {} : { parents: parentsOf(commit.transaction, job) }),
      ...(document === undefined ? {} : { document }),
      ...(journal.length === 0 ? {} : { journal })
    }
  }

  /** Runs `operation` in the next commit. It may throw only before its first write. */
  #commit<T>(operation: (commit: QueueCommit, transaction: Transaction) => T): Promise<T> {
    return this.#transact(operation, {
      recover: (error) => this.#damage.recover(error, () => this.#transact(operation))
    })
  }

  #transact<T>(
    operation: (commit: QueueCommit, transaction: Transaction) => T,
    options: TransactOptions<T> = {}
  ): Promise<T> {
    return this.#parts.store.transact((transaction, states) => {
      const commit = states.of(this, () => {
        const nowMs = this.#parts.clock.wallMs()
        if (nowMs < this.#lastCommitAtMs) this.#fronts.reset()
        this.#lastCommitAtMs = nowMs
        return new QueueCommit(transaction, nowMs, this.#commitParts)
      })
      return operation(commit, commit.transaction)
    }, options)
  }

  /**
   * Sets aside what is damaged, and puts right what follows from other records; see set-aside.ts. Happens by itself as soon
   * as a damaged record is read.
   */
  repair(): Promise<SetAside> {
    const { tag, queues } = this.#parts
    const nameOf = (number: number) => this.#registry.restoredName(number, queues)
    const operation = (commit: QueueCommit) => {
      commit.claimsNothing = true
      return setAsideDamaged(commit, { tag, nameOf })
    }
    const repaired = this.#transact(operation, { alone: true })
    // Jobs may have finished in the past, where the look of retention does not begin any more.
    this.#fronts.reset()
    return repaired
  }

  /** How many records are set aside. */
  setAside(): number {
    return countSetAside(this.#parts.store.reader)
  }

  /**
   * Visits the jobs of a place in key order, some per commit, so that nobody else waits long.
   *
   * @param change changes the job; false where it left it alone
   * @returns how many were changed
   */
  async #visit(
    state: JobState,
    range: KeyRange,
    change: (commit: QueueCommit, job: StoredJob) => boolean,
    batchesMax = Number.POSITIVE_INFINITY
  ): Promise<number> {
    let changed = 0
    let batches = 0
    let max = moveBatchMax
    let last: Buffer | undefined
    let isOver = false
    const step = (behind: Buffer | undefined): Promise<{ changes: number; last: Buffer | undefined }> =>
      this.#commit((commit, transaction) => {
        const places = firstOf(placesIn(transaction, state, range, behind), max)
        const changes = places.filter(({ seq }) => {
          const job = readJob(transaction, seq)
          // An earlier one of the batch may have taken it along, as one that it depended on.
          return job?.standing.state === state && change(commit, job)
        })
        return { changes: changes.length, last: places.length < max ? undefined : places.at(-1)!.key }
      })
    while (!isOver && batches < batchesMax) {
      try {
        const batch = await step(last)
        changed += batch.changes
        last = batch.last
        isOver = last === undefined
        batches++
      } catch (error) {
        // A smaller commit needs less room, and what it removes may make some.
        if (max === 1 || !(error instanceof RuntimeError) || error.code !== 'STORAGE_FULL') throw error
        max = Math.ceil(max / 4)
      }
    }
    return changed
  }
}

function firstOf<T>(all: Iterable<T>, max: number): T[] {
  const first: T[] = []
  for (const each of all) if (first.push(each) === max) break
  return first
}

function effectsOf(ending: Ending): Effects | undefined {
  return ending.type === 'completed' ? ending.effects : undefined
}

/** Waits for all of them. @throws what the first of them was rejected with */
async function allSettled(promises: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(promises)) if (result.status === 'rejected') throw result.reason
}

/** Effects that were refused. @throws what says nothing against them */
function failedBy(error: unknown): Ending {
  if (!(error instanceof RuntimeError) || error.code === 'STORAGE_FAILED') throw error
  return { type: 'failed', final: false, error: refusedWith(error) }
}
