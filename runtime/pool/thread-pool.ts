/**
 * Threads on one Piscina: inside a host process, or in the supervisor's own for a queue with `isolation: inline`.
 *
 *   given ─► waiting ─► in a frame ─► begun ─► ended, told
 *               ▲            │
 *               └─ taken back┘
 *
 * A run is one attempt of one job, from `run` to its outcome or its kill. A run is current while the map holds it under
 * its job's id; only of current runs anything is told. So what a killed thread still says, and a second attempt of the
 * same job, cannot be mixed up.
 *
 * A free thread gets a **frame**: one job, or many that wait where jobs have been quick lately. Threads say nothing of a job that
 * ends at once but write its outcome into memory (core/frame-memory.ts), which is read when the frame is over and at each tick of a **watch**.
 * That tells the start of what takes longer, and takes from its thread what it has not begun, for others not to wait behind it.
 * The watch goes on while something waits or is untold, so neither an idle pool nor a job that runs for an hour costs a tick.
 *
 * Killing ends the processes that the job has started and aborts its frame; Piscina terminates the thread and starts
 * another in its place. A thread in a native call does not end: it is `stuck`, and only the end of the process ends it. A
 * job without any outcome of its own, because its thread ended, gets the reason of that end as its outcome; the rest of its frame
 * waits for another thread.
 *
 * The job of a document goes to the free thread that ran the document last, if there is one: it may still have the state.
 *
 * `renew` puts a new Piscina in the place of the old one, since a thread never loads a module twice; the old one is
 * destroyed after its last frame.
 */
import { strict as assert } from 'node:assert'
import { EventEmitter } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type MessagePort, receiveMessageOnPort, type Worker } from 'node:worker_threads'
import { Piscina, queueOptionsSymbol } from 'piscina'
import type { FrameTask, ThreadAnswer, ThreadHello, ThreadMessage } from '../actor/messages.ts'
import { FrameMemory, frameJobsMax } from '../core/frame-memory.ts'
import { threadEndGraceMs } from '../core/limits.ts'
import { isPlain, packJobs } from '../core/packed-jobs.ts'
import type { Ended, JobAnswer, JobMessage, Outcome, Pool, PoolListener } from '../core/pool.ts'
import { DocumentThreads } from './document-threads.ts'
import { inheritedFlags } from './inherited-flags.ts'
import { hasUnreapedChildren, killChildrenOfThread, killProcessesOfJob } from './job-processes.ts'
import { threadEndOutcome } from './thread-end.ts'

export interface ThreadPoolOptions {
  /** Name of the queue, for messages. */
  queue: string
  /** Jobs that run at a time, from 1. */
  threads: number
  listener: PoolListener
  /** Heap that one thread may use; null: Node's own limit. */
  heapLimitMb: number | null
  /** Flags of Node for the threads; undefined: those of this process. */
  execArgv?: string[] | undefined
  /** Environment of the threads; undefined: that of this process. */
  env?: Record<string, string> | undefined
  /**
   * Only the end of this process cleans up: a killed thread has not ended in time, and may never; or it has, and its dead
   * children remain; or so many threads have ended that what each may have left adds up.
   */
  stuck?(): void
}

interface Thread {
  readonly worker: Worker
  /** As Node counts. */
  readonly id: number
  readonly piscina: Piscina
  readonly ended: Promise<void>
  /** Emits `abort`: Piscina takes that for a signal of its task, as it does an AbortSignal, which costs more than a small job. */
  readonly abort: EventEmitter
  /** Piscina has said that it gives it tasks. */
  isCreated: boolean
  /** Its modules are loaded. */
  readonly loaded: Promise<void>
  hello: { port: MessagePort; memory: FrameMemory; taskId: number | null } | undefined
  frame: Frame | undefined
  /** It is killed, or has ended. */
  isGone: boolean
}

type ReadyThread = Thread & { hello: NonNullable<Thread['hello']> }

