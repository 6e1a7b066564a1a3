/**
 * Everything in the store that follows from other records is derived again: places, indexes, counts, groups, links. For the
 * rare case that a record was lost (set-aside.ts), where any of it may be wrong. What agreement.ts would find wrong is put
 * right; what is right is not written. A full look in the order of the keys, which keeps in memory only what it counts.
 *
 * The truth is in the records of jobs, their standings, events, reminders and documents. First what should be there is put
 * there; then, where there are more entries of a kind than should be, each is asked whether it belongs to something.
 */
import { type FinishedState, isFinished } from '../core/lifecycle.ts'
import { bytesOfDigest, keepsItself } from '../store/digest.ts'
import * as keys from '../store/keys.ts'
import {
  type Counters,
  claimCodec,
  countersCodec,
  documentCodec,
  eventCodec,
  groupCodec,
  initialCounters,
  type JournalTotals,
  journalCodec,
  type KeyGroup,
  noTotals,
  type ParentRecord,
  parentCodec,
  type QueueTotals,
  queueCodec,
  RecordDamaged,
  reminderCodec,
  seqCodec,
  sharedStandingsCodec,
  signalCodec,
  standingCodec,
  throttleCodec,
  totalsCodec
} from '../store/records.ts'
import type { Transaction } from '../store/store.ts'
import { isAgedOfDocument } from './agreement.ts'
import { digestOf, endsByItselfAtMs, needsRecord } from './commit.ts'
import { parentRecord } from './dependencies.ts'
import { FinishedRuns, findFinished, finishedPlaces, jobsOfFinishedEntry } from './finished-runs.ts'
import { concurrencyOf, documentScope, type GroupId, groupNamed, groupOf, holdsGroup } from './job-group.ts'
import { isMadeId } from './job-id.ts'
import { bytesOfEntry, emptyJournal } from './journal-entries.ts'
import { cutReady, findReady, jobsOfReadyEntry, readyPlaces } from './ready-runs.ts'
import { runsOf, seqsOfRuns } from './running-claims.ts'
import { jobsIn, jobsOfSpecRecord } from './spec-runs.ts'
import { hasJob, readJob, readyPlaceOf, type StoredJob } from './stored-job.ts'

export interface Derived {
  /** Entries that were put, changed or removed. */
  changes: number
  /** Those whose place in the rotation is to be derived again, each with a queue of its jobs. */
  groups: { id: GroupId; queue: number }[]
}

export interface DerivationRules {
  tag: string
  nowMs: number
  /** For a queue whose record is lost. */
  nameOf: (queue: number) => string
}

/** Every record that is read has passed its checksum, but for documents. Inside of a commit. */
export function deriveAgain(transaction: Transaction, rules: DerivationRules): Derived {
  return new Derivation(transaction, rules).all()
}

interface Group {
  id: GroupId
  queue: number
  held: number
  ready: Map<number, number>
  head: StoredJob | undefined
  /** As it is stored, or is to be. */
  record: KeyGroup
  isNew: boolean
}

const empty = Buffer.alloc(0)
/** What was given out is not known any more where the counters are lost; so many are never given. */
const numbersSkipped = 2 ** 32

class Derivation {
  readonly #transaction: Transaction
  readonly #rules: DerivationRules
  readonly #derived: Derived = { changes: 0, groups: [] }
  /** Nothing may be written while entries are walked through. */
  #later: (() => void)[] = []
  /** Entries that should be there, by the letter of their kind. */
  readonly #expected = new Map<string, number>()
  readonly #totals = new Map<number, QueueTotals>()
  readonly #groups = new Map<string, Group>()
  readonly #journals = new Map<number, { entries: number; signals: number }>()
  readonly #counters: Counters
  #lastSeq = 0

  constructor(transaction: Transaction, rules: DerivationRules) {
    this.#transaction = transaction
    this.#rules = rules
    this.#counters = this.#readCounters()
  }

