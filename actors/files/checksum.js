// Checksums of whole folders, reading the files as streams.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join, relative, resolve, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'

/**
 * SHA-256 of every file below a folder, in order of their paths. Symbolic links are skipped.
 *
 * @param {{ folder: string }} params `folder`: a path, a relative one from the working directory
 * @param {import('../../runtime/core/context.ts').Context} ctx
 * @returns {Promise<{ files: number, bytes: number, sha256: Record<string, string> }>} keys of `sha256`: paths below the
 * folder, with slashes; values: hexadecimal
 */
export async function sha256({ folder }, ctx) {
  if (typeof folder !== 'string' || folder === '') throw new TypeError('"folder" must be a path')
  if (!(await stat(folder)).isDirectory()) {
    throw new Error(`Cannot make checksums of ${resolve(folder)}: it is not a folder`)
  }
  ctx.progress(0, 'listing')
  const paths = await filesBelow(folder)
  /** @type {[string, string][]} */
  const sums = []
  let bytes = 0
  for (const [index, path] of paths.entries()) {
    const name = relative(folder, path).split(sep).join('/')
    const { sum, length } = await digest(path)
    sums.push([name, sum])
    bytes += length
    ctx.progress(((index + 1) / paths.length) * 100, name)
  }
  ctx.log.info(`${paths.length} files, ${bytes} bytes below ${resolve(folder)}`)
  // Not by assignment: a file may be called "__proto__".
  return { files: paths.length, bytes, sha256: Object.fromEntries(sums) }
}

/**
 * @param {string} folder
 * @returns {Promise<string[]>}
 */
async function filesBelow(folder) {
  const paths = []
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) paths.push(...(await filesBelow(path)))
    else if (entry.isFile()) paths.push(path)
  }
  return paths.sort()
}

/** @param {string} path */
async function digest(path) {
  const hash = createHash('sha256')
  let length = 0
  await pipeline(createReadStream(path), async (chunks) => {
    for await (const chunk of chunks) {
      hash.update(chunk)
      length += chunk.length
    }
  })
  return { sum: hash.digest('hex'), length }
}
