/**
 * JSON text of what a job hands over: its result, the result of a step, the state of its document. As JSON has it, functions,
 * symbols and undefined within an object are left out; as the whole value they are refused. What a `toJSON` or a getter of
 * the value throws is thrown on: it is an error of the job.
 */
import { types } from 'node:util'
import { jsonDepthMax } from '../core/limits.ts'

/** `refused`: why it cannot be kept, to go on after "it …". */
export type JsonText = { text: string; bytes: number } | { refused: string }

export function jsonText(value: unknown, bytesMax: number): JsonText {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (error) {
    if (isRefusalOfStringify(error)) return { refused: `cannot be written as JSON: ${error.message.split('\n')[0]}` }
    throw error
  }
  if (text === undefined) {
    return { refused: `is ${value === undefined ? 'undefined' : `a ${typeof value}`}, which JSON does not have` }
  }
  const bytes = Buffer.byteLength(text)
  if (bytes > bytesMax) return { refused: `is ${bytes} bytes of JSON, and ${bytesMax} are allowed` }
  if (isDeeperThan(text, jsonDepthMax)) return { refused: `is nested deeper than ${jsonDepthMax} levels` }
  return { text, bytes }
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
