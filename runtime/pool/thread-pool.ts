/**
 * Threads on one Piscina: inside a host process, or in the supervisor's own for a queue with `isolation: inline`.
 *
 * A run is one attempt of one job, from `run` to its outcome or its kill. A run is current while the map holds it under
 * its job's id; only of current runs anything is told. So what a killed thread still says, and a second attempt of the
 * same job, cannot be mixed up: they are other objects with other ports.
 *
 * Killing ends the processes that the job has started and aborts its task; Piscina terminates the thread and starts
 * another in its place. A thread in a native call does not end: it is `stuck`, and only the end of the process ends it. A
 * job without any outcome of its own, because its thread ended, gets the reason of that end as its outcome.
 *
 * The job of a document goes to the free thread that ran the document last, if there is one: it may still have the state.
 *
 * `renew` puts a new Piscina in the place of the old one, since a thread never loads a module twice; the old one is
 * destroyed after its last run.
 */
import { strict as assert } from 'node:assert'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { MessageChannel, type MessagePort, receiveMessageOnPort, type Worker } from 'node:worker_threads'
import { Piscina, queueOptionsSymbol } from 'piscina'
import type { TaskValue, ThreadAnswer, ThreadMessage, ThreadTask } from '../actor/messages.ts'
import { threadEndGraceMs } from '../core/limits.ts'
import type { DocumentMessage, JobAnswer, JobMessage, Outcome, Pool, PoolListener } from '../core/pool.ts'
import { DocumentThreads } from './document-threads.ts'
import { inheritedFlags } from './inherited-flags.ts'
import { hasUnreapedChildren, killChildrenOfThread, killProcessesOfJob } from './job-processes.ts'
import { threadEndOutcome } from './thread-end.ts'

export interface ThreadPoolOptions {
  /** Name of the queue, for messages. */
  queue: string
  /** Jobs that run at a time, from 1. */
  threads: number
  listener: PoolListener
  /** Heap that one thread may use; null: Node's own limit. */
  heapLimitMb: number | null
  /** Flags of Node for the threads; undefined: those of this process. */
  execArgv?: string[] | undefined
  /** Environment of the threads; undefined: that of this process. */
  env?: Record<string, string> | undefined
  /**
   * Only the end of this process cleans up: a killed thread has not ended in time, and may never; or it has, and its dead
   * children remain; or so many threads have ended that what each may have left adds up.
   */
  stuck?(): void
}

interface Run {
  readonly job: JobMessage
  readonly port: MessagePort
  readonly abort: AbortController
  readonly piscina: Piscina
  taskId: number | null
  /** Questions without an answer: the number that the thread gave, by the one that the listener was told. */
  questions: Map<number, number> | undefined
}

/** A thread that ends while a file is being opened for it leaves the descriptor open, and memory is never quite given back. */
const threadEndsPerProcessMax = 100
/** A killed process is gone by then. */
const processEndGraceMs = 50
const threadEntry = fileURLToPath(new URL('../actor/thread.js', import.meta.url))

export class ThreadPool implements Pool {
  readonly #options: ThreadPoolOptions
  readonly #current = new Map<string, Run>()
  /** Threads that have not ended, killed ones included, each with a promise of its end. */
  readonly #threads = new Map<Worker, Promise<void>>()
  #threadEnds = 0
  #questions = 0
  /** Renewed, but still running a job. */
  readonly #outdated = new Set<Piscina>()
  #piscina: Piscina | undefined
  #stopped: Promise<void> | undefined

  constructor(options: ThreadPoolOptions) {
    this.#options = options
  }

  start(): void {
    this.#piscina ??= this.#open()
  }

  run(jobs: readonly JobMessage[]): void {
    for (const job of jobs) this.#run(job)
  }

