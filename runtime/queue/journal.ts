/**
 * What a running job asks of its journal. Each question is one commit. An entry that is not `open` never changes
 * again: who asks about it is told what is stored, so a question that is asked twice does nothing the second time.
 *
 * - A step is `open` from before its function is called until it has returned. One that is open without an error when it is
 *   begun was cut in its middle: the attempt before ended in it.
 * - A sleep or a wait keeps the instant that was asked for first, whatever later attempts ask for.
 * - What is over has its place in the order in which the attempts learn of it: see `order` in core/journal.ts. So a signal for
 *   a job that runs is never put into its entry but kept, until an attempt asks for it.
 */
import { RuntimeError } from '../core/errors.ts'
import type { EnqueueRequest, JobError } from '../core/job.ts'
import type { JournalEntry, JournalKind } from '../core/journal.ts'
import { instantMsMax, journalBytesMax, journalEntriesMax, nameCharsMax, stepResultBytesMax } from '../core/limits.ts'
import type { JobQuestion, JobQuestions, Until } from '../core/pool.ts'
import type { Reader } from '../store/store.ts'
import type { QueueCommit } from './commit.ts'
import { asOver, bytesOfEntry, emptyJournal, isCallIndex, readEntry, writeEntry } from './journal-entries.ts'
import { journalFull, notInJournal } from './refusals.ts'
import { keptSignals, takeSignal } from './signals.ts'
import type { StoredJob } from './stored-job.ts'

/** What a running job asks of its journal. */
export type JournalQuestion = Exclude<JobQuestion, { type: 'state' }>
export type AnswerTo<Q extends JobQuestion> = ReturnType<JobQuestions[Q['type']]>

type Asked<T extends JobQuestion['type']> = Extract<JobQuestion, { type: T }>

/**
 * The function of a step is called next.
 *
 * @throws RuntimeError `PAYLOAD_TOO_LARGE`, `PARAMS_INVALID`, `JOB_STATE` where the journal has another call there
 */
export function beginStep(
  commit: QueueCommit,
  job: StoredJob,
  { index, name }: Asked<'beginStep'>
): AnswerTo<Asked<'beginStep'>> {
  const kept = entryFor(commit, job, { index, kind: 'step', name })
  if (kept !== undefined && kept.state !== 'open') return { run: kept.runs, wasCut: false }
  const wasCut = kept !== undefined && kept.error === null
  const begun = kept ?? freshEntry(commit, index, 'step', name)
  const run = begun.runs + 1
  const cuts = begun.cuts + (wasCut ? 1 : 0)
  const entry = { ...begun, runs: run, cuts, startedAtMs: commit.nowMs, finishedAtMs: null, error: null, order: null }
  writeEntry(commit, job, entry, kept)
  return { run, wasCut }
}

/**
 * A step has returned, or thrown. One whose result there is no room for has failed with that.
 *
 * @returns the refusal, which is on disk as the error of the step
 * @throws RuntimeError `JOB_STATE` where the journal has no such step
 */
export function endStep(
  commit: QueueCommit,
  job: StoredJob,
  { index, result, error }: Asked<'endStep'>
): AnswerTo<Asked<'endStep'>> | RuntimeError {
  const kept = readEntry(commit.transaction, job.seq, index)
  if (kept?.kind !== 'step') throw notInJournal(job.spec.id, 'end', { index, kind: 'step' }, kept)
  if (kept.state !== 'open') return {}
  const ended = asOver(job, kept, commit.nowMs)
  if (error !== undefined) {
    writeEntry(commit, job, withError(job, ended, error), kept)
    return {}
  }
  const done = { ...ended, state: 'done' as const, result: result ?? 'null', error: null }
  const refusal = refusalOf(job, `store the result of step "${kept.name}"`, bytesOfEntry(done), bytesOfEntry(kept))
  if (refusal === undefined) {
    writeEntry(commit, job, done, kept)
    return {}
  }
  const { name, message } = refusal
  writeEntry(commit, job, { ...ended, error: { code: 'RESULT_INVALID', name, message } }, kept)
  return refusal
}

