/**
 * What the specification of JSON-RPC 2.0 and PROTOCOL.md say is owed for a frame, worked out from its bytes alone and
 * without the code of the server; and a check of what comes.
 */
import assert from 'node:assert/strict'
import { isUtf8 } from 'node:buffer'
import { errorCodes } from '../../runtime/core/errors.ts'
import { compileSchema, type SchemaCheck } from '../../runtime/core/schema.ts'
import { protocolMethods } from '../../runtime/rpc/methods.ts'

const batchEntriesMax = 1_000

/** A request that has an id, or something that is no request: answered with id null. */
export interface OwedAnswer {
  /** JSON text of the id. */
  id: string
  /** Undefined: no request, so the answer is an error of the protocol itself. */
  method: string | undefined
}

export type Owed = { type: 'nothing' } | { type: 'one'; answer: OwedAnswer } | { type: 'batch'; answers: OwedAnswer[] }

const nothing: Owed = { type: 'nothing' }
const refusal: OwedAnswer = { id: 'null', method: undefined }

/** @returns what is owed, and how many requests in it might add jobs without an answer that says so */
export function owedFor(frame: Buffer): { owed: Owed; silentAdders: number } {
  const none = { owed: nothing, silentAdders: 0 }
  if (!isUtf8(frame)) return { owed: { type: 'one', answer: refusal }, silentAdders: 0 }
  const text = frame.toString()
  if (/^[ \t]*$/.test(text)) return none
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { owed: { type: 'one', answer: refusal }, silentAdders: 0 }
  }
  if (Array.isArray(value)) {
    if (value.length === 0 || value.length > batchEntriesMax) {
      return { owed: { type: 'one', answer: refusal }, silentAdders: 0 }
    }
    const answers = value.map(owedForOne).filter((answer) => answer !== undefined)
    const silentAdders = value.filter(addsSilently).length
    return { owed: answers.length === 0 ? nothing : { type: 'batch', answers }, silentAdders }
  }
  const answer = owedForOne(value)
  return { owed: answer === undefined ? nothing : { type: 'one', answer }, silentAdders: addsSilently(value) ? 1 : 0 }
}

function owedForOne(value: unknown): OwedAnswer | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return refusal
  const { jsonrpc, method, params, id } = value as Record<string, unknown>
  if (jsonrpc !== '2.0' || typeof method !== 'string') return refusal
  if (params !== undefined && (typeof params !== 'object' || params === null)) return refusal
  if (id === undefined) return undefined
  const isExact = typeof id === 'number' && Number.isFinite(id) && (Number.isSafeInteger(id) || !Number.isInteger(id))
  if (id !== null && typeof id !== 'string' && !isExact) return refusal
  return { id: JSON.stringify(id), method }
}

const adders = /"(enqueue|enqueueMany|enqueueDoc|transaction|outbox\.commit|schedule\.trigger)"/
const jobsMax = 40

function addsSilently(value: unknown): boolean {
  if (owedForOne(value) !== undefined || typeof value !== 'object' || value === null) return false
  return adders.test(JSON.stringify((value as { method?: unknown }).method))
}

/** Jobs that requests without an answer may have added. */
export function silentJobs(requests: number): number {
  return requests * jobsMax
}

const checks = new Map<string, SchemaCheck>()

function resultCheck(method: string): SchemaCheck {
  const check = checks.get(method) ?? compileSchema(protocolMethods[method]!.result)
  checks.set(method, check)
  return check
}

const protocolErrors = new Set([-32700, -32600])

/** Asserts that `answer` is what JSON-RPC 2.0 and the table of methods allow for that request. */
export function assertAllowed(answer: unknown, { id, method }: OwedAnswer): void {
  const words = () => `${method ?? 'no request'}: ${JSON.stringify(answer).slice(0, 600)}`
  assert(typeof answer === 'object' && answer !== null && !Array.isArray(answer), words())
  const { jsonrpc, result, error, ...rest } = answer as Record<string, unknown>
  assert.equal(jsonrpc, '2.0', words())
  assert.deepEqual(Object.keys(rest), ['id'], words())
  assert.equal(JSON.stringify(rest.id), id, words())
  assert.ok('result' in answer !== 'error' in answer, words())
  if (error === undefined) {
    assert.ok(method !== undefined && Object.hasOwn(protocolMethods, method), words())
    assert.deepEqual(resultCheck(method)(result), [], words())
    return
  }
  const { code, message, data, ...more } = error as Record<string, unknown>
  assert.ok(typeof code === 'number' && typeof message === 'string' && message !== '', words())
  assert.deepEqual(Object.keys(more), [], words())
  assert.ok(Buffer.byteLength(JSON.stringify(error)) < 20_000, `an error is short: ${words()}`)
  if (method === undefined) {
    const own = (data as { code?: string } | undefined)?.code
    assert.ok(protocolErrors.has(code) || own === 'TOO_MANY_REQUESTS', words())
  } else if (!Object.hasOwn(protocolMethods, method)) {
    assert.ok(code === -32601 || (data as { code?: string })?.code === 'PARAMS_INVALID', words())
  } else {
    const own = (data as { code?: keyof typeof errorCodes } | undefined)?.code
    const allowed = ['PARAMS_INVALID', 'TOO_MANY_REQUESTS', 'FRAME_TOO_LARGE', ...protocolMethods[method]!.errors]
    assert.ok(own !== undefined && allowed.includes(own), words())
    assert.equal(code, errorCodes[own].rpc, words())
  }
}
