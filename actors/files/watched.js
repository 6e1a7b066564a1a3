// Folders that remember how they were: one document for each folder, whose name is the path of the folder.
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Actor } from 'actor-runtime'

/**
 * `check` tells what has changed since the last one; `every` has it done again and again.
 *
 * @typedef {{ files: [path: string, mark: string][] }} State the files of the last check: path below the folder, size and time
 * @extends {Actor<State>}
 */
export class Folder extends Actor {
  /** @type {State} */
  state = { files: [] }

  /**
   * Reads the folder and remembers it. The first check finds all of its files added.
   *
   * @param {unknown} _params
   * @param {import('actor-runtime').Context} ctx
   * @returns {Promise<{ files: number, added: string[], changed: string[], removed: string[] }>}
   */
  async check(_params, ctx) {
    const before = new Map(this.state.files)
    const now = new Map(await filesBelow(this.name))
    const added = [...now.keys()].filter((path) => !before.has(path))
    const removed = [...before.keys()].filter((path) => !now.has(path))
    const changed = [...now]
      .filter(([path, mark]) => before.has(path) && before.get(path) !== mark)
      .map(([path]) => path)
    this.state.files = [...now]
    ctx.log.info(`${added.length} added, ${changed.length} changed, ${removed.length} removed below ${this.name}`)
    return { files: now.size, added, changed, removed }
  }

  /**
   * Asks for checks at the times of a cron expression, or of a label such as `hourly`.
   *
   * @param {{ cron: string }} params
   * @param {import('actor-runtime').Context} ctx
   */
  every({ cron }, ctx) {
    ctx.remind('check', { method: 'check', cron })
  }

  /**
   * Ends the checks that `every` has asked for.
   *
   * @param {unknown} _params
   * @param {import('actor-runtime').Context} ctx
   */
  rest(_params, ctx) {
    ctx.cancelReminder('check')
  }
}

/**
 * Symbolic links are skipped.
 *
 * @param {string} folder
 * @returns {Promise<[path: string, mark: string][]>}
 */
async function filesBelow(folder) {
  /** @type {[path: string, mark: string][]} */
  const files = []
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) {
      for (const [below, mark] of await filesBelow(path)) files.push([`${entry.name}/${below}`, mark])
    } else if (entry.isFile()) {
      const { size, mtimeMs } = await stat(path)
      files.push([entry.name, `${size} bytes of ${new Date(mtimeMs).toISOString()}`])
    }
  }
  return files
}
