/** Document types in modules of tests, and all documents of one. */
import type { Runtime } from '../../runtime/core/api.ts'
import type { DocumentView } from '../../runtime/core/document.ts'

const built = (path: string) => JSON.stringify(new URL(`../../runtime/core/${path}`, import.meta.url).href)

/** First lines of an actor module outside of this project, which cannot import the package by its name. */
export const actorImports = `import { Actor } from ${built('actor.js')}
import { RetryLater, Unrecoverable } from ${built('errors.js')}
`

export async function allDocuments(runtime: Runtime, type: string): Promise<DocumentView[]> {
  const documents: DocumentView[] = []
  for await (const document of runtime.doc.export({ type })) documents.push(document)
  return documents
}
