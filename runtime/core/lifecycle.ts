/**
 * The life of a job: state × event → state. Nothing else in the system decides what may follow what; `queue/` performs
 * each arrow as one transaction.
 *
 * ```
 *  enqueue ─► scheduled ──due──► ready ──claim──► running ──► completed | failed | cancelled
 *                 ▲                ▲                 │
 *                 └── retryLater ──┴── interrupt ────┘
 * ```
 *
 * A job that depends on others is scheduled without a time until they have finished.
 */
export const jobStates = ['scheduled', 'ready', 'running', 'completed', 'failed', 'cancelled'] as const
export type JobState = (typeof jobStates)[number]

/** Nothing more happens unless a user asks for it. */
export const finishedStates = ['completed', 'failed', 'cancelled'] as const
export type FinishedState = (typeof finishedStates)[number]

/**
 * - `due`: its time has come · `release`, `postpone`: the jobs it depends on have finished, and its time has come, or has not
 * - `claim`: a dispatcher takes it · `complete`: the method returned
 * - `retryLater`: the attempt ended, another follows at a time · `suspend`: it sleeps, or waits for a signal
 * - `fail`: the attempt ended, none follows; or a job that it depends on did not complete
 * - `interrupt`: the supervisor stopped or died under it; not the job's fault
 * - `cancel`, `retry`: asked for by a user; a retry brings a scheduled job forward and starts a finished one again
 */
export type LifecycleEvent =
  | 'due'
  | 'release'
  | 'postpone'
  | 'claim'
  | 'complete'
  | 'retryLater'
  | 'suspend'
  | 'fail'
  | 'interrupt'
  | 'cancel'
  | 'retry'

export const lifecycle: Readonly<Record<JobState, Partial<Record<LifecycleEvent, JobState>>>> = {
  scheduled: {
    due: 'ready',
    release: 'ready',
    postpone: 'scheduled',
    retry: 'ready',
    fail: 'failed',
    cancel: 'cancelled'
  },
  ready: { claim: 'running', cancel: 'cancelled' },
  running: {
    complete: 'completed',
    retryLater: 'scheduled',
    suspend: 'scheduled',
    fail: 'failed',
    interrupt: 'ready',
    cancel: 'cancelled'
  },
  completed: { retry: 'ready' },
  failed: { retry: 'ready' },
  cancelled: { retry: 'ready' }
}

export function isFinished(state: JobState): state is FinishedState {
  return state === 'completed' || state === 'failed' || state === 'cancelled'
}
