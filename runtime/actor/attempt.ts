/**
 * One attempt of one job, inside of the thread: from the call of its method to its outcome. Whatever the job does, it comes to
 * exactly one plain {@link Outcome}, unless the thread ends.
 *
 * Thousands of jobs a second may use nothing of what there is for them, so each part is made when the job first asks for it.
 */
import type { Context } from '../core/context.ts'
import { failPoint } from '../core/fail-points.ts'
import type { ActorFunction } from '../core/method-types.ts'
import type { JobMessage, Outcome } from '../core/pool.ts'
import { asJob } from './blame.ts'
import { type ContextParts, JobContext, Log, Notice, Progress } from './context.ts'
import { callDocument } from './document.ts'
import type { DocumentClass } from './document-class.ts'
import { CollectedEffects } from './effects.ts'
import { Journal } from './journal.ts'
import type { JobWord } from './messages.ts'
import type { Ask, Questions } from './questions.ts'
import { resultOutcome } from './result.ts'
import { thrownOutcome } from './thrown.ts'

export interface AttemptParts {
  job: JobMessage
  tell: (word: JobWord) => void
  questions: Questions
  /** Called once, when there is an outcome. */
  settled: () => void
}

export class Attempt implements ContextParts {
  readonly job: JobMessage
  readonly ctx: JobContext
  readonly #tell: (word: JobWord) => void
  readonly #questions: Questions
  readonly #settled: () => void
  #outcome: Outcome | undefined
  #isFinished = false
  #ask: Ask | undefined
  #journal: Journal | undefined
  #effects: CollectedEffects | undefined
  #progress: Progress | undefined
  #log: Context['log'] | undefined
  #notice: Notice | undefined

  constructor({ job, tell, questions, settled }: AttemptParts) {
    this.job = job
    this.#tell = tell
    this.#questions = questions
    this.#settled = settled
    this.ctx = new JobContext(job, this)
    if (job.softTimeoutMs !== null) {
      this.#notice = new Notice()
      this.#notice.arm(job.timeoutMs, job.softTimeoutMs)
    }
  }

  get outcome(): Outcome | undefined {
    return this.#outcome
  }

  get journal(): Journal {
    if (this.#journal !== undefined) return this.#journal
    const { warn } = this.log
    this.#journal = new Journal({ entries: this.job.journal ?? [], ask: this.asker, warn })
    this.#journal.begin((outcome) => this.#settle(outcome))
    if (this.#outcome !== undefined) this.#journal.close()
    return this.#journal
  }

  get effects(): CollectedEffects {
    if (this.#effects !== undefined) return this.#effects
    this.#effects = new CollectedEffects(this.job, this.journal)
    if (this.#outcome !== undefined) this.#effects.close()
    return this.#effects
  }

  get progress(): Progress {
    this.#progress ??= new Progress((word) => this.#say(word))
    return this.#progress
  }

  get log(): Context['log'] {
    this.#log ??= new Log((word) => this.#say(word))
    return this.#log
  }

  get signal(): AbortSignal {
    this.#notice ??= new Notice()
    return this.#notice.signal
  }

  callFunction(method: ActorFunction): void {
    this.#call(callFunction, method)
  }

  callDocument(type: DocumentClass): void {
    this.#call(callDocumentMethod, type)
  }

  /** Of {@link callDocument}. */
  get asker(): Ask {
    this.#ask ??= this.#questions.begin((word) => this.#say(word))
    return this.#ask
  }

  /** The method is called next. */
  called(): void {
    if (this.job.startIsCounted) this.#say({ type: 'called' })
  }

  /** The method has come to this outcome. */
  returned(outcome: Outcome): void {
    const whole = this.#effects === undefined || this.job.document !== undefined ? outcome : this.#effects.with(outcome)
    if (this.#journal === undefined) this.#settle(whole)
    else void this.#journal.returned(whole)
  }

  /** It has thrown, or could not be called. */
  fail(error: unknown): void {
    this.#journal?.close()
    this.#settle(thrownOutcome(error))
  }

  /** The job has come to rest: tells the last progress if it was held back, and from then on nothing. */
  finish(): void {
    this.#notice?.cancel()
    this.#progress?.finish()
    this.#isFinished = true
  }

  #call<Method>(call: (attempt: Attempt, method: Method) => void, method: Method): void {
    if (this.job.journal !== undefined) void this.journal
    failPoint('host.calling')
    asJob(this, call, this as Attempt, method)
  }

  /** What comes first counts: a journal ends an attempt while its method waits. */
  #settle(outcome: Outcome): void {
    if (this.#outcome !== undefined) return
    this.#outcome = outcome
    failPoint('host.returned')
    this.#journal?.close()
    this.#effects?.close()
    if (this.#ask !== undefined) this.#questions.close()
    this.#settled()
  }

  #say(word: JobWord): void {
    if (!this.#isFinished) this.#tell(word)
  }
}

function callFunction(attempt: Attempt, method: ActorFunction): void {
  try {
    const params = JSON.parse(attempt.job.params)
    attempt.called()
    const value: unknown = method(params, attempt.ctx)
    if (!isThenable(value)) attempt.returned(resultOutcome(value))
    else finishLater(attempt, value instanceof Promise ? value : Promise.resolve(value))
  } catch (error) {
    attempt.fail(error)
  }
}

function callDocumentMethod(attempt: Attempt, type: DocumentClass): void {
  try {
    const { job, ctx, effects, asker } = attempt
    const params = JSON.parse(job.params)
    const called = () => attempt.called()
    const outcome = callDocument({ job, document: job.document!, type, params, ctx, effects, ask: asker, called })
    outcome.then(
      (value) => attempt.returned(value),
      (error) => attempt.fail(error)
    )
  } catch (error) {
    attempt.fail(error)
  }
}

function finishLater(attempt: Attempt, promise: Promise<unknown>): void {
  promise.then(
    (value) => {
      try {
        attempt.returned(resultOutcome(value))
      } catch (error) {
        attempt.fail(error)
      }
    },
    (error) => attempt.fail(error)
  )
}

/** What `await` takes for a promise. */
function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false
  return typeof (value as { then?: unknown }).then === 'function'
}
