/**
 * The key layout of the store, byte by byte. One LMDB tree; the first byte of a key names the kind of entry. Numbers are
 * unsigned and big-endian, so that byte order is number order. `seq` is the number of a job, given at enqueue, never reused.
 *
 * ```
 *  kind  key after the kind byte                          value
 *  'J'   seq:6                                            job: what was asked for (records.ts, `JobSpec`), or the same of neighbours,
 *                                                         this one and the next ones (`SharedSpecs`)
 *  'S'   seq:6                                            standing of a job that has been started and is not running
 *  's'   seq:6                                            the same of finished neighbours, this one and the next ones (records.ts, `SharedStandings`)
 *  'X'   seq:6                                            running: its standing
 *  'x'   claim:6                                          running, of one claim, with nothing of their own (records.ts, `ClaimRecord`)
 *  'R'   queue:2 front:1 rank:4 order:6                   ready, without a key, in the order in which it will run; empty, or 1 byte: has 'S',
 *                                                         or count:4 of the jobs with this number and the next ones (ready-runs.ts)
 *  'G'   queue:2 group:6 front:1 rank:4 order:6           ready, of a group; flags:1 (1 has 'S', 2 aged) limit:4, 0 for none
 *  'W'   due:6 seq:6                                      scheduled, by due time in epoch ms, 2^48 - 1 for none; empty
 *  'F'   state:1 queue:2 finished:6 seq:6                 finished, by time; digests of this job and the next ones (digest.ts), or empty in format 1
 *  'I'   id in UTF-8                                      seq of the job with this id, for ids chosen by the caller
 *  'D'   id in UTF-8                                      window in which no second job of this id is made
 *  'Z'   at:6 what:1 (seq:6 | id in UTF-8)                what ends by itself: a job (0), a window (1); or a reminder (2) that is due; empty
 *  'K'   queue:2 key in UTF-8                             group: the jobs of a key (records.ts, `KeyGroup`)
 *        0:2 type NUL name                                group: the jobs of a document, in all queues
 *  'T'   queue:2 front:1 rank:4 turn:6                    groups that may start a job, in turn; the key, or type NUL name
 *  'B'   queue:2 until:6 group:6                          groups that may not before an instant; the key in UTF-8
 *  'V'   queue:2 group:6 at:6 turn:6                      starts within the window of a rate limit, group 0: of the queue; noted:1
 *  'A'   parent:6 child:6                                 a job that waits for another; empty
 *  'P'   child:6 parent:6                                 a job on which another depends (records.ts, `ParentRecord`)
 *  'Y'   seq:6                                            finished, and not all that wait for it know; `ParentRecord`
 *  'C'   queue:2                                          counts of jobs per state, and more (records.ts, `QueueTotals`)
 *  'Q'   queue:2                                          name of the queue, whether it is paused
 *  'O'   type NUL name                                    document: its state (records.ts, `DocumentRecord`)
 *  'r'   type NUL name NUL reminder                       a call that a document has asked for (`ReminderRecord`)
 *  'L'   seq:6 index:2                                    entry of the journal of a job (core/journal.ts)
 *  'H'   seq:6 number:6                                   a signal that the job has not taken yet (`SignalRecord`)
 *  'U'   id in UTF-8                                      operations that wait for a decision (`PreparedRecord`)
 *  'M'   name in ASCII                                    `counters`, `owner`, `scheduler`, `growth`
 *  'E'   event id in UTF-8                                scheduler event: its standing (records.ts, `EventRecord`)
 *  'N'   next:6 event id in UTF-8                         scheduler events by their next instant; empty
 *  'd'   key of another entry                             what was there and failed its checksum (records.ts, `SetAsideRecord`)
 * ```
 *
 * A job's state is the place that holds its seq: 'W' scheduled, 'R' or 'G' ready, 'X' or 'x' running, 'F' finished; it is in
 * exactly one. The ready key is a function of the job alone, so a job that becomes ready again returns to its old place:
 * - `front` is 0 for `atFront`, 1 otherwise
 * - `rank` sorts larger priorities first, see {@link rankOf}; 0 at front
 * - `order` is the seq, or at front `2^48 - 1 - seq`, so that the last one put at front is first
 */
