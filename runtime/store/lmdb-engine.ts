/**
 * The one door to LMDB. The asynchronous interface is not used: it commits what a throwing callback had written.
 */
import { statfsSync } from 'node:fs'
import { open, type RootDatabase } from 'lmdb'
import { commitBytesMax } from '../core/limits.ts'
import { type Engine, keyBytesMax, type Scan } from './engine.ts'

interface LmdbStats {
  pageSize: number
  lastPageNumber: number
  treeBranchPageCount: number
  treeLeafPageCount: number
  overflowPages: number
}

/**
 * A process that was killed while it read the store keeps LMDB from using again whatever is freed from then on, until
 * somebody looks whether it is alive.
 */
const commitsPerLookAtReaders = 1_000

export class LmdbEngine implements Engine {
  readonly #path: string
  #commits = 0
  readonly #database: RootDatabase<Buffer, Buffer>

  /** @param path folder of LMDB's files, created if missing; `data-directory.ts` has checked that it may be opened. */
  constructor(path: string, { readOnly = false } = {}) {
    this.#path = path
    this.#database = open({
      path,
      noSubdir: false,
      encoding: 'binary',
      keyEncoding: 'binary',
      readOnly,
      // Default settings acknowledge commits whose meta page failed to be written.
      overlappingSync: false,
      eventTurnBatching: false,
      permissionsMode: 0o600
    } as Parameters<typeof open>[0]) as RootDatabase<Buffer, Buffer>
  }

  get(key: Buffer): Buffer | undefined {
    return key.length > keyBytesMax ? undefined : this.#database.get(key)
  }

  has(key: Buffer): boolean {
    return key.length <= keyBytesMax && this.#database.doesExist(key)
  }

  entries(scan: Scan): Iterable<{ key: Buffer; value: Buffer }> {
    return this.#database.getRange(rangeOptions(scan))
  }

  keys(scan: Scan): Iterable<Buffer> {
    return this.#database.getKeys(rangeOptions(scan))
  }

  transact(write: () => void): void {
    // Without braces it could return a promise, and LMDB would wait for that with the commit.
    this.#database.transactionSync(() => {
      write()
    })
    if (++this.#commits % commitsPerLookAtReaders === 0) this.#database.readerCheck()
  }

  put(key: Buffer, value: Buffer): void {
    this.#database.putSync(key, value)
  }

  remove(key: Buffer): void {
    this.#database.removeSync(key)
  }

  meaningOf(error: unknown): 'full' | 'failed' | undefined {
    if (!isOfLmdb(error)) return undefined
    return this.#isFull(error) ? 'full' : 'failed'
  }

  size(): { bytes: number; usedBytes: number } {
    const stats = this.#database.getStats() as LmdbStats
    const { pageSize, lastPageNumber, treeBranchPageCount, treeLeafPageCount, overflowPages } = stats
    return {
      bytes: pageSize * (lastPageNumber + 1),
      usedBytes: pageSize * (treeBranchPageCount + treeLeafPageCount + overflowPages)
    }
  }

  async close(): Promise<void> {
    await this.#database.close()
  }

  /** A full disk is told as ENOSPC, as a full map, or as an input/output error after a short write. */
  #isFull(error: unknown): boolean {
    const { code, message } = error as { code?: unknown; message: string }
    if (code === 28 || code === 'ENOSPC' || code === -30792 || /no space|MDB_MAP_FULL|disk quota/i.test(message))
      return true
    if (code !== 5 && !/input\/output/i.test(message)) return false
    const { bavail, bsize } = statfsSync(this.#path)
    return bavail * bsize < commitBytesMax
  }
}

/** Errors of LMDB and the system carry a numeric code or name themselves; anything else is a defect in an operation. */
function isOfLmdb(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown }
  return typeof code === 'number' || /MDB_|input\/output|no space/i.test(String(message))
}

/** LMDB walks backwards from its `start`, included, to its `end`, not included; ours is the same range either way. */
function rangeOptions({ start, end, reverse = false, limit }: Scan) {
  const bounds = reverse ? { start: end, end: start, exclusiveStart: true, inclusiveEnd: true } : { start, end }
  return { ...bounds, reverse, ...(limit === undefined ? {} : { limit }) }
}
