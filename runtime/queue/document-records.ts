/**
 * The stored state of a document ('O'): reading and changing it, inside a commit. Every change of the state gets a revision
 * that no other state of any document has had, so that a state which was read is told from every other, also where the
 * document was removed and made again in between.
 */
import type { DocumentId } from '../core/document.ts'
import { documentKey, reminderEndingKey, reminderRange } from '../store/keys.ts'
import { type Counters, type DocumentRecord, documentCodec, RecordDamaged, reminderCodec } from '../store/records.ts'
import type { Reader, Transaction } from '../store/store.ts'

/** What documents need of the commit. */
export interface DocumentScope {
  readonly transaction: Transaction
  readonly nowMs: number
  readonly counters: Counters
}

export interface NewState {
  /** JSON text. */
  state: string
  /** Of the class that wrote it. */
  version: number
  /** One that was reserved for it; absent: a new one. */
  revision?: number
}

/** @returns undefined where there is no such document */
export function readDocument(reader: Reader, id: DocumentId): DocumentRecord | undefined {
  const key = documentKey(id)
  const value = reader.get(key)
  return value === undefined ? undefined : documentCodec.decode(key, value)
}

/** A number that no state has had; never given twice. */
export function reserveRevision({ counters }: DocumentScope): number {
  return counters.nextRevision++
}

/** Makes the document where there is none. @returns the revision of the state */
export function writeState(commit: DocumentScope, id: DocumentId, { state, version, revision }: NewState): number {
  const before = readDocument(commit.transaction, id)
  const record = {
    state,
    version,
    revision: revision ?? reserveRevision(commit),
    createdAtMs: before?.createdAtMs ?? commit.nowMs,
    updatedAtMs: commit.nowMs,
    reminders: before?.reminders ?? 0
  }
  writeDocument(commit.transaction, id, record)
  return record.revision
}

/** Removes the document with its reminders. @returns false where there was none */
export function removeState({ transaction }: DocumentScope, id: DocumentId): boolean {
  const key = documentKey(id)
  if (!transaction.has(key)) return false
  const reminders = remindersLeft(transaction, id)
  transaction.remove(key)
  if (reminders === 0) return true
  for (const { key, value } of [...transaction.entries(reminderRange(id))]) {
    transaction.remove(key)
    transaction.remove(reminderEndingKey(reminderCodec.decode(key, value).nextAtMs, key))
  }
  return true
}

/** A damaged document can be removed; its reminders are looked for then. */
function remindersLeft(reader: Reader, id: DocumentId): number {
  try {
    return readDocument(reader, id)!.reminders
  } catch (error) {
    if (error instanceof RecordDamaged) return Number.POSITIVE_INFINITY
    throw error
  }
}

/** Changes the record of a document but for its state. */
export function writeDocument(transaction: Transaction, id: DocumentId, record: DocumentRecord): void {
  const key = documentKey(id)
  transaction.put(key, documentCodec.encode(key, record))
}
