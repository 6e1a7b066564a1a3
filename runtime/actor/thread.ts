/**
 * The inside of a thread: Piscina calls the default export with one frame of jobs after the other; its jobs run one by one.
 *
 * Between the end of a method and the end of its job microtasks run and Node looks for rejections that nobody handles: such an
 * error still counts against the job that caused it. A turn of the event loop does that, and costs more than most jobs; but Node does it
 * between two immediates as well. So **steps** are set ahead, many immediates at a time, and each of them ends a job and begins
 * the next one, if there is an outcome by then.
 *
 * If a job left something behind that does not end by itself, its log says so, and the thread asks to be retired and begins
 * nothing more, so that no other job pays for it. What cannot be seen then, such as a timer without a reference, is
 * known by its job when it fails later (blame.ts).
 */
import { readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import { MessageChannel, parentPort } from 'node:worker_threads'
import { FrameMemory } from '../core/frame-memory.ts'
import type { ActorFunction } from '../core/method-types.ts'
import { jobAt } from '../core/packed-jobs.ts'
import type { JobMessage, Outcome } from '../core/pool.ts'
import { Attempt } from './attempt.ts'
import { asNobody, endJob, isDoomed } from './blame.ts'
import { findDocumentClass } from './document.ts'
import { activeResources, leftAfterRest, leftBehind, type Resources } from './leftovers.ts'
import { loadModule } from './load.ts'
import type { FrameTask, JobWord, ThreadHello, ThreadMessage } from './messages.ts'
import { endOutput, sendOutputTo } from './output.ts'
import { Questions } from './questions.ts'

/** So many steps are set at a time, at most: meanwhile nothing else of the event loop happens. */
const stepsAtOnceMax = 32

const { port1: port, port2 } = new MessageChannel()
const memory = new FrameMemory()
const questions = new Questions(port)
parentPort?.postMessage({ port: port2, memory: memory.buffer, taskId: readTaskId() } satisfies ThreadHello, [port2])

/** Functions that have been called, by method. A thread never loads a module twice, so they stay what they are. */
const functions = new Map<string, { file: string; method: ActorFunction }>()

let frame: Frame | undefined
/** That are set and have not come. */
let steps = 0
/** Doubles as long as each of them finds a job that has ended. */
let stepsAtOnce = 1

export default function runFrame(task: FrameTask): Promise<void> {
  return new Promise((resolve) => {
    frame = new Frame(task, resolve)
    frame.next()
  })
}

function step(): void {
  steps -= 1
  if (frame?.conclude() !== true) stepsAtOnce = 1
}

function setSteps(count: number): void {
  steps = count
  for (let left = count; left > 0; left--) setImmediate(step)
}

function resources(): Resources {
  return activeResources(steps)
}

class Frame {
  readonly #task: FrameTask
  readonly #count: number
  readonly #end: () => void
  #index = 0
  #attempt: Attempt | undefined
  /** What there was before the method of the attempt was called. */
  #before = resources()
  #isResting = false

  constructor(task: FrameTask, end: () => void) {
    this.#task = task
    this.#count = 'job' in task ? 1 : task.jobs.ids.length
    this.#end = end
    memory.begin()
  }

  /** Begins a job, if one is left. */
  next(): void {
    const index = memory.take()
    if (index >= this.#count) {
      this.#end()
      return
    }
    const task = this.#task
    const job = 'job' in task ? task.job : jobAt(task.jobs, index)
    const tell = (word: JobWord) => this.#tell(index, word)
    const attempt = new Attempt({ job, tell, questions, settled: () => this.#settled() })
    this.#index = index
    this.#attempt = attempt
    // Inherited by whatever the job starts, so that it can be found and ended with the job.
    process.env.ACTOR_RUNTIME_JOB = job.id
    sendOutputTo(attempt)
    const known = functions.get(job.method)
    if (known !== undefined && known.file === job.file && job.document === undefined) attempt.callFunction(known.method)
    else void this.#loadAndCall(attempt)
  }

  /** Ends the current job. @returns whether there is one that can be ended */
  conclude(): boolean {
    const attempt = this.#attempt
    if (attempt?.outcome === undefined || this.#isResting || isDoomed()) return false
    const now = resources()
    const before = this.#before
    this.#before = now
    if (leftBehind(before, now).length === 0) this.#finish(attempt, attempt.outcome, [])
    else void this.#rest(attempt, attempt.outcome, before)
    return true
  }

  async #loadAndCall(attempt: Attempt): Promise<void> {
    const { job } = attempt
    try {
      const module = await loadModule(job.file)
      const method = job.document === undefined ? findFunction(job, module) : undefined
      // What a module keeps alive belongs to no job.
      this.#before = resources()
      if (method === undefined) attempt.callDocument(findDocumentClass(job, job.document!, module))
      else {
        functions.set(job.method, { file: job.file, method })
        attempt.callFunction(method)
      }
    } catch (error) {
      attempt.fail(error)
    }
  }

  #settled(): void {
    if (steps > 0) return
    stepsAtOnce = Math.min(stepsAtOnce * 2, stepsAtOnceMax)
    asNobody(setSteps, Math.min(stepsAtOnce, this.#count - this.#index))
  }

  async #rest(attempt: Attempt, outcome: Outcome, before: Resources): Promise<void> {
    this.#isResting = true
    const left = await leftAfterRest(before, resources)
    if (isDoomed()) return
    this.#isResting = false
    this.#before = resources()
    this.#finish(attempt, outcome, left)
  }

  #finish(attempt: Attempt, outcome: Outcome, left: readonly string[]): void {
    endOutput()
    if (left.length > 0) attempt.log.warn(`The job left behind: ${left.join(', ')}. Its thread is replaced.`)
    attempt.finish()
    const isSpoiled = endJob()
    this.#attempt = undefined
    this.#deliver(outcome)
    if (left.length === 0 && !isSpoiled) this.next()
    // The thread ends while it waits, so no other job gets it.
    else this.#tell(this.#index, { type: 'retire' })
  }

  #deliver(outcome: Outcome): void {
    const isPlain = outcome.type === 'completed' && outcome.effects === undefined
    if (isPlain && memory.complete(this.#index, outcome.result)) return
    this.#tell(this.#index, { type: 'outcome', outcome })
    memory.posted(this.#index)
  }

  #tell(index: number, word: JobWord): void {
    port.postMessage({ frame: this.#task.number, index, ...word } satisfies ThreadMessage)
  }
}

/** @throws Error `MethodUnknown` */
function findFunction({ method, file }: JobMessage, module: Readonly<Record<string, unknown>>): ActorFunction {
  const name = method.slice(method.lastIndexOf('.') + 1)
  const found = Object.hasOwn(module, name) ? module[name] : undefined
  if (typeof found === 'function') return found as ActorFunction
  const error = new Error(`Cannot run "${method}": ${file} no longer exports a function "${name}"`)
  error.name = 'MethodUnknown'
  throw error
}

/** This thread, as the kernel counts; where it says so. */
function readTaskId(): number | null {
  try {
    return Number(basename(readlinkSync('/proc/thread-self')))
  } catch {
    return null
  }
}