  #run(job: JobMessage): void {
    const { queue } = this.#options
    assert(this.#stopped === undefined, `The pool of queue "${queue}" was given job ${job.id} after its stop`)
    assert(!this.#current.has(job.id), `The pool of queue "${queue}" was given job ${job.id} while it runs`)
    this.#piscina ??= this.#open()
    const { port1, port2 } = new MessageChannel()
    const run: Run = {
      job,
      port: port1,
      abort: new AbortController(),
      piscina: this.#piscina,
      taskId: null,
      questions: undefined
    }
    this.#current.set(job.id, run)
    port1.on('message', (message: ThreadMessage) => this.#hear(run, message))
    const task: ThreadTask = { job, port: port2 }
    if (job.document !== undefined) Object.assign(task, { [queueOptionsSymbol]: job.document })
    const ended: Promise<TaskValue> = run.piscina.run(task, { transferList: [port2], signal: run.abort.signal })
    ended.then(
      (value) => this.#end(run, value ?? threadEndOutcome(undefined)),
      (reason) => this.#end(run, threadEndOutcome(reason))
    )
  }

  kill(id: string): void {
    const run = this.#current.get(id)
    if (run === undefined) return
    this.#current.delete(id)
    run.port.close()
    if (run.taskId !== null) killChildrenOfThread(run.taskId)
    run.abort.abort()
    void this.#watchEnd(run)
    this.#dropIfUnused(run.piscina)
  }

  answer(id: string, number: number, answer: JobAnswer): void {
    const run = this.#current.get(id)
    const asked = run?.questions?.get(number)
    if (run === undefined || asked === undefined) return
    run.questions?.delete(number)
    run.port.postMessage({ number: asked, answer } satisfies ThreadAnswer)
  }

  renew(): void {
    const old = this.#piscina
    if (old === undefined) return
    this.#piscina = undefined
    this.#outdated.add(old)
    this.#dropIfUnused(old)
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  /** Jobs that run. */
  get running(): readonly string[] {
    return [...this.#current.keys()]
  }

  get #piscinas(): Piscina[] {
    return [...this.#outdated, ...(this.#piscina === undefined ? [] : [this.#piscina])]
  }

  #hear(run: Run, message: ThreadMessage): void {
    if (message.type === 'retire') {
      if (run.taskId !== null) killChildrenOfThread(run.taskId)
      run.abort.abort()
      return
    }
    if (!this.#isCurrent(run)) return
    const { listener } = this.#options
    const { id } = run.job
    if (message.type === 'started') {
      run.taskId = message.taskId
      listener.started(id, 0)
    } else if (message.type === 'called') listener.called(id)
    else if (message.type === 'progress') listener.progress(id, message.percent, message.stage)
    else if (message.type === 'log') listener.log(id, message.line)
    else if (message.type === 'asked') {
      this.#questions += 1
      run.questions ??= new Map()
      run.questions.set(this.#questions, message.number)
      listener.asked(id, this.#questions, message.question)
    } else this.#settle(run, message.outcome)
  }

  /** The task is over. What the job said before that may still wait in the port: two channels have no common order. */
  #end(run: Run, outcome: Outcome): void {
    for (let next = receiveMessageOnPort(run.port); next !== undefined; next = receiveMessageOnPort(run.port)) {
      this.#hear(run, next.message as ThreadMessage)
    }
    run.port.close()
    this.#settle(run, outcome)
  }

  #settle(run: Run, outcome: Outcome): void {
    if (!this.#isCurrent(run)) return
    this.#current.delete(run.job.id)
    this.#options.listener.outcomes([{ id: run.job.id, outcome }])
    this.#dropIfUnused(run.piscina)
  }

  #isCurrent(run: Run): boolean {
    return this.#current.get(run.job.id) === run
  }

  /** After a kill: its thread must be gone within the grace period, and what the job started in its last moment as well. */
  async #watchEnd({ job, taskId }: Run): Promise<void> {
    const alive = this.#piscinas.flatMap(({ threads }) => threads)
    const killed = [...this.#threads].filter(([thread]) => !alive.includes(thread))
    const ends = Promise.all(killed.map(([, ended]) => ended))
    const inTime = await Promise.race([
      ends.then(() => terminateEndsThreads),
      setTimeout(threadEndGraceMs, false, { ref: false })
    ])
    if (!inTime) this.#options.stuck?.()
    if (taskId === null) return
    killProcessesOfJob(job.id)
    await setTimeout(processEndGraceMs, undefined, { ref: false })
    if (hasUnreapedChildren()) this.#options.stuck?.()
  }

  #open(): Piscina {
    const { threads, heapLimitMb, execArgv, env } = this.#options
    const ready = new Set<number>()
    const documents = new DocumentThreads()
    const piscina = new Piscina({
      filename: threadEntry,
      minThreads: threads,
      maxThreads: threads,
      concurrentTasksPerWorker: 1,
      recordTiming: false,
      // Piscina's own choice includes threads that are still starting: a job would wait there while another is free, and
      // a kill there would be taken for a thread that cannot start, after which dead threads are no longer replaced.
      loadBalancer: (task, candidates) => {
        const isFree = ({ id, currentUsage }: { id: number; currentUsage: number }) =>
          currentUsage === 0 && ready.has(id)
        const document = task[queueOptionsSymbol] as DocumentMessage | null
        if (document === null) return candidates.find(isFree) ?? null
        const last = documents.lastOf(document)
        const chosen = candidates.find((thread) => thread.id === last && isFree(thread)) ?? candidates.find(isFree)
        if (chosen !== undefined) documents.note(document, chosen.id)
        return chosen ?? null
      },
      ...(heapLimitMb === null ? {} : { resourceLimits: { maxOldGenerationSizeMb: heapLimitMb } }),
      ...(execArgv === undefined ? inheritedFlags() : { execArgv }),
      ...(env === undefined ? {} : { env })
    })
    piscina.on('workerCreate', ({ id }: { id: number }) => {
      ready.add(id)
      this.#watch(piscina)
    })
    piscina.on('workerDestroy', ({ id }: { id: number }) => ready.delete(id))
    piscina.on('error', (error: unknown) => this.#threadFailed(piscina, error))
    this.#watch(piscina)
    return piscina
  }

  #watch(piscina: Piscina): void {
    for (const thread of piscina.threads) {
      if (this.#threads.has(thread)) continue
      const ended = new Promise<void>((resolve) => {
        thread.once('exit', () => {
          this.#threads.delete(thread)
          resolve()
          this.#threadEnds += 1
          if (this.#threadEnds % threadEndsPerProcessMax === 0) this.#options.stuck?.()
        })
      })
      this.#threads.set(thread, ended)
    }
  }

  /**
   * A thread without a job ended. Piscina replaces it, unless threads do not even start: then jobs would wait in it for
   * ever, so they fail with the reason, and the next job begins with a new Piscina.
   */
  #threadFailed(piscina: Piscina, error: unknown): void {
    if (piscina.threads.length > 0 || this.#piscina !== piscina) return
    this.#piscina = undefined
    for (const run of [...this.#current.values()]) this.#end(run, threadEndOutcome(error))
    void piscina.destroy()
  }

  #dropIfUnused(piscina: Piscina): void {
    if (!this.#outdated.has(piscina)) return
    if ([...this.#current.values()].some((run) => run.piscina === piscina)) return
    this.#outdated.delete(piscina)
    void destroy(piscina)
  }

  async #stop(): Promise<void> {
    for (const { port } of this.#current.values()) port.close()
    this.#current.clear()
    const piscinas = this.#piscinas
    await Promise.all(piscinas.map((piscina) => piscina.destroy()))
    // A thread in a native call may never end; it must not keep its supervisor from stopping.
    await Promise.race([Promise.all(this.#threads.values()), setTimeout(threadEndGraceMs, undefined, { ref: false })])
    await Promise.all(piscinas.map(destroy))
  }
}

/** On Deno the promise of `terminate` tells nothing: a thread that spins goes on for ever. Only the process can end it. */
const terminateEndsThreads = process.versions.deno === undefined && process.versions.bun === undefined

/** The late end of a thread that was killed before makes Piscina start another one, also after `destroy`. */
async function destroy(piscina: Piscina): Promise<void> {
  await piscina.destroy()
  while (piscina.threads.length > 0) await piscina.destroy()
}
