/** What the queue says when it refuses. */
import type { QueueConfig } from '../core/config.ts'
import { RuntimeError } from '../core/errors.ts'
import type { JournalEntry } from '../core/journal.ts'
import type { JobState } from '../core/lifecycle.ts'
import { jobsPerCompletionMax, journalBytesMax } from '../core/limits.ts'

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

export function tooManyJobs(jobs: number): RuntimeError {
  return new RuntimeError(
    'PARAMS_INVALID',
    `Cannot enqueue ${jobs} jobs at once from a job: at most ${jobsPerCompletionMax} are allowed. Enqueue them in several calls.`,
    { jobs, jobsMax: jobsPerCompletionMax }
  )
}

/** An attempt asks for something, and is over. */
export function attemptOver(id: string, attempt: number): RuntimeError {
  return new RuntimeError(
    'JOB_STATE',
    `Cannot go on with attempt ${attempt} of job "${id}": it is over, because the job was cancelled, removed or interrupted meanwhile.`,
    { id, attempt }
  )
}

/** @param kept what the journal has there; undefined: nothing */
export function notInJournal(
  id: string,
  attempted: string,
  call: Pick<JournalEntry, 'index' | 'kind'> & { name?: string },
  kept: JournalEntry | undefined
): RuntimeError {
  const name = call.name === undefined ? '' : ` "${call.name}"`
  const there = kept === undefined ? 'has nothing there' : `has ${kept.kind} "${kept.name}" there`
  return new RuntimeError(
    'JOB_STATE',
    `Cannot ${attempted} ${call.kind}${name} of job "${id}": it is call ${call.index} of the method, and the journal ${there}. A method must call its steps in the same order in every attempt.`,
    { id, index: call.index }
  )
}

export function journalFull(attempted: string, keptBytes: number, bytes: number): RuntimeError {
  return new RuntimeError(
    'PAYLOAD_TOO_LARGE',
    `Cannot ${attempted}: results of steps and signals of the job take ${keptBytes} bytes as JSON, and with these ${bytes} more than the ${journalBytesMax} that are allowed. Put the data into files and keep their paths.`,
    { keptBytes, bytes, bytesMax: journalBytesMax }
  )
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
