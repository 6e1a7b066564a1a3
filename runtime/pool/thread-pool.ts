/**
 * The threads of one queue, on one Piscina.
 *
 * A run is one attempt of one job, from `run` to its outcome or its kill. A run is current while the map holds it under
 * its job's id; only of current runs anything is told. So what a killed thread still says, and a second attempt of the
 * same job, cannot be mixed up: they are other objects with other ports.
 *
 * Killing aborts the task, and Piscina terminates the thread and starts another in its place. A job without any outcome of
 * its own, because its thread ended, gets the reason of that end as its outcome.
 */
import { strict as assert } from 'node:assert'
import { fileURLToPath } from 'node:url'
import { MessageChannel, type MessagePort, receiveMessageOnPort, type Worker } from 'node:worker_threads'
import { Piscina } from 'piscina'
import type { TaskValue, ThreadMessage, ThreadTask } from '../actor/messages.ts'
import type { MethodView } from '../core/api.ts'
import type { JobMessage, Outcome, Pool, PoolListener } from '../core/pool.ts'
import { inheritedFlags } from './inherited-flags.ts'
import { threadEndOutcome } from './thread-end.ts'

export interface ThreadPoolOptions {
  /** Name of the queue, for messages. */
  queue: string
  /** Jobs that run at a time, from 1. */
  threads: number
  listener: PoolListener
  /** Where a method is; from the catalogue, never from a caller's text. */
  locate: (method: string) => MethodView | undefined
}

interface Run {
  readonly job: JobMessage
  readonly port: MessagePort
  readonly abort: AbortController
}

const threadEntry = fileURLToPath(new URL('../actor/thread.js', import.meta.url))

export class ThreadPool implements Pool {
  readonly #options: ThreadPoolOptions
  readonly #current = new Map<string, Run>()
  /** Threads that have not ended, killed ones included, each with a promise of its end. */
  readonly #threads = new Map<Worker, Promise<void>>()
  #piscina: Piscina | undefined
  #stopped: Promise<void> | undefined

  constructor(options: ThreadPoolOptions) {
    this.#options = options
  }

  run(job: JobMessage): void {
    const { queue, locate } = this.#options
    assert(this.#stopped === undefined, `The pool of queue "${queue}" was given job ${job.id} after its stop`)
    assert(!this.#current.has(job.id), `The pool of queue "${queue}" was given job ${job.id} while it runs`)
    const { port1, port2 } = new MessageChannel()
    const run: Run = { job, port: port1, abort: new AbortController() }
    this.#current.set(job.id, run)
    port1.on('message', (message: ThreadMessage) => this.#hear(run, message))
    const method = locate(job.method)
    const ended = method === undefined ? Promise.resolve(methodUnknown(job)) : this.#submit(run, method.file, port2)
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
    run.abort.abort()
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  #submit(run: Run, file: string, port: MessagePort): Promise<TaskValue> {
    const task: ThreadTask = { job: run.job, file, port }
    this.#piscina ??= this.#start()
    return this.#piscina.run(task, { transferList: [port], signal: run.abort.signal })
  }

  #hear(run: Run, message: ThreadMessage): void {
    if (message.type === 'retire') {
      run.abort.abort()
      return
    }
    if (!this.#isCurrent(run)) return
    const { listener } = this.#options
    const { id } = run.job
    if (message.type === 'started') listener.started(id)
    else if (message.type === 'progress') listener.progress(id, message.percent, message.stage)
    else if (message.type === 'log') listener.log(id, message.line)
    else this.#settle(run, message.outcome)
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
    this.#options.listener.outcome(run.job.id, outcome)
  }

  #isCurrent(run: Run): boolean {
    return this.#current.get(run.job.id) === run
  }

  #start(): Piscina {
    const ready = new Set<number>()
    const piscina = new Piscina({
      filename: threadEntry,
      minThreads: this.#options.threads,
      maxThreads: this.#options.threads,
      concurrentTasksPerWorker: 1,
      recordTiming: false,
      // Piscina's own choice includes threads that are still starting: a job would wait there while another is free, and
      // a kill there would be taken for a thread that cannot start, after which dead threads are no longer replaced.
      loadBalancer: (_task, threads) =>
        threads.find(({ id, currentUsage }) => currentUsage === 0 && ready.has(id)) ?? null,
      ...inheritedFlags()
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

  async #stop(): Promise<void> {
    for (const { port } of this.#current.values()) port.close()
    this.#current.clear()
    const piscina = this.#piscina
    if (piscina === undefined) return
    await piscina.destroy()
    await Promise.all(this.#threads.values())
    // The late end of a thread that was killed before makes Piscina start another one, also after `destroy`.
    while (piscina.threads.length > 0) await piscina.destroy()
  }
}

function methodUnknown({ method }: JobMessage): Outcome {
  const message = `Cannot run "${method}": no actor module exports it any more`
  return { type: 'failed', error: { code: 'THROWN', name: 'MethodUnknown', message }, final: false }
}
