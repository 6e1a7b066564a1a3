/**
 * `runtime.transaction`: the callback collects, then one call commits. What it has read of a document that it also writes is a
 * condition on that call; where it does not hold any more, the callback runs again.
 */
import { setTimeout } from 'node:timers/promises'
import type { DocumentView } from '../core/document.ts'
import { RuntimeError } from '../core/errors.ts'
import type { Json } from '../core/job.ts'
import type { ActorClass } from '../core/method-types.ts'
import type { TransactionOperation, TransactionOptions, TransactionScope } from '../core/transaction.ts'
import { asJson, OperationCollector, type PathOf } from './operations.ts'
import type { Transport } from './transport.ts'

const attemptsDefault = 10
/** Those who want the same document wait for different times before they try again, for longer each time. */
const waitMsPerAttempt = 5

export async function runTransaction<T>(
  transport: Pick<Transport, 'call'>,
  pathOf: PathOf,
  callback: (tx: TransactionScope) => T | Promise<T>,
  { attempts = attemptsDefault }: TransactionOptions = {}
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const tx = new ReadingCollector(transport, pathOf)
    let value: T
    try {
      value = await callback(tx)
    } finally {
      tx.end()
    }
    const operations = tx.withConditions(await tx.operations())
    if (operations.length === 0) return value
    try {
      await transport.call('transaction', { operations })
      return value
    } catch (error) {
      const mayTryAgain = error instanceof RuntimeError && error.code === 'DOCUMENT_CHANGED' && attempt < attempts
      if (!mayTryAgain) throw error
    }
    await setTimeout(Math.random() * waitMsPerAttempt * attempt)
  }
}

/** A document as it was read; `revision` null: there was none. */
interface ReadState {
  state: Json | undefined
  revision: number | null
}

class ReadingCollector extends OperationCollector implements TransactionScope {
  readonly #transport: Pick<Transport, 'call'>
  /** By type and name; the first reading counts. */
  readonly #read = new Map<string, Promise<ReadState>>()
  readonly #revisions = new Map<string, number | null>()

  constructor(transport: Pick<Transport, 'call'>, pathOf: PathOf) {
    super('transaction', pathOf)
    this.#transport = transport
  }

  getState: TransactionScope['getState'] = async <State = Json>(named: string | ActorClass, name: string) => {
    this.requireOpen()
    const type = await this.pathOf(named)
    const key = keyOf(type, name)
    const written = await this.lastOf(type, name)
    if (written !== undefined)
      return (written.op === 'setState' ? copyOf(written.state) : undefined) as State | undefined
    let read = this.#read.get(key)
    if (read === undefined) {
      read = this.#readState(type, name)
      this.#read.set(key, read)
    }
    const { state, revision } = await read
    this.#revisions.set(key, revision)
    return copyOf(state) as State | undefined
  }

  withConditions(operations: readonly TransactionOperation[]): TransactionOperation[] {
    return operations.map((operation) => {
      if (operation.op !== 'setState' && operation.op !== 'removeState') return operation
      const revision = this.#revisions.get(keyOf(operation.type, operation.name))
      return revision === undefined ? operation : { ...operation, revision }
    })
  }

  async #readState(type: string, name: string): Promise<ReadState> {
    try {
      const { state, revision } = (await this.#transport.call('doc.get', { type, name })) as DocumentView
      return { state, revision }
    } catch (error) {
      if (error instanceof RuntimeError && error.code === 'DOCUMENT_UNKNOWN')
        return { state: undefined, revision: null }
      throw error
    }
  }
}

/** The caller may change what it gets. */
function copyOf(state: unknown): unknown {
  return asJson(state, 'read a state')
}

function keyOf(type: string, name: string): string {
  return JSON.stringify([type, name])
}
