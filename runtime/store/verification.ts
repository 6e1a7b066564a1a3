/** What a data file is worth: its pages (pages.ts), and the checksum of every record. */
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { open } from 'lmdb'
import { iso } from '../core/instant.ts'
import { isOfDocument, originOfSetAsideKey } from './keys.ts'
import { type PageSnapshot, readPageSnapshot, StructureDamaged, walkPages } from './pages.ts'
import { isSealed, jobsOfSealed, setAsideCodec, unseal } from './records.ts'

export interface Verification {
  entries: number
  /** Where a record of several is damaged, at least. */
  jobs: number
  bytes: number
  /** What is wrong with the file as a whole; null: nothing. */
  structure: string | null
  /** How many records fail their checksum. */
  damaged: number
  /** Keys of the first of them, in hex. */
  damagedKeys: string[]
  /** What was set aside before. */
  setAside: { count: number; records: KeptAside[] }
  /** False: the time was over before the end of the store. */
  complete: boolean
  /** How many entries do not agree with each other, as far as somebody has looked. */
  disagreements: number
  /** The first of them, in words. */
  disagreeing: string[]
}

/** A record that was set aside. */
export interface KeptAside {
  /** In hex. */
  key: string
  reason: string
  at: string
  /** As it was found, in base64; null: too many bytes to be listed. */
  value: string | null
}

export interface Progress {
  pages: number
  pagesTotal: number
}

const jobKind = 'J'.charCodeAt(0)
const setAsideKind = 'd'.charCodeAt(0)
const setAsideBytesMax = 1024 * 1024
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
    setAside: { count: 0, records: [] },
    complete: false,
    disagreements: 0,
    disagreeing: []
  }
  const documents = new Map<string, Buffer>()
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
    found.complete = walkPages(descriptor, snapshot, (key, value) => note(found, documents, key, value), isOver)
  } catch (error) {
    if (!(error instanceof StructureDamaged)) throw error
    found.structure = error.message
  } finally {
    closeSync(descriptor)
  }
  return found
}

/** @param documents damaged ones, by key */
function note(found: Verification, documents: Map<string, Buffer>, key: Buffer, value: Buffer): boolean {
  const kind = key[0]!
  found.entries++
  if (!isSealed(key)) return true
  try {
    const sealed = unseal(key, value)
    if (kind === jobKind) found.jobs += jobsOfSealed(sealed)
    if (kind === setAsideKind) noteSetAside(found, documents, key, value)
  } catch {
    found.damaged++
    if (kind === jobKind) found.jobs++
    if (isOfDocument(key)) documents.set(key.toString('hex'), Buffer.from(value))
    if (found.damagedKeys.length < keysMax) found.damagedKeys.push(key.toString('hex'))
  }
  return true
}

function noteSetAside(found: Verification, documents: Map<string, Buffer>, key: Buffer, sealed: Buffer): void {
  const origin = originOfSetAsideKey(key).toString('hex')
  const { reason, atMs, value } = setAsideCodec.decode(key, sealed)
  const { setAside } = found
  setAside.count++
  const listedBytes = setAside.records.reduce((sum, record) => sum + (record.value?.length ?? 0), 0)
  if (setAside.records.length < keysMax) {
    const fits = listedBytes + value.length <= setAsideBytesMax
    setAside.records.push({ key: origin, reason, at: iso(atMs), value: fits ? value.toString('base64') : null })
  }
  // A document that is damaged stays where it is, and comes before this in the order of the keys.
  if (documents.get(origin)?.equals(value) !== true) return
  found.damaged--
  found.damagedKeys = found.damagedKeys.filter((damaged) => damaged !== origin)
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
