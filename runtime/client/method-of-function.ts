/**
 * From a function or a class to the path under which an actor module exports it (seed rows E1, E11).
 *
 * A job runs in another process, so only what an actor module exports can be enqueued. The supervisor lists what the modules
 * export, with the name and a hash of the source of each function, and of the class for each method of a document. Where both
 * agree, the module is imported here and its export compared: only the very same function or class is accepted. A closure
 * looks like its siblings but carries values that would be lost, so a likeness is not enough.
 */
import { createHash } from 'node:crypto'
import { pathToFileURL } from 'node:url'
import type { MethodView } from '../core/api.ts'
import { RuntimeError } from '../core/errors.ts'
import type { ActorClass, ActorFunction } from '../core/method-types.ts'
import type { Transport } from './transport.ts'

type Exported = ActorFunction | ActorClass

/**
 * @returns a function that finds the path of a function or a class, and remembers it.
 * Raises RuntimeError `METHOD_UNKNOWN` for a closure, a lambda, or what no actor module exports.
 */
export function pathResolver(transport: Pick<Transport, 'call'>): (exported: Exported) => Promise<string> {
  // The promises, so that calls which wait for the same path are made in their order.
  const known = new WeakMap<Exported, Promise<string>>()
  return (exported) => {
    let path = known.get(exported)
    if (path === undefined) {
      path = findPath(transport, exported)
      known.set(exported, path)
      path.catch(() => known.delete(exported))
    }
    return path
  }
}

/** Where something is exported. A class stands in the list once for each of its methods. */
interface ExportView {
  path: string
  file: string
  name: string
  sourceHash: string
}

async function findPath(transport: Pick<Transport, 'call'>, exported: Exported): Promise<string> {
  const { methods } = (await transport.call('method.list', {})) as { methods: MethodView[] }
  const sourceHash = createHash('sha256').update(Function.prototype.toString.call(exported)).digest('hex')
  const namesakes = exportsOf(methods).filter(({ name }) => name === exported.name)
  const candidates = namesakes.filter((view) => view.sourceHash === sourceHash)
  for (const candidate of candidates) {
    if (await isExportedAs(candidate, exported)) return candidate.path
  }
  throw methodUnknown(exported, candidates[0] ?? namesakes[0], candidates.length > 0)
}

function exportsOf(methods: readonly MethodView[]): ExportView[] {
  const byPath = new Map<string, ExportView>()
  for (const { method, documentType, file, functionName, sourceHash } of methods) {
    const path = documentType ?? method
    byPath.set(path, { path, file, name: functionName, sourceHash })
  }
  return [...byPath.values()]
}

async function isExportedAs({ path, file }: ExportView, exported: Exported): Promise<boolean> {
  const exportName = path.slice(path.lastIndexOf('.') + 1)
  try {
    const module = (await import(pathToFileURL(file).href)) as Record<string, unknown>
    return module[exportName] === exported
  } catch {
    // The module loads in an actor's thread but not here, so the function cannot be from it.
    return false
  }
}

function methodUnknown(exported: Exported, nearest: ExportView | undefined, sameSource: boolean): RuntimeError {
  const kind = isClass(exported) ? 'class' : 'function'
  const name = exported.name === '' ? `a ${kind} without a name` : `the ${kind} "${exported.name}"`
  const advice =
    kind === 'class'
      ? 'Only a class that a module in the actors folder exports, that extends Actor and has a method can have documents. Export it there, or pass its path, such as "billing.Invoice".'
      : 'Only a function that a module in the actors folder exports can run in another process; a closure, a lambda or a function that is not exported cannot. Export it there, or pass the path of a method, such as "reports.daily.run".'
  let hint = ''
  if (nearest !== undefined) {
    hint = sameSource
      ? ` "${nearest.path}" has the same source but is another ${kind}: import it from ${nearest.file}.`
      : ` "${nearest.path}" has the same name but other source: if ${nearest.file} was changed, restart the supervisor.`
  }
  return new RuntimeError('METHOD_UNKNOWN', `Cannot enqueue ${name}: no actor module exports it. ${advice}${hint}`, {
    functionName: exported.name
  })
}

function isClass(exported: Exported): boolean {
  return /^class\b/.test(Function.prototype.toString.call(exported))
}
