/** Says why a thread ended under its job, from what Piscina rejects the task with. */
import type { JobError } from '../core/job.ts'
import { errorMessageCharsMax, errorStackCharsMax, nameCharsMax } from '../core/limits.ts'
import type { Outcome } from '../core/pool.ts'

/**
 * @param reason an Error with `worker exited with code: N`; or whatever escaped from the job where nothing could catch it,
 * such as an error thrown by a timer, cloned out of the thread; undefined where nothing is known
 */
export function threadEndOutcome(reason: unknown): Outcome {
  return { type: 'failed', error: threadEndError(reason), final: false }
}

function threadEndError(reason: unknown): JobError {
  if (!(reason instanceof Error)) {
    return exited(
      reason === undefined ? 'for an unknown reason' : `because ${text(reason)} was thrown outside its call`
    )
  }
  const code = (reason as { code?: unknown }).code
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') {
    const message = `The thread of the job ran out of memory: ${reason.message}`
    return { code: 'OUT_OF_MEMORY', name: 'OutOfMemory', message }
  }
  const exitCode = /^worker exited with code: (.+)$/.exec(reason.message)?.[1]
  if (exitCode !== undefined) return exited(`by process.exit or the like, with code ${exitCode}`)
  return {
    ...exited(`because an error outside its call was not caught: ${reason.message}`),
    name: reason.name.slice(0, nameCharsMax),
    ...(typeof reason.stack === 'string' && { stack: reason.stack.slice(0, errorStackCharsMax) }),
    ...(typeof code === 'string' && { thrownCode: code.slice(0, nameCharsMax) })
  }
}

function exited(reason: string): JobError {
  const message = `The thread ended in the middle of the job ${reason}`.slice(0, errorMessageCharsMax)
  return { code: 'WORKER_EXITED', name: 'WorkerExited', message }
}

function text(reason: unknown): string {
  return typeof reason === 'object' && reason !== null ? 'an object' : `${typeof reason} ${String(reason)}`
}
