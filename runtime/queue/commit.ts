/**
 * One commit as the queue sees it: jobs are added, moved along an arrow of the lifecycle, and forgotten; counts follow; and
 * once it is on disk, those who wait are woken. Shared by all operations of the commit.
 *
 * Invariants after every commit
 * - a job is in exactly one place (see store/keys.ts), and its queue's count of that state includes it once
 * - a standing record exists exactly for the jobs that were started, depend on others or have a journal and do not run, and
 *   for the finished, some of which share one; a running one has its standing in its place, or is held by the entry of its claim
 * - a job that ends by itself, by `expires` or its own retention, has an entry for that instant ('Z')
 * - a finished job that its queue's retention looks after is in the `retained` totals
 */
import type { QueueConfig } from '../core/config.ts'
import type { JobEvent, JobEventType } from '../core/events.ts'
import { iso } from '../core/instant.ts'
import type { JobError } from '../core/job.ts'
import { type FinishedState, isFinished, type LifecycleEvent, lifecycle } from '../core/lifecycle.ts'
import { instantMsMax } from '../core/limits.ts'
import { bytesOfDigest, encodeDigest, keepsItself } from '../store/digest.ts'
import {
  countsKey,
  finishedKey,
  idKey,
  jobEndingKey,
  metaKey,
  noInstantMs,
  runningKey,
  scheduledKey,
  standingKey,
  throttleKey
} from '../store/keys.ts'
import {
  type Counters,
  copyOfStanding,
  countersCodec,
  type EventRecord,
  initialCounters,
  initialStanding,
  type JobSpec,
  noTotals,
  type QueueTotals,
  type Standing,
  type StateCounts,
  seqCodec,
  standingCodec,
  standingOfClaimed,
  throttleCodec,
  totalsCodec
} from '../store/records.ts'
import type { CommitState, Reader, Transaction } from '../store/store.ts'
import { AfterCommit, type AfterCommitParts } from './after-commit.ts'
import type { ClaimedJob, ClaimRoom } from './claimed-job.ts'
import { forgetLinks, roomForOne, tellChildren, toldPerCommitMax } from './dependencies.ts'
import { readEvent, writeEvent } from './event-records.ts'
import { mayShare } from './finished-runs.ts'
import { followUpOf } from './follow-up.ts'
import type { Growth } from './growth.ts'
import { HeldTransaction } from './held-transaction.ts'
import type { DraftContext, JobDraft } from './job-draft.ts'
import { groupOf, holdsGroup } from './job-group.ts'
import { isMadeId, makeId } from './job-id.ts'
import { dropJournal, journalBytesOf } from './journal-entries.ts'
import { KeyGroups, type WithoutGroups } from './key-groups.ts'
import type { ClaimMemory } from './running-claims.ts'
import { StartWindow } from './start-window.ts'
import { readyPlaceOf, type StoredJob, waitsForOthers, withWindowOf } from './stored-job.ts'

const empty = Buffer.alloc(0)
/** What the store needs for the entries of a job beside their keys and values. */
const entryBytes = 16
/** And for an entry of its journal beside what that holds. */
const journalEntryBytes = 64

export interface CommitParts extends AfterCommitParts {
  queues: ReadonlyMap<string, QueueConfig>
  growth: Growth
  /** Begins the ids that the store makes. */
  tag: string
  claims: ClaimMemory
  withoutGroups: WithoutGroups
  /** This life has claimed a job. */
  claimed: (seq: number) => void
  /** Claims jobs of a queue. */
  claim: (commit: QueueCommit, queue: number, room: ClaimRoom) => ClaimedJob[]
}

export class QueueCommit implements CommitState {
  readonly transaction: HeldTransaction
  /** The instant of everything that happens in this commit. */
  readonly nowMs: number
  /** Jobs that have a key or a document. */
  readonly groups: KeyGroups
  /** Who is told what, once it is on disk. */
  readonly after: AfterCommit
  readonly linkRoom = { left: toldPerCommitMax }
  /** What it makes ready is left to a commit of its own. */
  claimsNothing = false
  readonly #parts: CommitParts
  readonly #totals = new Map<number, QueueTotals>()
  /** As they were read; what has not changed is not written. */
  readonly #totalsBefore = new Map<number, Buffer | undefined>()
  readonly #windows = new Map<number, StartWindow>()
  readonly #claimed: number[] = []
  #counters: Counters | undefined
  #countersBefore: Counters | undefined
  /** Finished jobs whose children are to be told; undefined while nobody does that. */
  #finished: StoredJob[] | undefined

