/**
 * What the supervisor has acknowledged, and whether it kept its word. Every acknowledged job is open here until its end is
 * known: by an event, or by asking for the job. Finished jobs are remembered for longer than it takes to ask for all open
 * ones, over a restart as well, so a job that is open here and unknown there was lost.
 *
 * The other way round, what was told to have finished must still be so after a kill: those of the last seconds are asked for
 * again, with their results.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Runtime } from '../../runtime/core/api.ts'
import type { JobEvent } from '../../runtime/core/events.ts'
import type { JobView } from '../../runtime/core/job.ts'
import { type FinishedState, finishedStates } from '../../runtime/core/lifecycle.ts'
import { cronEveryMs } from './project.ts'
import { hasCode, type Link } from './supervisor.ts'

/** How a job must end, and what else must be so then. */
export interface Expectation {
  kind: string
  state: FinishedState
  errorCode?: string
  check?: (job: JobView) => string | undefined
}

interface Open extends Expectation {
  atMs: number
}

interface Told {
  state: FinishedState
  atMs: number
  expectation: Expectation | undefined
}

const violationsKeptMax = 100
const lookedUpAtOnce = 64
const toldCheckedMax = 400

export class Ledger {
  readonly #link: Link
  readonly #rememberedMs: number
  readonly #open = new Map<string, Open>()
  /** Ends that events told lately, oldest first. */
  readonly #told = new Map<string, Told>()
  readonly #instants = new Map<string, Set<number>>([...cronEveryMs.keys()].map((method) => [method, new Set()]))
  readonly violations: string[] = []
  acknowledged = 0
  ended = 0
  retriedByHand = 0
  toldChecked = 0
  /** When every open job was last looked up, or its events came without a gap. */
  #lookedAtMs = performance.now()

  /** @param rememberedMs how long the supervisor keeps finished jobs */
  constructor(link: Link, rememberedMs: number) {
    this.#link = link
    this.#rememberedMs = rememberedMs
  }

  get open(): number {
    return this.#open.size
  }

  violate(what: string): void {
    if (this.violations.length < violationsKeptMax) this.violations.push(what)
  }

  acknowledge(id: string, expectation: Expectation): void {
    this.acknowledged++
    const told = this.#told.get(id)
    if (told === undefined) this.#open.set(id, { ...expectation, atMs: performance.now() })
    else this.#close(id, told, expectation)
  }

  /** The job was taken back: it must be gone now. */
  async expectGone(id: string): Promise<void> {
    this.#open.delete(id)
    const job = await this.#get(id)
    if (job !== undefined) this.violate(`${id} was removed and is there again, ${job.state}`)
    this.ended++
  }

  takeEvent(event: JobEvent): void {
    const { type, job: id, error } = event
    if (type === 'enqueued') this.#noteInstant(event)
    if (type === 'cancelled' || type === 'completed' || type === 'failed') {
      if (error?.code === 'HOST_CRASHED') void this.#retry(id)
      else this.#end(id, type, error?.code)
    }
  }

