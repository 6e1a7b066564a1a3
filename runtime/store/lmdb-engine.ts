/**
 * The one door to LMDB. The asynchronous interface is not used: it commits what a throwing callback had written.
 *
 * Each process that opens the files, if only to read them, notes in the memory that all share which commit is the last one, as it
 * found it in the file a moment before, and without a lock (mdb_env_open2 in lmdb 3.5.6). Where another process has committed
 * meanwhile, the next transaction would begin from the commit before that and write over it. So a transaction begins with a
 * look: its number follows that of the last commit here, which is the only process that writes, or else that in the file; or it is
 * **set back**. Then nothing is written, the files are opened once more by a process that finds the last commit, and it is tried
 * again.
 */
import { spawnSync } from 'node:child_process'
import { statfsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { open, type RootDatabase } from 'lmdb'
import { commitBytesMax } from '../core/limits.ts'
import { ownEnvironment } from '../core/own-environment.ts'
import { type Engine, keyBytesMax, type Scan } from './engine.ts'
import { NoRoom, RoomAhead, RoomFailed } from './room-ahead.ts'

interface LmdbStats {
  pageSize: number
  lastPageNumber: number
  treeBranchPageCount: number
  treeLeafPageCount: number
  overflowPages: number
  free: LmdbTree
  /** As the file says. */
  lastTxnId: number
}

type LmdbTree = Pick<LmdbStats, 'treeBranchPageCount' | 'treeLeafPageCount' | 'overflowPages'>

/** LMDB has room for so many characters of what it says about a write that failed, and writes on behind it. */
const errorTextMax = 99
/** What an entry takes besides its key and value. */
const bytesOfEntry = 16
const largeValueBytes = 2000
/** What is longer is for the copy of LMDB. */
const copiedBytesMax = 256
/** Of addresses, not of memory. A larger file is mapped again as it grows. */
const mappedBytes = 64 * 1024 ** 3
const pageBytes = 4096
/**
 * A process that was killed while it read the store keeps LMDB from using again whatever is freed from then on, until
 * somebody looks whether it is alive.
 */
const commitsPerLookAtReaders = 1_000
const setBackTriesMax = 10
const openOnceMsMax = 10_000
const openOnce = fileURLToPath(new URL('./open-once.js', import.meta.url))
const runFlags = process.versions.deno === undefined ? [] : ['run', '--allow-all']

class SetBack extends Error {
  constructor() {
    super('other processes keep opening its files, and set LMDB back behind the last commit')
  }
}

export class LmdbEngine implements Engine {
  readonly #path: string
  #commits = 0
  /** Number of the last transaction that has written; undefined after one that failed. */
  #lastTransaction: number | undefined
  readonly #database: RootDatabase<Buffer, Buffer>
  readonly #room: RoomAhead
  /** Of the transaction that is open. */
  #writes = 0
  #bytes = 0

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
      // Where LMDB cannot map a file that has grown it goes on without telling: commits are lost, or the process is.
      ...(process.platform !== 'win32' && { mapSize: mappedBytes }),
      permissionsMode: 0o600
    } as Parameters<typeof open>[0]) as RootDatabase<Buffer, Buffer>
    try {
      this.#room = new RoomAhead(join(path, 'data.mdb'), () => this.#pages())
    } catch (error) {
      void this.#database.close()
      throw error
    }
  }

  get(key: Buffer): Buffer | undefined {
    if (key.length > keyBytesMax) return undefined
    const found: (Buffer & { isGlobal?: boolean }) | undefined = this.#database.getBinaryFast(key)
    if (found === undefined) return undefined
    const { lastSize } = this.#database as unknown as { lastSize: number }
    if (found.isGlobal !== true || lastSize > copiedBytesMax) return this.#database.getBinary(key)
    // It is in a buffer of LMDB's, which the next look writes over; the copy that LMDB makes costs as much as the look.
    const value = Buffer.allocUnsafe(lastSize)
    for (let at = 0; at < lastSize; at++) value[at] = found[at]!
    return value
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
    for (let tries = 1; !this.#hasBegunAndDone(write); tries++) {
      if (tries === setBackTriesMax) throw new SetBack()
      spawnSync(process.execPath, [...runFlags, openOnce, this.#path], {
        stdio: 'ignore',
        timeout: openOnceMsMax,
        env: ownEnvironment()
      })
    }
    if (++this.#commits % commitsPerLookAtReaders === 0) this.#database.readerCheck()
  }

  /** @returns false: it was set back, and nothing was done */
  #hasBegunAndDone(write: () => void): boolean {
    let isSetBack = false
    let number = 0
    this.#writes = 0
    const before = this.#lastTransaction
    this.#lastTransaction = undefined
    // Without braces it could return a promise, and LMDB would wait for that with the commit.
    this.#database.transactionSync(() => {
      number = this.#database.getWriteTxnId()
      // What wrote nothing, such as the removal of what is not there, has not used up its number.
      isSetBack = number - 1 !== before && number - 1 !== (this.#database.getStats() as LmdbStats).lastTxnId
      // Without a write LMDB commits nothing, and leaves everything as it is.
      if (isSetBack) return
      this.#bytes = 0
      write()
      this.#room.make(this.#writes, this.#bytes)
    })
    this.#lastTransaction = this.#writes > 0 ? number : before
    return !isSetBack
  }

  put(key: Buffer, value: Buffer): void {
    this.#writes++
    this.#bytes += bytesOf(key, value)
    this.#database.putSync(key, value)
  }

  remove(key: Buffer): void {
    this.#writes++
    this.#database.removeSync(key)
  }

  meaningOf(error: unknown): 'full' | 'failed' | undefined {
    if (error instanceof NoRoom) return 'full'
    if (error instanceof RoomFailed || error instanceof SetBack) return 'failed'
    if (!isOfLmdb(error)) return undefined
    return this.#isFull(error) && !hasDamagedTheHeap(error as Error) ? 'full' : 'failed'
  }

  get isScarce(): boolean {
    return this.#room.isScarce
  }

  hasRoomToGrow(): boolean {
    return this.#room.hasSome()
  }

  size(): { bytes: number; usedBytes: number } {
    const { pageBytes, lastPage, treePages } = this.#pages()
    return { bytes: pageBytes * (lastPage + 1), usedBytes: pageBytes * treePages }
  }

  #pages() {
    const { pageSize, lastPageNumber, free, ...tree } = this.#database.getStats() as LmdbStats
    return { pageBytes: pageSize, lastPage: lastPageNumber, treePages: pagesOf(tree), freeListPages: pagesOf(free) }
  }

  async close(): Promise<void> {
    await this.#database.close()
    this.#room.close()
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

/** Large values have pages of their own; a page of small ones may be half empty. */
function bytesOf(key: Buffer, value: Buffer): number {
  const bytes = key.length + value.length + bytesOfEntry
  return value.length > largeValueBytes ? bytes + pageBytes : 2 * bytes
}

function hasDamagedTheHeap({ message }: Error): boolean {
  const textAt = message.indexOf('Attempting to write page')
  return textAt >= 0 && message.length - textAt > errorTextMax
}

function pagesOf({ treeBranchPageCount, treeLeafPageCount, overflowPages }: LmdbTree): number {
  return treeBranchPageCount + treeLeafPageCount + overflowPages
}

/** LMDB walks backwards from its `start`, included, to its `end`, not included; ours is the same range either way. */
function rangeOptions({ start, end, reverse = false, limit }: Scan) {
  const bounds = reverse ? { start: end, end: start, exclusiveStart: true, inclusiveEnd: true } : { start, end }
  return { ...bounds, reverse, ...(limit === undefined ? {} : { limit }) }
}
