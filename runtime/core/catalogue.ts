import type { MethodView } from './api.ts'
import type { DocumentType } from './document.ts'

/** The methods that actor modules export, found by importing them in a process of its own; never by a caller's text. */
export interface MethodCatalogue {
  /**
   * @returns the method.
   * @throws RuntimeError `METHOD_UNKNOWN`: bad form, no such file or export, not a function, or the module does not load
   */
  resolve(method: string): Promise<MethodView>
  /** As {@link MethodCatalogue.resolve}, of what is known already; undefined otherwise. Costs one look-up. */
  known(method: string): MethodView | undefined
  /** What a document type is, if one of that path is known. */
  documentType(type: string): DocumentType | undefined
  /** Every method, by name. */
  list(): MethodView[]
  /** Modules that could not be used, with the reason. */
  readonly problems: readonly CatalogueProblem[]
}

export interface CatalogueProblem {
  file: string
  message: string
}
