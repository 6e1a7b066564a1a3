/**
 * Which jobs start next. What is at front goes first, the last one put there before the others; then larger priorities;
 * then the keys and documents take turns, where the jobs without either count as one; within one by priority and the order
 * of enqueueing. What has expired is cancelled instead, and what the rate limit of the queue does not allow waits. One claim
 * cancels and unblocks a bounded number; the queue is woken for the rest.
 *
 * A pool takes more jobs than it has threads, so that a thread need not wait for the next one. Those beyond the threads must
 * be **simple**: nothing about them depends on when they start, so that it does no harm if they wait in the pool or are given
 * back. A claim ends before the first that is not simple, as one behind it must not overtake it.
 */
import { aheadParamsBytesMax, claimParamsBytesMax, moveBatchMax } from '../core/limits.ts'
import { placeOfReadyKey, type ReadyPlace, readyRange, rotationKey } from '../store/keys.ts'
import type { ClaimRoom } from './claimed-job.ts'
import { expired, type QueueCommit } from './commit.ts'
import { groupOf } from './job-group.ts'
import { readyPlaces } from './ready-runs.ts'
import { readFreshJob, readJob, type StoredJob } from './stored-job.ts'

interface Candidate {
  seq: number
  hasStanding: boolean
  /** Its start is the turn of the jobs without a key: one that has a key could have started instead. */
  isTurn: boolean
}

/** @returns the jobs, now running, in the order in which they start */
export function claimReady(commit: QueueCommit, queue: number, { threads, jobs: jobsMax }: ClaimRoom): StoredJob[] {
  const window = commit.window(queue)
  window.prune()
  const blockedUntilMs = commit.groups.unblock(queue, moveBatchMax)
  const max = mayRunAhead(commit, queue) ? jobsMax : Math.min(threads, jobsMax)
  const claimed: StoredJob[] = []
  const claim = new LazyClaim(commit)
  let paramsBytes = 0
  let cancelled = 0
  search: while (cancelled < moveBatchMax) {
    const room = Math.min(max - claimed.length, window.free)
    const candidates = room > 0 ? nextCandidates(commit, queue, room) : []
    if (candidates.length === 0) break
    for (const candidate of candidates) {
      const isAhead = claimed.length >= threads
      if (isAhead && candidate.hasStanding) break search
      const job = (candidate.hasStanding ? readJob : readFreshJob)(commit.transaction, candidate.seq)!
      if (hasExpired(commit, job)) {
        commit.finish(job, 'cancel', { error: expired })
        cancelled++
        // What waited for it may come before the other candidates.
        break
      }
      const bytes = Buffer.byteLength(job.spec.params)
      if (isAhead && !(isSimple(job, bytes) && paramsBytes + bytes <= claimParamsBytesMax)) break search
      paramsBytes += bytes
      claimed.push(start(commit, job, candidate, claim))
    }
  }
  if (cancelled >= moveBatchMax) commit.wake(queue)
  if (claimed.length < max) wakeLater(commit, queue, blockedUntilMs)
  return claimed
}

/** Starts that a rate limit counts are those of threads. */
function mayRunAhead(commit: QueueCommit, queue: number): boolean {
  return (commit.configOf(queue)?.rateLimit ?? null) === null
}

/** Of a job that has no standing of its own. */
function isSimple({ spec }: StoredJob, paramsBytes: number): boolean {
  return groupOf(spec) === undefined && paramsBytes <= aheadParamsBytesMax
}

/** While no key has its turn, the jobs without one need not be looked at one by one. */
function nextCandidates(commit: QueueCommit, queue: number, room: number): Candidate[] {
  const { ready } = commit.counts(queue)
  if (ready === 0) return []
  // Enqueued in this commit, and nothing besides: not even written yet.
  const fresh = commit.transaction.ready.unwritten(queue, ready)
  if (fresh !== undefined) {
    const { first } = fresh
    return Array.from({ length: Math.min(ready, room) }, (_, at) => ({
      seq: first + at,
      hasStanding: false,
      isTurn: false
    }))
  }
  const keyed = commit.groups.next(queue)
  const limit = keyed === undefined ? room : 1
  const unkeyed: Candidate[] = []
  let head: ReadyPlace | undefined
  for (const { key, seq, hasStanding } of readyPlaces(commit.transaction, readyRange(queue))) {
    head ??= placeOfReadyKey(key)
    if (unkeyed.push({ seq, hasStanding, isTurn: keyed !== undefined }) === limit) break
  }
  if (keyed === undefined) return unkeyed
  if (head === undefined) return [{ ...keyed, isTurn: false }]
  const turn = rotationKey(queue, head, commit.totals(queue).unkeyedTurn)
  return turn.compare(keyed.place) > 0 ? [{ ...keyed, isTurn: false }] : unkeyed
}

function start(commit: QueueCommit, job: StoredJob, { isTurn, hasStanding }: Candidate, claim: LazyClaim): StoredJob {
  const { queue, rules } = job.spec
  const totals = commit.totals(queue)
  const config = commit.configOf(queue)
  const window = commit.window(queue)
  const group = groupOf(job.spec)
  const isKeyCounted = rules?.key !== undefined && (config?.keyRateLimit ?? null) !== null
  const isCounted = (config?.rateLimit ?? null) !== null || isKeyCounted
  const startTurn = group !== undefined || isCounted ? ++totals.turn : null
  if (isTurn) totals.unkeyedTurn = ++totals.turn
  if (startTurn !== null && isCounted) window.reserve(startTurn)
  if (group !== undefined && startTurn !== null) {
    commit.groups.turned(job, group, startTurn)
    if (isCounted) commit.groups.window(job)?.reserve(startTurn)
  }
  if (!hasStanding && group === undefined && !isCounted) {
    job.claim = claim.number
    if (rules === null) {
      commit.claimPlain(job)
      return job
    }
  }
  commit.move(job, 'claim', {
    made: job.standing.made + 1,
    startedAtMs: commit.nowMs,
    startTurn: isCounted ? startTurn : null
  })
  return job
}

/** Its entry ('x') holds the jobs about which nothing else is to be said; a claim without such jobs has none. */
class LazyClaim {
  readonly #commit: QueueCommit
  #number: number | undefined

  constructor(commit: QueueCommit) {
    this.#commit = commit
  }

  get number(): number {
    this.#number ??= this.#commit.beginClaim()
    return this.#number
  }
}

function hasExpired({ nowMs }: QueueCommit, { spec, standing }: StoredJob): boolean {
  const { expiresAtMs } = spec.rules ?? {}
  return expiresAtMs !== undefined && expiresAtMs <= nowMs && standing.startedAtMs === null
}

/** Nothing else would tell that a limit allows more by now. */
function wakeLater(commit: QueueCommit, queue: number, blockedUntilMs: number | undefined): void {
  const window = commit.window(queue)
  const freeAtMs = window.free > 0 ? null : window.freeAtMs()
  if (freeAtMs !== null) commit.wakeAt(queue, freeAtMs)
  if (blockedUntilMs !== undefined) commit.wakeAt(queue, blockedUntilMs)
}
