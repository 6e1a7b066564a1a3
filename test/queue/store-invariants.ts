/**
 * What must hold between the entries of a store after every commit, worked out from the jobs alone, over a full scan. The
 * heads of store/keys.ts, queue/commit.ts, queue/key-groups.ts, queue/dependencies.ts and
 * queue/reminders.ts say the same in prose.
 */
import assert from 'node:assert/strict'
import type { QueueConfig } from '../../runtime/core/config.ts'
import {
  type FinishedState,
  finishedStates,
  isFinished,
  type JobState,
  jobStates
} from '../../runtime/core/lifecycle.ts'
import { checkAgreement } from '../../runtime/queue/agreement.ts'
import { finishedRunMax } from '../../runtime/queue/finished-runs.ts'
import { emptyJournal } from '../../runtime/queue/journal-entries.ts'
import { readyRunMax } from '../../runtime/queue/ready-runs.ts'
import { specRunMax } from '../../runtime/queue/spec-runs.ts'
import { bytesOfDigest, digestBytes, keepsItself } from '../../runtime/store/digest.ts'
import * as keys from '../../runtime/store/keys.ts'
import {
  claimCodec,
  countersCodec,
  documentCodec,
  groupCodec,
  initialCounters,
  initialStanding,
  isSharedSpecs,
  type JobSpec,
  type JournalTotals,
  jobRecordCodec,
  journalCodec,
  type KeyGroup,
  noTotals,
  parentCodec,
  type QueueTotals,
  queueCodec,
  reminderCodec,
  type Standing,
  seqCodec,
  sharedStandingsCodec,
  signalCodec,
  standingCodec,
  throttleCodec,
  totalsCodec
} from '../../runtime/store/records.ts'
import type { Reader } from '../../runtime/store/store.ts'
import { type Entry, nameOf, StoreSnapshot } from './store-snapshot.ts'

interface Job {
  seq: number
  /** An entry of its claim holds it. */
  isClaimed: boolean
  spec: JobSpec
  standing: Standing
  hasRecord: boolean
}

interface Group {
  /** The queue of a key; 0 of a document, which has jobs in any queue. */
  scope: number
  name: string
  record: KeyGroup
}

/** Every entry, by the letter of its kind. */
export function entriesByKind(reader: Reader): Map<string, Entry[]> {
  return new StoreSnapshot(reader).kinds
}

export function assertInvariants(reader: Reader, tag: string, configs: ReadonlyMap<string, QueueConfig>): void {
  const snapshot = new StoreSnapshot(reader)
  new Scan(snapshot, tag, configs).check()
  // What `runtime verify` looks for is a part of it.
  assert.deepEqual(checkAgreement(snapshot, tag).problems, [])
}

class Scan {
  readonly #snapshot: StoreSnapshot
  readonly #tag: string
  readonly #configs: ReadonlyMap<string, QueueConfig>
  readonly #jobs = new Map<number, Job>()
  readonly #queues = new Map<number, string>()
  /** Jobs that claims hold, with the time of that. */
  readonly #claimed = new Map<number, number>()
  /** Standings in entries that several jobs share. */
  readonly #shared = new Map<number, Pick<Standing, 'startedAtMs' | 'finishedAtMs' | 'result'>>()
  readonly #groups = new Map<string, Group>()

