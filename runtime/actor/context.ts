/**
 * The `ctx` of one job. Everything a job tells leaves through `tell` as plain data, bounded in size and in rate, so
 * that no loop of a job can flood the process it runs in.
 */
import { format, inspect } from 'node:util'
import type { Context, LogWriter } from '../core/context.ts'
import type { JobLogLine, Json } from '../core/job.ts'
import { logLineCharsMax, logLinesMax, nameCharsMax } from '../core/limits.ts'
import type { JobMessage } from '../core/pool.ts'
import { boundedText } from './bounded-text.ts'
import type { CollectedEffects } from './effects.ts'
import type { Journal } from './journal.ts'
import type { JobWord } from './messages.ts'

/** Shortest time between two progress messages of a job. */
const progressIntervalMs = 50
/** Node fires a longer timer at once. */
const timerMsMax = 2 ** 31 - 1

/** What the functions of a context stand on; each part is made when a job first needs it. */
export interface ContextParts {
  readonly journal: Journal
  readonly effects: CollectedEffects
  readonly progress: Progress
  readonly log: Context['log']
  readonly signal: AbortSignal
}

/**
 * Most jobs use little of it, so making one must cost little: what is not plain data is a getter. Each gives a function
 * that stands alone, since `const { step } = ctx` is how many use it.
 */
export class JobContext implements Context {
  readonly id: string
  readonly queue: string
  readonly method: string
  readonly attempt: number
  readonly attemptsMax: number
  readonly deadlineAtMs: number
  readonly #job: JobMessage
  readonly #parts: ContextParts
  #parents: Context['parents'] | undefined

  constructor(job: JobMessage, parts: ContextParts) {
    this.id = job.id
    this.queue = job.queue
    this.method = job.method
    this.attempt = job.attempt
    this.attemptsMax = job.attemptsMax
    this.deadlineAtMs = Date.now() + job.timeoutMs
    this.#job = job
    this.#parts = parts
  }

  get parents(): Context['parents'] {
    this.#parents ??= (this.#job.parents ?? []).map(({ result, ...parent }) => ({
      ...parent,
      ...(result === undefined ? {} : { result: JSON.parse(result) as Json })
    }))
    return this.#parents
  }

  get document(): Context['document'] {
    const { document } = this.#job
    return document === undefined ? null : { type: document.type, name: document.name }
  }

  get signal(): AbortSignal {
    return this.#parts.signal
  }

  get log(): Context['log'] {
    return this.#parts.log
  }

  get progress(): Context['progress'] {
    const { progress } = this.#parts
    return (percent, stage) => progress.report(percent, stage)
  }

  get enqueue(): Context['enqueue'] {
    const { effects } = this.#parts
    return (method, params, options) => effects.enqueue(method, params, options)
  }

  get enqueueMany(): Context['enqueueMany'] {
    const { effects } = this.#parts
    return (jobs) => effects.enqueueMany(jobs)
  }

  get enqueueDoc(): Context['enqueueDoc'] {
    const { effects } = this.#parts
    return (...args) => effects.enqueueDoc(...args)
  }

  get step(): Context['step'] {
    const { journal } = this.#parts
    return (name, fn) => journal.step(name, fn)
  }

  get sleep(): Context['sleep'] {
    const { journal } = this.#parts
    return (name, until) => journal.sleep(name, until)
  }

  get waitFor(): Context['waitFor'] {
    const { journal } = this.#parts
    return (name, options) => journal.waitFor(name, options)
  }

  get remind(): Context['remind'] {
    const { effects } = this.#parts
    return (name, reminder) => effects.remind(name, reminder)
  }

  get cancelReminder(): Context['cancelReminder'] {
    const { effects } = this.#parts
    return (name) => effects.cancelReminder(name)
  }

  get removeDocument(): Context['removeDocument'] {
    const { effects } = this.#parts
    return () => effects.removeDocument()
  }
}

/** `ctx.signal`. */
export class Notice {
  readonly #controller = new AbortController()
  #timer: NodeJS.Timeout | undefined

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /**
   * The timer holds no reference: it is not something that the job left behind. Its end must be told: an abort after the end
   * of the attempt would go on with a method that was left where it was, in the middle of another job of the thread.
   */
  arm(timeoutMs: number, softTimeoutMs: number): void {
    const noticeMs = Math.min(Math.max(timeoutMs - softTimeoutMs, 0), timerMsMax)
    const reason = new DOMException('The deadline of the job is near', 'TimeoutError')
    this.#timer = setTimeout(() => this.#controller.abort(reason), noticeMs).unref()
  }

  cancel(): void {
    clearTimeout(this.#timer)
  }
}

/** Tells the first report at once, then the newest one per interval. */
export class Progress {
  readonly #tell: (message: JobWord) => void
  #toldAtMs = Number.NEGATIVE_INFINITY
  #held: (JobWord & { type: 'progress' }) | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(tell: (message: JobWord) => void) {
    this.#tell = tell
  }

  report(percent: number, stage: string | undefined): void {
    if (typeof percent !== 'number' || !Number.isFinite(percent)) {
      throw new TypeError(`ctx.progress expects a percentage from 0 to 100, got ${inspect(percent, { depth: 0 })}`)
    }
    if (stage !== undefined && stage !== null && typeof stage !== 'string') {
      throw new TypeError(`ctx.progress expects the stage as text, got ${inspect(stage, { depth: 0 })}`)
    }
    this.#held = {
      type: 'progress',
      percent: Math.min(100, Math.max(0, percent)),
      stage: typeof stage === 'string' ? boundedText(stage, nameCharsMax) : null
    }
    const waitMs = this.#toldAtMs + progressIntervalMs - performance.now()
    if (waitMs <= 0) this.finish()
    // Without a reference, so that it is not taken for something the job left behind.
    else this.#timer ??= setTimeout(() => this.finish(), waitMs).unref()
  }

  finish(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#held === undefined) return
    this.#toldAtMs = performance.now()
    this.#tell(this.#held)
    this.#held = undefined
  }
}

export class Log {
  readonly debug = this.#writer('debug')
  readonly info = this.#writer('info')
  readonly warn = this.#writer('warn')
  readonly error = this.#writer('error')
  readonly #tell: (message: JobWord) => void
  #lines = 0

  constructor(tell: (message: JobWord) => void) {
    this.#tell = tell
  }

  #writer(level: JobLogLine['level']): LogWriter {
    return (...args) => {
      if (this.#lines >= logLinesMax) return
      if (this.#lines < logLinesMax - 1) this.#write(level, printed(args))
      else
        this.#write('warn', `The log of this attempt is full: after ${logLinesMax - 1} lines further ones are dropped`)
    }
  }

  #write(level: JobLogLine['level'], message: string): void {
    this.#lines += 1
    const line = { at: new Date().toISOString(), level, message: boundedText(message, logLineCharsMax) }
    this.#tell({ type: 'log', line })
  }
}

/** A value that refuses to be printed is no reason to fail a job. */
function printed(args: readonly unknown[]): string {
  try {
    return format(...args)
  } catch {
    return '(a value that cannot be printed)'
  }
}
