/** Where the jobs of a state are, one by one: entries that several share look as if each job had one. */
import { isFinished, type JobState } from '../core/lifecycle.ts'
import {
  finishedRange,
  type KeyRange,
  keyedReadyRange,
  readyRange,
  runningKey,
  runningRange,
  scheduledRange,
  seqOfKey,
  seqOfReadyKey
} from '../store/keys.ts'
import type { Reader } from '../store/store.ts'
import { finishedPlaces } from './finished-runs.ts'
import { isReadyKey, readyPlaces } from './ready-runs.ts'
import { claimedSeqs } from './running-claims.ts'

/** The scheduled and the running of all queues are in one place each: a visitor of one queue skips the others. */
export function rangesOf(state: JobState, queue: number): KeyRange[] {
  switch (state) {
    case 'scheduled':
      return [scheduledRange]
    case 'running':
      return [runningRange]
    case 'ready':
      return [readyRange(queue), keyedReadyRange(queue)]
    default:
      return [finishedRange(state, queue)]
  }
}

export function spansQueues(state: JobState): boolean {
  return state !== 'ready' && !isFinished(state)
}

/** Of a job: the key of its place, and what stands beside it if it is its own. */
export interface Place {
  key: Buffer
  value?: Buffer
  seq: number
}

/**
 * The places of a state, in order.
 *
 * @param range one of {@link rangesOf}, or a part of one of the scheduled
 * @param behind place of a job, that need not be there any more: they begin after it
 */
export function placesIn(reader: Reader, state: JobState, range: KeyRange, behind?: Buffer): Iterable<Place> {
  if (state === 'running') return runningPlaces(reader, behind)
  if (state === 'ready' && isReadyKey(range.start)) return readyPlaces(reader, range, behind)
  if (isFinished(state)) return finishedPlaces(reader, range, { bound: behind })
  return ownPlaces(reader, state, behind === undefined ? range : { start: after(behind), end: range.end })
}

function* ownPlaces(reader: Reader, state: JobState, range: KeyRange): Iterable<Place> {
  for (const { key, value } of reader.entries(range)) {
    yield { key, value, seq: state === 'ready' ? seqOfReadyKey(key) : seqOfKey(key) }
  }
}

/** Those that claims hold look as if they had a record each. */
function* runningPlaces(reader: Reader, behind: Buffer | undefined): Iterable<Place> {
  const behindSeq = behind === undefined ? -1 : seqOfKey(behind)
  const held = claimedSeqs(reader).filter((seq) => seq > behindSeq)
  const placeOf = (seq: number) => ({ key: runningKey(seq), seq })
  let at = 0
  const range = behind === undefined ? runningRange : { start: after(behind), end: runningRange.end }
  for (const own of ownPlaces(reader, 'running', range)) {
    for (; at < held.length && held[at]! < own.seq; at++) yield placeOf(held[at]!)
    yield own
  }
  for (; at < held.length; at++) yield placeOf(held[at]!)
}

function after(key: Buffer): Buffer {
  return Buffer.concat([key, Buffer.of(0)])
}