interface Run {
  readonly job: JobMessage
  frame: Frame | undefined
  index: number
  isStartTold: boolean
  /** Threads that ended with this at the head of their frame, before they had begun it. */
  lostStarts: number
  outcome: Outcome | undefined
  /** Questions without an answer: the number that the thread gave, by the one that the listener was told. */
  questions: Map<number, number> | undefined
}

interface Frame {
  readonly number: number
  readonly thread: ReadyThread
  /** Without what was taken back. */
  readonly runs: Run[]
  /** Jobs that the thread knows of. */
  readonly size: number
  readonly beganMs: number
  /** What the thread had not begun was taken back: `runs` are those that it has begun. */
  isCut: boolean
  /** Outcomes before this index have been read. */
  read: number
  /** Outcomes that came over the port, by index. */
  posted: Map<number, Outcome> | undefined
  mustRetire: boolean
  isOver: boolean
}

/** A thread that ends while a file is being opened for it leaves the descriptor open, and memory is never quite given back. */
const threadEndsPerProcessMax = 100
/** A killed process is gone by then. */
const processEndGraceMs = 50
/** Between two looks at frames that are under way. What runs that long is told as started, and nothing waits behind it. */
const watchMs = 4
/** What has waited for so many looks, while no job ended and no thread became free, is given back: after about 20 ms. */
const looksInVainMax = 5
/** A frame should be over by then: what comes meanwhile waits behind it, and whoever gave the jobs learns nothing. */
const frameMs = 3
/** Less than this is not worth a second thread: to wake one costs about 0.1 ms. */
const unsplitMs = 0.5
const frameParamsCharsMax = 128 * 1024
/** Longer than a thread takes to load its modules on a busy machine. */
const threadStartGraceMs = 5_000
/** A thread may end by what an earlier job has left, a moment before it takes the next one. */
const lostStartsMax = 3
const threadEntry = fileURLToPath(new URL('../actor/thread.js', import.meta.url))

export class ThreadPool implements Pool {
  readonly #options: ThreadPoolOptions
  readonly #current = new Map<string, Run>()
  /** In the order in which they are to begin. */
  readonly #waiting: Run[] = []
  readonly #frames = new Set<Frame>()
  /** Threads that have not ended, killed ones included. */
  readonly #threads = new Map<Worker, Thread>()
  readonly #documents = new DocumentThreads()
  #framesMax: number
  #threadEnds = 0
  #questions = 0
  #frameNumber = 0
  /** How long jobs have taken lately. */
  #msPerJob = Number.POSITIVE_INFINITY
  /** Looks in a row that found jobs waiting and nothing done. */
  #looksInVain = 0
  #watch: NodeJS.Timeout | undefined
  /** Outcomes that are told as soon as what is under way is done. */
  #ended: Run[] = []
  /** Renewed, but still running a job. */
  readonly #outdated = new Set<Piscina>()
  #piscina: Piscina | undefined
  #stopped: Promise<void> | undefined

  constructor(options: ThreadPoolOptions) {
    this.#options = options
    this.#framesMax = options.threads
  }

  start(): void {
    this.#piscina ??= this.#open()
  }

