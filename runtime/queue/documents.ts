/** Documents as they are shown, claimed and changed by hand. */
import type { DocumentId, DocumentPage, DocumentView } from '../core/document.ts'
import { RuntimeError } from '../core/errors.ts'
import { iso } from '../core/instant.ts'
import { documentPageBytesMax, stateSentBytesMax } from '../core/limits.ts'
import type { DocumentMessage } from '../core/pool.ts'
import { documentOfKey, documentRange } from '../store/keys.ts'
import { type DocumentRecord, documentCodec, RecordDamaged } from '../store/records.ts'
import { keyBytesMax, type Reader } from '../store/store.ts'
import type { ClaimedJob } from './claimed-job.ts'
import type { QueueCommit } from './commit.ts'
import { readDocument, removeState, reserveRevision } from './document-records.ts'
import { documentOf } from './job-group.ts'
import { cancelReminder, remindersOf } from './reminders.ts'
import { isSetAside } from './set-aside-records.ts'
import type { StoredJob } from './stored-job.ts'

interface DocumentsParts {
  reader: () => Reader
  /** @throws RuntimeError `DATA_DAMAGED` where `look` meets a damaged record */
  read: <T>(look: () => T) => T
  commit: <T>(operation: (commit: QueueCommit) => T) => Promise<T>
}

export interface DocumentFilter {
  /** undefined: of all types. */
  type?: string | undefined
  limit?: number | undefined
  cursor?: string | undefined
}

const pageDefault = 50

export class Documents {
  readonly #parts: DocumentsParts

  constructor(parts: DocumentsParts) {
    this.#parts = parts
  }

  /** @throws RuntimeError `DOCUMENT_UNKNOWN`, `DATA_DAMAGED` */
  get(id: DocumentId): DocumentView {
    const reader = this.#parts.reader()
    return this.#parts.read(() => {
      const record = readDocument(reader, id)
      if (record === undefined) throw documentUnknown('show', id)
      return viewOf(reader, id, record)
    })
  }

  /**
   * By type and name. A page is full with as many documents as asked for, or before with about
   * {@link documentPageBytesMax} bytes of states and reminders; one document fits always. Damaged ones are left out.
   *
   * @throws RuntimeError `PARAMS_INVALID` for a cursor that is none
   */
  list(filter: DocumentFilter): DocumentPage {
    return this.#parts.read(() => this.#list(filter))
  }

  #list({ type, limit = pageDefault, cursor }: DocumentFilter): DocumentPage {
    const reader = this.#parts.reader()
    const { start, end } = documentRange(type)
    const last = cursor === undefined ? undefined : cursorIn(cursor, start, end)
    const from = last === undefined ? start : Buffer.concat([last, Buffer.of(0)])
    const documents: DocumentView[] = []
    let bytes = 0
    let lastKey: Buffer | undefined
    for (const { key, value } of reader.entries({ start: from, end, limit: limit + 1 })) {
      if (lastKey !== undefined && (documents.length >= limit || bytes >= documentPageBytesMax)) {
        return { documents, cursor: lastKey.toString('base64url') }
      }
      lastKey = key
      const record = decodeUnlessSetAside(reader, key, value)
      if (record === undefined) continue
      const view = viewOf(reader, documentOfKey(key), record)
      documents.push(view)
      bytes += view.bytes
      if (view.reminders.length > 0) bytes += JSON.stringify(view.reminders).length
    }
    return { documents, cursor: null }
  }

  /** With its reminders. @throws RuntimeError `DOCUMENT_UNKNOWN` */
  remove(id: DocumentId): Promise<void> {
    return this.#parts.commit((commit) => {
      if (!removeState(commit, id)) throw documentUnknown('remove', id)
    })
  }

  /** One that is not there is no error. @throws RuntimeError `DOCUMENT_UNKNOWN` */
  async cancelReminder(id: DocumentId, reminder: string): Promise<DocumentView> {
    return this.#parts.commit((commit) => {
      if (readDocument(commit.transaction, id) === undefined) throw documentUnknown('cancel a reminder of', id)
      cancelReminder(commit, id, reminder)
      return viewOf(commit.transaction, id, readDocument(commit.transaction, id)!)
    })
  }

  /**
   * The state that a claimed job works on, as JSON text.
   *
   * @throws RuntimeError `DOCUMENT_CHANGED`: it is another one by now, so the attempt is in vain
   */
  stateOf({ document }: ClaimedJob): string {
    const { reader, read } = this.#parts
    const record = document === undefined ? undefined : read(() => readDocument(reader(), document))
    if (record !== undefined && record.revision === document!.revision) return record.state
    throw new RuntimeError(
      'DOCUMENT_CHANGED',
      `Cannot give the state of the document "${document?.name}" to its job: it has changed since the job was started. The job runs again.`,
      { ...(document === undefined ? {} : { type: document.type, name: document.name }) }
    )
  }
}

/** What a thread learns of the document of a job that is claimed; undefined: it has none. */
export function documentMessage(commit: QueueCommit, { spec }: StoredJob): DocumentMessage | undefined {
  const id = documentOf(spec)
  if (id === undefined) return undefined
  const record = readDocument(commit.transaction, id)
  const nextRevision = reserveRevision(commit)
  if (record === undefined) return { ...id, revision: null, nextRevision, version: 0 }
  const { state, revision, version } = record
  const isSent = Buffer.byteLength(state) <= stateSentBytesMax
  return { ...id, revision, nextRevision, version, ...(isSent ? { state } : {}) }
}

function decodeUnlessSetAside(reader: Reader, key: Buffer, value: Buffer): DocumentRecord | undefined {
  try {
    return documentCodec.decode(key, value)
  } catch (error) {
    if (error instanceof RecordDamaged && isSetAside(reader, key, value)) return undefined
    throw error
  }
}

function viewOf(reader: Reader, id: DocumentId, record: DocumentRecord): DocumentView {
  const { state, version, revision, createdAtMs, updatedAtMs, reminders } = record
  return {
    ...id,
    state: JSON.parse(state),
    version,
    revision,
    bytes: Buffer.byteLength(state),
    createdAt: iso(createdAtMs),
    updatedAt: iso(updatedAtMs),
    reminders: reminders === 0 ? [] : remindersOf(reader, id)
  }
}

function cursorIn(text: string, start: Buffer, end: Buffer): Buffer {
  const cursor = Buffer.from(text, 'base64url')
  if (cursor.length < keyBytesMax && cursor.compare(start) >= 0 && cursor.compare(end) < 0) return cursor
  throw new RuntimeError(
    'PARAMS_INVALID',
    'Cannot list documents: the cursor does not belong to a list of this type. Use the cursor of the page before, with the same type.'
  )
}

function documentUnknown(attempted: string, { type, name }: DocumentId): RuntimeError {
  return new RuntimeError(
    'DOCUMENT_UNKNOWN',
    `Cannot ${attempted} the document "${name}" of the type "${type}": there is none. It may have been removed, or never been written; doc.list shows those of the type.`,
    { type, name }
  )
}