import type { DocumentId } from '../core/document.ts'
import { type FinishedState, finishedStates } from '../core/lifecycle.ts'
import { priorityMax, priorityMin } from '../core/limits.ts'

const seqMax = 2 ** 48 - 1

/** In the place of a due time: none. */
export const noInstantMs = seqMax

const kind = {
  job: 0x4a,
  standing: 0x53,
  sharedStandings: 0x73,
  running: 0x58,
  claim: 0x78,
  ready: 0x52,
  keyedReady: 0x47,
  scheduled: 0x57,
  finished: 0x46,
  ending: 0x5a,
  rotation: 0x54,
  blocked: 0x42,
  start: 0x56,
  journal: 0x4c,
  signal: 0x48,
  child: 0x41,
  parent: 0x50,
  untold: 0x59
} as const
const smallKind = {
  id: 0x49,
  throttle: 0x44,
  group: 0x4b,
  counts: 0x43,
  queue: 0x51,
  meta: 0x4d,
  event: 0x45,
  nextEvent: 0x4e,
  document: 0x4f,
  reminder: 0x72,
  prepared: 0x55,
  setAside: 0x64
} as const

/** Keys from `start` (included) to `end` (not included). */
export interface KeyRange {
  start: Buffer
  end: Buffer
}

export function jobKey(seq: number): Buffer {
  return seqKey(kind.job, seq)
}

export function standingKey(seq: number): Buffer {
  return seqKey(kind.standing, seq)
}

/** @param first of the jobs that share the entry */
export function sharedStandingsKey(first: number): Buffer {
  return seqKey(kind.sharedStandings, first)
}

export function runningKey(seq: number): Buffer {
  return seqKey(kind.running, seq)
}

/** @param claim its number, never given twice */
export function claimKey(claim: number): Buffer {
  return seqKey(kind.claim, claim)
}

/** What decides the order of ready jobs. */
export interface ReadyPlace {
  atFront: boolean
  rank: number
  seq: number
}

/** Ranks of jobs whose priority does not age are below this. */
export const agedRank = priorityMax - priorityMin + 1

/**
 * Smaller runs first. Without ageing it follows from the priority alone. With it, a job ranks as if it had been enqueued one
 * `ageingMs` earlier for each step of its priority, in whole seconds: so what has waited long enough overtakes.
 */
export function rankOf(priority: number, ageingMs: number | undefined, enqueuedAtMs: number): number {
  if (ageingMs === undefined) return priorityMax - priority
  const virtualS = Math.floor((enqueuedAtMs - priority * ageingMs) / 1000)
  return Math.min(Math.max(virtualS, agedRank), 2 ** 32 - 1)
}

export function readyKey(queue: number, place: ReadyPlace): Buffer {
  const key = Buffer.allocUnsafe(14)
  key[0] = kind.ready
  key.writeUInt16BE(queue, 1)
  writePlace(key, 3, place)
  return key
}

/** Of a job that has a key or a document; `group` stands for that. */
export function keyedReadyKey(queue: number, group: number, place: ReadyPlace): Buffer {
  const key = groupedKey(kind.keyedReady, queue, group, 20)
  writePlace(key, 9, place)
  return key
}

const placeBytes = 11

function writePlace(key: Buffer, at: number, { atFront, rank, seq }: ReadyPlace): void {
  key[at] = atFront ? 0 : 1
  key.writeUInt32BE(atFront ? 0 : rank, at + 1)
  key.writeUIntBE(atFront ? seqMax - seq : seq, at + 5, 6)
}

/** Of either kind of ready key. */
export function placeOfReadyKey(key: Buffer): ReadyPlace {
  const at = key.length - placeBytes
  const atFront = key[at] === 0
  const order = key.readUIntBE(at + 5, 6)
  return { atFront, rank: key.readUInt32BE(at + 1), seq: atFront ? seqMax - order : order }
}

export function seqOfReadyKey(key: Buffer): number {
  return placeOfReadyKey(key).seq
}

export function queueOfReadyKey(key: Buffer): number {
  return key.readUInt16BE(1)
}

/** Of two jobs, in whatever queues: negative where `one` comes first. */
export function comparePlaces(one: Buffer, other: Buffer): number {
  return one.compare(other, other.length - placeBytes, other.length, one.length - placeBytes)
}

