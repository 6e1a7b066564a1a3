/**
 * The inside of a thread: Piscina calls the default export once per job, never for two at a time.
 *
 * Whatever the job does, it comes to exactly one plain {@link Outcome}, unless the thread ends. Before the thread is given
 * back, one turn of the event loop passes: an error that nobody handles still counts against the job that caused it. If
 * the job left something behind that does not end by itself, its log says so, and the thread asks to be retired and waits for
 * its end, so that no other job pays for it. What cannot be seen then, such as a timer without a reference, is known by
 * its job when it fails later (blame.ts).
 */
import { readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import type { Context } from '../core/context.ts'
import type { ActorFunction } from '../core/method-types.ts'
import type { JobMessage, Outcome } from '../core/pool.ts'
import { asJob, endJob } from './blame.ts'
import { createContext } from './context.ts'
import { activeResources, comesToRest, isAtRest, leftBehind, turn } from './leftovers.ts'
import { loadModule } from './load.ts'
import type { TaskValue, ThreadMessage, ThreadTask } from './messages.ts'
import { sendOutputTo } from './output.ts'
import { resultOutcome } from './result.ts'
import { thrownOutcome } from './thrown.ts'

/** This thread, as the kernel counts; where it says so. */
const taskId = readTaskId()

export default async function runTask({ job, port }: ThreadTask): Promise<TaskValue> {
  const tell = (message: ThreadMessage) => port.postMessage(message)
  tell({ type: 'started', taskId })
  // Inherited by whatever the job starts, so that it can be found and ended with the job.
  process.env.ACTOR_RUNTIME_JOB = job.id
  const { ctx, finish } = createContext(job, tell)
  const endOutput = sendOutputTo(ctx.log)
  let before = activeResources()
  let outcome: Outcome
  try {
    const method = await findMethod(job)
    before = activeResources()
    outcome = await asJob(job, () => call(method, job, ctx, tell))
  } catch (error) {
    outcome = thrownOutcome(error)
  }
  await turn()
  endOutput()
  const leaks = isAtRest(before) || (await comesToRest(before)) ? [] : leftBehind(before)
  if (leaks.length > 0) ctx.log.warn(`The job left behind: ${leaks.join(', ')}. Its thread is replaced.`)
  finish()
  const isSpoiled = endJob()
  if (leaks.length === 0 && !isSpoiled) return outcome
  tell({ type: 'outcome', outcome })
  tell({ type: 'retire' })
  // The thread ends while it waits here, so no other job gets it.
  return new Promise(() => {})
}

async function findMethod(job: JobMessage): Promise<ActorFunction> {
  const name = job.method.slice(job.method.lastIndexOf('.') + 1)
  const module = await loadModule(job.file)
  const method = Object.hasOwn(module, name) ? module[name] : undefined
  if (typeof method === 'function') return method as ActorFunction
  const error = new Error(`Cannot run "${job.method}": ${job.file} no longer exports a function "${name}"`)
  error.name = 'MethodUnknown'
  throw error
}

async function call(
  method: ActorFunction,
  { params, startIsCounted }: JobMessage,
  ctx: Context,
  tell: (message: ThreadMessage) => void
): Promise<Outcome> {
  const first = JSON.parse(params)
  if (startIsCounted) tell({ type: 'called' })
  return resultOutcome(await method(first, ctx))
}

function readTaskId(): number | null {
  try {
    return Number(basename(readlinkSync('/proc/thread-self')))
  } catch {
    return null
  }
}
