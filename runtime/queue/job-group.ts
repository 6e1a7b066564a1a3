/**
 * The group to which a job belongs (key-groups.ts): the jobs of one key in one queue, or the jobs of one document, in
 * whatever queues they are.
 */
import { type DocumentId, splitMethodPath } from '../core/document.ts'
import type { JobSpec, Standing } from '../store/records.ts'

export interface GroupId {
  /** The number of the queue, for a key; {@link documentScope} for a document. */
  scope: number
  /** The key; of a document its type, NUL and its name. No key holds a NUL. */
  name: string
}

/** No queue has this number. */
export const documentScope = 0

/** @returns undefined where the job has neither a key nor a document */
export function groupOf({ queue, method, rules }: JobSpec): GroupId | undefined {
  if (rules === null) return undefined
  const { key, document } = rules
  if (document !== undefined) return { scope: documentScope, name: `${splitMethodPath(method).type}\0${document}` }
  return key === undefined ? undefined : { scope: queue, name: key }
}

/** @param name as it stands in an entry of the queue */
export function groupNamed(queue: number, name: string): GroupId {
  return { scope: name.includes('\0') ? documentScope : queue, name }
}

/** The document whose method the job is. */
export function documentOf({ method, rules }: JobSpec): DocumentId | undefined {
  const name = rules?.document
  return name === undefined ? undefined : { type: splitMethodPath(method).type, name }
}

/** How many jobs of the group of this job may be under way at a time; 0: any number. */
export function concurrencyOf({ rules }: JobSpec): number {
  return rules?.document === undefined ? (rules?.keyConcurrency ?? 0) : 1
}

/**
 * Whether a job in this standing counts against the concurrency of its group: while it runs, and in a strict order, of one
 * at a time, also while it waits for its next attempt.
 */
export function holdsGroup(spec: JobSpec, { state, made }: Standing): boolean {
  return state === 'running' || (state === 'scheduled' && made > 0 && concurrencyOf(spec) === 1)
}
