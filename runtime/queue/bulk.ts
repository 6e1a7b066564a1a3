/**
 * Changing many jobs: one step walks the jobs of a selection from a cursor, changes those that may be changed, a few per
 * commit, and ends after a number of jobs or after looking at a number of them. Who wants all of them goes on from the
 * cursor; so nobody else waits, the caller sees progress, and a walk survives a restart.
 *
 * A job may go from a state that is still to be walked to one that has been. So a commit goes on with the next state where it
 * has room: what fits into one commit is changed as it is at one moment. Of more jobs, those that run again meanwhile may be
 * passed over.
 */
import { setImmediate } from 'node:timers/promises'
import type { QueueConfig } from '../core/config.ts'
import { RuntimeError } from '../core/errors.ts'
import type { BulkRequest, BulkStep, JobSelection } from '../core/job.ts'
import type { JobState } from '../core/lifecycle.ts'
import { bulkStepMax } from '../core/limits.ts'
import { cancelJob, mayRetry, moveJob, requireTarget, retryJob, roomIn } from './changes-by-hand.ts'
import type { AttemptTrace } from './claimed-job.ts'
import type { QueueCommit } from './commit.ts'
import { encodePayload } from './job-draft.ts'
import { walkJobs } from './job-walk.ts'
import type { QueueRegistry } from './queue-registry.ts'
import { readJob, type StoredJob } from './stored-job.ts'

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

/** Jobs changed by one commit. Between two of them others have a commit of their own, which need not wait for ours. */
const pieceChangesMax = 25
/** What one step, and one commit of it, may look at; see `looksMax` in job-walk.ts. */
const stepLooksMax = 60_000
const pieceLooksMax = 3_000

export interface BulkParts {
  registry: QueueRegistry
  queues: ReadonlyMap<string, QueueConfig>
  commit: <T>(operation: (commit: QueueCommit) => T) => Promise<T>
}

/** A change, ready to be applied. */
interface Change {
  /** Jobs that may still be changed in this commit, at least 1. */
  room: (commit: QueueCommit) => number
  /**
   * @returns false where there is nothing to do for the job, or it must not be changed so
   * @throws RuntimeError where there is no room for it, which the first of a commit alone can meet
   */
  apply: (commit: QueueCommit, job: StoredJob) => boolean
}

export class BulkChanges {
  readonly #parts: BulkParts

  constructor(parts: BulkParts) {
    this.#parts = parts
  }

  /** @throws RuntimeError `QUEUE_UNKNOWN`, `QUEUE_FULL`, `PARAMS_INVALID`, `PAYLOAD_TOO_LARGE` */
  async step(bulk: BulkChange, request: BulkRequest): Promise<BulkStep> {
    const { limit = bulkStepMax, cursor, ...selection } = request
    const walked = selection.state === undefined ? states[bulk.type] : [selection.state]
    const change = this.#changeOf(bulk)
    let at = stepCursor.read(cursor)
    let changed = 0
    let looks = 0
    while (at.state < walked.length && changed < limit && looks < stepLooksMax) {
      const piece = { selection, walked, from: at, limit: Math.min(limit - changed, pieceChangesMax) }
      const done = await this.#parts.commit((commit) => this.#piece(commit, change, piece))
      changed += done.changed
      looks += done.looks
      at = done.at
      await letOthersCommit()
    }
    return { changed, cursor: at.state >= walked.length ? null : stepCursor.write(at) }
  }

  #piece(commit: QueueCommit, { room, apply }: Change, { selection, walked, from, limit }: Piece) {
    let at = from
    let changed = 0
    let looks = 0
    do {
      const page = walkJobs(commit.transaction, this.#parts.registry, {
        selection: { ...selection, state: walked[at.state]! },
        cursor: at.key,
        limit: Math.min(limit - changed, room(commit)),
        looksMax: pieceLooksMax - looks
      })
      for (const listed of page.jobs) {
        const job = asItIsNow(commit, listed)
        if (job !== undefined && apply(commit, job)) changed++
      }
      looks += page.looks
      at = page.cursor === null ? { state: at.state + 1, key: undefined } : { state: at.state, key: page.cursor }
      // A change that needs room may throw at the first job of a commit only.
    } while (
      at.key === undefined &&
      at.state < walked.length &&
      changed < limit &&
      looks < pieceLooksMax &&
      room(commit) === Number.POSITIVE_INFINITY
    )
    return { changed, looks, at }
  }

  #changeOf(bulk: BulkChange): Change {
    const { registry, queues } = this.#parts
    const room = () => Number.POSITIVE_INFINITY
    switch (bulk.type) {
      case 'cancel':
        return {
          room,
          apply: (commit, job) =>
            cancelJob(commit, job, () => bulk.traceOf(registry.nameOf(job.spec.queue), job.spec.id))
        }
      case 'retry': {
        const payload = bulk.params === undefined ? undefined : encodePayload(bulk.params, 'retry jobs')
        return {
          room,
          apply: (commit, job) => {
            if (!mayRetry(job)) return false
            retryJob(commit, job, payload)
            return true
          }
        }
      }
      case 'remove':
        return {
          room,
          apply: (commit, job) => {
            if (job.standing.state === 'running') return false
            commit.forget(job, 'hand')
            return true
          }
        }
      case 'move': {
        const target = requireTarget(queues, bulk.to)
        return {
          room: (commit) => Math.max(roomIn(commit, target), 1),
          apply: (commit, job) => moveJob(commit, job, target, 'move jobs')
        }
      }
    }
  }
}

/**
 * Where several jobs are changed in one commit, an earlier one may have taken along those that depend on it.
 *
 * @returns undefined: it is not in that state any more
 */
function asItIsNow({ transaction }: QueueCommit, listed: StoredJob): StoredJob | undefined {
  if (listed.standing.dependencies === null) return listed
  const job = readJob(transaction, listed.seq)
  return job?.standing.state === listed.standing.state ? job : undefined
}

/** What was asked for during the last commit is committed in the next turn; whoever comes in the one after shares ours. */
async function letOthersCommit(): Promise<void> {
  await setImmediate()
  await setImmediate()
}

/** What one commit walks. */
interface Piece {
  selection: JobSelection
  walked: readonly JobState[]
  from: StepPosition
  limit: number
}

/** Where a step goes on: which of the states, and behind which entry of it. */
interface StepPosition {
  state: number
  key: string | undefined
}

const form = /^(\d)\.([\w-]*)$/

const stepCursor = {
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
