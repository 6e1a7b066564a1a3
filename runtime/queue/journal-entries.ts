/**
 * The entries of the journal of a job on disk ('L'), in the order of the method's calls, and what is counted of them.
 * `JournalTotals` in the standing of the job say what there is, so a job without a journal costs no look. Their `bytes` are
 * those of results, payloads and errors, signals that nothing has taken included: so there is always room to take one.
 *
 * Invariant: no entry and no signal exists whose job is gone, or has no totals in its standing.
 */
import type { JournalEntry } from '../core/journal.ts'
import { journalEntriesMax } from '../core/limits.ts'
import { journalKey, journalRange, signalRange } from '../store/keys.ts'
import { type JournalTotals, journalCodec, type SignalRecord, signalCodec } from '../store/records.ts'
import type { Reader, Transaction } from '../store/store.ts'
import type { StoredJob } from './stored-job.ts'

/** What journals need of the commit. */
export interface JournalScope {
  readonly transaction: Transaction
  amend(job: StoredJob, changes: { journal: JournalTotals }): void
}

export const emptyJournal: JournalTotals = { entries: 0, bytes: 0, signals: 0, nextSignal: 0, nextOrder: 0 }

/** In the order of the calls. */
export function readJournal(reader: Reader, { seq, standing: { journal } }: StoredJob): JournalEntry[] {
  if (journal === null || journal.entries === 0) return []
  return [...reader.entries(journalRange(seq))].map(({ key, value }) => journalCodec.decode(key, value))
}

/** Signals that the job has not taken, oldest first. */
export function readSignals(
  reader: Reader,
  { seq, standing: { journal } }: StoredJob
): { key: Buffer; signal: SignalRecord }[] {
  if (journal === null || journal.signals === 0) return []
  return [...reader.entries(signalRange(seq))].map(({ key, value }) => ({
    key,
    signal: signalCodec.decode(key, value)
  }))
}

/** @returns undefined: no call has that number */
export function readEntry(reader: Reader, seq: number, index: number): JournalEntry | undefined {
  if (!isCallIndex(index)) return undefined
  const key = journalKey(seq, index)
  const value = reader.get(key)
  return value === undefined ? undefined : journalCodec.decode(key, value)
}

/** Threads run the code of users: what they say is looked at before it becomes a key. */
export function isCallIndex(index: number): boolean {
  return Number.isInteger(index) && index >= 0 && index < journalEntriesMax
}

/** Writes an entry and counts it. @param kept as it was; undefined: it is new */
export function writeEntry(
  commit: JournalScope,
  job: StoredJob,
  entry: JournalEntry,
  kept: JournalEntry | undefined
): void {
  const key = journalKey(job.seq, entry.index)
  commit.transaction.put(key, journalCodec.encode(key, entry))
  const totals = job.standing.journal ?? emptyJournal
  const entries = totals.entries + (kept === undefined ? 1 : 0)
  const bytes = totals.bytes + bytesOfEntry(entry) - (kept === undefined ? 0 : bytesOfEntry(kept))
  const nextOrder = Math.max(totals.nextOrder, (entry.order ?? -1) + 1)
  if (entries !== totals.entries || bytes !== totals.bytes || nextOrder !== totals.nextOrder) {
    commit.amend(job, { journal: { ...totals, entries, bytes, nextOrder } })
  }
}

/** That the call is over, as the last one so far. */
export function asOver({ standing }: StoredJob, entry: JournalEntry, nowMs: number): JournalEntry {
  return { ...entry, finishedAtMs: nowMs, order: (standing.journal ?? emptyJournal).nextOrder }
}

/** Everything that is kept beside the job goes; the caller takes the totals out of the standing, or the whole job away. */
export function dropJournal({ transaction }: JournalScope, { seq, standing: { journal } }: StoredJob): void {
  if (journal === null) return
  const ranges = [
    ...(journal.entries > 0 ? [journalRange(seq)] : []),
    ...(journal.signals > 0 ? [signalRange(seq)] : [])
  ]
  for (const range of ranges) for (const key of [...transaction.keys(range)]) transaction.remove(key)
}

/** Of a job that has finished, for the retention of its queue. */
export function journalBytesOf({ journal }: StoredJob['standing'], entryBytes: number): number {
  return journal === null ? 0 : journal.bytes + (journal.entries + journal.signals) * entryBytes
}

/** What counts against {@link journalBytesMax} of core/limits.ts. */
export function bytesOfEntry({ result, error }: JournalEntry): number {
  const errorBytes = error === null ? 0 : Buffer.byteLength(error.message) + Buffer.byteLength(error.stack ?? '')
  return errorBytes + (result === null ? 0 : Buffer.byteLength(result))
}
