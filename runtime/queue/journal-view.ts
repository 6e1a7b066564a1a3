/** The journal of a job as the protocol shows it. */
import { iso } from '../core/instant.ts'
import type { JobView } from '../core/job.ts'
import type { JournalEntry, StepView } from '../core/journal.ts'
import type { Reader } from '../store/store.ts'
import { readSignals } from './journal-entries.ts'
import type { StoredJob } from './stored-job.ts'

export function stepView(entry: JournalEntry): StepView {
  const { name, kind, runs, cuts, startedAtMs, finishedAtMs, untilMs, result, error } = entry
  return {
    name,
    kind,
    state: shownState(entry),
    runs,
    cuts,
    startedAt: iso(startedAtMs),
    finishedAt: finishedAtMs === null ? null : iso(finishedAtMs),
    until: untilMs === null ? null : iso(untilMs),
    ...(result === null ? {} : { result: JSON.parse(result) }),
    ...(error === null ? {} : { error })
  }
}

function shownState({ kind, state, error }: JournalEntry): StepView['state'] {
  if (state !== 'open') return state
  if (kind === 'sleep') return 'sleeping'
  if (kind === 'signal') return 'waiting'
  return error === null ? 'running' : 'failed'
}

/** Those that nothing has taken, oldest first. */
export function signalViews(reader: Reader, job: StoredJob): NonNullable<JobView['signals']> {
  return readSignals(reader, job).map(({ signal: { name, payload, atMs } }) => ({
    name,
    payload: JSON.parse(payload),
    at: iso(atMs)
  }))
}
