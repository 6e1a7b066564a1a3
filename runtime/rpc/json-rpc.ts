/**
 * The words of JSON-RPC 2.0: requests, answers, and errors in both directions between thrown errors and error objects.
 *
 * - {@link RuntimeError} travels as the number of its code, with `data: {code, …data}`.
 * - {@link RpcError} is what the protocol itself defines: −32700, −32600, −32601, −32603.
 * - Anything else that is thrown is a defect. Its text stays here; the client is told −32603.
 */
import { didYouMean } from '../core/did-you-mean.ts'
import { type ErrorCode, errorCodes, RuntimeError } from '../core/errors.ts'

export type RequestId = string | number | null

export interface RpcRequest {
  jsonrpc: '2.0'
  method: string
  params?: object
  /** Absent: a notification, which is never answered. */
  id?: RequestId
}

export interface ErrorObject {
  code: number
  message: string
  data?: unknown
}

export interface RpcAnswer {
  id: RequestId
  result?: unknown
  error?: ErrorObject
}

/** The errors of the JSON-RPC 2.0 specification, section 5.1. PROTOCOL.md is held against this table by a test. */
export const standardErrors = {
  parseError: { rpc: -32700, meaning: 'The frame is not UTF-8 or not JSON, or its headers cannot be read.' },
  invalidRequest: { rpc: -32600, meaning: 'The JSON is not a request object, or a batch is empty.' },
  methodNotFound: { rpc: -32601, meaning: 'The protocol has no method of that name.' },
  invalidParams: { rpc: -32602, meaning: 'The params do not fit the method: `PARAMS_INVALID` below.' },
  internalError: { rpc: -32603, meaning: 'A defect of the supervisor, which has logged it.' }
} as const satisfies Record<string, { rpc: number; meaning: string }>

/** An error of the protocol itself. `rpcCode` is the number on the wire. */
export class RpcError extends Error {
  override readonly name: string = 'RpcError'
  readonly rpcCode: number

  constructor(rpcCode: number, message: string) {
    super(message)
    this.rpcCode = rpcCode
  }
}

/** The protocol has no method of that name. */
export class RpcMethodNotFound extends RpcError {
  override readonly name = 'RpcMethodNotFound'

  static of(method: string, known: Iterable<string>): RpcMethodNotFound {
    const name = method.length > 100 ? `${method.slice(0, 100)}…` : method
    const hint = didYouMean(name, known) || ' `rpc.discover` lists the methods.'
    return new RpcMethodNotFound(standardErrors.methodNotFound.rpc, `Method not found: "${name}".${hint}`)
  }
}

export function parseError(problem: string): RpcError {
  return new RpcError(standardErrors.parseError.rpc, `Parse error: ${problem}.`)
}

/** @returns whether `value`, which came out of `JSON.parse`, is a request or a notification */
export function isRequest(value: unknown): value is RpcRequest {
  if (typeof value !== 'object' || value === null) return false
  const { jsonrpc, method, params, id } = value as Partial<Record<keyof RpcRequest, unknown>>
  return (
    jsonrpc === '2.0' &&
    typeof method === 'string' &&
    (params === undefined || (typeof params === 'object' && params !== null)) &&
    (id === undefined || id === null || typeof id === 'string' || isExactNumber(id))
  )
}

/** Another one would not come back as it was sent: `9007199254740993` is read as `9007199254740992`, `1e999` as infinity. */
function isExactNumber(id: unknown): boolean {
  return typeof id === 'number' && Math.abs(id) <= Number.MAX_SAFE_INTEGER
}

export function invalidRequest(problem: string): RpcError {
  return new RpcError(standardErrors.invalidRequest.rpc, `Invalid request: ${problem}.`)
}

export function resultText(id: RequestId, result: unknown): string {
  return JSON.stringify({ jsonrpc: '2.0', id, result: result ?? null })
}

/** @throws TypeError the data of the error is not JSON */
export function errorText(id: RequestId, error: RuntimeError | RpcError): string {
  return JSON.stringify({ jsonrpc: '2.0', id, error: toErrorObject(error) })
}

function toErrorObject(error: RuntimeError | RpcError): ErrorObject {
  const { message } = error
  if (error instanceof RpcError) return { code: error.rpcCode, message }
  return { code: errorCodes[error.code].rpc, message, data: { ...error.data, code: error.code } }
}

/** The reverse, for clients: the error as it was thrown on the other side, but for its stack. */
export function toError({ code, message, data }: ErrorObject): RuntimeError | RpcError {
  if (typeof data === 'object' && data !== null) {
    const { code: ownCode, ...facts } = data as Record<string, unknown>
    if (isErrorCode(ownCode)) return new RuntimeError(ownCode, message, facts)
  }
  if (code === standardErrors.methodNotFound.rpc) return new RpcMethodNotFound(code, message)
  return new RpcError(code, message)
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(errorCodes, code)
}
