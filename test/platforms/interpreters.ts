/**
 * Interpreters other than Node that run the built command line. They are looked for in the folder that the variable
 * `ACTOR_RUNTIME_PLATFORMS` names (a folder in which `npm install deno bun` was run, or one that holds the binaries), in
 * the `node_modules/.bin` of this project, and on the PATH.
 */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

export interface Interpreter {
  name: 'deno' | 'bun'
  /** Path of the binary; undefined where it is not installed. */
  path: string | undefined
  /** What comes before the script. */
  flags: readonly string[]
}

export const interpreters: readonly Interpreter[] = [
  { name: 'deno', path: find('deno'), flags: ['run', '--allow-all'] },
  { name: 'bun', path: find('bun'), flags: [] }
]

/** @returns why the tests of it are skipped, for people; false where it is there */
export function absence({ name, path }: Interpreter): string | false {
  if (path !== undefined) return false
  return `${name} is not installed: npm install --prefix FOLDER ${name}, and set ACTOR_RUNTIME_PLATFORMS=FOLDER`
}

function find(name: string): string | undefined {
  const { ACTOR_RUNTIME_PLATFORMS: folder, PATH = '' } = process.env
  const named = folder === undefined ? [] : [join(folder, 'node_modules', '.bin'), folder]
  return [...named, join('node_modules', '.bin'), ...PATH.split(delimiter)]
    .map((place) => join(place, name))
    .find(isExecutable)
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