/** @throws RuntimeError as {@link beginStep} */
export function sleep(
  commit: QueueCommit,
  job: StoredJob,
  { index, name, ...until }: Asked<'sleep'>
): AnswerTo<Asked<'sleep'>> {
  const kept = entryFor(commit, job, { index, kind: 'sleep', name })
  if (kept?.state === 'done') return { isOver: true }
  const asked = kept ?? { ...freshEntry(commit, index, 'sleep', name), untilMs: storedInstant(commit, until, name) }
  const isOver = asked.untilMs! <= commit.nowMs
  if (isOver) writeEntry(commit, job, { ...asOver(job, asked, commit.nowMs), state: 'done' }, kept)
  else if (kept === undefined) writeEntry(commit, job, asked, kept)
  return { isOver }
}

/** What has come already is taken, also where the wait is over by now. @throws RuntimeError as {@link beginStep} */
export function waitFor(
  commit: QueueCommit,
  job: StoredJob,
  { index, name, ...until }: Asked<'waitFor'>
): AnswerTo<Asked<'waitFor'>> {
  const kept = entryFor(commit, job, { index, kind: 'signal', name })
  if (kept?.state === 'done') return { state: 'received', payload: kept.result! }
  if (kept?.state === 'timedOut') return { state: 'timedOut' }
  const asked = kept ?? {
    ...freshEntry(commit, index, 'signal', name),
    untilMs: 'untilMs' in until && until.untilMs === null ? null : storedInstant(commit, until as Until, name)
  }
  const over = asOver(job, asked, commit.nowMs)
  const signal = takeSignal(commit, job, name)
  if (signal !== undefined) {
    writeEntry(commit, job, { ...over, state: 'done', result: signal.payload }, kept)
    return { state: 'received', payload: signal.payload }
  }
  if (asked.untilMs !== null && asked.untilMs <= commit.nowMs) {
    writeEntry(commit, job, { ...over, state: 'timedOut' }, kept)
    return { state: 'timedOut' }
  }
  if (kept === undefined) writeEntry(commit, job, asked, kept)
  return { state: 'waiting' }
}

/** Whether an earlier attempt has made the call. */
export function hasEnqueued(reader: Reader, seq: number, { index }: Asked<'enqueue'>): boolean {
  return readEntry(reader, seq, index)?.kind === 'enqueue'
}

/**
 * Jobs that are enqueued at once, and not again by a later attempt.
 *
 * @param admit enqueues them; may refuse before its first write
 * @throws RuntimeError as {@link beginStep}, and as `admit`
 */
export function enqueueOnce(
  commit: QueueCommit,
  job: StoredJob,
  { index, name, jobs }: Asked<'enqueue'>,
  admit: () => string[]
): AnswerTo<Asked<'enqueue'>> {
  const kept = entryFor(commit, job, { index, kind: 'enqueue', name })
  if (kept !== undefined) return { ids: JSON.parse(kept.result!) }
  const refusal = refusalOf(job, 'store the ids of the jobs that it enqueues', idsBytesMaxOf(jobs), 0)
  if (refusal !== undefined) throw refusal
  const ids = admit()
  const entry = freshEntry(commit, index, 'enqueue', name)
  writeEntry(
    commit,
    job,
    { ...asOver(job, entry, commit.nowMs), state: 'done', result: JSON.stringify(ids) },
    undefined
  )
  return { ids }
}

/** Bytes of the ids of jobs, as a list in JSON, at most. */
function idsBytesMaxOf(requests: readonly EnqueueRequest[]): number {
  const madeIdBytesMax = 40
  const successorBytes = '~next'.length
  const each = requests.map(({ jobId }) =>
    jobId === undefined ? madeIdBytesMax : Buffer.byteLength(JSON.stringify(jobId)) + successorBytes
  )
  return each.reduce((sum, bytes) => sum + bytes + 1, 2)
}

