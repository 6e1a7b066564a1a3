/**
 * How many jobs a dispatcher claims ahead of its free threads.
 *
 * None by itself: a job that is claimed can be overtaken by no other one, and counts as running. But a claim, a message to the
 * threads and a settle cost about the same for one job as for many. So where jobs are quick, as many are claimed ahead as end
 * within {@link aheadMs}: while threads work on those, the next are claimed. That is known from how many have ended lately,
 * so it grows within some rounds, and shrinks with the first slow job: what waits for that is given back by the pool.
 *
 * After the end of a host that held more jobs than threads it is not known which of them was to blame. Until all of those that it
 * may have been have run, none is claimed ahead: then each host that ends says which jobs ran in it.
 */
import type { Outcome } from '../core/pool.ts'
import type { ClaimRoom } from '../queue/claimed-job.ts'

/** So long the threads are given work for; a job that becomes ready now is late by about as much. */
const aheadMs = 10
/** And where more than one job ends in each millisecond: the two syncs of a commit are then shared by many more. */
const aheadMsOfMany = 25
export const aheadMax = 3_000
/** Shorter spans say little: jobs end in groups. */
const spanMsMin = 1

export class Ahead {
  readonly #threads: number
  readonly #nowMs: () => number
  /** Jobs that end within a millisecond; 0: not known. */
  #rate = 0
  /** Since then so many have ended. */
  #span: { fromMs: number; ended: number } | undefined
  /** Of these jobs one may have ended a host. */
  readonly #suspects = new Set<string>()

  /** @param nowMs monotonic */
  constructor(threads: number, nowMs: () => number) {
    this.#threads = threads
    this.#nowMs = nowMs
  }

  /** @returns what may be claimed beside `running` jobs */
  roomFor(running: number): ClaimRoom {
    this.#measure(running === 0)
    if (running === 0) this.#span = undefined
    const threads = Math.max(this.#threads - running, 0)
    return this.enoughFor(running) ? { threads, jobs: threads } : { threads, jobs: this.#most - running }
  }

  /** Threads have work for a while: a claim costs about the same for few jobs as for many, and so does a settle. */
  enoughFor(running: number): boolean {
    return running > this.#threads && running * 2 > this.#most
  }

  /** @returns how many jobs are expected to end meanwhile */
  endsWithin(spanMs: number): number {
    return this.#rate * spanMs
  }

  get #most(): number {
    if (this.#suspects.size > 0) return this.#threads
    const wanted = Math.round(this.#rate * (this.#rate > 1 ? aheadMsOfMany : aheadMs))
    return Math.min(Math.max(wanted, this.#threads), this.#threads + aheadMax)
  }

  /** A claim for which there was room has brought so many jobs. */
  claimed(jobs: number): void {
    if (jobs > 0) this.#span ??= { fromMs: this.#nowMs(), ended: 0 }
    // No other one is ready: those that are not cancelled or removed meanwhile have run.
    else this.#suspects.clear()
  }

  /** A job has ended, or was cancelled. */
  ended(id: string): void {
    this.#suspects.delete(id)
    if (this.#span !== undefined) this.#span.ended++
  }

  /** A job that waited in the pool was given back: no thread became free in time, or its host ended. */
  givenBack(id: string, { hostEnded }: Extract<Outcome, { type: 'givenBack' }>): void {
    this.#rate = 0
    this.#span = undefined
    if (hostEnded) this.#suspects.add(id)
  }

  /**
   * While none has ended there is nothing to tell: this thread may have been busy itself, with commits that ask for the room. What
   * is slow is told by its end.
   */
  #measure(isOver: boolean): void {
    if (this.#span === undefined || this.#span.ended === 0) return
    const { fromMs, ended } = this.#span
    const nowMs = this.#nowMs()
    if (nowMs - fromMs < spanMsMin && !isOver) return
    // A span that was slow for once halves it, so that the next ones can bring it back.
    this.#rate = Math.max(ended / Math.max(nowMs - fromMs, spanMsMin), this.#rate / 2)
    this.#span = { fromMs: nowMs, ended: 0 }
  }
}
