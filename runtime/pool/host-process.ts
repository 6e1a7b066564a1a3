/**
 * One host process, as the supervisor sees it.
 *
 *   starting ─ ready ─► serving ─ retire ─► retiring ─ last job over ─► ended
 *
 * In every state it can end by itself: then each of its jobs gets the outcome `crashed`, or, if the host never became
 * ready, is run again a little later, because it had no part in that. Of more jobs than it has threads most have not begun:
 * those of which nothing was told are given back. One that retires gives back what no thread has begun. A host is the leader of a process group of its own;
 * its end is a SIGKILL to the group, so that the processes of its jobs end as well.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { hostErrorCharsMax, logLinesMax } from '../core/limits.ts'
import { isPlain, packJobs } from '../core/packed-jobs.ts'
import type { CrashCause, Ended, JobAnswer, JobMessage, Outcome, PoolListener } from '../core/pool.ts'
import type { Timers } from '../core/timers.ts'
import {
  type FromHost,
  type HostOptions,
  Outbox,
  type PackedOutcome,
  type ToHost,
  unpackOutcome
} from './host-messages.ts'
import { inheritedFlags } from './inherited-flags.ts'
import { readLines } from './output-lines.ts'

export interface HostProcessOptions extends HostOptions {
  listener: PoolListener
  /** Complete environment of the process. */
  env: Record<string, string>
  /** Made for one job, because of which a host may have ended before. */
  alone: boolean
  timers: Timers
  /** A number for a question, which no question of the pool has had. */
  questionNumber(): number
  ready(host: HostProcess): void
  /** Killed threads have left what only the end of the host removes: it must be replaced. */
  stuck(host: HostProcess): void
  /** It has fewer jobs than before. */
  relieved(host: HostProcess): void
  /** It has no job any more. */
  idle(host: HostProcess): void
  ended(host: HostProcess): void
}

interface HostJob {
  readonly id: string
  /** Number of the attempt. */
  readonly run: number
  /** The host has said something of it. */
  isStarted: boolean
  /** Lines that the process itself has printed meanwhile. */
  printed: number
  /** Questions without an answer: the number that the host gave, by the one that the listener was told. */
  questions: Map<number, number> | undefined
}

const hostEntry = fileURLToPath(new URL('./host.js', import.meta.url))
/** A host that could not start is tried again after this. */
const startAgainMs = 1_000
/** Time for the streams of a process that has ended to be read to their end. */
const closeGraceMs = 200
const logIsFull = `The log of this attempt is full: after ${logLinesMax - 1} lines further ones are dropped`

export class HostProcess {
  readonly #options: HostProcessOptions
  readonly #child: ChildProcess
  readonly #outbox: Outbox<ToHost>
  /** By the number of their attempt. Only kills and answers go by id, and look for it. */
  readonly #jobs = new Map<number, HostJob>()
  #lastRun = 0
  #limit: number
  /** Tells lines that have no end yet. */
  readonly #flushOutput: () => void
  /** Resolves when the process has ended. */
  readonly end: Promise<void>
  #state: 'starting' | 'serving' | 'retiring' | 'ended' = 'starting'
  #wasReady = false
  /** The last of what it wrote to standard error. */
  #errorText = ''
  #outOfMemory: string | undefined

