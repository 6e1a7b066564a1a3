/**
 * A machine whose time the test owns: the real durable queue and scheduler over a real store, a clock and timers that go
 * from one moment to the next at once, and workers that do what the test says. It can crash at any commit, be switched off
 * for a while, and have its wall clock set.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { configFromOptions } from '../../runtime/config/load.ts'
import type { MethodCatalogue } from '../../runtime/core/catalogue.ts'
import type { RuntimeOptions } from '../../runtime/core/config.ts'
import { splitMethodPath } from '../../runtime/core/document.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { EventStream, type JobEvent } from '../../runtime/core/events.ts'
import type { JobState } from '../../runtime/core/lifecycle.ts'
import type { EventView } from '../../runtime/core/scheduler-event.ts'
import type { Timers } from '../../runtime/core/timers.ts'
import type { ClaimedJob } from '../../runtime/queue/claimed-job.ts'
import { DurableQueue } from '../../runtime/queue/durable-queue.ts'
import { readEvents } from '../../runtime/scheduler/read-events.ts'
import { Scheduler } from '../../runtime/scheduler/scheduler.ts'
import { type OpenDataDirectory, openDataDirectory } from '../../runtime/store/data-directory.ts'

/** What the workers do with a job; undefined: it runs on until the test settles it. */
type Work = (job: ClaimedJob) => 'completed' | 'failed' | undefined

export interface MachineOptions {
  startAtMs?: number
  work?: Work
}

/** Knows every method but those that begin with `gone.`; those that begin with `document.` are methods of one. */
const catalogue: MethodCatalogue = {
  known: (method) =>
    method.startsWith('gone.')
      ? undefined
      : {
          method,
          file: '/a.js',
          functionName: 'a',
          sourceHash: '',
          documentType: method.startsWith('document.') ? splitMethodPath(method).type : null
        },
  resolve: async (method) => {
    if (!method.startsWith('gone.')) return catalogue.known(method)!
    throw new RuntimeError('METHOD_UNKNOWN', `no ${method}`)
  },
  documentType: () => undefined,
  list: () => [],
  problems: []
}

const claimMax = 1_000

interface Timer {
  atMs: number
  action: () => void
}

export class SimulatedMachine {
  monotonicMs = 0
  /** Wall time at monotonic zero. */
  wallStartMs: number
  /** Times at which a timer went off. */
  wakeUps = 0
  /** Every commit is refused. */
  diskIsFull = false
  readonly #work: Work
  readonly #directory: OpenDataDirectory
  #options: RuntimeOptions
  #timers: Timer[] = []
  #life = 0
  #pendingCommits = 0
  #commitsToCrash = 0
  #crashing: 'no' | 'before' | 'after' | 'crashed' = 'no'
  queue!: DurableQueue
  scheduler!: Scheduler
  #ready = new Set<string>()
  readonly running: ClaimedJob[] = []
  /** Ids of the jobs that were enqueued, in order, over all lives. */
  readonly enqueued: string[] = []
  /** What was told of instants that got no job. */
  readonly unfired: JobEvent[] = []
  /** Operations of the store, in order, with what they took and how many jobs they enqueued. */
  /** With the time that this process had a core for: others may use it meanwhile. */
  readonly commits: { ms: number; enqueued: number }[] = []

