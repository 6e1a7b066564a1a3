/**
 * Changing many jobs: one step walks the jobs of a selection from a cursor, changes those that may be changed, a few per
 * commit, and ends after a number of jobs or after looking at a number of them. Who wants all of them goes on from the
 * cursor; so nobody else waits, the caller sees progress, and a walk survives a restart.
 */
import { RuntimeError } from '../core/errors.ts'
import type { JobSelection } from '../core/job.ts'
import type { JobState } from '../core/lifecycle.ts'
import type { AttemptTrace } from './claimed-job.ts'
import type { QueueCommit } from './commit.ts'
import type { StoredJob } from './stored-job.ts'

export type BulkChange =
  | { type: 'cancel'; traceOf: (queue: string, id: string) => AttemptTrace | undefined }
  | { type: 'retry'; params?: unknown }
  | { type: 'remove' }
  | { type: 'move'; to: string }

/** The states that a change applies to, in the order in which they are walked. */
const states: Readonly<Record<BulkChange['type'], readonly JobState[]>> = {
  cancel: ['scheduled', 'ready', 'running'],
  retry: ['failed'],
  remove: [],
  move: ['scheduled', 'ready']
}

export function statesOf(change: BulkChange, { state }: JobSelection): readonly JobState[] {
  return state === undefined ? states[change.type] : [state]
}

/**
 * Jobs changed by one commit. Steps run without a pause, and whoever enqueues meanwhile waits for two such commits at worst;
 * the commit itself costs as much as some tens of jobs.
 */
export const pieceChangesMax = 50
/** What one step, and one commit of it, may look at; see `looksMax` in job-walk.ts. */
export const stepLooksMax = 60_000
export const pieceLooksMax = 3_000

/** A change of many jobs, ready to be applied. */
export interface Bulk {
  /** Jobs that may still be changed in this commit, at least 1. */
  room: (commit: QueueCommit) => number
  /**
   * @returns false where there is nothing to do for the job, or it must not be changed so
   * @throws RuntimeError where there is no room for it, which the first of a commit alone can meet
   */
  apply: (commit: QueueCommit, job: StoredJob) => boolean
}

/** Where a step goes on: which of the states, and behind which entry of it. */
interface StepPosition {
  state: number
  key: string | undefined
}

const form = /^(\d)\.([\w-]*)$/

export const stepCursor = {
  write: ({ state, key = '' }: StepPosition): string => `${state}.${key}`,
  /** @throws RuntimeError `PARAMS_INVALID` */
  read(text: string | undefined): StepPosition {
    if (text === undefined) return { state: 0, key: undefined }
    const [, state, key] = form.exec(text) ?? []
    if (state === undefined) {
      throw new RuntimeError(
        'PARAMS_INVALID',
        'Cannot go on with the change of many jobs: the cursor is none. Use the cursor of the step before.'
      )
    }
    return { state: Number(state), key: key === '' ? undefined : key }
  }
}
