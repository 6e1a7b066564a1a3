/**
 * Finds out that files below the actors folders have changed.
 *
 *   waiting ── something moved ─► settling ── 100 ms of quiet ─► looking ─► waiting
 *
 * What the system tells is only a reason to look; what counts is whether files, sizes or times differ from the last look.
 * Each folder is watched by itself, before it is read, so nothing falls between the two, and all of them are watched
 * anew after each look: a folder that was removed and made again is another one to the system. Node's own recursive
 * watch follows neither that nor editors that put a new file in the place of the old one.
 *
 * A folder that is not there is waited for: what it held counts as unchanged, and its nearest parent is watched.
 */
import { existsSync, type FSWatcher, watch } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'

const settleMs = 100

export interface ActorsChanges {
  /** Called once at a time. */
  changed(): Promise<void>
  /** The folders could not be watched or read; it goes on with what can be. */
  failed(error: unknown): void
}

export class ActorsWatch {
  readonly #folders: readonly string[]
  readonly #listener: ActorsChanges
  /** What each folder held at the last look. */
  readonly #contents = new Map<string, string>()
  #watchers: FSWatcher[] = []
  #state: 'new' | 'waiting' | 'looking' | 'lookAgain' | 'stopped' = 'new'
  #settling: NodeJS.Timeout | undefined

  /** @param folders absolute */
  constructor(folders: readonly string[], listener: ActorsChanges) {
    this.#folders = folders
    this.#listener = listener
  }

  /** Takes the present state as known, and looks for changes from now on. Holds no process. */
  async start(): Promise<void> {
    this.#state = 'looking'
    await this.#look(async () => {})
  }

  /** Safe to call twice. */
  stop(): void {
    this.#state = 'stopped'
    clearTimeout(this.#settling)
    for (const watcher of this.#watchers.splice(0)) watcher.close()
  }

  #moved(): void {
    if (this.#state === 'looking') this.#state = 'lookAgain'
    if (this.#state !== 'waiting') return
    clearTimeout(this.#settling)
    this.#settling = setTimeout(() => {
      this.#state = 'looking'
      void this.#look(() => this.#listener.changed())
    }, settleMs).unref()
  }

  async #look(changed: () => Promise<void>): Promise<void> {
    try {
      if (await this.#differs()) await changed()
    } catch (error) {
      this.#listener.failed(error)
    }
    const again = this.#state === 'lookAgain'
    if (this.#state === 'stopped') return
    this.#state = 'waiting'
    if (again) this.#moved()
  }

  async #differs(): Promise<boolean> {
    const old = this.#watchers.splice(0)
    let differs = false
    try {
      for (const folder of this.#folders) {
        const content = await this.#contentOf(folder)
        if (content === undefined || content === this.#contents.get(folder)) continue
        this.#contents.set(folder, content)
        differs = true
      }
    } finally {
      for (const watcher of old) watcher.close()
    }
    return differs
  }

  async #contentOf(folder: string): Promise<string | undefined> {
    const nearest = nearestFolder(folder)
    if (nearest === folder) return (await this.#read(folder)).sort().join('\n')
    this.#watch(nearest)
    // Made just before its parent was watched.
    if (nearestFolder(folder) !== nearest) this.#moved()
    return undefined
  }

  /** @returns a line for each file, which changes with it */
  async #read(folder: string): Promise<string[]> {
    this.#watch(folder)
    const lines: string[] = []
    for (const entry of await unlessGone(readdir(folder, { withFileTypes: true }), [])) {
      const path = join(folder, entry.name)
      if (entry.isDirectory() && entry.name !== 'node_modules') lines.push(...(await this.#read(path)))
      else if (!entry.isDirectory()) {
        const found = await unlessGone(stat(path), undefined)
        if (found !== undefined) lines.push(`${path} ${found.mtimeMs} ${found.size} ${found.ino}`)
      }
    }
    return lines
  }

  #watch(folder: string): void {
    // Not after a stop in the middle of a look, for nobody would close it.
    if (this.#state === 'stopped') return
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#moved())
      watcher.on('error', () => this.#moved())
      this.#watchers.push(watcher)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
}

/** It may have been removed since it was listed. */
async function unlessGone<T, U>(read: Promise<T>, otherwise: U): Promise<T | U> {
  try {
    return await read
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return otherwise
    throw error
  }
}

/** The path itself, or the first of its parents that is there. */
function nearestFolder(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestFolder(dirname(path))
}
