/**
 * The architecture drawing as a test: which folder of `runtime/` may import which, and which packages live where. The table
 * below and the one in ARCHITECTURE.md are the same, and both are tight: what no file uses may not stand there.
 */
import { strict as assert } from 'node:assert'
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

interface Room {
  /**
   * A folder, for any import. With `(types and paths)`: nothing of it is loaded into this process, so only `import type`
   * and `new URL`. With `(from FILE)`: only that file of the room.
   */
  mayImport: readonly string[]
  /** Packages, and those modules of Node that open sockets and start threads and processes. */
  outside: readonly string[]
}

const rooms: Readonly<Record<string, Room>> = {
  core: { mayImport: [], outside: ['ajv', 'fastest-levenshtein', 'ms'] },
  store: { mayImport: ['core'], outside: ['lmdb', 'msgpackr', 'node:child_process'] },
  wheel: { mayImport: ['core'], outside: [] },
  queue: { mayImport: ['core', 'store'], outside: [] },
  scheduler: { mayImport: ['core', 'queue'], outside: ['cron-parser'] },
  dispatcher: { mayImport: ['core', 'queue'], outside: [] },
  actor: { mayImport: ['core'], outside: ['node:worker_threads'] },
  pool: {
    mayImport: ['core', 'actor (types and paths)'],
    outside: ['piscina', 'node:child_process', 'node:worker_threads']
  },
  supervisor: { mayImport: ['core', 'store', 'wheel', 'queue', 'scheduler', 'dispatcher', 'pool'], outside: [] },
  rpc: { mayImport: ['core'], outside: ['node:net'] },
  client: { mayImport: ['core', 'rpc'], outside: [] },
  config: { mayImport: ['core'], outside: ['yaml'] },
  embed: {
    mayImport: [
      'core',
      'config',
      'supervisor',
      'rpc',
      'client',
      'pool (from check-actors.ts and start-runtime.ts)',
      'scheduler (from check-events.ts)'
    ],
    outside: []
  },
  cli: {
    mayImport: ['core', 'config', 'rpc', 'client', 'embed', 'scheduler (from cron.ts)'],
    outside: ['cli-table3', 'commander', 'pino', 'node:child_process']
  },
  'index.ts': { mayImport: ['core', 'client', 'embed'], outside: [] }
}

const watchedNodeModules = ['node:child_process', 'node:cluster', 'node:net', 'node:worker_threads']
const oneHomeOnly = ['ajv', 'lmdb', 'msgpackr', 'piscina', 'cron-parser', 'yaml', 'commander', 'node:net']

/** The files that import a path which is not in their text: modules of the user. */
const importersOfUserCode = ['actor/load.ts', 'client/method-of-function.ts']

const projectRoot = findProjectRoot()
const runtimeRoot = join(projectRoot, 'runtime')

interface Import {
  /** As written; `new URL` of a built file (`.js`) as its source (`.ts`). */
  target: string
  kind: 'value' | 'type' | 'path' | 'computed'
}

