/**
 * The jobs that have a key, and those of documents. Those of one key in one queue, and those of one document, are a **group**
 * (job-group.ts); groups take turns, so that a million jobs of one do not hold up the single job of another.
 *
 * The ready jobs of a group are under 'G', each in its queue, in their order. A group whose first job may start is in the
 * **rotation** ('T') of that job's queue, sorted by the job's front and rank, then by who had its turn longest ago. One that may not
 * start because of the rate limit of its key is among the **blocked** ('B'), by the instant at which it may. One that has as
 * many jobs under way as its first job's concurrency allows is in neither.
 *
 * The jobs of a document may be in several queues and are in one order all the same: its first job is the first of all
 * queues, and stands in the rotation of its own. Ageing does not change their order, since a rank of one queue says nothing
 * in another. Turns are counted by each queue, so where the first job is in another queue than the last that started, the
 * document takes its turn after those that are there.
 *
 * A job holds its group while it runs; with a concurrency of 1, as in documents, also while it waits for its next attempt, so
 * that nothing behind it overtakes. Everything about a group follows from its jobs and its window: {@link KeyGroups.settle}
 * derives its place again whenever one of them has changed.
 *
 * That a queue has no group in the rotation, or none that is blocked, is remembered between commits, as most queues have none: a commit
 * that puts one there forgets it, and one that finds none notes it once it is on disk.
 */
import type { QueueConfig } from '../core/config.ts'
import {
  agedRank,
  blockedKey,
  blockedRange,
  comparePlaces,
  groupKey,
  groupReadyRange,
  keyedReadyKey,
  placeOfReadyKey,
  queueOfReadyKey,
  rotationKey,
  rotationRange,
  untilOfBlockedKey
} from '../store/keys.ts'
import { type Counters, groupCodec, type KeyGroup, type QueueTotals } from '../store/records.ts'
import { concurrencyOf, documentScope, type GroupId, groupNamed, groupOf } from './job-group.ts'
import { StartWindow, type WindowScope } from './start-window.ts'
import { readyPlaceOf, type StoredJob } from './stored-job.ts'

/** What groups need of the commit. */
export interface GroupScope extends WindowScope {
  readonly counters: Counters
  totals(queue: number): QueueTotals
  wake(queue: number): void
  wakeAt(queue: number, atMs: number): void
}

interface LoadedGroup {
  id: GroupId
  group: KeyGroup
  window: StartWindow
  /** Its first ready job, as of the last time its place was derived. */
  head: Entry | undefined
  /** As `head`. */
  place: Buffer | null
}

type Entry = { key: Buffer; value: Buffer }

/** Bits of the first byte of a ready entry. */
const hasStandingBit = 1
/** A job of a document in a queue with ageing, where all aged ranks count as one. */
const agedBit = 2

/** Queues that have no group in the rotation, and none that is blocked. */
export interface WithoutGroups {
  rotation: Set<number>
  blocked: Set<number>
}

export function noneKnown(): WithoutGroups {
  return { rotation: new Set(), blocked: new Set() }
}

export class KeyGroups {
  readonly #commit: GroupScope
  readonly #without: WithoutGroups
  /** As this commit found them. */
  readonly #found = noneKnown()
  readonly #configOf: (queue: number) => QueueConfig | undefined
  readonly #loaded = new Map<string, LoadedGroup>()
  readonly #changed = new Set<LoadedGroup>()

  /** @param without as of the commits before */
  constructor(commit: GroupScope, configOf: (queue: number) => QueueConfig | undefined, without: WithoutGroups) {
    this.#commit = commit
    this.#configOf = configOf
    this.#without = without
  }

  /** The job has become ready. */
  place(job: StoredJob, id: GroupId, hasStanding: boolean): void {
    const { spec } = job
    const { group } = this.#change(id, spec.queue)
    const isAged = id.scope === documentScope && spec.rules?.ageingMs !== undefined
    const value = Buffer.allocUnsafe(5)
    value[0] = (hasStanding ? hasStandingBit : 0) | (isAged ? agedBit : 0)
    value.writeUInt32BE(concurrencyOf(spec), 1)
    this.#commit.transaction.put(keyedReadyKey(spec.queue, group.number, readyPlaceOf(job)), value)
    if (id.scope === documentScope) group.ready = counted(group.ready, spec.queue, 1)
  }

  unplace(job: StoredJob, id: GroupId): void {
    const { spec } = job
    const { group } = this.#change(id, spec.queue)
    this.#commit.transaction.remove(keyedReadyKey(spec.queue, group.number, readyPlaceOf(job)))
    if (id.scope === documentScope) group.ready = counted(group.ready, spec.queue, -1)
  }

