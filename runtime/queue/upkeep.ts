/**
 * What has to be done without anybody asking: telling the children of finished jobs that a commit had no room for, cancelling
 * what expired, ending windows of deduplication, firing reminders, and forgetting finished jobs as retention says. One piece is small, so that
 * nobody else waits long; who runs it asks again until nothing is left, and then at the instant that {@link nextUpkeepAtMs} gives.
 */

import type { RetentionRule } from '../core/config.ts'
import { type FinishedState, isFinished } from '../core/lifecycle.ts'
import { moveBatchMax } from '../core/limits.ts'
import { keepsItself } from '../store/digest.ts'
import {
  endingRange,
  finishedKey,
  finishedRange,
  instantOfEndingKey,
  instantOfFinishedKey,
  seqOfKey,
  subjectOfEndingKey,
  throttleKey
} from '../store/keys.ts'
import { type QueueTotals, throttleCodec } from '../store/records.ts'
import type { Reader } from '../store/store.ts'
import { endsByItselfAtMs, expired, type QueueCommit, readTotals } from './commit.ts'
import { hasUntold, tellSome } from './dependencies.ts'
import { finishedPlaces } from './finished-runs.ts'
import { fireReminder, type NextInstant } from './reminders.ts'
import { readJob } from './stored-job.ts'

/** The finished jobs of one state in one queue, which its retention looks after. */
export interface RetainedPlace {
  queue: number
  state: FinishedState
  rule: RetentionRule
}

/**
 * Where the oldest job that the retention of a place looks after may be: at the begin of its millisecond, in which others
 * may still finish. Before it are only jobs that say themselves how long they are kept; without this each look would pass
 * them again. In memory: a new supervisor looks from the start.
 */
export class RetentionFronts {
  #fronts = new Map<string, Buffer>()
  #counts = new Map<string, number>()

  copy(): RetentionFronts {
    const copy = new RetentionFronts()
    copy.become(this)
    return copy
  }

  become(other: RetentionFronts): void {
    this.#fronts = new Map(other.#fronts)
    this.#counts = new Map(other.#counts)
  }

  of({ queue, state }: RetainedPlace): Buffer {
    return this.#fronts.get(`${queue} ${state}`) ?? finishedRange(state, queue).start
  }

  /** To the instant of `key`: an older job may still finish in the same millisecond, and comes before it. */
  advance({ queue, state }: RetainedPlace, key: Buffer): void {
    this.#fronts.set(`${queue} ${state}`, finishedKey(state, queue, instantOfFinishedKey(key), 0))
  }

