/**
 * Calls that a document has asked for: at an instant, or again and again by a cron expression. A reminder is under the key
 * of its document ('r'), and has an ending ('Z') at its next instant, where upkeep fires it: its job is enqueued and the
 * reminder advanced in one commit. Of instants that were missed one is made up for. While the job of the last call is not
 * finished, a call is left out. The record of the document counts its reminders; they go with it.
 */
import type { DocumentId, ReminderChange, ReminderView } from '../core/document.ts'
import { durationToMs } from '../core/duration.ts'
import { RuntimeError } from '../core/errors.ts'
import { instantToMs, iso } from '../core/instant.ts'
import type { EnqueueRequest } from '../core/job.ts'
import { durationSchema, instantSchema, nameSchema } from '../core/job-options.ts'
import { isFinished } from '../core/lifecycle.ts'
import { instantMsMax, reminderNamesBytesMax, reminderParamsBytesMax, remindersMax } from '../core/limits.ts'
import { isPathSegment } from '../core/method-path.ts'
import { compileSchema, formatPath, type SchemaCheck } from '../core/schema.ts'
import { instantOfEndingKey, reminderEndingKey, reminderKey, reminderOfKey, reminderRange } from '../store/keys.ts'
import { type ReminderRecord, reminderCodec } from '../store/records.ts'
import type { Reader, Transaction } from '../store/store.ts'
import type { QueueCommit } from './commit.ts'
import { type DocumentScope, readDocument, writeDocument } from './document-records.ts'
import { draftJob, type JobDraft } from './job-draft.ts'
import { readJob } from './stored-job.ts'

/**
 * The first instant after `afterMs` at which a cron expression fires; null: it never does again.
 *
 * @throws RuntimeError `PARAMS_INVALID`: expression or zone are none
 */
export type NextInstant = (cron: string, timezone: string | null, afterMs: number) => number | null

/** A change that nothing speaks against, but for the number of reminders; `record` null: the reminder is taken back. */
export interface ReminderPlan {
  name: string
  record: ReminderRecord | null
}

const changeSchema = {
  type: 'object',
  required: ['type', 'name'],
  additionalProperties: false,
  properties: {
    type: { type: 'string', enum: ['set', 'cancel'] },
    name: nameSchema,
    method: { type: 'string' },
    params: {},
    at: instantSchema,
    delay: durationSchema,
    cron: { type: 'string', minLength: 1 },
    timezone: { type: 'string', minLength: 1 },
    queue: nameSchema
  }
} as const

let check: SchemaCheck | undefined

/** A running job has sent them: nobody has checked them yet. @throws RuntimeError `PARAMS_INVALID` */
export function checkReminders(id: DocumentId, changes: readonly unknown[]): asserts changes is ReminderChange[] {
  check ??= compileSchema(changeSchema)
  for (const change of changes) {
    const [problem] = check(change)
    if (problem !== undefined) throw invalid(`${formatPath(problem.path) || 'reminder'}: ${problem.message}`)
    const { name, ...rest } = change as ReminderChange
    const bytes = Buffer.byteLength(`${id.type}${id.name}${name}`)
    if (bytes > reminderNamesBytesMax) {
      throw invalid(`"${name}": with type and name of the document it takes ${bytes} bytes. Use shorter names.`)
    }
    if (rest.type === 'cancel') continue
    const { method } = rest as { method?: string }
    if (method === undefined || !isPathSegment(method)) throw invalid(`"${name}": it names no method of its document`)
    if ([rest.at, rest.delay, rest.cron].filter((each) => each !== undefined).length !== 1) {
      throw invalid(`"${name}": give one of at, delay and cron`)
    }
    if (rest.timezone !== undefined && rest.cron === undefined) throw invalid(`"${name}": timezone needs cron`)
  }
}

/** The request of the jobs that the change asks for; undefined: of none. */
export function requestOf({ type, name }: DocumentId, change: ReminderChange): EnqueueRequest | undefined {
  if (change.type === 'cancel') return undefined
  const { method, params, queue } = change
  return {
    method: `${type}.${method}`,
    document: name,
    ...(params === undefined ? {} : { params }),
    ...(queue === undefined ? {} : { queue })
  }
}

/** @param draft of {@link requestOf} @throws RuntimeError `PARAMS_INVALID`, `PAYLOAD_TOO_LARGE` */
export function planReminder(
  change: ReminderChange,
  draft: JobDraft | undefined,
  nextInstant: NextInstant,
  nowMs: number
): ReminderPlan {
  const { name } = change
  if (change.type === 'cancel' || draft === undefined) return { name, record: null }
  const { cron = null, timezone = null } = change
  const { method, params } = draft.spec
  const bytes = Buffer.byteLength(params)
  if (bytes > reminderParamsBytesMax) {
    throw new RuntimeError(
      'PAYLOAD_TOO_LARGE',
      `Cannot set reminder "${name}": params of ${bytes} bytes as JSON, at most ${reminderParamsBytesMax} are allowed. Keep the data in the state of the document.`,
      { bytes, bytesMax: reminderParamsBytesMax }
    )
  }
  const record = { method, params, queue: change.queue ?? null, cron, timezone, lastSeq: null }
  return { name, record: { ...record, nextAtMs: firstAtMs(change, nextInstant, nowMs) } }
}

function firstAtMs(
  { name, at, delay, cron, timezone }: Extract<ReminderChange, { type: 'set' }>,
  nextInstant: NextInstant,
  nowMs: number
): number {
  if (cron === undefined) return instantToMs(at) ?? Math.min(nowMs + durationToMs(delay)!, instantMsMax)
  const nextAtMs = nextInstant(cron, timezone ?? null, nowMs)
  if (nextAtMs === null) throw invalid(`"${name}": "${cron}" never fires again`)
  return nextAtMs
}

