/**
 * Journals and signals as one would write them without a disk: plain objects and arrays, after the documentation. Of jobs it
 * knows only what journals need: which attempt runs, and when what is scheduled is due.
 */
import type { Until } from '../../runtime/core/pool.ts'
import type { JournalQuestion } from '../../runtime/queue/journal.ts'

interface Entry {
  kind: string
  name: string
  state: 'open' | 'done' | 'timedOut'
  result: string | null
  runs: number
  cuts: number
  untilMs: number | null
  threw: string | null
}

export interface ModelJob {
  id: string
  state: string
  made: number
  failures: number
  dueAtMs: number
  isSuspended: boolean
  entries: Map<number, Entry>
  signals: { name: string; payload: string }[]
}

/** An attempt, which may be over. */
export interface ModelAttempt {
  job: ModelJob
  attempt: number
}

/** What a refusal is in the model. */
export class Refused extends Error {
  readonly code: string

  constructor(code: string) {
    super(code)
    this.code = code
  }
}

export const attemptsMax = 2
export const backoffMs = 40
const never = Number.POSITIVE_INFINITY

export class JournalModel {
  jobs = new Map<string, ModelJob>()
  nowMs: number
  /** How often each thing was met. */
  readonly seen: Map<string, number>

  constructor(nowMs: number, seen: Map<string, number>) {
    this.nowMs = nowMs
    this.seen = seen
  }

