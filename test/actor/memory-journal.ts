/** The supervisor's side of the journal of one job, in memory: what is in `entries` counts as on disk. */
import type { JournalEntry, JournalKind } from '../../runtime/core/journal.ts'
import type { JobAnswer, JobQuestion, JobQuestions } from '../../runtime/core/pool.ts'

export class MemoryJournal {
  readonly entries: JournalEntry[] = []
  /** Signals that nobody has taken yet. */
  readonly signals: { name: string; payload: string }[] = []
  readonly enqueued: string[] = []
  nowMs = Date.now()
  /** Entries that were open when the attempt began. */
  #opened = new Set<number>()

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
        return { run: entry.runs, wasCut }
      }
      case 'endStep': {
        const entry = this.#entry(question.index)!
        if (question.error === undefined) this.#finish(entry, question.result!)
        else entry.error = question.error
        return {}
      }
      case 'sleep': {
        const entry = this.#open(question, 'sleep', question.untilMs)
        const isOver = entry.untilMs! <= this.nowMs
        if (isOver) this.#finish(entry, null)
        return { isOver }
      }
      case 'waitFor': {
        const entry = this.#open(question, 'signal', question.untilMs)
        const at = this.signals.findIndex(({ name }) => name === question.name)
        if (at !== -1) {
          const { payload } = this.signals.splice(at, 1)[0]!
          this.#finish(entry, payload)
          return { state: 'received', payload }
        }
        if (entry.untilMs === null || entry.untilMs > this.nowMs) return { state: 'waiting' }
        entry.state = 'timedOut'
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
      error: null
    }
    this.entries.push(entry)
    return entry
  }

  #finish(entry: JournalEntry, result: string | null): void {
    entry.state = 'done'
    entry.result = result
    entry.finishedAtMs = this.nowMs
  }
}
