/**
 * The file of LMDB, read page by page without LMDB, which trusts every number in it and ends its process on a wrong one. The walk
 * asks of each number what LMDB takes for granted: so a file that passes can be opened.
 *
 * ```
 *  page          number:8 transaction:8 pad:2 flags:2 (lower:2 upper:2 | pages:4), then what it holds; numbers are little-endian
 *  meta          pages 0 and 1, of the even and the odd transactions: magic, version, the roots of both trees, the last page
 *  branch, leaf  offsets of nodes:2 each, in the order of their keys; the nodes fill the page from its end
 *  node          low:4 flags:2 key length:2 key value; in a branch low and flags are the page below, in a leaf low is the
 *                length of the value, which on flag 1 is elsewhere: page:8 transaction:8 pages:8
 *  overflow      one value over several pages in a row
 * ```
 *
 * The main tree holds the entries of the store. The free tree holds, by transaction, lists of pages that nobody uses: a page
 * that is in use and in such a list would be written over.
 */
import { fstatSync, readSync } from 'node:fs'

/** What is wrong with the structure of a file: no entry can be trusted to be there. */
export class StructureDamaged extends Error {
  override readonly name = 'StructureDamaged'
}

interface Tree {
  depth: number
  branchPages: number
  leafPages: number
  overflowPages: number
  entries: number
  root: number
}

/** The file as of its last commit. */
export interface PageSnapshot {
  pageBytes: number
  lastPage: number
  transaction: number
  free: Tree
  main: Tree
}

/** Called for each entry of the store, in order. @returns false to stop */
export type EntryVisitor = (key: Buffer, value: Buffer) => boolean

const magic = 0xbeefc0de
const dataVersion = 2
/** Offsets in a meta page. */
const metaAt = { magic: 24, version: 28, address: 32, free: 48, main: 96, lastPage: 144, transaction: 152, end: 168 }
const headBytes = 24
const nodeHeadBytes = 8
const flag = { branch: 0x01, leaf: 0x02, overflow: 0x04, meta: 0x08 }
const valueElsewhere = 0x01
/** Of where such a value is. */
const largeBytes = 24
const freeTreeFlags = 0x08
const pageBytesMin = 512
const pageBytesMax = 65_536
const depthMax = 32
const none = 2n ** 64n - 1n

/**
 * Reads the two meta pages.
 *
 * @throws StructureDamaged no LMDB file of this version, one of the two is not sound, or pages are missing at the end
 */
export function readPageSnapshot(descriptor: number): PageSnapshot {
  if (fstatSync(descriptor).size === 0) throw new StructureDamaged('is empty')
  const newest = readNewest(descriptor, readsMax)
  // Asked for after the header was read: an owner that this start does not know of yet may be appending.
  const fileBytes = fstatSync(descriptor).size
  const neededBytes = (newest.lastPage + 1) * newest.pageBytes
  if (fileBytes < neededBytes) throw new StructureDamaged(`is cut off: ${fileBytes} bytes of ${neededBytes}`)
  return newest
}

/** An owner may be writing one of the two while they are read. */
const readsMax = 20

function readNewest(descriptor: number, readsLeft: number): PageSnapshot {
  const first = readMeta(descriptor, 0, 0)
  const second = first === undefined ? undefined : readMeta(descriptor, first.pageBytes, 1)
  // With one of the two LMDB would go back to the commit before the last, or crash.
  if (first === undefined || second === undefined || first.pageBytes !== second.pageBytes) {
    throw new StructureDamaged('has no valid header')
  }
  const newest = first.transaction > second.transaction ? first : second
  const older = newest === first ? second : first
  const isFresh = newest.transaction <= 1 && older.transaction === 0
  const areNeighbours = newest.transaction === older.transaction + 1 && first.transaction % 2 === 0
  if (isFresh || areNeighbours) return newest
  if (readsLeft > 0) return readNewest(descriptor, readsLeft - 1)
  throw new StructureDamaged('has a header whose two halves do not belong together')
}

