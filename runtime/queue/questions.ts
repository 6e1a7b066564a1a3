/** What running jobs ask of their journals (journal.ts): each answer is one commit, for the attempt that asks and no other. */
import { RuntimeError } from '../core/errors.ts'
import { failPoint } from '../core/fail-points.ts'
import { jobsPerCompletionMax } from '../core/limits.ts'
import type { Reader } from '../store/store.ts'
import { type AdmissionRules, admit } from './admission.ts'
import type { ClaimedJob } from './claimed-job.ts'
import type { QueueCommit } from './commit.ts'
import type { Drafting } from './drafting.ts'
import {
  type AnswerTo,
  beginStep,
  endStep,
  enqueueOnce,
  hasEnqueued,
  type JournalQuestion,
  sleep,
  waitFor
} from './journal.ts'
import { attemptOver, tooManyJobs } from './refusals.ts'
import { checkRequests } from './requests.ts'
import { readAttempt, type StoredJob } from './stored-job.ts'

interface QuestionsParts {
  reader: () => Reader
  /** @throws RuntimeError `DATA_DAMAGED` where `look` meets a damaged record */
  read: <T>(look: () => T) => T
  commit: <T>(operation: (commit: QueueCommit) => T) => Promise<T>
  admission: AdmissionRules
  drafting: Drafting
}

type EnqueueQuestion = Extract<JournalQuestion, { type: 'enqueue' }>

export class Questions {
  readonly #parts: QuestionsParts

  constructor(parts: QuestionsParts) {
    this.#parts = parts
  }

  /** @see DurableQueue.ask */
  async ask<Q extends JournalQuestion>(job: ClaimedJob, question: Q): Promise<AnswerTo<Q>> {
    const answer = question.type === 'enqueue' ? this.#enqueueOnce(job, question) : this.#askAtOnce(job, question)
    return (await answer) as AnswerTo<Q>
  }

  async #askAtOnce(job: ClaimedJob, question: Exclude<JournalQuestion, EnqueueQuestion>): Promise<unknown> {
    const answer = await this.#parts.commit((commit) => {
      const running = requireAttempt(commit, job)
      switch (question.type) {
        case 'beginStep':
          return beginStep(commit, running, question)
        case 'endStep':
          return endStep(commit, running, question)
        case 'sleep':
          return sleep(commit, running, question)
        case 'waitFor':
          return waitFor(commit, running, question)
      }
    })
    if (answer instanceof RuntimeError) throw answer
    failPoint(`journal.${question.type}`)
    return answer
  }

  async #enqueueOnce(job: ClaimedJob, question: EnqueueQuestion): Promise<unknown> {
    const { reader, read, commit, admission, drafting } = this.#parts
    const { jobs } = question
    // What an earlier attempt has enqueued may be refused by now.
    const isDone = read(() => hasEnqueued(reader(), job.seq, question))
    if (!isDone) {
      if (jobs.length > jobsPerCompletionMax) throw tooManyJobs(jobs.length)
      checkRequests(jobs)
    }
    const drafts = isDone ? [] : await drafting.all(jobs)
    // Answers of one commit leave in its order: no way from here is longer than the others.
    const ids = await commit((commit) => {
      const running = requireAttempt(commit, job)
      return enqueueOnce(commit, running, question, () => admit(commit, admission, drafts).map(({ id }) => id))
    })
    failPoint('journal.enqueue')
    return ids
  }
}

/** @throws RuntimeError `JOB_STATE`: the job is not in this attempt any more */
function requireAttempt({ transaction }: QueueCommit, claimed: ClaimedJob): StoredJob {
  const job = readAttempt(transaction, claimed)
  if (job !== undefined) return job
  throw attemptOver(claimed.id, claimed.attempt)
}
