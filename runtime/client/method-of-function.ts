/**
 * From a function to the path of the method that it is (seed row E1).
 *
 * A job runs in another process, so only a function that an actor module exports can be enqueued. The supervisor lists
 * what the modules export, with the name and a hash of the source of each function. Where both agree, the module is
 * imported here and its export compared with the function: only the very same function is accepted. A closure looks like
 * its siblings but carries values that would be lost, so a likeness is not enough.
 */
import { createHash } from 'node:crypto'
import { pathToFileURL } from 'node:url'
import type { ActorFunction, MethodView } from '../core/api.ts'
import { RuntimeError } from '../core/errors.ts'
import type { Transport } from './transport.ts'

/**
 * @returns a function that finds the path of a function and remembers it.
 * Raises RuntimeError `METHOD_UNKNOWN` for a closure, a lambda, or a function that no actor module exports.
 */
export function functionResolver(transport: Pick<Transport, 'call'>): (method: ActorFunction) => Promise<string> {
  const known = new WeakMap<ActorFunction, string>()
  return async (method) => {
    const path = known.get(method) ?? (await findPath(transport, method))
    known.set(method, path)
    return path
  }
}

async function findPath(transport: Pick<Transport, 'call'>, method: ActorFunction): Promise<string> {
  const { methods } = (await transport.call('method.list', {})) as { methods: MethodView[] }
  const sourceHash = createHash('sha256').update(Function.prototype.toString.call(method)).digest('hex')
  const namesakes = methods.filter((view) => view.functionName === method.name)
  const candidates = namesakes.filter((view) => view.sourceHash === sourceHash)
  for (const candidate of candidates) {
    if (await isExportedBy(candidate, method)) return candidate.method
  }
  throw methodUnknown(method, candidates[0] ?? namesakes[0], candidates.length > 0)
}

async function isExportedBy({ method: path, file }: MethodView, method: ActorFunction): Promise<boolean> {
  const exportName = path.slice(path.lastIndexOf('.') + 1)
  try {
    const module = (await import(pathToFileURL(file).href)) as Record<string, unknown>
    return module[exportName] === method
  } catch {
    // The module loads in an actor's thread but not here, so the function cannot be from it.
    return false
  }
}

function methodUnknown(method: ActorFunction, nearest: MethodView | undefined, sameSource: boolean): RuntimeError {
  const name = method.name === '' ? 'a function without a name' : `the function "${method.name}"`
  const advice =
    'Only a function that a module in the actors folder exports can run in another process; a closure, a lambda or a function that is not exported cannot. Export it there, or pass the path of a method, such as "reports.daily.run".'
  let hint = ''
  if (nearest !== undefined) {
    hint = sameSource
      ? ` "${nearest.method}" has the same source but is another function: import it from ${nearest.file}.`
      : ` "${nearest.method}" has the same name but other source: if ${nearest.file} was changed, restart the supervisor.`
  }
  return new RuntimeError('METHOD_UNKNOWN', `Cannot enqueue ${name}: no actor module exports it. ${advice}${hint}`, {
    functionName: method.name
  })
}
