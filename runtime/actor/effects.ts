/**
 * What a job changes as it completes, besides its own outcome: collected here, sent with the outcome, done in one commit with
 * it. An attempt that ends in any other way drops it. Requests are made plain data at the call; what the supervisor alone can
 * say of them (unknown queues, ids in use, cron expressions) it says then, and fails the attempt.
 */
import { randomUUID } from 'node:crypto'
import type { Context, ContextEnqueueOptions, ContextEnqueueRequest } from '../core/context.ts'
import { inWholeList } from '../core/depends-on.ts'
import { didYouMean } from '../core/did-you-mean.ts'
import type { ReminderChange, ReminderRequest } from '../core/document.ts'
import { durationToMs } from '../core/duration.ts'
import { RuntimeError } from '../core/errors.ts'
import { instantToMs, iso } from '../core/instant.ts'
import type { EnqueueRequest } from '../core/job.ts'
import { enqueueSchema } from '../core/job-options.ts'
import { effectsBytesMax, jobsPerCompletionMax, nameCharsMax } from '../core/limits.ts'
import type { Effects, JobMessage, Outcome } from '../core/pool.ts'
import { checkName, checkObject, plain, shown } from './argument-checks.ts'
import { boundedText } from './bounded-text.ts'
import { checkNotInStep, type Journal } from './journal.ts'

type EffectFunctions = Pick<
  Context,
  'enqueue' | 'enqueueMany' | 'enqueueDoc' | 'remind' | 'cancelReminder' | 'removeDocument'
>

export class CollectedEffects implements EffectFunctions {
  readonly #job: JobMessage
  readonly #journal: Journal
  readonly #jobs: EnqueueRequest[] = []
  /** Places in `#jobs` by id. */
  readonly #places = new Map<string, number>()
  readonly #reminders: ReminderChange[] = []
  /** Of jobs and reminders, as JSON text. */
  #bytes = 0
  #isDocumentRemoved = false
  #isOver = false

  constructor(job: JobMessage, journal: Journal) {
    this.#job = job
    this.#journal = journal
  }

  /** The document is to be removed. */
  get isDocumentRemoved(): boolean {
    return this.#isDocumentRemoved
  }

  /** @returns the outcome of the method, with what it asked for besides */
  with(outcome: Outcome, document?: Effects['document']): Outcome {
    const effects = outcome.type === 'completed' ? this.#collected(document) : undefined
    return effects === undefined ? outcome : ({ ...outcome, effects } as Outcome)
  }

  /** What is asked for from now on comes too late. */
  close(): void {
    this.#isOver = true
  }

  async enqueue(method: string, params?: unknown, options?: ContextEnqueueOptions): Promise<{ id: string }> {
    checkMethod(method)
    const attempted = `enqueue "${method}"`
    checkOptions(options, attempted)
    return this.#enqueueOne({ ...options, ...paramsOf(params), method }, attempted)
  }

  async enqueueDoc(
    type: string,
    name: string,
    method: string,
    params?: unknown,
    options?: ContextEnqueueOptions
  ): Promise<{ id: string }> {
    if (typeof type !== 'string' || type === '') {
      throw new TypeError(
        `Cannot enqueue a job of a document: expected the path of its class, such as "billing.Invoice", got ${shown(type)}`
      )
    }
    if (typeof method !== 'string' || method === '') {
      throw new TypeError(`Cannot enqueue a job of a "${type}": expected the name of a method, got ${shown(method)}`)
    }
    const path = `${type}.${method}`
    const attempted = `enqueue "${path}"`
    checkName(name, attempted, 'document name')
    checkOptions(options, attempted)
    return this.#enqueueOne({ ...options, ...paramsOf(params), document: name, method: path }, attempted)
  }