  /** How many jobs the place has gained since it was left. */
  grown({ queue, state }: RetainedPlace, count: number): number {
    return Math.max(count - (this.#counts.get(`${queue} ${state}`) ?? count), 0)
  }

  leave({ queue, state }: RetainedPlace, count: number): void {
    this.#counts.set(`${queue} ${state}`, count)
  }

  /** Finished jobs may be older than those that were looked at: the clock was set back. */
  reset(): void {
    this.#fronts.clear()
  }
}

const togetherMax = 1_000

export function upkeepPiece(
  commit: QueueCommit,
  places: readonly RetainedPlace[],
  fronts: RetentionFronts,
  nextInstant: NextInstant
): void {
  tellSome(commit)
  endSome(commit, nextInstant)
  let room = moveBatchMax
  // What a commit that fails has passed over is still there.
  const ahead = fronts.copy()
  for (const place of places) {
    const { retained } = commit.totals(place.queue)
    // As many as have come since the last piece, and some more: else a fast queue outgrows any bound.
    const grown = ahead.grown(place, retained[place.state].count)
    const forgotten = trim(commit, place, ahead, grown + room)
    room -= Math.min(Math.max(forgotten - grown, 0), room)
    ahead.leave(place, retained[place.state].count)
  }
  commit.after.later(() => fronts.become(ahead))
}

/** @returns when there is something to do, 0 for at once; null: not as things are */
export function nextUpkeepAtMs(
  reader: Reader,
  places: readonly RetainedPlace[],
  fronts: RetentionFronts
): number | null {
  if (hasUntold(reader)) return 0
  let nextAtMs = Number.POSITIVE_INFINITY
  for (const key of reader.keys({ ...endingRange, limit: 1 })) nextAtMs = instantOfEndingKey(key)
  for (const place of places) {
    if (isOverfull(place, readTotals(reader, place.queue))) return 0
    const { ageMs } = place.rule
    if (ageMs === null) continue
    const [key] = oldest(reader, place, fronts, 1)
    if (key !== undefined) nextAtMs = Math.min(nextAtMs, instantOfFinishedKey(key) + ageMs)
  }
  return nextAtMs === Number.POSITIVE_INFINITY ? null : nextAtMs
}

function isOverfull({ state, rule: { count, bytes } }: RetainedPlace, { retained }: QueueTotals): boolean {
  const kept = retained[state]
  return kept.count > (count ?? kept.count) || kept.bytes > (bytes ?? kept.bytes)
}

function endSome(commit: QueueCommit, nextInstant: NextInstant): void {
  const { transaction, nowMs } = commit
  const keys = [...transaction.keys({ ...endingRange, limit: moveBatchMax })]
  const due = keys.filter((key) => instantOfEndingKey(key) <= nowMs)
  for (const key of due) {
    const subject = subjectOfEndingKey(key)
    if ('id' in subject) endThrottle(commit, key, subject.id)
    else if ('seq' in subject) endJob(commit, key, subject.seq)
    else fireReminder(commit, key, subject.reminder, nextInstant)
  }
}

function endJob(commit: QueueCommit, key: Buffer, seq: number): void {
  const job = readJob(commit.transaction, seq)
  if (job === undefined || endsByItselfAtMs(job) !== instantOfEndingKey(key)) commit.transaction.remove(key)
  else if (isFinished(job.standing.state)) commit.forget(job, 'retention')
  else commit.finish(job, 'cancel', { error: expired })
}

/** A later window of the same id has an entry of its own. */
function endThrottle(commit: QueueCommit, key: Buffer, id: string): void {
  const record = throttleKey(id)
  const value = commit.transaction.get(record)
  commit.transaction.remove(key)
  if (value !== undefined && throttleCodec.decode(record, value).untilMs <= commit.nowMs) {
    commit.transaction.remove(record)
  }
}

/** Forgets what is beyond the bounds of a place, the oldest first. @returns how many */
function trim(commit: QueueCommit, place: RetainedPlace, fronts: RetentionFronts, max: number): number {
  const { ageMs } = place.rule
  const totals = commit.totals(place.queue)
  const keepsAfterMs = ageMs === null ? Number.NEGATIVE_INFINITY : commit.nowMs - ageMs
  let forgotten = 0
  while (forgotten < max && (isOverfull(place, totals) || ageMs !== null)) {
    // Looked for together: a look between two of them would have the entries that they share written again for each.
    const lookedAt = oldest(commit.transaction, place, fronts, Math.min(max - forgotten, togetherMax))
    for (const key of lookedAt) {
      if (!(isOverfull(place, totals) || instantOfFinishedKey(key) <= keepsAfterMs)) return forgotten
      fronts.advance(place, key)
      commit.forget(readJob(commit.transaction, seqOfKey(key))!, 'retention')
      forgotten++
    }
    if (lookedAt.length === 0) break
  }
  return forgotten
}

/** The oldest jobs of a place that its retention looks after. */
function oldest(reader: Reader, place: RetainedPlace, fronts: RetentionFronts, max: number): Buffer[] {
  const { end } = finishedRange(place.state, place.queue)
  const found: Buffer[] = []
  for (const { key, value } of finishedPlaces(reader, { start: fronts.of(place), end })) {
    if (keepsItself(value)) continue
    if (found.length === 0) fronts.advance(place, key)
    found.push(Buffer.from(key))
    if (found.length === max) break
  }
  return found
}