  constructor(transaction: Transaction, nowMs: number, parts: CommitParts) {
    this.transaction = new HeldTransaction(transaction, parts.claims, parts.tag)
    this.nowMs = nowMs
    this.#parts = parts
    this.groups = new KeyGroups(this, (queue) => this.configOf(queue), parts.withoutGroups)
    this.after = new AfterCommit(nowMs, parts)
  }

  totals(queue: number): QueueTotals {
    let totals = this.#totals.get(queue)
    if (totals === undefined) {
      const key = countsKey(queue)
      const before = this.transaction.get(key)
      totals = before === undefined ? noTotals() : totalsCodec.decode(key, before)
      this.#totalsBefore.set(queue, before)
      this.#totals.set(queue, totals)
    }
    return totals
  }

  counts(queue: number): StateCounts {
    return this.totals(queue).counts
  }

  /** The window of the rate limit of the queue. */
  window(queue: number): StartWindow {
    let window = this.#windows.get(queue)
    if (window === undefined) {
      const rule = this.configOf(queue)?.rateLimit ?? null
      window = new StartWindow(this, queue, 0, rule, this.totals(queue).starts)
      this.#windows.set(queue, window)
    }
    return window
  }

  numberOf(queue: string): number {
    return this.#parts.registry.numberOf(queue)!
  }