  constructor(options: HostProcessOptions) {
    this.#options = options
    this.#limit = options.threads
    const { queue, threads, memoryLimitMb, threadFlags, env } = options
    const hostOptions: HostOptions = { queue, threads, memoryLimitMb, threadFlags }
    this.#child = fork(hostEntry, [JSON.stringify(hostOptions)], {
      env,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: process.platform !== 'win32',
      ...inheritedFlags()
    })
    // Not in a later turn: a commit might come before it, and the jobs would wait for that.
    this.#outbox = new Outbox((messages) => {
      // A process that has ended while this is written says so itself.
      if (this.#child.connected) this.#child.send(messages, () => undefined)
    }, queueMicrotask)
    // What the process had printed before it said this is read in the same turn, but perhaps after it.
    this.#child.on('message', (messages: FromHost[]) => {
      setImmediate(() => {
        for (const message of messages) this.#hear(message)
      })
    })
    this.#flushOutput = this.#listenToOutput()
    this.end = new Promise((resolve) => {
      const ended = (reason: string, signal: NodeJS.Signals | null) =>
        setImmediate(() => {
          this.#ended(reason, signal)
          resolve()
        })
      this.#child.on('error', (error) => ended(`could not be started: ${error.message}`, null))
      const exited = (code: number | null, signal: NodeJS.Signals | null) =>
        ended(signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`, signal)
      // On close, what it has said until then has been read. A process that a job has set free may hold the streams open.
      this.#child.once('close', exited)
      this.#child.once('exit', (code, signal) => options.timers.after(closeGraceMs, () => exited(code, signal)))
    })
  }

  get busy(): boolean {
    return this.#jobs.size > 0
  }

  /** Jobs that are on its threads, or may be. */
  get running(): number {
    return Math.min(this.#jobs.size, this.#options.threads)
  }

  run(jobs: readonly JobMessage[]): void {
    let plain: JobMessage[] = []
    for (const job of jobs) {
      if (isPlain(job)) plain.push(job)
      else {
        this.#post(plain)
        plain = []
        this.#post([job])
      }
    }
    this.#post(plain)
  }

  #post(jobs: readonly JobMessage[]): void {
    const [first] = jobs
    if (first === undefined) return
    const run = this.#lastRun + 1
    for (const { id } of jobs) {
      this.#lastRun += 1
      const job: HostJob = { id, run: this.#lastRun, isStarted: false, printed: 0, questions: undefined }
      this.#jobs.set(job.run, job)
    }
    if (jobs.length === 1) this.#outbox.post({ type: 'run', run, job: first })
    else this.#outbox.post({ type: 'runMany', run, jobs: packJobs(jobs) })
  }

  kill(id: string): void {
    const job = this.#find(id)
    if (job === undefined) return
    this.#jobs.delete(job.run)
    this.#outbox.post({ type: 'kill', id })
    this.#afterJobs()
  }

  /** Threads that may be busy at a time. */
  limit(threads: number): void {
    if (threads === this.#limit) return
    this.#limit = threads
    this.#outbox.post({ type: 'limit', threads })
  }

  answer(id: string, number: number, answer: JobAnswer): void {
    const job = this.#find(id)
    const asked = job?.questions?.get(number)
    if (job === undefined || asked === undefined) return
    job.questions?.delete(number)
    this.#outbox.post({ type: 'answer', id, run: job.run, number: asked, answer })
  }

  /** It gets no further job and gives back what it has not begun; when it has none any more, it is ended. */
  retire(): void {
    if (this.#state === 'ended') return
    this.#state = 'retiring'
    if (this.busy) this.#outbox.post({ type: 'giveBack' })
    else this.endNow()
  }

  /** Forgets its jobs, of which nothing more is told, and ends the process. */
  stop(): Promise<void> {
    this.#jobs.clear()
    this.endNow()
    return this.end
  }

  /** Ends the process and whatever its jobs have started. */
  endNow(): void {
    const { pid } = this.#child
    if (pid === undefined || this.#state === 'ended') return
    try {
      process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL')
    } catch {
      this.#child.kill('SIGKILL')
    }
  }

  #hear(message: FromHost): void {
    const { listener } = this.#options
    switch (message.type) {
      case 'ready':
        this.#wasReady = true
        if (this.#state === 'starting') this.#state = 'serving'
        this.#options.ready(this)
        return
      case 'stuck':
        this.#options.stuck(this)
        return
      case 'outOfMemory':
        this.#outOfMemory = message.message
        return
    }
    if (message.type === 'outcomes') {
      this.#hearOutcomes(message.runs, message.outcomes)
      return
    }
    const job = this.#jobs.get(message.run)
    if (job === undefined) return
    const { id } = job
    job.isStarted = true
    switch (message.type) {
      case 'started':
        listener.started(id, message.agoMs)
        break
      case 'called':
        listener.called(id)
        break
      case 'progress':
        listener.progress(id, message.percent, message.stage)
        break
      case 'log':
        listener.log(id, message.line)
        break
      case 'asked': {
        const number = this.#options.questionNumber()
        job.questions ??= new Map()
        job.questions.set(number, message.number)
        listener.asked(id, number, message.question)
      }
    }
  }

  #hearOutcomes(runs: readonly number[], outcomes: readonly PackedOutcome[]): void {
    this.#flushOutput()
    const ended: Ended[] = []
    for (const [index, run] of runs.entries()) {
      const job = this.#jobs.get(run)
      if (job === undefined) continue
      this.#jobs.delete(run)
      ended.push({ id: job.id, outcome: unpackOutcome(outcomes[index]!) })
    }
    if (ended.length === 0) return
    this.#options.listener.outcomes(ended)
    this.#afterJobs()
  }

  #find(id: string): HostJob | undefined {
    for (const job of this.#jobs.values()) if (job.id === id) return job
    return undefined
  }

  #afterJobs(): void {
    this.#options.relieved(this)
    if (this.busy) return
    if (this.#state === 'retiring') this.endNow()
    else this.#options.idle(this)
  }

  #ended(reason: string, signal: NodeJS.Signals | null): void {
    if (this.#state === 'ended') return
    // Processes that the jobs have started may still be there, without their host.
    this.endNow()
    this.#state = 'ended'
    this.#child.stdout?.destroy()
    this.#child.stderr?.destroy()
    const { listener, alone, threads } = this.#options
    const cause = this.#causeOf(reason, signal)
    const isBlameClear = this.#jobs.size <= threads
    const outcomeOf = ({ isStarted }: HostJob): Outcome => {
      if (!this.#wasReady) return { type: 'retryLater', delayMs: startAgainMs, message: cause.message }
      return isBlameClear || isStarted ? { type: 'crashed', cause, alone } : { type: 'givenBack', hostEnded: true }
    }
    const ended: Ended[] = [...this.#jobs.values()].map((job) => ({ id: job.id, outcome: outcomeOf(job) }))
    this.#jobs.clear()
    if (ended.length > 0) listener.outcomes(ended)
    this.#options.ended(this)
  }

  #causeOf(reason: string, signal: NodeJS.Signals | null): CrashCause {
    const heapIsFull =
      signal !== null && /heap out of memory|Reached heap limit|allocation failed/i.test(this.#errorText)
    const said = this.#errorText.trim() === '' ? '' : `\nIts last words:\n${this.#errorText.trim()}`
    const message = `The host process of the job ${reason}. ${this.#outOfMemory ?? ''}`.trim()
    return { outOfMemory: heapIsFull || this.#outOfMemory !== undefined, message: `${message}${said}` }
  }

  /**
   * What does not go through the streams of a thread (addons, `fs.writeSync(1, …)`, processes with inherited output)
   * arrives here. With one job in the host it is that job's; with several, each that may run gets it, marked as such.
   */
  #listenToOutput(): () => void {
    const { stdout, stderr } = this.#child
    // Where descriptors ran out there is no process, and it has no streams.
    if (!stdout || !stderr) return () => {}
    const flushOut = readLines(stdout, (line) => this.#logForJobs('info', line))
    const flushError = readLines(stderr, (line) => {
      this.#errorText = `${this.#errorText}\n${line}`.slice(-hostErrorCharsMax)
      this.#logForJobs('warn', line)
    })
    return () => {
      flushOut()
      flushError()
    }
  }

  #logForJobs(level: 'info' | 'warn', text: string): void {
    const at = new Date().toISOString()
    const message = this.#jobs.size === 1 ? text : `${text} (from this job or another one in the same host)`
    for (const job of this.#mayRun()) {
      const { id } = job
      job.printed += 1
      if (job.printed < logLinesMax) this.#options.listener.log(id, { at, level, message })
      else if (job.printed === logLinesMax) this.#options.listener.log(id, { at, level: 'warn', message: logIsFull })
    }
  }

  /** Of more jobs than there are threads the others wait; the oldest are the best guess where the host has said nothing yet. */
  #mayRun(): HostJob[] {
    const jobs = [...this.#jobs.values()]
    const { threads } = this.#options
    if (jobs.length <= threads) return jobs
    const started = jobs.filter(({ isStarted }) => isStarted)
    return started.length > 0 ? started : jobs.slice(0, threads)
  }
}
