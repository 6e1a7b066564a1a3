/**
 * The jobs that have a key. Those of one key in one queue are a **group**; groups take turns, so that a million jobs of one
 * do not hold up the single job of another.
 *
 * The ready jobs of a group are under 'G', in their order. A group whose first job may start is in the **rotation** ('T'),
 * sorted by that job's front and rank, then by who had its turn longest ago. One that may not start because of the rate limit of
 * its key is among the **blocked** ('B'), by the instant at which it may. One that has as many jobs under way as its first
 * job's `keyConcurrency` allows is in neither.
 *
 * A job holds its key while it runs; with `keyConcurrency: 1` also while it waits for its next attempt, so that nothing
 * behind it overtakes. Everything about a group follows from its jobs and its window: {@link KeyGroups.settle} derives its
 * place again whenever one of them has changed.
 */
import type { QueueConfig } from '../core/config.ts'
import {
  blockedKey,
  blockedRange,
  groupKey,
  groupReadyRange,
  keyedReadyKey,
  placeOfReadyKey,
  rotationKey,
  rotationRange,
  untilOfBlockedKey
} from '../store/keys.ts'
import {
  type Counters,
  groupCodec,
  type JobRules,
  type KeyGroup,
  type QueueTotals,
  type Standing
} from '../store/records.ts'
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
  queue: number
  key: string
  group: KeyGroup
  window: StartWindow
  /** Its first ready job, as of the last time its place was derived. */
  head: Entry | undefined
}

type Entry = { key: Buffer; value: Buffer }

export class KeyGroups {
  readonly #commit: GroupScope
  readonly #configOf: (queue: number) => QueueConfig | undefined
  readonly #loaded = new Map<string, LoadedGroup>()
  readonly #changed = new Set<LoadedGroup>()

  constructor(commit: GroupScope, configOf: (queue: number) => QueueConfig | undefined) {
    this.#commit = commit
    this.#configOf = configOf
  }

  /** The job has become ready. */
  place(job: StoredJob, key: string, hasStanding: boolean): void {
    const loaded = this.#change(job.spec.queue, key)
    const value = Buffer.allocUnsafe(5)
    value[0] = hasStanding ? 1 : 0
    value.writeUInt32BE(job.spec.rules?.keyConcurrency ?? 0, 1)
    this.#commit.transaction.put(keyedReadyKey(job.spec.queue, loaded.group.number, readyPlaceOf(job)), value)
  }

  unplace(job: StoredJob, key: string): void {
    const loaded = this.#change(job.spec.queue, key)
    this.#commit.transaction.remove(keyedReadyKey(job.spec.queue, loaded.group.number, readyPlaceOf(job)))
  }

  /** @param by 1: the job now holds its key, -1: no longer */
  hold(queue: number, key: string, by: 1 | -1): void {
    this.#change(queue, key).group.held += by
  }

  /** The group has had its turn. */
  turned(queue: number, key: string, turn: number): void {
    this.#change(queue, key).group.turn = turn
  }

  /** The window of the rate limit that each key of the queue has. Whoever changes it changes the place of its group. */
  window(queue: number, key: string): StartWindow {
    return this.#change(queue, key).window
  }

