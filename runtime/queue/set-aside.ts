/**
 * Damaged records are set aside, and everything sound goes on. A record that fails its checksum is moved, as it is, to a
 * place where nobody trips over it ('d' in store/keys.ts), and what followed from it is put right:
 *
 * ```
 *  job                      it is gone, and those that shared its record are; jobs that wait for them are told that they failed
 *  standing                 the job fails with RECORD_DAMAGED; one that had finished stays so, without its result
 *  shared standings         as a standing of each of the jobs, all of which had finished
 *  claim                    its jobs fail with RECORD_DAMAGED: they are in no place then
 *  journal, signal, parent  the job fails with RECORD_DAMAGED, unless it had finished
 *  document                 stays, so that it is never taken for a new one; its reminders are set aside, its jobs fail
 *  group, counts, id, window of deduplication, marker   derived again
 *  queue                    has its name again; a pause is forgotten
 *  counters                 begin again far beyond everything that was given
 *  scheduler event          planned as a new one · scheduler: neither paused nor in maintenance
 *  reminder, prepared operations   are gone
 * ```
 *
 * All in one commit of its own. It looks through the whole store, about a second per 100,000 jobs, in which nothing else
 * happens: one record that is damaged is seldom alone, and a job must not run twice because of what was not looked at.
 */
import type { DependencyCounts } from '../core/job.ts'
import { type FinishedState, finishedStates, isFinished } from '../core/lifecycle.ts'
import * as keys from '../store/keys.ts'
import {
  describeKey,
  initialStanding,
  isSealed,
  parentCodec,
  RecordDamaged,
  type Standing,
  seqCodec,
  sharedStandingsCodec,
  standingCodec,
  unseal
} from '../store/records.ts'
import type { Transaction } from '../store/store.ts'
import type { QueueCommit } from './commit.ts'
import { deriveAgain } from './derived-entries.ts'
import { FinishedRuns, findStandings, finishedPlaces, standingInRun } from './finished-runs.ts'
import { groupOf } from './job-group.ts'
import { makeId } from './job-id.ts'
import { findReady } from './ready-runs.ts'
import { isSetAside, keepAside } from './set-aside-records.ts'
import { jobsIn, specRunMax } from './spec-runs.ts'
import { hasJob, readFreshJob, readJob, readyPlaceOf } from './stored-job.ts'

/** What was done. */
export interface SetAside {
  /** Keys of the records that were set aside. */
  records: Buffer[]
  /** Ids of jobs that failed for it. */
  failed: string[]
  /** Entries that follow from others, and were put right. */
  derived: number
}

export interface SetAsideRules {
  tag: string
  /** For a queue whose record is lost. */
  nameOf: (queue: number) => string
}

interface Entry {
  key: Buffer
  value: Buffer
}

/** @param commit of its own, in which nothing has happened */
export function setAsideDamaged(commit: QueueCommit, rules: SetAsideRules): SetAside {
  return new Repair(commit, rules).all()
}

class Repair {
  readonly #commit: QueueCommit
  readonly #transaction: Transaction
  readonly #rules: SetAsideRules
  readonly #records: Buffer[] = []
  /** Numbers of jobs that are gone, or of none. */
  readonly #lost = new Set<number>()
  /** Numbers of jobs of which a record is lost, with the key of that. */
  readonly #standings = new Map<number, Buffer>()
  readonly #parts = new Map<number, Buffer>()
  readonly #wereRunning = new Set<number>()
  /** One of those that are lost, or of shared standings. */
  #lostClaim: Buffer | undefined

  constructor(commit: QueueCommit, rules: SetAsideRules) {
    this.#commit = commit
    this.#transaction = commit.transaction
    this.#rules = rules
  }

