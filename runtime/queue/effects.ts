/**
 * What a job that completes changes besides: the state of its document, jobs, reminders. All of it is one commit with its
 * completion, or nothing of it happens. First everything that can be is looked up and checked, before the commit; in it, what
 * speaks against it is looked for before anything is written.
 */
import type { DocumentId } from '../core/document.ts'
import { RuntimeError } from '../core/errors.ts'
import type { EnqueueRequest, JobError } from '../core/job.ts'
import { jobsPerCompletionMax } from '../core/limits.ts'
import type { DocumentMessage, Effects } from '../core/pool.ts'
import { compileSchema, formatPath, type SchemaCheck } from '../core/schema.ts'
import { type AdmissionRules, admit } from './admission.ts'
import type { QueueCommit } from './commit.ts'
import { readDocument, removeState, writeState } from './document-records.ts'
import type { JobDraft } from './job-draft.ts'
import {
  applyReminders,
  checkReminders,
  checkRoomForReminders,
  type NextInstant,
  planReminder,
  type ReminderPlan,
  requestOf
} from './reminders.ts'
import { checkRequests } from './requests.ts'

/** Effects that nothing speaks against but what only the commit can see. */
export interface EffectsPlan {
  document: Effects['document']
  drafts: readonly JobDraft[]
  reminders: readonly ReminderPlan[]
}

export interface EffectsRules {
  /** Of known methods. @throws RuntimeError */
  draft: (requests: readonly EnqueueRequest[]) => JobDraft[]
  nextInstant: NextInstant
  nowMs: number
}

const effectsSchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    document: {
      type: ['object', 'string'],
      pattern: '^removed$',
      required: ['state', 'version'],
      additionalProperties: false,
      properties: { state: { type: 'string' }, version: { type: 'integer', minimum: 1 } }
    },
    jobs: { type: 'array' },
    reminders: { type: 'array' }
  }
} as const

let check: SchemaCheck | undefined

/** Only the form; each job and each reminder is looked at later. */
function checkForm(effects: unknown): asserts effects is Effects {
  check ??= compileSchema(effectsSchema)
  const [problem] = check(effects)
  if (problem === undefined) return
  const place = formatPath(problem.path) || 'effects'
  throw new RuntimeError(
    'PARAMS_INVALID',
    `Cannot do what the job asks for as it completes: ${place}: ${problem.message}`
  )
}

/**
 * Checks what a thread has sent, which is the code of users: nobody has looked at it yet.
 *
 * @returns the requests of which the methods must be known before the plan is made
 */
export function requestsOf(effects: unknown, document: DocumentId | undefined): EnqueueRequest[] {
  checkForm(effects)
  const { jobs = [], reminders = [] } = effects
  if (jobs.length > jobsPerCompletionMax) {
    throw new RuntimeError(
      'PARAMS_INVALID',
      `Cannot enqueue ${jobs.length} jobs as a job completes: at most ${jobsPerCompletionMax} are allowed. Enqueue some at once, or let one of them enqueue the others.`
    )
  }
  checkRequests(jobs)
  if (document === undefined) return [...jobs]
  checkReminders(document, reminders)
  return [...jobs, ...reminders.map((change) => requestOf(document, change)).filter((each) => each !== undefined)]
}

/** @throws RuntimeError what speaks against it: as `enqueue`, and `PARAMS_INVALID` of a reminder */
export function planEffects(
  { document, jobs = [], reminders = [] }: Effects,
  id: DocumentId | undefined,
  rules: EffectsRules
): EffectsPlan {
  const plans =
    id === undefined
      ? []
      : reminders.map((change) => {
          const request = requestOf(id, change)
          const draft = request === undefined ? undefined : rules.draft([request])[0]
          return planReminder(change, draft, rules.nextInstant, rules.nowMs)
        })
  return { document, drafts: rules.draft(jobs), reminders: plans }
}

/** Whether the document still is as it was claimed. */
export function isUnchanged({ transaction }: QueueCommit, claimed: DocumentMessage): boolean {
  return (readDocument(transaction, claimed)?.revision ?? null) === claimed.revision
}

/** The document is as it was claimed. @throws RuntimeError what speaks against it; nothing is written then */
export function applyEffects(
  commit: QueueCommit,
  plan: EffectsPlan,
  document: DocumentMessage | undefined,
  rules: AdmissionRules
): void {
  if (document !== undefined && plan.document !== 'removed') {
    checkRoomForReminders(commit.transaction, document, plan.reminders, plan.document !== undefined)
  }
  admit(commit, rules, plan.drafts)
  if (document === undefined) return
  if (plan.document === 'removed') {
    removeState(commit, document)
    return
  }
  if (plan.document !== undefined) {
    writeState(commit, document, { ...plan.document, revision: document.nextRevision })
  }
  if (plan.reminders.length > 0) applyReminders(commit, document, plan.reminders)
}

/** A job whose effects are refused has failed, as if its method had thrown what `enqueue` throws. */
export function refusedWith({ name, code, message }: RuntimeError): JobError {
  return { code: 'THROWN', name, thrownCode: code, message }
}
