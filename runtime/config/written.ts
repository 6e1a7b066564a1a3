/**
 * What a user wrote, before anything is judged: maps, lists and scalars, each with its place. Both ways in end here, the
 * text of a file (`read-yaml.ts`) and the argument of `createRuntime` (below, without places), so that one check serves both.
 *
 * The keys of a map stay in order, as written, and may occur twice: `check-options.ts` tells what is wrong with that.
 */
import { jsonDepthMax } from '../core/limits.ts'
import { formatPath } from '../core/schema.ts'
import type { PlacedProblem, Position } from './problems.ts'

/** `at` is null where there is no text. */
export type Written =
  | { readonly type: 'map'; readonly at: Position | null; readonly entries: readonly WrittenEntry[] }
  | { readonly type: 'list'; readonly at: Position | null; readonly items: readonly Written[] }
  | { readonly type: 'scalar'; readonly at: Position | null; readonly value: unknown }

export interface WrittenEntry {
  readonly key: string
  /** Of the key. */
  readonly at: Position | null
  readonly value: Written
}

/** What was read, and what could not be. With problems, `root` is a part only. */
export interface Reading {
  readonly root: Written
  readonly problems: readonly PlacedProblem[]
}

/** Reads a value of this program. A key that is undefined counts as not written. */
export function readValue(value: unknown): Reading {
  const problems: PlacedProblem[] = []
  return { root: read(value, [], problems), problems }
}

function read(value: unknown, path: readonly (string | number)[], problems: PlacedProblem[]): Written {
  if (typeof value !== 'object' || value === null) return { type: 'scalar', at: null, value }
  const isList = Array.isArray(value)
  // By its tag and not by its prototype: an object literal of another realm (a `vm` context) is plain data as well.
  const tag = Object.prototype.toString.call(value).slice('[object '.length, -1)
  if (path.length > jsonDepthMax) return refuse('is nested too deeply.')
  if (isList)
    return { type: 'list', at: null, items: value.map((item, index) => read(item, [...path, index], problems)) }
  if (tag !== 'Object') return refuse(`expected plain data (texts, numbers, lists, objects), got a ${tag}.`)
  const entries = Object.entries(value)
    .filter(([, child]) => child !== undefined)
    .map(([key, child]) => ({ key, at: null, value: read(child, [...path, key], problems) }))
  return { type: 'map', at: null, entries }

  function refuse(message: string): Written {
    problems.push({ at: null, path: formatPath(path), message })
    return { type: 'scalar', at: null, value: null }
  }
}
