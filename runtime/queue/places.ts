/** Where the jobs of a state are. */
import { isFinished, type JobState } from '../core/lifecycle.ts'
import {
  finishedRange,
  type KeyRange,
  keyedReadyRange,
  readyRange,
  runningRange,
  scheduledRange,
  seqOfKey,
  seqOfReadyKey
} from '../store/keys.ts'

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

/** @returns the seq of the job that `key` of a place of `state` stands for */
export function seqIn(state: JobState, key: Buffer): number {
  return state === 'ready' ? seqOfReadyKey(key) : seqOfKey(key)
}
