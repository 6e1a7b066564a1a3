/**
 * Jobs that depend on others. Between a job and one it depends on there are two entries: 'P' (child, parent) for as long as
 * the child exists, with what has become of the parent; and 'A' (parent, child) until the parent has finished and the child
 * knows. How many parents have finished in which way is in the child's standing.
 *
 * The results of parents are copied to their children, so that the parents may be forgotten.
 *
 * A child that waits is scheduled, without a time. When a job finishes, its children are told in the same commit, up to a
 * number; a marker ('Y') says that there are more, and {@link tellSome} goes on from it, a few per commit. A child
 * that fails with its parent finishes as well, so it has children to tell: those wait in line, they do not nest.
 */
import type { JobError } from '../core/job.ts'
import { type FinishedState, isFinished } from '../core/lifecycle.ts'
import { parentResultBytesMax, parentResultsBytesMax, parentsToldMax } from '../core/limits.ts'
import type { ParentOutcome } from '../core/pool.ts'
import { childKey, childRange, parentKey, parentRange, seqOfKey, untoldKey, untoldRange } from '../store/keys.ts'
import { type Counters, type ParentRecord, parentCodec, type Standing } from '../store/records.ts'
import type { Reader, Transaction } from '../store/store.ts'
import { hasJob, readJob, type StoredJob, unmetDependencies, waitsForOthers } from './stored-job.ts'

type Changes = Partial<Omit<Standing, 'state'>>

/** What links need of the commit. */
export interface LinkScope {
  readonly transaction: Transaction
  readonly nowMs: number
  readonly counters: Counters
  move(job: StoredJob, event: 'release' | 'postpone', changes: Changes): void
  finish(job: StoredJob, event: 'fail' | 'cancel', changes: Changes): void
  amend(job: StoredJob, changes: Changes): void
  tell(job: StoredJob, type: 'ready'): void
  upkeepAt(atMs: number): void
  /** Of the whole commit. */
  readonly linkRoom: Room
}

/** How many children may still be told, and entries removed; the others are for upkeep. */
interface Room {
  left: number
}

/** Of one job that finishes or is forgotten, with those that finish with it; and of one piece of upkeep. */
const toldPerJobMax = 100
/** Of all the jobs of one commit. */
export const toldPerCommitMax = 500
const empty = Buffer.alloc(0)

/**
 * Enters what `child` depends on. Parents that have finished already are told at once.
 *
 * @param predecessor one of the parents, whose end is waited for whatever it is
 */
export function link(
  commit: LinkScope,
  child: StoredJob,
  parents: readonly StoredJob[],
  predecessor: StoredJob | undefined
): void {
  const { transaction } = commit
  for (const parent of parents) {
    const key = parentKey(child.seq, parent.seq)
    const anyEnd = parent === predecessor
    transaction.put(key, parentCodec.encode(key, { id: parent.spec.id, state: null, result: null, anyEnd }))
    if (isFinished(parent.standing.state)) continue
    transaction.put(childKey(parent.seq, child.seq), empty)
    commit.counters.links++
  }
  for (const parent of parents) {
    // The first may have ended the child, and what is kept of it may be nothing.
    if (isFinished(parent.standing.state) && hasJob(transaction, child.seq)) {
      tellChild(commit, child, parent.seq, parentRecord(parent))
    }
  }
}

/** Tells the children of a job that has finished, as many as there is room for; the others are for {@link tellSome}. */
export function tellChildren(commit: LinkScope, job: StoredJob, room: Room): void {
  tellOf(commit, job.seq, parentRecord(job), room)
}

export function roomForOne(): Room {
  return { left: toldPerJobMax }
}

/** A job is forgotten: what still waits for it is told that it was cancelled, and what it depended on is let go. */
export function forgetLinks(commit: LinkScope, job: StoredJob): void {
  const room = roomForOne()
  const record = parentRecord(job)
  const { state, dependencies } = job.standing
  if (!isFinished(state)) tellOf(commit, job.seq, record, room)
  if (dependencies !== null && !letGo(commit, job.seq, room)) mark(commit, job.seq, record)
}

/** Goes on where the commit of a finish or removal had to stop; {@link hasUntold} says whether more is left. */
export function tellSome(commit: LinkScope): void {
  const { transaction } = commit
  const room = roomForOne()
  for (const { key, value } of [...transaction.entries({ ...untoldRange, limit: toldPerJobMax })]) {
    if (leftOf(commit, room) === 0) return
    const seq = seqOfKey(key)
    transaction.remove(key)
    const record = parentCodec.decode(key, value)
    tellOf(commit, seq, record, room)
    // Of a forgotten job what it depended on is let go as well.
    if (!hasJob(transaction, seq) && !letGo(commit, seq, room)) mark(commit, seq, record)
  }
}

