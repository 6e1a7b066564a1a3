/**
 * A durable group commit over an engine: in a process that serves, LMDB.
 *
 * Operations that are asked for in one turn of the event loop share one synchronous transaction of the engine:
 *
 *  1. `transact` puts the operation into a list and arms one `setImmediate`.
 *  2. The flush runs the operations in order, in one transaction. LMDB writes the pages, calls fdatasync, writes the meta page.
 *  3. Only then are the after-commit actions run and the promises resolved: **resolved means on disk**.
 *
 * An operation looks first and writes last: it may throw (a RuntimeError for bad input) only before its first write. One
 * that throws after a write, or that the disk refuses, takes the whole transaction down with it; the operations are then run
 * again one transaction and one turn each, so that the others succeed and exactly the offender is refused.
 */
import { RuntimeError } from '../core/errors.ts'
import { failPoint } from '../core/fail-points.ts'
import { commitBytesMax, commitOperationsMax } from '../core/limits.ts'
import type { Engine, Reader, Scan } from './engine.ts'
import { LmdbEngine } from './lmdb-engine.ts'

export { keyBytesMax, type Reader } from './engine.ts'

export interface Transaction extends Reader {
  put(key: Buffer, value: Buffer): void
  remove(key: Buffer): void
  /** Something will be written before the commit: as after a write, the operation must not throw any more. */
  willWrite(): void
}

/**
 * State that lives as long as one commit and is shared by its operations, such as counts that many of them change: it is
 * made by the first operation that asks, written once by `beforeCommit`, and told by `afterCommit` that it is on disk.
 */
export interface CommitState {
  beforeCommit(): void
  afterCommit(): void
}

export interface TransactOptions<T> {
  /** Shares its commit with no other. */
  alone?: boolean
  /** @returns undefined: there is nothing to be done */
  recover?: (error: Error) => Promise<T> | undefined
}

interface PendingOperation {
  run: (transaction: OpenTransaction) => unknown
  /** Shares its commit with no other. */
  alone: boolean
  resolve: (value: never) => void
  reject: (error: Error) => void
}

export class Store {
  readonly path: string
  readonly #engine: Engine
  #pending: PendingOperation[] = []
  #armed = false
  #closing: Promise<void> | undefined
  #failure: RuntimeError | undefined
  #full = false
  #hasRefusedToGrow = false
  #fail!: (error: Error) => void

  /** Resolves with the reason when the disk failed in a way that cannot be lived with; the process must end then. */
  readonly failed: Promise<Error> = new Promise((resolve) => {
    this.#fail = resolve
  })

  /**
   * @param path folder of the engine's files, created if missing; `data-directory.ts` has checked that it may be opened
   * @param engine for tests; default: LMDB
   */
  constructor(path: string, engine: Engine = new LmdbEngine(path)) {
    this.path = path
    this.#engine = engine
  }

