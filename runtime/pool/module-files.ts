/**
 * Which files below the actors folders are modules, and of which path: `reports/daily.js` is `reports.daily`. Only what
 * the path grammar can name is taken, so no caller's text can lead anywhere else; links are followed as long as they stay
 * inside their folder. Where two files have one path, the first wins: by folder, then by the order of the extensions.
 */
import type { Dirent } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { extname, join, sep } from 'node:path'
import type { CatalogueProblem } from '../core/catalogue.ts'
import { isMethodPath, isPathSegment } from '../core/method-path.ts'

/** A TypeScript file beside a JavaScript file of the same name is its source, not a second module. */
const extensions = ['.js', '.mjs', '.cjs', '.ts', '.mts']

export interface ModuleFile {
  /** All segments of its methods but the last, with dots. */
  path: string
  /** Absolute. */
  file: string
  /** Differs after a change of the file. */
  version: string
}

/** @param folders absolute */
export async function findModules(
  folders: readonly string[]
): Promise<{ modules: Map<string, ModuleFile>; problems: CatalogueProblem[] }> {
  const modules = new Map<string, ModuleFile>()
  const problems: CatalogueProblem[] = []
  for (const folder of folders) {
    const root = await realpath(folder).catch(() => undefined)
    if (root === undefined) {
      problems.push({ file: folder, message: `No folder ${folder}; create it and put a module in it` })
      continue
    }
    for await (const module of walk(folder, [], root, [root], problems)) {
      const first = modules.get(module.path)
      if (first === undefined) modules.set(module.path, module)
      else if (!isSourceOf(module.file, first.file)) {
        problems.push({
          file: module.file,
          message: `Not used: ${first.file} has the same path "${module.path}"; rename or remove one of them`
        })
      }
    }
  }
  return { modules, problems }
}

/** @returns the file that has the path now, by the same rules as {@link findModules} */
export async function findModule(folders: readonly string[], path: string): Promise<ModuleFile | undefined> {
  const segments = path.split('.')
  if (!segments.every(isUsable)) return undefined
  for (const folder of folders) {
    const root = await realpath(folder).catch(() => undefined)
    if (root === undefined) continue
    for (const extension of extensions) {
      const module = await moduleAt(`${join(folder, ...segments)}${extension}`, path, root)
      if (module !== undefined) return module
    }
  }
  return undefined
}

async function* walk(
  folder: string,
  segments: readonly string[],
  root: string,
  ancestors: readonly string[],
  problems: CatalogueProblem[]
): AsyncGenerator<ModuleFile> {
  for (const entry of await entriesOf(folder, problems)) {
    const file = join(folder, entry.name)
    const extension = extname(entry.name)
    const isModule = extensions.includes(extension)
    const segment = isModule ? entry.name.slice(0, -extension.length) : entry.name
    if (!isUsable(segment)) continue
    const path = [...segments, segment].join('.')
    if (isModule) {
      const module = isMethodPath(`${path}.x`) ? await moduleAt(file, path, root) : undefined
      if (module !== undefined) yield module
      continue
    }
    if (!entry.isDirectory() && !entry.isSymbolicLink()) continue
    const real = await realInside(file, root)
    if (real === undefined || ancestors.includes(real)) continue
    if ((await stat(real)).isDirectory())
      yield* walk(file, [...segments, segment], root, [...ancestors, real], problems)
  }
}

async function entriesOf(folder: string, problems: CatalogueProblem[]): Promise<Dirent[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true })
    return entries.sort((a, b) => rank(a.name) - rank(b.name) || (a.name < b.name ? -1 : 1))
  } catch (error) {
    problems.push({ file: folder, message: `Cannot read the folder: ${(error as Error).message}` })
    return []
  }
}

function rank(name: string): number {
  return extensions.indexOf(extname(name))
}

async function moduleAt(file: string, path: string, root: string): Promise<ModuleFile | undefined> {
  const real = await realInside(file, root)
  const found = real === undefined ? undefined : await stat(real).catch(() => undefined)
  if (found === undefined || !found.isFile()) return undefined
  return { path, file, version: `${found.mtimeMs} ${found.size} ${found.ino}` }
}

/** @returns where `file` really is, or undefined where it is nowhere or outside of `root` */
async function realInside(file: string, root: string): Promise<string | undefined> {
  const real = await realpath(file).catch(() => undefined)
  return real?.startsWith(root.endsWith(sep) ? root : root + sep) ? real : undefined
}

function isUsable(segment: string): boolean {
  return isPathSegment(segment) && segment !== 'node_modules'
}

function isSourceOf(file: string, used: string): boolean {
  const stem = (name: string) => name.slice(0, -extname(name).length)
  return /\.m?ts$/.test(file) && /\.[mc]?js$/.test(used) && stem(file) === stem(used)
}
