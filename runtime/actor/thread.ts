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
import { failPoint } from '../core/fail-points.ts'
import type { ActorFunction } from '../core/method-types.ts'
import type { JobMessage, Outcome } from '../core/pool.ts'
import { asJob, endJob } from './blame.ts'
import { createContext, type JobContext } from './context.ts'
import { callDocument, findDocumentClass } from './document.ts'
import { activeResources, comesToRest, isAtRest, leftBehind, turn } from './leftovers.ts'
import { loadModule } from './load.ts'
import type { TaskValue, ThreadMessage, ThreadTask } from './messages.ts'
import { sendOutputTo } from './output.ts'
import { Questions } from './questions.ts'
import { resultOutcome } from './result.ts'
import { thrownOutcome } from './thrown.ts'

/** This thread, as the kernel counts; where it says so. */
const taskId = readTaskId()

export default async function runTask({ job, port }: ThreadTask): Promise<TaskValue> {
  const tell = (message: ThreadMessage) => port.postMessage(message)
  tell({ type: 'started', taskId })
  // Inherited by whatever the job starts, so that it can be found and ended with the job.
  process.env.ACTOR_RUNTIME_JOB = job.id
  const questions = new Questions(port)
  const context = createContext(job, tell, questions.ask)
  const { ctx, journal, effects, finish } = context
  const endOutput = sendOutputTo(ctx.log)
  let before = activeResources()
  let outcome: Outcome
  try {
    const call = await prepareCall(job, context, questions, tell)
    before = activeResources()
    failPoint('host.calling')
    outcome = await asJob(job, () => journal.outcomeOf(call))
  } catch (error) {
    outcome = thrownOutcome(error)
  }
  failPoint('host.returned')
  questions.close()
  effects.close()
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

/** Imports the module. @returns what calls the method @throws Error `MethodUnknown` */
async function prepareCall(
  job: JobMessage,
  { ctx, effects }: JobContext,
  { ask }: Questions,
  tell: (message: ThreadMessage) => void
): Promise<() => Promise<Outcome>> {
  const { document } = job
  const module = await loadModule(job.file)
  const params = JSON.parse(job.params)
  const called = () => {
    if (job.startIsCounted) tell({ type: 'called' })
  }
  if (document !== undefined) {
    const type = findDocumentClass(job, document, module)
    return () => callDocument({ job, document, type, params, ctx, effects, ask, called })
  }
  const method = findFunction(job, module)
  return async () => {
    called()
    return effects.with(resultOutcome(await method(params, ctx)))
  }
}

function findFunction({ method, file }: JobMessage, module: Readonly<Record<string, unknown>>): ActorFunction {
  const name = method.slice(method.lastIndexOf('.') + 1)
  const found = Object.hasOwn(module, name) ? module[name] : undefined
  if (typeof found === 'function') return found as ActorFunction
  const error = new Error(`Cannot run "${method}": ${file} no longer exports a function "${name}"`)
  error.name = 'MethodUnknown'
  throw error
}

function readTaskId(): number | null {
  try {
    return Number(basename(readlinkSync('/proc/thread-self')))
  } catch {
    return null
  }
}