  /** The place in the rotation of the group whose job is next, and that job; none where no group may start one. */
  next(queue: number): { place: Buffer; seq: number; hasStanding: boolean } | undefined {
    for (;;) {
      this.settle()
      const first = this.#firstInRotation(queue)
      if (first === undefined) return undefined
      const loaded = this.#load(queue, first.key)
      if (loaded.window.free > 0) {
        const head = (loaded.head ?? this.#head(queue, loaded.group))!
        return { place: first.place, seq: placeOfReadyKey(head.key).seq, hasStanding: head.value[0] === 1 }
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
      this.#change(queue, isOver ? first.key : last.key)
    }
  }

  /** Derives the places of the groups that have changed. */
  settle(): void {
    for (const loaded of this.#changed) this.#settle(loaded)
    this.#changed.clear()
  }

  #settle(loaded: LoadedGroup): void {
    const { queue, key, group, window } = loaded
    const { transaction } = this.#commit
    const head = this.#head(queue, group)
    const place = this.#placeOf(loaded, head)
    loaded.head = head
    const record = groupKey(queue, key)
    if (group.place !== null && place?.equals(group.place) !== true) transaction.remove(group.place)
    if (place !== null && group.place?.equals(place) !== true) {
      transaction.put(place, Buffer.from(key, 'utf8'))
      if (place[0] === rotationMark) this.#commit.wake(queue)
      else this.#commit.wakeAt(queue, untilOfBlockedKey(place))
    }
    group.place = place
    if (head === undefined && group.held === 0 && window.count === 0) {
      transaction.remove(record)
      this.#loaded.delete(nameOf(queue, key))
    } else {
      transaction.put(record, groupCodec.encode(record, { ...group, starts: window.count }))
    }
  }

  #placeOf({ queue, group, window }: LoadedGroup, head: Entry | undefined): Buffer | null {
    window.prune()
    if (head === undefined) {
      // Nothing to start; the entries of the window are looked at once more when they are over.
      const overAtMs = group.held === 0 && window.count > 0 ? window.freeAtMs() : null
      return overAtMs === null ? null : blockedKey(queue, overAtMs, group.number)
    }
    const limit = head.value.readUInt32BE(1)
    if (limit > 0 && group.held >= limit) return null
    if (window.free > 0) return rotationKey(queue, placeOfReadyKey(head.key), group.turn)
    const freeAtMs = window.freeAtMs()
    return freeAtMs === null ? null : blockedKey(queue, freeAtMs, group.number)
  }

  #firstInRotation(queue: number): { place: Buffer; key: string } | undefined {
    for (const { key: place, value } of this.#commit.transaction.entries({ ...rotationRange(queue), limit: 1 })) {
      return { place, key: value.toString('utf8') }
    }
    return undefined
  }

  #blocked(queue: number, which: 'first' | 'last'): { untilMs: number; key: string } | undefined {
    const one = { ...blockedRange(queue), limit: 1, reverse: which === 'last' }
    for (const { key, value } of this.#commit.transaction.entries(one)) {
      return { untilMs: untilOfBlockedKey(key), key: value.toString('utf8') }
    }
    return undefined
  }

  #head(queue: number, group: KeyGroup): Entry | undefined {
    for (const entry of this.#commit.transaction.entries({ ...groupReadyRange(queue, group.number), limit: 1 })) {
      return entry
    }
    return undefined
  }

  #change(queue: number, key: string): LoadedGroup {
    const loaded = this.#load(queue, key)
    this.#changed.add(loaded)
    return loaded
  }

  #load(queue: number, key: string): LoadedGroup {
    const name = nameOf(queue, key)
    let loaded = this.#loaded.get(name)
    if (loaded === undefined) {
      const group = this.#read(queue, key) ?? this.#create(queue)
      const rule = this.#configOf(queue)?.keyRateLimit ?? null
      const window = new StartWindow(this.#commit, queue, group.number, rule, group.starts)
      loaded = { queue, key, group, window, head: undefined }
      this.#loaded.set(name, loaded)
    }
    return loaded
  }

  #read(queue: number, key: string): KeyGroup | undefined {
    const record = groupKey(queue, key)
    const value = this.#commit.transaction.get(record)
    return value === undefined ? undefined : groupCodec.decode(record, value)
  }

  /** It takes its turn after those that are there. */
  #create(queue: number): KeyGroup {
    const { counters } = this.#commit
    return {
      number: counters.nextGroup++,
      held: 0,
      turn: ++this.#commit.totals(queue).turn,
      starts: 0,
      place: null
    }
  }
}

/** Whether a job in this standing counts against the `keyConcurrency` of its key. */
export function holdsKey({ state, made }: Standing, rules: JobRules | null): boolean {
  return state === 'running' || (state === 'scheduled' && made > 0 && rules?.keyConcurrency === 1)
}

const rotationMark = rotationRange(0).start[0]

function nameOf(queue: number, key: string): string {
  return `${queue} ${key}`
}
