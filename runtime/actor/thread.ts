/**
 * The inside of a thread: Piscina calls the default export once per job, never for two at a time.
 *
 * Whatever the job does, it comes to exactly one plain {@link Outcome}, unless the thread ends. Before the thread is given
 * back, one turn of the event loop passes: an error that nobody handles still counts against the job that caused it. If
 * the job left something behind that does not end by itself, the thread asks to be retired and waits for its end, so that
 * no other job pays for it.
 */
import type { MessagePort } from 'node:worker_threads'
import type { ActorFunction } from '../core/api.ts'
import type { Context } from '../core/context.ts'
import type { JobMessage, Outcome } from '../core/pool.ts'
import { createContext } from './context.ts'
import { activeResources, comesToRest, isAtRest, turn } from './leftovers.ts'
import { loadModule } from './load.ts'
import type { TaskValue, ThreadMessage, ThreadTask } from './messages.ts'
import { sendOutputTo } from './output.ts'
import { resultOutcome } from './result.ts'
import { thrownOutcome } from './thrown.ts'

export default async function runTask({ job, file, port }: ThreadTask): Promise<TaskValue> {
  const tell = (message: ThreadMessage) => port.postMessage(message)
  tell({ type: 'started' })
  const { ctx, finish } = createContext(job, tell)
  const endOutput = sendOutputTo(ctx.log)
  let before = activeResources()
  let outcome: Outcome
  try {
    const method = await findMethod(job, file)
    before = activeResources()
    outcome = await call(method, job, ctx)
  } catch (error) {
    outcome = thrownOutcome(error)
  }
  await turn()
  endOutput()
  finish()
  return isAtRest(before) ? outcome : await leave(outcome, before, port)
}

async function findMethod(job: JobMessage, file: string): Promise<ActorFunction> {
  const name = job.method.slice(job.method.lastIndexOf('.') + 1)
  const module = await loadModule(file)
  const method = Object.hasOwn(module, name) ? module[name] : undefined
  if (typeof method === 'function') return method as ActorFunction
  const error = new Error(`Cannot run "${job.method}": ${file} no longer exports a function "${name}"`)
  error.name = 'MethodUnknown'
  throw error
}

async function call(method: ActorFunction, job: JobMessage, ctx: Context): Promise<Outcome> {
  return resultOutcome(await method(JSON.parse(job.params), ctx))
}

/** The outcome is told first: the job has ended, only its thread has not. */
async function leave(outcome: Outcome, before: ReturnType<typeof activeResources>, port: MessagePort): Promise<null> {
  const tell = (message: ThreadMessage) => port.postMessage(message)
  tell({ type: 'outcome', outcome })
  if (await comesToRest(before)) return null
  tell({ type: 'retire' })
  return new Promise(() => {})
}
