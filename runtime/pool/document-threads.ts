/** Which thread of a Piscina ran a document last. A thread that has ended is one that nobody finds any more. */
import type { DocumentId } from '../core/document.ts'

/** The oldest go. */
const documentsMax = 1_000

export class DocumentThreads {
  /** Thread ids by document, the least recent first. */
  readonly #threads = new Map<string, number>()

  lastOf(document: DocumentId): number | undefined {
    return this.#threads.get(keyOf(document))
  }

  note(document: DocumentId, thread: number): void {
    const key = keyOf(document)
    this.#threads.delete(key)
    this.#threads.set(key, thread)
    if (this.#threads.size <= documentsMax) return
    for (const oldest of this.#threads.keys()) {
      this.#threads.delete(oldest)
      return
    }
  }
}

function keyOf({ type, name }: DocumentId): string {
  return `${type}\0${name}`
}
