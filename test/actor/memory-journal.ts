/** The supervisor's side of the journal of one job, in memory: what is in `entries` counts as on disk. */
import type { Journal } from '../../runtime/actor/journal.ts'
import type { JournalEntry, JournalKind } from '../../runtime/core/journal.ts'
import type { JobAnswer, JobQuestion, JobQuestions, Outcome, Until } from '../../runtime/core/pool.ts'

export class MemoryJournal {
  readonly entries: JournalEntry[] = []
  /** Signals that nobody has taken yet. */
  readonly signals: { name: string; payload: string }[] = []
  readonly enqueued: string[] = []
  nowMs = Date.now()
  /** Entries that were open when the attempt began. */
  #opened = new Set<number>()
  #ends = 0

  /** An attempt begins. @returns what it is given */
  begin(): JournalEntry[] {
    this.#opened = new Set(this.entries.filter(({ state }) => state === 'open').map(({ index }) => index))
    return structuredClone(this.entries).sort((one, other) => one.index - other.index)
  }

  answer(question: JobQuestion): JobAnswer {
    return { type: 'answered', value: this.#answer(question) }
  }

  /** The attempt of a suspended job ended: when it goes on, at the earliest. */
  dueAtMs(indexes: readonly number[]): number | null {
    const waits = indexes.map((index) => this.#entry(index)!.untilMs).filter((atMs) => atMs !== null)
    return waits.length === 0 ? null : Math.min(...waits)
  }

  /** The attempt is suspended: what its steps threw and the method caught stays. */
  suspend({ failed = [] }: Outcome & { type: 'suspended' }): void {
    for (const index of failed) this.#entry(index)!.state = 'failed'
  }

  /** As the store has it while no attempt runs. */
  signal(name: string, payload: string): void {
    const waiting = this.entries
      .filter((entry) => entry.kind === 'signal' && entry.state === 'open' && entry.name === name)
      .sort((one, other) => one.index - other.index)[0]
    if (waiting === undefined) this.signals.push({ name, payload })
    else this.#finish(waiting, payload)
  }

  #endOf(until: Until | { untilMs: null }): number | null {
    return 'forMs' in until ? this.nowMs + until.forMs : until.untilMs
  }

  #answer(question: JobQuestion): ReturnType<JobQuestions[keyof JobQuestions]> {
    switch (question.type) {
      case 'state':
        throw new Error('not of a journal')
      case 'beginStep': {
        const entry = this.#open(question, 'step', null)
        const wasCut = this.#opened.has(question.index) && entry.error === null
        entry.runs += 1
        if (wasCut) entry.cuts += 1
        entry.error = null
        entry.order = null
        return { run: entry.runs, wasCut }
      }
      case 'endStep': {
        const entry = this.#entry(question.index)!
        if (question.error === undefined) this.#finish(entry, question.result!)
        else Object.assign(entry, { error: question.error, order: this.#ends++ })
        return {}
      }
      case 'sleep': {
        const entry = this.#open(question, 'sleep', this.#endOf(question))
        const isOver = entry.untilMs! <= this.nowMs
        if (isOver) this.#finish(entry, null)
        return { isOver }
      }
      case 'waitFor': {
        const entry = this.#open(question, 'signal', this.#endOf(question))
        const at = this.signals.findIndex(({ name }) => name === question.name)
        if (at !== -1) {
          const { payload } = this.signals.splice(at, 1)[0]!
          this.#finish(entry, payload)
          return { state: 'received', payload }
        }
        if (entry.untilMs === null || entry.untilMs > this.nowMs) return { state: 'waiting' }
        Object.assign(entry, { state: 'timedOut', order: this.#ends++ })
        return { state: 'timedOut' }
      }
      case 'enqueue': {
        const entry = this.#open(question, 'enqueue', null)
        const ids = question.jobs.map(({ method }, index) => `${method}-${question.index}-${index}`)
        this.enqueued.push(...ids)
        this.#finish(entry, JSON.stringify(ids))
        return { ids }
      }
    }
  }

  #entry(index: number): JournalEntry | undefined {
    return this.entries.find((entry) => entry.index === index)
  }

  #open({ index, name }: { index: number; name: string }, kind: JournalKind, untilMs: number | null): JournalEntry {
    const found = this.#entry(index)
    if (found !== undefined) return found
    const entry: JournalEntry = {
      index,
      kind,
      name,
      state: 'open',
      result: null,
      runs: 0,
      cuts: 0,
      startedAtMs: this.nowMs,
      finishedAtMs: null,
      untilMs,
      error: null,
      order: null
    }
    this.entries.push(entry)
    return entry
  }

  #finish(entry: JournalEntry, result: string | null): void {
    entry.state = 'done'
    entry.order = this.#ends++
    entry.result = result
    entry.finishedAtMs = this.nowMs
  }
}

/** Calls the method. @returns its outcome, or the one that its journal comes to before */
export function outcomeOf(journal: Journal, method: () => Promise<Outcome>): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    journal.begin(resolve)
    method().then(
      (outcome) => journal.returned(outcome),
      (error) => {
        journal.close()
        reject(error)
      }
    )
  })
}