  all(): Derived {
    this.#countJournals()
    for (const { seq } of jobsIn(this.#transaction)) this.#job(readJob(this.#transaction, seq)!)
    this.#write()
    this.#removeJobEntries()
    this.#putGroups()
    this.#removePlaces()
    this.#putTotals()
    this.#putLinks()
    this.#putDocuments()
    this.#putEvents()
    this.#removeEndings()
    this.#putCounters()
    return this.#derived
  }

  #put(key: Buffer, value: Buffer): void {
    if (this.#transaction.get(key)?.equals(value) === true) return
    this.#derived.changes++
    this.#later.push(() => this.#transaction.put(key, value))
  }

  #remove(key: Buffer): void {
    this.#derived.changes++
    const own = Buffer.from(key)
    this.#later.push(() => this.#transaction.remove(own))
  }

  #write(): void {
    for (const write of this.#later.splice(0)) write()
  }

  #want(key: Buffer, value: Buffer): void {
    this.#wantOne(String.fromCharCode(key[0]!))
    this.#put(key, value)
  }

  #wantOne(letter: string): void {
    this.#expected.set(letter, (this.#expected.get(letter) ?? 0) + 1)
  }

  #of(letter: string): Iterable<{ key: Buffer; value: Buffer }> {
    return this.#transaction.entries(kindRange(letter))
  }

  #readCounters(): Counters {
    const key = keys.metaKey('counters')
    const value = this.#transaction.get(key)
    if (value !== undefined) return countersCodec.decode(key, value)
    const counters = { ...initialCounters }
    for (const { key: queue } of this.#of('C'))
      counters.nextQueue = Math.max(counters.nextQueue, queue.readUInt16BE(1) + 1)
    for (const queue of this.#transaction.keys(keys.queueRange)) {
      counters.nextQueue = Math.max(counters.nextQueue, keys.numberOfQueueKey(queue) + 1)
    }
    for (const { key: last, value: jobs } of this.#transaction.entries({ ...keys.jobRange, reverse: true, limit: 1 })) {
      counters.nextSeq = keys.seqOfKey(last) + jobsOfSpecRecord(last, jobs) - 1 + numbersSkipped
    }
    for (const { key: group, value: record } of this.#of('K')) {
      counters.nextGroup = Math.max(counters.nextGroup, groupCodec.decode(group, record).number + numbersSkipped)
    }
    for (const last of this.#transaction.keys({ ...keys.claimRange, reverse: true, limit: 1 })) {
      counters.nextClaim = keys.seqOfKey(last)
    }
    counters.nextClaim += numbersSkipped
    for (const { key: id, value: record } of this.#of('O')) {
      const revision = readable(() => documentCodec.decode(id, record).revision) ?? 0
      counters.nextRevision = Math.max(counters.nextRevision, revision + numbersSkipped)
    }
    return counters
  }

  #countJournals(): void {
    for (const letter of ['L', 'H'] as const) {
      for (const key of this.#transaction.keys(kindRange(letter))) {
        const seq = key.readUIntBE(1, 6)
        const counted = this.#journals.get(seq) ?? { entries: 0, signals: 0 }
        counted[letter === 'L' ? 'entries' : 'signals']++
        this.#journals.set(seq, counted)
      }
    }
  }

  #job(stored: StoredJob): void {
    const job = this.#withJournal(stored)
    const { seq, spec, standing } = job
    this.#lastSeq = Math.max(this.#lastSeq, seq)
    this.#totalsOf(spec.queue).counts[standing.state]++
    this.#place(job, stored)
    if (stored.isShared === true) this.#inShared(job, stored)
    else if (needsRecord(standing)) this.#standing(keys.standingKey(seq), job, stored)
    if (!isMadeId(spec.id, this.#rules.tag)) this.#want(keys.idKey(spec.id), seqCodec.encode(keys.idKey(spec.id), seq))
    const endsAtMs = endsByItselfAtMs(job)
    if (endsAtMs !== undefined) this.#want(keys.jobEndingKey(endsAtMs, seq), empty)
    this.#window(job)
  }

  #withJournal(job: StoredJob): StoredJob {
    const { standing } = job
    const { entries, signals } = this.#journals.get(job.seq) ?? { entries: 0, signals: 0 }
    const journal = standing.journal ?? emptyJournal
    if (journal.entries === entries && journal.signals === signals) return job
    return { ...job, standing: { ...standing, journal: this.#journalOf(job.seq, journal) } }
  }

  /** Numbers that were given are not given again. */
  #journalOf(seq: number, { nextSignal, nextOrder }: JournalTotals): JournalTotals {
    const totals = { entries: 0, bytes: 0, signals: 0, nextSignal, nextOrder }
    for (const { key, value } of this.#transaction.entries(keys.journalRange(seq))) {
      const entry = journalCodec.decode(key, value)
      totals.entries++
      totals.bytes += bytesOfEntry(entry)
      totals.nextOrder = Math.max(totals.nextOrder, (entry.order ?? -1) + 1)
    }
    for (const { key, value } of this.#transaction.entries(keys.signalRange(seq))) {
      totals.signals++
      totals.bytes += Buffer.byteLength(signalCodec.decode(key, value).payload)
      totals.nextSignal = Math.max(totals.nextSignal, keys.seqOfKey(key) + 1)
    }
    return totals
  }

  /** Written only where it is another one: one of an older format stays as it is. */
  #standing(key: Buffer, job: StoredJob, stored: StoredJob): void {
    const before = this.#transaction.get(key)
    this.#want(key, job === stored && before !== undefined ? before : standingCodec.encode(key, job.standing))
  }

  /** As of {@link Derivation.#inClaim}. */
  #inShared(job: StoredJob, stored: StoredJob): void {
    if (job === stored) {
      this.#wantOne('s')
      return
    }
    const key = keys.standingKey(job.seq)
    this.#wantOne('S')
    this.#derived.changes++
    this.#later.push(() => {
      this.#cutFinished((runs) => runs.leaveStandings(job.seq))
      this.#transaction.put(key, standingCodec.encode(key, job.standing))
    })
  }

  #cutFinished(cut: (runs: FinishedRuns) => void): void {
    const runs = new FinishedRuns(this.#transaction)
    cut(runs)
    runs.flush()
  }

  #place(job: StoredJob, stored: StoredJob): void {
    const { seq, spec, standing } = job
    const id = groupOf(spec)
    const group = id === undefined ? undefined : this.#groupOf(id, spec.queue)
    if (group !== undefined && holdsGroup(spec, standing)) group.held++
    switch (standing.state) {
      case 'scheduled':
        this.#want(keys.scheduledKey(standing.dueAtMs ?? keys.noInstantMs, seq), empty)
        return
      case 'running':
        if (job.claim === undefined) this.#standing(keys.runningKey(seq), job, stored)
        else this.#inClaim(job.claim, job, stored)
        return
      case 'ready':
        if (group === undefined) this.#ready(job)
        else this.#readyOf(group, job)
        return
      default:
        this.#finished(job, standing.state)
    }
  }

  #ready(job: StoredJob): void {
    const hasStanding = needsRecord(job.standing)
    const { queue } = job.spec
    const place = readyPlaceOf(job)
    this.#wantOne('R')
    const found = findReady(this.#transaction, queue, place)
    if (found !== undefined && (found.value.length === 1) === hasStanding) return
    this.#derived.changes++
    this.#later.push(() => {
      if (found !== undefined && found.count > 1) cutReady(this.#transaction, queue, place)
      this.#transaction.put(readyKeyOf(job), hasStanding ? Buffer.of(1) : empty)
    })
  }

  /** One that has got a journal, as far as its entries say, has a record of its own from now on. */
  #inClaim(claim: number, job: StoredJob, stored: StoredJob): void {
    if (job === stored) {
      this.#wantOne('x')
      return
    }
    this.#wantOne('X')
    const key = keys.runningKey(job.seq)
    this.#derived.changes++
    this.#later.push(() => {
      this.#removeFromClaim(keys.claimKey(claim), (seq) => seq !== job.seq)
      this.#transaction.put(key, standingCodec.encode(key, job.standing))
    })
  }

  #removeFromClaim(key: Buffer, stays: (seq: number) => boolean): void {
    const value = this.#transaction.get(key)
    if (value === undefined) return
    const { startedAtMs, runs } = claimCodec.decode(key, value)
    const seqs = [...seqsOfRuns(runs)].filter(stays)
    if (seqs.length === 0) this.#transaction.remove(key)
    else this.#transaction.put(key, claimCodec.encode(key, { startedAtMs, runs: runsOf(seqs) }))
  }

  #readyOf(group: Group, job: StoredJob): void {
    const { spec } = job
    group.ready.set(spec.queue, (group.ready.get(spec.queue) ?? 0) + 1)
    if (group.head === undefined || comparePlaces(job, group.head) < 0) group.head = job
    const value = Buffer.alloc(5)
    value[0] = (needsRecord(job.standing) ? 1 : 0) | (isAgedOfDocument(job) ? 2 : 0)
    value.writeUInt32BE(concurrencyOf(spec), 1)
    this.#want(keys.keyedReadyKey(spec.queue, group.record.number, readyPlaceOf(job)), value)
  }

  #finished(job: StoredJob, state: FinishedState): void {
    const { seq, spec, standing } = job
    const found = findFinished(this.#transaction, state, spec.queue, standing.finishedAtMs!, seq)
    const before = found?.digest
    const keeps = spec.rules?.keepMs?.[state] !== undefined
    const isRight = before !== undefined && (before.length === 0 || keepsItself(before) === keeps)
    const recordBytes = this.#transaction.get(keys.standingKey(seq))?.length ?? standing.result?.length ?? 0
    const digest = isRight ? before : digestOf(job, state, recordBytes, this.#rules.tag)
    this.#wantOne('F')
    if (!isRight) {
      this.#derived.changes++
      this.#later.push(() => {
        this.#cutFinished((runs) => runs.takePlace(state, spec.queue, standing.finishedAtMs!, seq))
        this.#transaction.put(finishedKeyOf(job, state), digest)
      })
    }
    if (keepsItself(digest)) return
    const retained = this.#totalsOf(job.spec.queue).retained[state]
    retained.count++
    retained.bytes += bytesOfDigest(digest)
  }

  /** In which no second job of its id is made. */
  #window({ spec }: StoredJob): void {
    const untilMs = spec.rules?.throttledUntilMs ?? 0
    const key = keys.throttleKey(spec.id)
    if (untilMs <= this.#rules.nowMs || this.#transaction.has(key)) return
    this.#put(key, throttleCodec.encode(key, { untilMs, state: null }))
    this.#put(keys.throttleEndingKey(untilMs, spec.id), empty)
  }

  #totalsOf(queue: number): QueueTotals {
    const totals = this.#totals.get(queue) ?? noTotals()
    this.#totals.set(queue, totals)
    return totals
  }

  #groupOf(id: GroupId, queue: number): Group {
    const name = nameOf(id)
    const group = this.#groups.get(name) ?? this.#readGroup(id, queue)
    this.#groups.set(name, group)
    return group
  }

  /** One whose record is lost begins anew, also with the window of its rate. */
  #readGroup(id: GroupId, queue: number): Group {
    const key = keys.groupKey(id.scope, id.name)
    const value = this.#transaction.get(key)
    const turnOf = id.scope === documentScope ? queue : 0
    const fresh = () => ({
      number: this.#counters.nextGroup++,
      held: 0,
      turn: 0,
      starts: 0,
      place: null,
      ready: [],
      turnOf
    })
    const record = value === undefined ? fresh() : groupCodec.decode(key, value)
    return { id, queue, held: 0, ready: new Map(), head: undefined, record, isNew: value === undefined }
  }

  /** Where there are more entries of a kind than should be. */
  #removeExtra(letter: string, belongs: (key: Buffer, value: Buffer) => boolean): void {
    if (count(this.#transaction.keys(kindRange(letter))) > (this.#expected.get(letter) ?? 0)) {
      for (const { key, value } of this.#of(letter)) if (!belongs(key, value)) this.#remove(key)
    }
    this.#write()
  }

  #removeExtraReady(): void {
    let entries = 0
    for (const { value } of this.#of('R')) entries += jobsOfReadyEntry(value)
    if (entries <= (this.#expected.get('R') ?? 0)) return
    for (const { key, seq } of readyPlaces(this.#transaction, kindRange('R'))) {
      const found = readJob(this.#transaction, seq)
      const isReady = found?.standing.state === 'ready' && groupOf(found.spec) === undefined
      if (isReady && readyKeyOf(found).equals(key)) continue
      const [queue, place] = [keys.queueOfReadyKey(key), keys.placeOfReadyKey(key)]
      this.#derived.changes++
      this.#later.push(() => {
        const entry = findReady(this.#transaction, queue, place)
        if (entry !== undefined && entry.count > 1) cutReady(this.#transaction, queue, place)
        else this.#transaction.remove(keys.readyKey(queue, place))
      })
    }
    this.#write()
  }

  /** A job is found in one place: where it has a record, or another claim comes first, it is not in this one. */
  #removeExtraClaimed(): void {
    let entries = 0
    for (const { key, value } of this.#of('x')) entries += [...seqsOfRuns(claimCodec.decode(key, value).runs)].length
    if (entries <= (this.#expected.get('x') ?? 0)) return
    for (const { key: found, value } of this.#of('x')) {
      const key = Buffer.from(found)
      const isHeld = (seq: number) => readJob(this.#transaction, seq)?.claim === keys.seqOfKey(key)
      const { runs } = claimCodec.decode(key, value)
      const seqs = new Set([...seqsOfRuns(runs)].filter(isHeld))
      this.#derived.changes++
      this.#later.push(() => this.#removeFromClaim(key, (seq) => seqs.has(seq)))
    }
    this.#write()
  }

  /** Of those that stand for several, the part that belongs to nothing. */
  #removeExtraFinished(): void {
    let entries = 0
    for (const { value } of this.#of('F')) entries += jobsOfFinishedEntry(value)
    if (entries <= (this.#expected.get('F') ?? 0)) return
    for (const { key, seq } of finishedPlaces(this.#transaction, kindRange('F'))) {
      const found = readJob(this.#transaction, seq)
      const isOver = found !== undefined && isFinished(found.standing.state)
      if (isOver && finishedKeyOf(found, found.standing.state as FinishedState).equals(key)) continue
      const [state, queue] = [keys.stateOfFinishedKey(key), keys.queueOfFinishedKey(key)]
      const atMs = keys.instantOfFinishedKey(key)
      this.#derived.changes++
      this.#later.push(() => this.#cutFinished((runs) => runs.takePlace(state, queue, atMs, seq)))
    }
    this.#write()
  }

  #removeExtraStandings(): void {
    let entries = 0
    for (const { key, value } of this.#of('s')) entries += sharedStandingsCodec.decode(key, value).count
    if (entries <= (this.#expected.get('s') ?? 0)) return
    for (const { key, value } of this.#of('s')) {
      const first = keys.seqOfKey(key)
      const { count } = sharedStandingsCodec.decode(key, value)
      for (let seq = first; seq < first + count; seq++) {
        if (readJob(this.#transaction, seq)?.isShared === true) continue
        this.#derived.changes++
        this.#later.push(() => this.#cutFinished((runs) => runs.leaveStandings(seq)))
      }
    }
    this.#write()
  }

  #removeJobEntries(): void {
    const job = (seq: number) => readJob(this.#transaction, seq)
    this.#removeExtraReady()
    this.#removeExtraClaimed()
    this.#removeExtraFinished()
    this.#removeExtraStandings()
    this.#removeExtra('G', (key) => {
      const found = job(keys.seqOfReadyKey(key))
      const id = found === undefined ? undefined : groupOf(found.spec)
      if (found?.standing.state !== 'ready' || id === undefined) return false
      const { number } = this.#groupOf(id, found.spec.queue).record
      return keys.keyedReadyKey(found.spec.queue, number, readyPlaceOf(found)).equals(key)
    })
    this.#removeExtra('W', (key) => {
      const found = job(keys.seqOfKey(key))
      if (found?.standing.state !== 'scheduled') return false
      return keys.dueOfScheduledKey(key) === (found.standing.dueAtMs ?? keys.noInstantMs)
    })
    this.#removeExtra('X', (key) => {
      const found = job(keys.seqOfKey(key))
      return found?.standing.state === 'running' && found.claim === undefined
    })
    this.#removeExtra('S', (key) => {
      const found = job(keys.seqOfKey(key))
      return found !== undefined && needsRecord(found.standing)
    })
    this.#removeExtra('I', (key, value) => job(seqCodec.decode(key, value))?.spec.id === key.toString('utf8', 1))
  }

  #putGroups(): void {
    const numbers = new Set<string>(['0'])
    for (const { key, value } of this.#of('K')) {
      const id = { scope: key.readUInt16BE(1), name: key.toString('utf8', 3) }
      const record = groupCodec.decode(key, value)
      const starts = count(this.#transaction.keys(keys.startRange(id.scope, record.number)))
      const group = this.#groups.get(nameOf(id))
      if (group !== undefined ? group.held === 0 && group.head === undefined && starts === 0 : starts === 0) {
        this.#remove(key)
        continue
      }
      numbers.add(`${id.scope} ${record.number}`)
      const ready = id.scope === documentScope ? [...(group?.ready ?? [])] : []
      if (!this.#isRight(id, record, starts, ready, group)) {
        this.#putGroup(id, group?.queue ?? id.scope, { ...record, held: group?.held ?? 0, starts, ready, place: null })
      }
    }
    for (const { id, queue, held, ready, head, record, isNew } of this.#groups.values()) {
      if (!isNew || (held === 0 && head === undefined)) continue
      numbers.add(`${id.scope} ${record.number}`)
      this.#putGroup(id, queue, { ...record, held, ready: id.scope === documentScope ? [...ready] : [] })
    }
    for (const { key } of this.#of('V')) {
      const [queue, group] = [key.readUInt16BE(1), key.readUIntBE(3, 6)]
      if (group !== 0 && !numbers.has(`${queue} ${group}`)) this.#remove(key)
    }
    this.#write()
  }

  #isRight(id: GroupId, record: KeyGroup, starts: number, ready: KeyGroup['ready'], group: Group | undefined): boolean {
    const { place, held } = record
    const isCounted = held === (group?.held ?? 0) && record.starts === starts
    if (!isCounted || JSON.stringify(record.ready.toSorted()) !== JSON.stringify(ready.toSorted())) return false
    if (place !== null && this.#transaction.get(place)?.toString('utf8') !== id.name) return false
    const isInRotation = place !== null && place[0] === rotationMark
    const head = group?.head
    if (head === undefined) return !isInRotation
    const limit = concurrencyOf(head.spec)
    const mayStart = limit === 0 || held < limit
    if (place === null) return !mayStart
    if (!mayStart) return false
    if (!isInRotation) return true
    const at = readyPlaceOf(head)
    const rank = isAgedOfDocument(head) ? keys.agedRank : at.rank
    return place.equals(keys.rotationKey(head.spec.queue, { ...at, rank }, record.turn))
  }

  #putGroup(id: GroupId, queue: number, record: KeyGroup): void {
    const key = keys.groupKey(id.scope, id.name)
    this.#put(key, groupCodec.encode(key, record))
    this.#derived.groups.push({ id, queue })
  }

  /** Places of groups that say another one, or are gone. */
  #removePlaces(): void {
    for (const letter of ['T', 'B'] as const) {
      for (const { key, value } of this.#of(letter)) {
        const id = groupNamed(key.readUInt16BE(1), value.toString('utf8'))
        const record = keys.groupKey(id.scope, id.name)
        const group = this.#transaction.get(record)
        if (group === undefined || groupCodec.decode(record, group).place?.equals(key) !== true) this.#remove(key)
      }
    }
    this.#write()
  }

  #putTotals(): void {
    for (const { key } of this.#of('C')) this.#totalsOf(key.readUInt16BE(1))
    for (const key of this.#transaction.keys(keys.queueRange)) this.#totalsOf(keys.numberOfQueueKey(key))
    for (const [queue, { counts, retained }] of this.#totals) {
      const key = keys.countsKey(queue)
      const value = this.#transaction.get(key)
      const turn = value === undefined ? this.#lastTurnOf(queue) : 0
      const before = value === undefined ? { ...noTotals(), turn, unkeyedTurn: turn } : totalsCodec.decode(key, value)
      const starts = count(this.#transaction.keys(keys.startRange(queue, 0)))
      this.#put(key, totalsCodec.encode(key, { ...before, counts, retained, starts }))
      this.#counters.nextQueue = Math.max(this.#counters.nextQueue, queue + 1)
      const record = keys.queueKey(queue)
      if (this.#transaction.has(record)) continue
      const name = this.#rules.nameOf(queue)
      this.#put(record, queueCodec.encode(record, { name, paused: false, pausedUntilMs: null }))
    }
    this.#write()
  }

  #lastTurnOf(queue: number): number {
    let turn = 0
    for (const { key, value } of this.#of('K')) {
      const group = groupCodec.decode(key, value)
      if (key.readUInt16BE(1) === queue || group.turnOf === queue) turn = Math.max(turn, group.turn)
    }
    for (const { key } of this.#of('V')) {
      if (key.readUInt16BE(1) === queue) turn = Math.max(turn, keys.turnOfStartKey(key))
    }
    return turn
  }

  #putLinks(): void {
    const exists = (seq: number) => hasJob(this.#transaction, seq)
    const isUntold = (seq: number) => this.#transaction.has(keys.untoldKey(seq))
    for (const { key, value } of this.#of('P')) {
      const [child, parent] = [key.readUIntBE(1, 6), keys.seqOfKey(key)]
      // Of a forgotten job a marker says that its links are still to be removed.
      if (!exists(child)) {
        if (!isUntold(child)) this.#remove(key)
      } else if (parentCodec.decode(key, value).state === null) this.#put(keys.childKey(parent, child), empty)
    }
    this.#write()
    for (const { key } of this.#of('A')) {
      const child = keys.seqOfKey(key)
      const link = keys.parentKey(child, key.readUIntBE(1, 6))
      const value = this.#transaction.get(link)
      const isOpen = value !== undefined && parentCodec.decode(link, value).state === null
      if (!isOpen || (!exists(child) && !isUntold(child))) this.#remove(key)
    }
    this.#write()
    let links = 0
    for (const { key } of this.#of('A')) {
      links++
      const [parent, child] = [key.readUIntBE(1, 6), keys.seqOfKey(key)]
      const job = readJob(this.#transaction, parent)
      if ((job !== undefined && !isFinished(job.standing.state)) || isUntold(parent)) continue
      const untold = keys.untoldKey(parent)
      this.#put(
        untold,
        parentCodec.encode(untold, job === undefined ? this.#lostParent(parent, child) : parentRecord(job))
      )
    }
    this.#write()
    this.#counters.links = links
  }

  /** Its end is not known, so it is told as the one that lets nothing go on by mistake. */
  #lostParent(parent: number, child: number): ParentRecord {
    const key = keys.parentKey(child, parent)
    const { id } = parentCodec.decode(key, this.#transaction.get(key)!)
    return { id, state: 'failed', result: null, anyEnd: false }
  }

  #putDocuments(): void {
    const reminders = new Map<string, number>()
    for (const { key, value } of this.#of('r')) {
      const document = keys.documentKey(keys.reminderOfKey(key))
      if (!this.#transaction.has(document)) {
        this.#remove(key)
        continue
      }
      const name = document.toString('hex')
      reminders.set(name, (reminders.get(name) ?? 0) + 1)
      this.#want(keys.reminderEndingKey(reminderCodec.decode(key, value).nextAtMs, key), empty)
    }
    for (const { key, value } of this.#of('O')) {
      const record = readable(() => documentCodec.decode(key, value))
      if (record === undefined) continue
      this.#counters.nextRevision = Math.max(this.#counters.nextRevision, record.revision + 1)
      const counted = reminders.get(key.toString('hex')) ?? 0
      if (counted !== record.reminders) {
        const own = Buffer.from(key)
        this.#put(own, documentCodec.encode(own, { ...record, reminders: counted }))
      }
    }
    for (const { key, value } of this.#of('D')) {
      this.#put(keys.throttleEndingKey(throttleCodec.decode(key, value).untilMs, key.toString('utf8', 1)), empty)
    }
    this.#write()
  }

  #putEvents(): void {
    for (const { key, value } of this.#of('E')) {
      const { id, nextAtMs } = eventCodec.decode(key, value)
      if (nextAtMs !== null) this.#want(keys.nextEventKey(nextAtMs, id), empty)
    }
    this.#write()
    this.#removeExtra('N', (key) => {
      const event = keys.eventKey(keys.idOfNextEventKey(key))
      const value = this.#transaction.get(event)
      return value !== undefined && eventCodec.decode(event, value).nextAtMs === keys.nextOfNextEventKey(key)
    })
  }

  /** Those of windows may stay behind. */
  #removeEndings(): void {
    this.#removeExtra('Z', (key) => {
      const subject = keys.subjectOfEndingKey(key)
      if ('id' in subject) return true
      const atMs = keys.instantOfEndingKey(key)
      if ('seq' in subject) {
        const job = readJob(this.#transaction, subject.seq)
        return job !== undefined && endsByItselfAtMs(job) === atMs
      }
      const value = this.#transaction.get(subject.reminder)
      return value !== undefined && reminderCodec.decode(subject.reminder, value).nextAtMs === atMs
    })
  }

  #putCounters(): void {
    const key = keys.metaKey('counters')
    this.#counters.nextSeq = Math.max(this.#counters.nextSeq, this.#lastSeq + 1)
    for (const last of this.#transaction.keys({ ...keys.claimRange, reverse: true, limit: 1 })) {
      this.#counters.nextClaim = Math.max(this.#counters.nextClaim, keys.seqOfKey(last) + 1)
    }
    this.#put(key, countersCodec.encode(key, this.#counters))
    this.#write()
  }
}

const rotationMark = keys.rotationRange(0).start[0]

function readyKeyOf(job: StoredJob): Buffer {
  return keys.readyKey(job.spec.queue, readyPlaceOf(job))
}

function finishedKeyOf({ seq, spec, standing }: StoredJob, state: FinishedState): Buffer {
  return keys.finishedKey(state, spec.queue, standing.finishedAtMs!, seq)
}

function comparePlaces(one: StoredJob, other: StoredJob): number {
  return keys.readyKey(0, readyPlaceOf(one)).compare(keys.readyKey(0, readyPlaceOf(other)))
}

function kindRange(letter: string): keys.KeyRange {
  const kind = letter.charCodeAt(0)
  return { start: Buffer.of(kind), end: Buffer.of(kind + 1) }
}

function count(keysOf: Iterable<unknown>): number {
  let counted = 0
  for (const _ of keysOf) counted++
  return counted
}

function nameOf({ scope, name }: GroupId): string {
  return `${scope} ${name}`
}

/** A damaged document stays where it is. */
function readable<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof RecordDamaged) return undefined
    throw error
  }
}