/** When a suspended job goes on: at once where an entry is over already; `instantMsMax`: not by itself. */
export function resumesAtMs({ transaction, nowMs }: QueueCommit, job: StoredJob, indexes: readonly number[]): number {
  const ends = indexes.map((index) => {
    const entry = readEntry(transaction, job.seq, index)
    if (entry?.state !== 'open') return nowMs
    if (entry.kind === 'signal' && keptSignals(transaction, job, entry.name) > 0) return nowMs
    return entry.untilMs ?? instantMsMax
  })
  return ends.length === 0 ? nowMs : Math.max(nowMs, Math.min(...ends))
}

/** The attempt is suspended: it has seen what these steps threw, and the next one, which goes on for it, sees the same. */
export function keepErrors(commit: QueueCommit, job: StoredJob, indexes: readonly number[]): void {
  for (const index of indexes) {
    const kept = readEntry(commit.transaction, job.seq, index)
    if (kept?.kind !== 'step' || kept.state !== 'open' || kept.error === null) continue
    writeEntry(commit, job, { ...kept, state: 'failed' }, kept)
  }
}

interface Call {
  index: number
  kind: JournalKind
  name: string
}

/** What is kept of a call. */
function entryFor(commit: QueueCommit, job: StoredJob, call: Call): JournalEntry | undefined {
  const { index, kind, name } = call
  if (!isCallIndex(index)) {
    throw new RuntimeError(
      'PAYLOAD_TOO_LARGE',
      `Cannot keep ${kind} "${name}" of job "${job.spec.id}": a job may have ${journalEntriesMax} steps, sleeps and waits together. Do several things in one step, or go on in another job.`,
      { entriesMax: journalEntriesMax }
    )
  }
  if (name.length > nameCharsMax) {
    throw new RuntimeError(
      'PARAMS_INVALID',
      `Cannot keep a ${kind} of job "${job.spec.id}": its name has ${name.length} characters, at most ${nameCharsMax} are allowed.`
    )
  }
  const kept = readEntry(commit.transaction, job.seq, index)
  if (kept === undefined || (kept.kind === kind && kept.name === name)) return kept
  throw notInJournal(job.spec.id, 'go on with', call, kept)
}

function freshEntry({ nowMs }: QueueCommit, index: number, kind: JournalKind, name: string): JournalEntry {
  return {
    index,
    kind,
    name,
    state: 'open',
    result: null,
    runs: 0,
    cuts: 0,
    startedAtMs: nowMs,
    finishedAtMs: null,
    untilMs: null,
    error: null,
    order: null
  }
}

/** As it can be part of a key. */
function storedInstant({ nowMs }: QueueCommit, until: Until, name: string): number {
  const atMs = 'forMs' in until ? nowMs + until.forMs : until.untilMs
  if (Number.isFinite(atMs)) return Math.min(Math.max(Math.ceil(atMs), 0), instantMsMax)
  throw new RuntimeError('PARAMS_INVALID', `Cannot wait for "${name}": ${atMs} is no instant.`)
}

/** Why there is no room for a result of so many bytes, in place of what the entry has now. */
function refusalOf(
  { spec, standing }: StoredJob,
  attempted: string,
  bytes: number,
  replacedBytes: number
): RuntimeError | undefined {
  if (bytes > stepResultBytesMax) {
    return new RuntimeError(
      'PAYLOAD_TOO_LARGE',
      `Cannot ${attempted}, of job "${spec.id}": it takes ${bytes} bytes as JSON, at most ${stepResultBytesMax} are allowed. Put the data into a file and return its path.`,
      { bytes, bytesMax: stepResultBytesMax }
    )
  }
  const others = (standing.journal ?? emptyJournal).bytes - replacedBytes
  return others + bytes > journalBytesMax ? journalFull(`${attempted}, of job "${spec.id}"`, others, bytes) : undefined
}

/** The stack is left out where there is no room for it; an error is never refused. */
function withError({ standing }: StoredJob, entry: JournalEntry, error: JobError): JournalEntry {
  const failed = { ...entry, error }
  if ((standing.journal ?? emptyJournal).bytes + bytesOfEntry(failed) <= journalBytesMax) return failed
  const { stack: _, ...short } = error
  return { ...entry, error: short }
}
