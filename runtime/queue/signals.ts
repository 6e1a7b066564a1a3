/**
 * Signals: what others tell a job by name. One for which the job waits is taken at once, by the call that came first, unless
 * the job runs, as its attempt was told that there is none, or an older one is kept since then, which is received first. Any
 * other is kept ('H') until a wait of that name asks, oldest first.
 * So none is lost and none is received twice, whether the job runs, sleeps, or has not started. They are forgotten with the job.
 */
import { isFinished } from '../core/lifecycle.ts'
import { journalBytesMax, signalBytesMax, signalsMax } from '../core/limits.ts'
import { signalKey } from '../store/keys.ts'
import { type SignalRecord, signalCodec } from '../store/records.ts'
import type { Reader } from '../store/store.ts'
import type { QueueCommit } from './commit.ts'
import { encodeJson } from './job-draft.ts'
import { asOver, emptyJournal, readJournal, readSignals, writeEntry } from './journal-entries.ts'
import { journalFull, wrongState } from './refusals.ts'
import { isSuspended, type StoredJob } from './stored-job.ts'

/**
 * @returns the payload as JSON text
 * @throws RuntimeError `PARAMS_INVALID`: not JSON, or nested too deeply · `PAYLOAD_TOO_LARGE`
 */
export function encodeSignal(payload: unknown, id: string, name: string): string {
  return encodeJson(payload, `send signal "${name}" to job "${id}"`, payloadRule)
}

const payloadRule = {
  name: 'its payload',
  bytesMax: signalBytesMax,
  advice: 'Put the data into a file and send its path.'
}

/**
 * @param payload JSON text
 * @throws RuntimeError `JOB_STATE`: it has finished, or has too many signals that it has not taken · `PAYLOAD_TOO_LARGE`
 */
export function sendSignal(commit: QueueCommit, job: StoredJob, name: string, payload: string): void {
  const { id } = job.spec
  const { state } = job.standing
  if (isFinished(state)) throw wrongState('send a signal to', id, state, 'Retry it first, or enqueue another job.')
  const totals = job.standing.journal ?? emptyJournal
  const bytes = Buffer.byteLength(payload)
  if (totals.bytes + bytes > journalBytesMax) {
    throw journalFull(`send signal "${name}" to job "${id}"`, totals.bytes, bytes)
  }
  const waits = readJournal(commit.transaction, job).filter(
    (entry) => entry.kind === 'signal' && entry.state === 'open' && entry.name === name
  )
  const [first] = waits
  const kept = keptSignals(commit.transaction, job, name)
  if (first !== undefined && state !== 'running' && kept === 0) {
    writeEntry(commit, job, { ...asOver(job, first, commit.nowMs), state: 'done', result: payload }, first)
    if (isSuspended(job.standing)) resume(commit, job)
    return
  }
  const isAwaited = waits.length > kept
  if (totals.signals >= signalsMax && !isAwaited) {
    const why = `It has ${totals.signals} signals that no ctx.waitFor has taken, at most ${signalsMax} are kept.`
    throw wrongState('send a signal to', id, state, `${why} Check that "${name}" is the name that it waits for.`)
  }
  const key = signalKey(job.seq, totals.nextSignal)
  commit.transaction.put(key, signalCodec.encode(key, { name, payload, atMs: commit.nowMs }))
  const { signals, nextSignal } = totals
  const journal = { ...totals, bytes: totals.bytes + bytes, signals: signals + 1, nextSignal: nextSignal + 1 }
  commit.amend(job, { journal })
}

/** The oldest signal of that name, which the caller makes a part of the journal. */
export function takeSignal(commit: QueueCommit, job: StoredJob, name: string): SignalRecord | undefined {
  const { transaction } = commit
  const found = readSignals(transaction, job).find(({ signal }) => signal.name === name)
  if (found === undefined) return undefined
  const totals = job.standing.journal!
  transaction.remove(found.key)
  const bytes = totals.bytes - Buffer.byteLength(found.signal.payload)
  commit.amend(job, { journal: { ...totals, bytes, signals: totals.signals - 1 } })
  return found.signal
}

/** How many of that name nothing has taken. */
export function keptSignals(reader: Reader, job: StoredJob, name: string): number {
  return readSignals(reader, job).filter(({ signal }) => signal.name === name).length
}

function resume(commit: QueueCommit, job: StoredJob): void {
  commit.move(job, 'due', { dueAtMs: null })
  commit.tell(job, 'ready')
}