  run(jobs: readonly JobMessage[]): void {
    const { queue } = this.#options
    if (this.#waiting.length === 0) this.#looksInVain = 0
    for (const job of jobs) {
      assert(this.#stopped === undefined, `The pool of queue "${queue}" was given job ${job.id} after its stop`)
      assert(!this.#current.has(job.id), `The pool of queue "${queue}" was given job ${job.id} while it runs`)
      const run: Run = {
        job,
        frame: undefined,
        index: 0,
        isStartTold: false,
        lostStarts: 0,
        outcome: undefined,
        questions: undefined
      }
      this.#current.set(job.id, run)
      this.#waiting.push(run)
    }
    this.#beginFrames()
  }

  kill(id: string): void {
    const run = this.#current.get(id)
    if (run === undefined) return
    this.#current.delete(id)
    const { frame } = run
    if (frame === undefined) {
      const at = this.#waiting.indexOf(run)
      if (at !== -1) this.#waiting.splice(at, 1)
      return
    }
    if (frame.isOver) return
    this.#takeBack(frame)
    const hasBegun = run.frame !== undefined
    this.#read(frame)
    // What has ended is told, whatever was said of it last; the job itself is forgotten.
    if (hasBegun && !frame.isOver && frame.read <= run.index) {
      this.#endThread(frame)
      void this.#watchEnd(run, frame.thread)
    } else this.#beginFrames()
  }

  answer(id: string, number: number, answer: JobAnswer): void {
    const run = this.#current.get(id)
    const asked = run?.questions?.get(number)
    if (run === undefined || asked === undefined) return
    run.questions?.delete(number)
    run.frame?.thread.hello.port.postMessage({ number: asked, answer } satisfies ThreadAnswer)
  }

  renew(): void {
    const old = this.#piscina
    if (old === undefined) return
    this.#piscina = undefined
    this.#outdated.add(old)
    for (const frame of this.#frames) this.#takeBack(frame)
    this.#dropIfUnused(old)
    this.#beginFrames()
  }

  /** Gives back what no thread has begun. */
  giveBack(): void {
    for (const frame of this.#frames) this.#takeBack(frame)
    this.#giveBackWaiting()
  }

  /** Uses no more threads than this at a time, of those that it has. */
  limit(threads: number): void {
    this.#framesMax = Math.min(threads, this.#options.threads)
    this.#beginFrames()
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  /** Jobs that are on threads. */
  get running(): number {
    return this.#frames.size
  }

  /** Whether it has any job. */
  get busy(): boolean {
    return this.#current.size > 0
  }

  get #piscinas(): Piscina[] {
    return [...this.#outdated, ...(this.#piscina === undefined ? [] : [this.#piscina])]
  }

  #beginFrames(): void {
    if (this.#waiting.length === 0 || this.#stopped !== undefined) return
    this.#piscina ??= this.#open()
    while (this.#waiting.length > 0 && this.#frames.size < this.#framesMax) {
      const thread = this.#freeThread(this.#waiting[0]!.job)
      if (thread === undefined) break
      this.#begin(thread, this.#nextRuns())
    }
    this.#keepWatch()
  }

  #freeThread({ document }: JobMessage): ReadyThread | undefined {
    const last = document === undefined ? undefined : this.#documents.lastOf(document)
    let free: ReadyThread | undefined
    for (const thread of this.#threads.values()) {
      if (thread.piscina !== this.#piscina || thread.frame !== undefined || !isReady(thread)) continue
      free ??= thread
      if (last === undefined) break
      if (thread.id === last) free = thread
    }
    if (document !== undefined && free !== undefined) this.#documents.note(document, free.id)
    return free
  }

  /** Takes those of the next frame from what waits: as many as its thread is likely to be done with in time. */
  #nextRuns(): Run[] {
    const share = Math.ceil(this.#waiting.length / this.#framesMax)
    const jobsIn = (ms: number) => Math.max(Math.floor(ms / this.#msPerJob), 1)
    const most = Math.min(Math.max(share, jobsIn(unsplitMs)), jobsIn(frameMs), frameJobsMax)
    let count = 0
    let chars = 0
    for (const { job } of this.#waiting) {
      chars += job.params.length
      if (count > 0 && (count === most || chars > frameParamsCharsMax || !isPlain(job))) break
      count += 1
      if (!isPlain(job)) break
    }
    return this.#waiting.splice(0, count)
  }

  #begin(thread: ReadyThread, runs: Run[]): void {
    const { piscina, hello } = thread
    this.#looksInVain = 0
    const frame: Frame = {
      number: ++this.#frameNumber,
      thread,
      runs,
      size: runs.length,
      beganMs: performance.now(),
      isCut: false,
      read: 0,
      posted: undefined,
      mustRetire: false,
      isOver: false
    }
    for (const [index, run] of runs.entries()) {
      run.frame = frame
      run.index = index
    }
    thread.frame = frame
    this.#frames.add(frame)
    hello.memory.clear()
    const { number } = frame
    const task: FrameTask =
      runs.length === 1 ? { number, job: runs[0]!.job } : { number, jobs: packJobs(runs.map(({ job }) => job)) }
    Object.assign(task, { [queueOptionsSymbol]: thread.id })
    const over: Promise<unknown> = piscina.run(task, { signal: thread.abort })
    over.then(
      () => this.#over(frame),
      (reason) => this.#lost(frame, reason)
    )
  }

  /** Its thread is done with it. */
  #over(frame: Frame): void {
    if (frame.isOver) return
    this.#drain(frame.thread)
    this.#read(frame)
    if (frame.isOver) return
    this.#takeBack(frame)
    if (frame.read < frame.runs.length) {
      // Piscina takes a thread that ends by `throw null` for one that is done.
      this.#lost(frame, undefined)
      return
    }
    const msPerJob = (performance.now() - frame.beganMs) / Math.max(frame.runs.length, 1)
    this.#msPerJob = this.#msPerJob === Number.POSITIVE_INFINITY ? msPerJob : (this.#msPerJob + msPerJob) / 2
    this.#close(frame)
  }

  /** Its thread has ended. What the job said before that may still wait in the port: two channels have no common order. */
  #lost(frame: Frame, reason: unknown): void {
    if (frame.isOver) return
    this.#drain(frame.thread)
    this.#read(frame)
    if (frame.isOver) return
    this.#takeBack(frame)
    const [culprit] = frame.runs.slice(frame.read)
    if (culprit !== undefined) this.#settle(culprit, threadEndOutcome(reason))
    else if (frame.runs.length === 0) this.#countLostStart(reason)
    this.#gone(frame.thread)
    this.#close(frame)
  }

  /** No job had begun, so none is to blame; but what ends thread after thread must come to an end. */
  #countLostStart(reason: unknown): void {
    const [first] = this.#waiting
    if (first === undefined) return
    first.lostStarts += 1
    if (first.lostStarts < lostStartsMax) return
    this.#waiting.shift()
    this.#settle(first, threadEndOutcome(reason))
  }

  /** Kills the thread of the frame and has it replaced. */
  #endThread(frame: Frame): void {
    const { thread } = frame
    if (thread.hello.taskId !== null) killChildrenOfThread(thread.hello.taskId)
    this.#gone(thread)
    thread.abort.emit('abort')
    this.#close(frame)
  }

  #close(frame: Frame): void {
    frame.isOver = true
    frame.thread.frame = undefined
    this.#frames.delete(frame)
    this.#know(frame.thread.piscina)
    this.#dropIfUnused(frame.thread.piscina)
    this.#beginFrames()
  }

  /** What the thread has not begun waits again, before all that came later. */
  #takeBack(frame: Frame): void {
    if (frame.isCut) return
    frame.isCut = true
    const back = frame.runs.splice(frame.thread.hello.memory.takeBack(frame.size))
    for (const run of back) run.frame = undefined
    this.#waiting.unshift(...back.filter((run) => this.#isCurrent(run)))
  }

  /** Reads what has ended, in order. */
  #read(frame: Frame): void {
    this.#readUpTo(frame, frame.runs.length)
    if (!frame.mustRetire || frame.isOver) return
    this.#takeBack(frame)
    this.#endThread(frame)
  }

