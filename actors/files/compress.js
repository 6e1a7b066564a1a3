// Compresses files. The target appears complete or not at all: it is written under a temporary name and then renamed, so
// a job that is killed in the middle and runs again leaves no half file behind under the real name.
import { randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'

/**
 * Compresses a file with gzip.
 *
 * @param {{ file: string, target?: string, level?: number }} params `file` and `target`: paths, relative ones from the
 * working directory. `target`: default the name of the file with ".gz" behind it; replaced where it exists. `level`: 0
 * (none) to 9 (smallest), default 6
 * @param {import('../../runtime/core/context.ts').Context} ctx
 * @returns {Promise<{ file: string, target: string, bytes: number, compressedBytes: number, ratio: number }>} `ratio`:
 * compressed bytes per byte, to three digits; 1 for an empty file
 */
export async function gzip({ file, target = `${file}.gz`, level = 6 }, ctx) {
  if (typeof file !== 'string' || file === '') throw new TypeError('"file" must be a path')
  if (typeof target !== 'string' || target === '') throw new TypeError('"target" must be a path')
  if (!Number.isInteger(level) || level < 0 || level > 9) {
    throw new RangeError(`"level" must be a whole number from 0 to 9, got ${level}`)
  }
  if (resolve(file) === resolve(target))
    throw new Error(`Cannot compress ${resolve(file)} onto itself; give another "target"`)
  const source = await stat(file)
  if (!source.isFile()) throw new Error(`Cannot compress ${resolve(file)}: it is not a file`)

  const temporary = `${target}.${randomUUID()}.tmp`
  try {
    const bytes = await compress(file, temporary, level, (read) =>
      ctx.progress((read / source.size) * 99, 'compressing')
    )
    await flush(temporary)
    const compressedBytes = (await stat(temporary)).size
    await rename(temporary, target)
    ctx.progress(100, 'done')
    const ratio = bytes === 0 ? 1 : Math.round((compressedBytes / bytes) * 1000) / 1000
    return { file, target, bytes, compressedBytes, ratio }
  } finally {
    await rm(temporary, { force: true })
  }
}

/**
 * @param {string} file
 * @param {string} target
 * @param {number} level
 * @param {(bytes: number) => void} onRead told how much of the file has been read
 * @returns {Promise<number>} bytes of the file
 */
async function compress(file, target, level, onRead) {
  let bytes = 0
  const meter = new Transform({
    transform(chunk, _encoding, done) {
      bytes += chunk.length
      onRead(bytes)
      done(null, chunk)
    }
  })
  await pipeline(createReadStream(file), meter, createGzip({ level }), createWriteStream(target, { flags: 'wx' }))
  return bytes
}

/**
 * Brings the content to the disk before the name points to it.
 *
 * @param {string} file
 */
async function flush(file) {
  const handle = await open(file, 'r+')
  await handle.sync()
  await handle.close()
}
