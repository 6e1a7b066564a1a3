/**
 * Several changes in one commit: jobs, cancellations and states of documents, all of them or none. First everything that may
 * speak against any of them is looked at, then all is written.
 *
 * Operations are done in their order, with two rules. The jobs are enqueued together, where the first of them stands, so that
 * they may depend on each other. Of a document the last operation counts, and conditions are about what it was before.
 */
import type { MethodCatalogue } from '../core/catalogue.ts'
import { didYouMean } from '../core/did-you-mean.ts'
import type { DocumentId } from '../core/document.ts'
import { RuntimeError } from '../core/errors.ts'
import type { EnqueueRequest, EnqueueResult } from '../core/job.ts'
import { stateBytesMax } from '../core/limits.ts'
import type { TransactionOperation } from '../core/transaction.ts'
import { documentKey } from '../store/keys.ts'
import { type AdmissionRules, admit, admitPromised, checkAdmission, checkQuota } from './admission.ts'
import { cancelJob } from './changes-by-hand.ts'
import type { AttemptTrace } from './claimed-job.ts'
import type { QueueCommit } from './commit.ts'
import { readDocument, removeState, writeState } from './document-records.ts'
import { encodeJson, type JobDraft } from './job-draft.ts'
import { findJob, requireJob } from './stored-job.ts'

/** With what is known only as it is asked for: the version of the class whose state it is. */
export type KnownOperation =
  | Exclude<TransactionOperation, { op: 'setState' }>
  | (Extract<TransactionOperation, { op: 'setState' }> & { version: number })

/** Operations as they are done. */
interface Work {
  /** Ids of the jobs that are cancelled before the others are enqueued, and after. */
  cancelsBefore: string[]
  drafts: readonly JobDraft[]
  cancelsAfter: string[]
  /** What becomes of each document, by its key. */
  states: Map<string, DocumentId & { text: string | null; version: number }>
  conditions: (DocumentId & { revision: number | null })[]
}

/** What the attempt of a running job has said so far. */
export type TraceOf = (queue: string, id: string) => AttemptTrace | undefined

const fieldsOf: Readonly<Record<TransactionOperation['op'], { needed: readonly string[]; more: readonly string[] }>> = {
  enqueue: { needed: ['job'], more: [] },
  setState: { needed: ['type', 'name', 'state'], more: ['revision'] },
  removeState: { needed: ['type', 'name'], more: ['revision'] },
  cancel: { needed: ['id'], more: [] }
}

/**
 * @param operations each field of the right type (core/job-options.ts)
 * @throws RuntimeError `PARAMS_INVALID`: fields are missing or too many · `METHOD_UNKNOWN`: no such document type
 */
export async function knownOperations(
  operations: readonly TransactionOperation[],
  catalogue: MethodCatalogue
): Promise<KnownOperation[]> {
  for (const [index, operation] of operations.entries()) checkFields(operation, index)
  const known: KnownOperation[] = []
  for (const operation of operations) {
    known.push(
      operation.op === 'setState' ? { ...operation, version: await versionOf(operation.type, catalogue) } : operation
    )
  }
  return known
}

export function requestedJobs(operations: readonly KnownOperation[]): EnqueueRequest[] {
  return operations.flatMap((operation) => (operation.op === 'enqueue' ? [operation.job] : []))
}

/**
 * @param drafts of the jobs of {@link requestedJobs}
 * @throws RuntimeError `PARAMS_INVALID`, `PAYLOAD_TOO_LARGE` of a state
 */
export function workOf(operations: readonly KnownOperation[], drafts: readonly JobDraft[]): Work {
  const work: Work = { cancelsBefore: [], drafts, cancelsAfter: [], states: new Map(), conditions: [] }
  let enqueues = false
  for (const operation of operations) {
    if (operation.op === 'enqueue') enqueues = true
    else if (operation.op === 'cancel') (enqueues ? work.cancelsAfter : work.cancelsBefore).push(operation.id)
    else {
      const { type, name, revision } = operation
      const change =
        operation.op === 'setState'
          ? { text: stateText(operation), version: operation.version }
          : { text: null, version: 0 }
      work.states.set(documentKey({ type, name }).toString('latin1'), { type, name, ...change })
      if (revision !== undefined) work.conditions.push({ type, name, revision })
    }
  }
  return work
}

/**
 * Whether all of it can be done. Writes nothing.
 *
 * @throws RuntimeError `DOCUMENT_CHANGED`, `JOB_UNKNOWN`, and what {@link admit} throws
 */
export function checkWork(commit: QueueCommit, rules: AdmissionRules, work: Work): void {
  checkAllButJobs(commit, rules, work)
  checkAdmission(commit, rules, work.drafts, true)
}

/** @throws RuntimeError as {@link checkWork}; nothing of it is done then */
export function perform(commit: QueueCommit, rules: AdmissionRules, work: Work, traceOf: TraceOf): EnqueueResult[] {
  checkAllButJobs(commit, rules, work)
  // These may make room for what is enqueued; if it is not enough, the store takes back the whole commit.
  if (work.cancelsBefore.length > 0) checkAdmission(commit, rules, work.drafts, false)
  return write(commit, rules, work, traceOf, admit)
}