  async enqueueMany(jobs: ContextEnqueueRequest[]): Promise<{ ids: string[] }> {
    if (!Array.isArray(jobs)) throw new TypeError(`Cannot enqueue jobs: expected a list of them, got ${shown(jobs)}`)
    let bytes = 0
    const requests = jobs.map((job, index) => {
      checkObject(job, `enqueue job ${index} of the list`, 'the job')
      checkMethod(job.method, `job ${index} of the list`)
      const attempted = `enqueue "${job.method}" (job ${index} of the list)`
      checkOptions(job, attempted)
      const request = plain(job as EnqueueRequest, attempted, 'what it asks for')
      bytes += request.bytes
      return request.value
    })
    const atOnce = requests.filter(({ enqueueAfterCommit }) => enqueueAfterCommit === false).length
    if (atOnce > 0 && atOnce < requests.length) {
      throw new TypeError(
        'Cannot enqueue the jobs: those with enqueueAfterCommit false and those without are in different commits. Give it to each of them, or call ctx.enqueueMany twice'
      )
    }
    return { ids: await this.#enqueueAll(requests, bytes, 'enqueueMany') }
  }

  remind(name: string, reminder: ReminderRequest): void {
    checkName(name, 'set a reminder')
    const attempted = `set reminder "${name}"`
    this.#checkIsDocument(attempted)
    this.#checkIsNotOver(attempted)
    const { value, bytes } = plain(checkedReminder(reminder, attempted), attempted, 'what it asks for')
    this.#count(bytes, attempted)
    this.#reminders.push({ type: 'set', name, ...value })
  }

  cancelReminder(name: string): void {
    checkName(name, 'cancel a reminder')
    this.#checkIsDocument(`cancel reminder "${name}"`)
    this.#checkIsNotOver(`cancel reminder "${name}"`)
    this.#reminders.push({ type: 'cancel', name })
  }

  removeDocument(): void {
    this.#checkIsDocument('remove the document')
    this.#checkIsNotOver('remove the document')
    this.#isDocumentRemoved = true
  }

  #collected(document: Effects['document']): Effects | undefined {
    const effects: Effects = {}
    if (this.#isDocumentRemoved) effects.document = 'removed'
    else if (document !== undefined) effects.document = document
    if (this.#jobs.length > 0) effects.jobs = this.#jobs
    // They go with their document.
    if (this.#reminders.length > 0 && !this.#isDocumentRemoved) effects.reminders = this.#reminders
    return Object.keys(effects).length === 0 ? undefined : effects
  }

  async #enqueueOne(asked: EnqueueRequest, attempted: string): Promise<{ id: string }> {
    const { value, bytes } = plain(asked, attempted, 'what it asks for')
    const [id] = await this.#enqueueAll([value], bytes, boundedText(`enqueue ${value.method}`, nameCharsMax))
    return { id: id! }
  }

  /** @param requests plain data of this alone @param name of the entry of the journal */
  async #enqueueAll(requests: EnqueueRequest[], bytes: number, name: string): Promise<string[]> {
    this.#checkIsNotOver('enqueue a job')
    if (requests[0]?.enqueueAfterCommit === false) {
      checkBytes(bytes, 'enqueue jobs at once')
      return this.#journal.enqueue(name, requests)
    }
    const first = this.#jobs.length
    if (first + requests.length > jobsPerCompletionMax) {
      throw new RuntimeError(
        'PARAMS_INVALID',
        `Cannot enqueue more than ${jobsPerCompletionMax} jobs in the commit that completes a job. Enqueue a job that enqueues the others, or give enqueueAfterCommit: false`
      )
    }
    this.#count(bytes, 'enqueue jobs in the commit that completes a job')
    const ids = requests.map((request) => request.jobId ?? randomUUID())
    const jobs = requests.map((request, index) => ({
      ...this.#withPlaces(inWholeList(request, first, index, requests.length)),
      jobId: ids[index]!
    }))
    for (const job of jobs) this.#places.set(job.jobId, this.#jobs.push(job) - 1)
    return ids
  }

  /** An id that was given out before is known to the store only with its job. */
  #withPlaces(request: EnqueueRequest): EnqueueRequest {
    const { dependsOn } = request
    if (!Array.isArray(dependsOn)) return request
    const places = dependsOn.map((parent) =>
      typeof parent === 'number' ? parent : (this.#places.get(parent) ?? parent)
    )
    return { ...request, dependsOn: places }
  }

  /** @throws RuntimeError `PAYLOAD_TOO_LARGE` */
  #count(bytes: number, attempted: string): void {
    checkBytes(this.#bytes + bytes, attempted)
    this.#bytes += bytes
  }

  #checkIsDocument(attempted: string): void {
    if (this.#job.document !== undefined) return
    throw new TypeError(`Cannot ${attempted}: "${this.#job.method}" is no method of a document`)
  }

  #checkIsNotOver(attempted: string): void {
    checkNotInStep(attempted)
    if (this.#isOver) throw new Error(`Cannot ${attempted}: the attempt has ended. Await what the method starts`)
  }
}

function checkBytes(bytes: number, attempted: string): void {
  if (bytes <= effectsBytesMax) return
  throw new RuntimeError(
    'PAYLOAD_TOO_LARGE',
    `Cannot ${attempted}: all of it together takes ${bytes} bytes as JSON, at most ${effectsBytesMax} are allowed. Put the data into files and pass their paths, or enqueue a job that enqueues the others`,
    { bytes, bytesMax: effectsBytesMax }
  )
}

function paramsOf(params: unknown): { params?: unknown } {
  return params === undefined ? {} : { params }
}

function checkMethod(method: unknown, what = 'a job'): asserts method is string {
  if (typeof method === 'string' && method !== '') return
  throw new TypeError(
    `Cannot enqueue ${what}: expected the path of a method, such as "reports.daily.run", got ${shown(method)}`
  )
}

const knownOptions = new Set(Object.keys(enqueueSchema.properties))

/** Their names; of the types of their values the supervisor knows. */
function checkOptions(options: unknown, attempted: string): void {
  if (options === undefined) return
  checkObject(options, attempted, 'the options')
  for (const option of ['now', 'isAsync']) {
    if (!Object.hasOwn(options, option)) continue
    throw new TypeError(
      `Cannot ${attempted}: ${option} is not for a job that a job enqueues; waiting would hold its thread`
    )
  }
  for (const name of Object.keys(options)) {
    if (knownOptions.has(name)) continue
    throw new TypeError(`Cannot ${attempted}: there is no option "${name}".${didYouMean(name, knownOptions)}`)
  }
  const { enqueueAfterCommit, jobId } = options as Record<string, unknown>
  if (!['boolean', 'undefined'].includes(typeof enqueueAfterCommit)) {
    throw new TypeError(`Cannot ${attempted}: enqueueAfterCommit is true or false, got ${shown(enqueueAfterCommit)}`)
  }
  if (jobId !== undefined) checkName(jobId, attempted, 'jobId')
}

/** @returns the same as plain data */
function checkedReminder(
  reminder: ReminderRequest,
  attempted: string
): Omit<ReminderChange & { type: 'set' }, 'type' | 'name'> {
  checkObject(reminder, attempted, 'the reminder')
  const { method, params, at, delay, cron, timezone, queue, ...unknown } = reminder
  const invalid = (problem: string) => new TypeError(`Cannot ${attempted}: ${problem}`)
  const [extra] = Object.keys(unknown)
  if (extra !== undefined) throw invalid(`there is no "${extra}" in a reminder`)
  if (typeof method !== 'string' || method === '') {
    throw invalid(`expected the name of a method of this document, got ${shown(method)}`)
  }
  if ([at, delay, cron].filter((when) => when !== undefined).length !== 1) {
    throw invalid('it needs exactly one of at, delay and cron')
  }
  const atMs = at === undefined ? undefined : instantToMs(at)
  if (at !== undefined && atMs === undefined) {
    throw invalid(`at must be ISO 8601 text, epoch milliseconds or a Date, got ${shown(at)}`)
  }
  if (delay !== undefined && durationToMs(delay) === undefined) {
    throw invalid(`delay must be seconds or a text with a unit such as "30s" or "3d", got ${shown(delay)}`)
  }
  for (const [name, value] of Object.entries({ cron, timezone, queue })) {
    if (value !== undefined) checkName(value, attempted, name)
  }
  if (timezone !== undefined && cron === undefined) throw invalid('timezone is for cron')
  return {
    method,
    ...(params !== undefined && { params: plain(params, attempted, 'what it gives as params').value }),
    ...(atMs !== undefined && { at: iso(atMs) }),
    ...(delay !== undefined && { delay }),
    ...(cron !== undefined && { cron }),
    ...(timezone !== undefined && { timezone }),
    ...(queue !== undefined && { queue })
  }
}