function readMeta(descriptor: number, position: number, number: number): PageSnapshot | undefined {
  const page = Buffer.alloc(metaAt.end)
  if (readSync(descriptor, page, 0, metaAt.end, position) < metaAt.end) return undefined
  if (page.readUInt32LE(metaAt.magic) !== magic) return undefined
  const version = page.readUInt32LE(metaAt.version)
  if (version !== dataVersion) {
    throw new StructureDamaged(
      `has no valid header: version ${version} of LMDB's format, where ${dataVersion} is known`
    )
  }
  const pageBytes = page.readUInt32LE(metaAt.free)
  const isPowerOfTwo = (pageBytes & (pageBytes - 1)) === 0
  if (pageBytes < pageBytesMin || pageBytes > pageBytesMax || !isPowerOfTwo) return undefined
  const isMeta = numberAt(page, 0) === number && page.readUInt16LE(18) === flag.meta
  const hasFlags = page.readUInt16LE(metaAt.free + 4) === freeTreeFlags && page.readUInt16LE(metaAt.main + 4) === 0
  if (!isMeta || !hasFlags || numberAt(page, metaAt.address) !== 0) return undefined
  return {
    pageBytes,
    lastPage: numberAt(page, metaAt.lastPage),
    transaction: numberAt(page, metaAt.transaction),
    free: readTree(page, metaAt.free),
    main: readTree(page, metaAt.main)
  }
}

function readTree(page: Buffer, at: number): Tree {
  return {
    depth: page.readUInt16LE(at + 6),
    branchPages: numberAt(page, at + 8),
    leafPages: numberAt(page, at + 16),
    overflowPages: numberAt(page, at + 24),
    entries: numberAt(page, at + 32),
    // -1 where the tree is empty.
    root: page.readBigUInt64LE(at + 40) === none ? -1 : numberAt(page, at + 40)
  }
}

/** Larger ones than a number can hold are wrong wherever they stand. */
function numberAt(page: Buffer, at: number): number {
  return Number(page.readBigUInt64LE(at))
}

/**
 * Walks through both trees of a snapshot that nobody changes meanwhile.
 *
 * @param isOver asked once for each page; true ends the walk before its end
 * @returns whether it came to the end; only then pages are known to be used once
 * @throws StructureDamaged
 */
export function walkPages(
  descriptor: number,
  snapshot: PageSnapshot,
  visit: EntryVisitor,
  isOver: () => boolean = () => false
): boolean {
  const walk = new PageWalk(descriptor, snapshot, isOver)
  return walk.free() && walk.main(visit)
}

interface Counted {
  branchPages: number
  leafPages: number
  overflowPages: number
  entries: number
}

type Compare = (one: Buffer, other: Buffer) => number

class PageWalk {
  readonly #descriptor: number
  readonly #snapshot: PageSnapshot
  readonly #isOver: () => boolean
  /** By page: 1 in a tree, 2 in a list of free pages. */
  readonly #use: Uint8Array
  /** One buffer for each level, since a branch is gone on with after what is below it. */
  readonly #pages: Buffer[] = []

  constructor(descriptor: number, snapshot: PageSnapshot, isOver: () => boolean) {
    this.#descriptor = descriptor
    this.#snapshot = snapshot
    this.#isOver = isOver
    // The file was long enough for so many.
    this.#use = new Uint8Array(snapshot.lastPage + 1)
    this.#use.fill(1, 0, 2)
  }

