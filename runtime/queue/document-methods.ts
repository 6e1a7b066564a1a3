/** Whether a request that names a method names a document as well, where it has to. */
import type { MethodView } from '../core/api.ts'
import { splitMethodPath } from '../core/document.ts'
import { RuntimeError } from '../core/errors.ts'

/** @throws RuntimeError `PARAMS_INVALID` */
export function checkDocument({ method, documentType }: MethodView, document: string | undefined): void {
  if (documentType !== null && document === undefined) {
    const { method: name } = splitMethodPath(method)
    throw new RuntimeError(
      'PARAMS_INVALID',
      `Cannot enqueue "${method}": it is a method of the document type "${documentType}", and no document is named. Use enqueueDoc("${documentType}", name, "${name}", params), or the option document.`
    )
  }
  if (documentType === null && document !== undefined) {
    throw new RuntimeError(
      'PARAMS_INVALID',
      `Cannot enqueue "${method}" for the document "${document}": it is a plain function. Leave document out, or name a method of an exported class that extends Actor.`
    )
  }
}
