import type { JobLogLine } from '../core/job.ts'
import type { JobMessage } from '../core/pool.ts'
import type { Standing } from '../store/records.ts'
import type { Ending } from './attempts.ts'

/** A job that is now running; `seq` and `attempt` name this attempt when it is settled. */
export interface ClaimedJob extends Omit<JobMessage, 'file'> {
  seq: number
}

/** How an attempt ended, and what it said. */
export interface AttemptEnd {
  job: ClaimedJob
  ending: Ending
  trace: AttemptTrace
}

/** What an attempt said while it ran. */
export interface AttemptTrace {
  progress: Standing['progress']
  logs: JobLogLine[]
}