  free(): boolean {
    return this.#tree('free', this.#snapshot.free, byTransaction, (key, value) => {
      this.#freeList(key, value)
      return true
    })
  }

  main(visit: EntryVisitor): boolean {
    return this.#tree('main', this.#snapshot.main, Buffer.compare, visit)
  }

  #tree(name: string, tree: Tree, compare: Compare, visit: EntryVisitor): boolean {
    const counted: Counted = { branchPages: 0, leafPages: 0, overflowPages: 0, entries: 0 }
    if (tree.root !== -1) {
      if (tree.depth < 1 || tree.depth > depthMax)
        throw new StructureDamaged(`has a ${name} tree of depth ${tree.depth}`)
      if (!this.#node({ tree, counted, compare, visit }, tree.root, 1, undefined, undefined)) return false
    }
    for (const what of Object.keys(counted) as (keyof Counted)[]) {
      if (counted[what] === tree[what]) continue
      throw new StructureDamaged(`has a ${name} tree with ${counted[what]} ${what} instead of ${tree[what]}`)
    }
    return true
  }

  /** @param from the keys of the page are not before it @param to but before it */
  #node(walk: Walk, number: number, level: number, from: Buffer | undefined, to: Buffer | undefined): boolean {
    if (this.#isOver()) return false
    const { tree, counted, compare } = walk
    const { pageBytes, transaction } = this.#snapshot
    const isLeaf = level === tree.depth
    const page = this.#read(number, level)
    const count = page.readUInt16LE(20) >> 1
    const upper = page.readUInt16LE(22)
    const damaged = (what: string) => new StructureDamaged(`has a page ${number} ${what}`)
    if (page.readUInt16LE(18) !== (isLeaf ? flag.leaf : flag.branch))
      throw damaged('of another kind than its tree says')
    if (numberAt(page, 8) > transaction) throw damaged('from a commit that never was')
    const offsetsEnd = 2 * count
    const roomBytes = pageBytes - headBytes
    if (page.readUInt16LE(20) % 2 !== 0 || upper < offsetsEnd || upper > roomBytes || count === 0) {
      throw damaged('with impossible bounds')
    }
    if (!isLeaf && count < 2) throw damaged('that leads nowhere')
    counted[isLeaf ? 'leafPages' : 'branchPages']++
    let before = from
    let nodesBytes = 0
    for (let at = 0; at < count; at++) {
      const start = page.readUInt16LE(headBytes + 2 * at)
      if (start < upper || start + nodeHeadBytes > roomBytes || start % 2 !== 0)
        throw damaged('with a node out of bounds')
      const node = headBytes + start
      const low = page.readUInt32LE(node)
      const flags = page.readUInt16LE(node + 4)
      const keyEnd = node + nodeHeadBytes + page.readUInt16LE(node + 6)
      if (keyEnd > pageBytes) throw damaged('with a key out of bounds')
      // A branch takes whatever is smaller than its second key to its first page.
      const isOpen = !isLeaf && at === 0
      const key = isOpen ? from : page.subarray(node + nodeHeadBytes, keyEnd)
      if (
        !isOpen &&
        (key!.length === 0 || (before !== undefined && compare(before, key!) > (isLeaf && at === 0 ? 0 : -1)))
      ) {
        throw damaged('whose keys are out of order')
      }
      if (!isOpen && to !== undefined && compare(key!, to) >= 0) throw damaged('with a key of another page')
      before = key
      const valueBytes = isLeaf ? (flags === 0 ? low : largeBytes) : 0
      // Each begins at an even offset.
      nodesBytes += (keyEnd + valueBytes - node + 1) & ~1
      if (isLeaf) {
        counted.entries++
        const value = this.#value(page, keyEnd, low, flags, counted, damaged)
        if (!walk.visit(key!, value)) return false
      } else {
        const below = low + flags * 2 ** 32
        const next = at + 1 < count ? this.#keyOf(page, at + 1, roomBytes, damaged) : to
        if (!this.#node(walk, below, level + 1, key, next)) return false
      }
    }
    if (nodesBytes !== roomBytes - upper) throw damaged('whose nodes leave gaps or lie in each other')
    return true
  }

  #keyOf(page: Buffer, at: number, roomBytes: number, damaged: (what: string) => Error): Buffer {
    const start = page.readUInt16LE(headBytes + 2 * at)
    if (start + nodeHeadBytes > roomBytes) throw damaged('with a node out of bounds')
    const key = headBytes + start + nodeHeadBytes
    return page.subarray(key, key + page.readUInt16LE(headBytes + start + 6))
  }

  #value(
    page: Buffer,
    at: number,
    bytes: number,
    flags: number,
    counted: Counted,
    damaged: (what: string) => Error
  ): Buffer {
    if (flags === 0) {
      if (at + bytes > page.length) throw damaged('with a value out of bounds')
      return page.subarray(at, at + bytes)
    }
    if (flags !== valueElsewhere || at + largeBytes > page.length) throw damaged('with a value of an unknown kind')
    const first = numberAt(page, at)
    const pages = numberAt(page, at + 16)
    const { pageBytes, lastPage } = this.#snapshot
    const isInFile = first >= 2 && pages >= 1 && pages <= lastPage && first + pages - 1 <= lastPage
    if (!isInFile || headBytes + bytes > pages * pageBytes) throw damaged('with a large value out of bounds')
    const large = Buffer.allocUnsafe(headBytes + bytes)
    readSync(this.#descriptor, large, 0, large.length, first * pageBytes)
    const isOverflow = numberAt(large, 0) === first && large.readUInt16LE(18) === flag.overflow
    if (!isOverflow || large.readUInt32LE(20) !== pages) throw damaged('whose large value is not where it says')
    for (let number = first; number < first + pages; number++) this.#takeInto(number, 1)
    counted.overflowPages += pages
    return large.subarray(headBytes)
  }

  #read(number: number, level: number): Buffer {
    this.#takeInto(number, 1)
    const { pageBytes } = this.#snapshot
    this.#pages[level] ??= Buffer.allocUnsafe(pageBytes)
    const page = this.#pages[level]!
    readSync(this.#descriptor, page, 0, pageBytes, number * pageBytes)
    if (numberAt(page, 0) !== number) throw new StructureDamaged(`has another page in the place of page ${number}`)
    return page
  }

  /** A count, then numbers of pages; `-n` and a page stand for `n` pages from that on, 0 for nothing. */
  #freeList(key: Buffer, list: Buffer): void {
    const damaged = () => new StructureDamaged('has a damaged list of free pages')
    if (key.length !== 8 || list.length < 8 || list.length % 8 !== 0) throw damaged()
    if (numberAt(key, 0) > this.#snapshot.transaction) throw damaged()
    const end = 8 * (numberAt(list, 0) + 1)
    if (end > list.length) throw damaged()
    for (let at = 8; at < end; at += 8) {
      const entry = list.readBigInt64LE(at)
      if (entry === 0n) continue
      const pages = entry < 0n ? Number(-entry) : 1
      if (entry < 0n) at += 8
      if (at >= end) throw damaged()
      const first = numberAt(list, at)
      if (first < 2 || pages > this.#snapshot.lastPage || first + pages - 1 > this.#snapshot.lastPage) throw damaged()
      for (let number = first; number < first + pages; number++) this.#takeInto(number, 2)
    }
  }

  #takeInto(number: number, use: 1 | 2): void {
    if (!(number >= 2 && number <= this.#snapshot.lastPage)) throw new StructureDamaged(`leads to a page ${number}`)
    const before = this.#use[number]
    if (before !== 0) {
      throw new StructureDamaged(
        before === 1 && use === 1
          ? `uses page ${number} twice`
          : `has page ${number} among its free pages although it is used`
      )
    }
    this.#use[number] = use
  }
}

interface Walk {
  tree: Tree
  counted: Counted
  compare: Compare
  visit: EntryVisitor
}

function byTransaction(one: Buffer, other: Buffer): number {
  if (one.length !== 8 || other.length !== 8) throw new StructureDamaged('has a damaged list of free pages')
  return numberAt(one, 0) - numberAt(other, 0)
}
