/** Queue names and the numbers that stand for them in keys. A name keeps its number for the life of the store. */
import type { QueueConfig } from '../core/config.ts'
import { RuntimeError } from '../core/errors.ts'
import { numberOfQueueKey, queueKey, queueRange } from '../store/keys.ts'
import { type Counters, type QueueRecord, queueCodec } from '../store/records.ts'
import type { Reader, Transaction } from '../store/store.ts'

export class QueueRegistry {
  readonly #numbers = new Map<string, number>()
  readonly #names = new Map<number, string>()

  /** Reads the queues of the store; those that the configuration adds get a number in this transaction. */
  open(transaction: Transaction, counters: Counters, configured: ReadonlyMap<string, QueueConfig>): void {
    for (const { key, value } of transaction.entries(queueRange)) {
      this.#learn(numberOfQueueKey(key), queueCodec.decode(key, value).name)
    }
    for (const name of configured.keys()) {
      if (this.#numbers.has(name)) continue
      const number = counters.nextQueue++
      transaction.put(
        queueKey(number),
        queueCodec.encode(queueKey(number), { name, paused: false, pausedUntilMs: null })
      )
      this.#learn(number, name)
    }
  }

  /** For a queue whose record is lost: its name as far as it is known, or follows from what is configured. */
  restoredName(number: number, configured: ReadonlyMap<string, QueueConfig>): string {
    const known = this.#names.get(number)
    if (known !== undefined) return known
    const missing = [...configured.keys()].filter((name) => !this.#numbers.has(name))
    const name = missing.length === 1 ? missing[0]! : `queue-${number}`
    this.#learn(number, name)
    return name
  }

  get names(): IterableIterator<string> {
    return this.#numbers.keys()
  }

  get numbers(): number[] {
    return [...this.#names.keys()]
  }

  nameOf(number: number): string {
    return this.#names.get(number)!
  }

  numberOf(name: string): number | undefined {
    return this.#numbers.get(name)
  }

  /** @throws RuntimeError `QUEUE_UNKNOWN` */
  require(name: string, attempted: string): number {
    const number = this.#numbers.get(name)
    if (number !== undefined) return number
    throw new RuntimeError(
      'QUEUE_UNKNOWN',
      `Cannot ${attempted} queue "${name}": there is no such queue. Queues: ${[...this.names].join(', ')}.`,
      { queue: name }
    )
  }

  record(reader: Reader, number: number): QueueRecord {
    return queueCodec.decode(queueKey(number), reader.get(queueKey(number))!)
  }

  write(transaction: Transaction, number: number, record: QueueRecord): void {
    transaction.put(queueKey(number), queueCodec.encode(queueKey(number), record))
  }

  #learn(number: number, name: string): void {
    this.#numbers.set(name, number)
    this.#names.set(number, name)
  }
}

export function isPaused({ paused, pausedUntilMs }: QueueRecord, nowMs: number): boolean {
  return paused && (pausedUntilMs === null || pausedUntilMs > nowMs)
}
