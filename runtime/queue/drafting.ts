/** From requests to drafts: the methods that they name are looked up, then everything is checked that can be without a commit. */
import type { MethodCatalogue } from '../core/catalogue.ts'
import type { Clock } from '../core/clock.ts'
import type { QueueConfig } from '../core/config.ts'
import type { EnqueueRequest, FollowUp } from '../core/job.ts'
import { checkDocument } from './document-methods.ts'
import { draftJob, type JobDraft } from './job-draft.ts'
import { saysWhich } from './refusals.ts'

export interface DraftingParts {
  catalogue: MethodCatalogue
  queues: ReadonlyMap<string, QueueConfig>
  tag: string
  clock: Clock
}

export class Drafting {
  readonly #parts: DraftingParts

  constructor(parts: DraftingParts) {
    this.#parts = parts
  }

  /**
   * @returns undefined where all methods are known: who asks need not wait then, so that its commit is asked for in this turn,
   * before what is asked for after it. The promise is rejected with `METHOD_UNKNOWN`
   */
  lookUp(requests: readonly EnqueueRequest[]): Promise<void> | undefined {
    const { catalogue } = this.#parts
    const unknown: string[] = []
    for (const request of requests) {
      for (const { method } of namedIn(request)) if (catalogue.known(method) === undefined) unknown.push(method)
    }
    return unknown.length === 0 ? undefined : this.#resolve(unknown)
  }

  /**
   * @param requests with methods that have been looked up
   * @throws RuntimeError `QUEUE_UNKNOWN`, `PARAMS_INVALID`, `PAYLOAD_TOO_LARGE`; of several, `data.index` says which
   */
  draft(requests: readonly EnqueueRequest[]): JobDraft[] {
    const { catalogue, queues, tag, clock } = this.#parts
    const context = { queues, tag, nowMs: clock.wallMs() }
    const jobs = requests.length
    return requests.map((request, index) =>
      saysWhich(requests, index, () => {
        for (const { method, document } of namedIn(request)) {
          const view = catalogue.known(method)
          if (view !== undefined) checkDocument(view, document)
        }
        return draftJob(request, context, { index, jobs })
      })
    )
  }

  /** Both, one after the other. */
  async all(requests: readonly EnqueueRequest[]): Promise<JobDraft[]> {
    await this.lookUp(requests)
    return this.draft(requests)
  }

  async #resolve(methods: readonly string[]): Promise<void> {
    for (const method of methods) await this.#parts.catalogue.resolve(method)
  }
}

/** The job and those that may follow it, whose methods must be known before the request is accepted. */
function namedIn(request: EnqueueRequest): Pick<FollowUp, 'method' | 'document'>[] {
  const { onSuccess, onFailure } = request
  if (onSuccess === undefined && onFailure === undefined) return [request]
  const followUps = [onSuccess, onFailure].filter((each) => each !== undefined)
  return [request, ...followUps.map((each) => (typeof each === 'string' ? { method: each } : each))]
}
