/**
 * What a {@link Store} asks of a key-value engine. `lmdb-engine.ts` is the one outside tests; the simulation has one that
 * crashes, fills up and fails where it says.
 */
import type { KeyRange } from './keys.ts'

/** Nothing is stored under a longer key. */
export const keyBytesMax = 1978

export interface Scan extends KeyRange {
  /** From the end towards the start. Default false. */
  reverse?: boolean
  limit?: number
}

export interface Reader {
  get(key: Buffer): Buffer | undefined
  has(key: Buffer): boolean
  /** Entries in key order. A transaction must not write inside the loop. */
  entries(scan: Scan): Iterable<{ key: Buffer; value: Buffer }>
  keys(scan: Scan): Iterable<Buffer>
}

export interface Engine extends Reader {
  /**
   * What `write` puts and removes is on disk, all of it, when this returns, and seen by readers from then on; or nothing of
   * it, when this throws.
   */
  transact(write: () => void): void
  /** Inside of `transact` only; seen there at once. */
  put(key: Buffer, value: Buffer): void
  remove(key: Buffer): void
  /** What an error that `transact` threw means; undefined: it is not the engine's. */
  meaningOf(error: unknown): 'full' | 'failed' | undefined
  /** The disk had too little room at the last transaction. None: that never is so. */
  readonly isScarce?: boolean
  /** Whether there is room for more than the changes that make room. Inside of `transact` only. None: always. */
  hasRoomToGrow?(): boolean
  /** Of the file, which never shrinks; and of its pages that hold something. */
  size(): { bytes: number; usedBytes: number }
  close(): Promise<void>
}
