/** Enqueueing, inside the commit: every refusal comes before the first write, so that it is all of the jobs or none. */

import { iso } from '../core/instant.ts'
import type { EnqueueResult } from '../core/job.ts'
import { isFinished } from '../core/lifecycle.ts'
import type { QueueCommit } from './commit.ts'
import type { JobDraft } from './job-draft.ts'
import type { QueueRegistry } from './queue-registry.ts'
import { idInUse, queueFull, saysWhich } from './refusals.ts'
import { findJob } from './stored-job.ts'

/** @throws RuntimeError `JOB_EXISTS`, `QUEUE_FULL` */
export function admit(commit: QueueCommit, registry: QueueRegistry, drafts: readonly JobDraft[], tag: string) {
  const existing = checkIds(commit, drafts, tag)
  checkRoom(
    commit,
    registry,
    drafts.filter((_, index) => existing[index] === undefined)
  )
  return drafts.map((draft, index) => existing[index] ?? addDraft(commit, registry, draft))
}

/** @returns for each draft the unfinished job that it duplicates, if it may */
function checkIds(commit: QueueCommit, drafts: readonly JobDraft[], tag: string): (EnqueueResult | undefined)[] {
  const taken = new Set<string>()
  return drafts.map(({ id, deduplicate }, index) =>
    saysWhich(drafts, index, () => {
      if (id === null) return undefined
      const state = findJob(commit.transaction, id, tag)?.standing.state
      if (state !== undefined && deduplicate && !isFinished(state)) return { id, state, deduplicated: true }
      if (state !== undefined || taken.has(id)) throw idInUse(id, state)
      taken.add(id)
      return undefined
    })
  )
}

function checkRoom(commit: QueueCommit, registry: QueueRegistry, drafts: readonly JobDraft[]): void {
  const more = new Map<JobDraft['queue'], number>()
  for (const { queue } of drafts) {
    if (queue.maxQueued !== null) more.set(queue, (more.get(queue) ?? 0) + 1)
  }
  for (const [queue, count] of more) {
    const { ready, scheduled } = commit.counts(registry.numberOf(queue.name)!)
    if (ready + scheduled + count > queue.maxQueued!) throw queueFull(queue)
  }
}

/** Writes a job that nothing speaks against. */
export function addDraft(commit: QueueCommit, registry: QueueRegistry, draft: JobDraft): EnqueueResult {
  const { deduplicate, ...spec } = draft
  const job = commit.add({ ...spec, queue: registry.numberOf(draft.queue.name)! })
  commit.tell(job, 'enqueued', job.spec.runAtMs === null ? {} : { runAt: iso(job.spec.runAtMs) })
  return { id: job.spec.id, state: job.standing.state, deduplicated: false }
}
