/** The options by which commands choose jobs. */
import type { JobErrorCode } from '../core/errors.ts'
import type { JobSelection } from '../core/job.ts'
import type { JobState } from '../core/lifecycle.ts'
import { present } from './present.ts'

export interface SelectionOptions {
  queue?: string
  state?: JobState
  method?: string
  name?: string
  key?: string
  errorCode?: JobErrorCode
  since?: string | number
  until?: string | number
  text?: string
}

export function selectionOf(options: SelectionOptions): JobSelection {
  const { queue, state, method, name, key, errorCode, since, until, text } = options
  return present({ queue, state, method, jobName: name, key, errorCode, since, until, text })
}
