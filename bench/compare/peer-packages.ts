/**
 * The npm packages of the peers. They are no dependencies of the project: they are installed into a folder of their own, with
 * exact versions, the newest that run on the Node that the project supports from, whatever they ask for.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const versions = {
  bullmq: '6.7.0',
  ioredis: '6.0.0',
  'graphile-worker': '0.17.3',
  'pg-boss': '12.38.0'
}
/** It is compiled where its authors have not done that. */
const compiledVersions = { plainjob: '0.0.14', 'better-sqlite3': '12.11.1' }

const folder = join(projectRoot(), 'bench', '.peers')

function projectRoot(): string {
  let place = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(place, 'package-lock.json'))) place = dirname(place)
  return place
}

/** Where there is no compiler, what needs one is left out, and so are the systems that need that. */
export function installPeerPackages(): void {
  mkdirSync(folder, { recursive: true })
  const manifest = {
    name: 'benchmark-peers',
    private: true,
    dependencies: versions,
    optionalDependencies: compiledVersions
  }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error'], {
    cwd: folder,
    stdio: ['ignore', 2, 2]
  })
}

/** @returns undefined where it is not installed */
export function peerVersion(name: string): string | undefined {
  const manifest = join(folder, 'node_modules', name, 'package.json')
  if (!existsSync(manifest)) return undefined
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version
}

/** @typeParam Module the part of it that is used: its own types are not there when the project is built */
export async function importPeer<Module>(name: string): Promise<Module> {
  const require = createRequire(join(folder, 'package.json'))
  return (await import(pathToFileURL(require.resolve(name)).href)) as Module
}
