/** A pool without threads, and timers without time: the test says what jobs do, and when it is later. */
import assert from 'node:assert/strict'
import type { JobAnswer, JobMessage, JobQuestion, Outcome, Pool, PoolListener } from '../../runtime/core/pool.ts'
import type { Timers } from '../../runtime/core/timers.ts'

export class FakePool implements Pool {
  readonly listener: PoolListener
  /** Jobs that run or wait for a thread, in the order in which they were given. */
  readonly running: JobMessage[] = []
  /** All that were ever given. */
  readonly given: string[] = []
  readonly killed: string[] = []
  /** All that were given, as `id number type`. */
  readonly answers: string[] = []
  readonly #asked = new Map<string, (answer: JobAnswer) => void>()
  #nextNumber = 1
  #whenRun: ((job: JobMessage) => void)[] = []

  readonly #threads: number

  /** @param threads of jobs beyond them no start is told */
  constructor(listener: PoolListener, threads = Number.POSITIVE_INFINITY) {
    this.listener = listener
    this.#threads = threads
  }

  get waiting(): readonly JobMessage[] {
    return this.running.slice(this.#threads)
  }

  start(): void {}
  renew(): void {}
  async stop(): Promise<void> {}

  run(jobs: readonly JobMessage[]): void {
    for (const job of jobs) {
      this.running.push(job)
      this.given.push(job.id)
      if (this.#threads === Number.POSITIVE_INFINITY) this.listener.started(job.id, 0)
      for (const resolve of this.#whenRun.splice(0)) resolve(job)
    }
  }

  /** The job that is given next. */
  next(): Promise<JobMessage> {
    return new Promise((resolve) => this.#whenRun.push(resolve))
  }

  answer(id: string, number: number, answer: JobAnswer): void {
    this.answers.push(`${id} ${number} ${answer.type}`)
    const resolve = this.#asked.get(`${id} ${number}`)
    assert.ok(resolve, 'an answer to what was not asked, or was answered')
    this.#asked.delete(`${id} ${number}`)
    resolve(answer)
  }

  kill(id: string): void {
    this.killed.push(id)
    this.#drop(id)
  }

  /** The job asks; resolves with the answer, if there is one. */
  ask(id: string, question: JobQuestion): Promise<JobAnswer> {
    const number = this.#nextNumber++
    return new Promise((resolve) => {
      this.#asked.set(`${id} ${number}`, resolve)
      this.listener.asked(id, number, question)
    })
  }

  end(id: string, outcome: Outcome): void {
    this.#drop(id)
    this.listener.outcomes([{ id, outcome }])
  }

  endAll(outcome: Outcome): void {
    this.listener.outcomes(this.running.splice(0).map(({ id }) => ({ id, outcome })))
  }

  giveBack(ids: readonly string[]): void {
    for (const id of ids) this.#drop(id)
    this.listener.outcomes(ids.map((id) => ({ id, outcome: { type: 'givenBack', hostEnded: false } })))
  }

  #drop(id: string): void {
    const at = this.running.findIndex((job) => job.id === id)
    if (at >= 0) this.running.splice(at, 1)
  }
}

export class FakeTimers implements Timers {
  nowMs = 0
  readonly #clock: { nowMs: number }
  #armed: { atMs: number; action: () => void }[] = []

  after(delayMs: number, action: () => void): () => void {
    const timer = { atMs: this.nowMs + delayMs, action }
    this.#armed.push(timer)
    return () => {
      this.#armed = this.#armed.filter((each) => each !== timer)
    }
  }

  /** @param clock goes on as the timers do */
  constructor(clock: { nowMs: number }) {
    this.#clock = clock
  }

  get delaysMs(): number[] {
    return this.#armed.map(({ atMs }) => atMs - this.nowMs).toSorted((one, other) => one - other)
  }

  /** Goes to the next timer and lets it go off. @returns how much later it is */
  runNext(): number {
    const next = this.#armed.toSorted((one, other) => one.atMs - other.atMs)[0]
    assert.ok(next, 'no timer is armed')
    const passedMs = next.atMs - this.nowMs
    this.nowMs = next.atMs
    this.#clock.nowMs += passedMs
    this.#armed = this.#armed.filter((each) => each !== next)
    next.action()
    return passedMs
  }
}
