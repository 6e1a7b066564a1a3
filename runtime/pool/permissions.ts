/**
 * What the jobs of a queue may do, by Node's permission model, which works on single threads: the host itself keeps all its
 * rights. It guards against mistakes; code that wants to break out of a process can. Network access cannot be restricted.
 */
import { existsSync, realpathSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { Permissions } from '../core/config.ts'
import { RuntimeError } from '../core/errors.ts'
import { inheritedFlags } from './inherited-flags.ts'

/**
 * @param folders of actor modules: they, the packages beside them, and this package can always be read
 * @returns the flags of Node for the threads; null where everything is allowed
 */
export function threadFlags(permissions: Permissions | null, folders: readonly string[]): string[] | null {
  if (permissions === null) return null
  const { read, write, childProcess, addons, worker } = permissions
  const always = [...ownFolders(), ...folders, ...folders.flatMap(packageFolders), '/proc/self', '/proc/thread-self']
  return [
    ...(inheritedFlags().execArgv ?? process.execArgv),
    modelFlag(),
    '--no-warnings',
    ...patterns([...always, ...read]).map((pattern) => `--allow-fs-read=${pattern}`),
    ...patterns(write).map((pattern) => `--allow-fs-write=${pattern}`),
    ...(childProcess ? ['--allow-child-process'] : []),
    ...(addons ? ['--allow-addons'] : []),
    ...(worker ? ['--allow-worker'] : [])
  ]
}

/**
 * Starts a thread with the model on and has it read a file that it may not read.
 *
 * @throws RuntimeError `CONFIG_INVALID` where that is not refused, so where permissions would be an empty promise
 */
export async function requirePermissionModel(): Promise<void> {
  const trial = `
    const { parentPort } = require('node:worker_threads')
    try { require('node:fs').readFileSync(${JSON.stringify(process.execPath)}); parentPort.postMessage(false) }
    catch (error) { parentPort.postMessage(error.code === 'ERR_ACCESS_DENIED') }`
  const isRefused = await new Promise<boolean>((resolve) => {
    try {
      const thread = new Worker(trial, { eval: true, execArgv: [modelFlag(), '--no-warnings'] })
      thread.once('message', (refused: boolean) => resolve(refused))
      thread.once('error', () => resolve(false))
      thread.once('exit', () => resolve(false))
    } catch {
      resolve(false)
    }
  })
  if (isRefused) return
  throw new RuntimeError(
    'CONFIG_INVALID',
    `Cannot start: the configuration restricts queues by permissions, and ${process.execPath} ${process.version} does not enforce them. Remove permissions from the queues, or use another version of Node.`
  )
}

function modelFlag(): string {
  return process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission'
}

/** This package and the packages it needs, wherever they were installed. */
function ownFolders(): string[] {
  const built = dirname(dirname(fileURLToPath(import.meta.url)))
  return [built, ...packageFolders(built), dirname(dirname(createRequire(import.meta.url).resolve('piscina')))]
}

/** Each `node_modules` from the folder upwards, where the modules in it look for packages. */
function packageFolders(folder: string): string[] {
  const parent = dirname(folder)
  const here = ['node_modules', 'package.json']
    .map((name) => join(folder, name))
    .filter(existsSync)
    .flatMap(withTarget)
  return parent === folder ? here : [...here, ...packageFolders(parent)]
}

/** What a link leads to is what is read. */
function withTarget(path: string): string[] {
  return [path, realpathSync(path)]
}

/**
 * Node 20 ends the whole process, by a failed assertion, when a path is granted twice, and it takes an existing folder and
 * what is in it for the same; or when a path follows two longer ones that begin with it. So each path is given in one form,
 * none that another one covers, and the shorter ones first.
 */
function patterns(paths: readonly string[]): string[] {
  const all = [...new Set(paths.map(pattern))].sort()
  const covers = (one: string, other: string) =>
    one !== other && one.endsWith('*') && other.startsWith(one.slice(0, -1))
  return all.filter((one) => !all.some((other) => covers(other, one)))
}

/** A file by its name; a folder, or what does not exist yet, with all that is in it. Behind a star Node reads nothing. */
function pattern(path: string): string {
  const star = path.indexOf('*')
  if (star !== -1) return path.slice(0, star + 1)
  return statSync(path, { throwIfNoEntry: false })?.isFile() ? path : join(path, '*')
}
