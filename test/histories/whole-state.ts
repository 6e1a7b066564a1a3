/** A sequential model of a whole queue whose workers are clients too, so that nothing happens by itself. */
import type { JobState } from '../../runtime/core/lifecycle.ts'
import { jobStates } from '../../runtime/core/lifecycle.ts'
import type { Model } from './linearize.ts'

export type QueueCall =
  | { type: 'enqueue'; id: string; form: 'refuse' | 'unfinished' }
  | { type: 'cancel' | 'retry' | 'remove' | 'get'; id: string }
  | { type: 'pause' | 'resume' | 'list' | 'counts' }
  /** `besideCancel`: what the same commit cancels is claimed, and not handed out. */
  | { type: 'claim'; besideCancel?: boolean }
  /** Of the first attempt that this client has claimed and not settled. */
  | { type: 'settle'; claimed: string }

interface Job {
  id: string
  /** In the order of enqueueing. */
  number: number
  state: JobState
  made: number
}

export interface QueueState {
  jobs: readonly Job[]
  next: number
  isPaused: boolean
}

/** What a list shows of a job, and what names an attempt. */
export const shownOf = (id: string, state: JobState, made: number) => `${id} ${state} ${made}`
export const attemptOf = (id: string, attempt: number) => `${id}#${attempt}`
export const countsOf = (isPaused: boolean, counts: Record<JobState, number>) =>
  `${isPaused ? 'paused' : 'open'} ${jobStates.map((state) => counts[state])}`

function countsIn({ jobs, isPaused }: QueueState): string {
  const counts = { scheduled: 0, ready: 0, running: 0, completed: 0, failed: 0, cancelled: 0 }
  for (const { state } of jobs) counts[state]++
  return countsOf(isPaused, counts)
}

export const wholeModel: Model<QueueState, QueueCall> = {
  start: { jobs: [], next: 0, isPaused: false },
  keyOf: (state) => JSON.stringify(state),
  internal: () => [],
  matches(call, answer, expected) {
    if (call.type === 'claim' && call.besideCancel && (answer as unknown[]).length === 0) return true
    return JSON.stringify(answer) === JSON.stringify(expected)
  },
  apply(state, call) {
    switch (call.type) {
      case 'list':
        return {
          answer: state.jobs
            .toSorted((one, two) => two.number - one.number)
            .map(({ id, state, made }) => shownOf(id, state, made)),
          next: state
        }
      case 'counts':
        return { answer: countsIn(state), next: state }
      case 'pause':
      case 'resume': {
        const next = { ...state, isPaused: call.type === 'pause' }
        return { answer: countsIn(next), next }
      }
      case 'claim': {
        const [first] = state.jobs
          .filter((job) => job.state === 'ready')
          .toSorted((one, two) => one.number - two.number)
        if (first === undefined || state.isPaused) return { answer: [], next: state }
        const made = first.made + 1
        return { answer: [attemptOf(first.id, made)], next: changed(state, { ...first, state: 'running', made }) }
      }
      case 'settle': {
        const job = state.jobs.find(({ id, made }) => call.claimed === attemptOf(id, made))
        if (job?.state !== 'running') return { answer: false, next: state }
        return { answer: true, next: changed(state, { ...job, state: 'completed' }) }
      }
      case 'enqueue':
        return enqueued(state, call.id, call.form)
      default:
        return ofJob(state, call.type, call.id)
    }
  }
}

function ofJob(state: QueueState, type: 'cancel' | 'retry' | 'remove' | 'get', id: string) {
  const job = state.jobs.find((each) => each.id === id)
  if (job === undefined) return { answer: 'JOB_UNKNOWN', next: state }
  switch (type) {
    case 'get':
      return { answer: shownOf(id, job.state, job.made), next: state }
    case 'remove':
      if (job.state === 'running') return { answer: 'JOB_STATE', next: state }
      return { answer: 'done', next: { ...state, jobs: state.jobs.filter((each) => each !== job) } }
    case 'cancel':
      if (isFinal(job.state)) return { answer: `${job.state} as before`, next: state }
      return { answer: 'cancelled', next: changed(state, { ...job, state: 'cancelled' }) }
    case 'retry':
      if (job.state === 'ready' || job.state === 'running') return { answer: 'JOB_STATE', next: state }
      return { answer: 'ready', next: changed(state, { ...job, state: 'ready' }) }
  }
}

function enqueued(state: QueueState, id: string, form: 'refuse' | 'unfinished') {
  const job = state.jobs.find((each) => each.id === id)
  if (job !== undefined && form === 'refuse') return { answer: 'JOB_EXISTS', next: state }
  if (job !== undefined && !isFinal(job.state)) return { answer: `${job.state} as before`, next: state }
  const others = state.jobs.filter((each) => each !== job)
  const made: Job = { id, number: state.next, state: 'ready', made: 0 }
  return { answer: 'ready', next: { ...state, jobs: [...others, made], next: state.next + 1 } }
}

function changed(state: QueueState, job: Job): QueueState {
  return { ...state, jobs: state.jobs.map((each) => (each.id === job.id ? job : each)) }
}

function isFinal(state: JobState): boolean {
  return state === 'completed' || state === 'failed' || state === 'cancelled'
}
