/**
 * Document types: exported classes with the mark of `Actor` (core/actor.ts), by which one that another copy of this package
 * made is known as well. What the catalogue says of a class, and what a thread does with it, is decided here.
 */
import { actorMark } from '../core/actor.ts'
import { isPathSegment } from '../core/method-path.ts'

/** What a class and its instances may have; all of it is code of users, so of unknown type. */
export interface DocumentClass {
  new (): Record<string, unknown>
  readonly name: string
  readonly prototype: object
  readonly initialState?: unknown
  readonly migrate?: unknown
}

/** Has a meaning of its own, or is a field of each instance. */
const reserved = ['constructor', 'initialState', 'migrate', 'name', 'state']

export function isDocumentClass(value: unknown): value is DocumentClass {
  if (typeof value !== 'function' || !Object.hasOwn(value, 'prototype')) return false
  const marked = (value as { [actorMark]?: unknown })[actorMark] === true
  // Actor itself may be exported as well; nothing of it can be called.
  return marked && (!Object.hasOwn(value, actorMark) || documentMethods(value as unknown as DocumentClass).length > 0)
}

/** @returns names of the methods that can be called, in the order of their definition, those of the class before inherited ones */
export function documentMethods(type: DocumentClass): string[] {
  return [...new Set(ownClasses(type).flatMap((each) => Object.getOwnPropertyNames(each.prototype)))].filter(
    (name) => isPathSegment(name) && !name.startsWith('_') && !reserved.includes(name) && isMethod(type.prototype, name)
  )
}

/**
 * @param makeInstance called only if the class itself does not say
 * @returns the version of the state, not yet checked
 */
export function declaredVersion(type: DocumentClass, makeInstance: () => object): unknown {
  const declaring = ownClasses(type).find((each) => Object.hasOwn(each, 'version')) as { version?: unknown } | undefined
  if (declaring !== undefined) return declaring.version
  const instance = makeInstance()
  return Object.hasOwn(instance, 'version') ? (instance as { version?: unknown }).version : 1
}

/** @returns why it is no version; undefined where it is one */
export function versionProblem(type: DocumentClass, version: unknown): string | undefined {
  if (Number.isSafeInteger(version) && Number(version) >= 1) return undefined
  const got = typeof version === 'string' ? JSON.stringify(version) : String(version)
  return `the version of class ${type.name} is ${got}; give a whole number from 1`
}

/** The class and those it extends, up to Actor. */
function ownClasses(type: DocumentClass): DocumentClass[] {
  const classes = [type]
  for (let next = Object.getPrototypeOf(type); next !== null; next = Object.getPrototypeOf(next)) {
    if (!(actorMark in next) || Object.hasOwn(next, actorMark)) break
    classes.push(next)
  }
  return classes
}

/** The nearest definition counts, and accessors are no methods. */
function isMethod(prototype: object, name: string): boolean {
  for (let each: object | null = prototype; each !== null; each = Object.getPrototypeOf(each)) {
    const property = Object.getOwnPropertyDescriptor(each, name)
    if (property !== undefined) return typeof property.value === 'function'
  }
  return false
}
