/**
 * The data directory: who may open it, and whether it is what it says.
 *
 * ```
 *  actor-runtime.json   marker: { product, format, tag, initialised }; written and synced before LMDB makes its files
 *  owner.json           { pid }: present while a supervisor runs, or after one ended without closing
 *  store/data.mdb       LMDB; store/lock.mdb its lock; made as store.<pid>.new, and the others likewise
 *  store/closed.json    what data.mdb looked like when it was closed
 * ```
 *
 * LMDB opens a zero-length file as an empty store, and ends the process on a truncated or damaged one. So nothing is
 * opened before the marker allows it: a directory that was initialised must hold a data file whose header is sound and
 * whose pages are all there, and after an unclean stop, or where the data file was touched after a clean one, another process reads
 * it first (`verify.ts`).
 *
 * Ownership is a record of the store itself, taken in one transaction, because LMDB's writer lock is the only lock between
 * processes that Node offers and the kernel releases. `owner.json` only tells people, and the next start, about it.
 */
import { randomBytes } from 'node:crypto'
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync
} from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { RuntimeError } from '../core/errors.ts'
import { failPoint } from '../core/fail-points.ts'
import { isAsClosed, noteClosed } from './closed-file.ts'
import { metaKey } from './keys.ts'
import { readPageSnapshot, StructureDamaged } from './pages.ts'
import { formatVersion, type Owner, ownerCodec } from './records.ts'
import { isRefusal } from './room-ahead.ts'
import { Store } from './store.ts'
import { syncPath, writeSynced, writeTemporary } from './synced-files.ts'
import type { Verification } from './verification.ts'
import { verifyInChild } from './verify-in-child.ts'

/** The marker of a data directory. */
export interface Marker {
  product: 'actor-runtime'
  format: number
  /** Begins every job id made by this store, so that ids of different stores differ. */
  tag: string
  initialised: boolean
}

export interface OpenDataDirectory {
  store: Store
  tag: string
  /** As it is on disk. */
  marker: Marker
  /** The supervisor before this one ended without closing. */
  unclean: boolean
  /** Gives up ownership and closes the store. */
  close(): Promise<void>
}

/** What LMDB's two files take at first, and more. */
const newStoreBytes = 64 * 1024

/** LMDB allows one environment per file and process, so a second open in the same process is refused here. */
const openedHere = new Set<string>()

/**
 * Opens the store of a data directory, creating both if missing, and makes this process its owner.
 *
 * @param verifier program that looks through a store which may be damaged; see verify-in-child.ts
 * @throws RuntimeError `DATA_DIR_LOCKED` with `data.pid` of the owner · `DATA_DIR_INVALID`: foreign, damaged, not writable,
 * of a newer format · `STORAGE_FULL`
 */
export async function openDataDirectory(directory: string, verifier?: URL): Promise<OpenDataDirectory> {
  return open(directory, (unclean, marker) => refuseUnlessSound(directory, unclean, marker, verifier))
}

/**
 * As {@link openDataDirectory}, also where records are damaged or do not agree: who opens it sets that right.
 *
 * @throws RuntimeError as there; `DATA_DIR_INVALID` where the pages do not hold together, or there is no store yet
 */
export async function openDamagedDirectory(directory: string): Promise<OpenDataDirectory> {
  return open(directory, async (_unclean, { initialised }) => {
    if (!initialised) throw invalid(directory, 'it holds no store yet.')
    const { structure } = await verifyInChild(storeFolder(directory), { timeMs: 0 })
    if (structure !== null) throw damaged(directory, `store/data.mdb ${structure}`)
  })
}

/** Looks at a store before it is opened. */
type Check = (unclean: boolean, marker: Marker) => Promise<void>

async function refuseUnlessSound(
  directory: string,
  unclean: boolean,
  { initialised, tag }: Marker,
  verifier: URL | undefined
): Promise<void> {
  if (!initialised) return
  if (unclean) await refuseDamaged(directory, { verifier, timeMs: verifyTimeMsMax })
  else if (!isAsClosed(closedFile(directory), dataFile(directory), tag)) {
    await refuseDamaged(directory, { verifier, timeMs: 0 })
  }
}

async function open(directory: string, check: Check): Promise<OpenDataDirectory> {
  let path: string | undefined
  try {
    const marker = prepare(directory)
    const real = realpathSync(directory)
    if (openedHere.has(real)) throw locked(directory, process.pid)
    openedHere.add(real)
    path = real
    return await openPrepared(directory, real, marker, check)
  } catch (error) {
    if (path !== undefined) openedHere.delete(path)
    throw inWords(error, directory)
  }
}