/**
 * Where a group stands among those that may start a job, by its first job: at front the last one put there first, then by
 * rank, then by turn. Aged ranks differ by when a job came, which is what turns are to even out, so they count as one.
 */
export function rotationKey(queue: number, { atFront, rank, seq }: ReadyPlace, turn: number): Buffer {
  const key = Buffer.allocUnsafe(14)
  key[0] = kind.rotation
  key.writeUInt16BE(queue, 1)
  key[3] = atFront ? 0 : 1
  key.writeUInt32BE(atFront ? 0 : Math.min(rank, agedRank), 4)
  key.writeUIntBE(atFront ? seqMax - seq : turn, 8, 6)
  return key
}

export function blockedKey(queue: number, untilMs: number, group: number): Buffer {
  const key = Buffer.allocUnsafe(15)
  key[0] = kind.blocked
  key.writeUInt16BE(queue, 1)
  key.writeUIntBE(untilMs, 3, 6)
  key.writeUIntBE(group, 9, 6)
  return key
}

export function untilOfBlockedKey(key: Buffer): number {
  return key.readUIntBE(3, 6)
}

export function groupKey(queue: number, name: string): Buffer {
  return Buffer.concat([numberedKey(smallKind.group, queue), Buffer.from(name, 'utf8')])
}

/** @param group 0: of the queue as a whole */
export function startKey(queue: number, group: number, atMs: number, turn: number): Buffer {
  const key = groupedKey(kind.start, queue, group, 21)
  key.writeUIntBE(atMs, 9, 6)
  key.writeUIntBE(turn, 15, 6)
  return key
}

export function instantOfStartKey(key: Buffer): number {
  return key.readUIntBE(9, 6)
}

export function turnOfStartKey(key: Buffer): number {
  return key.readUIntBE(15, 6)
}

export function scheduledKey(dueAtMs: number, seq: number): Buffer {
  const key = Buffer.allocUnsafe(13)
  key[0] = kind.scheduled
  key.writeUIntBE(dueAtMs, 1, 6)
  key.writeUIntBE(seq, 7, 6)
  return key
}

export function dueOfScheduledKey(key: Buffer): number {
  return key.readUIntBE(1, 6)
}

export function finishedKey(state: FinishedState, queue: number, finishedAtMs: number, seq: number): Buffer {
  const key = Buffer.allocUnsafe(16)
  key[0] = kind.finished
  key[1] = finishedStates.indexOf(state)
  key.writeUInt16BE(queue, 2)
  key.writeUIntBE(finishedAtMs, 4, 6)
  key.writeUIntBE(seq, 10, 6)
  return key
}

export function stateOfFinishedKey(key: Buffer): FinishedState {
  return finishedStates[key[1]!]!
}

export function queueOfFinishedKey(key: Buffer): number {
  return key.readUInt16BE(2)
}

export function instantOfFinishedKey(key: Buffer): number {
  return key.readUIntBE(4, 6)
}

/** The seq at the end of any other key that ends with one. */
export function seqOfKey(key: Buffer): number {
  return key.readUIntBE(key.length - 6, 6)
}

export function idKey(id: string): Buffer {
  return Buffer.concat([Buffer.of(smallKind.id), Buffer.from(id, 'utf8')])
}

export function throttleKey(id: string): Buffer {
  return Buffer.concat([Buffer.of(smallKind.throttle), Buffer.from(id, 'utf8')])
}

const endingOf = { job: 0, throttle: 1, reminder: 2 } as const

export function jobEndingKey(atMs: number, seq: number): Buffer {
  const key = Buffer.allocUnsafe(14)
  key[0] = kind.ending
  key.writeUIntBE(atMs, 1, 6)
  key[7] = endingOf.job
  key.writeUIntBE(seq, 8, 6)
  return key
}

export function throttleEndingKey(atMs: number, id: string): Buffer {
  return namedEndingKey(atMs, endingOf.throttle, Buffer.from(id, 'utf8'))
}

/** @param reminder key of the reminder */
export function reminderEndingKey(atMs: number, reminder: Buffer): Buffer {
  return namedEndingKey(atMs, endingOf.reminder, reminder)
}

