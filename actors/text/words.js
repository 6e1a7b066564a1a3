// Counts words in text files, reading them as streams: a file may be larger than memory.
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'

/**
 * The most frequent words of one or several UTF-8 text files, in lower case.
 *
 * @param {{ file?: string, files?: string[], top?: number }} params `file` or `files`: paths, relative ones from the
 * working directory. `top`: how many words to return, default 20
 * @param {import('../../runtime/core/context.ts').Context} ctx
 * @returns {Promise<{ files: number, words: number, distinct: number, top: { word: string, count: number }[] }>}
 */
export async function frequencies({ file, files, top = 20 }, ctx) {
  const paths = pathsOf(file, files)
  if (!Number.isInteger(top) || top < 0) throw new RangeError(`"top" must be a whole number from 0, got ${top}`)
  const sizes = await Promise.all(paths.map(sizeOf))
  const totalBytes = sizes.reduce((sum, size) => sum + size, 0)

  /** @type {Map<string, number>} */
  const counts = new Map()
  let words = 0
  let readBytes = 0
  for (const path of paths) {
    for await (const { text, bytes } of textOf(path)) {
      for (const [word] of text.toLowerCase().matchAll(/[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu)) {
        counts.set(word, (counts.get(word) ?? 0) + 1)
        words += 1
      }
      readBytes += bytes
      ctx.progress(totalBytes === 0 ? 100 : (readBytes / totalBytes) * 100, path)
    }
  }
  ctx.log.info(`${words} words, ${counts.size} distinct, in ${paths.length} files`)
  return { files: paths.length, words, distinct: counts.size, top: mostFrequent(counts, top) }
}

/**
 * @param {string | undefined} file
 * @param {string[] | undefined} files
 */
function pathsOf(file, files) {
  if ((file === undefined) === (files === undefined)) throw new TypeError('Give either "file" or "files", not both')
  const paths = file === undefined ? files : [file]
  if (!Array.isArray(paths) || paths.length === 0 || !paths.every((path) => typeof path === 'string' && path !== '')) {
    throw new TypeError('"file" must be a path, "files" a list of paths with one entry or more')
  }
  return paths
}

/** @param {string} path */
async function sizeOf(path) {
  const found = await stat(path)
  if (!found.isFile()) throw new Error(`Cannot count the words of ${resolve(path)}: it is not a file`)
  return found.size
}

/**
 * Pieces of the file that never end within a word, unless a word is longer than `pieceCharsMax`.
 *
 * @param {string} path
 */
async function* textOf(path) {
  const pieceCharsMax = 1024 * 1024
  let rest = ''
  for await (const chunk of createReadStream(path, { encoding: 'utf8', highWaterMark: 256 * 1024 })) {
    const text = rest + chunk
    const end = text.search(/\s\S*$/)
    const cut = end === -1 && text.length < pieceCharsMax ? 0 : end === -1 ? text.length : end
    rest = text.slice(cut)
    yield { text: text.slice(0, cut), bytes: Buffer.byteLength(chunk) }
  }
  yield { text: rest, bytes: 0 }
}

/**
 * By count, then by alphabet, so that the same files always give the same answer.
 *
 * @param {Map<string, number>} counts
 * @param {number} top
 */
function mostFrequent(counts, top) {
  return [...counts]
    .sort(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : 1))
    .slice(0, top)
    .map(([word, count]) => ({ word, count }))
}