  /** But for the last of the frame, which is told when that is over, in a moment: whoever hears of it finds the thread free. */
  #readButLast(frame: Frame): void {
    this.#readUpTo(frame, Math.min(frame.runs.length, frame.size - 1))
  }

  #readUpTo(frame: Frame, end: number): void {
    const { memory } = frame.thread.hello
    for (; frame.read < end; frame.read++) {
      let outcome: Outcome | undefined = frame.posted?.get(frame.read)
      if (outcome === undefined) {
        const slot = memory.read(frame.read)
        if (slot.type === 'open') break
        if (slot.type === 'posted') this.#drain(frame.thread)
        outcome = slot.type === 'completed' ? slot : frame.posted?.get(frame.read)
        assert(outcome !== undefined, 'an outcome is in the port before its slot says so')
      }
      this.#settle(frame.runs[frame.read]!, outcome)
    }
  }

  #settle(run: Run, outcome: Outcome): void {
    if (!this.#isCurrent(run) || run.outcome !== undefined) return
    run.outcome = outcome
    this.#looksInVain = 0
    if (this.#ended.push(run) === 1) queueMicrotask(() => this.#tellEnded())
  }

  #tellEnded(): void {
    const told: Ended[] = []
    for (const run of this.#ended) {
      if (!this.#isCurrent(run)) continue
      this.#current.delete(run.job.id)
      told.push({ id: run.job.id, outcome: run.outcome! })
    }
    this.#ended = []
    if (told.length > 0) this.#options.listener.outcomes(told)
  }

  #isCurrent(run: Run): boolean {
    return this.#current.get(run.job.id) === run
  }

  #hear(thread: Thread, message: ThreadMessage): void {
    this.#note(thread, message)
    if (thread.frame === undefined) return
    if (message.type === 'retire') this.#read(thread.frame)
    else if (message.type === 'outcome') this.#readButLast(thread.frame)
  }

  #drain(thread: ReadyThread): void {
    const { port } = thread.hello
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
      this.#note(thread, next.message as ThreadMessage)
    }
  }

  #note({ frame }: Thread, message: ThreadMessage): void {
    const run = frame?.runs[message.index]
    if (frame === undefined || frame.number !== message.frame || run === undefined) return
    if (message.type === 'retire') frame.mustRetire = true
    else if (message.type === 'outcome') {
      frame.posted ??= new Map()
      frame.posted.set(message.index, message.outcome)
    } else if (this.#isCurrent(run) && run.outcome === undefined) this.#tell(run, message)
  }

  #tell(run: Run, message: Exclude<ThreadMessage, { type: 'outcome' | 'retire' }>): void {
    const { listener } = this.#options
    const { id } = run.job
    this.#tellStart(run)
    if (message.type === 'called') listener.called(id)
    else if (message.type === 'progress') listener.progress(id, message.percent, message.stage)
    else if (message.type === 'log') listener.log(id, message.line)
    else {
      this.#questions += 1
      run.questions ??= new Map()
      run.questions.set(this.#questions, message.number)
      listener.asked(id, this.#questions, message.question)
    }
  }

  /** Before anything else that is told of it. */
  #tellStart(run: Run): void {
    if (run.isStartTold || !this.#isCurrent(run)) return
    run.isStartTold = true
    const { memory } = run.frame!.thread.hello
    // Of one that is over already, the memory speaks of another job.
    const agoMs = memory.hasEnded(run.index) ? 0 : memory.startedAgoMs()
    this.#options.listener.started(run.job.id, agoMs)
  }

  #keepWatch(): void {
    if (this.#watch !== undefined || this.#stopped !== undefined) return
    const isNeeded = this.#waiting.length > 0 || [...this.#frames].some((frame) => !isLastTold(frame))
    if (isNeeded) this.#watch = setTimeout(() => this.#look(), watchMs)
  }

  #look(): void {
    this.#watch = undefined
    this.#looksInVain += 1
    for (const frame of this.#frames) this.#readButLast(frame)
    const isThreadFree = this.#waiting.length === 0 && this.#frames.size < this.#framesMax
    for (const frame of this.#frames) {
      const run = runningOf(frame)
      if (run === undefined) continue
      this.#tellStart(run)
      if (isThreadFree || frame.thread.hello.memory.startedAgoMs() >= watchMs - 1) this.#takeBack(frame)
    }
    this.#beginFrames()
    if (this.#looksInVain >= looksInVainMax && !this.#isStarting) this.#giveBackWaiting()
    this.#keepWatch()
  }

  #giveBackWaiting(): void {
    for (const run of this.#waiting.splice(0)) this.#settle(run, { type: 'givenBack', hostEnded: false })
  }

  get #isStarting(): boolean {
    return [...this.#threads.values()].some(
      (thread) => thread.piscina === this.#piscina && !thread.isGone && !isReady(thread)
    )
  }

  /** After a kill: its thread must be gone within the grace period, and what the job started in its last moment as well. */
  async #watchEnd({ job }: Run, { hello }: ReadyThread): Promise<void> {
    const alive = this.#piscinas.flatMap(({ threads }) => threads)
    const killed = [...this.#threads.values()].filter(({ worker }) => !alive.includes(worker))
    const ends = Promise.all(killed.map(({ ended }) => ended))
    const inTime = await Promise.race([
      ends.then(() => terminateEndsThreads),
      pause(threadEndGraceMs, false, { ref: false })
    ])
    if (!inTime) this.#options.stuck?.()
    if (hello.taskId === null) return
    killProcessesOfJob(job.id)
    await pause(processEndGraceMs, undefined, { ref: false })
    if (hasUnreapedChildren()) this.#options.stuck?.()
  }

  #open(): Piscina {
    const { threads, heapLimitMb, execArgv, env } = this.#options
    const piscina = new Piscina({
      filename: threadEntry,
      minThreads: threads,
      maxThreads: threads,
      concurrentTasksPerWorker: 1,
      recordTiming: false,
      // Piscina's own choice includes threads that are still starting: a job would wait there while another is free, and
      // a kill there would be taken for a thread that cannot start, after which dead threads are no longer replaced.
      loadBalancer: (task, candidates) => candidates.find(({ id }) => id === Number(task[queueOptionsSymbol])) ?? null,
      ...(heapLimitMb === null ? {} : { resourceLimits: { maxOldGenerationSizeMb: heapLimitMb } }),
      ...(execArgv === undefined ? inheritedFlags() : { execArgv }),
      ...(env === undefined ? {} : { env })
    })
    piscina.on('workerCreate', ({ id }: { id: number }) => {
      this.#know(piscina)
      for (const thread of this.#threads.values()) if (thread.id === id) thread.isCreated = true
      this.#beginFrames()
    })
    piscina.on('error', (error: unknown) => this.#threadFailed(piscina, error))
    this.#know(piscina)
    return piscina
  }

  /** Called before a new thread can have said anything. */
  #know(piscina: Piscina): void {
    for (const worker of piscina.threads) {
      if (this.#threads.has(worker)) continue
      const ended = new Promise<void>((resolve) => {
        worker.once('exit', (code) => {
          resolve()
          this.#exited(thread, code)
        })
      })
      const loaded = new Promise<void>((resolve) => {
        worker.once('message', (hello: ThreadHello) => {
          this.#greeted(thread, hello)
          // Piscina's own message that the thread is ready comes next.
          worker.once('message', () => resolve())
        })
      })
      const thread: Thread = {
        worker,
        id: worker.threadId,
        piscina,
        ended,
        abort: new EventEmitter(),
        isCreated: false,
        loaded,
        hello: undefined,
        frame: undefined,
        isGone: false
      }
      this.#threads.set(worker, thread)
    }
  }

  #greeted(thread: Thread, { port, memory, taskId }: ThreadHello): void {
    if (thread.isGone || this.#stopped !== undefined) {
      port.close()
      return
    }
    thread.hello = { port, memory: new FrameMemory(memory), taskId }
    listen(port, (message) => this.#hear(thread, message))
    this.#beginFrames()
  }

  #gone(thread: Thread): void {
    thread.isGone = true
    thread.hello?.port.close()
  }

  #exited(thread: Thread, code: number): void {
    const { piscina } = thread
    this.#threads.delete(thread.worker)
    this.#gone(thread)
    this.#know(piscina)
    this.#threadEnds += 1
    if (this.#threadEnds % threadEndsPerProcessMax === 0) this.#options.stuck?.()
    const { frame } = thread
    const reason = new Error(`worker exited with code: ${code}`)
    if (frame === undefined) this.#threadFailed(piscina, reason)
    // Piscina has said so already, unless it was about to give the frame to a thread that was ending.
    else
      setImmediate(() => {
        if (frame.isOver) return
        thread.abort.emit('abort')
        this.#lost(frame, reason)
      })
  }

  /**
   * A thread without a job ended. Piscina replaces it, unless threads do not even start: then jobs would wait for ever, so
   * they fail with the reason, and the next job begins with a new Piscina.
   */
  #threadFailed(piscina: Piscina, error: unknown): void {
    this.#know(piscina)
    if (piscina.threads.length > 0 || this.#piscina !== piscina || this.#stopped !== undefined) return
    this.#piscina = undefined
    for (const run of this.#waiting.splice(0)) this.#settle(run, threadEndOutcome(error))
    void piscina.destroy()
  }

  #dropIfUnused(piscina: Piscina): void {
    if (!this.#outdated.has(piscina)) return
    if ([...this.#frames].some(({ thread }) => thread.piscina === piscina)) return
    this.#outdated.delete(piscina)
    void this.#untilStarted(piscina).then(() => destroy(piscina))
  }

  /**
   * A thread that is ended while it loads its own modules can abort the process: Node 20 does not expect that where a module
   * is required. What a job imports is loaded in another way.
   */
  async #untilStarted(piscina: Piscina): Promise<void> {
    const threads = [...this.#threads.values()].filter((thread) => thread.piscina === piscina)
    const started = Promise.all(threads.map(({ loaded, ended }) => Promise.race([loaded, ended])))
    // Nothing else may keep the process alive until then.
    const waiting = new AbortController()
    await Promise.race([
      started,
      pause(threadStartGraceMs, undefined, { signal: waiting.signal }).catch(() => undefined)
    ])
    waiting.abort()
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#watch)
    for (const frame of this.#frames) frame.isOver = true
    for (const { hello } of this.#threads.values()) hello?.port.close()
    this.#current.clear()
    this.#waiting.length = 0
    const piscinas = this.#piscinas
    await Promise.all(piscinas.map((piscina) => this.#untilStarted(piscina)))
    await Promise.all(piscinas.map((piscina) => piscina.destroy()))
    // A thread in a native call may never end; it must not keep its supervisor from stopping.
    const ends = Promise.all([...this.#threads.values()].map(({ ended }) => ended))
    await Promise.race([ends, pause(threadEndGraceMs, undefined, { ref: false })])
    await Promise.all(piscinas.map(destroy))
  }
}

/** A port that has come from a thread is on Deno one of the web, not of Node. */
function listen(port: MessagePort, hear: (message: ThreadMessage) => void): void {
  if (typeof port.on !== 'function') {
    Object.assign(port, { onmessage: ({ data }: { data: ThreadMessage }) => hear(data) })
    return
  }
  port.on('message', hear)
  // While it has a frame, Piscina keeps the process alive.
  port.unref()
}

function isReady(thread: Thread): thread is ReadyThread {
  return thread.isCreated && thread.hello !== undefined && !thread.isGone
}

/** @returns the job with which the thread is busy; undefined where it is between two, or has not begun, or is over */
function runningOf({ thread, runs, size, isCut }: Frame): Run | undefined {
  const { memory } = thread.hello
  const last = (isCut ? runs.length : memory.begun(size)) - 1
  return last >= 0 && !memory.hasEnded(last) ? runs[last] : undefined
}

/** Whether the thread has begun all of the frame, and the last of it is told. */
function isLastTold({ thread, runs, size, isCut }: Frame): boolean {
  const begun = isCut ? runs.length : thread.hello.memory.begun(size)
  return begun === runs.length && runs.at(-1)?.isStartTold === true
}

/** On Deno the promise of `terminate` tells nothing: a thread that spins goes on for ever. Only the process can end it. */
const terminateEndsThreads = process.versions.deno === undefined && process.versions.bun === undefined

/** The late end of a thread that was killed before makes Piscina start another one, also after `destroy`. */
async function destroy(piscina: Piscina): Promise<void> {
  await piscina.destroy()
  while (piscina.threads.length > 0) await piscina.destroy()
}