  static async open(
    test: TestContext,
    events: RuntimeOptions,
    options: MachineOptions = {}
  ): Promise<SimulatedMachine> {
    // What these tests are about is time; that commits reach the disk is the affair of test/store.
    const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'ar-'))
    const directory = await openDataDirectory(join(folder, 'data'))
    test.after(async () => {
      await directory.close()
      rmSync(folder, { recursive: true, force: true })
    })
    const machine = new SimulatedMachine(directory, events, options)
    await machine.boot()
    return machine
  }

  private constructor(directory: OpenDataDirectory, options: RuntimeOptions, { startAtMs, work }: MachineOptions) {
    this.#directory = directory
    this.#options = options
    this.wallStartMs = startAtMs ?? Date.UTC(2026, 0, 1)
    this.#work = work ?? (() => 'completed')
    this.#watchCommits()
  }

  get wallMs(): number {
    return this.wallStartMs + this.monotonicMs
  }

  get hasCrashed(): boolean {
    return this.#crashing === 'crashed'
  }

  /**
   * The next commit but `skip` is the last of this life: nothing of it is on disk (`before`), or all of it but nobody was
   * told (`after`).
   */
  crashAtCommit(skip: number, when: 'before' | 'after'): void {
    this.#crashing = when
    this.#commitsToCrash = skip
  }

  /** Starts a new life on the same store, as after a crash. Whatever the old one was about to do never happens. */
  async boot(options = this.#options): Promise<void> {
    const life = ++this.#life
    this.#options = options
    this.#crashing = 'no'
    this.#pendingCommits = 0
    this.#timers = []
    this.running.length = 0
    const clock = { wallMs: () => this.wallMs, monotonicMs: () => this.monotonicMs }
    const events = new EventStream()
    events.subscribe({ types: ['enqueued'] }, ({ job }: JobEvent) => this.enqueued.push(job))
    events.subscribe({ types: ['skipped', 'missed'] }, (event) => this.unfired.push(event))
    const config = configFromOptions(options, '/')
    const listener = {
      ready: (name: string) => void (life === this.#life && this.#ready.add(name)),
      readyAt: () => {},
      scheduled: () => {},
      upkeepAt: () => {},
      cancelled: (_: string, id: string) => this.#drop(id),
      eventFinished: (id: string) => this.scheduler.eventFinished(id),
      eventsLost: () => {},
      room: () => ({ threads: 0, jobs: 0 }),
      claimed: () => {},
      committed() {},
      isAwaited: () => false,
      ended: () => {}
    }
    const { store, tag } = this.#directory
    this.queue = new DurableQueue({
      ...{
        store,
        tag,
        queues: config.queues,
        maxStoreBytes: null,
        catalogue,
        clock,
        nextInstant: () => null,
        random: () => 0,
        events,
        listener
      }
    })
    this.scheduler = new Scheduler({ queue: this.queue, catalogue, timers: this.#timersOf(life), clock })
    await this.queue.start()
    await this.scheduler.start(readEvents(config))
    for (const name of config.queues.keys()) this.#ready.add(name)
    await this.rest()
  }

  /** Stops as a supervisor does, is off for a while, and starts again. */
  async restart(downMs: number, options = this.#options): Promise<void> {
    await this.scheduler.stop()
    this.monotonicMs += downMs
    await this.boot(options)
  }

  async migrate(options: RuntimeOptions, dryRun = false) {
    if (!dryRun) this.#options = options
    const migration = await this.scheduler.migrate(readEvents(configFromOptions(options, '/')), dryRun)
    await this.rest()
    return migration
  }

  /** Lets time pass; returns early when it crashed. */
  async pass(spanMs: number): Promise<void> {
    const untilMs = this.monotonicMs + spanMs
    for (;;) {
      const next = this.#takeTimer(untilMs)
      if (next === undefined) break
      this.monotonicMs = Math.max(this.monotonicMs, next.atMs)
      this.wakeUps++
      next.action()
      await this.rest()
      if (this.hasCrashed) return
    }
    this.monotonicMs = untilMs
  }

  /** Lets time pass up to an instant of the wall clock. */
  passUntil(wallMs: number): Promise<void> {
    return this.pass(wallMs - this.wallMs)
  }

  /** Somebody sets the wall clock. */
  setClock(byMs: number): void {
    this.wallStartMs += byMs
  }

  /** Until all commits are made and the workers have done what there is to do. */
  async rest(): Promise<void> {
    for (;;) {
      await nextTurn()
      if (this.hasCrashed) return
      if (this.#pendingCommits > 0) continue
      if (this.#ready.size === 0) return
      const names = [...this.#ready]
      this.#ready.clear()
      for (const name of names) void this.#workOn(name)
    }
  }

  /** Ends the job that has run the longest. */
  async settle(state: 'completed' | 'failed'): Promise<void> {
    const job = this.running.shift()!
    void this.#settle(job, state)
    await this.rest()
  }

  event(id: string): EventView {
    const found = this.scheduler.list().events.find(({ event }) => event === id)
    if (found === undefined) throw new Error(`no event ${id}`)
    return found
  }

  /** Instants of the runs of an event, in the order of their enqueueing. */
  instantsOf(id: string): string[] {
    return this.enqueued.filter((job) => job.startsWith(`${id}@`)).map((job) => job.slice(id.length + 1))
  }

  stateOf(job: string): JobState {
    return this.queue.get(job).state
  }

  #timersOf(life: number): Timers {
    return {
      after: (delayMs, action) => {
        const timer = { atMs: this.monotonicMs + delayMs, action }
        if (life === this.#life) this.#timers.push(timer)
        return () => {
          this.#timers = this.#timers.filter((other) => other !== timer)
        }
      }
    }
  }

  #takeTimer(untilMs: number): Timer | undefined {
    let first: Timer | undefined
    for (const timer of this.#timers) if (first === undefined || timer.atMs < first.atMs) first = timer
    if (first === undefined || first.atMs > untilMs) return undefined
    this.#timers = this.#timers.filter((other) => other !== first)
    return first
  }

  /** Counts the commits that are under way, and crashes at one. Promises of a life that is over never settle. */
  #watchCommits(): void {
    const { store } = this.#directory
    const transact = store.transact.bind(store)
    store.transact = <T>(operation: Parameters<typeof transact<T>>[0]): Promise<T> => {
      const life = this.#life
      const isOver = () => life !== this.#life || this.hasCrashed
      const never = new Promise<T>(() => {})
      if (isOver()) return never
      if (this.diskIsFull) return Promise.reject(new RuntimeError('STORAGE_FULL', 'The disk is full.'))
      const crash = this.#crashing !== 'no' && this.#commitsToCrash-- === 0 ? this.#crashing : 'no'
      if (crash === 'before') {
        this.#crashing = 'crashed'
        return never
      }
      this.#pendingCommits++
      const before = { cpu: process.cpuUsage(), enqueued: this.enqueued.length }
      const over = (settle: () => void) => {
        if (crash === 'after') this.#crashing = 'crashed'
        if (isOver()) return
        const { user, system } = process.cpuUsage(before.cpu)
        this.commits.push({ ms: (user + system) / 1_000, enqueued: this.enqueued.length - before.enqueued })
        this.#pendingCommits--
        settle()
      }
      return new Promise<T>((resolve, reject) => {
        transact(operation).then(
          (value) => over(() => resolve(value)),
          (error) => over(() => reject(error))
        )
      })
    }
  }

  async #workOn(queue: string): Promise<void> {
    const jobs = await this.queue.claim(queue, claimMax)
    if (jobs.length === claimMax) this.#ready.add(queue)
    for (const job of jobs) {
      const state = this.#work(job)
      if (state === undefined) this.running.push(job)
      else void this.#settle(job, state)
    }
  }

  #settle(job: ClaimedJob, state: 'completed' | 'failed'): Promise<boolean> {
    const error = { code: 'THROWN', name: 'Error', message: 'no' } as const
    return this.queue.settle(
      job,
      state === 'completed' ? { type: 'completed', result: 'null' } : { type: 'failed', final: true, error },
      { progress: null, logs: [] }
    )
  }

  #drop(id: string): void {
    const at = this.running.findIndex((job) => job.id === id)
    if (at >= 0) this.running.splice(at, 1)
  }
}