  /** @param by 1: the job now holds its group, -1: no longer */
  hold({ spec }: StoredJob, id: GroupId, by: 1 | -1): void {
    this.#change(id, spec.queue).group.held += by
  }

  /** Its place is derived again. */
  refresh(id: GroupId, queue: number): void {
    this.#change(id, queue)
  }

  /** The group of the job has had its turn, in the job's queue. */
  turned({ spec }: StoredJob, id: GroupId, turn: number): void {
    const { group } = this.#change(id, spec.queue)
    group.turn = turn
    if (id.scope === documentScope) group.turnOf = spec.queue
  }

  /**
   * The window of the rate limit that each key of a queue has; a document has none. Whoever changes it changes the place of
   * its group.
   */
  window({ spec }: StoredJob): StartWindow | undefined {
    const id = spec.rules?.document === undefined ? groupOf(spec) : undefined
    return id === undefined ? undefined : this.#change(id, spec.queue).window
  }

  /** The place in the rotation of the group whose job is next, and that job; none where no group may start one. */
  next(queue: number): { place: Buffer; seq: number; hasStanding: boolean } | undefined {
    for (;;) {
      this.settle()
      const first = this.#firstInRotation(queue)
      if (first === undefined) return undefined
      const loaded = this.#load(first.id, queue)
      if (loaded.window.free > 0) {
        const { key, value } = (loaded.head ?? this.#head(loaded))!
        return {
          place: first.place,
          seq: placeOfReadyKey(key).seq,
          hasStanding: (value[0]! & hasStandingBit) !== 0
        }
      }
      // The limit was lowered since the group got its place.
      this.#changed.add(loaded)
    }
  }

  /**
   * Brings back into the rotation what was blocked until now, or for longer than the limit asks for, as after it was changed
   * or the clock was set back; `max` groups at most. @returns when the next will be, now where there are more; undefined: none
   */
  unblock(queue: number, max: number): number | undefined {
    const latestMs = this.#commit.nowMs + (this.#configOf(queue)?.keyRateLimit?.perMs ?? 0) + 1
    for (let unblocked = 0; ; unblocked++) {
      this.settle()
      const first = this.#blocked(queue, 'first')
      if (first === undefined) return undefined
      const last = this.#blocked(queue, 'last')!
      const isOver = first.untilMs <= this.#commit.nowMs
      if (!isOver && last.untilMs <= latestMs) return first.untilMs
      if (unblocked >= max) return this.#commit.nowMs
      this.#change(isOver ? first.id : last.id, queue)
    }
  }

  /**
   * Derives the places of the groups that have changed. A job at front that is replaced takes its place along to the group of
   * its new key or document: so all old places are left before a new one is taken.
   */
  settle(): void {
    for (const loaded of this.#changed) this.#leavePlace(loaded)
    for (const loaded of this.#changed) this.#takePlace(loaded)
    this.#changed.clear()
  }

  /** The commit is on disk. */
  remember(): void {
    for (const queue of this.#found.rotation) this.#without.rotation.add(queue)
    for (const queue of this.#found.blocked) this.#without.blocked.add(queue)
  }

  /** The entries have been changed by others. */
  forget(): void {
    for (const { rotation, blocked } of [this.#found, this.#without]) {
      rotation.clear()
      blocked.clear()
    }
  }

  #leavePlace(loaded: LoadedGroup): void {
    const { group } = loaded
    loaded.head = this.#head(loaded)
    loaded.place = this.#placeOf(loaded, loaded.head)
    if (group.place !== null && loaded.place?.equals(group.place) !== true) {
      this.#commit.transaction.remove(group.place)
    }
  }

  #takePlace({ id, group, window, head, place }: LoadedGroup): void {
    const { transaction } = this.#commit
    const record = groupKey(id.scope, id.name)
    if (place !== null && group.place?.equals(place) !== true) {
      transaction.put(place, Buffer.from(id.name, 'utf8'))
      const queue = head === undefined ? id.scope : queueOfReadyKey(head.key)
      for (const known of [this.#found, this.#without]) {
        known[place[0] === rotationMark ? 'rotation' : 'blocked'].delete(queue)
      }
      if (place[0] === rotationMark) this.#commit.wake(queue)
      else this.#commit.wakeAt(queue, untilOfBlockedKey(place))
    }
    group.place = place
    if (head === undefined && group.held === 0 && window.count === 0) {
      transaction.remove(record)
      this.#loaded.delete(nameOf(id))
    } else {
      transaction.put(record, groupCodec.encode(record, { ...group, starts: window.count }))
    }
  }

  #placeOf({ id, group, window }: LoadedGroup, head: Entry | undefined): Buffer | null {
    window.prune()
    if (head === undefined) {
      // Nothing to start; the entries of the window are looked at once more when they are over.
      const overAtMs = group.held === 0 && window.count > 0 ? window.freeAtMs() : null
      return overAtMs === null ? null : blockedKey(id.scope, overAtMs, group.number)
    }
    const limit = head.value.readUInt32BE(1)
    if (limit > 0 && group.held >= limit) return null
    const queue = queueOfReadyKey(head.key)
    if (window.free > 0) {
      if (id.scope === documentScope) this.#takeTurnIn(queue, group)
      const place = placeOfReadyKey(head.key)
      const rank = (head.value[0]! & agedBit) === 0 ? place.rank : agedRank
      return rotationKey(queue, { ...place, rank }, group.turn)
    }
    const freeAtMs = window.freeAtMs()
    return freeAtMs === null ? null : blockedKey(queue, freeAtMs, group.number)
  }

  /** The turn of a document is a number of one queue. */
  #takeTurnIn(queue: number, group: KeyGroup): void {
    if (group.turnOf === queue) return
    group.turn = ++this.#commit.totals(queue).turn
    group.turnOf = queue
  }

  #firstInRotation(queue: number): { place: Buffer; id: GroupId } | undefined {
    if (this.#without.rotation.has(queue)) return undefined
    for (const { key: place, value } of this.#commit.transaction.entries({ ...rotationRange(queue), limit: 1 })) {
      return { place, id: groupNamed(queue, value.toString('utf8')) }
    }
    this.#found.rotation.add(queue)
    return undefined
  }

  #blocked(queue: number, which: 'first' | 'last'): { untilMs: number; id: GroupId } | undefined {
    if (this.#without.blocked.has(queue)) return undefined
    const one = { ...blockedRange(queue), limit: 1, reverse: which === 'last' }
    for (const { key, value } of this.#commit.transaction.entries(one)) {
      return { untilMs: untilOfBlockedKey(key), id: groupNamed(queue, value.toString('utf8')) }
    }
    this.#found.blocked.add(queue)
    return undefined
  }

  /** The first ready job, of a document that of all queues. */
  #head({ id, group }: LoadedGroup): Entry | undefined {
    if (id.scope !== documentScope) return this.#headIn(id.scope, group)
    let first: Entry | undefined
    for (const [queue] of group.ready) {
      const head = this.#headIn(queue, group)!
      if (first === undefined || comparePlaces(head.key, first.key) < 0) first = head
    }
    return first
  }

  #headIn(queue: number, group: KeyGroup): Entry | undefined {
    for (const entry of this.#commit.transaction.entries({ ...groupReadyRange(queue, group.number), limit: 1 })) {
      return entry
    }
    return undefined
  }

  /** @param queue where it takes its turn if it is new */
  #change(id: GroupId, queue: number): LoadedGroup {
    const loaded = this.#load(id, queue)
    this.#changed.add(loaded)
    return loaded
  }

