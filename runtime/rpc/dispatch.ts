/**
 * From a method name and params to a call of the service: looked up, checked, called. The socket server and the runtime
 * in this process both come through here, so params are any values, not only what JSON can say.
 */
import type { Caller, Service, ServiceMethods } from '../core/api.ts'
import { compileSchema, formatPath, type SchemaCheck } from '../core/schema.ts'
import { openRpcDocument } from './discover.ts'
import { RpcMethodNotFound } from './json-rpc.ts'
import { type MethodDefinition, protocolMethods, serviceMethods } from './methods.ts'
import { paramsInvalid } from './refusals.ts'

/**
 * Calls a method of the service, or `rpc.discover`.
 *
 * @param params an object by name, or a list in the order of the method's reference; default: no params
 * @param caller default: one that stays
 * @throws RpcMethodNotFound where the protocol has no such method, or only a connection has it (`events.…`)
 * @throws RuntimeError `PARAMS_INVALID`, and what the method throws
 */
export function dispatch(service: Service, method: string, params?: unknown, caller?: Caller): Promise<unknown> {
  // Without `async`: each promise more costs as much as a part of the work itself.
  try {
    if (method === 'rpc.discover') {
      checkedParams(method, params)
      return Promise.resolve(openRpcDocument())
    }
    if (!isServiceMethod(method)) throw RpcMethodNotFound.of(method, Object.keys(protocolMethods))
    return service.methods[method](checkedParams(method, params) as never, caller)
  } catch (error) {
    return Promise.reject(error)
  }
}

/**
 * @param method a method of the protocol
 * @returns the params by name, which fit the schema of the method
 * @throws RuntimeError `PARAMS_INVALID`
 */
export function checkedParams(method: string, params: unknown = {}): object {
  const named = Array.isArray(params) ? byName(method, params) : params
  const [problem] = checkOf(method)(named)
  if (problem !== undefined) {
    const place = formatPath(problem.path) || 'params'
    throw paramsInvalid(method, `${place}: ${problem.message}`, { path: place })
  }
  return named as object
}

/** Compiles what programs ask for first, so that the first of them does not wait for it. */
export function compileChecks(): void {
  checkOf('enqueue')
}

function isServiceMethod(method: string): method is keyof ServiceMethods {
  return Object.hasOwn(serviceMethods, method)
}

function byName(method: string, values: readonly unknown[]): object {
  const names = Object.keys(definitionOf(method).params.properties)
  if (values.length > names.length) {
    const order = names.length === 0 ? 'it takes none' : `at most ${names.length}: ${names.join(', ')}`
    throw paramsInvalid(method, `${values.length} params by position, ${order}.`)
  }
  return Object.fromEntries(values.map((value, index) => [names[index]!, value]))
}

const checks = new Map<string, SchemaCheck>()

function checkOf(method: string): SchemaCheck {
  let check = checks.get(method)
  if (check === undefined) {
    check = compileSchema(definitionOf(method).params)
    checks.set(method, check)
  }
  return check
}

function definitionOf(method: string): MethodDefinition {
  return protocolMethods[method]!
}
