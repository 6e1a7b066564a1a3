/**
 * What a pool and one of its threads share while the thread works on a **frame**, a few jobs that it was given together. It
 * replaces two messages per job, and lets the pool take jobs back from a thread that does not listen.
 *
 *   next       index of the job that the thread takes next. Both sides change it in one atomic step, so each job is either
 *              taken by the thread or taken back by the pool
 *   startedMs  when the thread took the last one, on a clock that all threads of a process share
 *   slots      one per job: 0 it has not ended; -1 its outcome went over the port before; n + 1 it has completed with a
 *              result of n bytes of JSON text, and n = 0 stands for `null`
 *   texts      the results, one behind the other, in the order of the jobs
 *
 * A slot is written last, so whoever sees it sees the text, and finds a posted outcome in the port.
 */

/** Jobs in a frame. */
export const frameJobsMax = 128

const nextAt = 0
const startedMsAt = 1
const slotsAt = 2
const cells = slotsAt + frameJobsMax
const cellsBytes = cells * Int32Array.BYTES_PER_ELEMENT
const textsBytes = 64 * 1024
const wasPosted = -1

/** `result` is JSON text. */
export type Slot = { type: 'open' } | { type: 'posted' } | { type: 'completed'; result: string }

const open: Slot = { type: 'open' }
const posted: Slot = { type: 'posted' }
const completedNull: Slot = { type: 'completed', result: 'null' }

/** Each side has its own, over the same buffer. */
export class FrameMemory {
  readonly buffer: SharedArrayBuffer
  readonly #cells: Int32Array
  readonly #texts: Buffer
  /** Of this side: where the next text is written, or read. */
  #textAt = 0

  constructor(buffer = new SharedArrayBuffer(cellsBytes + textsBytes)) {
    this.buffer = buffer
    this.#cells = new Int32Array(buffer, 0, cells)
    this.#texts = Buffer.from(buffer as unknown as ArrayBuffer, cellsBytes, textsBytes)
  }

  /** The pool, before it hands out a frame. */
  clear(): void {
    this.#cells.fill(0)
    this.#textAt = 0
  }

  /** The thread, when it is given a frame. */
  begin(): void {
    this.#textAt = 0
  }

  /** The thread takes a job. @returns its index; one beyond the frame where none is left */
  take(): number {
    // First: the slot of the job before tells that this is not yet about it.
    Atomics.store(this.#cells, startedMsAt, sharedClockMs())
    return Atomics.add(this.#cells, nextAt, 1)
  }

  /** The thread: the job has completed. @returns false where there is no room for the text */
  complete(index: number, result: string): boolean {
    if (result === 'null') {
      Atomics.store(this.#cells, slotsAt + index, 1)
      return true
    }
    const room = textsBytes - this.#textAt
    if (result.length > room || (result.length * 3 > room && Buffer.byteLength(result) > room)) return false
    const bytes = this.#texts.write(result, this.#textAt, 'utf8')
    this.#textAt += bytes
    Atomics.store(this.#cells, slotsAt + index, bytes + 1)
    return true
  }

  /** The thread: the outcome of the job is in the port. */
  posted(index: number): void {
    Atomics.store(this.#cells, slotsAt + index, wasPosted)
  }

  /** The pool takes back what the thread has not begun. @returns how many jobs it has, of `count` */
  takeBack(count: number): number {
    return Math.min(Atomics.exchange(this.#cells, nextAt, count), count)
  }

  /** @returns how many jobs of `count` the thread has begun */
  begun(count: number): number {
    return Math.min(Atomics.load(this.#cells, nextAt), count)
  }

  /** The pool: how long ago the thread took the job with which it is busy. */
  startedAgoMs(): number {
    const startedMs = Atomics.load(this.#cells, startedMsAt)
    // Both are whole milliseconds: rather too short than a deadline that comes too early.
    return Math.max(((sharedClockMs() - startedMs) | 0) - 1, 0)
  }

  hasEnded(index: number): boolean {
    return Atomics.load(this.#cells, slotsAt + index) !== 0
  }

  /** The pool reads each slot once, in order; one that is open again later. */
  read(index: number): Slot {
    const slot = Atomics.load(this.#cells, slotsAt + index)
    if (slot === 0) return open
    if (slot === wasPosted) return posted
    if (slot === 1) return completedNull
    const from = this.#textAt
    this.#textAt += slot - 1
    return { type: 'completed', result: this.#texts.toString('utf8', from, this.#textAt) }
  }
}

/** `performance.now` begins anew in each thread. */
const clockBeginMs = Number(process.hrtime.bigint() / 1000n) / 1000 - performance.now()

/** Wraps around after some weeks; differences do not mind. */
function sharedClockMs(): number {
  return (clockBeginMs + performance.now()) | 0
}
