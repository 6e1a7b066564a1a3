/**
 * Operations that are stored now and done later, when the program that prepared them says so ('U'): the second half of a
 * transaction in a database of its own. What speaks against them is looked for as they are prepared. From then on nothing
 * does: neither a full queue, nor an id that is in use by now, nor a method that is gone.
 */
import { randomUUID } from 'node:crypto'
import type { PrepareRequest } from '../core/api.ts'
import type { MethodCatalogue } from '../core/catalogue.ts'
import type { QueueConfig } from '../core/config.ts'
import { type Duration, durationToMs } from '../core/duration.ts'
import { RuntimeError } from '../core/errors.ts'
import { failPoint } from '../core/fail-points.ts'
import { iso } from '../core/instant.ts'
import type { EnqueueRequest, EnqueueResult } from '../core/job.ts'
import { instantMsMax, preparedBytesMax } from '../core/limits.ts'
import type { PreparedView } from '../core/transaction.ts'
import { idOfPreparedKey, preparedKey, preparedRange } from '../store/keys.ts'
import { type PreparedRecord, preparedCodec } from '../store/records.ts'
import type { Reader } from '../store/store.ts'
import { type AdmissionRules, checkQuota } from './admission.ts'
import type { QueueCommit } from './commit.ts'
import type { Drafting } from './drafting.ts'
import { draftJob, encodeJson, type JobDraft } from './job-draft.ts'
import {
  checkWork,
  type KnownOperation,
  knownOperations,
  performPromised,
  requestedJobs,
  type TraceOf,
  workOf
} from './transaction.ts'

export interface DurableOutboxParts {
  reader: () => Reader
  /** @throws RuntimeError `DATA_DAMAGED` where `look` meets a damaged record */
  read: <T>(look: () => T) => T
  queues: ReadonlyMap<string, QueueConfig>
  catalogue: MethodCatalogue
  admission: AdmissionRules
  drafting: Drafting
  commit: <T>(operation: (commit: QueueCommit) => T) => Promise<T>
}

const timeoutDefault: Duration = '1m'

export class DurableOutbox {
  readonly #parts: DurableOutboxParts

  constructor(parts: DurableOutboxParts) {
    this.#parts = parts
  }

  /**
   * Stores operations that nothing speaks against.
   *
   * @throws RuntimeError as `DurableQueue.transaction`; `PARAMS_INVALID`: also for a `revision`
   */
  async prepare({ outbox, operations, timeout = timeoutDefault }: PrepareRequest): Promise<PreparedView> {
    const { admission, catalogue, drafting, commit } = this.#parts
    const known = await knownOperations(operations, catalogue)
    refuseConditions(known)
    const work = workOf(known, await drafting.all(requestedJobs(known)))
    const text = encodeJson(known, 'prepare operations', operationsRule)
    const prepared = await commit((commit) => {
      checkQuota(admission, 'prepare operations')
      checkWork(commit, admission, work)
      const record: PreparedRecord = {
        outbox,
        operations: text,
        count: known.length,
        preparedAtMs: commit.nowMs,
        undecidedAtMs: Math.min(commit.nowMs + durationToMs(timeout)!, instantMsMax)
      }
      const id = randomUUID()
      const key = preparedKey(id)
      commit.transaction.put(key, preparedCodec.encode(key, record))
      return preparedView(id, record)
    })
    failPoint('outbox.prepared')
    return prepared
  }

  /** @throws RuntimeError `OUTBOX_UNKNOWN` */
  async commit(id: string, traceOf: TraceOf): Promise<EnqueueResult[]> {
    const jobs = await this.#parts.commit((commit) => {
      const { operations } = requirePrepared(commit.transaction, id, 'commit')
      const known = JSON.parse(operations) as KnownOperation[]
      const work = workOf(known, this.#promisedDrafts(requestedJobs(known), commit.nowMs))
      commit.transaction.remove(preparedKey(id))
      return performPromised(commit, this.#parts.admission, work, traceOf)
    })
    failPoint('outbox.committed')
    return jobs
  }

  /** @throws RuntimeError `OUTBOX_UNKNOWN` */
  abort(id: string): Promise<void> {
    return this.#parts.commit(({ transaction }) => {
      requirePrepared(transaction, id, 'abort')
      transaction.remove(preparedKey(id))
    })
  }

  /** What is prepared and not decided, oldest first. @param outbox undefined: of all */
  list(outbox: string | undefined): PreparedView[] {
    const entries = [...this.#parts.reader().entries(preparedRange)]
    return this.#parts
      .read(() =>
        entries.map(({ key, value }) => ({ id: idOfPreparedKey(key), record: preparedCodec.decode(key, value) }))
      )
      .filter(({ record }) => outbox === undefined || record.outbox === outbox)
      .sort((one, other) => one.record.preparedAtMs - other.record.preparedAtMs)
      .map(({ id, record }) => preparedView(id, record))
  }

  #promisedDrafts(requests: readonly EnqueueRequest[], nowMs: number): JobDraft[] {
    const { queues, admission } = this.#parts
    const context = { queues, tag: admission.tag, nowMs, isPromised: true }
    return requests.map(({ queue, ...request }, index) => {
      // The configuration may have lost the queue; the job runs all the same.
      const inQueue = queue !== undefined && queues.has(queue) ? { ...request, queue } : request
      return draftJob(inQueue, context, { index, jobs: requests.length })
    })
  }
}

const operationsRule = {
  name: 'operations',
  bytesMax: preparedBytesMax,
  advice: 'Prepare fewer at a time, or put the data into files and pass their paths.'
}

function refuseConditions(operations: readonly KnownOperation[]): void {
  const index = operations.findIndex((operation) => 'revision' in operation && operation.revision !== undefined)
  if (index === -1) return
  throw new RuntimeError(
    'PARAMS_INVALID',
    `Cannot prepare operations[${index}]: it has a revision, and a prepared operation may not depend on anything. Leave it out, or use a transaction.`,
    { path: `operations[${index}].revision`, index }
  )
}

/** @throws RuntimeError `OUTBOX_UNKNOWN` */
function requirePrepared(reader: Reader, id: string, attempted: string): PreparedRecord {
  const key = preparedKey(id)
  const value = reader.get(key)
  if (value !== undefined) return preparedCodec.decode(key, value)
  throw new RuntimeError(
    'OUTBOX_UNKNOWN',
    `Cannot ${attempted} what was prepared under "${id}": there is nothing. It may have been committed or aborted already; "outbox.list" shows what is not.`,
    { id }
  )
}

function preparedView(id: string, { outbox, count, preparedAtMs, undecidedAtMs }: PreparedRecord): PreparedView {
  return { id, outbox, operations: count, preparedAt: iso(preparedAtMs), undecidedAt: iso(undecidedAtMs) }
}