  saw(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1)
  }

  enqueue(id: string): void {
    if (this.jobs.has(id)) throw new Refused('JOB_EXISTS')
    const fresh = { state: 'ready', made: 0, failures: 0, dueAtMs: never, isSuspended: false }
    this.jobs.set(id, { id, ...fresh, entries: new Map(), signals: [] })
  }

  claimed(id: string): ModelAttempt {
    const job = this.jobs.get(id)!
    job.state = 'running'
    job.made++
    return { job, attempt: job.made }
  }

  runs({ job, attempt }: ModelAttempt): boolean {
    return this.jobs.get(job.id) === job && job.state === 'running' && job.made === attempt
  }

  ask(of: ModelAttempt, question: JournalQuestion): unknown {
    const { job } = of
    if (!this.runs(of)) throw this.#refused('JOB_STATE', 'an attempt that is over')
    const kept = job.entries.get(question.index)
    switch (question.type) {
      case 'endStep':
        return this.#endStep(kept, question)
      case 'beginStep': {
        const entry = this.#entry(job, question.index, 'step', question.name)
        if (entry.state === 'done') return { run: entry.runs, wasCut: false }
        const wasCut = kept !== undefined && entry.threw === null
        if (wasCut) this.saw('a cut')
        entry.runs++
        entry.cuts += wasCut ? 1 : 0
        entry.threw = null
        return { run: entry.runs, wasCut }
      }
      case 'sleep': {
        const entry = this.#entry(job, question.index, 'sleep', question.name, this.#endOf(question))
        if (entry.untilMs! <= this.nowMs) entry.state = 'done'
        if (entry.state === 'done') this.saw('a sleep that is over')
        return { isOver: entry.state === 'done' }
      }
      case 'waitFor':
        return this.#waitFor(job, this.#entry(job, question.index, 'signal', question.name, this.#endOf(question)))
      case 'enqueue': {
        const entry = this.#entry(job, question.index, 'enqueue', question.name)
        if (entry.state === 'done') return { ids: JSON.parse(entry.result!) }
        const ids = question.jobs.map(({ jobId }) => jobId!)
        const taken = ids.find((each, at) => this.jobs.has(each) || ids.indexOf(each) < at)
        if (taken !== undefined) {
          job.entries.delete(question.index)
          throw this.#refused('JOB_EXISTS', 'a refused enqueue')
        }
        for (const each of ids) this.enqueue(each)
        this.saw('an enqueue at once')
        Object.assign(entry, { state: 'done', result: JSON.stringify(ids) })
        return { ids }
      }
    }
  }

  #endOf(until: Until | { untilMs: null }): number | null {
    return 'forMs' in until ? this.nowMs + until.forMs : until.untilMs
  }

  #endStep(kept: Entry | undefined, { result, error }: Extract<JournalQuestion, { type: 'endStep' }>): unknown {
    if (kept?.kind !== 'step') throw this.#refused('JOB_STATE', 'the end of no step')
    if (kept.state === 'done') return {}
    if (error === undefined) Object.assign(kept, { state: 'done', result, threw: null })
    else kept.threw = error.message
    return {}
  }

  #waitFor(job: ModelJob, entry: Entry): unknown {
    if (entry.state === 'open') {
      const at = job.signals.findIndex(({ name }) => name === entry.name)
      if (at >= 0) {
        this.saw('an early signal')
        Object.assign(entry, { state: 'done', result: job.signals.splice(at, 1)[0]!.payload })
      } else if (entry.untilMs !== null && entry.untilMs <= this.nowMs) {
        this.saw('a timeout')
        entry.state = 'timedOut'
      }
    }
    if (entry.state === 'done') return { state: 'received', payload: entry.result }
    return { state: entry.state === 'timedOut' ? 'timedOut' : 'waiting' }
  }

  #entry(job: ModelJob, index: number, kind: string, name: string, untilMs: number | null = null): Entry {
    const kept = job.entries.get(index)
    if (kept === undefined) {
      const entry: Entry = { kind, name, state: 'open', result: null, runs: 0, cuts: 0, untilMs, threw: null }
      job.entries.set(index, entry)
      return entry
    }
    if (kept.kind !== kind || kept.name !== name) throw this.#refused('JOB_STATE', 'another call')
    return kept
  }

  settle(of: ModelAttempt, ending: string, entries: readonly number[]): boolean {
    const { job } = of
    if (!this.runs(of)) return false
    switch (ending) {
      case 'completed':
        job.state = 'completed'
        break
      case 'interrupted':
        job.state = 'ready'
        break
      case 'suspended':
        Object.assign(job, { state: 'scheduled', isSuspended: true, dueAtMs: this.#resumesAtMs(job, entries) })
        break
      default:
        job.failures++
        if (job.failures === attemptsMax) job.state = 'failed'
        else Object.assign(job, { state: 'scheduled', isSuspended: false, dueAtMs: this.nowMs + backoffMs })
    }
    return true
  }

  #resumesAtMs(job: ModelJob, entries: readonly number[]): number {
    const ends = entries.map((index) => {
      const entry = job.entries.get(index)
      if (entry?.kind === 'signal' && job.signals.some(({ name }) => name === entry.name)) return this.nowMs
      return entry?.state === 'open' ? (entry.untilMs ?? never) : this.nowMs
    })
    return ends.length === 0 ? this.nowMs : Math.max(this.nowMs, Math.min(...ends))
  }

  signal(id: string, name: string, payload: string): string {
    const job = this.jobs.get(id)
    if (job === undefined) throw new Refused('JOB_UNKNOWN')
    if (isOver(job)) throw this.#refused('JOB_STATE', 'a signal to a finished job')
    const waiting = [...job.entries]
      .sort(([one], [other]) => one - other)
      .find(([, entry]) => entry.kind === 'signal' && entry.state === 'open' && entry.name === name)
    const isBehind = job.signals.some((signal) => signal.name === name)
    if (waiting === undefined || job.state === 'running' || isBehind) job.signals.push({ name, payload })
    else {
      Object.assign(waiting[1], { state: 'done', result: payload })
      if (job.state === 'scheduled' && job.isSuspended) {
        this.saw('a signal that wakes')
        job.state = 'ready'
      }
    }
    return job.state
  }

  cancel(id: string): void {
    const job = this.jobs.get(id)
    if (job === undefined) throw new Refused('JOB_UNKNOWN')
    if (!isOver(job)) job.state = 'cancelled'
  }

  retry(id: string, hasParams: boolean): void {
    const job = this.jobs.get(id)
    if (job === undefined) throw new Refused('JOB_UNKNOWN')
    if (job.state === 'ready' || job.state === 'running') throw new Refused('JOB_STATE')
    if (hasParams || job.state === 'completed') {
      job.entries.clear()
      job.signals = []
    } else if (isOver(job) && job.entries.size > 0) this.saw('a retry that goes on')
    Object.assign(job, { state: 'ready', failures: 0 })
  }

  remove(id: string): void {
    const job = this.jobs.get(id)
    if (job === undefined) throw new Refused('JOB_UNKNOWN')
    if (job.state === 'running') throw new Refused('JOB_STATE')
    this.jobs.delete(id)
  }

  promote(): void {
    for (const job of this.jobs.values()) {
      if (job.state === 'scheduled' && job.dueAtMs <= this.nowMs) job.state = 'ready'
    }
  }

  kill(): void {
    for (const job of this.jobs.values()) if (job.state === 'running') job.state = 'ready'
  }

  #refused(code: string, what: string): Refused {
    this.saw(what)
    return new Refused(code)
  }
}

function isOver({ state }: ModelJob): boolean {
  return state === 'completed' || state === 'failed' || state === 'cancelled'
}
