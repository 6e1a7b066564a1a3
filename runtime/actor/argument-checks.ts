/** What the functions of `ctx` are called with comes from the code of users: mistakes are told at the call, as TypeErrors. */
import { inspect } from 'node:util'
import { RuntimeError } from '../core/errors.ts'
import { nameSchema } from '../core/job-options.ts'
import { nameCharsMax, payloadBytesMax } from '../core/limits.ts'
import { jsonText } from './json-text.ts'

const namePattern = new RegExp(nameSchema.pattern, 'u')

/** @param attempted such as `begin a step` @throws TypeError */
export function checkName(name: unknown, attempted: string, what = 'name'): asserts name is string {
  if (typeof name === 'string' && namePattern.test(name) && [...name].length <= nameCharsMax) return
  throw new TypeError(
    `Cannot ${attempted}: its ${what} must be a text of 1 to ${nameCharsMax} printable characters, got ${shown(name)}`
  )
}

/** @throws TypeError */
export function checkObject(value: unknown, attempted: string, what: string): asserts value is object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return
  throw new TypeError(`Cannot ${attempted}: ${what} must be an object, got ${shown(value)}`)
}

/**
 * Plain data that says the same as `value`, made now: what the job does with its objects afterwards changes nothing.
 *
 * @returns also its bytes as JSON text
 * @throws RuntimeError `PARAMS_INVALID`
 */
export function plain<T>(value: T, attempted: string, what: string): { value: T; bytes: number } {
  const json = jsonText(value, payloadBytesMax)
  if ('text' in json) return { value: JSON.parse(json.text), bytes: json.bytes }
  throw new RuntimeError('PARAMS_INVALID', `Cannot ${attempted}: ${what} ${json.refused}`)
}

/** For messages; runs no code of the value. */
export function shown(value: unknown): string {
  return inspect(value, { depth: 0, customInspect: false, showProxy: true, maxStringLength: 100 })
}
