/** What the callback of a transaction or of an outbox collects, in the form of the protocol. */
import { randomUUID } from 'node:crypto'
import { inWholeList } from '../core/depends-on.ts'
import { RuntimeError } from '../core/errors.ts'
import type { EnqueueRequest } from '../core/job.ts'
import type { ActorClass, ActorFunction } from '../core/method-types.ts'
import type { OperationScope, TransactionOperation } from '../core/transaction.ts'
import { withInstantTexts } from './instant-texts.ts'

/** Finds the path of a function or a class. */
export type PathOf = (exported: ActorFunction | ActorClass) => Promise<string>

/** With what the caller named, whose path is looked up in the end. */
type Collected =
  | {
      op: 'enqueue'
      named: string | ActorFunction | ActorClass
      method: string | null
      job: Omit<EnqueueRequest, 'method'>
    }
  | { op: 'setState'; named: string | ActorClass; name: string; state: unknown }
  | { op: 'removeState'; named: string | ActorClass; name: string }
  | { op: 'cancel'; id: string }
type CollectedState = Extract<Collected, { op: 'setState' | 'removeState' }>

export class OperationCollector implements OperationScope {
  readonly #collected: Collected[] = []
  readonly #pathOf: PathOf
  readonly #what: string
  #hasEnded = false

  /** @param what for messages: "transaction" */
  constructor(what: string, pathOf: PathOf) {
    this.#what = what
    this.#pathOf = pathOf
  }

  enqueue: OperationScope['enqueue'] = (named: string | ActorFunction, params?: unknown, options: object = {}) =>
    this.#enqueue(named, null, { ...options, params })

  enqueueMany: OperationScope['enqueueMany'] = (jobs) => {
    const first = this.#collected.filter(({ op }) => op === 'enqueue').length
    const inWhole = jobs.map((job, index) => inWholeList(job, first, index, jobs.length))
    return { ids: inWhole.map(({ method, ...job }) => this.#enqueue(method, null, job).id) }
  }

  enqueueDoc: OperationScope['enqueueDoc'] = (
    named: string | ActorClass,
    name: string,
    method: string,
    params?: unknown,
    options: object = {}
  ) => this.#enqueue(named, method, { ...options, document: name, params })

  cancel: OperationScope['cancel'] = (id) => this.#add({ op: 'cancel', id })

  setState: OperationScope['setState'] = (named, name, state) =>
    this.#add({ op: 'setState', named, name, state: asJson(state, `set the state of document "${name}"`) })

  removeState: OperationScope['removeState'] = (named, name) => this.#add({ op: 'removeState', named, name })

  /** Takes no more operations. */
  end(): void {
    this.#hasEnded = true
  }

  pathOf(named: string | ActorFunction | ActorClass): string | Promise<string> {
    return typeof named === 'string' ? named : this.#pathOf(named)
  }

  /** What the operations so far make of a document; undefined: nothing. */
  async lastOf(type: string, name: string): Promise<CollectedState | undefined> {
    for (const operation of this.#collected.toReversed()) {
      if (!('name' in operation) || operation.name !== name) continue
      if ((await this.pathOf(operation.named)) === type) return operation
    }
    return undefined
  }

  async operations(): Promise<TransactionOperation[]> {
    const operations: TransactionOperation[] = []
    for (const operation of this.#collected) {
      if (operation.op === 'cancel') operations.push(operation)
      else if (operation.op === 'enqueue') {
        const path = await this.pathOf(operation.named)
        const method = operation.method === null ? path : `${path}.${operation.method}`
        operations.push({ op: 'enqueue', job: { ...operation.job, method } })
      } else {
        const { named, ...state } = operation
        operations.push({ ...state, type: await this.pathOf(named) })
      }
    }
    return operations
  }

  requireOpen(): void {
    if (!this.#hasEnded) return
    throw new TypeError(`The ${this.#what} has ended: it takes operations only until its callback has returned.`)
  }

  #enqueue(
    named: string | ActorFunction | ActorClass,
    method: string | null,
    { params, ...job }: Omit<EnqueueRequest, 'method'>
  ): { id: string } {
    const attempted = `enqueue "${[typeof named === 'string' ? named : named.name, method].filter(Boolean).join('.')}"`
    for (const option of ['now', 'isAsync'] as const) {
      if (job[option] === undefined) continue
      throw new TypeError(`Cannot ${attempted} in a ${this.#what}: ${option} would wait for the job. Leave it out.`)
    }
    const id = job.jobId ?? randomUUID()
    const withParams = params === undefined ? {} : { params: asJson(params, attempted) }
    this.#add({ op: 'enqueue', named, method, job: withInstantTexts({ ...job, jobId: id, ...withParams }) })
    return { id }
  }

  #add(operation: Collected): void {
    this.requireOpen()
    this.#collected.push(operation)
  }
}

/** A copy as JSON has it, so that what is collected does not change any more. */
export function asJson(value: unknown, attempted: string): unknown {
  if (value === undefined || value === null || typeof value === 'string') return value
  try {
    return JSON.parse(JSON.stringify(value))
  } catch (error) {
    throw new RuntimeError(
      'PARAMS_INVALID',
      `Cannot ${attempted}: the value cannot be written as JSON (${(error as Error).message}).`
    )
  }
}
