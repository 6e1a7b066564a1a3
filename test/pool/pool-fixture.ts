/**
 * A pool with its listener's calls recorded. Actor modules are text in the tests, written to a temporary folder: `tsc`
 * does not copy JavaScript to where the built tests are.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import type { JobLogLine } from '../../runtime/core/job.ts'
import type { Ended, JobMessage, JobQuestion, Outcome, Pool, PoolListener } from '../../runtime/core/pool.ts'
import type { Timers } from '../../runtime/core/timers.ts'
import { hostEnvironment } from '../../runtime/pool/host-environment.ts'
import { HostPool, type HostPoolOptions } from '../../runtime/pool/host-pool.ts'
import { ThreadPool } from '../../runtime/pool/thread-pool.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

interface Said {
  id: string
  type: 'started' | 'called' | 'progress' | 'log' | 'asked' | 'outcome'
  percent?: number
  stage?: string | null
  line?: JobLogLine
  outcome?: Outcome
  number?: number
  question?: JobQuestion
}

class Recorder implements PoolListener {
  readonly said: Said[] = []
  /** Answers questions; they are recorded all the same. */
  whenAsked: (id: string, number: number, question: JobQuestion) => void = () => {}
  #waiting: { test: (said: Said) => boolean; resolve: (said: Said) => void }[] = []

  started(id: string): void {
    this.#add({ id, type: 'started' })
  }
  called(id: string): void {
    this.#add({ id, type: 'called' })
  }
  progress(id: string, percent: number, stage: string | null): void {
    this.#add({ id, type: 'progress', percent, stage })
  }
  log(id: string, line: JobLogLine): void {
    this.#add({ id, type: 'log', line })
  }
  asked(id: string, number: number, question: JobQuestion): void {
    this.#add({ id, type: 'asked', number, question })
    this.whenAsked(id, number, question)
  }
  outcomes(ended: readonly Ended[]): void {
    for (const { id, outcome } of ended) this.#add({ id, type: 'outcome', outcome })
  }

  /** The first thing said that passes, said already or to come. */
  async first(test: (said: Said) => boolean): Promise<Said> {
    const found = this.said.find(test)
    return found ?? new Promise((resolve) => this.#waiting.push({ test, resolve }))
  }

  async startOf(id: string): Promise<void> {
    await this.first((said) => said.id === id && said.type === 'started')
  }

  async outcomeOf(id: string): Promise<Outcome> {
    const { outcome } = await this.first((said) => said.id === id && said.type === 'outcome')
    return outcome as Outcome
  }

  of(id: string): Said[] {
    return this.said.filter((said) => said.id === id)
  }

  lines(id: string): string[] {
    return this.of(id).flatMap(({ line }) => (line === undefined ? [] : [`${line.level} ${line.message}`]))
  }

  #add(said: Said): void {
    this.said.push(said)
    const met = this.#waiting.filter(({ test }) => test(said))
    this.#waiting = this.#waiting.filter((waiting) => !met.includes(waiting))
    for (const { resolve } of met) resolve(said)
  }
}

interface PoolFixture {
  pool: Pool
  heard: Recorder
  folder: string
  /** Gives the job to the pool; its id is returned. */
  run(method: string, params?: unknown, options?: Partial<JobMessage>): string
  /** Gives several jobs to the pool at once; their ids are returned. */
  runMany(calls: readonly [method: string, params?: unknown][]): string[]
  /** As `run`, and waits for the outcome. */
  outcome(method: string, params?: unknown): Promise<Outcome>
}

/** Where the threads are: in this process, or in one of their own. */
export type PoolKind = 'threads' | 'hosts'

/** @param modules text of actor modules by file name, such as `{ 'a.js': 'export function run() {}' }` */
export function startPool(
  test: TestContext,
  modules: Record<string, string>,
  threads = 1,
  kind: PoolKind = 'threads'
): PoolFixture {
  const folder = temporaryFolder(test)
  for (const [name, text] of Object.entries(modules)) writeModule(folder, name, text)
  return poolOver(test, folder, threads, kind)
}

export function poolOver(test: TestContext, folder: string, threads = 1, kind: PoolKind = 'threads'): PoolFixture {
  const queue = 'default'
  return fixture(test, folder, (listener) =>
    kind === 'threads'
      ? new ThreadPool({ queue, threads, listener, heapLimitMb: null })
      : hostPool({ threads, listener })
  )
}

/** As {@link startPool}, of hosts, with options that a test decides. */
export function startHostPool(
  test: TestContext,
  modules: Record<string, string>,
  options: Partial<HostPoolOptions> = {}
): PoolFixture {
  const folder = temporaryFolder(test)
  for (const [name, text] of Object.entries(modules)) writeModule(folder, name, text)
  return fixture(test, folder, (listener) => hostPool({ listener, ...options }))
}

function hostPool({ threads = 1, ...options }: Partial<HostPoolOptions> & { listener: PoolListener }): HostPool {
  return new HostPool({
    queue: 'default',
    threads,
    memoryLimitMb: null,
    env: hostEnvironment({}, threads),
    threadFlags: null,
    idleMs: null,
    timers: nodeTimers,
    ...options
  })
}

const nodeTimers: Timers = {
  after(delayMs, action) {
    const timeout = setTimeout(action, delayMs)
    timeout.unref()
    return () => clearTimeout(timeout)
  }
}

function fixture(test: TestContext, folder: string, open: (listener: PoolListener) => Pool): PoolFixture {
  const heard = new Recorder()
  const pool = open(heard)
  test.after(() => pool.stop())
  let jobs = 0
  const jobOf = (method: string, params: unknown = {}, options: Partial<JobMessage> = {}): JobMessage => {
    const id = options.id ?? `job-${++jobs}`
    const job = {
      queue: 'default',
      method,
      file: `${join(folder, ...method.split('.').slice(0, -1))}.js`,
      softTimeoutMs: null,
      alone: false,
      startIsCounted: false,
      params: JSON.stringify(params),
      attempt: 1,
      attemptsMax: 3,
      timeoutMs: 60_000
    }
    return { ...job, ...options, id }
  }
  const give = (given: JobMessage[]) => {
    pool.run(given)
    return given.map(({ id }) => id)
  }
  const run = (method: string, params?: unknown, options?: Partial<JobMessage>) =>
    give([jobOf(method, params, options)])[0]!
  const runMany = (calls: readonly [method: string, params?: unknown][]) =>
    give(calls.map(([method, params]) => jobOf(method, params)))
  return { pool, heard, folder, run, runMany, outcome: (method, params) => heard.outcomeOf(run(method, params)) }
}

export function writeModule(folder: string, name: string, text: string): string {
  const file = join(folder, name)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
  return file
}
