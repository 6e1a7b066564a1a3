/**
 * Checks plain data against JSON Schemas and says what is wrong in words: where, what was expected, what was got.
 */
import { createRequire } from 'node:module'
import type * as AjvModule from 'ajv'
import type { Ajv, ErrorObject, SchemaObject } from 'ajv'
import { didYouMean } from './did-you-mean.ts'
import { durationToMs } from './duration.ts'
import { instantToMs } from './instant.ts'
import { durationMsMax, nameCharsMax } from './limits.ts'
import { preview, shortened } from './preview.ts'

interface SchemaProblem {
  /** Where, as keys and indexes from the root; of an unknown key, the key itself. */
  path: readonly (string | number)[]
  /** Without the place: `expected a whole number, got "x".` */
  message: string
}

const require = createRequire(import.meta.url)

export type SchemaCheck = (value: unknown) => readonly SchemaProblem[]

/** @returns a check that tells the first problem, as is enough for hostile input */
export function compileSchema(schema: SchemaObject): SchemaCheck {
  shared ??= newAjv({ allErrors: false })
  return checkBy(shared, withReferences(schema, shared))
}

/**
 * Every problem of a value that is checked once, such as a configuration. Most have none, which a walk over the value tells before
 * Ajv is loaded and the schema compiled: that takes a hundred times as long.
 */
export function checkOnce(schema: SchemaObject, value: unknown): readonly SchemaProblem[] {
  if (fits(schema, value)) return []
  let check = checksOfAll.get(schema)
  if (check === undefined) {
    check = checkBy(newAjv({ allErrors: true }), schema)
    checksOfAll.set(schema, check)
  }
  return check(value)
}

const checksOfAll = new WeakMap<SchemaObject, SchemaCheck>()

/** @returns true: Ajv has nothing against it either; false: it may have, also where a keyword stands here that is not known */
function fits(schema: SchemaObject, value: unknown): boolean {
  return Object.entries(schema).every(([keyword, of]) => rules[keyword]?.(of as never, value, schema) ?? false)
}

type Rule = (of: never, value: unknown, schema: SchemaObject) => boolean

/** The keywords of the configuration. Those of a type hold for values of others. */
const rules: Readonly<Record<string, Rule>> = {
  description: () => true,
  type: (types: string | readonly string[], value) => [types].flat().some((type) => isOfType(type, value)),
  const: (allowed: unknown, value) => value === allowed,
  enum: (allowed: readonly unknown[], value) => allowed.includes(value),
  format: (format: string, value) => isOfFormat(format, value),
  minimum: (min: number, value) => typeof value !== 'number' || value >= min,
  maximum: (max: number, value) => typeof value !== 'number' || value <= max,
  minLength: (min: number, value) => typeof value !== 'string' || [...value].length >= min,
  maxLength: (max: number, value) => typeof value !== 'string' || [...value].length <= max,
  pattern: (pattern: string, value) => typeof value !== 'string' || new RegExp(pattern, 'u').test(value),
  minItems: (min: number, value) => !Array.isArray(value) || value.length >= min,
  maxItems: (max: number, value) => !Array.isArray(value) || value.length <= max,
  items: (of: SchemaObject, value) => !Array.isArray(value) || value.every((item) => fits(of, item)),
  required: (keys: readonly string[], value) => !isObject(value) || keys.every((key) => Object.hasOwn(value, key)),
  properties: (of: Record<string, SchemaObject>, value) =>
    !isObject(value) ||
    Object.entries(value).every(([key, property]) => !Object.hasOwn(of, key) || fits(of[key]!, property)),
  additionalProperties: (of: SchemaObject | boolean, value, { properties = {} }) =>
    !isObject(value) ||
    Object.entries(value).every(
      ([key, property]) => Object.hasOwn(properties, key) || (typeof of === 'boolean' ? of : fits(of, property))
    ),
  if: (condition: SchemaObject, value, { then }) =>
    isKnown(condition) && (!fits(condition, value) || fits(then, value)),
  // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema
  then: () => true
}

/** Of a condition that has other keywords nothing follows from what it does not fit. */
function isKnown({ properties = {}, ...others }: SchemaObject): boolean {
  const parts = Object.values(properties as Record<string, SchemaObject>)
  return Object.keys(others).every((keyword) => keywordsOfConditions.has(keyword)) && parts.every(isKnown)
}

const keywordsOfConditions = new Set(['type', 'const', 'enum', 'required'])

function isOfType(type: string, value: unknown): boolean {
  switch (type) {
    case 'object':
      return isObject(value)
    case 'array':
      return Array.isArray(value)
    case 'integer':
      return Number.isInteger(value)
    case 'number':
      return Number.isFinite(value)
    default:
      return typeof value === type
  }
}

