/**
 * What a disk may hold after the power was lost, made from the journal of a process (journal.c).
 *
 * The model, as pessimistic as POSIX allows: what was written and not yet synced is lost, kept, or torn, sector by sector and
 * in any order, whatever the calls' order was. A sync makes what was written to that file before it durable; a write through a
 * descriptor that is opened for it is durable when it returns. A name that was made, moved or removed is durable once its
 * folder was synced; of those that were not, the first few in their order are kept. The call under way at the loss may have
 * done all, nothing or a part.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const sectorBytes = 512
const kinds = {
  c: 'create',
  m: 'makeFolder',
  w: 'write',
  y: 'durableWrite',
  t: 'truncate',
  s: 'sync',
  r: 'rename',
  l: 'link',
  u: 'unlink'
} as const

export interface JournalRecord {
  kind: (typeof kinds)[keyof typeof kinds]
  /** Relative to the folder that is watched, with a slash before it; empty: the folder itself. */
  path: string
  other: string
  offset: number
  data: Buffer
}

export function readJournal(journal: Buffer): JournalRecord[] {
  const records: JournalRecord[] = []
  for (let at = 0; at < journal.length; ) {
    const kind = kinds[String.fromCharCode(journal[at]!) as keyof typeof kinds]
    const pathBytes = journal.readUInt16LE(at + 1)
    const path = journal.toString('utf8', at + 3, at + 3 + pathBytes)
    at += 3 + pathBytes
    const otherBytes = journal.readUInt16LE(at)
    const other = journal.toString('utf8', at + 2, at + 2 + otherBytes)
    at += 2 + otherBytes
    const offset = Number(journal.readBigUInt64LE(at))
    const bytes = journal.readUInt32LE(at + 8)
    at += 12
    // The last record may have been cut off with the process.
    if (at + bytes > journal.length) break
    records.push({ kind, path, other, offset, data: journal.subarray(at, at + bytes) })
    at += bytes
  }
  return records
}

/** A file, whatever its names are. */
interface DiskFile {
  durable: Buffer
  /** In the order of the calls. */
  pending: Change[]
}

type Change = { offset: number; data: Buffer } | { cutTo: number }

type NameChange = { name: string; file: DiskFile | 'folder' | null }

/** The files of a disk while records are played back: what is durable, and what is not yet. */
export class Disk {
  /** As the process sees them. */
  readonly #names = new Map<string, DiskFile | 'folder'>()
  readonly #durableNames = new Map<string, DiskFile | 'folder'>()
  /** By folder. */
  readonly #pendingNames = new Map<string, NameChange[]>()
  readonly #ignoresSyncs: boolean

  /** @param ignoresSyncs a disk that says it has synced and has not */
  constructor({ ignoresSyncs = false } = {}) {
    this.#ignoresSyncs = ignoresSyncs
  }

  apply(record: JournalRecord): void {
    const { kind, path, other, offset, data } = record
    switch (kind) {
      case 'create':
        this.#rename(path, { durable: Buffer.alloc(0), pending: [] })
        break
      case 'makeFolder':
        this.#rename(path, 'folder')
        break
      case 'write':
        this.#file(path)?.pending.push({ offset, data })
        break
      case 'durableWrite': {
        const file = this.#file(path)
        if (file === undefined) break
        if (this.#ignoresSyncs) file.pending.push({ offset, data })
        else file.durable = patched(file.durable, offset, data)
        break
      }
      case 'truncate':
        this.#file(path)?.pending.push({ cutTo: offset })
        break
      case 'sync':
        this.#sync(path)
        break
      case 'rename':
        this.#rename(other, this.#names.get(path)!)
        this.#rename(path, null)
        break
      case 'link':
        this.#rename(other, this.#names.get(path)!)
        break
      case 'unlink':
        this.#rename(path, null)
    }
  }

  /** Writes what the disk may hold if the power is lost while `last` is under way. */
  writeImage(folder: string, last: JournalRecord | undefined, random: () => number): void {
    const kept = new Map(this.#durableNames)
    for (const changes of this.#pendingNames.values()) {
      for (const change of changes.slice(0, Math.floor(random() * (changes.length + 1)))) setName(kept, change)
    }
    mkdirSync(folder, { recursive: true })
    for (const [name, file] of [...kept].sort(([one], [two]) => (one < two ? -1 : 1))) {
      if (!existsSync(dirname(join(folder, name)))) continue
      if (file === 'folder') mkdirSync(join(folder, name), { recursive: true })
      else writeFileSync(join(folder, name), contentAfterLoss(file, this.#pendingOf(file, last), random))
    }
  }

  #pendingOf(file: DiskFile, last: JournalRecord | undefined): Change[] {
    const writes = last?.kind === 'write' || last?.kind === 'durableWrite'
    return writes && this.#file(last.path) === file ? [...file.pending, last] : file.pending
  }

  #file(path: string): DiskFile | undefined {
    const file = this.#names.get(path)
    return file === 'folder' ? undefined : file
  }

  #sync(path: string): void {
    if (this.#ignoresSyncs) return
    const file = this.#file(path)
    if (file !== undefined) {
      for (const change of file.pending.splice(0)) file.durable = changed(file.durable, change)
      return
    }
    for (const change of this.#pendingNames.get(path === '' ? '/' : path) ?? []) setName(this.#durableNames, change)
    this.#pendingNames.delete(path === '' ? '/' : path)
  }

  #rename(name: string, file: DiskFile | 'folder' | null): void {
    const change = { name, file }
    setName(this.#names, change)
    const folder = dirname(name)
    const pending = this.#pendingNames.get(folder)
    if (pending === undefined) this.#pendingNames.set(folder, [change])
    else pending.push(change)
  }
}

function setName(names: Map<string, DiskFile | 'folder'>, { name, file }: NameChange): void {
  if (file === null) names.delete(name)
  else names.set(name, file)
}

/** Each sector that was written since the last sync holds what was durable, or one of the later contents. */
function contentAfterLoss({ durable }: DiskFile, pending: readonly Change[], random: () => number): Buffer {
  const shares = [0, 0.1, 0.5, 0.9, 1]
  const share = shares[Math.floor(random() * shares.length)]!
  let content: Buffer = Buffer.from(durable)
  for (const change of pending) {
    if ('cutTo' in change) {
      if (random() < share) content = Buffer.from(changed(content, change))
      continue
    }
    const { offset, data } = change
    for (let at = 0; at < data.length; ) {
      const bytes = Math.min(sectorBytes - ((offset + at) % sectorBytes), data.length - at)
      if (random() < share) content = patched(content, offset + at, data.subarray(at, at + bytes))
      at += bytes
    }
  }
  return content
}

function changed(content: Buffer, change: Change): Buffer {
  if (!('cutTo' in change)) return patched(content, change.offset, change.data)
  const cut = Buffer.alloc(change.cutTo)
  content.copy(cut)
  return cut
}

/** In place where the content is long enough. */
function patched(content: Buffer, offset: number, data: Buffer): Buffer {
  let longer = content
  if (content.length < offset + data.length) {
    longer = Buffer.alloc(offset + data.length)
    content.copy(longer)
  }
  data.copy(longer, offset)
  return longer
}
