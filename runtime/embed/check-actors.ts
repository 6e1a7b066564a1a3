import type { MethodView } from '../core/api.ts'
import type { CatalogueProblem } from '../core/catalogue.ts'
import { startCatalogue } from '../pool/catalogue.ts'

/** Imports every actor module in a process of its own and tells what can be enqueued and what cannot be loaded. */
export async function checkActors(
  folders: readonly string[]
): Promise<{ methods: MethodView[]; problems: readonly CatalogueProblem[] }> {
  const catalogue = await startCatalogue(folders)
  catalogue.stop()
  return { methods: catalogue.list(), problems: catalogue.problems }
}
