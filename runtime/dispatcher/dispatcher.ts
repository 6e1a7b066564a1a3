/**
 * One queue's way from ready to settled: claims jobs, gives them to the pool, holds their deadlines, and settles their outcomes.
 * Settles and the claim of the next jobs are asked for in the same turn, so they share one commit. The claim is the last of
 * it, so it also takes what became ready in the same commit.
 *
 * How many are claimed: as many as there are free threads, and while jobs are quick, simple ones ahead of that, which wait in
 * the pool (ahead.ts). So a commit and a message to the threads carry many small jobs, and a slow one holds back none.
 *
 * A job in {@link Dispatcher.#running} is running on disk, and has exactly one of these ends: the pool tells its outcome, or
 * gives it back; its deadline passes; it is cancelled (the queue has settled it already); the supervisor stops. Whichever
 * comes first takes it out of the table, and what comes later finds nothing.
 */

import type { MethodCatalogue } from '../core/catalogue.ts'
import type { Clock } from '../core/clock.ts'
import type { QueueConfig } from '../core/config.ts'
import { RuntimeError } from '../core/errors.ts'
import type { EventStream, JobEvent, JobEventType } from '../core/events.ts'
import { failPoint } from '../core/fail-points.ts'
import { iso } from '../core/instant.ts'
import { logLinesMax } from '../core/limits.ts'
import type { Ended, JobAnswer, JobMessage, JobQuestion, Pool, PoolListener } from '../core/pool.ts'
import { Rest } from '../core/rest.ts'
import type { Timers } from '../core/timers.ts'
import type { AttemptEnd, Ending } from '../queue/attempts.ts'
import type { AttemptTrace, ClaimedJob, ClaimRoom } from '../queue/claimed-job.ts'
import type { DurableQueue } from '../queue/durable-queue.ts'
import { Ahead } from './ahead.ts'
import { TraceStore } from './trace-store.ts'

export interface DispatcherParts {
  config: QueueConfig
  queue: DurableQueue
  catalogue: MethodCatalogue
  /** Makes the pool of this queue. */
  pool: (listener: PoolListener) => Pool
  timers: Timers
  clock: Clock
  events: EventStream
}

interface Running {
  readonly job: ClaimedJob
  readonly trace: AttemptTrace
  /** Of its deadline, once its start has been told. */
  cancelDeadline: (() => void) | undefined
  /** Of the note that it has started. */
  cancelNote: (() => void) | undefined
}

const retryWhenFullMs = 1_000
/** While threads have work for longer, what has ended may wait so long for others to share a commit with. */
const gatherMs = 2
/**
 * Where nothing is ready no thread waits for a settle. While other jobs run that are about to end, it comes some times as long
 * after the last one as that took, a few milliseconds at most.
 */
const restPerSettle = 2
const restMsMax = 4
const wakeWaitMsMax = 60_000
/**
 * Between the message that a method is called and its first line the machine may do something else. Where a limit counts
 * starts, this much time is left to it, as a share of the limit's span, before the start is noted; unless the job ends first.
 */
const firstLineMsMax = 20
const firstLineShareMax = 0.02

const noRoom: ClaimRoom = { threads: 0, jobs: 0 }

export class Dispatcher {
  readonly #parts: DispatcherParts
  readonly #pool: Pool
  readonly #traces: TraceStore
  readonly #running = new Map<string, Running>()
  readonly #ahead: Ahead
  /** Ended, and to be settled together. */
  #ends: AttemptEnd[] = []
  /** Until then more may join {@link Dispatcher.#ends}. */
  #cancelGathering: (() => void) | undefined
  /** For how many jobs there was room at the last claim, and whether it left any. */
  #roomAtClaim = 0
  #isDry = false
  /** After a settle. */
  readonly #rest: Rest
  /**
   * `asking` and `askAgain` are `open` while a commit that claims is asked for, the latter when that may not be enough.
   * `quiet`: what runs may finish. `interrupting`: the time for that is over.
   */
  #state: 'new' | 'open' | 'asking' | 'askAgain' | 'quiet' | 'interrupting' = 'new'
  /** When the queue may have jobs that a limit or a pause does not allow now. */
  #wakes: { atMs: number; cancel: () => void } | undefined
  /** Claims and settles that are not on disk yet. */
  readonly #writes = new Set<Promise<void>>()
  readonly #whenDrained: (() => void)[] = []

