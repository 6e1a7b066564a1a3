/**
 * Checks plain data against JSON Schemas and says what is wrong in words: where, what was expected, what was got.
 */
import { Ajv, type ErrorObject, type SchemaObject } from 'ajv'
import { didYouMean } from './did-you-mean.ts'
import { durationToMs } from './duration.ts'
import { instantToMs } from './instant.ts'
import { durationMsMax } from './limits.ts'

export interface SchemaProblem {
  /** Where, as keys and indexes from the root; of an unknown key, the key itself. */
  path: readonly (string | number)[]
  /** Without the place: `expected a whole number, got "x".` */
  message: string
}

export type SchemaCheck = (value: unknown) => readonly SchemaProblem[]

/** @param depth `first`: stop at the first problem, for hostile input. `all`: list every problem, for people's files. */
export function compileSchema(schema: SchemaObject, depth: 'first' | 'all'): SchemaCheck {
  const validate = ajvFor(depth).compile(schema)
  return (value) => (validate(value) ? [] : (validate.errors ?? []).map((error) => toProblem(error)))
}

/** `jobs[3].timeout`, for messages. */
export function formatPath(path: readonly (string | number)[]): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`),
    ''
  )
}

const instances = new Map<'first' | 'all', Ajv>()

function ajvFor(depth: 'first' | 'all'): Ajv {
  let ajv = instances.get(depth)
  if (ajv === undefined) {
    ajv = new Ajv({
      allErrors: depth === 'all',
      verbose: true,
      strict: true,
      allowUnionTypes: true,
      strictTypes: false
    })
    const isDuration = (value: unknown) => durationToMs(value) !== undefined
    const isPositiveDuration = (value: unknown) => (durationToMs(value) ?? 0) > 0
    const isInstant = (value: unknown) => instantToMs(value) !== undefined
    // A format speaks of one JSON type; durations and instants may be written as either, so each is a keyword of its own.
    for (const [name, check] of [
      ['duration', isDuration],
      ['positive-duration', isPositiveDuration],
      ['instant', isInstant]
    ] as const) {
      ajv.addFormat(name, true)
      checks.set(name, check)
    }
    ajv.removeKeyword('format')
    ajv.addKeyword({
      keyword: 'format',
      schemaType: 'string',
      errors: false,
      validate: (format: string, value: unknown) => checks.get(format)?.(value) ?? true
    })
    instances.set(depth, ajv)
  }
  return ajv
}

const checks = new Map<string, (value: unknown) => boolean>()

const formatWords: Readonly<Record<string, string>> = {
  duration: `seconds from 0 to ${Math.floor(durationMsMax / 1000)}, or a text with a unit such as "250ms", "30s", "5m", "2h"`,
  'positive-duration': 'seconds above 0, or a text with a unit such as "250ms", "30s", "5m", "2h"',
  instant: 'an ISO 8601 instant such as "2026-01-31T18:15:00Z", or epoch milliseconds'
}

const typeWords: Readonly<Record<string, string>> = {
  integer: 'a whole number',
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
  object: 'an object',
  array: 'a list',
  null: 'null'
}

function toProblem(error: ErrorObject): SchemaProblem {
  const path = error.instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part))
  const params = error.params as Record<string, unknown>
  const got = `got ${preview(error.data)}`
  switch (error.keyword) {
    case 'additionalProperties': {
      const key = String(params.additionalProperty)
      const known = Object.keys((error.parentSchema as { properties?: object }).properties ?? {})
      return {
        path: [...path, key],
        message: `unknown key.${didYouMean(key, known) || ` Known: ${known.join(', ')}.`}`
      }
    }
    case 'required':
      return { path: [...path, String(params.missingProperty)], message: 'is required.' }
    case 'type': {
      const types = ([] as string[]).concat(params.type as string | string[])
      return { path, message: `expected ${types.map((type) => typeWords[type] ?? type).join(' or ')}, ${got}.` }
    }
    case 'format':
      return { path, message: `expected ${formatWords[String(error.schema)] ?? error.schema}, ${got}.` }
    case 'enum': {
      const allowed = params.allowedValues as readonly unknown[]
      const hint = typeof error.data === 'string' ? didYouMean(error.data, allowed.map(String)) : ''
      return { path, message: `expected one of ${allowed.join(', ')}, ${got}.${hint}` }
    }
    case 'minLength':
      return { path, message: `may not be empty, ${got}.` }
    case 'minimum':
    case 'maximum':
      return { path, message: `expected a number that is ${params.comparison} ${params.limit}, ${got}.` }
    default:
      return { path, message: `${error.message ?? 'is not valid'}, ${got}.` }
  }
}

/** A short form of any value for a message; safe for deep, cyclic and huge ones. */
export function preview(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value === 'object' && value !== null) return 'an object'
  if (typeof value === 'function') return 'a function'
  return String(value)
}