function namedEndingKey(atMs: number, what: number, name: Buffer): Buffer {
  const key = Buffer.allocUnsafe(8)
  key[0] = kind.ending
  key.writeUIntBE(atMs, 1, 6)
  key[7] = what
  return Buffer.concat([key, name])
}

export function instantOfEndingKey(key: Buffer): number {
  return key.readUIntBE(1, 6)
}

/** @returns the job that ends there, the id whose window does, or the key of the reminder that is due */
export function subjectOfEndingKey(key: Buffer): { seq: number } | { id: string } | { reminder: Buffer } {
  if (key[7] === endingOf.job) return { seq: key.readUIntBE(8, 6) }
  return key[7] === endingOf.throttle ? { id: key.toString('utf8', 8) } : { reminder: key.subarray(8) }
}

/** Names hold no control characters, so NUL ends one. */
export function documentKey({ type, name }: DocumentId): Buffer {
  return Buffer.from(`O${type}\0${name}`, 'utf8')
}

export function documentOfKey(key: Buffer): DocumentId {
  const [type, name] = key.toString('utf8', 1).split('\0')
  return { type: type!, name: name! }
}

/** @param type undefined: of all types */
export function documentRange(type: string | undefined): KeyRange {
  return rangeOf(Buffer.from(type === undefined ? 'O' : `O${type}\0`, 'utf8'))
}

export function reminderKey({ type, name }: DocumentId, reminder: string): Buffer {
  return Buffer.from(`r${type}\0${name}\0${reminder}`, 'utf8')
}

export function reminderOfKey(key: Buffer): DocumentId & { reminder: string } {
  const [type, name, reminder] = key.toString('utf8', 1).split('\0')
  return { type: type!, name: name!, reminder: reminder! }
}

/** The reminders of a document. */
export function reminderRange({ type, name }: DocumentId): KeyRange {
  return rangeOf(Buffer.from(`r${type}\0${name}\0`, 'utf8'))
}

export function journalKey(seq: number, index: number): Buffer {
  const key = Buffer.allocUnsafe(9)
  key[0] = kind.journal
  key.writeUIntBE(seq, 1, 6)
  key.writeUInt16BE(index, 7)
  return key
}

export function journalRange(seq: number): KeyRange {
  return rangeOf(seqKey(kind.journal, seq))
}

export function signalKey(seq: number, number: number): Buffer {
  return pairKey(kind.signal, seq, number)
}

export function signalRange(seq: number): KeyRange {
  return rangeOf(seqKey(kind.signal, seq))
}

export function preparedKey(id: string): Buffer {
  return Buffer.concat([Buffer.of(smallKind.prepared), Buffer.from(id, 'utf8')])
}

export function idOfPreparedKey(key: Buffer): string {
  return key.toString('utf8', 1)
}

/** Of what was under `key` and failed its checksum. */
export function setAsideKey(key: Buffer): Buffer {
  return Buffer.concat([Buffer.of(smallKind.setAside), key])
}

/** @returns the key under which it was */
export function originOfSetAsideKey(key: Buffer): Buffer {
  return key.subarray(1)
}

export function isOfDocument(key: Buffer): boolean {
  return key[0] === smallKind.document
}

export function childKey(parent: number, child: number): Buffer {
  return pairKey(kind.child, parent, child)
}

export function parentKey(child: number, parent: number): Buffer {
  return pairKey(kind.parent, child, parent)
}

export function untoldKey(seq: number): Buffer {
  return seqKey(kind.untold, seq)
}

export function countsKey(queue: number): Buffer {
  return numberedKey(smallKind.counts, queue)
}

export function queueKey(queue: number): Buffer {
  return numberedKey(smallKind.queue, queue)
}

export function numberOfQueueKey(key: Buffer): number {
  return key.readUInt16BE(1)
}

export function metaKey(name: 'counters' | 'owner' | 'scheduler' | 'growth'): Buffer {
  return Buffer.from(`M${name}`, 'latin1')
}

export function eventKey(id: string): Buffer {
  return Buffer.concat([Buffer.of(smallKind.event), Buffer.from(id, 'utf8')])
}

