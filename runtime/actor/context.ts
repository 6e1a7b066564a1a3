/**
 * Makes the `ctx` of one job. Everything a job tells leaves through `tell` as plain data, bounded in size and in rate, so
 * that no loop of a job can flood the process it runs in.
 */
import { format, inspect } from 'node:util'
import type { Context, LogWriter } from '../core/context.ts'
import type { JobLogLine, Json } from '../core/job.ts'
import { logLineCharsMax, logLinesMax, nameCharsMax } from '../core/limits.ts'
import type { JobMessage } from '../core/pool.ts'
import { boundedText } from './bounded-text.ts'
import { CollectedEffects } from './effects.ts'
import { Journal } from './journal.ts'
import type { ThreadMessage } from './messages.ts'
import type { Ask } from './questions.ts'

/** Shortest time between two progress messages of a job. */
const progressIntervalMs = 50
/** Node fires a longer timer at once. */
const timerMsMax = 2 ** 31 - 1

export interface JobContext {
  ctx: Context
  journal: Journal
  effects: CollectedEffects
  /** Tells the last progress if it was held back; `ctx.signal` aborts no more. Called once, when the method has ended. */
  finish(): void
}

export function createContext(job: JobMessage, tell: (message: ThreadMessage) => void, ask: Ask): JobContext {
  const progress = new Progress(tell)
  const log = new Log(tell)
  const journal = new Journal({ entries: job.journal ?? [], ask, warn: log.writer('warn') })
  const effects = new CollectedEffects(job, journal)
  const { document } = job
  const notice = softDeadline(job)
  const ctx: Context = {
    id: job.id,
    queue: job.queue,
    method: job.method,
    attempt: job.attempt,
    attemptsMax: job.attemptsMax,
    deadlineAtMs: Date.now() + job.timeoutMs,
    parents: (job.parents ?? []).map(({ result, ...parent }) => ({
      ...parent,
      ...(result === undefined ? {} : { result: JSON.parse(result) as Json })
    })),
    signal: notice.signal,
    document: document === undefined ? null : { type: document.type, name: document.name },
    enqueue: (method, params, options) => effects.enqueue(method, params, options),
    enqueueMany: (jobs) => effects.enqueueMany(jobs),
    enqueueDoc: (...args) => effects.enqueueDoc(...args),
    step: (name, fn) => journal.step(name, fn),
    sleep: (name, until) => journal.sleep(name, until),
    waitFor: (name, options) => journal.waitFor(name, options),
    remind: (name, reminder) => effects.remind(name, reminder),
    cancelReminder: (name) => effects.cancelReminder(name),
    removeDocument: () => effects.removeDocument(),
    progress: (percent, stage) => progress.report(percent, stage),
    log: {
      debug: log.writer('debug'),
      info: log.writer('info'),
      warn: log.writer('warn'),
      error: log.writer('error')
    }
  }
  const finish = () => {
    notice.cancel()
    progress.finish()
  }
  return { ctx, journal, effects, finish }
}

/**
 * The timer holds no reference: it is not something that the job left behind. Its end must be told: an abort after the end of
 * the attempt would go on with a method that was left where it was, in the middle of another job of the thread.
 */
function softDeadline({ timeoutMs, softTimeoutMs }: JobMessage): { signal: AbortSignal; cancel: () => void } {
  const controller = new AbortController()
  const { signal } = controller
  if (softTimeoutMs === null) return { signal, cancel: () => {} }
  const noticeMs = Math.min(Math.max(timeoutMs - softTimeoutMs, 0), timerMsMax)
  const reason = new DOMException('The deadline of the job is near', 'TimeoutError')
  const timer = setTimeout(() => controller.abort(reason), noticeMs).unref()
  return { signal, cancel: () => clearTimeout(timer) }
}

/** Tells the first report at once, then the newest one per interval. */
class Progress {
  readonly #tell: (message: ThreadMessage) => void
  #toldAtMs = Number.NEGATIVE_INFINITY
  #held: (ThreadMessage & { type: 'progress' }) | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(tell: (message: ThreadMessage) => void) {
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

class Log {
  readonly #tell: (message: ThreadMessage) => void
  #lines = 0

  constructor(tell: (message: ThreadMessage) => void) {
    this.#tell = tell
  }

  writer(level: JobLogLine['level']): LogWriter {
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
