/**
 * The states of documents that this thread has had in its hands lately, as texts: of a large state the supervisor sends only
 * the revision, and a thread that does not hold it asks. Nothing depends on what is here; a revision is given once, so a text
 * under it is that state or of nobody.
 */
import type { DocumentId } from '../core/document.ts'
import { stateSentBytesMax } from '../core/limits.ts'

const documentsMax = 64
const bytesMax = 16 * 1024 * 1024

interface Held {
  revision: number
  text: string
  bytes: number
}

/** Oldest first. */
const held = new Map<string, Held>()
let heldBytes = 0

/** Smaller ones come with each job. */
export function holdState(document: DocumentId, revision: number, text: string): void {
  letGo(document)
  const bytes = Buffer.byteLength(text)
  if (bytes <= stateSentBytesMax || bytes > bytesMax) return
  held.set(keyOf(document), { revision, text, bytes })
  heldBytes += bytes
  for (const [key, oldest] of held) {
    if (held.size <= documentsMax && heldBytes <= bytesMax) return
    held.delete(key)
    heldBytes -= oldest.bytes
  }
}

/** @returns undefined where this thread does not hold that revision */
export function heldState(document: DocumentId, revision: number): string | undefined {
  const found = held.get(keyOf(document))
  if (found?.revision !== revision) return undefined
  held.delete(keyOf(document))
  held.set(keyOf(document), found)
  return found.text
}

function letGo(document: DocumentId): void {
  const found = held.get(keyOf(document))
  if (found === undefined) return
  held.delete(keyOf(document))
  heldBytes -= found.bytes
}

function keyOf({ type, name }: DocumentId): string {
  return `${type}\0${name}`
}
