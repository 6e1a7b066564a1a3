/** The size of the store over time: a sample about once an hour, taken by a commit that happens anyway. */
import type { StoreGrowth } from '../core/api.ts'
import { metaKey } from '../store/keys.ts'
import { type GrowthRecord, growthCodec } from '../store/records.ts'
import type { Reader, Transaction } from '../store/store.ts'

const intervalMs = 3600 * 1000
const samplesMax = 48
const key = metaKey('growth')

export class Growth {
  readonly #usedBytes: () => number
  #nextAtMs = 0

  constructor(usedBytes: () => number) {
    this.#usedBytes = usedBytes
  }

  sample(transaction: Transaction, nowMs: number): void {
    if (nowMs < this.#nextAtMs) return
    const samples = read(transaction)
    const lastAtMs = samples.at(-1)?.[0] ?? Number.NEGATIVE_INFINITY
    // A clock that was set back begins anew.
    const isDue = nowMs >= lastAtMs + intervalMs || nowMs < lastAtMs
    this.#nextAtMs = (isDue ? nowMs : lastAtMs) + intervalMs
    if (!isDue) return
    const kept = nowMs < lastAtMs ? [] : samples
    transaction.put(
      key,
      growthCodec.encode(key, [...kept, [nowMs, this.#usedBytes()] as const].slice(-samplesMax) as GrowthRecord)
    )
  }

  list(reader: Reader): StoreGrowth {
    return read(reader).map(([atMs, usedBytes]) => ({ atMs, usedBytes }))
  }
}

function read(reader: Reader): GrowthRecord {
  const value = reader.get(key)
  return value === undefined ? [] : growthCodec.decode(key, value)
}
