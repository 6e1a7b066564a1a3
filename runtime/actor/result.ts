/**
 * Turns what a method returned into a plain outcome: JSON text, or `RESULT_INVALID` with the reason. `undefined` counts
 * as null. As JSON has it, functions, symbols and undefined within an object are left out; as the whole result, functions
 * and symbols are refused. What a `toJSON` or a getter of the result throws is thrown on: it is an error of the job.
 */
import { types } from 'node:util'
import { jsonDepthMax, resultBytesMax } from '../core/limits.ts'
import type { Outcome } from '../core/pool.ts'

export function resultOutcome(value: unknown): Outcome {
  if (value === undefined) return { type: 'completed', result: 'null' }
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (error) {
    if (isRefusalOfStringify(error)) return invalid(`it cannot be written as JSON: ${error.message.split('\n')[0]}`)
    throw error
  }
  if (text === undefined) return invalid(`it is a ${typeof value}, which JSON does not have`)
  if (Buffer.byteLength(text) > resultBytesMax) {
    return invalid(`it is ${Buffer.byteLength(text)} bytes of JSON, and ${resultBytesMax} are allowed`)
  }
  if (isDeeperThan(text, jsonDepthMax)) return invalid(`it is nested deeper than ${jsonDepthMax} levels`)
  return { type: 'completed', result: text }
}

function invalid(reason: string): Outcome {
  const message = `Cannot keep the result of the method: ${reason}. Return plain data, and put large data into a file`
  return { type: 'failed', error: { code: 'RESULT_INVALID', name: 'ResultInvalid', message }, final: false }
}

/** Cycles, BigInt, and what is too deep or too long for a text: the engine's own errors, known by their words only. */
function isRefusalOfStringify(error: unknown): error is Error {
  if (!types.isNativeError(error)) return false
  const { name, message } = error
  if (name === 'TypeError') return /circular structure|cyclic structure|serialize a? ?BigInt/i.test(message)
  return name === 'RangeError' && /call stack|string length/i.test(message)
}

const quote = 0x22
const backslash = 0x5c

/** Reads JSON text, not the value: the value may have answered `toJSON` once and not again. */
function isDeeperThan(json: string, depthMax: number): boolean {
  let depth = 0
  let inText = false
  for (let index = 0; index < json.length; index++) {
    const char = json.charCodeAt(index)
    if (inText) {
      if (char === backslash) index += 1
      else if (char === quote) inText = false
    } else if (char === quote) inText = true
    else if (char === 0x5b || char === 0x7b) {
      depth += 1
      if (depth > depthMax) return true
    } else if (char === 0x5d || char === 0x7d) depth -= 1
  }
  return false
}