export function nextEventKey(nextAtMs: number, id: string): Buffer {
  const key = Buffer.allocUnsafe(7)
  key[0] = smallKind.nextEvent
  key.writeUIntBE(nextAtMs, 1, 6)
  return Buffer.concat([key, Buffer.from(id, 'utf8')])
}

export function idOfNextEventKey(key: Buffer): string {
  return key.toString('utf8', 7)
}

export function nextOfNextEventKey(key: Buffer): number {
  return key.readUIntBE(1, 6)
}

export const setAsideRange = rangeOf(Buffer.of(smallKind.setAside))
export const eventRange = rangeOf(Buffer.of(smallKind.event))
export const preparedRange = rangeOf(Buffer.of(smallKind.prepared))
export const nextEventRange = rangeOf(Buffer.of(smallKind.nextEvent))
export const jobRange = rangeOf(Buffer.of(kind.job))
export const sharedStandingsRange = rangeOf(Buffer.of(kind.sharedStandings))
export const runningRange = rangeOf(Buffer.of(kind.running))
export const claimRange = rangeOf(Buffer.of(kind.claim))
export const scheduledRange = rangeOf(Buffer.of(kind.scheduled))
export const queueRange = rangeOf(Buffer.of(smallKind.queue))
export const endingRange = rangeOf(Buffer.of(kind.ending))
export const untoldRange = rangeOf(Buffer.of(kind.untold))

/** The jobs that wait for `parent`. */
export function childRange(parent: number): KeyRange {
  return rangeOf(seqKey(kind.child, parent))
}

/** The jobs on which `child` depends. */
export function parentRange(child: number): KeyRange {
  return rangeOf(seqKey(kind.parent, child))
}

export function readyRange(queue: number): KeyRange {
  return rangeOf(numberedKey(kind.ready, queue))
}

/** The ready jobs of all keys of a queue. */
export function keyedReadyRange(queue: number): KeyRange {
  return rangeOf(numberedKey(kind.keyedReady, queue))
}

export function groupReadyRange(queue: number, group: number): KeyRange {
  return rangeOf(groupedKey(kind.keyedReady, queue, group, 9))
}

export function rotationRange(queue: number): KeyRange {
  return rangeOf(numberedKey(kind.rotation, queue))
}

export function blockedRange(queue: number): KeyRange {
  return rangeOf(numberedKey(kind.blocked, queue))
}

export function startRange(queue: number, group: number): KeyRange {
  return rangeOf(groupedKey(kind.start, queue, group, 9))
}

export function finishedRange(state: FinishedState, queue: number): KeyRange {
  return rangeOf(Buffer.of(kind.finished, finishedStates.indexOf(state), queue >> 8, queue & 0xff))
}

/** Everything that was due at `nowMs` or before. */
export function dueRange(nowMs: number): KeyRange {
  return { start: scheduledRange.start, end: scheduledKey(nowMs + 1, 0) }
}

function seqKey(kindByte: number, seq: number): Buffer {
  const key = Buffer.allocUnsafe(7)
  key[0] = kindByte
  key.writeUIntBE(seq, 1, 6)
  return key
}

/** @returns a key of so many bytes, whose first nine say kind, queue and group */
function groupedKey(kindByte: number, queue: number, group: number, bytes: number): Buffer {
  const key = Buffer.allocUnsafe(bytes)
  key[0] = kindByte
  key.writeUInt16BE(queue, 1)
  key.writeUIntBE(group, 3, 6)
  return key
}

function pairKey(kindByte: number, first: number, second: number): Buffer {
  const key = Buffer.allocUnsafe(13)
  key[0] = kindByte
  key.writeUIntBE(first, 1, 6)
  key.writeUIntBE(second, 7, 6)
  return key
}

function numberedKey(kindByte: number, number: number): Buffer {
  return Buffer.of(kindByte, number >> 8, number & 0xff)
}

/** Every key that begins with `prefix`. */
function rangeOf(prefix: Buffer): KeyRange {
  const end = Buffer.from(prefix)
  for (let at = end.length - 1; at >= 0; at--) {
    if (end[at] !== 0xff) {
      end[at]!++
      return { start: prefix, end: end.subarray(0, at + 1) }
    }
  }
  throw new Error('a key prefix needs a successor')
}