  constructor(snapshot: StoreSnapshot, tag: string, configs: ReadonlyMap<string, QueueConfig>) {
    this.#snapshot = snapshot
    this.#tag = tag
    this.#configs = configs
    for (const { key, value } of this.#of('Q')) {
      this.#queues.set(keys.numberOfQueueKey(key), queueCodec.decode(key, value).name)
    }
    for (const { key, value } of this.#of('x')) {
      const { startedAtMs, runs } = claimCodec.decode(key, value)
      assert(runs.length > 0, 'a claim without jobs')
      for (let at = 0, next = 0; at < runs.length; at += 2) {
        const [first, count] = [runs[at]!, runs[at + 1]!]
        assert(first > next || at === 0, 'runs of a claim are in order, and do not touch')
        next = first + count
        for (let seq = first; seq < next; seq++) {
          assert(!this.#claimed.has(seq), `two claims hold job ${seq}`)
          this.#claimed.set(seq, startedAtMs)
        }
      }
    }
    for (const { key, value } of this.#of('s')) {
      const { startedAtMs, finishedAtMs, count, results } = sharedStandingsCodec.decode(key, value)
      assert(count > 0 && count <= finishedRunMax, `standings of ${count} jobs`)
      const lines = results === '' ? Array.from({ length: count }, () => '') : results.split('\n')
      assert.equal(lines.length, count, 'results of shared standings')
      for (const [at, line] of lines.entries()) {
        const seq = keys.seqOfKey(key) + at
        assert(!this.#shared.has(seq), `two entries hold the standing of job ${seq}`)
        this.#shared.set(seq, { startedAtMs, finishedAtMs, result: line === '' ? null : line })
      }
    }
    for (const [seq, spec] of this.#specs()) {
      const found = [keys.standingKey(seq), keys.runningKey(seq)].filter((each) => this.#has(each))
      assert(found.length <= 1, `job ${seq} has two standings`)
      const due = spec.runAtMs !== null && this.#has(keys.scheduledKey(spec.runAtMs, seq))
      const startedAtMs = this.#claimed.get(seq)
      const isClaimed = startedAtMs !== undefined
      assert(!(isClaimed && (due || found.length > 0)), `job ${seq} is held by a claim and is elsewhere`)
      const initial = initialStanding(spec, due ? 'scheduled' : 'ready')
      const shared = this.#shared.get(seq)
      assert(
        shared === undefined || !(due || isClaimed || found.length > 0),
        `job ${seq} shares its standing and has another`
      )
      const standing =
        found[0] !== undefined
          ? standingCodec.decode(found[0], this.#snapshot.get(found[0])!)
          : isClaimed
            ? { ...initial, state: 'running' as const, made: 1, startedAtMs }
            : shared !== undefined
              ? { ...initial, state: 'completed' as const, made: 1, dueAtMs: null, ...shared }
              : initial
      const hasRecord = shared !== undefined || (found.length === 1 && standing.state !== 'running')
      this.#jobs.set(seq, { seq, spec, standing, hasRecord, isClaimed })
    }
    for (const { key, value } of this.#of('K')) {
      const group = { scope: key.readUInt16BE(1), name: key.toString('utf8', 3), record: groupCodec.decode(key, value) }
      this.#groups.set(`${group.scope} ${group.name}`, group)
    }
  }

  /** Of each job, also of those that share a record. */
  #specs(): Map<number, JobSpec> {
    const specs = new Map<number, JobSpec>()
    const add = (seq: number, spec: JobSpec) => {
      assert(!specs.has(seq), `two records hold what was asked for of job ${seq}`)
      specs.set(seq, spec)
    }
    for (const { key, value } of this.#of('J')) {
      const first = keys.seqOfKey(key)
      const record = jobRecordCodec.decode(key, value)
      if (!isSharedSpecs(record)) {
        add(first, record)
        continue
      }
      const { count, tag, kinds, kindOf, runAtMs, params } = record
      const lines = params.split('\n')
      assert(count > 1 && count <= specRunMax, `what was asked for of ${count} jobs`)
      assert.equal(tag, this.#tag)
      assert.equal(lines.length, count, 'params of jobs that share a record')
      for (const each of [kindOf, runAtMs]) assert(each.length === 0 || each.length === count)
      for (const [at, line] of lines.entries()) {
        const id = `${this.#tag}-${(first + at).toString(36)}`
        const kind = kinds[kindOf[at] ?? 0]!
        add(first + at, { ...kind, id, params: line, runAtMs: runAtMs[at] ?? null, event: null, rules: null })
      }
    }
    return specs
  }

  check(): void {
    this.#checkRecords()
    this.#checkPlaces()
    this.#checkTotals()
    this.#checkGroups()
    this.#checkStarts()
    this.#checkEndings()
    this.#checkLinks()
    this.#checkDocuments()
    this.#checkJournals()
  }

  #of(kind: string): Entry[] {
    return this.#snapshot.kinds.get(kind) ?? []
  }

  #has(key: Buffer): boolean {
    return this.#snapshot.has(key)
  }

  /** The store holds, of this kind, these keys and no others. */
  #holds(kind: string, expected: Buffer[], what: string): void {
    assertSameKeys(this.#of(kind), expected, `${what} ('${kind}')`)
  }

  #checkRecords(): void {
    const jobs = [...this.#jobs.values()]
    for (const { seq, standing, hasRecord } of jobs) {
      const { state, startedAtMs, dependencies, journal } = standing
      // Neither attempts nor crashes tell: a retry after crashes counts both from nothing.
      const asks = startedAtMs !== null || dependencies !== null || journal !== null
      const needs = state !== 'running' && (asks || isFinished(state))
      assert.equal(hasRecord, needs, `job ${seq}, ${state}: a record of its standing`)
    }
    this.#holds(
      'S',
      jobs.filter(({ seq, hasRecord }) => hasRecord && !this.#shared.has(seq)).map(({ seq }) => keys.standingKey(seq)),
      'standings'
    )
    for (const seq of this.#shared.keys()) assert(this.#jobs.has(seq), `job ${seq}, which shares its standing, is gone`)
    const chosen = jobs.filter(({ seq, spec }) => spec.id !== `${this.#tag}-${seq.toString(36)}`)
    this.#holds(
      'I',
      chosen.map(({ spec }) => keys.idKey(spec.id)),
      'chosen ids'
    )
    for (const { key, value } of this.#of('I')) {
      const job = this.#jobs.get(seqCodec.decode(key, value))
      assert.equal(job?.spec.id, key.toString('utf8', 1), 'an id leads to its job')
    }
  }

  #in(...states: JobState[]): Job[] {
    return [...this.#jobs.values()].filter(({ standing }) => states.includes(standing.state))
  }

  #groupOf(job: Job): Group | undefined {
    return this.#groups.get(groupNameOf(job)!)
  }

  #checkPlaces(): void {
    this.#holds(
      'W',
      this.#in('scheduled').map(({ seq, standing }) => keys.scheduledKey(standing.dueAtMs ?? keys.noInstantMs, seq)),
      'scheduled'
    )
    this.#holds(
      'X',
      this.#in('running')
        .filter(({ isClaimed }) => !isClaimed)
        .map(({ seq }) => keys.runningKey(seq)),
      'running'
    )
    for (const seq of this.#claimed.keys()) assert(this.#jobs.has(seq), `job ${seq}, which a claim holds, is gone`)
    for (const { seq, spec, standing, isClaimed } of this.#jobs.values()) {
      if (!isClaimed) continue
      const isPlain = spec.rules?.key === undefined && spec.rules?.document === undefined && standing.startTurn === null
      assert(isPlain, `job ${seq} has more to say than that it was claimed`)
    }
    const ready = this.#in('ready')
    const unkeyed = ready.filter((job) => groupNameOf(job) === undefined)
    const keyed = ready.filter((job) => groupNameOf(job) !== undefined)
    const runs = this.#readyRuns()
    assertSameKeys(
      runs,
      unkeyed.map((job) => keys.readyKey(job.spec.queue, placeOf(job))),
      "ready ('R')"
    )
    this.#holds(
      'G',
      keyed.map((job) => keys.keyedReadyKey(job.spec.queue, this.#groupOf(job)!.record.number, placeOf(job))),
      'ready, of keys'
    )
    for (const { key, value } of [...runs, ...this.#of('G')]) {
      const job = this.#jobs.get(keys.seqOfReadyKey(key))!
      const { hasRecord, spec } = job
      const limit = Buffer.alloc(4)
      limit.writeUInt32BE(limitOf(job))
      const isAged = isOfDocument(job) && spec.rules?.ageingMs !== undefined
      const expected =
        groupNameOf(job) === undefined
          ? Buffer.from(hasRecord ? [1] : [])
          : Buffer.concat([Buffer.of((hasRecord ? 1 : 0) + (isAged ? 2 : 0)), limit])
      assert(value.equals(expected), `what the ready entry of job ${spec.id} says: ${hex(value)}, not ${hex(expected)}`)
    }
    assertSameKeys(
      this.#finishedPlaces(),
      this.#in(...finishedStates).map(({ seq, spec, standing }) =>
        keys.finishedKey(standing.state as FinishedState, spec.queue, standing.finishedAtMs!, seq)
      ),
      "finished ('F')"
    )
  }

  /** An entry for each job, also of those that share one. */
  #finishedPlaces(): Omit<Entry, 'name'>[] {
    return this.#of('F').flatMap(({ key, value }) => {
      if (value.length <= digestBytes) return [{ key, value }]
      const count = value.length / digestBytes
      assert(Number.isInteger(count) && count <= finishedRunMax && key[1] === 0, `a place of ${count} jobs`)
      return Array.from({ length: count }, (_, at) => {
        const own = Buffer.from(key)
        own.writeUIntBE(keys.seqOfKey(key) + at, own.length - 6, 6)
        return { key: own, value: value.subarray(at * digestBytes, (at + 1) * digestBytes) }
      })
    })
  }

  /** An entry for each job, also of those that share one. */
  #readyRuns(): Omit<Entry, 'name'>[] {
    return this.#of('R').flatMap(({ key, value }) => {
      if (value.length !== 4) return [{ key, value }]
      const count = value.readUInt32BE(0)
      const { atFront, rank, seq } = keys.placeOfReadyKey(key)
      assert(count > 1 && count <= readyRunMax && !atFront, `a run of ${count} jobs`)
      return Array.from({ length: count }, (_, at) => ({
        key: keys.readyKey(keys.queueOfReadyKey(key), { atFront, rank, seq: seq + at }),
        value: Buffer.alloc(0)
      }))
    })
  }

  #checkTotals(): void {
    const places = this.#finishedPlaces()
    for (const [queue, name] of this.#queues) {
      const expected: QueueTotals = noTotals()
      for (const { spec, standing } of this.#jobs.values()) if (spec.queue === queue) expected.counts[standing.state]++
      for (const { key, value } of places) {
        if (key.readUInt16BE(2) !== queue || keepsItself(value)) continue
        const retained = expected.retained[finishedStates[key[1]!]!]
        retained.count++
        retained.bytes += bytesOfDigest(value)
      }
      expected.starts = this.#startsOf(queue, 0).length
      const record = this.#of('C').find(({ key }) => key.equals(keys.countsKey(queue)))
      const stored = record === undefined ? noTotals() : totalsCodec.decode(record.key, record.value)
      const { turn, unkeyedTurn } = stored
      assert.deepEqual(stored, { ...expected, turn, unkeyedTurn }, `totals of ${name}`)
      assert(unkeyedTurn <= turn)
    }
    assert.equal(jobStates.length, 6)
  }

  /** The place of each group, as its jobs and its window have it, and no group that nothing asks for. */
  #checkGroups(): void {
    const places = [...this.#groups.values()].map(({ record }) => record.place).filter((place) => place !== null)
    this.#holds(
      'T',
      places.filter((place) => place[0] === 'T'.charCodeAt(0)),
      'rotation'
    )
    this.#holds(
      'B',
      places.filter((place) => place[0] === 'B'.charCodeAt(0)),
      'blocked'
    )
    const numbers = [...this.#groups.values()].map(({ record }) => record.number)
    assert.equal(new Set(numbers).size, numbers.length, 'groups have numbers of their own')
    for (const job of this.#in('ready', 'running')) {
      if (groupNameOf(job) !== undefined) assert(this.#groupOf(job) !== undefined, `group of job ${job.seq}`)
    }
    const jobsByGroup = new Map<string | undefined, Job[]>()
    for (const job of this.#jobs.values()) {
      const name = groupNameOf(job)
      const jobs = jobsByGroup.get(name)
      if (jobs === undefined) jobsByGroup.set(name, [job])
      else jobs.push(job)
    }
    for (const [groupName, group] of this.#groups) {
      const { scope, name, record } = group
      const jobs = jobsByGroup.get(groupName) ?? []
      const starts = this.#startsOf(scope, record.number)
      assert.equal(record.held, jobs.filter(holdsItsGroup).length, `jobs that hold the group ${name}`)
      assert.equal(record.starts, starts.length, `starts of the group ${name}`)
      const ready = jobs.filter(({ standing }) => standing.state === 'ready')
      assert(ready.length > 0 || record.held > 0 || starts.length > 0, `nothing asks for the group of ${name}`)
      assert.deepEqual(
        Object.fromEntries(record.ready),
        scope === 0 ? countsByQueue(ready) : {},
        `ready jobs of ${name}`
      )
      assert.deepEqual(record.place, this.#placeOf(group, ready, starts), `place of the group ${name}`)
      if (record.place === null) continue
      const entry = [...this.#of('T'), ...this.#of('B')].find(({ key }) => key.equals(record.place!))
      assert.equal(entry?.value.toString('utf8'), name)
      if (scope === 0) assert.equal(record.turnOf, record.place.readUInt16BE(1), `the turn of ${name} is of its queue`)
    }
  }

  #placeOf({ scope, record }: Group, ready: Job[], starts: Entry[]): Buffer | null {
    const order = (job: Job) => keys.readyKey(0, placeOf(job))
    const head = ready.toSorted((a, b) => order(a).compare(order(b)))[0]
    const rule = this.#configs.get(this.#queues.get(scope)!)?.keyRateLimit ?? null
    const firstNoted = starts.find(({ value }) => value[0] === 1)
    const blocked =
      rule === null || firstNoted === undefined
        ? null
        : keys.blockedKey(scope, keys.instantOfStartKey(firstNoted.key) + rule.perMs + 1, record.number)
    if (head === undefined) return record.held === 0 ? blocked : null
    const limit = limitOf(head)
    if (limit > 0 && record.held >= limit) return null
    if (rule !== null && starts.length >= rule.max) return blocked
    const isAged = head.spec.rules?.ageingMs !== undefined
    const place = placeOf(head)
    return keys.rotationKey(head.spec.queue, isAged ? { ...place, rank: keys.agedRank } : place, record.turn)
  }

  #startsOf(queue: number, group: number): Entry[] {
    const { start, end } = keys.startRange(queue, group)
    return this.#of('V').filter(({ key }) => key.compare(start) >= 0 && key.compare(end) < 0)
  }

  #checkStarts(): void {
    const running = new Set(this.#in('running').map(({ spec, standing }) => `${spec.queue} ${standing.startTurn}`))
    const owners = new Set([...this.#groups.values()].map(({ scope, record }) => `${scope} ${record.number}`))
    for (const { key, value } of this.#of('V')) {
      const queue = key.readUInt16BE(1)
      const group = key.readUIntBE(3, 6)
      if (group !== 0) assert(owners.has(`${queue} ${group}`), `starts of a group ${group} that is not there`)
      const isNoted = value[0] === 1
      if (!isNoted) assert(running.has(`${queue} ${keys.turnOfStartKey(key)}`), 'a start reserved for no running job')
    }
  }

  #checkEndings(): void {
    const expected = [...this.#jobs.values()].flatMap(({ seq, spec: { rules }, standing }) => {
      const { state, startedAtMs, finishedAtMs } = standing
      if (rules === null || state === 'running') return []
      const keepMs = isFinished(state) ? rules.keepMs?.[state] : undefined
      if (keepMs !== undefined) return [keys.jobEndingKey(finishedAtMs! + keepMs, seq)]
      const expires = !isFinished(state) && startedAtMs === null ? rules.expiresAtMs : undefined
      return expires === undefined ? [] : [keys.jobEndingKey(expires, seq)]
    })
    const found = this.#of('Z').filter(({ key }) => 'seq' in keys.subjectOfEndingKey(key))
    assertSameKeys(found, expected, "jobs that end by themselves ('Z')")
    for (const { key, value } of this.#of('D')) {
      const ending = keys.throttleEndingKey(throttleCodec.decode(key, value).untilMs, key.toString('utf8', 1))
      assert(this.#has(ending), `the window of ${key.toString('utf8', 1)} has an end`)
    }
  }

  /** Each state has a revision of its own, each reminder a document and an ending. */
  #checkDocuments(): void {
    const meta = keys.metaKey('counters')
    const counters = this.#of('M').find(({ key }) => key.equals(meta))
    const { nextRevision } = counters === undefined ? initialCounters : countersCodec.decode(meta, counters.value)
    // A damaged one stays, and nothing more can be said of it.
    const sound = this.#of('O').filter(({ key }) => !this.#has(keys.setAsideKey(key)))
    const documents = sound.map(({ key, value }) => documentCodec.decode(key, value))
    const revisions = new Set(documents.map(({ revision }) => revision))
    assert.equal(revisions.size, documents.length, 'revisions of documents')
    for (const revision of revisions) assert(revision > 0 && revision < nextRevision, 'a revision that was given')
    const endings: Buffer[] = []
    const counted = new Map<string, number>()
    for (const { key, value } of this.#of('r')) {
      const document = keys.documentKey(keys.reminderOfKey(key))
      const name = nameOf(document)
      counted.set(name, (counted.get(name) ?? 0) + 1)
      assert(this.#has(document), 'the document of a reminder')
      endings.push(keys.reminderEndingKey(reminderCodec.decode(key, value).nextAtMs, key))
    }
    for (const [at, { name }] of sound.entries()) {
      assert.equal(documents[at]!.reminders, counted.get(name) ?? 0, 'reminders that a document counts')
    }
    const found = this.#of('Z').filter(({ key }) => 'reminder' in keys.subjectOfEndingKey(key))
    assertSameKeys(found, endings, "instants of reminders ('Z')")
  }

  /** The totals of a journal are those of its entries and signals, and no other job has any. */
  #checkJournals(): void {
    const found = new Map<number, JournalTotals>()
    const orders = new Set<string>()
    const of = (seq: number) => {
      assert(this.#jobs.has(seq), `the journal of job ${seq}, which is gone`)
      const totals = found.get(seq) ?? { ...emptyJournal }
      found.set(seq, totals)
      return totals
    }
    for (const { key, value } of this.#of('L')) {
      const entry = journalCodec.decode(key, value)
      assert.equal(entry.index, key.readUInt16BE(7), 'number of an entry')
      const totals = of(key.readUIntBE(1, 6))
      totals.entries++
      totals.nextOrder = Math.max(totals.nextOrder, (entry.order ?? -1) + 1)
      const isOver = entry.state !== 'open' || entry.error !== null
      assert.equal(entry.order !== null, isOver, `order of call ${entry.index}`)
      if (entry.order !== null) {
        const place = `${key.readUIntBE(1, 6)} ${entry.order}`
        assert(!orders.has(place), `two calls of one order: ${place}`)
        orders.add(place)
      }
      for (const text of [entry.result, entry.error?.message, entry.error?.stack]) {
        totals.bytes += Buffer.byteLength(text ?? '')
      }
    }
    for (const { key, value } of this.#of('H')) {
      const totals = of(key.readUIntBE(1, 6))
      totals.signals++
      totals.bytes += Buffer.byteLength(signalCodec.decode(key, value).payload)
      totals.nextSignal = keys.seqOfKey(key) + 1
    }
    for (const { seq, standing } of this.#jobs.values()) {
      const totals = found.get(seq)
      if (standing.journal === null) {
        assert.equal(totals, undefined, `job ${seq} has no journal`)
        continue
      }
      const { nextSignal, nextOrder } = standing.journal
      const { nextSignal: behindLast, nextOrder: behindEnd, ...rest } = totals ?? emptyJournal
      assert.deepEqual(standing.journal, { ...rest, nextSignal, nextOrder }, `journal of job ${seq}`)
      assert(nextSignal >= behindLast, `signals of job ${seq} are numbered`)
      assert(nextOrder >= behindEnd, `ends of calls of job ${seq} are numbered`)
    }
  }

  #checkLinks(): void {
    const meta = keys.metaKey('counters')
    const counters = this.#of('M').find(({ key }) => key.equals(meta))
    // None yet where its first supervisor died before it had numbered the queues.
    const counted = counters === undefined ? 0 : countersCodec.decode(meta, counters.value).links
    assert.equal(counted, this.#of('A').length, 'links that are counted')
    const untold = new Set(this.#of('Y').map(({ key }) => keys.seqOfKey(key)))
    const waiting = new Set(this.#of('A').map(({ name }) => name.slice(1)))
    const links = this.#of('P').map(({ key, value }) => ({
      child: key.readUIntBE(1, 6),
      parent: keys.seqOfKey(key),
      record: parentCodec.decode(key, value)
    }))
    const known = new Set<string>()
    for (const { child, parent, record } of links) {
      const isThere = this.#jobs.has(child)
      assert(isThere || untold.has(child), `job ${child}, which is gone, depends on ${parent}`)
      const link = nameOf(keys.childKey(parent, child)).slice(1)
      known.add(link)
      if (isThere) assert.equal(waiting.has(link), record.state === null, `${child} waits for ${parent}`)
    }
    for (const { key, name } of this.#of('A')) {
      const [parent, child] = [key.readUIntBE(1, 6), keys.seqOfKey(key)]
      assert(known.has(name.slice(1)), `job ${child} waits for ${parent} and does not know`)
      const isOpen = this.#jobs.has(parent) && !isFinished(this.#jobs.get(parent)!.standing.state)
      assert(isOpen || untold.has(parent) || untold.has(child), `nobody will tell ${child} about ${parent}`)
    }
    const byChild = new Map<number, typeof links>()
    for (const link of links) {
      const before = byChild.get(link.child)
      if (before === undefined) byChild.set(link.child, [link])
      else before.push(link)
    }
    for (const { seq, standing } of this.#jobs.values()) {
      const own = byChild.get(seq) ?? []
      if (standing.dependencies === null) assert.equal(own.length, 0, `parents of job ${seq}`)
      else {
        const count = (state: FinishedState) => own.filter(({ record }) => record.state === state).length
        const counted = { completed: count('completed'), failed: count('failed'), cancelled: count('cancelled') }
        assert.deepEqual(standing.dependencies, { total: own.length, ...counted }, `parents of job ${seq}`)
      }
    }
  }
}

