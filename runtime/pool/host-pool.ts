/**
 * The pool of one queue in host processes. At any time at most one host takes new jobs, the current one; it is started with
 * the first job and ended after some time without any. Besides it there may be hosts that are being replaced and finish
 * what they run, and hosts of one job each, for jobs under which a host has ended before.
 */
import { strict as assert } from 'node:assert'
import type { JobAnswer, JobMessage, Pool, PoolListener } from '../core/pool.ts'
import type { Timers } from '../core/timers.ts'
import { HostProcess } from './host-process.ts'

export interface HostPoolOptions {
  queue: string
  /** Jobs that run at a time, from 1. */
  threads: number
  listener: PoolListener
  memoryLimitMb: number | null
  /** Complete environment of the hosts. */
  env: Record<string, string>
  /** Flags of Node for the threads; null: none. */
  threadFlags: string[] | null
  /** How long a host without a job is kept; null: always. */
  idleMs: number | null
  timers: Timers
}

export class HostPool implements Pool {
  readonly #options: HostPoolOptions
  readonly #hosts = new Set<HostProcess>()
  #current: HostProcess | undefined
  /** Takes the place of the current host as soon as it is ready. */
  #successor: HostProcess | undefined
  #cancelIdle = () => {}
  #questions = 0
  #stopped: Promise<void> | undefined

  constructor(options: HostPoolOptions) {
    this.#options = options
  }

  start(): void {
    if (this.#current !== undefined) return
    this.#current = this.#open({ alone: false })
    this.#idle(this.#current)
  }

  run(jobs: readonly JobMessage[]): void {
    const { queue } = this.#options
    assert(this.#stopped === undefined, `The pool of queue "${queue}" was given jobs after its stop`)
    for (const job of jobs) if (job.alone) this.#open({ alone: true }).run([job])
    const together = jobs.filter(({ alone }) => !alone)
    if (together.length > 0) {
      this.#cancelIdle()
      this.#current ??= this.#open({ alone: false })
    }
    this.#shareThreads()
    if (together.length > 0) this.#current!.run(together)
  }

  kill(id: string): void {
    for (const host of this.#hosts) host.kill(id)
  }

  answer(id: string, number: number, answer: JobAnswer): void {
    for (const host of this.#hosts) host.answer(id, number, answer)
  }

  renew(): void {
    this.#successor?.retire()
    this.#successor = undefined
    const old = this.#current
    this.#current = undefined
    old?.retire()
    const isKeptWarm = this.#options.idleMs === null
    if (isKeptWarm && old !== undefined) this.start()
  }

  stop(): Promise<void> {
    this.#cancelIdle()
    this.#stopped ??= Promise.all([...this.#hosts].map((host) => host.stop())).then(() => undefined)
    return this.#stopped
  }

  #open({ alone }: { alone: boolean }): HostProcess {
    const { queue, threads, listener, memoryLimitMb, env, threadFlags, timers } = this.#options
    const host = new HostProcess({
      queue,
      threads: alone ? 1 : threads,
      listener,
      memoryLimitMb,
      env,
      threadFlags,
      alone,
      timers,
      questionNumber: () => ++this.#questions,
      ready: (opened) => this.#ready(opened),
      stuck: (opened) => this.#replace(opened),
      relieved: (opened) => {
        if (opened !== this.#current) this.#shareThreads()
      },
      idle: (opened) => this.#idle(opened),
      ended: (opened) => this.#ended(opened)
    })
    this.#hosts.add(host)
    return host
  }

  /** What other hosts still run counts: the queue has so many jobs at a time, wherever they are. */
  #shareThreads(): void {
    const { threads } = this.#options
    const elsewhere = [...this.#hosts].filter((host) => host !== this.#current)
    const taken = elsewhere.reduce((sum, { running }) => sum + running, 0)
    this.#current?.limit(Math.max(threads - taken, 0))
  }

  /** Until the successor is ready the old host goes on: its threads are replaced, only the stuck one stays behind. */
  #replace(host: HostProcess): void {
    if (host !== this.#current) host.retire()
    else this.#successor ??= this.#open({ alone: false })
  }

  #ready(host: HostProcess): void {
    if (host !== this.#successor) return
    this.#successor = undefined
    this.#current?.retire()
    this.#current = host
    this.#shareThreads()
    if (!host.busy) this.#idle(host)
  }

  #idle(host: HostProcess): void {
    if (host !== this.#current) {
      // Made for one job, which is over; or already retiring.
      if (host !== this.#successor) host.retire()
      return
    }
    this.#cancelIdle()
    const { idleMs, timers } = this.#options
    if (idleMs === null) return
    this.#cancelIdle = timers.after(idleMs, () => {
      if (host !== this.#current || host.busy) return
      this.#current = undefined
      host.retire()
    })
  }

  #ended(host: HostProcess): void {
    this.#hosts.delete(host)
    if (host === this.#successor) this.#successor = undefined
    if (host === this.#current) {
      this.#current = undefined
      this.#cancelIdle()
    } else this.#shareThreads()
  }
}
