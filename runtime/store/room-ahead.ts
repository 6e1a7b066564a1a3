/**
 * Room that the data file has before LMDB needs it.
 *
 * LMDB 3.5.6 words the error of a write that was refused into a buffer of 100 bytes, whatever the length of the text: now and
 * then a full disk damages the heap, and the process dies of it later. So the disk is asked first, here, where a refusal
 * does no harm: zeros are written behind the end of the data file, and LMDB then writes over them. How much a commit may need
 * is estimated from above. Where the disk has no room for it, the commit is refused before LMDB writes, unless pages that are
 * free within the file will do, or it puts so little that it is most likely to make room.
 *
 * A part is kept for changes that do not grow the store, such as cancelling and removing jobs and storing outcomes: what
 * grows it asks {@link RoomAhead.hasSome} first.
 *
 * Everything here happens under LMDB's writer lock, so that no other process appends at the same time.
 */
import { closeSync, fstatSync, openSync, statfsSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname } from 'node:path'

export interface PageCounts {
  pageBytes: number
  lastPage: number
  treePages: number
  /** Of the list of free pages itself. */
  freeListPages: number
}

/** The disk, or a quota of this user, has no room for a commit. */
export class NoRoom extends Error {}

/** The disk failed when it was asked. */
export class RoomFailed extends Error {}

const keptBytesMin = 256 * 1024
const keptBytesMax = 4 * 1024 * 1024
/** Of the pages in use, and of the whole disk. */
const keptTreeShare = 0.25
const keptDiskShare = 1 / 16
/** For a commit that may need more, the disk is only asked how much is free. */
const madeBytesMax = 8 * 1024 * 1024
const pagesOfAnyCommit = 8
const bytesOfSmallCommit = 64 * 1024
const zeros = Buffer.alloc(256 * 1024)

export class RoomAhead {
  readonly #folder: string
  readonly #file: number
  readonly #diskBytes: number
  readonly #count: () => PageCounts
  #pages: PageCounts
  /** Surely left behind the last page; counted down, and looked up when that is used up. */
  #leftBytes = 0
  /** Within the file, in pages that the next commit may use. */
  #freeBytes = 0
  /** What the last commit may have freed: the next one is not given that yet. */
  #recentBytes = 0
  #isScarce = false

  constructor(dataFile: string, count: () => PageCounts) {
    this.#folder = dirname(dataFile)
    this.#count = count
    this.#pages = count()
    this.#diskBytes = sizeOfDisk(this.#folder)
    this.#file = openSync(dataFile, 'r+')
  }

  /**
   * Makes room for a transaction, at its end.
   *
   * @param bytes what it has put will take at most
   * @throws NoRoom
   */
  make(writes: number, bytes: number): void {
    if (writes === 0) return
    const isSure = this.#needOf(writes, bytes) + this.#keptBytes() <= this.#leftBytes && !this.#isScarce
    if (!isSure) this.#look()
    const needBytes = this.#needOf(writes, bytes)
    const keptBytes = this.#keptBytes()
    if (needBytes > madeBytesMax) this.#askFor(needBytes)
    else if (!isSure) {
      // More than must be, so that it is not looked up again at once.
      if (this.#leftBytes < needBytes + 1.5 * keptBytes) this.#append(needBytes + 2 * keptBytes)
      const usableBytes = Math.max(this.#leftBytes, this.#freeBytes)
      this.#isScarce = usableBytes < needBytes + keptBytes
      if (usableBytes < needBytes && bytes > bytesOfSmallCommit) throw new NoRoom(`no room for ${needBytes} bytes more`)
    }
    this.#leftBytes = Math.max(0, this.#leftBytes - needBytes)
    this.#recentBytes = this.#copiedBytes(writes)
  }

  /** Whether the store may grow. Inside of a transaction only. */
  hasSome(): boolean {
    if (!this.#isScarce) return true
    this.#look()
    const keptBytes = this.#keptBytes()
    if (this.#leftBytes < 2 * keptBytes) this.#append(2 * keptBytes)
    this.#isScarce = Math.max(this.#leftBytes, this.#freeBytes) < 2 * keptBytes
    return !this.#isScarce
  }

  get isScarce(): boolean {
    return this.#isScarce
  }

  close(): void {
    closeSync(this.#file)
  }

  /** A commit copies the pages that it changes, divides those that are full, and writes a list of what it has freed. */
  #needOf(writes: number, bytes: number): number {
    return this.#copiedBytes(writes) + bytes + this.#pages.pageBytes * pagesOfAnyCommit
  }

  #copiedBytes(writes: number): number {
    const { pageBytes, treePages, freeListPages } = this.#pages
    return pageBytes * (Math.min(2 * writes, treePages) + freeListPages)
  }

  #look(): void {
    const treePagesBefore = this.#pages.treePages
    this.#pages = this.#count()
    const { pageBytes, lastPage, treePages, freeListPages } = this.#pages
    this.#leftBytes = Math.max(0, this.#fileBytes() - (lastPage + 1) * pageBytes)
    const recentBytes = this.#recentBytes + Math.max(0, treePagesBefore - treePages) * pageBytes
    this.#freeBytes = Math.max(0, (lastPage - 1 - treePages - freeListPages) * pageBytes - recentBytes)
  }

  #keptBytes(): number {
    const { pageBytes, treePages } = this.#pages
    const shareBytes = Math.max(keptBytesMin, treePages * pageBytes * keptTreeShare)
    return Math.min(keptBytesMax, shareBytes, this.#diskBytes * keptDiskShare)
  }

  #askFor(needBytes: number): void {
    const { bavail, bsize } = statfsSync(this.#folder)
    if (bavail * bsize + Math.max(this.#leftBytes, this.#freeBytes) < needBytes) {
      throw new NoRoom(`no room for ${needBytes} bytes more`)
    }
  }

  #fileBytes(): number {
    try {
      return fstatSync(this.#file).size
    } catch (error) {
      throw new RoomFailed((error as Error).message, { cause: error })
    }
  }

  /** As far as the disk allows, until so many bytes are left behind the last page. */
  #append(wantedBytes: number): void {
    const { pageBytes, lastPage } = this.#pages
    const size = this.#fileBytes()
    const end = (lastPage + 1 + Math.ceil(wantedBytes / pageBytes)) * pageBytes
    let at = size
    try {
      while (at < end) at += writeSync(this.#file, zeros, 0, Math.min(zeros.length, end - at), at)
    } catch (error) {
      if (!isRefusal(error)) throw new RoomFailed((error as Error).message, { cause: error })
    }
    this.#leftBytes += at - size
  }
}

function sizeOfDisk(folder: string): number {
  const { blocks, bsize } = statfsSync(folder)
  return blocks * bsize
}

const refusals = [constants.errno.ENOSPC, constants.errno.EDQUOT, constants.errno.EFBIG]

/** Not an error of the disk: it has no room, or not for this user, or the file may not be larger. */
export function isRefusal(error: unknown): boolean {
  // By number: Node knows no name of a quota that is used up.
  return refusals.includes(-((error as NodeJS.ErrnoException).errno ?? 0))
}