/** `jobs[3].timeout`, for messages. */
export function formatPath(path: readonly (string | number)[]): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`),
    ''
  )
}

let shared: Ajv | undefined

function checkBy(ajv: Ajv, schema: SchemaObject): SchemaCheck {
  const validate = ajv.compile(schema)
  return (value) => {
    if (validate(value)) return []
    // `if` only repeats that its `then` does not hold.
    return (validate.errors ?? []).filter(({ keyword }) => keyword !== 'if').map((error) => toProblem(error))
  }
}

function newAjv({ allErrors }: { allErrors: boolean }): Ajv {
  // Loaded with the first schema, which a command may never need.
  const { Ajv } = require('ajv') as typeof AjvModule
  const ajv = new Ajv({
    allErrors,
    verbose: true,
    strict: true,
    inlineRefs: false,
    allowUnionTypes: true,
    strictTypes: false,
    // A pass over the code that has been made, which takes longer than it saves.
    code: { optimize: false },
    // Ours are checked by a test; to compile the schema of schemas takes as long as all of them.
    meta: false,
    validateSchema: false
  })
  for (const name of Object.keys(formats)) ajv.addFormat(name, true)
  // Ajv's own formats speak of one JSON type each; a duration or an instant may be a number or a text.
  ajv.removeKeyword('format')
  ajv.addKeyword({
    keyword: 'format',
    schemaType: 'string',
    errors: false,
    validate: isOfFormat
  })
  return ajv
}

/** Of another type: that is told by `type`. Of a format that is not ours: it stands in Ajv's own meta schema. */
function isOfFormat(format: string, value: unknown): boolean {
  return (typeof value !== 'number' && typeof value !== 'string') || (formats[format]?.holds(value) ?? true)
}

const references = new Map<object, string>()

/**
 * The schema with each object of known properties in it as a reference. Such an object is compiled once, however often it
 * stands in whichever schemas: compiling takes most of the time of the first request.
 */
function withReferences(schema: SchemaObject, ajv: Ajv): SchemaObject {
  const whole = Object.fromEntries(
    Object.entries(schema).map(([key, value]) => {
      if (key === 'properties')
        return [key, mapValues(value as Record<string, SchemaObject>, (property) => withReferences(property, ajv))]
      const isSchema = key === 'items' || key === 'additionalProperties' || key === 'then'
      return [key, isSchema && typeof value === 'object' ? withReferences(value, ajv) : value]
    })
  )
  if (schema.properties === undefined) return whole
  let reference = references.get(schema)
  if (reference === undefined) {
    reference = `schema-${references.size}`
    references.set(schema, reference)
    ajv.addSchema(whole, reference)
  }
  return { $ref: reference }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function mapValues<V, R>(of: Record<string, V>, map: (value: V, key: string) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(of).map(([key, value]) => [key, map(value, key)]))
}

interface Format {
  holds(value: number | string): boolean
  /** Completes "expected …". */
  words: string
}

const formats: Readonly<Record<string, Format>> = {
  duration: {
    holds: (value) => durationToMs(value) !== undefined,
    words: `seconds from 0 to ${Math.floor(durationMsMax / 1000)}, or a text with a unit such as "250ms", "30s", "5m", "2h"`
  },
  'positive-duration': {
    holds: (value) => (durationToMs(value) ?? 0) > 0,
    words: 'seconds above 0, or a text with a unit such as "250ms", "30s", "5m", "2h"'
  },
  expiry: {
    holds: (value) =>
      durationToMs(value) !== undefined || (typeof value === 'string' && instantToMs(value) !== undefined),
    words: 'seconds, a text with a unit such as "30s" or "5m", or an ISO 8601 instant'
  },
  instant: {
    holds: (value) => instantToMs(value) !== undefined,
    words: 'an ISO 8601 instant such as "2026-01-31T18:15:00Z", or epoch milliseconds'
  }
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
      const key = shortened(String(params.additionalProperty), nameCharsMax)
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
      return { path, message: `expected ${formats[String(error.schema)]?.words ?? error.schema}, ${got}.` }
    case 'enum': {
      const allowed = params.allowedValues as readonly unknown[]
      const hint = typeof error.data === 'string' ? didYouMean(error.data, allowed.map(String)) : ''
      return { path, message: `expected one of ${allowed.join(', ')}, ${got}.${hint}` }
    }
    case 'pattern':
      return { path, message: `holds characters that are not allowed, ${got}.` }
    case 'minLength':
      return { path, message: `may not be empty, ${got}.` }
    case 'minimum':
    case 'maximum':
      return { path, message: `expected a number that is ${params.comparison} ${params.limit}, ${got}.` }
    default:
      return { path, message: `${error.message ?? 'is not valid'}, ${got}.` }
  }
}
