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
  #lastAtMs = Number.POSITIVE_INFINITY

  constructor(usedBytes: () => number) {
    this.#usedBytes = usedBytes
  }

  sample(transaction: Transaction, nowMs: number): void {
    if (nowMs >= this.#lastAtMs && nowMs < this.#lastAtMs + intervalMs) return
    const samples = read(transaction)
    // What lies in the future was taken before the clock was set back.
    const past = samples.filter(([atMs]) => atMs <= nowMs)
    const lastAtMs = past.at(-1)?.[0] ?? Number.NEGATIVE_INFINITY
    const isDue = past.length < samples.length || nowMs >= lastAtMs + intervalMs
    this.#lastAtMs = isDue ? nowMs : lastAtMs
    if (!isDue) return
    const kept: GrowthRecord = [...past, [nowMs, this.#usedBytes()]]
    transaction.put(key, growthCodec.encode(key, kept.slice(-samplesMax)))
  }

  list(reader: Reader): StoreGrowth {
    return read(reader).map(([atMs, usedBytes]) => ({ atMs, usedBytes }))
  }
}

function read(reader: Reader): GrowthRecord {
  const value = reader.get(key)
  return value === undefined ? [] : growthCodec.decode(key, value)
}
