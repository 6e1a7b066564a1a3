/** What the queue says when it refuses. */
import type { QueueConfig } from '../core/config.ts'
import { RuntimeError } from '../core/errors.ts'
import type { JobState } from '../core/lifecycle.ts'

export function idInUse(id: string, state: JobState | undefined): RuntimeError {
  const holder = state === undefined ? 'another job of the same call has it' : `a ${state} job has it`
  return new RuntimeError(
    'JOB_EXISTS',
    `Cannot enqueue under the id "${id}": ${holder}. Choose another id, remove that job, or ask for deduplicate.`,
    { id, ...(state === undefined ? {} : { state }) }
  )
}

export function queueFull({ name, maxQueued }: QueueConfig, attempted: string): RuntimeError {
  return new RuntimeError(
    'QUEUE_FULL',
    `Cannot ${attempted}: the queue "${name}" holds its maximum of ${maxQueued} waiting jobs. Try again later, or raise maxQueued.`,
    { queue: name, maxQueued }
  )
}

export function quotaReached(attempted: string, usedBytes: number, maxStoreBytes: number): RuntimeError {
  return new RuntimeError(
    'STORAGE_FULL',
    `Cannot ${attempted}: the store uses ${usedBytes} of the ${maxStoreBytes} bytes that maxStoreBytes allows. Nothing of the request was stored. Remove jobs, keep finished ones for a shorter time (retention), or raise maxStoreBytes.`,
    { usedBytes, maxStoreBytes }
  )
}

export function parentUnknown(id: string): RuntimeError {
  return new RuntimeError(
    'JOB_UNKNOWN',
    `Cannot enqueue a job that depends on "${id}": no job has this id. It may have been removed.`,
    { id }
  )
}

export function dependsInACircle(indexes: readonly number[]): RuntimeError {
  return new RuntimeError(
    'PARAMS_INVALID',
    `Cannot enqueue: the jobs ${indexes.map((index) => `jobs[${index}]`).join(', ')} depend on each other in a circle, so none could ever start.`,
    { indexes }
  )
}

export function tooManyLinks(links: number, linksMax: number): RuntimeError {
  return new RuntimeError(
    'PARAMS_INVALID',
    `Cannot enqueue: the jobs of the call depend on ${links} jobs together, at most ${linksMax} are allowed. Put a job in between that depends on a part of them.`,
    { links, linksMax }
  )
}

export function wrongState(attempted: string, id: string, state: JobState, advice: string): RuntimeError {
  return new RuntimeError('JOB_STATE', `Cannot ${attempted} job "${id}": it is ${state}. ${advice}`, { id, state })
}

/** Runs `check`; where it refuses one of several jobs, the refusal says which. */
export function saysWhich<T>(jobs: readonly unknown[], index: number, check: () => T): T {
  if (jobs.length === 1) return check()
  try {
    return check()
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error
    throw new RuntimeError(error.code, `jobs[${index}]: ${error.message}`, { ...error.data, index })
  }
}
