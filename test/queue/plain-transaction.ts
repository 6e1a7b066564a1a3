import type { Scan } from '../../runtime/store/engine.ts'
import type { Transaction } from '../../runtime/store/store.ts'

/** Entries in memory. */
export class PlainTransaction implements Transaction {
  writes = 0
  readonly #entries = new Map<string, Buffer>()

  get(key: Buffer): Buffer | undefined {
    return this.#entries.get(key.toString('hex'))
  }
  has(key: Buffer): boolean {
    return this.#entries.has(key.toString('hex'))
  }
  put(key: Buffer, value: Buffer): void {
    this.writes++
    this.#entries.set(key.toString('hex'), value)
  }
  remove(key: Buffer): void {
    this.writes++
    this.#entries.delete(key.toString('hex'))
  }
  willWrite(): void {}
  entries({ start, end, reverse = false, limit }: Scan): { key: Buffer; value: Buffer }[] {
    const found = [...this.#entries]
      .map(([key, value]) => ({ key: Buffer.from(key, 'hex'), value }))
      .filter(({ key }) => key.compare(start) >= 0 && key.compare(end) < 0)
      .sort((one, other) => one.key.compare(other.key) * (reverse ? -1 : 1))
    return found.slice(0, limit)
  }
  keys(scan: Scan): Buffer[] {
    return this.entries(scan).map(({ key }) => key)
  }
}