async function openPrepared(directory: string, path: string, marker: Marker, check: Check): Promise<OpenDataDirectory> {
  const unclean = existsSync(ownerFile(directory))
  if (unclean) refuseLiveOwner(directory)
  if (marker.initialised) checkHeader(directory)
  await check(unclean, marker)

  if (!marker.initialised && !existsSync(storeFolder(directory))) await createStore(directory)
  const store = new Store(storeFolder(directory))
  try {
    await takeOwnership(store, directory)
  } catch (error) {
    await store.close()
    throw error
  }
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= release(store, directory, marker.tag).finally(() => openedHere.delete(path))
    return closing
  }
  failPoint('start.ownerTaken')
  try {
    removeLeftovers(directory)
    if (!marker.initialised || marker.format < formatVersion) initialise(directory, path, marker)
    writeSynced(ownerFile(directory), { pid: process.pid, birth: birthOf(process.pid) })
  } catch (error) {
    await close()
    throw error
  }
  failPoint('start.ownerWritten')
  return { store, tag: marker.tag, marker: { ...marker, format: formatVersion, initialised: true }, unclean, close }
}

/**
 * LMDB makes its file in several writes, and ends the process on one that was cut off by a loss of power. So it is made
 * beside its place, and put there whole. Of two processes that do so, the store of the first is there.
 */
async function createStore(directory: string): Promise<void> {
  const temporary = `${storeFolder(directory)}.${process.pid}.new`
  rmSync(temporary, { recursive: true, force: true })
  askDisk(temporary)
  await new Store(temporary).close()
  failPoint('create.storeMade')
  // Without a commit LMDB has not synced what it made.
  syncPath(join(temporary, 'data.mdb'))
  syncPath(temporary)
  failPoint('create.storeSynced')
  try {
    renameSync(temporary, storeFolder(directory))
    failPoint('create.storeRenamed')
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    rmSync(temporary, { recursive: true, force: true })
  }
}

/** What the disk refuses must be told now: LMDB crashes where it cannot write the files that it makes. */
function askDisk(folder: string): void {
  mkdirSync(folder, { mode: 0o700 })
  const file = join(folder, 'room')
  const descriptor = openSync(file, 'w', 0o600)
  try {
    // As LMDB does: first a write that makes the file longer.
    const room = Buffer.alloc(newStoreBytes)
    for (let at = 0; at < room.length; ) at += writeSync(descriptor, room, at, room.length - at, at)
    ftruncateSync(descriptor, 2 * newStoreBytes)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
    rmSync(file, { force: true })
  }
}

/** From here on the directory is never again taken for a new one. Before that, the way to the data file must be on disk. */
function initialise(directory: string, path: string, marker: Marker): void {
  syncPath(storeFolder(directory))
  for (let folder = path; folder !== dirname(folder); folder = dirname(folder)) {
    try {
      syncPath(dirname(folder))
    } catch {
      // A folder above that this user may not read, or that is read-only, was not made by us.
    }
  }
  failPoint('create.ready')
  writeSynced(markerFile(directory), { ...marker, format: formatVersion, initialised: true })
}

/** What processes that died were making beside its place. One that lives finds itself that it came too late; this one is done. */
function removeLeftovers(directory: string): void {
  for (const name of readdirSync(directory)) {
    const pid = Number(/^(?:store|owner\.json|actor-runtime\.json)\.(\d+)\.new$/.exec(name)?.[1])
    const isLeft = pid === process.pid || (pid > 0 && !isAlive({ pid, birth: '' }))
    if (isLeft) rmSync(join(directory, name), { recursive: true, force: true })
  }
}

/** Ownership ends with the last commit: all in one turn, so that nothing can be stored after it. */
async function release(store: Store, directory: string, tag: string): Promise<void> {
  const givenUp = store.transact((transaction) => {
    // Under LMDB's writer lock, so that it cannot be the file of the next owner.
    rmSync(ownerFile(directory), { force: true })
    failPoint('stop.ownerFileRemoved')
    transaction.remove(metaKey('owner'))
  })
  const closed = store.close()
  // Where the disk refuses it, the record goes on naming this process, which may open the directory again or will end.
  await givenUp.catch(() => undefined)
  failPoint('stop.ownerGivenUp')
  await closed
  try {
    noteClosed(closedFile(directory), dataFile(directory), tag)
  } catch {
    // The next start looks through all of it.
  }
}

export function storeFolder(directory: string): string {
  return join(directory, 'store')
}

export function markerFile(directory: string): string {
  return join(directory, 'actor-runtime.json')
}

function ownerFile(directory: string): string {
  return join(directory, 'owner.json')
}