const statement = /^(?:import|export)\s(type\s)?(?:[\w$*{},\s]*?\sfrom\s*)?['"]([^'"\n]+)['"]/gm
const dynamic = /\bimport\(\s*(['"]([^'"\n]+)['"])?/g
const url = /\bnew URL\(\s*['"]([^'"\n]+)['"]\s*,\s*import\.meta\.url/g

function importsOf(text: string): Import[] {
  const code = withoutComments(text)
  return [
    ...[...code.matchAll(statement)].map(
      ([, type, target]): Import => ({ target: target!, kind: type === undefined ? 'value' : 'type' })
    ),
    ...[...code.matchAll(dynamic)].map(
      ([, , target]): Import => (target === undefined ? { target: '', kind: 'computed' } : { target, kind: 'value' })
    ),
    ...[...code.matchAll(url)].map(([, target]): Import => ({ target: target!.replace(/\.js$/, '.ts'), kind: 'path' }))
  ]
}

/** Comments that stand alone; none is cut out of the middle of a line, where it might be part of a text. */
function withoutComments(text: string): string {
  return text.replace(/^[ \t]*\/\*[\s\S]*?\*\//gm, '').replace(/^[ \t]*\/\/.*$/gm, '')
}

/** Imports by file; files are relative to `runtime/`, and so are the targets of imports inside the project. */
const imports = new Map<string, Import[]>(
  sourceFiles().map((file) => [
    file,
    importsOf(readFileSync(join(runtimeRoot, file), 'utf8')).map((found) => ({
      ...found,
      target: found.target.startsWith('.') ? posix.join(posix.dirname(file), found.target) : found.target
    }))
  ])
)

function sourceFiles(): string[] {
  return readdirSync(runtimeRoot, { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file.endsWith('.ts'))
    .sort()
}

function roomOf(file: string): string {
  return file.split('/')[0]!
}

function packageOf(target: string): string {
  if (target.startsWith('node:')) return target.split('/')[0]!
  return target
    .split('/')
    .slice(0, target.startsWith('@') ? 2 : 1)
    .join('/')
}

interface Edge {
  file: string
  room: string
  target: string
  targetRoom: string
  kind: Import['kind']
}

/** Imports of one room from another. */
const edges: readonly Edge[] = [...imports].flatMap(([file, found]) =>
  found
    .filter(({ target }) => imports.has(target) && roomOf(target) !== roomOf(file))
    .map(({ target, kind }) => ({ file, room: roomOf(file), target, targetRoom: roomOf(target), kind }))
)

function parsePermission(permission: string): { room: string; limit: string | undefined } {
  const [, room, limit] = /^([\w.]+)(?: \((.+)\))?$/.exec(permission)!
  return { room: room!, limit }
}

function isWithin(limit: string | undefined, { file, kind }: Edge): boolean {
  if (limit === undefined) return true
  if (limit === 'types and paths') return kind === 'type' || kind === 'path'
  const files = limit.replace(/^from /, '').split(' and ')
  return files.includes(posix.basename(file))
}

test('the reader of imports sees every form', () => {
  const text = [
    "/** import { no } from './comment.ts' */",
    "// import './comment.ts'",
    "import { a } from './a.ts'",
    "import type { b } from './b.ts'",
    "import {\n  type c,\n  d\n} from './c.ts'",
    "import './d.ts'",
    'export type T = string',
    "export { e } from './e.ts'",
    "export type { f } from './f.ts'",
    "export * from './g.ts'",
    "const h = await import('./h.ts')",
    'const i = await import(pathToFileURL(file).href)',
    "const j = new URL('./j.js', import.meta.url)"
  ].join('\n')
  assert.deepEqual(
    importsOf(text).map(({ target, kind }) => `${kind} ${target}`),
    [
      'value ./a.ts',
      'type ./b.ts',
      'value ./c.ts',
      'value ./d.ts',
      'value ./e.ts',
      'type ./f.ts',
      'value ./g.ts',
      'value ./h.ts',
      'computed ',
      'path ./j.ts'
    ]
  )
})

test('every folder of runtime/ is in the table, and every row has its folder', () => {
  const present = [...new Set([...imports.keys()].map(roomOf))].sort()
  assert.deepEqual(present, Object.keys(rooms).sort())
})

test('every relative import leads to a source file of runtime/', () => {
  const lost = [...imports].flatMap(([file, found]) =>
    found
      .filter(({ target, kind }) => kind !== 'computed' && target.includes('.ts') && !imports.has(target))
      .map(({ target }) => `${file} → ${target}`)
  )
  assert.deepEqual(lost, [])
})

test('rooms import only the rooms that the table allows', () => {
  const wrong = edges
    .filter((edge) => {
      const permission = rooms[edge.room]?.mayImport.map(parsePermission).find(({ room }) => room === edge.targetRoom)
      return permission === undefined || !isWithin(permission.limit, edge)
    })
    .map(({ file, target, kind }) => `${file} → ${target} (${kind})`)
  assert.deepEqual(wrong, [], 'Change the code, or the table here and in ARCHITECTURE.md.')
})

test('every allowed import between rooms is used', () => {
  const unused = Object.entries(rooms).flatMap(([room, { mayImport }]) =>
    mayImport
      .filter((permission) => {
        const { room: target } = parsePermission(permission)
        return !edges.some((edge) => edge.room === room && edge.targetRoom === target)
      })
      .map((permission) => `${room} → ${permission}`)
  )
  assert.deepEqual(unused, [], 'Take these out of the table, here and in ARCHITECTURE.md.')
})

test('the table has no cycle, so there is an order of layers', () => {
  const graph = new Map(
    Object.entries(rooms).map(([room, { mayImport }]) => [room, mayImport.map((entry) => parsePermission(entry).room)])
  )
  assert.deepEqual(cyclesOf(graph), [])
})

test('rooms import exactly the outside packages of the table', () => {
  for (const [room, { outside }] of Object.entries(rooms)) {
    const used = [...imports]
      .filter(([file]) => roomOf(file) === room)
      .flatMap(([, found]) => found)
      .filter(({ target, kind }) => kind !== 'computed' && kind !== 'path' && !target.endsWith('.ts'))
      .map(({ target }) => packageOf(target))
      .filter((name) => !name.startsWith('node:') || watchedNodeModules.includes(name))
    assert.deepEqual([...new Set(used)].sort(), [...outside].sort(), `outside packages of ${room}`)
  }
})

test('what has one home is in one row', () => {
  for (const name of oneHomeOnly) {
    const homes = Object.keys(rooms).filter((room) => rooms[room]!.outside.includes(name))
    assert.equal(homes.length, 1, `${name} is in ${homes.join(' and ')}`)
  }
})

test('only the loaders of user code import a computed path', () => {
  const computing = [...imports].filter(([, found]) => found.some(({ kind }) => kind === 'computed'))
  assert.deepEqual(
    computing.map(([file]) => file),
    importersOfUserCode
  )
})

test('no files import each other in a circle', () => {
  assert.deepEqual(
    cyclesOf(fileGraph((kind) => kind === 'value')),
    [],
    'These import each other when the program runs.'
  )
  assert.deepEqual(cyclesOf(fileGraph((kind) => kind !== 'path')), [])
})

test('index.ts only re-exports', () => {
  const code = withoutComments(readFileSync(join(runtimeRoot, 'index.ts'), 'utf8'))
  assert.equal(code.replace(/export (type )?\{[^}]*\} from '[^']+'/g, '').trim(), '')
})

test('ARCHITECTURE.md has the same table', () => {
  const rows = new Map(
    [...architecture().matchAll(/^\| `([\w.]+)\/?` \|([^|]*)\|([^|]*)\|([^|]*)\|$/gm)].map(
      ([, room, livesThere, mayImport, outside]) => [
        room!,
        { livesThere: livesThere!.trim(), mayImport: listOf(mayImport!), outside: listOf(outside!) }
      ]
    )
  )
  assert.deepEqual([...rows.keys()], Object.keys(rooms))
  for (const [room, { livesThere, ...row }] of rows) {
    assert.deepEqual(row, rooms[room], `row ${room}`)
    assert.notEqual(livesThere, '', `row ${room}`)
  }
})

test('ARCHITECTURE.md names only files that exist', () => {
  const named = [...architecture().matchAll(/`([\w./-]+\/[\w.-]+\.(?:ts|yaml))`/g)].map(([, file]) => file!)
  assert.ok(named.length > 0)
  const missing = named.filter((file) => !existsSync(join(runtimeRoot, file)) && !existsSync(join(projectRoot, file)))
  assert.deepEqual([...new Set(missing)], [])
})

test('no file names a folder of somebody’s machine or the host of a package registry', () => {
  const machinePath = /(?<![\w.@~}/-])\/(?:work|root|home|Users)\/[\w.-]/
  const registryHost =
    /https?:\/\/[^/\s'"]*(?:registry|npmjs|artifactory|verdaccio)|\bregistry\.[\w-]+\.(?:org|com|io|dev|net)\b/i
  const wrong = projectFiles().flatMap((file) =>
    readFileSync(join(projectRoot, file), 'utf8')
      .split('\n')
      .flatMap((line, index) => (machinePath.test(line) || registryHost.test(line) ? [`${file}:${index + 1}`] : []))
  )
  assert.deepEqual(wrong, [])
})

/** Tracked files, and new ones that are not ignored; in a copy without git, all that is neither installed nor built. */
function projectFiles(): string[] {
  if (!existsSync(join(projectRoot, '.git'))) {
    const made = /^(node_modules|dist|\.build|\.runtime)(\/|$)/
    const all = readdirSync(projectRoot, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    return all
      .map((entry) => relative(projectRoot, join(entry.parentPath, entry.name)))
      .filter((file) => !made.test(file))
  }
  const list = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
  const files = execFileSync('git', list, { cwd: projectRoot, encoding: 'utf8' }).split('\0')
  return files.filter((file) => file !== '' && existsSync(join(projectRoot, file)))
}

function architecture(): string {
  return readFileSync(join(projectRoot, 'ARCHITECTURE.md'), 'utf8')
}

/** A cell of the table: names with commas between, `–` for none. */
function listOf(cell: string): string[] {
  return cell
    .split(',')
    .map((name) => name.replaceAll('`', '').trim())
    .filter((name) => name !== '–')
}

function fileGraph(counts: (kind: Import['kind']) => boolean): Map<string, string[]> {
  return new Map(
    [...imports].map(([file, found]) => [
      file,
      found.filter(({ kind, target }) => counts(kind) && imports.has(target)).map(({ target }) => target)
    ])
  )
}

/** @returns each group of nodes that reach one another, sorted (Tarjan's strongly connected components of two or more) */
function cyclesOf(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const index = new Map<string, number>()
  const low = new Map<string, number>()
  const path: string[] = []
  const cycles: string[][] = []
  for (const node of graph.keys()) if (!index.has(node)) visit(node)
  return cycles.sort(([one = ''], [other = '']) => (one < other ? -1 : 1))

  function visit(node: string): void {
    index.set(node, index.size)
    low.set(node, index.get(node)!)
    path.push(node)
    for (const next of graph.get(node) ?? []) {
      if (!index.has(next)) visit(next)
      if (path.includes(next)) low.set(node, Math.min(low.get(node)!, low.get(next)!))
    }
    if (low.get(node) !== index.get(node)) return
    const group = path.splice(path.indexOf(node))
    if (group.length > 1 || graph.get(node)?.includes(node)) cycles.push(group.sort())
  }
}

/** The tests are built into a folder of their own, at any depth. */
function findProjectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
}
