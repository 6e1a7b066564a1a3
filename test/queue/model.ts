/**
 * The queue as one would write it without a disk: an array of jobs and plain loops, after the documentation. What the
 * durable queue is held against. Enqueueing is in model-admission.ts, the order of claims in model-turns.ts, walks and
 * changes of many jobs in model-walks.ts.
 *
 * A job is in `jobs` for as long as it is known, in the order of its number. Every method is one commit, except where it is
 * a generator: there each part between two yields is one.
 */
import type { Backoff } from '../../runtime/core/backoff.ts'
import type { QueueConfig } from '../../runtime/core/config.ts'
import type { Deduplication, EnqueueRequest, FollowUp, JobError, Json } from '../../runtime/core/job.ts'
import { type FinishedState, finishedStates, isFinished, type JobState } from '../../runtime/core/lifecycle.ts'
import type { Ending } from '../../runtime/queue/attempts.ts'
import { ModelTurns } from './model-turns.ts'

/** Of the host under a job. */
const crashesMax = 3
const dayMs = 24 * 3600 * 1000

export interface ModelParent {
  of: ModelJob
  /** null: it has not finished. */
  state: FinishedState | null
  result: string | null
}

/** What was asked for, with every default. */
export interface ModelSpec {
  queue: string
  method: string
  params: Json
  jobName: string | null
  priority: number
  atFront: boolean
  enqueuedAtMs: number
  runAtMs: number | null
  attemptsMax: number
  backoff: Backoff | null
  retryOn: readonly string[] | null
  noRetryOn: readonly string[] | null
  key: string | null
  keyConcurrency: number | null
  ageingMs: number | null
  onParentFailure: 'fail' | 'cancel' | 'release'
  onSuccess: string | FollowUp | null
  onFailure: string | FollowUp | null
  expiresAtMs: number | null
  keepMs: { [State in FinishedState]?: number }
}

export interface ModelJob extends ModelSpec {
  /** Empty until the store has told the one that it made. */
  id: string
  number: number
  state: JobState
  dueAtMs: number | null
  made: number
  failures: number
  crashes: number
  startedAtMs: number | null
  /** `startedAtMs` of the attempt before. */
  startedBeforeMs?: number | null
  finishedAtMs: number | null
  error: JobError | null
  result: string | null
  history: { attempt: number; outcome: string }[]
  parents: ModelParent[]
  /** Of a successor: the job whose end alone it waits for. */
  predecessor?: number | undefined
}

/** In which no second job of an id is made. */
interface Window {
  untilMs: number
  /** The job that opened it. */
  number: number
  /** How that job ended, once it has been forgotten. */
  state: FinishedState | null
}

export class ModelQueue {
  jobs: ModelJob[] = []
  readonly queues: ReadonlyMap<string, QueueConfig>
  /** Until when, or for ever. */
  readonly pauses = new Map<string, number>()
  readonly windows = new Map<string, Window>()
  readonly turns: ModelTurns
  nowMs: number
  /** How often each feature was met, over all sequences. */
  readonly seen: Map<string, number>
  #numbers = 0
  /** Finished jobs whose children are to be told; undefined while nobody does that. */
  #line: ModelParent[] | undefined

  constructor(queues: readonly QueueConfig[], nowMs: number, seen: Map<string, number>) {
    this.queues = new Map(queues.map((config) => [config.name, config]))
    this.turns = new ModelTurns(this)
    this.nowMs = nowMs
    this.seen = seen
  }

  saw(feature: string): void {
    this.seen.set(feature, (this.seen.get(feature) ?? 0) + 1)
  }

  find(id: string): ModelJob | undefined {
    return this.jobs.find((job) => job.id === id)
  }

  numbered(number: number): ModelJob | undefined {
    return this.jobs.find((job) => job.number === number)
  }

  count(queue: string, state: JobState): number {
    return this.jobs.filter((job) => job.queue === queue && job.state === state).length
  }

  waiting(queue: string): number {
    return this.count(queue, 'ready') + this.count(queue, 'scheduled')
  }

  isPaused(queue: string): boolean {
    return (this.pauses.get(queue) ?? 0) > this.nowMs
  }

  unmet(job: ModelJob): number {
    return job.parents.filter(({ state }) => state === null).length
  }

  waitsForParents(job: ModelJob): boolean {
    return job.state === 'scheduled' && job.dueAtMs === null
  }

