/**
 * The life of a job: state × event → state. Nothing else in the system decides what may follow what; `queue/` performs
 * each arrow as one transaction.
 *
 * ```
 *  enqueue ─► scheduled ──due──► ready ──claim──► running ──► completed | failed | cancelled
 *                 ▲                ▲                 │
 *                 └── retryLater ──┴── interrupt ────┘
 * ```
 */
export const jobStates = ['scheduled', 'ready', 'running', 'completed', 'failed', 'cancelled'] as const
export type JobState = (typeof jobStates)[number]

/**
 * - `due`: its time has come · `claim`: a dispatcher takes it · `complete`: the method returned
 * - `retryLater`: the attempt ended, another follows at a time · `fail`: the attempt ended, none follows
 * - `interrupt`: the supervisor stopped or died under it; not the job's fault
 * - `cancel`, `retry`: asked for by a user; a retry brings a scheduled job forward and starts a finished one again
 */
export type LifecycleEvent = 'due' | 'claim' | 'complete' | 'retryLater' | 'fail' | 'interrupt' | 'cancel' | 'retry'

export const lifecycle: Readonly<Record<JobState, Partial<Record<LifecycleEvent, JobState>>>> = {
  scheduled: { due: 'ready', retry: 'ready', cancel: 'cancelled' },
  ready: { claim: 'running', cancel: 'cancelled' },
  running: {
    complete: 'completed',
    retryLater: 'scheduled',
    fail: 'failed',
    interrupt: 'ready',
    cancel: 'cancelled'
  },
  completed: { retry: 'ready' },
  failed: { retry: 'ready' },
  cancelled: { retry: 'ready' }
}

/** Completed, failed, cancelled: nothing more happens unless a user asks for it. */
export function isFinished(state: JobState): boolean {
  return state === 'completed' || state === 'failed' || state === 'cancelled'
}
