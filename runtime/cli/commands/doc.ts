/**
 * `runtime doc get|list|remove|cancel-reminder`: documents, as the methods `doc.…` of PROTOCOL.md answer, which is also what
 * `--json` prints.
 */
import type { DocumentId } from '../../core/document.ts'
import type { ClientSession } from '../client-session.ts'
import { formatDocument, formatDocuments } from '../text/document-text.ts'
import { oneLine } from '../text/printable.ts'

export async function getDocument({ runtime, output }: ClientSession, { type, name }: DocumentId): Promise<void> {
  const document = await runtime.doc.get(type, name)
  output.answer(document, (look) => formatDocument(look, document))
}

/** One page, by name. */
export async function listDocuments(
  { runtime, output }: ClientSession,
  type: string,
  options: { limit?: number; cursor?: string }
): Promise<void> {
  const page = await runtime.doc.list(type, options)
  output.answer(page, (look) => formatDocuments(look, page.documents))
  if (page.cursor !== null) output.note(() => `There are more. The next page: --cursor ${page.cursor}`)
}

export async function removeDocument({ runtime, output }: ClientSession, { type, name }: DocumentId): Promise<void> {
  const removed = await runtime.doc.remove(type, name)
  output.answer(removed, () => `Removed ${oneLine(type)} ${oneLine(name)}.`)
}

export async function cancelReminder(
  { runtime, output }: ClientSession,
  { type, name }: DocumentId,
  reminder: string
): Promise<void> {
  const document = await runtime.doc.cancelReminder(type, name, reminder)
  output.answer(document, () => `${oneLine(type)} ${oneLine(name)} has no reminder ${oneLine(reminder)} any more.`)
}
