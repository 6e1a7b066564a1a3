/**
 * Turns whatever a method threw into a plain outcome. Anything can be thrown: a symbol, a revoked proxy, an object whose
 * getters throw. So each property is read once and on its own, and what cannot be read is left out.
 */
import { inspect, types } from 'node:util'
import { durationToMs } from '../core/duration.ts'
import { RetryLater, Unrecoverable } from '../core/errors.ts'
import type { JobError } from '../core/job.ts'
import { errorMessageCharsMax, errorStackCharsMax, nameCharsMax } from '../core/limits.ts'
import type { Outcome } from '../core/pool.ts'
import { boundedText } from './bounded-text.ts'

/** The outcome of an attempt whose method threw `thrown`. Never throws. */
export function thrownOutcome(thrown: unknown): Outcome {
  const error = thrownError(thrown)
  if (isNamed(thrown, error, RetryLater)) return retryLaterOutcome(thrown, error)
  if (isNamed(thrown, error, Unrecoverable)) {
    return { type: 'failed', error: { ...error, code: 'UNRECOVERABLE' }, final: true }
  }
  return { type: 'failed', error, final: false }
}

/** `thrown` as plain data of bounded size, under the code `THROWN`. Never throws. */
export function thrownError(thrown: unknown): JobError {
  const message = read(thrown, 'message')
  if (typeof message !== 'string') return nonError(thrown)
  const stack = stackWithCauses(thrown)
  const thrownCode = read(thrown, 'code')
  return {
    code: 'THROWN',
    name: className(thrown),
    message: boundedText(message, errorMessageCharsMax),
    ...(stack !== '' && { stack: boundedText(stack, errorStackCharsMax) }),
    ...(typeof thrownCode === 'string' && { thrownCode: boundedText(thrownCode, nameCharsMax) }),
    ...(typeof thrownCode === 'number' && Number.isFinite(thrownCode) && { thrownCode })
  }
}

/**
 * Actors may load another copy of the package than the thread did, so the name counts as well as the class. Only of
 * errors: a record with a field `name` that is thrown means nothing by it.
 */
function isNamed(thrown: unknown, error: JobError, kind: typeof RetryLater | typeof Unrecoverable): boolean {
  const isInstance = attempt(() => thrown instanceof kind) === true
  return isInstance || (types.isNativeError(thrown) && (error.name === kind.name || read(thrown, 'name') === kind.name))
}

function retryLaterOutcome(thrown: unknown, error: JobError): Outcome {
  const delay = read(thrown, 'delay')
  const delayMs = durationToMs(delay)
  if (delayMs !== undefined) return { type: 'retryLater', delayMs, message: error.message }
  const message =
    `Cannot run the job again later: the delay of RetryLater is ${shown(delay)}; ` +
    'give seconds from 0, or a text with a unit such as "30s" or "5m"'
  return { type: 'failed', error: { ...error, message }, final: false }
}

const builtInNames = new Set([
  'Error',
  'AggregateError',
  'EvalError',
  'RangeError',
  'ReferenceError',
  'SyntaxError',
  'TypeError',
  'URIError'
])

/** Classes seldom set `name`: a `class Refused extends Error` says "Error" of itself, and its constructor knows better. */
function className(thrown: unknown): string {
  const name = read(thrown, 'name')
  const constructorName = read(read(thrown, 'constructor'), 'name')
  const hasOwnName = typeof name === 'string' && name !== '' && !builtInNames.has(name)
  const candidates = hasOwnName ? [name] : [constructorName, name]
  const chosen = candidates.find((candidate) => typeof candidate === 'string' && candidate !== '')
  return typeof chosen === 'string' ? boundedText(chosen, nameCharsMax) : 'Error'
}

const causesMax = 4

/** The cause often says more than the error: what `fetch` throws is "fetch failed", its cause the refused connection. */
function stackWithCauses(thrown: unknown): string {
  const stacks: string[] = []
  let error = thrown
  while (stacks.length <= causesMax) {
    const stack = read(error, 'stack')
    if (typeof stack !== 'string') break
    stacks.push(boundedText(stack, errorStackCharsMax))
    error = read(error, 'cause')
  }
  return stacks.join('\nCaused by: ')
}

function nonError(thrown: unknown): JobError {
  const message = typeof thrown === 'string' ? thrown : `The method threw ${shown(thrown)}, which is not an Error`
  return { code: 'THROWN', name: 'NonError', message: boundedText(message, errorMessageCharsMax) }
}

function read(value: unknown, key: string): unknown {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return undefined
  return attempt(() => (value as Record<string, unknown>)[key])
}

/** Does not run code of the value: proxies are shown as such, getters are not called. */
function shown(value: unknown): string {
  const text = attempt(() => inspect(value, { depth: 1, customInspect: false, showProxy: true, maxStringLength: 200 }))
  return text ?? 'a value that cannot be shown'
}

function attempt<T>(action: () => T): T | undefined {
  try {
    return action()
  } catch {
    return undefined
  }
}