  #load(id: GroupId, queue: number): LoadedGroup {
    const name = nameOf(id)
    let loaded = this.#loaded.get(name)
    if (loaded === undefined) {
      const group = this.#read(id) ?? this.#create(id, queue)
      const rule = id.scope === documentScope ? null : (this.#configOf(id.scope)?.keyRateLimit ?? null)
      const window = new StartWindow(this.#commit, id.scope, group.number, rule, group.starts)
      loaded = { id, group, window, head: undefined, place: group.place }
      this.#loaded.set(name, loaded)
    }
    return loaded
  }

  #read({ scope, name }: GroupId): KeyGroup | undefined {
    const record = groupKey(scope, name)
    const value = this.#commit.transaction.get(record)
    return value === undefined ? undefined : groupCodec.decode(record, value)
  }

  /** It takes its turn after those that are there. */
  #create({ scope }: GroupId, queue: number): KeyGroup {
    const { counters } = this.#commit
    return {
      number: counters.nextGroup++,
      held: 0,
      turn: ++this.#commit.totals(queue).turn,
      starts: 0,
      place: null,
      ready: [],
      turnOf: scope === documentScope ? queue : 0
    }
  }
}

/** @returns the counts with one job more or less in that queue; queues without any are left out */
function counted(ready: KeyGroup['ready'], queue: number, by: 1 | -1): KeyGroup['ready'] {
  const others = ready.filter(([of]) => of !== queue)
  const count = (ready.find(([of]) => of === queue)?.[1] ?? 0) + by
  return count === 0 ? others : [...others, [queue, count]]
}

const rotationMark = rotationRange(0).start[0]

function nameOf({ scope, name }: GroupId): string {
  return `${scope} ${name}`
}