  /**
   * Runs `operation` in the next commit, together with the others of this turn. Whatever it wrote is flushed to disk when
   * the promise resolves with what it returned.
   *
   * @param operation synchronous; throws only before its first write
   * @param how `alone`: in a commit of its own · `recover`: asked where it is refused; what it returns takes its place
   * @throws RuntimeError `STORAGE_FULL`: nothing of it was written · `STORAGE_FAILED`: the store is closed for good
   */
  transact<T>(
    operation: (transaction: Transaction, state: CommitStates) => T,
    { alone = false, recover }: TransactOptions<T> = {}
  ): Promise<T> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    return new Promise<T>((resolve, reject) => {
      const run = (transaction: OpenTransaction) => operation(transaction, transaction.states)
      const refuse = (error: Error) => {
        const again = recover?.(error)
        if (again === undefined) reject(error)
        else again.then(resolve, reject)
      }
      this.#pending.push({ run, alone, resolve, reject: recover === undefined ? reject : refuse })
      this.#arm()
    })
  }

  /** What is stored cannot be worked with: nothing is accepted from now on, and {@link Store.failed} tells. */
  giveUp(failure: RuntimeError): void {
    if (this.#failure !== undefined) return
    this.#failure = failure
    for (const operation of this.#pending.splice(0)) operation.reject(failure)
    this.#fail(failure)
  }

  /** Looks at the last commit. The result must be taken before the next turn of the event loop. */
  get reader(): Reader {
    return this.#engine
  }

  /** The disk refused a write, and there is no more room since; the next one is tried all the same. */
  get full(): boolean {
    return this.#full || (this.#hasRefusedToGrow && this.#engine.isScarce === true)
  }

  /**
   * Refuses what makes the store larger while the disk has room only for other changes. Inside of an operation only.
   *
   * @throws RuntimeError `STORAGE_FULL`
   */
  checkRoomToGrow(): void {
    if (this.#engine.hasRoomToGrow?.() !== false) return
    this.#hasRefusedToGrow = true
    throw storageFull(this.path)
  }

  /** Bytes of the file, which never shrinks. */
  get bytes(): number {
    return this.#engine.size().bytes
  }

  /** Bytes of the pages that hold something; the others are used again before the file grows. */
  get usedBytes(): number {
    return this.#engine.size().usedBytes
  }

  /** Commits what is pending, within this turn, and closes; nothing is accepted from then on. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    while (this.#pending.length > 0) this.#flush()
    this.#failure ??= new RuntimeError('STORAGE_FAILED', 'The store is closed.')
    await this.#engine.close()
  }

  #arm(): void {
    if (this.#armed) return
    this.#armed = true
    setImmediate(() => {
      this.#armed = false
      this.#flush()
      if (this.#pending.length > 0) this.#arm()
    })
  }

  #flush(): void {
    if (this.#pending.length === 0) return
    const { batch, error, hasRun } = this.#commit(this.#pending)
    if (error === undefined) return
    if (batch.length <= 1) {
      // None was taken where LMDB does not begin a transaction, as after an error that it takes for fatal.
      this.#refuse(batch[0] ?? this.#pending.shift()!, error)
      return
    }
    if (hasRun && this.#engine.meaningOf(error) === 'failed') {
      // A disk that has failed once is not tried again: what it says then is not to be trusted.
      for (const operation of batch) this.#refuse(operation, this.#failure ?? error)
      return
    }
    // A turn each: whoever is told of one acts upon it before the next is committed, as if they had come one after the other.
    this.#pending.unshift(...batch.map((operation) => ({ ...operation, alone: true })))
  }

  /**
   * One transaction over as many of `operations` as one commit may hold; takes them out of the list.
   *
   * @returns `hasRun`: all of them had run, and it is the commit that failed
   */
  #commit(operations: PendingOperation[]): { batch: readonly PendingOperation[]; error?: unknown; hasRun: boolean } {
    const transaction = new OpenTransaction(this.#engine)
    const settlements: (() => void)[] = []
    let taken = 0
    let hasRun = false
    try {
      this.#engine.transact(() => {
        while (taken < operations.length && taken < commitOperationsMax && transaction.bytes < commitBytesMax) {
          const operation = operations[taken]!
          if (operation.alone && taken > 0) break
          taken++
          settlements.push(runOne(operation, transaction))
          if (operation.alone) break
        }
        transaction.states.beforeCommit()
        failPoint('commit.ran')
        hasRun = true
      })
    } catch (error) {
      return { batch: operations.splice(0, taken), error, hasRun }
    }
    // Taken out before anyone is told: whatever those do, an operation is never committed twice.
    const batch = operations.splice(0, taken)
    if (transaction.writes > 0) this.#full = false
    failPoint('commit.flushed')
    try {
      transaction.states.afterCommit()
    } catch (defect) {
      // What is on disk is acknowledged all the same; the defect ends the process like any uncaught error.
      queueMicrotask(() => {
        throw defect
      })
    }
    for (const settle of settlements) settle()
    failPoint('commit.told')
    return { batch, hasRun }
  }

  #refuse(operation: PendingOperation, error: unknown): void {
    operation.reject(this.#refusal(error))
    if (this.#failure === undefined) return
    for (const other of this.#pending.splice(0)) other.reject(this.#failure)
  }

  /** What the caller of a refused operation is told. */
  #refusal(error: unknown): Error {
    // A defect of ours in one operation: its caller learns of it, the others are not touched.
    const meaning = error instanceof RuntimeError ? undefined : this.#engine.meaningOf(error)
    if (meaning === undefined) return error as Error
    if (meaning === 'full') {
      this.#full = true
      return storageFull(this.path, error)
    }
    this.#failure = new RuntimeError(
      'STORAGE_FAILED',
      `Cannot store: the disk of ${this.path} failed (${(error as Error).message}). Nothing is acknowledged any more; the supervisor must be restarted.`,
      {},
      { cause: error }
    )
    this.#fail(this.#failure)
    return this.#failure
  }
}

function storageFull(path: string, cause?: unknown): RuntimeError {
  return new RuntimeError(
    'STORAGE_FULL',
    `Cannot store: the disk of ${path} is full. Nothing of the request was stored. Free some space; the next request is tried again.`,
    {},
    cause === undefined ? undefined : { cause }
  )
}

/** @returns what to do with the operation's promise once the commit is on disk. */
function runOne(operation: PendingOperation, transaction: OpenTransaction): () => void {
  const writesBefore = transaction.writes
  try {
    const value = operation.run(transaction)
    // It would be acknowledged before it has written.
    if (value instanceof Promise) throw new TypeError('An operation of the store must be synchronous.')
    return () => operation.resolve(value as never)
  } catch (error) {
    if (transaction.writes !== writesBefore || !(error instanceof RuntimeError)) throw error
    return () => operation.reject(error)
  }
}

/** The {@link CommitState}s of one commit, by the object that owns them. */
export class CommitStates {
  readonly #states = new Map<object, CommitState>()

  of<S extends CommitState>(owner: object, create: () => S): S {
    let state = this.#states.get(owner)
    if (state === undefined) {
      state = create()
      this.#states.set(owner, state)
    }
    return state as S
  }

  beforeCommit(): void {
    for (const state of this.#states.values()) state.beforeCommit()
  }

  afterCommit(): void {
    for (const state of this.#states.values()) state.afterCommit()
  }
}

class OpenTransaction implements Transaction {
  readonly states = new CommitStates()
  writes = 0
  bytes = 0
  readonly #engine: Engine

  constructor(engine: Engine) {
    this.#engine = engine
  }

  get(key: Buffer): Buffer | undefined {
    return this.#engine.get(key)
  }

  has(key: Buffer): boolean {
    return this.#engine.has(key)
  }

  entries(scan: Scan): Iterable<{ key: Buffer; value: Buffer }> {
    return this.#engine.entries(scan)
  }

  keys(scan: Scan): Iterable<Buffer> {
    return this.#engine.keys(scan)
  }

  put(key: Buffer, value: Buffer): void {
    this.writes++
    this.bytes += key.length + value.length
    this.#engine.put(key, value)
  }

  remove(key: Buffer): void {
    this.writes++
    this.bytes += key.length
    this.#engine.remove(key)
  }

  willWrite(): void {
    this.writes++
  }
}
