/**
 * Whose error it is that nobody caught. Timers, callbacks and promises carry the job that made them, so an error that an
 * earlier job has left behind, in a timer without a reference for instance, does not fail the job that happens to run when
 * it comes. Such a thread is spoiled: it gets no further job.
 */
import { AsyncLocalStorage } from 'node:async_hooks'

const jobs = new AsyncLocalStorage<object | undefined>()
let current: object | undefined
let spoiled = false
let doomed = false

/** Runs the method of a job; what it leaves behind is known as its own. */
export function asJob<Args extends unknown[]>(job: object, body: (...args: Args) => void, ...args: Args): void {
  current = job
  jobs.run(job, body, ...args)
}

/** For what a job leads to, but does not do itself. */
export function asNobody<Args extends unknown[]>(body: (...args: Args) => void, ...args: Args): void {
  jobs.run(undefined, body, ...args)
}

/** The job has ended. @returns whether an earlier one has spoiled the thread */
export function endJob(): boolean {
  current = undefined
  return spoiled
}

/** An error of the job that runs is about to end the thread. */
export function isDoomed(): boolean {
  return doomed
}

process.on('uncaughtException', judge)

function judge(error: unknown): void {
  // A job that listens itself has decided to live with it.
  if (process.listenerCount('uncaughtException') > 1) return
  const culprit = jobs.getStore()
  if (culprit !== undefined && culprit !== current) {
    spoiled = true
    return
  }
  // Of the job that runs: the thread ends with it, as if nobody had listened, and the pool learns the error.
  doomed = true
  process.off('uncaughtException', judge)
  setImmediate(() => {
    throw error
  })
}