/** The jobs of a document do not age: what counts in one queue would say nothing in another. */
function placeOf(job: Job): keys.ReadyPlace {
  const { seq, spec } = job
  const ageingMs = isOfDocument(job) ? undefined : spec.rules?.ageingMs
  return { atFront: spec.atFront, rank: keys.rankOf(spec.priority, ageingMs, spec.enqueuedAtMs), seq }
}

function isOfDocument({ spec }: Job): boolean {
  return spec.rules?.document !== undefined
}

/** Of a key in its queue, or of a document in all of them; undefined: neither. */
function groupNameOf(job: Job): string | undefined {
  const { queue, method, rules } = job.spec
  if (isOfDocument(job)) return `0 ${method.split('.').slice(0, -1).join('.')}\0${rules!.document}`
  return rules?.key === undefined ? undefined : `${queue} ${rules.key}`
}

function limitOf(job: Job): number {
  return isOfDocument(job) ? 1 : (job.spec.rules?.keyConcurrency ?? 0)
}

function holdsItsGroup(job: Job): boolean {
  const { state, made } = job.standing
  return state === 'running' || (state === 'scheduled' && made > 0 && limitOf(job) === 1)
}

function countsByQueue(jobs: Job[]): Record<number, number> {
  const counts: Record<number, number> = {}
  for (const { spec } of jobs) counts[spec.queue] = (counts[spec.queue] ?? 0) + 1
  return counts
}

/** @param found in any order, as `expected` */
function assertSameKeys(found: readonly { key: Buffer }[], expected: readonly Buffer[], what: string): void {
  const [one, other] = [found.map(({ key }) => nameOf(key)).sort(), expected.map(nameOf).sort()]
  if (one.length === other.length && one.every((name, at) => name === other[at])) return
  const readable = (names: string[]) => names.map((name) => hex(Buffer.from(name, 'latin1')))
  assert.deepEqual(readable(one), readable(other), what)
}

function hex(key: Buffer): string {
  return key.toString('hex')
}