  constructor(parts: DispatcherParts) {
    this.#parts = parts
    this.#rest = new Rest(parts.clock, restPerSettle, restMsMax)
    this.#traces = new TraceStore(parts.queue, parts.timers)
    this.#ahead = new Ahead(parts.config.backgroundWorkers, () => parts.clock.monotonicMs())
    this.#pool = parts.pool({
      started: (id, agoMs) => this.#started(id, agoMs),
      called: (id) => this.#called(id),
      progress: (id, percent, stage) => this.#progress(id, percent, stage),
      log: (id, line) => this.#log(id, line),
      asked: (id, number, question) => this.#asked(id, number, question),
      outcomes: (ended) => this.#ended(ended)
    })
  }

  /** Jobs wait, and will be claimed soon. A host takes as long to start as a supervisor, and is ended if none comes. */
  prepare(): void {
    if (this.#parts.config.isolation === 'process') this.#pool.start()
  }

  start(): void {
    if (this.#state !== 'new') return
    this.#state = 'open'
    if (this.#parts.config.minHosts > 0) this.#pool.start()
    this.wake()
  }

  /** Jobs from now on run the code that actor files hold now. */
  renew(): void {
    this.#pool.renew()
  }

  /** Jobs may be ready, or threads free. */
  wake(): void {
    if (this.#state === 'asking') this.#state = 'askAgain'
    if (this.#state !== 'open' || this.room.jobs === 0) return
    this.#state = 'asking'
    this.#write(async () => {
      if (!this.#isStopping) await this.#parts.queue.wake(this.#parts.config.name)
    }).finally(() => this.#afterClaim())
  }

  /** For how many jobs there is room: asked at the end of each commit after which jobs may be ready, and they are claimed in it. */
  get room(): ClaimRoom {
    const room = this.#isOpen ? this.#ahead.roomFor(this.#running.size) : noRoom
    this.#roomAtClaim = room.jobs
    return room
  }

  /** Jobs are ready for which there was no room. */
  ready(): void {
    this.#isDry = false
    this.wake()
  }

  /**
   * So many jobs a commit has claimed where there was room; perhaps none. They begin in the next turn: first whoever made them
   * is answered.
   */
  claimed(jobs: readonly ClaimedJob[]): void {
    this.#ahead.claimed(jobs.length)
    this.#isDry = jobs.length < this.#roomAtClaim
    if (jobs.length === 0) return
    this.#hold(jobs)
    setImmediate(() => this.#given(jobs))
  }

  /** Jobs that a limit or a pause holds back may be claimed at that instant. */
  wakeAt(atMs: number): void {
    if (this.#isStopping || (this.#wakes !== undefined && this.#wakes.atMs <= atMs)) return
    this.#wakes?.cancel()
    const { timers, clock } = this.#parts
    // The wall clock is looked at again at least once a minute: it may have been set.
    const waitMs = Math.min(Math.max(atMs - clock.wallMs(), 0), wakeWaitMsMax)
    const cancel = timers.after(waitMs, () => {
      this.#wakes = undefined
      this.wake()
    })
    this.#wakes = { atMs, cancel }
  }

  /** The queue has cancelled a running job: its thread is killed and its slot is free. */
  cancelled(id: string): void {
    this.#ahead.ended(id)
    if (this.#take(id) === undefined) return
    this.#pool.kill(id)
    this.#slotsFree()
  }

  /** What a running job has said so far; undefined when it does not run here. */
  trace(id: string): AttemptTrace | undefined {
    return this.#running.get(id)?.trace
  }

  /**
   * Claims nothing more, waits for what runs, after `deadlineMs` kills the rest and returns it to ready, then ends the
   * threads. May be called again with a shorter deadline.
   */
  async stop(deadlineMs: number): Promise<void> {
    if (this.#state !== 'interrupting') this.#state = 'quiet'
    this.#wakes?.cancel()
    const cancel = this.#parts.timers.after(deadlineMs, () => this.#interruptAll())
    this.#settle()
    while (this.#running.size > 0 || this.#writes.size > 0) {
      await Promise.all([...this.#writes, this.#running.size > 0 ? this.#untilDrained() : undefined])
    }
    cancel()
    await this.#pool.stop()
  }

  get #isOpen(): boolean {
    return this.#state !== 'new' && !this.#isStopping
  }

  get #isStopping(): boolean {
    return this.#state === 'quiet' || this.#state === 'interrupting'
  }

  #given(jobs: readonly ClaimedJob[]): void {
    failPoint('claim.committed')
    this.#run(jobs)
    failPoint('claim.given')
  }

  #afterClaim(): void {
    if (this.#isStopping) return
    const again = this.#state === 'askAgain'
    this.#state = 'open'
    if (again) this.wake()
  }

  #hold(jobs: readonly ClaimedJob[]): void {
    for (const job of jobs) {
      const trace: AttemptTrace = { progress: null, logs: [] }
      this.#running.set(job.id, { job, trace, cancelDeadline: undefined, cancelNote: undefined })
    }
  }

  #run(jobs: readonly ClaimedJob[]): void {
    const messages: JobMessage[] = []
    for (const job of jobs) {
      // Cancelled or interrupted meanwhile.
      if (this.#running.get(job.id)?.job !== job) continue
      const method = this.#parts.catalogue.known(job.method)
      if (this.#state === 'interrupting') this.#finish(job.id, { type: 'interrupted' })
      else if (method === undefined || (method.documentType === null) !== (job.document === undefined)) {
        this.#finish(job.id, methodGone(job))
      } else messages.push(messageOf(job, method.file))
    }
    if (messages.length > 0) this.#pool.run(messages)
    this.#settle()
  }

  #started(id: string, agoMs: number): void {
    const running = this.#running.get(id)
    if (running === undefined) return
    const leftMs = Math.max(running.job.timeoutMs - agoMs, 0)
    running.cancelDeadline = this.#parts.timers.after(leftMs, () => this.#timedOut(id))
    this.#tell(running, 'started', { at: iso(this.#parts.clock.wallMs() - agoMs) })
  }

  #called(id: string): void {
    const running = this.#running.get(id)
    if (running === undefined) return
    const { queue, clock, timers, config } = this.#parts
    const spanMs = Math.min(config.rateLimit?.perMs ?? Infinity, config.keyRateLimit?.perMs ?? Infinity)
    running.cancelNote = timers.after(Math.min(firstLineMsMax, spanMs * firstLineShareMax), () => {
      const atMs = clock.wallMs()
      this.#write(() => queue.noteStart(running.job, atMs))
    })
  }

  #progress(id: string, percent: number, stage: string | null): void {
    const running = this.#running.get(id)
    if (running === undefined) return
    const progress = { percent, stage }
    running.trace.progress = progress
    this.#traces.changed(running)
    this.#tell(running, 'progress', { progress })
  }

  #log(id: string, line: AttemptTrace['logs'][number]): void {
    const running = this.#running.get(id)
    if (running === undefined) return
    running.trace.logs.push(line)
    if (running.trace.logs.length > logLinesMax) running.trace.logs.shift()
    this.#traces.changed(running)
    this.#tell(running, 'log', { log: line })
  }

  /**
   * No stop waits for it, and once the attempt is over nobody wants the answer. While the disk is full the question is asked
   * again, like any other write.
   */
  async #asked(id: string, number: number, question: JobQuestion): Promise<void> {
    const running = this.#running.get(id)
    while (running !== undefined && this.#running.get(id) === running) {
      const answer = await this.#answerTo(running.job, question)
      if (this.#running.get(id) !== running) return
      if (answer === 'interrupt') {
        this.#pool.kill(id)
        this.#finish(id, { type: 'interrupted' })
        this.#settle()
        return
      }
      if (answer !== 'storageFull') {
        this.#pool.answer(id, number, answer)
        return
      }
      await this.#untilTriedAgain()
    }
  }

  /** `interrupt`: its document was changed by others, so the attempt begins again with what it is now. */
  async #answerTo(job: ClaimedJob, question: JobQuestion): Promise<JobAnswer | 'storageFull' | 'interrupt'> {
    const { queue } = this.#parts
    try {
      const value = question.type === 'state' ? { state: queue.documents.stateOf(job) } : await queue.ask(job, question)
      return { type: 'answered', value }
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error
      // What is damaged is being set aside; a document stays so.
      const passes = error.code === 'DATA_DAMAGED' && question.type !== 'state'
      if (error.code === 'STORAGE_FULL' || passes) return 'storageFull'
      if (question.type === 'state' && error.code === 'DOCUMENT_CHANGED') return 'interrupt'
      return { type: 'refused', code: error.code, message: error.message, data: { ...error.data } }
    }
  }

  #timedOut(id: string): void {
    const timeoutMs = this.#running.get(id)?.job.timeoutMs
    this.#pool.kill(id)
    this.#finish(id, {
      type: 'failed',
      final: false,
      error: {
        code: 'TIMEOUT',
        name: 'TimeoutError',
        message: `The job ran longer than its timeout of ${(timeoutMs ?? 0) / 1000} s and was killed.`
      }
    })
    this.#settle()
  }

  #interruptAll(): void {
    this.#state = 'interrupting'
    for (const id of [...this.#running.keys()]) {
      this.#pool.kill(id)
      this.#finish(id, { type: 'interrupted' })
    }
    this.#settle()
  }

  #ended(ended: readonly Ended[]): void {
    for (const { id, outcome } of ended) {
      if (outcome.type === 'givenBack') this.#ahead.givenBack(id, outcome)
      else this.#ahead.ended(id)
      this.#finish(id, outcome)
    }
    const waitMs = this.#mayWaitMs
    if (waitMs > 0) this.#cancelGathering ??= this.#parts.timers.after(waitMs, () => this.#settle())
    else this.#settle()
  }

  /** So long what has ended may wait for more. */
  get #mayWaitMs(): number {
    if (this.#isStopping) return 0
    if (this.#ahead.enoughFor(this.#running.size)) return gatherMs
    if (!this.#isDry || this.#running.size === 0) return 0
    const { leftMs } = this.#rest
    return this.#ahead.endsWithin(leftMs) >= 1 ? leftMs : 0
  }

  /** The job is to be settled with {@link Dispatcher.#settle}. */
  #finish(id: string, ending: Ending): void {
    const running = this.#take(id)
    if (running === undefined) return
    failPoint('outcome.received')
    if (running.cancelDeadline === undefined && ending.type !== 'givenBack' && ending.type !== 'interrupted') {
      this.#tell(running, 'started')
    }
    this.#ends.push({ job: running.job, ending, trace: running.trace })
  }

  #settle(): void {
    this.#cancelGathering?.()
    this.#cancelGathering = undefined
    const ends = this.#ends
    if (ends.length === 0) return
    this.#ends = []
    const { queue, clock } = this.#parts
    this.#write(async () => {
      const beganMs = clock.monotonicMs()
      await queue.settleAll(ends)
      this.#rest.begin(beganMs)
      failPoint('settle.committed')
    })
    this.#slotsFree()
  }

  #take(id: string): Running | undefined {
    const running = this.#running.get(id)
    if (running === undefined) return undefined
    this.#running.delete(id)
    running.cancelDeadline?.()
    running.cancelNote?.()
    this.#traces.ended(running)
    return running
  }

  #slotsFree(): void {
    if (this.#running.size === 0) for (const resolve of this.#whenDrained.splice(0)) resolve()
    this.wake()
  }

  #untilDrained(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenDrained.push(resolve)
    })
  }

  /**
   * Runs a write; while the disk is full it is tried again, unless the time to stop is over. What then, or after any other
   * storage error, is not written is recovered by the next supervisor: the job is still running on disk.
   */
  #write(write: () => Promise<void>): Promise<void> {
    const done = this.#untilStored(write).finally(() => this.#writes.delete(done))
    this.#writes.add(done)
    return done
  }

  async #untilStored(write: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await write()
      } catch (error) {
        if (!(error instanceof RuntimeError)) throw error
        if (error.code !== 'STORAGE_FULL' || this.#state === 'interrupting') return
      }
      await this.#untilTriedAgain()
    }
  }

  #untilTriedAgain(): Promise<void> {
    return new Promise((resolve) => {
      this.#parts.timers.after(retryWhenFullMs, resolve)
    })
  }

  #tell({ job }: Running, type: JobEventType, more: Partial<JobEvent> = {}): void {
    const { events, clock } = this.#parts
    if (!events.listened) return
    const { id, queue, method, attempt } = job
    events.emit({ type, job: id, queue, method, at: iso(clock.wallMs()), state: 'running', attempt, ...more })
  }
}

function messageOf(job: ClaimedJob, file: string): JobMessage {
  const { id, queue, method, params, attempt, attemptsMax, timeoutMs, softTimeoutMs, alone, startIsCounted } = job
  const { parents, document, journal } = job
  return {
    id,
    queue,
    method,
    file,
    params,
    attempt,
    attemptsMax,
    timeoutMs,
    softTimeoutMs,
    alone,
    startIsCounted,
    ...(parents === undefined ? {} : { parents }),
    ...(document === undefined ? {} : { document }),
    ...(journal === undefined ? {} : { journal })
  }
}

/** Enqueued when its module exported it; since then the module has changed, perhaps a function for a class. */
function methodGone({ method, document }: ClaimedJob): Ending {
  const what = document === undefined ? 'as a function' : `in a class "${document.type}" that extends Actor`
  const message = `Cannot run "${method}": no actor module exports it ${what} any more.`
  return { type: 'failed', final: false, error: { code: 'THROWN', name: 'MethodUnknown', message } }
}