  add(spec: ModelSpec, id: string, waits = false): ModelJob {
    const job: ModelJob = {
      ...spec,
      id,
      number: ++this.#numbers,
      state: waits || spec.runAtMs !== null ? 'scheduled' : 'ready',
      dueAtMs: waits ? null : spec.runAtMs,
      made: 0,
      failures: 0,
      crashes: 0,
      startedAtMs: null,
      finishedAtMs: null,
      error: null,
      result: null,
      history: [],
      parents: []
    }
    this.jobs.push(job)
    this.turns.changed(job)
    return job
  }

  /** A job that has not started becomes another one; it keeps its id, its number and what it depends on. */
  replace(job: ModelJob, spec: ModelSpec): void {
    const waits = this.waitsForParents(job)
    this.turns.changed(job)
    Object.assign(job, spec, {
      state: waits || spec.runAtMs !== null ? 'scheduled' : 'ready',
      dueAtMs: waits ? null : spec.runAtMs,
      failures: 0,
      finishedAtMs: null,
      error: null,
      result: null
    })
    this.turns.changed(job)
  }

  /** Enters what a job depends on. What has finished already is told at once. */
  link(child: ModelJob, parents: readonly ModelJob[], predecessor: ModelJob | undefined): void {
    child.predecessor = predecessor?.number
    child.parents = parents
      .map((of) => ({ of, state: null, result: null }))
      .sort((one, other) => one.of.number - other.of.number)
    for (const parent of parents) {
      if (isFinished(parent.state) && this.jobs.includes(child)) this.#tell(child, toldOf(parent))
    }
  }

  start(job: ModelJob): void {
    job.state = 'running'
    job.made++
    job.startedBeforeMs = job.startedAtMs
    job.startedAtMs = this.nowMs
    this.turns.changed(job)
  }

  settle(job: ModelJob, ending: Ending): void {
    switch (ending.type) {
      case 'completed':
        this.finish(job, 'completed', { result: ending.result, error: null })
        return
      case 'failed':
        this.#fail(job, ending.error, ending.final)
        return
      case 'retryLater':
        this.#leave(job, 'retryLater')
        this.#runLater(job, this.nowMs + ending.delayMs)
        return
      case 'interrupted':
        this.#leave(job, 'interrupted')
        this.#toReady(job)
        return
      case 'givenBack':
        this.turns.noteStart(job, this.nowMs)
        this.turns.changed(job)
        job.made--
        job.startedAtMs = job.startedBeforeMs!
        this.#toReady(job)
        return
      case 'crashed':
        this.#hostEnded(job, ending.cause.outOfMemory, ending.alone)
    }
  }

