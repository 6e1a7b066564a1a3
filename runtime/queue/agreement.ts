/**
 * Whether the entries of a store agree with each other: what follows from the records of jobs is there, and nothing else is. A
 * full look, in the order of the keys, that keeps only what it counts. The heads of store/keys.ts, commit.ts, key-groups.ts,
 * dependencies.ts and journal-entries.ts say the same in prose.
 *
 * That nothing else is there is seen by counting: each entry that should be there was found, so if there are more of its kind,
 * some belong to nothing. Places that depend on rate limits are looked at as far as they can be told without the configuration.
 */
import { type FinishedState, finishedStates, isFinished } from '../core/lifecycle.ts'
import { bytesOfDigest, keepsItself } from '../store/digest.ts'
import * as keys from '../store/keys.ts'
import {
  claimCodec,
  countersCodec,
  documentCodec,
  eventCodec,
  groupCodec,
  initialCounters,
  noTotals,
  parentCodec,
  type QueueTotals,
  reminderCodec,
  seqCodec,
  sharedStandingsCodec,
  throttleCodec
} from '../store/records.ts'
import type { Reader } from '../store/store.ts'
import { endsByItselfAtMs, needsRecord, readTotals } from './commit.ts'
import { findFinished, jobsOfFinishedEntry } from './finished-runs.ts'
import { concurrencyOf, documentScope, type GroupId, groupOf, holdsGroup } from './job-group.ts'
import { isMadeId } from './job-id.ts'
import { findReady, jobsOfReadyEntry } from './ready-runs.ts'
import { isSetAside } from './set-aside-records.ts'
import { jobsIn } from './spec-runs.ts'
import { hasJob, readJob, readyPlaceOf, type StoredJob } from './stored-job.ts'

/** What one look finds; `problems` holds the first of them. */
export interface Agreement {
  count: number
  problems: string[]
  /** False: the time was over. */
  complete: boolean
}

const problemsMax = 100
const jobsPerLookAtClock = 64

/** Every record must have passed its checksum, but for documents that are set aside. @param isOver asked now and then; true ends the look */
export function checkAgreement(reader: Reader, tag: string, isOver: () => boolean = () => false): Agreement {
  return new Look(reader, tag, isOver).all()
}

interface Group {
  id: GroupId
  held: number
  ready: Map<number, number>
  head: StoredJob | undefined
}

class Look {
  readonly #reader: Reader
  readonly #tag: string
  readonly #isOver: () => boolean
  readonly #found: Agreement = { count: 0, problems: [], complete: true }
  /** Entries that should be there, by the letter of their kind. */
  readonly #expected = new Map<string, number>()
  readonly #totals = new Map<number, QueueTotals>()
  readonly #groups = new Map<string, Group>()
  /** Entries of journals and signals, of jobs that have any. */
  readonly #journals = new Map<number, { entries: number; signals: number }>()
  #lastSeq = 0

  constructor(reader: Reader, tag: string, isOver: () => boolean) {
    this.#reader = reader
    this.#tag = tag
    this.#isOver = isOver
  }

  all(): Agreement {
    this.#countJournals()
    let jobs = 0
    for (const { seq } of jobsIn(this.#reader)) {
      if (++jobs % jobsPerLookAtClock === 0 && this.#isOver()) {
        this.#found.complete = false
        return this.#found
      }
      this.#job(readJob(this.#reader, seq)!)
    }
    for (const seq of this.#journals.keys()) this.#say(`the journal of job ${seq}, which is gone`)
    this.#checkQueues()
    this.#checkGroups()
    this.#checkLinks()
    this.#checkDocuments()
    this.#checkEvents()
    this.#checkCounters()
    this.#checkCounts()
    return this.#found
  }

  #say(problem: string): void {
    if (++this.#found.count <= problemsMax) this.#found.problems.push(problem)
  }

  /** @returns the value that is there */
  #expect(key: Buffer, what: string): Buffer | undefined {
    this.#expectOne(String.fromCharCode(key[0]!))
    const value = this.#reader.get(key)
    if (value === undefined) this.#say(`${what} is not there`)
    return value
  }

  #expectOne(letter: string): void {
    this.#expected.set(letter, (this.#expected.get(letter) ?? 0) + 1)
  }

