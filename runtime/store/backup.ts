/**
 * Hot backups. A backup is a data directory: whoever is started on it goes on from one commit of the original; what ran then
 * is recovered as interrupted. Its jobs keep their ids, and so do those that are made later on: it has the tag of the original.
 *
 * It is made beside its place, in `<directory>.<pid>.new`, by a process of its own (copy-store.ts): copied, synced, verified.
 * The marker without which nothing opens it is written last, and only then it is renamed into its place. So whatever ends the
 * backup in between, nothing is there that looks like one.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, realpathSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, isAbsolute, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BackupView } from '../core/api.ts'
import { RuntimeError } from '../core/errors.ts'
import { ownEnvironment } from '../core/own-environment.ts'
import type { CopyReport } from './copy-store.ts'
import { isAlive, type Marker, markerFile, storeFolder } from './data-directory.ts'
import { syncPath, writeSynced } from './synced-files.ts'
import type { Verification } from './verification.ts'

export class Backups {
  readonly #dataDir: string
  readonly #marker: Marker
  readonly #children = new Set<ChildProcess>()
  /** Makes names of backups that are made at the same time differ. */
  #made = 0
  #isStopped = false

  /** @param dataDir of the open store @param marker as in its file */
  constructor(dataDir: string, marker: Marker) {
    this.#dataDir = dataDir
    this.#marker = marker
  }

  /**
   * Resolves when the backup is on disk, verified, and in its place.
   *
   * @param directory absolute; does not exist, or is empty
   * @throws RuntimeError `PARAMS_INVALID` of the directory · `STORAGE_FULL` · `BACKUP_FAILED`: also where the copy shows damage,
   * which is that of the original · `STOPPING`
   */
  async make(directory: string): Promise<BackupView> {
    const startedMs = performance.now()
    if (this.#isStopped) throw stopped(directory)
    this.#refuse(directory)
    const temporary = `${directory}.${process.pid}-${++this.#made}.new`
    try {
      mkdirSync(dirname(directory), { recursive: true })
      removeLeftovers(directory)
      mkdirSync(temporary, { mode: 0o700 })
      const { bytes, jobs } = await this.#copy(directory, join(temporary, 'store'))
      writeSynced(markerFile(temporary), this.#marker)
      renameSync(temporary, directory)
      syncPath(dirname(directory))
      return { directory, bytes, jobs, durationMs: Math.round(performance.now() - startedMs) }
    } catch (error) {
      if (existsSync(temporary)) rmSync(temporary, { recursive: true, force: true })
      throw inWords(error, directory)
    }
  }

  /** Backups that are being made are given up. */
  stop(): void {
    this.#isStopped = true
    for (const child of this.#children) child.kill('SIGKILL')
  }

  async #copy(directory: string, target: string): Promise<Verification> {
    const program = fileURLToPath(new URL('./copy-store.js', import.meta.url))
    const child = fork(program, [storeFolder(this.#dataDir), target], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      execArgv: [],
      env: ownEnvironment()
    })
    this.#children.add(child)
    const report = await new Promise<CopyReport>((resolve) => {
      child.once('message', (message) => resolve(message as CopyReport))
      child.once('error', (error) => resolve({ error: error.message, isDiskFull: false }))
      // Not `exit`, which may come before the message.
      child.once('close', (code, signal) =>
        resolve({ error: `the copying process ended (${signal ?? `exit code ${code}`})`, isDiskFull: false })
      )
    })
    this.#children.delete(child)
    child.kill('SIGKILL')
    if ('error' in report) {
      if (this.#isStopped) throw stopped(directory)
      throw report.isDiskFull ? full(directory) : failed(directory, report.error)
    }
    const { structure, damaged, entries } = report.verification
    if (structure === null && damaged === 0) return report.verification
    const what = structure === null ? `${damaged} of ${entries} records fail their checksum` : `its file ${structure}`
    throw new RuntimeError(
      'BACKUP_FAILED',
      `Cannot back up to ${directory}: the copy is damaged (${what}), and so is the store. Look at it with "runtime verify"; keep the last good backup.`,
      { directory }
    )
  }

  /** What the caller has to choose otherwise. */
  #refuse(directory: string): void {
    const refused = (why: string) =>
      new RuntimeError('PARAMS_INVALID', `Cannot back up to ${directory}: ${why}`, { path: 'directory', directory })
    if (!isAbsolute(directory)) throw refused('name the directory by an absolute path.')
    const own = realpathSync(this.#dataDir)
    const place = realPlaceOf(directory)
    if (place === own || place.startsWith(own + sep)) {
      throw refused(`it is inside the data directory ${this.#dataDir}. Choose a place beside it, best on another disk.`)
    }
    if (!existsSync(directory)) return
    if (!statSync(directory).isDirectory())
      throw refused('there is a file. Choose a directory that does not exist yet.')
    if (readdirSync(directory).length > 0) throw refused('it is not empty. Choose a directory that does not exist yet.')
  }
}

/** The real path of what may not be there yet. */
function realPlaceOf(path: string): string {
  if (existsSync(path) || dirname(path) === path) return realpathSync(path)
  return join(realPlaceOf(dirname(path)), basename(path))
}

/** Of supervisors that died while they made a backup in the same place. */
function removeLeftovers(directory: string): void {
  const parent = dirname(directory)
  const prefix = `${basename(directory)}.`
  for (const name of readdirSync(parent)) {
    if (!name.startsWith(prefix)) continue
    const pid = Number(/^(\d+)-\d+\.new$/.exec(name.slice(prefix.length))?.[1])
    if (pid > 0 && !isAlive({ pid, birth: '' })) rmSync(join(parent, name), { recursive: true, force: true })
  }
}

function inWords(error: unknown, directory: string): RuntimeError {
  if (error instanceof RuntimeError) return error
  const { code, message } = error as NodeJS.ErrnoException
  return code === 'ENOSPC' || code === 'EDQUOT' ? full(directory) : failed(directory, message)
}

function full(directory: string): RuntimeError {
  return new RuntimeError(
    'STORAGE_FULL',
    `Cannot back up to ${directory}: the disk is full. Nothing is left there. Free some space, or choose another disk.`,
    { directory }
  )
}

function failed(directory: string, why: string): RuntimeError {
  return new RuntimeError('BACKUP_FAILED', `Cannot back up to ${directory}: ${why}. Nothing is left there.`, {
    directory
  })
}

function stopped(directory: string): RuntimeError {
  return new RuntimeError(
    'STOPPING',
    `Cannot back up to ${directory}: the supervisor is stopping. Nothing is left there.`,
    {
      directory
    }
  )
}
