/**
 * What a disk may hold after the power was lost, made from the journal of a process (journal.c).
 *
 * The model, as pessimistic as POSIX allows: what was written and not yet synced is lost, kept, or torn, sector by sector and
 * in any order, whatever the calls' order was. A sync makes what was written to that file before it durable; a write through a
 * descriptor that is opened for it is durable when it returns. A name that was made, moved or removed is durable once its
 * folder was synced; of those that were not, the first few in their order are kept. The call under way at the loss may have
 * done all, nothing or a part.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

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

/** A folder, whatever its name is. */
interface Folder {
  /** As the process sees it. */
  entries: Map<string, DiskFile | Folder>
  durable: Map<string, DiskFile | Folder>
  /** In the order of the calls. */
  changes: EntryChange[]
}

interface EntryChange {
  name: string
  /** null: removed. */
  node: DiskFile | Folder | null
}

/** The files of a disk while records are played back: what is durable, and what is not yet. */
export class Disk {
  readonly #root = emptyFolder()
  readonly #ignoresSyncs: boolean

  /** @param ignoresSyncs a disk that says it has synced and has not */
  constructor({ ignoresSyncs = false } = {}) {
    this.#ignoresSyncs = ignoresSyncs
  }

  apply({ kind, path, other, offset, data }: JournalRecord): void {
    switch (kind) {
      case 'create':
        this.#enter(path, { durable: Buffer.alloc(0), pending: [] })
        break
      case 'makeFolder':
        this.#enter(path, emptyFolder())
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
        if (!this.#ignoresSyncs) sync(this.#at(path))
        break
      case 'rename':
        this.#enter(other, this.#at(path)!)
        this.#enter(path, null)
        break
      case 'link':
        this.#enter(other, this.#at(path)!)
        break
      case 'unlink':
        this.#enter(path, null)
    }
  }

  /**
   * Writes what the disk may hold if the power is lost while `last` is under way.
   *
   * @param random decides what is kept of contents @param ofNames and of names; default: the same
   */
  writeImage(folder: string, last: JournalRecord | undefined, random: () => number, ofNames = random): void {
    const isWritten = last?.kind === 'write' || last?.kind === 'durableWrite'
    const underWay = isWritten ? { file: this.#file(last.path), change: last } : undefined
    const write = (to: string, { durable, changes }: Folder) => {
      mkdirSync(to, { recursive: true })
      const kept = new Map(durable)
      for (const change of changes.slice(0, Math.floor(ofNames() * (changes.length + 1)))) setEntry(kept, change)
      for (const [name, node] of [...kept].sort(([one], [two]) => (one < two ? -1 : 1))) {
        const path = join(to, name)
        if (isFolder(node)) write(path, node)
        else {
          const pending = underWay?.file === node ? [...node.pending, underWay.change] : node.pending
          writeFileSync(path, contentAfterLoss(node, pending, random))
        }
      }
    }
    write(folder, this.#root)
  }

  #at(path: string): DiskFile | Folder | undefined {
    let node: DiskFile | Folder | undefined = this.#root
    for (const name of path.split('/').slice(1)) node = isFolder(node) ? node.entries.get(name) : undefined
    return node
  }

  #file(path: string): DiskFile | undefined {
    const node = this.#at(path)
    return isFolder(node) ? undefined : node
  }

  #enter(path: string, node: DiskFile | Folder | null): void {
    const folder = this.#at(dirname(path) === '/' ? '' : dirname(path)) as Folder
    const change = { name: basename(path), node }
    setEntry(folder.entries, change)
    folder.changes.push(change)
  }
}

function emptyFolder(): Folder {
  return { entries: new Map(), durable: new Map(), changes: [] }
}

function isFolder(node: DiskFile | Folder | undefined): node is Folder {
  return node !== undefined && 'entries' in node
}

function setEntry(entries: Map<string, DiskFile | Folder>, { name, node }: EntryChange): void {
  if (node === null) entries.delete(name)
  else entries.set(name, node)
}

function sync(node: DiskFile | Folder | undefined): void {
  if (isFolder(node)) for (const change of node.changes.splice(0)) setEntry(node.durable, change)
  else if (node !== undefined) {
    for (const change of node.pending.splice(0)) node.durable = changed(node.durable, change)
  }
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
