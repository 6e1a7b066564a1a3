/**
 * {@link Written} to options that fit the schema, or every problem at once, each at its place and in the user's spelling.
 *
 * A key of ours may be written in camelCase or in the reference's snake_case, not in both at once. Which keys are ours is
 * what the schema says: those under `properties`. Keys below `additionalProperties` (queue names, variables) and of
 * objects without a schema of their own are the user's data and stay as written.
 *
 * A key with nothing behind it (`workers:` with all its lines commented out) is an empty object or list where one is expected.
 */
import type { QueueOptions, RuntimeOptions } from '../core/config.ts'
import { checkOnce, formatPath } from '../core/schema.ts'
import { optionsSchema, queueName } from './options-schema.ts'
import type { PlacedProblem, Position } from './problems.ts'
import type { Written, WrittenEntry } from './written.ts'

/** What this room needs to know of a JSON Schema. */
interface Shape {
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, Shape>>
  readonly additionalProperties?: boolean | Shape
  readonly items?: Shape
}

type Path = readonly (string | number)[]

/** @returns the options in camelCase and the warnings, or the problems; the options are valid where there are none. */
export function checkOptions(root: Written): {
  options: RuntimeOptions
  warnings: string[]
  problems: PlacedProblem[]
} {
  const repeated: PlacedProblem[] = []
  const options = toValue(root, optionsSchema, [], repeated) as RuntimeOptions
  const misfits = checkOnce(optionsSchema, options).map(({ path, message }) => ({ ...locate(root, path), message }))
  const problems = [...repeated, ...onePerPlace([...misfits, ...wrongQueueNames(root)])]
  return { options, warnings: problems.length === 0 ? idleWarnings(root, options) : [], problems }
}

function toValue(node: Written, shape: Shape, path: Path, repeated: PlacedProblem[]): unknown {
  if (node.type === 'scalar') return node.value === null ? emptyOf(shape) : node.value
  if (node.type === 'list') {
    return node.items.map((item, index) => toValue(item, shape.items ?? {}, [...path, index], repeated))
  }
  const first = new Map<string, WrittenEntry>()
  const values = node.entries.map((entry): [string, unknown] => {
    const name = canonical(entry.key, shape)
    const before = first.get(name)
    if (before === undefined) first.set(name, entry)
    else repeated.push({ at: entry.at, path: formatPath([...path, entry.key]), message: repetition(entry, before) })
    return [name, toValue(entry.value, childShape(shape, name), [...path, entry.key], repeated)]
  })
  // fromEntries defines own properties, so a key `__proto__` is a key like any other.
  return Object.fromEntries(values)
}

function emptyOf(shape: Shape): unknown {
  return shape.type === 'object' ? {} : shape.type === 'array' ? [] : null
}

function repetition(entry: WrittenEntry, before: WrittenEntry): string {
  const place = before.at === null ? 'there' : `on line ${before.at.line}`
  const spelling = entry.key === before.key ? '' : `, spelled "${before.key}"`
  return `is ${place} already${spelling}. Keep one of them.`
}

function canonical(key: string, shape: Shape): string {
  const camelCase = key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
  // The labels of scheduler events are the reference's own, `hourly_long`.
  const snakeCase = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  return [camelCase, snakeCase].find((name) => Object.hasOwn(shape.properties ?? {}, name)) ?? key
}

function childShape(shape: Shape, name: string): Shape {
  if (shape.properties !== undefined && Object.hasOwn(shape.properties, name)) return shape.properties[name] ?? {}
  return typeof shape.additionalProperties === 'object' ? shape.additionalProperties : {}
}

/**
 * Follows a path of the options back into what was written, as far as it goes (a missing key is not there).
 *
 * @returns the place of the last key or item, and the name in the user's spelling
 */
function locate(root: Written, path: Path): { at: Position | null; path: string } {
  const spelled: (string | number)[] = []
  let at = root.at
  let node: Written | undefined = root
  let shape: Shape = optionsSchema
  for (const part of path) {
    if (node?.type === 'map') {
      const parent: Shape = shape
      const entry: WrittenEntry | undefined = node.entries.find(({ key }) => canonical(key, parent) === String(part))
      spelled.push(entry?.key ?? String(part))
      at = entry?.at ?? at
      node = entry?.value
      shape = childShape(shape, String(part))
    } else {
      const item: Written | undefined = node?.type === 'list' ? node.items[Number(part)] : undefined
      spelled.push(part)
      at = item?.at ?? at
      node = item
      shape = shape.items ?? {}
    }
  }
  return { at, path: formatPath(spelled) }
}

/** A wrong type breaks the range and the form as well; the last of these is the one that says the most. */
function onePerPlace(problems: readonly PlacedProblem[]): PlacedProblem[] {
  return [...new Map(problems.map((problem) => [problem.path, problem])).values()]
}

function wrongQueueNames(root: Written): PlacedProblem[] {
  if (root.type !== 'map') return []
  const workers = root.entries.find(({ key }) => key === 'workers')?.value
  if (workers?.type !== 'map') return []
  return workers.entries
    .filter(({ key }) => !queueName.test(key))
    .map(({ key, at }) => ({
      at,
      path: formatPath(['workers', key]),
      message: 'a queue name is 1 to 255 letters, digits, "_", "." and "-". Choose another name.'
    }))
}

/** Keys that another key of the same queue leaves without effect. */
function idleWarnings(root: Written, options: RuntimeOptions): string[] {
  return Object.entries(options.workers ?? {}).flatMap(([queue, queueOptions]) =>
    idleKeys(queueOptions).map(
      ([path, why]) => `${locate(root, ['workers', queue, ...path]).path} has no effect ${why}.`
    )
  )
}

function idleKeys({ backoff, isolation, minHosts, hostIdleTimeout }: QueueOptions): [Path, string][] {
  const idle: [Path, string][] = []
  if (backoff?.type === 'list' && backoff.delay !== undefined) {
    idle.push([['backoff', 'delay'], 'on a backoff of type list: delays holds its waits'])
  }
  if (backoff !== undefined && backoff.type !== 'list' && backoff.delays !== undefined) {
    idle.push([['backoff', 'delays'], `on a backoff of type ${backoff.type}: it belongs to type list`])
  }
  if (isolation === 'inline') {
    const why = 'with isolation inline, which has no host processes'
    if (minHosts !== undefined) idle.push([['minHosts'], why])
    if (hostIdleTimeout !== undefined) idle.push([['hostIdleTimeout'], why])
  }
  return idle
}
