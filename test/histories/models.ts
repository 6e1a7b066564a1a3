/** Sequential models of what clients see: one job id, one document, one job that waits for signals, the pause of a queue. */
import type { JobState } from '../../runtime/core/lifecycle.ts'
import type { Model } from './linearize.ts'

/**
 * What the job of an id is. Its token, given by the call that enqueued it, begins with what its method does: `ok` completes,
 * `fail` throws, `again` asks in its first attempt to be run again, `later` completes and is not due for an hour.
 */
export interface JobSeen {
  state: JobState
  token: string
  /** Attempts made. */
  made: number
  /** Of a completed job: the attempt that its result is of. */
  result?: number
}

/** What an id in use is to an enqueue: refused, or the answer while its job is unfinished, or while a window is open too. */
type EnqueueForm = 'refuse' | 'unfinished' | 'window'

export type JobCall =
  | { type: 'enqueue'; token: string; form: EnqueueForm }
  | { type: 'cancel' | 'retry' | 'remove' | 'read' }
  /** Read in a list of one state: absent means that it is in another. */
  | { type: 'read'; state: JobState }
  /** The supervisor was killed and started again. */
  | { type: 'restart' }

/** `window`: for an hour, longer than any history, it is the answer to those who ask for one, whatever has become of it. */
type Job = (JobSeen & { window: boolean }) | null

export const jobModel: Model<Job, JobCall> = {
  start: null,
  keyOf: (job) => (job === null ? '' : `${job.state} ${job.token} ${job.made} ${job.result} ${job.window}`),
  internal(job) {
    if (job === null) return []
    const { state, token, made } = job
    switch (state) {
      case 'scheduled':
        return token.startsWith('later') ? [] : [{ ...job, state: 'ready' }]
      case 'ready':
        return [{ ...job, state: 'running', made: made + 1 }]
      case 'running': {
        // What no thread has begun is given back: one that was claimed ahead where slow jobs keep the threads, any where its host
        // is retired, as after the kill of a job whose thread does not end in time.
        const givenBack: Job = { ...job, state: 'ready', made: made - 1 }
        if (token.startsWith('fail')) return [givenBack, { ...job, state: 'failed' }]
        if (token.startsWith('again') && made === 1) return [givenBack, { ...job, state: 'scheduled' }]
        return [givenBack, { ...job, state: 'completed', result: made }]
      }
      default:
        return []
    }
  },
  apply(job, call) {
    if (call.type === 'enqueue') return enqueued(job, call.token, call.form)
    if (call.type === 'restart') {
      return { answer: 'done', next: job?.state === 'running' ? { ...job, state: 'ready' } : job }
    }
    if (call.type === 'read') {
      const isShown = !('state' in call) || job?.state === call.state
      return { answer: isShown ? shown(job) : null, next: job }
    }
    if (job === null) return { answer: 'JOB_UNKNOWN', next: null }
    const { state } = job
    if (call.type === 'remove') {
      return state === 'running' ? { answer: 'JOB_STATE', next: job } : { answer: 'done', next: null }
    }
    if (call.type === 'cancel') {
      if (isFinal(state)) return { answer: { state, changed: false }, next: job }
      return { answer: { state: 'cancelled', changed: true }, next: { ...job, state: 'cancelled' } }
    }
    if (state === 'ready' || state === 'running') return { answer: 'JOB_STATE', next: job }
    const { result: _, ...again } = job
    return { answer: { state: 'ready', changed: true }, next: { ...again, state: 'ready' } }
  }
}

function shown(job: Job): JobSeen | null {
  if (job === null) return null
  const { state, token, made, result } = job
  return { state, token, made, ...(result === undefined ? {} : { result }) }
}

function enqueued(job: Job, token: string, form: EnqueueForm): { answer: unknown; next: Job } {
  if (job !== null && form === 'refuse') return { answer: 'JOB_EXISTS', next: job }
  if (job !== null && (!isFinal(job.state) || (form === 'window' && job.window))) {
    return { answer: { state: job.state, deduplicated: true }, next: job }
  }
  const state = token.startsWith('later') ? 'scheduled' : 'ready'
  return { answer: { state, deduplicated: false }, next: { state, token, made: 0, window: form === 'window' } }
}

function isFinal(state: JobState): boolean {
  return state === 'completed' || state === 'failed' || state === 'cancelled'
}

/** A list of tokens, which jobs and transactions append to. */
export type DocumentCall =
  /** By a job, which answers with what the list was then. */
  | { type: 'append'; token: string }
  /** By a transaction that has read it. */
  | { type: 'transaction'; token: string }
  /** By a transaction that has not read it. */
  | { type: 'set'; token: string }
  | { type: 'remove' | 'read' }

export const documentModel: Model<string[] | null, DocumentCall> = {
  start: null,
  keyOf: (list) => (list === null ? '' : `${list}.`),
  internal: () => [],
  apply(list, call) {
    switch (call.type) {
      case 'append': {
        const next = [...(list ?? []), call.token]
        return { answer: next, next }
      }
      case 'transaction':
        return { answer: 'done', next: [...(list ?? []), call.token] }
      case 'set':
        return { answer: 'done', next: [call.token] }
      case 'remove':
        return { answer: list === null ? 'DOCUMENT_UNKNOWN' : 'done', next: null }
      case 'read':
        return { answer: list, next: list }
    }
  }
}

/** How many signals a waiting job takes before it returns them. */
const signalsTaken = 2

export type SignalCall = { type: 'enqueue' | 'read' } | { type: 'signal'; token: string }

interface Waiting {
  signals: string[]
  /** The first of them, once the job has completed. */
  result: string[] | null
}

export const signalModel: Model<Waiting | null, SignalCall> = {
  start: null,
  keyOf: (job) => JSON.stringify(job),
  internal: (job) =>
    job === null || job.result !== null || job.signals.length < signalsTaken
      ? []
      : [{ ...job, result: job.signals.slice(0, signalsTaken) }],
  apply(job, call) {
    switch (call.type) {
      case 'enqueue':
        return job === null
          ? { answer: 'done', next: { signals: [], result: null } }
          : { answer: 'JOB_EXISTS', next: job }
      case 'read':
        return { answer: job === null ? null : { result: job.result }, next: job }
      case 'signal':
        if (job === null) return { answer: 'JOB_UNKNOWN', next: null }
        if (job.result !== null) return { answer: 'JOB_STATE', next: job }
        return { answer: 'done', next: { ...job, signals: [...job.signals, call.token] } }
    }
  }
}

export type PauseCall = { type: 'pause' | 'resume' | 'read' }

/** Whether the queue is paused. */
export const pauseModel: Model<boolean, PauseCall> = {
  start: false,
  keyOf: String,
  internal: () => [],
  apply(isPaused, { type }) {
    const next = type === 'read' ? isPaused : type === 'pause'
    return { answer: next, next }
  }
}
