/**
 * What happens when a damaged record is met: it is set aside in a commit of its own (set-aside.ts), and what was asked for is
 * tried again. Where that does not help, the store is given up, which ends the process: nobody stalls in silence.
 */
import { RuntimeError } from '../core/errors.ts'
import type { JobError } from '../core/job.ts'
import { isOfDocument } from '../store/keys.ts'
import { RecordDamaged } from '../store/records.ts'
import type { Store } from '../store/store.ts'
import { dataDamaged, isSetAside } from './set-aside-records.ts'

const triesMax = 3

export class Damage {
  readonly #store: Store
  readonly #repair: () => Promise<unknown>
  #repairing: Promise<unknown> | undefined

  constructor(store: Store, repair: () => Promise<unknown>) {
    this.#store = store
    this.#repair = repair
  }

  /** As {@link Damage.after}. @returns undefined: it is no damage */
  recover<T>(error: Error, run: () => Promise<T>): Promise<T> | undefined {
    return error instanceof RecordDamaged ? this.after(error, run) : undefined
  }

  /**
   * After `run` has failed: runs it again once the damage is set aside.
   *
   * @throws what `run` throws, if it is no damage · RuntimeError `DATA_DAMAGED` of a document, which stays where it is
   */
  async after<T>(error: unknown, run: () => Promise<T>): Promise<T> {
    let reason = error
    for (let tries = 0; tries < triesMax; tries++) {
      if (!(reason instanceof RecordDamaged)) throw reason
      if (this.#isKnownDocument(reason.key)) throw dataDamaged(reason.key, true)
      await this.#setAside()
      try {
        return await run()
      } catch (next) {
        reason = next
      }
    }
    if (reason instanceof RecordDamaged) this.#store.giveUp(reason)
    throw reason
  }

  /** @throws RuntimeError `DATA_DAMAGED` where `look` meets a damaged record, which is set aside then */
  read<T>(look: () => T): T {
    try {
      return look()
    } catch (error) {
      this.found(error)
      throw dataDamaged(error.key, isOfDocument(error.key))
    }
  }

  /** It will be set aside. @throws what is no damage */
  found(error: unknown): asserts error is RecordDamaged {
    if (!(error instanceof RecordDamaged)) throw error
    // Whoever is told of a full or failed disk tries again, or has ended.
    if (!this.#isKnownDocument(error.key)) this.#setAside().catch(() => undefined)
  }

  #isKnownDocument(key: Buffer): boolean {
    if (!isOfDocument(key)) return false
    const value = this.#store.reader.get(key)
    return value !== undefined && isSetAside(this.#store.reader, key, value)
  }

  #setAside(): Promise<unknown> {
    this.#repairing ??= this.#setAsideOnce().finally(() => {
      this.#repairing = undefined
    })
    return this.#repairing
  }

  async #setAsideOnce(): Promise<void> {
    try {
      await this.#repair()
    } catch (error) {
      if (error instanceof RuntimeError && error.code === 'STORAGE_FULL') throw error
      const why = error instanceof Error ? error.message : String(error)
      const failure = new RuntimeError(
        'STORAGE_FAILED',
        `Cannot set aside a damaged record of the store: ${why}. Stop the supervisor and run "runtime verify --repair", or restore a backup.`,
        {},
        { cause: error }
      )
      this.#store.giveUp(failure)
      throw failure
    }
  }
}

/** Of a job whose document cannot be read. */
export function jobErrorOf({ key }: RecordDamaged): JobError {
  return { code: 'RECORD_DAMAGED', name: 'RecordDamaged', message: dataDamaged(key, true).message }
}