/** What was checked once: nothing speaks against it any more. */
export function performPromised(
  commit: QueueCommit,
  rules: AdmissionRules,
  work: Work,
  traceOf: TraceOf
): EnqueueResult[] {
  return write(commit, rules, work, traceOf, admitPromised)
}

function write(
  commit: QueueCommit,
  rules: AdmissionRules,
  { cancelsBefore, drafts, cancelsAfter, states }: Work,
  traceOf: TraceOf,
  admitAs: typeof admit
): EnqueueResult[] {
  for (const id of cancelsBefore) cancel(commit, rules, id, traceOf)
  const jobs = admitAs(commit, rules, drafts)
  for (const { text, version, ...document } of states.values()) {
    if (text === null) removeState(commit, document)
    else writeState(commit, document, { state: text, version })
  }
  for (const id of cancelsAfter) cancel(commit, rules, id, traceOf)
  // As they are now: some may have been cancelled again.
  return cancelsAfter.length === 0 ? jobs : jobs.map((job) => ({ ...job, state: stateNow(commit, rules, job) }))
}

function checkAllButJobs(commit: QueueCommit, rules: AdmissionRules, work: Work): void {
  for (const condition of work.conditions) checkRevision(commit, condition)
  const own = new Set(work.drafts.map(({ id }) => id))
  const others = work.cancelsAfter.filter((id) => !own.has(id))
  for (const id of [...work.cancelsBefore, ...others]) requireJob(commit.transaction, id, rules.tag, 'cancel')
  if ([...work.states.values()].some(({ text }) => text !== null)) checkQuota(rules, 'set the state of a document')
}

/** A job that is gone has ended before. */
function cancel(commit: QueueCommit, { registry, tag }: AdmissionRules, id: string, traceOf: TraceOf): void {
  const job = findJob(commit.transaction, id, tag)
  if (job !== undefined) cancelJob(commit, job, () => traceOf(registry.nameOf(job.spec.queue), id))
}

function stateNow(commit: QueueCommit, { tag }: AdmissionRules, { id, state }: EnqueueResult): EnqueueResult['state'] {
  return findJob(commit.transaction, id, tag)?.standing.state ?? state
}

function checkRevision(commit: QueueCommit, { type, name, revision }: Work['conditions'][number]): void {
  const now = readDocument(commit.transaction, { type, name })?.revision ?? null
  if (now === revision) return
  const changed = now === null ? 'it is not there any more' : revision === null ? 'it exists by now' : 'it has changed'
  throw new RuntimeError(
    'DOCUMENT_CHANGED',
    `Cannot write document "${name}" of ${type}: ${changed} since it was read. Read it again, and try again.`,
    { type, name, revision: now }
  )
}

/** Of an operation; the schema of the protocol allows the fields of all. */
function checkFields(operation: TransactionOperation, index: number): void {
  const { op, ...fields } = operation
  const { needed, more } = fieldsOf[op]
  const given = Object.entries(fields).flatMap(([field, value]) => (value === undefined ? [] : [field]))
  const missing = needed.find((field) => !given.includes(field))
  const foreign = given.find((field) => !needed.includes(field) && !more.includes(field))
  if (missing === undefined && foreign === undefined) return
  const what =
    missing === undefined
      ? `${foreign} says nothing for ${op}; it takes ${[...needed, ...more].join(', ')}`
      : `${missing} is required for ${op}`
  throw new RuntimeError('PARAMS_INVALID', `Cannot do operations[${index}]: ${what}.`, {
    path: `operations[${index}].${missing ?? foreign}`,
    index
  })
}

async function versionOf(type: string, catalogue: MethodCatalogue): Promise<number> {
  const known = catalogue.documentType(type)
  if (known !== undefined) return known.version
  // Its module may be new: whoever asks for a method of the class has it loaded.
  await catalogue.resolve(`${type}.setState`).catch(() => {})
  const found = catalogue.documentType(type)
  if (found !== undefined) return found.version
  const types = new Set(catalogue.list().flatMap(({ documentType }) => documentType ?? []))
  const all = types.size === 0 ? ' There are no document types.' : ` Document types: ${[...types].join(', ')}.`
  throw new RuntimeError(
    'METHOD_UNKNOWN',
    `Cannot set the state of a document of "${type}": no actor module exports a class of that path that extends Actor.${didYouMean(type, types) || all}`,
    { type }
  )
}

function stateText({ type, name, state }: Extract<KnownOperation, { op: 'setState' }>): string {
  return encodeJson(state, `set the state of document "${name}" of ${type}`, stateRule)
}

const stateRule = {
  name: 'a state',
  bytesMax: stateBytesMax,
  advice: 'Put a part of it into other documents, or into a file.'
}
