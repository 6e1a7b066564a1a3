/** One queue of two threads in an embedded runtime, and the measured kill of one job on it. Linux only. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { createRuntime, type JobEvent, type Runtime } from '../../runtime/index.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { type KillShape, shapesModule } from './kill-shapes.ts'
import { descendantsOf, describeProcess, hostsOf, processesOfJob, threadsOf } from './process-tree.ts'

const timeoutMs = 500
const goneWithinMsMax = 10_000
/** The healthy job is there before the other one, and outlives the retirement of their host. */
const healthyForMs = 1_300
const queue = 'kills'

/** Milliseconds, by the wall clock. */
export interface KillFigures {
  /** From the deadline to the settle. */
  lateMs: number
  /** From the settle to the first line of the job that waited. */
  nextStartMs: number
  /** From the settle until nothing of the killed job was left. */
  goneMs: number
}

export class KillBench {
  readonly runtime: Runtime
  readonly #folder: string
  readonly #fifo: string
  readonly #isolation: 'process' | 'inline'
  readonly #started = new Map<string, JobEvent>()
  readonly #awaited = new Map<string, (event: JobEvent) => void>()
  /** Threads of a host that is warm and at rest, and of this process. */
  #hostThreadsMax = 0
  #ownThreadsMax = 0
  #jobs = 0

  static async open(test: TestContext, isolation: 'process' | 'inline'): Promise<KillBench> {
    const folder = temporaryFolder(test)
    mkdirSync(join(folder, 'actors'))
    writeFileSync(join(folder, 'actors', 'shapes.js'), shapesModule)
    const fifo = join(folder, 'fifo')
    execFileSync('mkfifo', [fifo])
    // Held open: readers get past their open and block in the read itself.
    const writer = openSync(fifo, 'r+')
    test.after(() => closeSync(writer))
    const runtime = await createRuntime({
      dataDir: join(folder, 'data'),
      actors: join(folder, 'actors'),
      workers: { [queue]: { timeout: `${timeoutMs}ms`, backgroundWorkers: 2, isolation } }
    })
    test.after(() => runtime.stop({ deadline: 0 }))
    const bench = new KillBench(runtime, folder, fifo, isolation)
    await bench.#warmUp()
    return bench
  }

  private constructor(runtime: Runtime, folder: string, fifo: string, isolation: 'process' | 'inline') {
    this.runtime = runtime
    this.#folder = folder
    this.#fifo = fifo
    this.#isolation = isolation
  }

  /** Kills one job of the shape beside a healthy one and before a waiting one; fails unless all three end as they must. */
  async kill({ method }: KillShape): Promise<KillFigures> {
    const { job } = this.runtime
    const healthy = await this.#startHealthy(healthyForMs)
    const killedId = await this.#enqueue(method, { fifo: this.#fifo }, timeoutMs)
    const started = await this.#startOf(killedId)
    const nextId = await this.#enqueue('now', {})
    const [killed, next] = await Promise.all([job.wait(killedId), job.wait(nextId)])

    assert.equal(killed.state, 'failed')
    assert.equal(killed.error?.code, 'TIMEOUT', killed.error?.message)
    assert.equal(next.state, 'completed', next.error?.message)
    await healthy.completed()
    const settledAtMs = Date.parse(killed.finishedAt!)
    await this.#untilGone(killedId, settledAtMs + goneWithinMsMax)
    return {
      lateMs: settledAtMs - Date.parse(started.at) - timeoutMs,
      nextStartMs: Number(next.result) - settledAtMs,
      goneMs: Date.now() - settledAtMs
    }
  }

  /** Fails unless both slots of the queue take a job at the same time. */
  async requireBothSlots(): Promise<void> {
    const jobs = [await this.#startHealthy(1_500), await this.#startHealthy(1_500)]
    const first = await this.runtime.job.get(jobs[0]!.id)
    assert.equal(first.state, 'running', 'The second job began only after the first')
    for (const { completed } of jobs) await completed()
  }

  async #warmUp(): Promise<void> {
    await this.runtime.subscribe({ queue, types: ['started'] }, (event) => {
      this.#started.set(event.job, event)
      this.#awaited.get(event.job)?.(event)
    })
    await this.requireBothSlots()
    this.#ownThreadsMax = threadsOf(process.pid)
    for (const host of hostsOf(process.pid)) this.#hostThreadsMax = Math.max(this.#hostThreadsMax, threadsOf(host))
    await this.#untilGone('none', Date.now() + goneWithinMsMax)
  }

  async #startHealthy(forMs: number): Promise<{ id: string; completed: () => Promise<void> }> {
    const file = join(this.#folder, `healthy-${++this.#jobs}`)
    const text = `written by ${this.#jobs}`
    const id = await this.#enqueue('healthy', { file, forMs, text })
    await this.#startOf(id)
    const completed = async () => {
      const job = await this.runtime.job.wait(id)
      assert.equal(job.state, 'completed', `The healthy job: ${job.error?.message}`)
      assert.deepEqual(
        [job.attempts.made, job.crashes],
        [1, 0],
        `The healthy job was disturbed: ${JSON.stringify(job.history)}`
      )
      assert.equal(readFileSync(file, 'utf8'), text)
    }
    return { id, completed }
  }

  async #enqueue(method: string, params: object, timeoutMs = 20_000): Promise<string> {
    const { id } = await this.runtime.enqueue(`shapes.${method}`, params, { queue, timeout: `${timeoutMs}ms` })
    return id
  }

  async #startOf(id: string): Promise<JobEvent> {
    return this.#started.get(id) ?? new Promise((resolve) => this.#awaited.set(id, resolve))
  }

  async #untilGone(jobId: string, untilMs: number): Promise<void> {
    for (;;) {
      const left = this.#leftovers(jobId)
      if (left.length === 0) return
      assert.ok(Date.now() < untilMs, `Left behind: ${left.join('; ')}`)
      await wait(50)
    }
  }

  /** Everything beyond one host (none with inline) with its normal number of threads, in words. */
  #leftovers(jobId: string): string[] {
    const hosts = hostsOf(process.pid)
    const others = descendantsOf(process.pid).filter((pid) => !hosts.includes(pid))
    const hostsMax = this.#isolation === 'process' ? 1 : 0
    return [
      ...new Set([...others, ...processesOfJob(jobId)].map((pid) => `process ${describeProcess(pid)}`)),
      ...(hosts.length > hostsMax ? [`${hosts.length} hosts`] : []),
      ...[...hosts.map((host) => [host, this.#hostThreadsMax] as const), [process.pid, this.#ownThreadsMax] as const]
        .map(([pid, normal]) => ({ pid, extra: threadsOf(pid) - normal }))
        .filter(({ extra }) => extra > 0)
        .map(({ pid, extra }) => `${extra} threads more than before in process ${pid}`)
    ]
  }
}