  /** Asks for every open job. Between two looks everything must be remembered. */
  async lookUp(): Promise<void> {
    const startMs = performance.now()
    const wasAwayMs = startMs - this.#lookedAtMs
    const ids = [...this.#open.keys()]
    for (let from = 0; from < ids.length; from += lookedUpAtOnce) {
      await Promise.all(ids.slice(from, from + lookedUpAtOnce).map((id) => this.#lookUpOne(id, wasAwayMs)))
    }
    await this.#retryCredits()
    await this.#listInstants()
    this.#lookedAtMs = startMs
    for (const [id, { atMs }] of this.#told) {
      if (atMs > startMs - this.#rememberedMs / 3) break
      this.#told.delete(id)
    }
  }

  /** After a kill: what was told to have finished has. */
  async checkTold(): Promise<void> {
    const sinceMs = performance.now() - this.#rememberedMs / 2
    const recent = [...this.#told].filter(([, { atMs }]) => atMs > sinceMs).slice(-toldCheckedMax)
    await Promise.all(
      recent.map(async ([id, { state, expectation }]) => {
        const job = await this.#get(id)
        if (job?.state !== state)
          this.violate(`${id} was told to be ${state}; after the kill it is ${job?.state ?? 'unknown'}`)
        else this.#checkContent(job, expectation)
      })
    )
    this.toldChecked += recent.length
  }

  async untilAllEnded(withinMs: number): Promise<void> {
    const untilMs = performance.now() + withinMs
    while (this.#open.size > 0 && performance.now() < untilMs) {
      await this.lookUp()
      await sleep(500)
    }
    for (const [id, { kind }] of this.#open) this.violate(`${id} (${kind}) was acknowledged and has not ended in time`)
  }

  /** Each event of the scheduler fired at each of its instants, between its first and its last. */
  checkInstants(): { method: string; fired: number }[] {
    return [...this.#instants].map(([method, instants]) => {
      const sorted = [...instants].sort((a, b) => a - b)
      const wanted = (sorted.at(-1)! - sorted[0]!) / cronEveryMs.get(method)! + 1
      if (sorted.length !== wanted) this.violate(`${method} fired at ${sorted.length} instants of ${wanted}`)
      return { method, fired: sorted.length }
    })
  }

  async #lookUpOne(id: string, wasAwayMs: number): Promise<void> {
    const job = await this.#get(id)
    const open = this.#open.get(id)
    if (open === undefined) return
    if (job === undefined) {
      this.#open.delete(id)
      const doubt = wasAwayMs > this.#rememberedMs ? `, but nobody looked for ${Math.round(wasAwayMs / 1000)} s` : ''
      this.violate(`LOST: ${id} (${open.kind}) was acknowledged, has not ended, and is unknown${doubt}`)
    } else if (job.error?.code === 'HOST_CRASHED' && job.state === 'failed') await this.#retry(id)
    else if (isFinished(job.state)) {
      this.#checkContent(job, open)
      this.#end(id, job.state, job.error?.code)
    }
  }

  #end(id: string, state: FinishedState, errorCode: string | undefined): void {
    const before = this.#told.get(id)
    const expectation = this.#open.get(id)
    const told = { state, atMs: performance.now(), expectation: expectation ?? before?.expectation }
    this.#told.delete(id)
    this.#told.set(id, told)
    if (expectation !== undefined) this.#close(id, told, expectation, errorCode)
  }

  #close(id: string, told: Told, expectation: Expectation, errorCode?: string): void {
    told.expectation = expectation
    this.#open.delete(id)
    this.ended++
    const { kind, state, errorCode: expectedCode } = expectation
    const isRight = told.state === state && (expectedCode === undefined || (errorCode ?? expectedCode) === expectedCode)
    if (!isRight)
      this.violate(`${id} (${kind}) ended as ${told.state} ${errorCode ?? ''}, not ${state} ${expectedCode ?? ''}`)
  }

  #checkContent(job: JobView, expectation: Expectation | undefined): void {
    const wrong = expectation?.check?.(job)
    if (wrong !== undefined) this.violate(`${job.id} (${expectation?.kind}): ${wrong}`)
  }

  /** A job that three kills of its host have hit is failed, as it should be; nothing of it has happened. */
  async #retry(id: string): Promise<void> {
    this.retriedByHand++
    await this.#link.call((runtime) => runtime.job.retry(id)).catch((error) => this.violate(`retry of ${id}: ${error}`))
  }

  /** Credits are enqueued by jobs, so nobody looks for them by id. */
  async #retryCredits(): Promise<void> {
    this.retriedByHand += await this.#link.call((runtime) => runtime.job.retryMany({ queue: 'bank', state: 'failed' }))
  }

  #noteInstant({ job, method }: Pick<JobEvent, 'job' | 'method'>): void {
    this.#instants.get(method)?.add(Date.parse(job.slice(job.lastIndexOf('@') + 1)))
  }

  /** Those that fired while nobody listened. */
  async #listInstants(): Promise<void> {
    for (const method of this.#instants.keys()) {
      const { jobs } = await this.#link.call((runtime) => runtime.job.list({ method, limit: 1_000 }))
      for (const { id } of jobs) this.#noteInstant({ job: id, method })
    }
  }

  async #get(id: string): Promise<JobView | undefined> {
    const get = (runtime: Runtime) => runtime.job.get(id)
    return this.#link.call(get).catch((error) => {
      if (hasCode(error, 'JOB_UNKNOWN')) return undefined
      throw error
    })
  }
}

function isFinished(state: string): state is FinishedState {
  return (finishedStates as readonly string[]).includes(state)
}