function closedFile(directory: string): string {
  return join(storeFolder(directory), 'closed.json')
}

function dataFile(directory: string): string {
  return join(storeFolder(directory), 'data.mdb')
}

/** Makes the directory and its marker where there is nothing yet, and refuses what is not ours. */
function prepare(directory: string): Marker {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  // Listed before the marker is looked for: whatever another process makes from here on comes after its marker.
  const strangers = readdirSync(directory).filter((name) => !name.startsWith(basename(markerFile(directory))))
  refuseOtherKinds(directory)
  const marker = readMarker(directory)
  if (marker !== undefined) {
    refuseReadOnly(directory)
    return marker
  }
  if (strangers.length > 0) {
    throw invalid(
      directory,
      `it holds other files (${strangers.slice(0, 3).join(', ')}) and no store of actor-runtime. Choose an empty or a new directory.`
    )
  }
  failPoint('create.folder')
  createMarker(directory)
  return readMarker(directory)!
}

/**
 * What may not be written must be told now, in words: LMDB crashes where it may not write its lock file. The files are not
 * opened for it, since closing one would give up the locks that LMDB may hold on it in this process.
 */
function refuseReadOnly(directory: string): void {
  const folder = storeFolder(directory)
  for (const path of [directory, markerFile(directory), folder, dataFile(directory), join(folder, 'lock.mdb')]) {
    if (existsSync(path)) accessSync(path, constants.R_OK | constants.W_OK)
  }
}

/** To open a pipe would wait for ever, and LMDB ends this process where it cannot open its files. Symbolic links may lead to files. */
function refuseOtherKinds(directory: string): void {
  const folder = storeFolder(directory)
  const files = [
    markerFile(directory),
    ownerFile(directory),
    dataFile(directory),
    join(folder, 'lock.mdb'),
    closedFile(directory)
  ]
  for (const path of [folder, ...files]) {
    // One look decides whether it is there: another process may be making it.
    const entry = lstatSync(path, { throwIfNoEntry: false })
    const found = entry?.isSymbolicLink() ? statSync(path, { throwIfNoEntry: false }) : entry
    if (entry === undefined || (path === folder ? found?.isDirectory() : found?.isFile())) continue
    const expected = path === folder ? 'a folder' : 'a file'
    throw invalid(
      directory,
      `${relative(directory, path)} is not ${expected}. Restore a backup, or start with a new directory.`
    )
  }
}

/** Of two processes that meet an empty directory the first makes the marker, and it is never replaced by the other's. */
function createMarker(directory: string): void {
  const fresh: Marker = {
    product: 'actor-runtime',
    format: formatVersion,
    tag: BigInt(`0x${randomBytes(4).toString('hex')}`)
      .toString(36)
      .padStart(7, '0'),
    initialised: false
  }
  const temporary = writeTemporary(markerFile(directory), fresh)
  failPoint('create.markerWritten')
  try {
    linkSync(temporary, markerFile(directory))
    failPoint('create.markerLinked')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(temporary, { force: true })
  }
  syncPath(directory)
}

/** @throws RuntimeError `DATA_DIR_INVALID`: damaged, not ours, or of a newer format */
export function readMarker(directory: string): Marker | undefined {
  if (!existsSync(markerFile(directory))) return undefined
  const text = readFileSync(markerFile(directory), 'utf8')
  let marker: Partial<Marker>
  try {
    marker = JSON.parse(text) as Partial<Marker>
  } catch {
    throw invalid(directory, 'its marker actor-runtime.json is damaged. Restore a backup.')
  }
  if (
    marker?.product !== 'actor-runtime' ||
    typeof marker.tag !== 'string' ||
    !Number.isInteger(marker.format) ||
    typeof marker.initialised !== 'boolean'
  ) {
    throw invalid(
      directory,
      'its marker actor-runtime.json is not one of ours. Choose another directory or restore a backup.'
    )
  }
  if (marker.format! > formatVersion) {
    throw invalid(
      directory,
      `it was written by a newer version (format ${marker.format}; this version reads up to ${formatVersion}). Install that version.`
    )
  }
  return marker as Marker
}

/** Refuses a data file that LMDB would take for an empty store or would crash on: no file, no header, pages missing. */
function checkHeader(directory: string): void {
  const file = dataFile(directory)
  if (!existsSync(file)) throw damaged(directory, 'store/data.mdb is missing')
  const descriptor = openSync(file, 'r')
  try {
    readPageSnapshot(descriptor)
  } catch (error) {
    if (!(error instanceof StructureDamaged)) throw error
    throw damaged(directory, `store/data.mdb ${error.message}`)
  } finally {
    closeSync(descriptor)
  }
}

