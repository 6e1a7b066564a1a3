/** Where the jobs of a state are, and in which order. */
import type { JobState } from '../core/lifecycle.ts'
import {
  finishedRange,
  type KeyRange,
  readyRange,
  runningRange,
  scheduledRange,
  seqOfKey,
  seqOfReadyKey
} from '../store/keys.ts'

export interface Place {
  state: JobState
  range: KeyRange
}

/** The scheduled and the running of all queues are in one place each: a visitor of one queue skips the others. */
export function placeOf(state: JobState, queue: number): Place {
  switch (state) {
    case 'scheduled':
      return { state, range: scheduledRange }
    case 'running':
      return { state, range: runningRange }
    case 'ready':
      return { state, range: readyRange(queue) }
    default:
      return { state, range: finishedRange(state, queue) }
  }
}

/** @returns the seq of the job that `key` of the place stands for */
export function seqIn({ state }: Place, key: Buffer): number {
  return state === 'ready' ? seqOfReadyKey(key) : seqOfKey(key)
}