  all(): SetAside {
    this.#commit.groups.forget()
    for (const entry of this.#damaged()) this.#setAside(entry)
    this.#tellLostJobs()
    this.#setAsideWithJobs()
    this.#restoreFinished()
    if (this.#lostClaim !== undefined) this.#findWithoutPlace(this.#lostClaim)
    for (const seq of this.#standings.keys()) this.#restore(seq)
    for (const [seq, key] of this.#parts) if (!this.#standings.has(seq)) this.#end(seq, key)
    const { nowMs } = this.#commit
    const derived = deriveAgain(this.#transaction, { ...this.#rules, nowMs })
    for (const { id, queue } of derived.groups) this.#commit.groups.refresh(id, queue)
    const failed = [...this.#standings, ...this.#parts].flatMap(([seq, key]) => this.#fail(seq, key) ?? [])
    for (const key of [...this.#transaction.keys(keys.queueRange)]) this.#commit.wake(keys.numberOfQueueKey(key))
    this.#commit.upkeepAt(nowMs)
    this.#commit.after.dueAt(nowMs)
    return { records: this.#records, failed, derived: derived.changes }
  }

  #damaged(): Entry[] {
    const found: Entry[] = []
    const owner = keys.metaKey('owner')
    for (const { key, value } of this.#transaction.entries({ start: Buffer.of(0), end: Buffer.of(255) })) {
      if (!isSealed(key) || isSound(key, value) || key.equals(owner)) continue
      found.push({ key: Buffer.from(key), value: Buffer.from(value) })
    }
    return found
  }

  #setAside({ key, value }: Entry): void {
    const letter = String.fromCharCode(key[0]!)
    const seq = key.length >= 7 ? key.readUIntBE(1, 6) : 0
    if (letter === 'O') {
      if (isSetAside(this.#transaction, key, value)) return
      this.#keep({ key, value }, 'its checksum does not match', 'stays')
      const reminders = [...this.#transaction.entries(keys.reminderRange(keys.documentOfKey(key)))].map(copyOf)
      for (const reminder of reminders) this.#keep(reminder, 'its document is damaged')
      return
    }
    this.#keep({ key, value }, 'its checksum does not match')
    if (letter === 'J') this.#noteLost(seq)
    if (letter === 'S' || letter === 'X') this.#standings.set(seq, key)
    if (letter === 'X') this.#wereRunning.add(seq)
    if (letter === 'x' || letter === 's') this.#lostClaim = key
    if (letter === 'L' || letter === 'H' || letter === 'P') this.#parts.set(seq, key)
    if (letter === 'E') this.#commit.after.tellEventsLost()
  }

  #keep({ key, value }: Entry, reason: string, stays?: 'stays'): void {
    // One that was set aside before keeps its place.
    const isAside = key[0] === keys.setAsideRange.start[0]
    const origin = isAside ? keys.originOfSetAsideKey(key) : key
    keepAside(this.#transaction, origin, value, reason, this.#commit.nowMs)
    if (!isAside && stays === undefined) this.#transaction.remove(key)
    this.#records.push(key)
    this.#commit.after.tellDamaged(key, `The record ${describeKey(key)} is set aside: ${reason}.`)
  }

  /** Which jobs shared its record is not known: none has a number behind that of the next record. */
  #noteLost(first: number): void {
    let end = first + specRunMax
    const behind = { start: keys.jobKey(first + 1), end: keys.jobKey(end), limit: 1 }
    for (const next of this.#transaction.keys(behind)) end = keys.seqOfKey(next)
    for (let seq = first; seq < end; seq++) this.#lost.add(seq)
  }

  #tellLostJobs(): void {
    if (this.#lost.size === 0) return
    for (const seq of this.#lost) this.#commit.after.tellLost(makeId(this.#rules.tag, seq))
    for (const { key, value } of this.#transaction.entries(kindRange('I'))) {
      if (this.#lost.has(seqCodec.decode(key, value))) this.#commit.after.tellLost(key.toString('utf8', 1))
    }
  }

  /** What is left of jobs that are gone: a result may be worth something to a person. */
  #setAsideWithJobs(): void {
    for (const letter of ['S', 'X', 'L', 'H']) {
      const left: Entry[] = []
      for (const entry of this.#transaction.entries(kindRange(letter))) {
        if (!hasJob(this.#transaction, entry.key.readUIntBE(1, 6))) left.push(copyOf(entry))
      }
      for (const entry of left) this.#keep(entry, 'its job is gone')
    }
    this.#setAsideShared()
  }

  /** Of a job that is gone, its part of a record that stays. */
  #setAsideShared(): void {
    const left: number[] = []
    for (const { key, value } of this.#transaction.entries(kindRange('s'))) {
      const first = keys.seqOfKey(key)
      const { count } = sharedStandingsCodec.decode(key, value)
      for (let seq = first; seq < first + count; seq++) {
        if (!hasJob(this.#transaction, seq)) left.push(seq)
      }
    }
    const runs = new FinishedRuns(this.#transaction)
    for (const seq of left) {
      const standing = runs.standingOf(seq)!
      runs.leaveStandings(seq)
      const key = keys.standingKey(seq)
      this.#keep({ key, value: standingCodec.encode(key, standing) }, 'its job is gone')
    }
    runs.flush()
  }

  /** Where a job has finished, and when, is in its place. */
  #restoreFinished(): void {
    const lost: Buffer[] = []
    for (const { key, seq } of finishedPlaces(this.#transaction, kindRange('F'))) {
      const isThere =
        this.#transaction.has(keys.standingKey(seq)) ||
        standingInRun(findStandings(this.#transaction, seq), seq) !== undefined
      if (!isThere) lost.push(Buffer.from(key))
    }
    for (const key of lost) {
      const seq = keys.seqOfKey(key)
      const job = readFreshJob(this.#transaction, seq)
      const state: FinishedState | undefined = finishedStates[key[1]!]
      const damaged = this.#standings.get(seq) ?? keys.standingKey(seq)
      this.#standings.delete(seq)
      if (job === undefined || state === undefined) continue
      const error = { ...lostError(damaged), message: `${lostError(damaged).message} It had ${wordOf[state]}.` }
      const parents = this.#parentsLeft(seq)
      const dependencies = parents.total === 0 ? null : parents
      const finishedAtMs = keys.instantOfFinishedKey(key)
      this.#write(seq, { ...job.standing, state, dueAtMs: null, finishedAtMs, error, dependencies })
    }
  }

  /** What is ready, as far as its records say, and in no place was held by a claim that is lost. It must not run again. */
  #findWithoutPlace(claim: Buffer): void {
    for (const { seq } of jobsIn(this.#transaction)) {
      if (this.#standings.has(seq)) continue
      const job = readJob(this.#transaction, seq)
      const isReady = job?.standing.state === 'ready' && groupOf(job.spec) === undefined
      if (!isReady || findReady(this.#transaction, job.spec.queue, readyPlaceOf(job)) !== undefined) continue
      this.#standings.set(seq, claim)
      this.#wereRunning.add(seq)
    }
  }

  /** It becomes a running one, which can fail whatever it was. */
  #restore(seq: number): void {
    const job = readFreshJob(this.#transaction, seq)
    if (job === undefined) return
    this.#dropParents(seq)
    const standing = { ...initialStanding(job.spec, 'ready'), state: 'running' as const, dueAtMs: null, made: 1 }
    this.#write(seq, { ...standing, startedAtMs: this.#commit.nowMs })
  }

  #end(seq: number, key: Buffer): void {
    const job = readJob(this.#transaction, seq)
    const isParent = key[0] === keys.parentRange(seq).start[0]
    if (job === undefined || isFinished(job.standing.state)) {
      this.#parts.delete(seq)
      if (isParent && job !== undefined) this.#write(seq, { ...job.standing, dependencies: this.#parentsLeft(seq) })
      return
    }
    const { standing } = job
    if (standing.state === 'running') this.#wereRunning.add(seq)
    if (isParent) this.#dropParents(seq)
    const dependencies = isParent ? null : standing.dependencies
    const startedAtMs = standing.startedAtMs ?? this.#commit.nowMs
    this.#write(seq, { ...standing, state: 'running', dueAtMs: null, dependencies, startedAtMs })
  }

  #parentsLeft(seq: number): DependencyCounts {
    const counts = { total: 0, completed: 0, failed: 0, cancelled: 0 }
    for (const { key, value } of this.#transaction.entries(keys.parentRange(seq))) {
      const { state } = parentCodec.decode(key, value)
      counts.total++
      if (state !== null) counts[state]++
    }
    return counts
  }

  /** The other halves of the links are derived again. */
  #dropParents(seq: number): void {
    for (const key of [...this.#transaction.keys(keys.parentRange(seq))]) this.#transaction.remove(key)
  }

  #write(seq: number, standing: Standing): void {
    const [running, waiting] = [keys.runningKey(seq), keys.standingKey(seq)]
    const key = standing.state === 'running' ? running : waiting
    this.#transaction.remove(standing.state === 'running' ? waiting : running)
    this.#transaction.put(key, standingCodec.encode(key, standing))
  }

  /** @returns its id; undefined where it is gone, or had finished */
  #fail(seq: number, key: Buffer): string | undefined {
    const job = readJob(this.#transaction, seq)
    if (job?.standing.state !== 'running') return undefined
    if (this.#wereRunning.has(seq)) this.#commit.after.tellCancelled(job)
    this.#commit.finish(job, 'fail', { error: lostError(key) })
    return job.spec.id
  }
}

const wordOf = { completed: 'completed', failed: 'failed', cancelled: 'been cancelled' } as const

function lostError(key: Buffer) {
  const message = `What was stored of the job is damaged (${describeKey(key)}) and set aside, so how far it came is not known.`
  return { code: 'RECORD_DAMAGED' as const, name: 'RecordDamaged', message }
}

function isSound(key: Buffer, value: Buffer): boolean {
  try {
    unseal(key, value)
    return true
  } catch (error) {
    if (error instanceof RecordDamaged) return false
    throw error
  }
}

function copyOf({ key, value }: Entry): Entry {
  return { key: Buffer.from(key), value: Buffer.from(value) }
}

function kindRange(letter: string): keys.KeyRange {
  const kind = letter.charCodeAt(0)
  return { start: Buffer.of(kind), end: Buffer.of(kind + 1) }
}