/** @throws RuntimeError `PARAMS_INVALID`: too many, `DOCUMENT_UNKNOWN`; nothing is written then */
export function checkRoomForReminders(
  reader: Reader,
  id: DocumentId,
  plans: readonly ReminderPlan[],
  isWritten: boolean
): void {
  const isSet = new Map(plans.map(({ name, record }) => [name, record !== null]))
  const set = [...isSet.keys()].filter((name) => isSet.get(name))
  if (set.length === 0) return
  const document = readDocument(reader, id)
  if (document === undefined && !isWritten) {
    throw new RuntimeError(
      'DOCUMENT_UNKNOWN',
      `Cannot set a reminder of the document "${id.name}" of the type "${id.type}": there is no such document. Give it a state first.`
    )
  }
  const before = document?.reminders ?? 0
  if (before + set.length <= remindersMax) return
  const has = (name: string) => reader.has(reminderKey(id, name))
  const removed = [...isSet.keys()].filter((name) => !isSet.get(name) && has(name)).length
  const added = set.filter((name) => !has(name)).length
  if (before - removed + added > remindersMax) throw invalid(`a document has at most ${remindersMax} reminders`)
}

/** The document is there, unless nothing is set. */
export function applyReminders(commit: QueueCommit, id: DocumentId, plans: readonly ReminderPlan[]): void {
  const document = readDocument(commit.transaction, id)
  if (document === undefined) return
  let { reminders } = document
  for (const { name, record } of plans) {
    const key = reminderKey(id, name)
    if (removeReminder(commit.transaction, key)) reminders--
    if (record === null) continue
    putReminder(commit, key, record)
    reminders++
  }
  if (reminders !== document.reminders) writeDocument(commit.transaction, id, { ...document, reminders })
}

/** @returns false where there is no such reminder */
export function cancelReminder(commit: DocumentScope, id: DocumentId, name: string): boolean {
  const { transaction } = commit
  if (!removeReminder(transaction, reminderKey(id, name))) return false
  const document = readDocument(transaction, id)!
  writeDocument(transaction, id, { ...document, reminders: document.reminders - 1 })
  return true
}

export function remindersOf(reader: Reader, id: DocumentId): ReminderView[] {
  return [...reader.entries(reminderRange(id))].map(({ key, value }) => {
    const { method, params, nextAtMs, cron, timezone } = reminderCodec.decode(key, value)
    return {
      name: reminderOfKey(key).reminder,
      method: method.slice(id.type.length + 1),
      params: JSON.parse(params),
      nextAt: iso(nextAtMs),
      cron,
      timezone
    }
  })
}

/** @param ending the entry at which a reminder is due @param key of the reminder */
export function fireReminder(commit: QueueCommit, ending: Buffer, key: Buffer, nextInstant: NextInstant): void {
  const { transaction, nowMs } = commit
  const value = transaction.get(key)
  const record = value === undefined ? undefined : reminderCodec.decode(key, value)
  if (record?.nextAtMs !== instantOfEndingKey(ending)) {
    transaction.remove(ending)
    return
  }
  const { reminder, ...id } = reminderOfKey(key)
  const nextAtMs = record.cron === null ? null : nextOrNull(nextInstant, record.cron, record.timezone, nowMs)
  const lastSeq = isUnfinished(transaction, record.lastSeq) ? record.lastSeq : enqueueCall(commit, id, record)
  if (nextAtMs === null) cancelReminder(commit, id, reminder)
  else {
    transaction.remove(ending)
    putReminder(commit, key, { ...record, nextAtMs, lastSeq })
  }
}

/** The configuration may have changed since it was asked for; the job runs all the same. */
function enqueueCall(commit: QueueCommit, { name }: DocumentId, { method, params, queue }: ReminderRecord): number {
  const context = commit.draftContext
  const request = { method, document: name, ...(queue !== null && context.queues.has(queue) ? { queue } : {}) }
  const draft = draftJob(request, context)
  return commit.add({ ...draft, spec: { ...draft.spec, params } }).seq
}

function isUnfinished(reader: Reader, seq: number | null): boolean {
  const job = seq === null ? undefined : readJob(reader, seq)
  return job !== undefined && !isFinished(job.standing.state)
}

/** It was read when the reminder was set; where the zones of this platform are others now, it does not fire again. */
function nextOrNull(nextInstant: NextInstant, cron: string, timezone: string | null, nowMs: number): number | null {
  try {
    return nextInstant(cron, timezone, nowMs)
  } catch (error) {
    if (error instanceof RuntimeError) return null
    throw error
  }
}

function putReminder(commit: QueueCommit, key: Buffer, record: ReminderRecord): void {
  commit.transaction.put(key, reminderCodec.encode(key, record))
  commit.transaction.put(reminderEndingKey(record.nextAtMs, key), Buffer.alloc(0))
  commit.upkeepAt(record.nextAtMs)
}

function removeReminder(transaction: Transaction, key: Buffer): boolean {
  const value = transaction.get(key)
  if (value === undefined) return false
  transaction.remove(reminderEndingKey(reminderCodec.decode(key, value).nextAtMs, key))
  transaction.remove(key)
  return true
}

function invalid(what: string): RuntimeError {
  return new RuntimeError('PARAMS_INVALID', `Cannot set a reminder: ${what}.`)
}