  #fail(job: ModelJob, error: JobError, final: boolean): void {
    job.failures++
    const names = [error.code, error.name, String(error.thrownCode ?? error.code)]
    const isIn = (list: readonly string[]) => names.some((name) => list.includes(name))
    const mayAgain = !(job.noRetryOn !== null && isIn(job.noRetryOn)) && (job.retryOn === null || isIn(job.retryOn))
    if (final || !mayAgain || job.failures >= job.attemptsMax) {
      if (!final && !mayAgain) this.saw('not retried by name')
      this.finish(job, 'failed', { error })
      return
    }
    job.error = error
    this.#leave(job, 'failed')
    this.saw(`backoff ${job.backoff?.type ?? 'none'}`)
    this.#runLater(job, this.nowMs + backoffMs(job.backoff, job.failures))
  }

  /** Out of memory is a failure like any other where no other job can be to blame. */
  #hostEnded(job: ModelJob, outOfMemory: boolean, alone: boolean): void {
    if (outOfMemory && alone) {
      this.#fail(job, { code: 'OUT_OF_MEMORY', name: 'OutOfMemory', message: '' }, false)
      return
    }
    job.crashes++
    if (job.crashes >= crashesMax) {
      this.saw('crashed too often')
      this.finish(job, 'failed', { error: { code: 'HOST_CRASHED', name: 'HostCrashed', message: '' } })
      return
    }
    this.#leave(job, 'crashed')
    job.made--
    this.#toReady(job)
  }

  /** An attempt ends. */
  #leave(job: ModelJob, outcome: string): void {
    job.history.push({ attempt: job.made, outcome })
    this.turns.noteStart(job, this.nowMs)
    this.turns.changed(job)
  }

  #runLater(job: ModelJob, dueAtMs: number): void {
    job.state = 'scheduled'
    job.dueAtMs = dueAtMs
    this.turns.changed(job)
  }

  #toReady(job: ModelJob): void {
    job.state = 'ready'
    job.dueAtMs = null
    this.turns.changed(job)
  }

  finish(job: ModelJob, state: FinishedState, changes: Partial<ModelJob>): void {
    if (job.state === 'running') this.#leave(job, state)
    this.turns.changed(job)
    Object.assign(job, changes, { state, dueAtMs: null, finishedAtMs: this.nowMs })
    this.turns.changed(job)
    this.#follow(job)
    this.#tellChildren(job)
    if (job.keepMs[state] === 0) {
      this.saw('kept not at all')
      this.forget(job, 'retention')
    }
  }

  #follow(job: ModelJob): void {
    const written = job.state === 'completed' ? job.onSuccess : job.state === 'failed' ? job.onFailure : null
    if (written === null) return
    this.saw(job.state === 'completed' ? 'onSuccess' : 'onFailure')
    const request: FollowUp = typeof written === 'string' ? { method: written } : written
    const followed = {
      // The store may not have told it yet.
      get id() {
        return job.id
      },
      method: job.method,
      state: job.state,
      ...(job.error === null ? {} : { error: job.error }),
      ...(job.result === null ? {} : { result: JSON.parse(job.result) }),
      params: job.params
    }
    const params = { ...request.params, job: followed } as unknown as Json
    this.add({ ...this.specOf(request as EnqueueRequest), params }, '')
  }

  /** One after the other: the children of a child that fails with its parent wait in line. */
  #tellChildren(job: ModelJob): void {
    if (this.#line !== undefined) {
      this.#line.push(toldOf(job))
      return
    }
    this.#line = [toldOf(job)]
    for (let next = this.#line.shift(); next !== undefined; next = this.#line.shift()) {
      for (const child of this.#childrenOf(next.of)) this.#tell(child, next)
    }
    this.#line = undefined
  }

  #childrenOf({ number }: ModelJob): ModelJob[] {
    return this.jobs.filter(({ parents }) => parents.some(({ of, state }) => of.number === number && state === null))
  }

  #tell(child: ModelJob, told: ModelParent): void {
    const parent = child.parents.find(({ of }) => of.number === told.of.number)!
    const waited = this.waitsForParents(child)
    Object.assign(parent, told)
    if (!waited) return
    const isAwaitedOnly = told.of.number === child.predecessor
    const rule = told.state === 'completed' || isAwaitedOnly ? 'release' : child.onParentFailure
    if (told.state !== 'completed') this.saw(`parent ${told.state}: ${rule}`)
    if (rule !== 'release') {
      const code = rule === 'fail' ? 'UNRECOVERABLE' : 'CANCELLED'
      const error: JobError = { code, name: 'ParentFailed', message: '' }
      this.finish(child, rule === 'fail' ? 'failed' : 'cancelled', { error })
    } else if (this.unmet(child) === 0) {
      this.turns.changed(child)
      const isLater = child.runAtMs !== null && child.runAtMs > this.nowMs
      this.saw(isLater ? 'released for later' : 'released')
      child.state = isLater ? 'scheduled' : 'ready'
      child.dueAtMs = isLater ? child.runAtMs : null
      this.turns.changed(child)
    }
  }

  /** What it depends on is let go, and what waits for it is told that it was cancelled. */
  forget(job: ModelJob, by: 'hand' | 'retention'): void {
    this.turns.changed(job)
    this.jobs = this.jobs.filter((other) => other !== job)
    this.turns.changed(job)
    const window = this.windows.get(job.id)
    if (window?.number === job.number) {
      if (by === 'hand' || !isFinished(job.state)) this.windows.delete(job.id)
      else window.state = job.state
    }
    if (!isFinished(job.state)) for (const child of this.#childrenOf(job)) this.#tell(child, toldOf(job))
  }

  cancel(job: ModelJob): boolean {
    if (isFinished(job.state)) return false
    this.finish(job, 'cancelled', { error: { code: 'CANCELLED', name: 'Cancelled', message: '' } })
    return true
  }

  mayRetry(job: ModelJob): boolean {
    return isFinished(job.state) || (job.state === 'scheduled' && !this.waitsForParents(job))
  }

  retry(job: ModelJob, params: Json | undefined): void {
    this.turns.changed(job)
    if (params !== undefined) job.params = params
    Object.assign(job, { failures: 0, crashes: 0, expiresAtMs: null, finishedAtMs: null, error: null, result: null })
    this.#toReady(job)
  }

  moveTo(job: ModelJob, queue: string): void {
    this.turns.changed(job)
    job.queue = queue
    job.ageingMs = this.queues.get(queue)!.ageingMs
    this.turns.changed(job)
  }

  /** Recovery of what ran when the process died. */
  crash(): number {
    const running = this.jobs.filter(({ state }) => state === 'running')
    for (const job of running) this.settle(job, { type: 'interrupted' })
    return running.length
  }

  nextDueAtMs(): number | null {
    const due = this.jobs.flatMap(({ state, dueAtMs }) => (state === 'scheduled' && dueAtMs !== null ? [dueAtMs] : []))
    return due.length === 0 ? null : Math.min(...due)
  }

  /** One job becomes ready per part. @returns when the next one is due */
  *promote(): Generator<void, number | null> {
    for (const job of this.walk('scheduled')) {
      if (job.dueAtMs === null || job.dueAtMs > this.nowMs) break
      this.#toReady(job)
      yield
    }
    return this.nextDueAtMs()
  }

  /** When a job ends by itself. */
  #endOf(job: ModelJob): number | null {
    if (isFinished(job.state)) {
      const keepMs = job.keepMs[job.state]
      return keepMs === undefined ? null : job.finishedAtMs! + keepMs
    }
    return job.startedAtMs === null ? job.expiresAtMs : null
  }

  /** Cancels what expired and forgets what was kept long enough. */
  upkeep(): void {
    const ends = this.jobs.map((job) => ({ job, atMs: this.#endOf(job) ?? Number.POSITIVE_INFINITY }))
    for (const { job, atMs } of ends.sort((one, other) => one.atMs - other.atMs || one.job.number - other.job.number)) {
      // One that ended before may have taken it along.
      if (atMs > this.nowMs || this.#endOf(job) !== atMs) continue
      if (isFinished(job.state)) this.forget(job, 'retention')
      else {
        this.saw('expired')
        this.finish(job, 'cancelled', { error: expired })
      }
    }
    for (const [id, { untilMs }] of [...this.windows]) if (untilMs <= this.nowMs) this.windows.delete(id)
    for (const { name, retention } of this.queues.values()) {
      for (const state of finishedStates) {
        const { ageMs, count } = retention[state]
        const jobs = this.retained(name, state)
        jobs.forEach((job, at) => {
          const isBeyond = count !== null && jobs.length - at > count
          const isOld = ageMs !== null && job.finishedAtMs! + ageMs <= this.nowMs
          if (!isBeyond && !isOld) return
          this.saw(isBeyond ? 'retained by count' : 'retained by age')
          this.forget(job, 'retention')
        })
      }
    }
  }

  /** Finished jobs that the retention of their queue looks after, the oldest first. */
  retained(queue: string, state: FinishedState): ModelJob[] {
    return this.walk(state, queue)
      .filter(({ keepMs }) => keepMs[state] === undefined)
      .reverse()
  }

  /** When `upkeep` will have something to do, but for retention by bytes. */
  nextUpkeepAtMs(): number {
    let nextAtMs = Number.POSITIVE_INFINITY
    for (const job of this.jobs) nextAtMs = Math.min(nextAtMs, this.#endOf(job) ?? nextAtMs)
    for (const { name, retention } of this.queues.values()) {
      for (const state of finishedStates) {
        const { ageMs, count } = retention[state]
        const jobs = this.retained(name, state)
        if (count !== null && jobs.length > count) nextAtMs = Math.min(nextAtMs, this.nowMs)
        if (ageMs !== null && jobs.length > 0) nextAtMs = Math.min(nextAtMs, jobs[0]!.finishedAtMs! + ageMs)
      }
    }
    return nextAtMs
  }

  /** The jobs of a state in the order of job-walk.ts; without one all, the newest enqueued first. */
  walk(state?: JobState, queue?: string): ModelJob[] {
    const jobs = this.jobs.filter((job) => (state ?? job.state) === job.state && (queue ?? job.queue) === job.queue)
    return jobs.sort((one, other) => comparePlaces(this.placeOf(one, state), this.placeOf(other, state)))
  }

  /** Sorts jobs of one state as they are walked. */
  placeOf(job: ModelJob, state: JobState | undefined): number[] {
    switch (state) {
      case undefined:
        return [-job.number]
      case 'scheduled':
        return [job.dueAtMs ?? Number.MAX_SAFE_INTEGER, job.number]
      case 'running':
        return [job.number]
      case 'ready':
        return [[...this.queues.keys()].indexOf(job.queue), this.turns.numberOf(job), ...orderOf(job)]
      default:
        return [-job.finishedAtMs!, -job.number]
    }
  }

  /** What a request becomes, checked already. */
  specOf(request: EnqueueRequest): ModelSpec {
    const config = this.queues.get(request.queue ?? 'default')!
    const runAtMs = runAtOf(request, this.nowMs)
    return {
      queue: config.name,
      method: request.method,
      params: (request.params ?? {}) as Json,
      jobName: request.jobName ?? null,
      priority: request.priority ?? 0,
      atFront: request.atFront ?? false,
      enqueuedAtMs: this.nowMs,
      runAtMs: runAtMs !== null && runAtMs <= this.nowMs ? null : runAtMs,
      attemptsMax: request.attempts ?? config.attempts,
      backoff: request.backoff ?? null,
      retryOn: request.retryOn ?? config.retryOn,
      noRetryOn: request.noRetryOn ?? config.noRetryOn,
      key: request.key ?? null,
      keyConcurrency: request.keyConcurrency ?? null,
      ageingMs: config.ageingMs,
      onParentFailure: request.onParentFailure ?? 'fail',
      onSuccess: request.onSuccess ?? null,
      onFailure: request.onFailure ?? null,
      expiresAtMs: request.expires === undefined ? null : this.nowMs + spanMs(request.expires),
      keepMs: {
        ...Object.fromEntries(
          finishedStates.flatMap((state) => {
            const rule = request.retention?.[state]
            return rule === undefined ? [] : [[state, spanMs(rule.age)]]
          })
        ),
        ...(request.resultTtl === undefined ? {} : { completed: spanMs(request.resultTtl) })
      }
    }
  }
}

export const expired: JobError = { code: 'CANCELLED', name: 'Expired', message: '' }

export function runAtOf({ deduplicate, delay }: EnqueueRequest, nowMs: number): number | null {
  const debounce = (deduplicate as Extract<Deduplication, { debounce: unknown }> | undefined)?.debounce
  if (debounce !== undefined) return nowMs + spanMs(debounce)
  return delay === undefined ? null : nowMs + spanMs(delay)
}

/** Of a duration in seconds, the only form that the test writes. */
export function spanMs(duration: unknown): number {
  return Math.round((duration as number) * 1000)
}

function backoffMs(backoff: Backoff | null, failures: number): number {
  if (backoff === null) return 0
  const { type, delay, delays } = backoff
  const waitMs =
    type === 'list'
      ? spanMs(delays![Math.min(failures, delays!.length) - 1])
      : spanMs(delay) * (type === 'fixed' ? 1 : 2 ** (failures - 1))
  return Math.min(waitMs, backoff.max === undefined ? dayMs : spanMs(backoff.max))
}

function toldOf(of: ModelJob): ModelParent {
  return {
    of,
    state: isFinished(of.state) ? of.state : 'cancelled',
    result: of.state === 'completed' ? of.result : null
  }
}

/** Smaller runs first: at front before all, the last one put there first (E9); then larger priorities; then older ones. */
export function orderOf(job: ModelJob): number[] {
  return job.atFront ? [0, 0, -job.number] : [1, rankOf(job), job.number]
}

const agedRankMin = 2_000_001

/** With ageing a priority is worth a time of waiting, in whole seconds; what ages comes after what does not. */
export function rankOf({ priority, ageingMs, enqueuedAtMs }: ModelJob): number {
  if (ageingMs === null) return 1_000_000 - priority
  return Math.max(Math.floor((enqueuedAtMs - priority * ageingMs) / 1000), agedRankMin)
}

export function comparePlaces(one: readonly number[], other: readonly number[]): number {
  const at = one.findIndex((part, index) => part !== other[index])
  return at === -1 ? 0 : one[at]! - other[at]!
}