  /** For jobs that are made in this commit. */
  get draftContext(): DraftContext {
    return { queues: this.#parts.queues, tag: this.#parts.tag, nowMs: this.nowMs }
  }

  /** undefined: the configuration no longer has the queue. */
  configOf(queue: number): QueueConfig | undefined {
    return this.#parts.queues.get(this.#parts.registry.nameOf(queue))
  }

  /** Numbers of jobs, queues and groups; never given twice. */
  get counters(): Counters {
    if (this.#counters === undefined) {
      this.#counters = readCounters(this.transaction)
      this.#countersBefore = { ...this.#counters }
    }
    return this.#counters
  }

  /**
   * Enqueues: gives the job its number, and its id unless the caller chose one.
   *
   * @param parents number of jobs that it depends on, which are to be linked next
   */
  add(draft: JobDraft, parents = 0): StoredJob {
    const seq = this.counters.nextSeq++
    const number = this.numberOf(draft.queue.name)
    const spec = specOf(draft.spec, number, draft.id ?? makeId(this.#parts.tag, seq))
    const standing = standingOf(spec, parents)
    const specBytes = this.transaction.specs.add(seq, spec, draft.id === null)
    const job: StoredJob = { seq, spec, specBytes, standing, claim: undefined, isShared: false }
    if (draft.id !== null) this.transaction.put(idKey(draft.id), seqCodec.encode(idKey(draft.id), seq))
    this.#place(job)
    this.after.movesOf(number).enqueued++
    this.tell(job, 'enqueued', spec.runAtMs === null ? {} : { runAt: iso(spec.runAtMs) })
    return job
  }

  /** A job that has not started becomes what `draft` asks for; it keeps its id, its number, its signals and what it depends on. */
  replace(job: StoredJob, draft: JobDraft): void {
    const { dependencies, journal } = job.standing
    this.#unplace(job)
    const hadRecord = needsRecord(job.standing)
    const { id, rules } = job.spec
    const number = this.numberOf(draft.queue.name)
    job.spec = { ...draft.spec, queue: number, id, rules: withWindowOf(rules, draft.spec.rules) }
    const waits = waitsForOthers(job.standing)
    job.standing = { ...standingOf(job.spec, waits ? 1 : 0), dependencies, journal }
    this.#changeSpec(job)
    this.#place(job)
    if (hadRecord && !needsRecord(job.standing)) this.transaction.remove(standingKey(job.seq))
    this.tell(job, 'enqueued', job.spec.runAtMs === null ? {} : { runAt: iso(job.spec.runAtMs) })
  }

  /** @returns the number of a claim that takes jobs now */
  beginClaim(): number {
    const number = this.counters.nextClaim++
    this.transaction.claims.begin(number, this.nowMs)
    return number
  }

  /** Whether a job was claimed in this commit. */
  hasClaimed(seq: number): boolean {
    return this.#claimed.includes(seq)
  }

  /**
   * Performs one arrow of the lifecycle that leads to no end. The caller has made sure that it exists.
   *
   * @param spec what else is asked for from now on
   */
  move(
    job: StoredJob,
    event: LifecycleEvent,
    changes: Partial<Omit<Standing, 'state'>>,
    spec?: Partial<Omit<JobSpec, 'id' | 'queue'>>
  ): void {
    this.#change(job, event, changes, spec, undefined)
  }

  /** What the arrow `claim` does with a ready job that asks for nothing, and goes into the entry of its claim. */
  claimPlain(job: StoredJob): void {
    const { seq, spec, claim } = job
    const { claims, ready } = this.transaction
    const counts = this.counts(spec.queue)
    this.#claimed.push(seq)
    counts.ready--
    counts.running++
    ready.take(spec.queue, readyPlaceOf(job), false)
    claims.add(claim!, seq)
    job.standing = standingOfClaimed(spec, this.nowMs)
  }

  #change(
    job: StoredJob,
    event: LifecycleEvent,
    changes: Partial<Omit<Standing, 'state'>>,
    spec: Partial<Omit<JobSpec, 'id' | 'queue'>> | undefined,
    end: Pick<Standing, 'dueAtMs' | 'finishedAtMs'> | undefined
  ): void {
    const next = lifecycle[job.standing.state][event]
    if (next === undefined) throw new Error(`no arrow ${event} leads out of ${job.standing.state}`)
    if (event === 'claim') this.#claimed.push(job.seq)
    this.#unplace(job)
    const before = job.standing
    const standing = copyOfStanding(before)
    Object.assign(standing, changes)
    if (end !== undefined) {
      standing.dueAtMs = end.dueAtMs
      standing.finishedAtMs = end.finishedAtMs
    }
    standing.state = next
    job.standing = standing
    if (spec !== undefined) {
      job.spec = { ...job.spec, ...spec }
      this.#changeSpec(job)
    }
    this.#place(job)
    if (needsRecord(before) && !needsRecord(job.standing)) this.transaction.remove(standingKey(job.seq))
  }

  /** Performs an arrow to an end, with all that follows from it. */
  finish(job: StoredJob, event: 'complete' | 'fail' | 'cancel', changes: Partial<Omit<Standing, 'state'>>): void {
    this.#change(job, event, changes, undefined, { dueAtMs: null, finishedAtMs: this.nowMs })
    const { spec, standing } = job
    const state = standing.state as FinishedState
    this.tell(job, state, standing.error === null || state === 'completed' ? {} : { error: standing.error })
    if (state !== 'cancelled') this.after.movesOf(spec.queue)[state]++
    if (spec.event !== null) this.#eventFinished(job, spec.event)
    const followUp = followUpOf(job, this.draftContext)
    if (followUp !== undefined) this.add(followUp)
    this.after.tellWaiting(this.transaction, job, true)
    this.#tellChildren(job)
    if (spec.rules?.keepMs?.[state] === 0) this.forget(job, 'retention')
  }

  #changeSpec(job: StoredJob): void {
    job.specBytes = this.transaction.specs.replace(job.seq, job.spec)
  }

  /** Changes the standing of a job that stays where it is. */
  amend(job: StoredJob, changes: Partial<Omit<Standing, 'state'>>): void {
    const standing = { ...job.standing, ...changes }
    // The entry of a ready job says whether it has a record.
    const moves = standing.state === 'ready' && needsRecord(standing) !== needsRecord(job.standing)
    if (moves) this.#unplace(job)
    job.standing = standing
    if (moves) this.#place(job)
    else this.#writeStanding(job)
  }

  /** A waiting job goes to another queue, where it ages as those there do: ranks with and without ageing do not compare. */
  moveTo(job: StoredJob, queue: number): void {
    this.#unplace(job)
    const { ageingMs: _, ...others } = job.spec.rules ?? {}
    const ageingMs = this.configOf(queue)?.ageingMs ?? null
    const rules = { ...others, ...(ageingMs === null ? {} : { ageingMs }) }
    job.spec = { ...job.spec, queue, rules: Object.keys(rules).length === 0 ? null : rules }
    this.#changeSpec(job)
    this.#place(job)
    this.tell(job, 'moved')
  }

  /** @param by `retention`: the window in which no second job of its id is made goes on; `hand`: it ends */
  forget(job: StoredJob, by: 'hand' | 'retention'): void {
    const { seq, spec, standing } = job
    const hasRecord = needsRecord(standing) && job.isShared !== true
    this.#unplace(job)
    if (hasRecord) this.transaction.remove(standingKey(seq))
    if (!isMadeId(spec.id, this.#parts.tag)) this.transaction.remove(idKey(spec.id))
    this.transaction.specs.remove(seq)
    if (spec.event !== null && !isFinished(standing.state)) this.#eventFinished(job, spec.event)
    if ((spec.rules?.throttledUntilMs ?? 0) > this.nowMs) this.#endThrottle(job, by)
    forgetLinks(this, job)
    dropJournal(this, job)
    this.tell(job, 'removed')
    if (!isFinished(standing.state)) this.after.tellWaiting(this.transaction, job, false)
  }

  /** @see AfterCommit.tell */
  tell(job: StoredJob, type: JobEventType, more: Partial<JobEvent> = {}): void {
    this.after.tell(job, type, more)
  }

  /** @see AfterCommit.wake */
  wake(queue: number): void {
    this.after.wake(queue)
  }

  /** @see AfterCommit.wakeAt */
  wakeAt(queue: number, atMs: number): void {
    this.after.wakeAt(queue, atMs)
  }

  /** @see AfterCommit.upkeepAt */
  upkeepAt(atMs: number): void {
    this.after.upkeepAt(atMs)
  }

  beforeCommit(): void {
    if (!this.claimsNothing) this.after.claimWoken((queue, room) => this.#parts.claim(this, queue, room))
    this.groups.settle()
    for (const [queue, window] of this.#windows) this.totals(queue).starts = window.count
    for (const [queue, totals] of this.#totals) {
      const key = countsKey(queue)
      const value = totalsCodec.encode(key, totals)
      if (this.#totalsBefore.get(queue)?.equals(value) !== true) this.transaction.put(key, value)
    }
    if (this.#counters !== undefined && !areEqual(this.#counters, this.#countersBefore!)) {
      const key = metaKey('counters')
      this.transaction.put(key, countersCodec.encode(key, this.#counters))
    }
    this.#parts.growth.sample(this.transaction, this.nowMs)
    this.transaction.flush()
  }

  afterCommit(): void {
    this.transaction.claims.remember()
    this.groups.remember()
    for (const seq of this.#claimed) this.#parts.claimed(seq)
    this.after.run()
  }

  /** Those whose children fail with them wait in line: a long chain must not nest. */
  #tellChildren(job: StoredJob): void {
    if (this.counters.links === 0) return
    if (this.#finished !== undefined) {
      this.#finished.push(job)
      return
    }
    this.#finished = [job]
    const room = roomForOne()
    for (let next = this.#finished.shift(); next !== undefined; next = this.#finished.shift()) {
      tellChildren(this, next, room)
    }
    this.#finished = undefined
  }

  /** What the schedule shows of the last run is part of the commit that ends it, or forgets it before its end. */
  #eventFinished({ spec, standing }: StoredJob, id: string): void {
    const event = readEvent(this.transaction, id)
    if (event === undefined || event.lastJob !== spec.id) return
    writeEvent(this.transaction, {
      ...event,
      ...(isFinished(standing.state) ? endOf(event, standing) : { lastJob: null })
    })
    if (event.queuedAtMs !== null) this.after.tellEventFinished(id)
  }

  #endThrottle({ spec, standing }: StoredJob, by: 'hand' | 'retention'): void {
    const key = throttleKey(spec.id)
    const value = this.transaction.get(key)
    if (value === undefined) return
    if (by === 'hand' || !isFinished(standing.state)) this.transaction.remove(key)
    else
      this.transaction.put(
        key,
        throttleCodec.encode(key, { ...throttleCodec.decode(key, value), state: standing.state })
      )
  }

  #place(job: StoredJob): void {
    const { transaction } = this
    const { seq, spec, standing } = job
    const group = groupOf(spec)
    this.counts(spec.queue)[standing.state]++
    if (group !== undefined && holdsGroup(spec, standing)) this.groups.hold(job, group, 1)
    const endsAtMs = endsByItselfAtMs(job)
    if (endsAtMs !== undefined) {
      transaction.put(jobEndingKey(endsAtMs, seq), empty)
      this.upkeepAt(endsAtMs)
    }
    switch (standing.state) {
      case 'scheduled':
        transaction.put(scheduledKey(standing.dueAtMs ?? noInstantMs, seq), empty)
        if (standing.dueAtMs !== null && standing.dueAtMs < instantMsMax) this.after.dueAt(standing.dueAtMs)
        break
      case 'ready':
        if (group !== undefined) this.groups.place(job, group, needsRecord(standing))
        else {
          transaction.ready.place(spec.queue, readyPlaceOf(job), needsRecord(standing))
          this.wake(spec.queue)
        }
        break
      case 'running':
        if (job.claim !== undefined) {
          transaction.claims.add(job.claim, seq)
          return
        }
        break
      default:
        this.#placeFinished(job, standing.state)
        return
    }
    this.#writeStanding(job)
  }

  #unplace(job: StoredJob): void {
    const { transaction } = this
    const { seq, spec, standing } = job
    const group = groupOf(spec)
    this.counts(spec.queue)[standing.state]--
    if (group !== undefined && holdsGroup(spec, standing)) this.groups.hold(job, group, -1)
    const endsAtMs = endsByItselfAtMs(job)
    if (endsAtMs !== undefined) transaction.remove(jobEndingKey(endsAtMs, seq))
    switch (standing.state) {
      case 'scheduled':
        transaction.remove(scheduledKey(standing.dueAtMs ?? noInstantMs, seq))
        break
      case 'ready':
        if (group !== undefined) this.groups.unplace(job, group)
        else transaction.ready.take(spec.queue, readyPlaceOf(job), needsRecord(standing))
        break
      case 'running':
        this.noteStart(job, this.nowMs)
        if (!this.#leaveClaim(job)) transaction.remove(runningKey(seq))
        break
      default:
        this.#unplaceFinished(job, standing.state)
    }
  }

  /** Where the starts of the queue or of the job's key are counted: it started at `atMs`. The first note counts. */
  noteStart(job: StoredJob, atMs: number): void {
    const { spec, standing } = job
    const { startedAtMs, startTurn } = standing
    if (startTurn === null || startedAtMs === null) return
    this.window(spec.queue).note(startedAtMs, startTurn, atMs)
    this.groups.window(job)?.note(startedAtMs, startTurn, atMs)
    this.wake(spec.queue)
  }

  #placeFinished(job: StoredJob, state: FinishedState): void {
    const { seq, spec, standing } = job
    const retained = this.totals(spec.queue).retained[state]
    if (mayShare(spec, standing)) {
      const bytes = bytesOf(job, standing.result?.length ?? 0, this.#parts.tag)
      this.transaction.finished.place(seq, spec, standing, bytes)
      job.isShared = true
      retained.bytes += bytes
    } else {
      const digest = digestOf(job, state, this.#writeStanding(job), this.#parts.tag)
      this.transaction.put(finishedKey(state, spec.queue, standing.finishedAtMs!, seq), digest)
      if (keepsItself(digest)) return
      retained.bytes += bytesOfDigest(digest)
    }
    retained.count++
    const rule = this.configOf(spec.queue)?.retention[state]
    if (rule === undefined) return
    if (retained.count > (rule.count ?? retained.count) || retained.bytes > (rule.bytes ?? retained.bytes)) {
      this.upkeepAt(this.nowMs)
    } else if (rule.ageMs !== null) {
      this.upkeepAt(standing.finishedAtMs! + rule.ageMs)
    }
  }

  #unplaceFinished(job: StoredJob, state: FinishedState): void {
    const { seq, spec, standing } = job
    const digest = this.transaction.finished.takePlace(state, spec.queue, standing.finishedAtMs!, seq)
    this.#leaveStandings(job)
    if (digest === undefined || keepsItself(digest)) return
    const retained = this.totals(spec.queue).retained[state]
    retained.count--
    retained.bytes -= bytesOfDigest(digest)
  }

  /** @returns false: it has a record of its own */
  #leaveClaim(job: StoredJob): boolean {
    if (job.claim === undefined) return false
    this.transaction.claims.remove(job.claim, job.seq)
    job.claim = undefined
    return true
  }

  #leaveStandings(job: StoredJob): void {
    if (job.isShared !== true) return
    this.transaction.finished.leaveStandings(job.seq)
    job.isShared = false
  }

  /** @returns the length of the record; 0 where none is needed */
  #writeStanding(job: StoredJob): number {
    const { seq, standing } = job
    this.#leaveClaim(job)
    this.#leaveStandings(job)
    if (standing.state !== 'running' && !needsRecord(standing)) return 0
    const key = standing.state === 'running' ? runningKey(seq) : standingKey(seq)
    const value = standingCodec.encode(key, standing)
    this.transaction.put(key, value)
    return value.length
  }
}

/** What stands beside the place of a finished job. @param recordBytes of its standing */
export function digestOf(job: StoredJob, state: FinishedState, recordBytes: number, tag: string): Buffer {
  const { spec, standing } = job
  return encodeDigest({
    bytes: bytesOf(job, recordBytes, tag),
    keepsItself: spec.rules?.keepMs?.[state] !== undefined,
    errorCode: state === 'completed' ? null : (standing.error?.code ?? null),
    method: spec.method,
    jobName: spec.jobName,
    key: spec.rules?.key ?? null
  })
}

/** Of the entries of a finished job. @param recordBytes of its standing, or of its part of that which it shares */
function bytesOf({ spec, specBytes, standing }: StoredJob, recordBytes: number, tag: string): number {
  const idBytes = isMadeId(spec.id, tag) ? 0 : entryBytes + Buffer.byteLength(spec.id)
  return specBytes + recordBytes + idBytes + 3 * entryBytes + journalBytesOf(standing, journalEntryBytes)
}

/** Field by field; see {@link copyOfStanding}. */
function specOf(of: JobDraft['spec'], queue: number, id: string): JobSpec {
  return {
    id,
    method: of.method,
    queue,
    params: of.params,
    enqueuedAtMs: of.enqueuedAtMs,
    runAtMs: of.runAtMs,
    atFront: of.atFront,
    priority: of.priority,
    timeoutMs: of.timeoutMs,
    attemptsMax: of.attemptsMax,
    backoff: of.backoff,
    jobName: of.jobName,
    softTimeoutMs: of.softTimeoutMs,
    event: of.event,
    rules: of.rules
  }
}

/** Of a job that has just been enqueued. */
function standingOf(spec: JobSpec, parents: number): Standing {
  if (parents === 0) return initialStanding(spec, spec.runAtMs === null ? 'ready' : 'scheduled')
  const dependencies = { total: parents, completed: 0, failed: 0, cancelled: 0 }
  return { ...initialStanding(spec, 'scheduled'), dueAtMs: null, dependencies }
}

/** When a job that has not started expires, or a finished one is forgotten because it says so itself. */
export function endsByItselfAtMs({ spec: { rules }, standing }: StoredJob): number | undefined {
  const { state, startedAtMs, finishedAtMs } = standing
  if (rules === null || state === 'running') return undefined
  if (!isFinished(state)) return startedAtMs === null ? rules.expiresAtMs : undefined
  const keepMs = rules.keepMs?.[state]
  return keepMs === undefined ? undefined : finishedAtMs! + keepMs
}

/** What a job that was not started in time is cancelled with. */
export const expired: JobError = {
  code: 'CANCELLED',
  name: 'Expired',
  message: 'The job was not started before it expired.'
}

function endOf({ failures }: EventRecord, { state, startedAtMs, finishedAtMs }: Standing): Partial<EventRecord> {
  return {
    lastOutcome: state as EventRecord['lastOutcome'],
    lastDurationMs: startedAtMs === null ? null : finishedAtMs! - startedAtMs,
    failures: failures + (state === 'failed' ? 1 : 0)
  }
}

/** Whether the standing is kept under its own key: it says more than the place, and the place does not hold it. */
export function needsRecord({ state, startedAtMs, dependencies, journal }: Standing): boolean {
  return state !== 'running' && (startedAtMs !== null || dependencies !== null || journal !== null || isFinished(state))
}

function areEqual(one: Counters, other: Counters): boolean {
  return (Object.keys(one) as (keyof Counters)[]).every((name) => one[name] === other[name])
}

export function readTotals(reader: Reader, queue: number): QueueTotals {
  const key = countsKey(queue)
  const value = reader.get(key)
  return value === undefined ? noTotals() : totalsCodec.decode(key, value)
}

function readCounters(transaction: Transaction): Counters {
  const key = metaKey('counters')
  const value = transaction.get(key)
  return value === undefined ? { ...initialCounters } : countersCodec.decode(key, value)
}