  #of(letter: string): Iterable<{ key: Buffer; value: Buffer }> {
    return this.#reader.entries(kindRange(letter))
  }

  #countJournals(): void {
    for (const letter of ['L', 'H'] as const) {
      for (const key of this.#reader.keys(kindRange(letter))) {
        const seq = key.readUIntBE(1, 6)
        const counted = this.#journals.get(seq) ?? { entries: 0, signals: 0 }
        counted[letter === 'L' ? 'entries' : 'signals']++
        this.#journals.set(seq, counted)
      }
    }
  }

  #job(job: StoredJob): void {
    const { seq, spec, standing } = job
    const name = `job ${spec.id}`
    this.#lastSeq = Math.max(this.#lastSeq, seq)
    this.#totalsOf(spec.queue).counts[standing.state]++
    this.#place(job, name)
    if (job.isShared === true) this.#expectOne('s')
    else if (needsRecord(standing)) this.#expect(keys.standingKey(seq), `the standing of ${name}`)
    if (!isMadeId(spec.id, this.#tag)) {
      const key = keys.idKey(spec.id)
      const value = this.#expect(key, `the entry of the id of ${name}`)
      if (value !== undefined && seqCodec.decode(key, value) !== seq)
        this.#say(`the id of ${name} leads to another job`)
    }
    const endsAtMs = endsByItselfAtMs(job)
    if (endsAtMs !== undefined) this.#expect(keys.jobEndingKey(endsAtMs, seq), `the instant at which ${name} ends`)
    const { entries = 0, signals = 0 } = this.#journals.get(seq) ?? {}
    this.#journals.delete(seq)
    if (entries !== (standing.journal?.entries ?? 0) || signals !== (standing.journal?.signals ?? 0)) {
      this.#say(`the journal of ${name} holds another number of entries than its standing says`)
    }
  }

  #place(job: StoredJob, name: string): void {
    const { seq, spec, standing } = job
    const id = groupOf(spec)
    const group = id === undefined ? undefined : this.#groupOf(id)
    if (group !== undefined && holdsGroup(spec, standing)) group.held++
    switch (standing.state) {
      case 'scheduled':
        this.#expect(keys.scheduledKey(standing.dueAtMs ?? keys.noInstantMs, seq), `the due time of ${name}`)
        return
      case 'running':
        // One without a record of its own was found in the entry of its claim.
        if (job.claim !== undefined) this.#expectOne('x')
        else this.#expect(keys.runningKey(seq), `the entry of ${name}, which runs,`)
        return
      case 'ready':
        if (group === undefined) this.#ready(job, name)
        else this.#readyOf(group, job, name)
        return
      default:
        this.#finished(job, standing.state, name)
    }
  }

  #ready(job: StoredJob, name: string): void {
    this.#expectOne('R')
    const found = findReady(this.#reader, job.spec.queue, readyPlaceOf(job))
    if (found === undefined) this.#say(`the place of ${name} among the ready is not there`)
    else if ((found.value.length === 1) !== needsRecord(job.standing)) {
      this.#say(`the place of ${name} among the ready is wrong about its standing`)
    }
  }

  #readyOf(group: Group, job: StoredJob, name: string): void {
    const { spec } = job
    group.ready.set(spec.queue, (group.ready.get(spec.queue) ?? 0) + 1)
    const isFirst = group.head === undefined || comparePlaces(job, group.head) < 0
    if (isFirst) group.head = job
    const number = this.#numberOf(group.id)
    if (number === undefined) return
    const value = this.#expect(
      keys.keyedReadyKey(spec.queue, number, readyPlaceOf(job)),
      `the place of ${name} in its group`
    )
    const expected = Buffer.alloc(5)
    expected[0] = (needsRecord(job.standing) ? 1 : 0) | (isAgedOfDocument(job) ? 2 : 0)
    expected.writeUInt32BE(concurrencyOf(spec), 1)
    if (value?.equals(expected) === false) this.#say(`the place of ${name} in its group is wrong about it`)
  }

  #numberOf({ scope, name }: GroupId): number | undefined {
    const key = keys.groupKey(scope, name)
    const value = this.#reader.get(key)
    return value === undefined ? undefined : groupCodec.decode(key, value).number
  }

  #finished({ seq, spec, standing }: StoredJob, state: FinishedState, name: string): void {
    this.#expectOne('F')
    const digest = findFinished(this.#reader, state, spec.queue, standing.finishedAtMs!, seq)?.digest
    if (digest === undefined) {
      this.#say(`the place of ${name} among the ${state} is not there`)
      return
    }
    if (keepsItself(digest) !== (spec.rules?.keepMs?.[state] !== undefined) && digest.length > 0) {
      this.#say(`the place of ${name} among the ${state} is wrong about how long it is kept`)
    }
    if (keepsItself(digest)) return
    const retained = this.#totalsOf(spec.queue).retained[state]
    retained.count++
    retained.bytes += bytesOfDigest(digest)
  }

  #totalsOf(queue: number): QueueTotals {
    const totals = this.#totals.get(queue) ?? noTotals()
    this.#totals.set(queue, totals)
    return totals
  }

  #groupOf(id: GroupId): Group {
    const name = `${id.scope} ${id.name}`
    const group = this.#groups.get(name) ?? { id, held: 0, ready: new Map(), head: undefined }
    this.#groups.set(name, group)
    return group
  }

  #checkQueues(): void {
    for (const { key, value } of this.#of('C')) {
      this.#totalsOf(key.readUInt16BE(1))
      if (value.length === 0) this.#say('counts without a value')
    }
    for (const [queue, expected] of this.#totals) {
      if (!this.#reader.has(keys.queueKey(queue))) this.#say(`the name of queue ${queue} is not there`)
      const { counts, retained, starts } = readTotals(this.#reader, queue)
      if (JSON.stringify(counts) !== JSON.stringify(expected.counts)) {
        this.#say(`queue ${queue} counts ${JSON.stringify(counts)} instead of ${JSON.stringify(expected.counts)}`)
      }
      for (const state of finishedStates) {
        const { count, bytes } = retained[state]
        if (count === expected.retained[state].count && bytes === expected.retained[state].bytes) continue
        this.#say(`queue ${queue} is wrong about the ${state} jobs that its retention looks after`)
      }
      if (starts !== this.#startsOf(queue, 0)) this.#say(`queue ${queue} is wrong about the starts of its rate limit`)
    }
  }

  #startsOf(queue: number, group: number): number {
    let starts = 0
    for (const _ of this.#reader.keys(keys.startRange(queue, group))) starts++
    return starts
  }

  #checkGroups(): void {
    let places = 0
    for (const { key, value } of this.#of('K')) {
      const id = { scope: key.readUInt16BE(1), name: key.toString('utf8', 3) }
      const record = groupCodec.decode(key, value)
      const name = `the group of ${JSON.stringify(id.name)}`
      const group = this.#groups.get(`${id.scope} ${id.name}`)
      this.#groups.delete(`${id.scope} ${id.name}`)
      if (record.held !== (group?.held ?? 0)) this.#say(`${name} is wrong about its jobs under way`)
      const ready = id.scope === documentScope ? [...(group?.ready ?? [])] : []
      if (JSON.stringify(record.ready.toSorted()) !== JSON.stringify(ready.toSorted())) {
        this.#say(`${name} is wrong about its ready jobs`)
      }
      if (record.starts !== this.#startsOf(id.scope, record.number)) this.#say(`${name} is wrong about its starts`)
      if (record.place !== null) {
        places++
        const entry = this.#reader.get(record.place)
        if (entry?.toString('utf8') !== id.name) this.#say(`the place of ${name} is not there`)
      }
      const { head } = group ?? {}
      if (head === undefined) continue
      const limit = concurrencyOf(head.spec)
      const mayStart = limit === 0 || record.held < limit
      if (record.place === null && mayStart && record.starts === 0) this.#say(`${name} would never have its turn`)
      if (record.place !== null && !mayStart) this.#say(`${name} would have its turn too early`)
      if (record.place !== null && record.place[0] === rotationMark) {
        const place = readyPlaceOf(head)
        const rank = isAgedOfDocument(head) ? keys.agedRank : place.rank
        const expected = keys.rotationKey(head.spec.queue, { ...place, rank }, record.turn)
        if (!record.place.equals(expected)) this.#say(`${name} is in another place than its first job says`)
      }
    }
    for (const { id, held, head } of this.#groups.values()) {
      if (held > 0 || head !== undefined) this.#say(`the group of ${JSON.stringify(id.name)} is not there`)
    }
    if (places !== this.#count('T') + this.#count('B')) this.#say('places of groups that belong to nothing')
  }

  #checkLinks(): void {
    for (const { key, value } of this.#of('P')) {
      const child = key.readUIntBE(1, 6)
      const isOpen = parentCodec.decode(key, value).state === null
      const link = keys.childKey(keys.seqOfKey(key), child)
      if (hasJob(this.#reader, child) && this.#reader.has(link) !== isOpen) {
        this.#say(`job number ${child} waits for job number ${keys.seqOfKey(key)} in one place and not in the other`)
      }
    }
    for (const key of this.#reader.keys(kindRange('A'))) {
      const [parent, child] = [key.readUIntBE(1, 6), keys.seqOfKey(key)]
      if (!this.#reader.has(keys.parentKey(child, parent))) {
        this.#say(`job number ${parent} would tell job number ${child}, which does not wait for it`)
      }
      const job = readJob(this.#reader, parent)
      const isOver = job === undefined || isFinished(job.standing.state)
      if (isOver && !this.#reader.has(keys.untoldKey(parent)) && !this.#reader.has(keys.untoldKey(child))) {
        this.#say(`nobody would tell job number ${child} about job number ${parent}, which has ended`)
      }
    }
  }

  #checkDocuments(): void {
    const reminders = new Map<string, number>()
    for (const { key, value } of this.#of('r')) {
      const { nextAtMs } = reminderCodec.decode(key, value)
      const { reminder, ...id } = keys.reminderOfKey(key)
      const document = keys.documentKey(id).toString('hex')
      reminders.set(document, (reminders.get(document) ?? 0) + 1)
      this.#expect(keys.reminderEndingKey(nextAtMs, key), `the instant of the reminder ${JSON.stringify(reminder)}`)
    }
    for (const { key, value } of this.#of('O')) {
      const counted = reminders.get(key.toString('hex')) ?? 0
      reminders.delete(key.toString('hex'))
      if (isSetAside(this.#reader, key, value)) continue
      if (documentCodec.decode(key, value).reminders === counted) continue
      this.#say(`the document ${keys.documentOfKey(key).name} counts other reminders than it has`)
    }
    if (reminders.size > 0) this.#say('reminders of documents that are gone')
    for (const { key, value } of this.#of('D')) {
      const ending = keys.throttleEndingKey(throttleCodec.decode(key, value).untilMs, key.toString('utf8', 1))
      if (!this.#reader.has(ending)) this.#say(`the window of ${key.toString('utf8', 1)} would never end`)
    }
  }

  #checkEvents(): void {
    for (const { key, value } of this.#of('E')) {
      const { id, nextAtMs } = eventCodec.decode(key, value)
      if (nextAtMs !== null)
        this.#expect(keys.nextEventKey(nextAtMs, id), `the next instant of the scheduler event ${id}`)
    }
  }

  #checkCounters(): void {
    const key = keys.metaKey('counters')
    const value = this.#reader.get(key)
    const counters = value === undefined ? initialCounters : countersCodec.decode(key, value)
    if (this.#lastSeq >= counters.nextSeq) this.#say('the number of the next job is in use')
    if (counters.links !== this.#count('A')) this.#say('jobs that wait for others are counted wrongly')
    let revision = 0
    for (const { key: document, value: record } of this.#of('O')) {
      if (isSetAside(this.#reader, document, record)) continue
      revision = Math.max(revision, documentCodec.decode(document, record).revision)
    }
    for (const claim of this.#reader.keys(keys.claimRange)) {
      if (keys.seqOfKey(claim) >= counters.nextClaim) this.#say('the number of the next claim is in use')
    }
    if (revision >= counters.nextRevision) this.#say('the next revision of a document is in use')
  }

  /** Endings of windows may stay behind; those of jobs and reminders may not. */
  #checkCounts(): void {
    for (const letter of ['G', 'W', 'X', 'S', 'I', 'N'] as const) {
      this.#checkExtra(letter, this.#count(letter))
    }
    let ready = 0
    for (const { value } of this.#of('R')) ready += jobsOfReadyEntry(value)
    this.#checkExtra('R', ready)
    let claimed = 0
    for (const { key, value } of this.#of('x')) {
      const { runs } = claimCodec.decode(key, value)
      if (runs.length === 0) this.#say('a claim without jobs')
      for (let at = 1; at < runs.length; at += 2) claimed += runs[at]!
    }
    this.#checkExtra('x', claimed)
    let finished = 0
    for (const { value } of this.#of('F')) finished += jobsOfFinishedEntry(value)
    this.#checkExtra('F', finished)
    let shared = 0
    for (const { key, value } of this.#of('s')) shared += sharedStandingsCodec.decode(key, value).count
    this.#checkExtra('s', shared)
    let endings = 0
    for (const key of this.#reader.keys(keys.endingRange)) if (!('id' in keys.subjectOfEndingKey(key))) endings++
    this.#checkExtra('Z', endings)
  }

  /** @param found entries; of those that several jobs share, these jobs */
  #checkExtra(letter: string, found: number): void {
    const extra = found - (this.#expected.get(letter) ?? 0)
    if (extra > 0) this.#say(`${extra} entries of kind '${letter}' belong to nothing`)
  }

  #count(letter: string): number {
    let count = 0
    for (const _ of this.#reader.keys(kindRange(letter))) count++
    return count
  }
}

const rotationMark = keys.rotationRange(0).start[0]

function kindRange(letter: string): keys.KeyRange {
  const kind = letter.charCodeAt(0)
  return { start: Buffer.of(kind), end: Buffer.of(kind + 1) }
}

export function isAgedOfDocument({ spec }: StoredJob): boolean {
  return spec.rules?.document !== undefined && spec.rules.ageingMs !== undefined
}

function comparePlaces(one: StoredJob, other: StoredJob): number {
  return keys.readyKey(0, readyPlaceOf(one)).compare(keys.readyKey(0, readyPlaceOf(other)))
}
