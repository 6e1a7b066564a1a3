/**
 * Documents and their jobs as one would write them without a disk: what the durable queue is held against, step by step.
 * The state of a document is the list of the attempts that have changed it.
 */
import type { FinishedState, JobState } from '../../runtime/core/lifecycle.ts'
import { isFinished } from '../../runtime/core/lifecycle.ts'

export interface ModelJob {
  id: string
  number: number
  document: string
  queue: string
  priority: number
  atFront: boolean
  attemptsMax: number
  state: JobState
  dueAtMs: number | null
  made: number
  failures: number
  crashes: number
  /** Of the document when the job was claimed. */
  claimed: string[] | null
}

export class DocumentModel {
  readonly jobs: ModelJob[] = []
  /** A new list with each change, so that one list is one revision. */
  readonly states = new Map<string, string[]>()
  #numbers = 0

  add(job: Pick<ModelJob, 'id' | 'document' | 'queue' | 'priority' | 'atFront' | 'attemptsMax' | 'dueAtMs'>): void {
    const state = job.dueAtMs === null ? 'ready' : 'scheduled'
    const fresh = { made: 0, failures: 0, crashes: 0, claimed: null }
    this.jobs.push({ ...job, ...fresh, number: ++this.#numbers, state })
  }

  find(id: string): ModelJob | undefined {
    return this.jobs.find((job) => job.id === id)
  }

  forget(job: ModelJob): void {
    this.jobs.splice(this.jobs.indexOf(job), 1)
  }

  /** The job of the document that runs next, if one may now. */
  next(document: string): ModelJob | undefined {
    const own = this.jobs.filter((job) => job.document === document)
    if (own.some(({ state, made }) => state === 'running' || (state === 'scheduled' && made > 0))) return undefined
    return own.filter(({ state }) => state === 'ready').sort(inOrder)[0]
  }

  /** Those that may be started from a queue. */
  startable(queue: string): ModelJob[] {
    const documents = new Set(this.jobs.map(({ document }) => document))
    return [...documents].map((document) => this.next(document)).filter((job) => job?.queue === queue) as ModelJob[]
  }

  start(job: ModelJob): void {
    job.state = 'running'
    job.made++
    job.claimed = this.states.get(job.document) ?? null
  }

  /** Whether the document is as the job has found it. */
  isUnchanged({ document, claimed }: ModelJob): boolean {
    return (this.states.get(document) ?? null) === claimed
  }

  end(job: ModelJob, state: FinishedState): void {
    job.state = state
    job.dueAtMs = null
  }

  again(job: ModelJob, dueAtMs: number | null): void {
    job.state = dueAtMs === null ? 'ready' : 'scheduled'
    job.dueAtMs = dueAtMs
  }

  fail(job: ModelJob, nowMs: number): void {
    job.failures++
    if (job.failures >= job.attemptsMax) this.end(job, 'failed')
    else this.again(job, nowMs)
  }

  retry(job: ModelJob): boolean {
    if (!isFinished(job.state) && job.state !== 'scheduled') return false
    Object.assign(job, { failures: 0, crashes: 0 })
    this.again(job, null)
    return true
  }

  promote(nowMs: number): void {
    for (const job of this.jobs) if (job.state === 'scheduled' && job.dueAtMs! <= nowMs) this.again(job, null)
  }
}

/** At front the last one put there first, then larger priorities, then as they were enqueued. */
function inOrder(one: ModelJob, other: ModelJob): number {
  if (one.atFront !== other.atFront) return one.atFront ? -1 : 1
  if (one.atFront) return other.number - one.number
  return other.priority - one.priority || one.number - other.number
}
