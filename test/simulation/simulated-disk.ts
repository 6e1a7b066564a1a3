/**
 * A disk in memory, and an engine on it for each life of a supervisor. What a transaction wrote is there when it has returned,
 * all of it; when it throws, nothing is. A plan of faults says what goes wrong: a write or a commit is refused because the disk
 * is full, it fails for good, the machine dies before the commit or right behind it, or it takes its time.
 *
 * It is stricter than LMDB where the runtime promises something to it: no write while a reader walks over entries.
 */
import assert from 'node:assert/strict'
import { type Engine, keyBytesMax, type Scan } from '../../runtime/store/engine.ts'

/** What goes wrong with one transaction. */
export type Fault =
  /** `atWrite`: which of its writes is refused, from 0; absent: the commit, after all writes. */
  | { type: 'full'; atWrite?: number }
  /** An input/output error, after which nobody can say what is on the disk: all of it (`isKept`) or nothing. */
  | { type: 'failed'; atWrite?: number; isKept: boolean }
  /** The machine dies; `isKept`: behind the commit, before anyone is told. */
  | { type: 'crash'; isKept: boolean }
  /** Nothing is wrong, but it takes so long. */
  | { type: 'slow'; ms: number }

/** What the disk asks of the machine around it. */
export interface DiskListener {
  /** Asked as each transaction begins, with its number in this life. */
  faultOf(transaction: number): Fault | undefined
  /** The machine has died, or the disk has failed: nothing of this life counts any more. */
  ended(why: 'crash' | 'failed'): void
  pass(ms: number): void
  committed(writes: ReadonlyMap<string, Buffer | undefined>): void
}

class DiskError extends Error {
  readonly code: number

  constructor(message: string, code: number) {
    super(message)
    this.code = code
  }
}

export class SimulatedDisk {
  /** In byte order: a character for each byte. */
  readonly keys: string[] = []
  readonly values = new Map<string, Buffer>()
  bytes = 0

  set(key: string, value: Buffer | undefined): void {
    const before = this.values.get(key)
    if (before !== undefined) this.bytes -= key.length + before.length
    if (value !== undefined) this.bytes += key.length + value.length
    if (value === undefined) {
      if (this.values.delete(key)) this.keys.splice(this.at(key), 1)
      return
    }
    if (before === undefined) this.keys.splice(this.at(key), 0, key)
    this.values.set(key, value)
  }

  /** Where the key is, or would be. */
  at(key: string): number {
    let low = 0
    let high = this.keys.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.keys[middle]! < key) low = middle + 1
      else high = middle
    }
    return low
  }
}

const fullCode = 28
const failedCode = 5

export class SimulatedEngine implements Engine {
  readonly #disk: SimulatedDisk
  readonly #listener: DiskListener
  #state: 'open' | 'writing' | 'dead' = 'open'
  #fault: Fault | undefined
  #writes = 0
  #walks = 0
  transactions = 0
  /** What a transaction has changed: the values before it, and those it leaves. */
  readonly #before = new Map<string, Buffer | undefined>()

  constructor(disk: SimulatedDisk, listener: DiskListener) {
    this.#disk = disk
    this.#listener = listener
  }

  /** The process is gone: nothing that is left of it reaches the disk. */
  die(): void {
    this.#state = 'dead'
  }

  get(key: Buffer): Buffer | undefined {
    return key.length > keyBytesMax ? undefined : this.#disk.values.get(nameOf(key))
  }

  has(key: Buffer): boolean {
    return this.#disk.values.has(nameOf(key))
  }

  *entries(scan: Scan): Iterable<{ key: Buffer; value: Buffer }> {
    for (const name of this.#walk(scan)) yield { key: keyOf(name), value: this.#disk.values.get(name)! }
  }

  *keys(scan: Scan): Iterable<Buffer> {
    for (const name of this.#walk(scan)) yield keyOf(name)
  }

  transact(write: () => void): void {
    if (this.#state === 'dead') throw new DiskError('The machine is dead.', failedCode)
    assert.equal(this.#state, 'open', 'a transaction in a transaction')
    const fault = this.#listener.faultOf(this.transactions++)
    this.#state = 'writing'
    this.#fault = fault
    this.#writes = 0
    this.#before.clear()
    try {
      write()
      // Where nothing was written there is nothing to refuse.
      if (fault?.type === 'full' && this.#writes > 0) throw full()
      if (fault?.type === 'failed' && this.#writes > 0) throw this.#end('failed', fault.isKept)
      if (fault?.type === 'crash') throw this.#end('crash', fault.isKept)
      if (fault?.type === 'slow') this.#listener.pass(fault.ms)
    } catch (error) {
      this.#undo()
      if (this.#stateNow === 'writing') this.#state = 'open'
      throw error
    }
    this.#state = 'open'
    this.#commit()
  }

  put(key: Buffer, value: Buffer): void {
    assert(key.length > 0 && key.length <= keyBytesMax, `a key of ${key.length} bytes`)
    this.#write(nameOf(key), Buffer.from(value))
  }

  remove(key: Buffer): void {
    this.#write(nameOf(key), undefined)
  }

  meaningOf(error: unknown): 'full' | 'failed' | undefined {
    if (!(error instanceof DiskError)) return undefined
    return error.code === fullCode ? 'full' : 'failed'
  }

  size(): { bytes: number; usedBytes: number } {
    return { bytes: this.#disk.bytes, usedBytes: this.#disk.bytes }
  }

  async close(): Promise<void> {
    this.die()
  }

  #write(name: string, value: Buffer | undefined): void {
    assert.equal(this.#state, 'writing', 'a write outside of a transaction')
    assert.equal(this.#walks, 0, 'a write inside a walk over entries')
    const number = this.#writes++
    const fault = this.#fault
    if (fault !== undefined && 'atWrite' in fault && fault.atWrite === number) {
      throw fault.type === 'full' ? full() : this.#end('failed', false)
    }
    if (!this.#before.has(name)) this.#before.set(name, this.#disk.values.get(name))
    this.#disk.set(name, value)
  }

  *#walk({ start, end, reverse = false, limit = Number.POSITIVE_INFINITY }: Scan): Iterable<string> {
    const { keys } = this.#disk
    const [from, to] = [this.#disk.at(nameOf(start)), this.#disk.at(nameOf(end))]
    const count = Math.min(to - from, limit)
    this.#walks++
    try {
      for (let step = 0; step < count; step++) yield keys[reverse ? to - 1 - step : from + step]!
    } finally {
      this.#walks--
    }
  }

  #undo(): void {
    for (const [name, value] of this.#before) this.#disk.set(name, value)
    this.#before.clear()
  }

  #commit(): void {
    const writes = new Map([...this.#before.keys()].map((name) => [name, this.#disk.values.get(name)]))
    this.#before.clear()
    if (writes.size > 0) this.#listener.committed(writes)
  }

  #end(why: 'crash' | 'failed', isKept: boolean): DiskError {
    if (isKept) this.#commit()
    this.die()
    this.#listener.ended(why)
    return new DiskError(why === 'crash' ? 'The machine is dead.' : 'Input/output error', failedCode)
  }

  /** As it is after calls that may have changed it. */
  get #stateNow(): 'open' | 'writing' | 'dead' {
    return this.#state
  }
}

function full(): DiskError {
  return new DiskError('No space left on device', fullCode)
}

function nameOf(key: Buffer): string {
  return key.toString('latin1')
}

function keyOf(name: string): Buffer {
  return Buffer.from(name, 'latin1')
}
