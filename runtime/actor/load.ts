/**
 * Imports actor modules. JavaScript anywhere; TypeScript where the platform runs it (Node 22.18), else through the package
 * `tsx` where the actors' own project has it installed.
 */
import { createRequire } from 'node:module'
import { extname } from 'node:path'
import { pathToFileURL } from 'node:url'

/** @param file absolute path, from the catalogue */
export async function loadModule(file: string): Promise<Readonly<Record<string, unknown>>> {
  if (['.ts', '.mts'].includes(extname(file)) && !hasTypeScript()) await registerTsx(file)
  return import(pathToFileURL(file).href)
}

function hasTypeScript(): boolean {
  return Boolean((process.features as { typescript?: string | false }).typescript)
}

let registered: Promise<unknown> | undefined

function registerTsx(file: string): Promise<unknown> {
  let api: string
  try {
    api = createRequire(file).resolve('tsx/esm/api')
  } catch {
    throw new Error(
      'TypeScript modules need Node 22.18 or later, or the package "tsx": install it, or compile the module'
    )
  }
  registered ??= import(pathToFileURL(api).href).then((tsx: { register(): void }) => tsx.register())
  return registered
}