function isSound({ structure, damaged, disagreements }: Verification): boolean {
  return structure === null && damaged === 0 && disagreements === 0
}

/** How long a start after an unclean stop may spend on reading the store before it goes on. */
const verifyTimeMsMax = 300

/** @throws RuntimeError `DATA_DIR_INVALID` where a record fails its checksum, or the pages do not hold together */
async function refuseDamaged(directory: string, options: { verifier: URL | undefined; timeMs: number }): Promise<void> {
  const verification = await verifyInChild(storeFolder(directory), options)
  if (isSound(verification)) return
  // An owner that left no `owner.json` may be writing.
  if (isSound(await verifyInChild(storeFolder(directory), { ...options, isLive: true }))) return
  const { structure, damaged: records, entries, damagedKeys, disagreements, disagreeing } = verification
  const why =
    structure !== null
      ? `store/data.mdb ${structure}`
      : records > 0
        ? `${records} of ${entries} records fail their checksum; the first: ${damagedKeys[0]}`
        : `${disagreements} entries do not agree with the others; the first: ${disagreeing[0]}`
  const repair =
    structure === null
      ? 'Set aside what is damaged with "runtime verify --repair", restore a backup'
      : 'Restore a backup'
  throw invalid(directory, `its store is damaged (${why}). ${repair}, or start with a new directory.`)
}

function damaged(directory: string, what: string): RuntimeError {
  return invalid(directory, `its data file ${what}. Jobs may be lost; restore a backup, or start with a new directory.`)
}

/** In one transaction, so that of two supervisors that start together exactly one becomes the owner. */
async function takeOwnership(store: Store, directory: string): Promise<void> {
  const key = metaKey('owner')
  await store.transact((transaction) => {
    const value = transaction.get(key)
    const owner = value === undefined ? undefined : ownerCodec.decode(key, value)
    if (owner !== undefined && owner.pid !== process.pid && isAlive(owner)) throw locked(directory, owner.pid)
    transaction.put(key, ownerCodec.encode(key, { pid: process.pid, birth: birthOf(process.pid) }))
  })
}

/** Spares a second supervisor the opening of a store that is in use. */
function refuseLiveOwner(directory: string): void {
  const { pid, birth } = readOwnerFile(directory)
  if (pid !== process.pid && isAlive({ pid, birth })) throw locked(directory, pid)
}

/** @returns pid 0 where nobody is named */
export function readOwnerFile(directory: string): Owner {
  try {
    const { pid, birth = '' } = JSON.parse(readFileSync(ownerFile(directory), 'utf8')) as Owner
    return { pid, birth }
  } catch {
    // Torn by the crash of its writer; the record in the store decides.
    return { pid: 0, birth: '' }
  }
}

export function isAlive(owner: Owner): boolean {
  if (!Number.isInteger(owner.pid) || owner.pid <= 0) return false
  const birth = birthOf(owner.pid)
  if (birth === ended || (birth !== '' && owner.birth !== '' && birth !== owner.birth)) return false
  try {
    process.kill(owner.pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  return true
}

/** Birth of a process that has ended and whose parent has not asked for its exit code; some parents never do. */
const ended = 'ended'

/** On Linux the boot and the clock tick in which a process started, since pids are given out again; else empty. */
function birthOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (fields[0] === 'Z' || fields[0] === 'X') return ended
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()}/${fields[19]}`
  } catch {
    return ''
  }
}

function locked(directory: string, pid: number): RuntimeError {
  return new RuntimeError(
    'DATA_DIR_LOCKED',
    `Cannot open the data directory ${directory}: the supervisor with pid ${pid} owns it. Stop it first, or use another data directory.`,
    { pid, directory }
  )
}

function invalid(directory: string, why: string, cause?: unknown): RuntimeError {
  return new RuntimeError(
    'DATA_DIR_INVALID',
    `Cannot open the data directory ${directory}: ${why}`,
    { directory },
    cause === undefined ? undefined : { cause }
  )
}

function inWords(error: unknown, directory: string): unknown {
  if (error instanceof RuntimeError) return error
  if (isRefusal(error)) {
    return new RuntimeError('STORAGE_FULL', `Cannot open the data directory ${directory}: the disk is full.`, {
      directory
    })
  }
  const { code, message } = error as NodeJS.ErrnoException
  switch (code) {
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return invalid(
        directory,
        `it is not writable for this user (${code}). Change its owner or mode, or choose another one.`,
        error
      )
    case 'ENOTDIR':
    case 'EEXIST':
      return invalid(directory, `${basename(directory)} or a part of its path is a file, not a directory.`, error)
    default:
      return invalid(directory, `${message}.`, error)
  }
}
