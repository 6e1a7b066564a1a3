/** What a data file is worth: its pages (pages.ts), and the checksum of every record. */
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { open } from 'lmdb'
import { type PageSnapshot, readPageSnapshot, StructureDamaged, walkPages } from './pages.ts'
import { isSealed, unseal } from './records.ts'

export interface Verification {
  entries: number
  jobs: number
  bytes: number
  /** What is wrong with the file as a whole; null: nothing. */
  structure: string | null
  /** How many records fail their checksum. */
  damaged: number
  /** Keys of the first of them, in hex. */
  damagedKeys: string[]
  /** False: the time was over before the end of the store. */
  complete: boolean
  /** How many entries do not agree with each other, as far as somebody has looked. */
  disagreements: number
  /** The first of them, in words. */
  disagreeing: string[]
}

export interface Progress {
  pages: number
  pagesTotal: number
}

const jobKind = 'J'.charCodeAt(0)
const pagesPerLookAtClock = 32
const pagesPerProgress = 2_048
const keysMax = 100

/** @param tell called now and then with how far it is */
export function verifyFile(
  file: string,
  snapshotOf: (descriptor: number) => PageSnapshot = readPageSnapshot,
  timeMs = 0,
  tell: (progress: Progress) => void = () => {}
): Verification {
  const deadlineMs = timeMs === 0 ? Number.POSITIVE_INFINITY : performance.now() + timeMs
  const found: Verification = {
    entries: 0,
    jobs: 0,
    bytes: 0,
    structure: null,
    damaged: 0,
    damagedKeys: [],
    complete: false,
    disagreements: 0,
    disagreeing: []
  }
  let pages = 0
  const descriptor = openSync(file, 'r')
  try {
    const snapshot = snapshotOf(descriptor)
    const pagesTotal = snapshot.lastPage + 1
    found.bytes = pagesTotal * snapshot.pageBytes
    const isOver = () => {
      pages++
      if (pages % pagesPerProgress === 0) tell({ pages, pagesTotal })
      return pages % pagesPerLookAtClock === 0 && performance.now() > deadlineMs
    }
    found.complete = walkPages(descriptor, snapshot, (key, value) => note(found, key, value), isOver)
  } catch (error) {
    if (!(error instanceof StructureDamaged)) throw error
    found.structure = error.message
  } finally {
    closeSync(descriptor)
  }
  return found
}

function note(found: Verification, key: Buffer, value: Buffer): boolean {
  const kind = key[0]!
  found.entries++
  if (kind === jobKind) found.jobs++
  if (!isSealed(key)) return true
  try {
    unseal(key, value)
  } catch {
    found.damaged++
    if (found.damagedKeys.length < keysMax) found.damagedKeys.push(key.toString('hex'))
  }
  return true
}

/** Beside a supervisor that writes: what a reader of LMDB sees is not written over while that reader is there. */
function heldSnapshot(folder: string): (descriptor: number) => PageSnapshot {
  const store = open({ path: folder, noSubdir: false, readOnly: true, encoding: 'binary', keyEncoding: 'binary' })
  return (descriptor) => {
    for (;;) {
      const before = readPageSnapshot(descriptor)
      const reading = store.useReadTransaction()
      if (readPageSnapshot(descriptor).transaction === before.transaction) return before
      reading.done()
      store.resetReadTxn()
    }
  }
}

/** @param folder of the store @param isLive a supervisor may be writing; @see verifyFile */
export function verifyStore(folder: string, timeMs: number, isLive: boolean): Verification {
  const snapshotOf = isLive ? heldSnapshot(folder) : readPageSnapshot
  return verifyFile(join(folder, 'data.mdb'), snapshotOf, timeMs, (progress) => process.send?.(progress))
}
