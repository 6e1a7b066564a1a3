/** What the callback of a transaction or of an outbox collects, in the form of the protocol. */
import { randomUUID } from 'node:crypto'
import type { ActorFunction } from '../core/api.ts'
import { RuntimeError } from '../core/errors.ts'
import type { EnqueueRequest } from '../core/job.ts'
import type { OperationScope, TransactionOperation } from '../core/transaction.ts'
import { withInstantTexts } from './instant-texts.ts'

/** A job whose method may still be a function. */
interface CollectedJob extends Omit<EnqueueRequest, 'method'> {
  method: string | ActorFunction
}

type Collected = Exclude<TransactionOperation, { op: 'enqueue' }> | { op: 'enqueue'; job: CollectedJob }

export class OperationCollector implements OperationScope {
  readonly #collected: Collected[] = []
  readonly #what: string
  #hasEnded = false

  /** @param what for messages: "transaction" */
  constructor(what: string) {
    this.#what = what
  }

  enqueue: OperationScope['enqueue'] = (method, params, options = {}) =>
    this.#enqueue({ ...options, method, ...(params === undefined ? {} : { params }) })

  enqueueMany: OperationScope['enqueueMany'] = (jobs) => ({ ids: jobs.map((job) => this.#enqueue(job).id) })

  enqueueDoc: OperationScope['enqueueDoc'] = (type, name, method, params, options = {}) =>
    this.#enqueue({
      ...options,
      method: `${type}.${method}`,
      document: name,
      ...(params === undefined ? {} : { params })
    })

  cancel: OperationScope['cancel'] = (id) => this.#add({ op: 'cancel', id })

  setState: OperationScope['setState'] = (type, name, state) =>
    this.#add({ op: 'setState', type, name, state: asJson(state, `set the state of document "${name}" of ${type}`) })

  removeState: OperationScope['removeState'] = (type, name) => this.#add({ op: 'removeState', type, name })

  /** Takes no more operations. */
  end(): void {
    this.#hasEnded = true
  }

  /** The last operation so far on a document; undefined: none. */
  lastOf(type: string, name: string): Extract<Collected, { name: string }> | undefined {
    return this.#collected.findLast(
      (operation): operation is Extract<Collected, { name: string }> =>
        'name' in operation && operation.type === type && operation.name === name
    )
  }

  /** @param pathOf finds the path of a function */
  async operations(pathOf: (method: ActorFunction) => Promise<string>): Promise<TransactionOperation[]> {
    const operations: TransactionOperation[] = []
    for (const operation of this.#collected) {
      if (operation.op !== 'enqueue') operations.push(operation)
      else {
        const { method, ...job } = operation.job
        operations.push({
          op: 'enqueue',
          job: { ...job, method: typeof method === 'function' ? await pathOf(method) : method }
        })
      }
    }
    return operations
  }

  requireOpen(): void {
    if (!this.#hasEnded) return
    throw new TypeError(`The ${this.#what} has ended: it takes operations only until its callback has returned.`)
  }

  #enqueue(job: CollectedJob): { id: string } {
    const method = typeof job.method === 'function' ? job.method.name : job.method
    for (const option of ['now', 'isAsync'] as const) {
      if (job[option] === undefined) continue
      throw new TypeError(
        `Cannot enqueue "${method}" in a ${this.#what}: ${option} would wait for the job. Leave it out.`
      )
    }
    const jobId = job.jobId ?? randomUUID()
    const params = job.params === undefined ? {} : { params: asJson(job.params, `enqueue "${method}"`) }
    this.#add({ op: 'enqueue', job: withInstantTexts({ ...job, jobId, ...params }) })
    return { id: jobId }
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