export function hasUntold(reader: Reader): boolean {
  for (const _ of reader.keys({ ...untoldRange, limit: 1 })) return true
  return false
}

/** What a child learns of the jobs it depends on; results beyond a bound are left out. */
export function parentsOf(reader: Reader, child: StoredJob): ParentOutcome[] {
  let room = parentResultsBytesMax
  return [...reader.entries({ ...parentRange(child.seq), limit: parentsToldMax })].map(({ key, value }) => {
    const { id, state, result } = parentCodec.decode(key, value)
    room -= result?.length ?? 0
    return { id, state, ...(result === null || room < 0 ? {} : { result }) }
  })
}

export function parentIdsOf(reader: Reader, child: StoredJob, max: number): string[] {
  return [...reader.entries({ ...parentRange(child.seq), limit: max })].map(
    ({ key, value }) => parentCodec.decode(key, value).id
  )
}

function leftOf(commit: LinkScope, room: Room): number {
  return Math.max(Math.min(room.left, commit.linkRoom.left), 0)
}

function take(commit: LinkScope, room: Room, count: number): void {
  room.left -= count
  commit.linkRoom.left -= count
}

function tellOf(commit: LinkScope, seq: number, record: ParentRecord, room: Room): void {
  const { transaction } = commit
  const { start, end } = childRange(seq)
  const left = leftOf(commit, room)
  // One more than there is room for tells whether some are left.
  const keys = [...transaction.keys({ start, end, limit: left + 1 })]
  for (const key of keys.slice(0, left)) {
    take(commit, room, 1)
    // A child that was told before may have taken this one along, and it may be forgotten already.
    if (!transaction.has(key)) continue
    transaction.remove(key)
    commit.counters.links--
    const child = readJob(transaction, seqOfKey(key))
    if (child !== undefined) tellChild(commit, child, seq, record)
  }
  if (keys.length > left) mark(commit, seq, record)
}

function tellChild(commit: LinkScope, child: StoredJob, parent: number, record: ParentRecord): void {
  const { standing } = child
  const state = record.state!
  if (standing.dependencies === null) return
  const key = parentKey(child.seq, parent)
  const { anyEnd } = parentCodec.decode(key, commit.transaction.get(key)!)
  commit.transaction.put(key, parentCodec.encode(key, { ...record, anyEnd }))
  const dependencies = { ...standing.dependencies, [state]: standing.dependencies[state] + 1 }
  const rule = state === 'completed' || anyEnd ? 'release' : (child.spec.rules?.onParentFailure ?? 'fail')
  if (!waitsForOthers(standing)) commit.amend(child, { dependencies })
  else if (rule === 'release') release(commit, child, dependencies)
  else commit.finish(child, rule, { dependencies, error: parentFailed(record.id, state, rule) })
}

function release(commit: LinkScope, child: StoredJob, dependencies: StoredJob['standing']['dependencies']): void {
  const { runAtMs } = child.spec
  if (unmetDependencies({ ...child.standing, dependencies }) > 0) {
    commit.amend(child, { dependencies })
  } else if (runAtMs !== null && runAtMs > commit.nowMs) {
    commit.move(child, 'postpone', { dependencies, dueAtMs: runAtMs })
  } else {
    commit.move(child, 'release', { dependencies })
    commit.tell(child, 'ready')
  }
}

function parentFailed(id: string, state: FinishedState, rule: 'fail' | 'cancel'): JobError {
  const message = `The job "${id}", on which this one depends, was ${state === 'failed' ? 'failed' : 'cancelled'}.`
  return { code: rule === 'fail' ? 'UNRECOVERABLE' : 'CANCELLED', name: 'ParentFailed', message }
}

/** @returns whether nothing is left */
function letGo(commit: LinkScope, child: number, room: Room): boolean {
  const { transaction } = commit
  const { start, end } = parentRange(child)
  const left = leftOf(commit, room)
  const keys = [...transaction.keys({ start, end, limit: left + 1 })]
  const now = keys.slice(0, left)
  for (const key of now) {
    transaction.remove(key)
    const link = childKey(seqOfKey(key), child)
    if (!transaction.has(link)) continue
    transaction.remove(link)
    commit.counters.links--
  }
  take(commit, room, now.length)
  return now.length === keys.length
}

function mark(commit: LinkScope, seq: number, record: ParentRecord): void {
  const key = untoldKey(seq)
  commit.transaction.put(key, parentCodec.encode(key, record))
  commit.upkeepAt(commit.nowMs)
}

/** What the children of a job that has ended are told; one that is forgotten before its end counts as cancelled. */
export function parentRecord({ spec, standing }: StoredJob): ParentRecord {
  const { state, result } = standing
  const fits = result !== null && Buffer.byteLength(result) <= parentResultBytesMax
  return { id: spec.id, state: isFinished(state) ? state : 'cancelled', result: fits ? result : null, anyEnd: false }
}
