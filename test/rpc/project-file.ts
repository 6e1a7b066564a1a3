import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** @returns the path of a file of the checkout; tests run from the build folder, which holds only what was compiled */
export function projectFile(path: string): string {
  let folder = import.meta.dirname
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return join(folder, path)
}
