/**
 * The key layout of the store, byte by byte. One LMDB tree; the first byte of a key names the kind of entry. Numbers are
 * unsigned and big-endian, so that byte order is number order. `seq` is the number of a job, given at enqueue, never reused.
 *
 * ```
 *  kind  key after the kind byte                          value
 *  'J'   seq:6                                            job: what was asked for (records.ts, `JobSpec`)
 *  'S'   seq:6                                            standing of a job that has been started and is not running
 *  'X'   seq:6                                            running: its standing
 *  'R'   queue:2 front:1 priority:4 order:6               ready, in the order in which it will run; empty, or 1 byte: has 'S'
 *  'W'   due:6 seq:6                                      scheduled, by due time in epoch ms; empty
 *  'F'   state:1 queue:2 finished:6 seq:6                 finished, by time; empty
 *  'I'   id in UTF-8                                      seq:6 of the job with this id, for ids chosen by the caller
 *  'C'   queue:2                                          counts of jobs per state
 *  'Q'   queue:2                                          name of the queue, whether it is paused
 *  'M'   name in ASCII                                    `counters`, `owner`, `scheduler`
 *  'E'   event id in UTF-8                                scheduler event: its standing (records.ts, `EventRecord`)
 *  'N'   next:6 event id in UTF-8                         scheduler events by their next instant; empty
 * ```
 *
 * A job's state is the place that holds its seq: 'W' scheduled, 'R' ready, 'X' running, 'F' finished; it is in exactly one.
 * The ready key is a function of the job alone, so a job that becomes ready again returns to its old place:
 * - `front` is 0 for `atFront`, 1 otherwise
 * - `priority` is stored as `priorityMax - priority`, so that larger priorities sort first; 0 at front
 * - `order` is the seq, or at front `2^48 - 1 - seq`, so that the last one put at front is first
 */
import { priorityMax } from '../core/limits.ts'

const seqMax = 2 ** 48 - 1

const kind = { job: 0x4a, standing: 0x53, running: 0x58, ready: 0x52, scheduled: 0x57, finished: 0x46 } as const
const smallKind = { id: 0x49, counts: 0x43, queue: 0x51, meta: 0x4d, event: 0x45, nextEvent: 0x4e } as const

const finishedStates = ['completed', 'failed', 'cancelled'] as const
export type FinishedState = (typeof finishedStates)[number]

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

export function runningKey(seq: number): Buffer {
  return seqKey(kind.running, seq)
}

export function readyKey(queue: number, atFront: boolean, priority: number, seq: number): Buffer {
  const key = Buffer.allocUnsafe(14)
  key[0] = kind.ready
  key.writeUInt16BE(queue, 1)
  key[3] = atFront ? 0 : 1
  key.writeUInt32BE(atFront ? 0 : priorityMax - priority, 4)
  key.writeUIntBE(atFront ? seqMax - seq : seq, 8, 6)
  return key
}

export function seqOfReadyKey(key: Buffer): number {
  const order = key.readUIntBE(8, 6)
  return key[3] === 0 ? seqMax - order : order
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

/** The seq at the end of a job, running, scheduled or finished key. */
export function seqOfKey(key: Buffer): number {
  return key.readUIntBE(key.length - 6, 6)
}

export function idKey(id: string): Buffer {
  return Buffer.concat([Buffer.of(smallKind.id), Buffer.from(id, 'utf8')])
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

export function metaKey(name: 'counters' | 'owner' | 'scheduler'): Buffer {
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

export const eventRange = rangeOf(Buffer.of(smallKind.event))
export const nextEventRange = rangeOf(Buffer.of(smallKind.nextEvent))
export const jobRange = rangeOf(Buffer.of(kind.job))
export const runningRange = rangeOf(Buffer.of(kind.running))
export const scheduledRange = rangeOf(Buffer.of(kind.scheduled))
export const queueRange = rangeOf(Buffer.of(smallKind.queue))

export function readyRange(queue: number): KeyRange {
  return rangeOf(numberedKey(kind.ready, queue))
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
