/**
 * What programs ask of a supervisor that is killed all the time, and what must have become of it in the end: jobs with and
 * without keys, batches, transfers between documents, steps, dependencies, retries, transactions, an outbox, jobs that jobs
 * enqueue. Each {@link Operation} may be sent again after a connection has ended without an answer; what the store holds then
 * tells whether it was done once.
 *
 * Methods leave lines in a file, a file for each key or kind, which are whole whoever is killed.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Runtime } from '../../runtime/core/api.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import type { JobView } from '../../runtime/core/job.ts'
import type { PreparedView } from '../../runtime/core/transaction.ts'
import { allJobs, untilIdle } from '../support/connected.ts'
import { actorImports, allDocuments } from '../support/documents.ts'
import type { TestProject } from '../support/supervisor-process.ts'

const accounts = 5
const keys = 3
const openingBalance = 1_000
const batchJobs = 4
const childrenOfEach = 2
const outbox = 'crashes'

const config = `schedulerTickInterval: 1
schedulerEvents: { cron: { "* * * * * */1": [work.note] } }
workers:
  default: { backgroundWorkers: 3, timeout: 60, retention: { completed: {}, failed: {}, cancelled: {} } }
  children: { backgroundWorkers: 1, timeout: 60, retention: { completed: {}, failed: {}, cancelled: {} } }
`
const actors = `${actorImports}
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'

const witness = (folder, name, text) => appendFileSync(join(folder, name), text + '\\n')

export function note() {}

export function keyed({ folder, key }, { id }) {
  witness(folder, key, id)
}

export function flaky(_, { attempt }) {
  if (attempt === 1) throw new Error('as told')
}

export async function parent(_, ctx) {
  for (let n = 0; n < ${childrenOfEach}; n++) await ctx.enqueue('work.note', { child: ctx.id }, { queue: 'children' })
}

export function after(_, { parents }) {
  return parents.map(({ state }) => state)
}

export async function steps({ folder }, ctx) {
  const drawn = await ctx.step('draw', () => Math.random())
  witness(folder, 'steps', ctx.id + ' ' + drawn)
  await ctx.enqueue('work.note', { once: ctx.id }, { queue: 'children', enqueueAfterCommit: false })
  await ctx.sleep('nap', '10ms')
  return { drawn, told: await ctx.waitFor('go') }
}

export class Account extends Actor {
  state = { balance: ${openingBalance}, out: [], in: [] }

  async debit({ id, to, amount }, ctx) {
    this.state.balance -= amount
    await ctx.enqueueDoc('work.Account', to, 'credit', { id, amount })
    await turn()
    this.state.out.push(id)
  }

  async credit({ id, amount }) {
    this.state.in.push(id)
    await turn()
    this.state.balance += amount
  }
}

export class Note extends Actor {
  read() {}
}
`

interface Operation {
  /** Resolves once all of it is acknowledged. */
  send(runtime: Runtime): Promise<void>
  /** Done at most once by itself, whatever the answers were; others are done as often as they are sent. */
  isRepeatable: boolean
}

interface AccountState {
  balance: number
  out: number[]
  in: number[]
}

export class Workload {
  readonly #folder: string
  readonly #random: () => number
  readonly #unanswered: Operation[] = []
  #last = 0
  #operations = 0
  readonly #transfers: { from: string; to: string; amount: number }[] = []
  readonly #outboxes: number[] = []
  /** Ids of jobs that must be there from now on. */
  readonly acknowledged = new Set<string>()
  /** Ids of jobs that somebody was told to have completed. */
  readonly completed = new Set<string>()
  /** Ids of jobs that failed with their hosts and were retried by hand. */
  readonly #retried = new Set<string>()

  constructor(project: TestProject, random: () => number) {
    this.#random = random
    this.#folder = join(project.folder, 'witness')
    mkdirSync(this.#folder)
    project.write('actors/work.js', actors)
    project.write('config/runtime.yaml', config)
  }

  /** Operations that were acknowledged. */
  get operations(): number {
    return this.#operations
  }

  /** Sends one operation after the other until the connection ends, or the supervisor takes no more. */
  async sendAll(runtime: Runtime, pause: () => Promise<void>): Promise<void> {
    while (await this.#send(runtime, this.#unanswered.shift() ?? this.#next())) await pause()
  }

  /** Hears of jobs that complete. @param first called when the first one does */
  async listen(runtime: Runtime, first: () => void): Promise<void> {
    await runtime.subscribe({ types: ['completed'] }, ({ job }) => {
      this.completed.add(job)
      first()
    })
  }

  /** What had no answer is sent again; then everything that is there is brought to its end and looked at. */
  async finish(runtime: Runtime): Promise<void> {
    for (const operation of this.#unanswered.splice(0)) assert.ok(await this.#send(runtime, operation))
    await runtime.schedule.pause()
    const { prepared } = (await runtime.call('outbox.list', { outbox })) as { prepared: PreparedView[] }
    // Of those that were prepared without an answer nobody knows.
    for (const { id } of prepared) await runtime.call('outbox.abort', { id })
    await this.#untilCompleted(runtime)
    await this.#expectAllDone(runtime)
  }

  /** @returns false: nothing more can be sent */
  async #send(runtime: Runtime, operation: Operation): Promise<boolean> {
    try {
      await operation.send(runtime)
      this.#operations++
      return true
    } catch (error) {
      if (!(error instanceof RuntimeError) || !['NOT_CONNECTED', 'STOPPING'].includes(error.code)) throw error
      if (operation.isRepeatable) this.#unanswered.push(operation)
      return false
    }
  }

  #next(): Operation {
    const n = ++this.#last
    const kinds = [
      () => this.#plain(),
      () => this.#batch(n),
      () => this.#keyed(n),
      () => this.#transfer(),
      () => this.#transfer(),
      () => this.#steps(n),
      () => this.#family(n),
      () => this.#family(n),
      () => this.#family(n),
      () => this.#dependent(n),
      () => this.#transaction(n),
      () => this.#flaky(n),
      () => this.#outbox(n),
      () => this.#fleeting()
    ]
    return kinds[Math.floor(this.#random() * kinds.length)]!()
  }

  #plain(): Operation {
    return {
      isRepeatable: false,
      send: async (runtime) => {
        this.acknowledged.add((await runtime.enqueue('work.note', {})).id)
      }
    }
  }

  #batch(n: number): Operation {
    const ids = Array.from({ length: batchJobs }, (_, index) => `batch-${n}-${index}`)
    return this.#once(ids, (runtime) => runtime.enqueueMany(ids.map((jobId) => ({ method: 'work.note', jobId }))))
  }

  #keyed(n: number): Operation {
    const key = `key-${n % keys}`
    const options = { jobId: `keyed-${n}`, key, keyConcurrency: 1 }
    const params = { folder: this.#folder, key }
    return this.#once([options.jobId], (runtime) => runtime.enqueue('work.keyed', params, options))
  }

  #transfer(): Operation {
    const from = Math.floor(this.#random() * accounts)
    const to = `account-${(from + 1 + Math.floor(this.#random() * (accounts - 1))) % accounts}`
    const transfer = { from: `account-${from}`, to, amount: 1 + Math.floor(this.#random() * 100) }
    const id = this.#transfers.push(transfer) - 1
    const jobId = `transfer-${id}`
    const { amount } = transfer
    return this.#once([jobId], (runtime) =>
      runtime.enqueueDoc('work.Account', transfer.from, 'debit', { id, to, amount }, { jobId })
    )
  }

  #steps(n: number): Operation {
    const jobId = `steps-${n}`
    const asked = this.#once([jobId], (runtime) => runtime.enqueue('work.steps', { folder: this.#folder }, { jobId }))
    return {
      isRepeatable: true,
      send: async (runtime) => {
        await asked.send(runtime)
        await unless('JOB_STATE', runtime.job.signal(jobId, 'go', jobId))
      }
    }
  }

  #family(n: number): Operation {
    const jobId = `parent-${n}`
    return this.#once([jobId], (runtime) => runtime.enqueue('work.parent', {}, { jobId }))
  }

  #dependent(n: number): Operation {
    const [first, second] = [`first-${n}`, `second-${n}`]
    return this.#once([first, second], (runtime) =>
      runtime.enqueueMany([
        { method: 'work.note', jobId: first },
        { method: 'work.after', jobId: second, dependsOn: [0], onParentFailure: 'release' }
      ])
    )
  }

  #transaction(n: number): Operation {
    const ids = [`both-${n}-a`, `both-${n}-b`]
    return this.#once(ids, (runtime) =>
      runtime.transaction((tx) => {
        for (const jobId of ids) tx.enqueue('work.note', {}, { jobId })
        tx.setState('work.Note', `both-${n}`, { n })
      })
    )
  }

  #flaky(n: number): Operation {
    const options = {
      jobId: `flaky-${n}`,
      attempts: 2,
      backoff: { type: 'fixed', delay: '10ms' } as const,
      delay: '20ms'
    }
    return this.#once([options.jobId], (runtime) => runtime.enqueue('work.flaky', {}, options))
  }

  /** Gone soon after its end. */
  #fleeting(): Operation {
    return {
      isRepeatable: false,
      send: async (runtime) => {
        await runtime.enqueue('work.note', { fleeting: true }, { retention: { completed: { age: '20ms' } } })
      }
    }
  }

  #outbox(n: number): Operation {
    let id: string | undefined
    let wasAsked = false
    return {
      isRepeatable: true,
      send: async (runtime) => {
        if (id === undefined) {
          const job = { method: 'work.note', params: { outbox: n }, queue: 'children' }
          const operation = { op: 'enqueue', job }
          const prepared = await runtime.call('outbox.prepare', { outbox, operations: [operation, operation] })
          id = (prepared as PreparedView).id
          this.#outboxes.push(n)
        }
        const committed = runtime.call('outbox.commit', { id })
        await (wasAsked
          ? unless('OUTBOX_UNKNOWN', committed)
          : committed.finally(() => {
              wasAsked = true
            }))
      }
    }
  }

  /** All of the jobs or none. */
  #once(ids: readonly string[], ask: (runtime: Runtime) => Promise<unknown>): Operation {
    let wasAsked = false
    return {
      isRepeatable: true,
      send: async (runtime) => {
        const asked = ask(runtime)
        await (wasAsked
          ? unless('JOB_EXISTS', asked)
          : asked.finally(() => {
              wasAsked = true
            }))
        for (const id of ids) this.acknowledged.add(id)
      }
    }
  }

  async #untilCompleted(runtime: Runtime): Promise<void> {
    for (;;) {
      await untilIdle(runtime)
      const failed = await allJobs(runtime, { state: 'failed' })
      if (failed.length === 0) return
      for (const { id, error } of failed) {
        assert.equal(error?.code, 'HOST_CRASHED', `${id}: ${error?.message}`)
        this.#retried.add(id)
      }
      await runtime.job.retryMany({ state: 'failed' })
    }
  }

  async #expectAllDone(runtime: Runtime): Promise<void> {
    const jobs = (await allJobs(runtime)).reverse()
    const byId = new Map(jobs.map((job) => [job.id, job]))
    const lost = [...this.acknowledged].filter((id) => byId.get(id)?.state !== 'completed')
    assert.deepEqual(lost, [], 'acknowledged and not completed')
    assert.deepEqual(
      jobs.filter(({ state }) => state !== 'completed').map(({ id, state }) => [id, state]),
      []
    )
    expectEach(jobs, 'child', idsOf(jobs, 'work.parent'), childrenOfEach)
    expectEach(jobs, 'once', idsOf(jobs, 'work.steps'), 1)
    expectEach(jobs, 'outbox', this.#outboxes, 2)
    this.#expectOrder(jobs)
    this.#expectSteps(jobs)
    this.#expectDependents(byId)
    const documents = await allDocuments(runtime, 'work.Note')
    const whole = jobs.flatMap(({ id }) => (/^both-.*-a$/.test(id) ? [id.slice(0, -2)] : []))
    assert.deepEqual(documents.map(({ name }) => name).sort(), whole.sort(), 'transactions')
    this.#expectBalances(
      (await allDocuments(runtime, 'work.Account')).map(({ state }) => state as unknown as AccountState)
    )
  }

  #lines(name: string): string[] {
    const file = join(this.#folder, name)
    return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []
  }

  /** A job of a strict key begins, however often, after those before it and before those behind it. */
  #expectOrder(jobs: readonly JobView[]): void {
    const places = new Map(jobs.map(({ id }, place) => [id, place]))
    for (let key = 0; key < keys; key++) {
      const begun = this.#lines(`key-${key}`).filter((id) => !this.#retried.has(id))
      const inOrder = begun.toSorted((one, other) => places.get(one)! - places.get(other)!)
      assert.deepEqual(begun, inOrder, `order of key ${key}`)
    }
  }

  /** Whatever began behind a step found what that step had kept. */
  #expectSteps(jobs: readonly JobView[]): void {
    const drawn = new Map<string, string>()
    for (const line of this.#lines('steps')) {
      const [id, number] = line.split(' ') as [string, string]
      assert.equal(drawn.get(id) ?? number, number, `the step of ${id} was made again`)
      drawn.set(id, number)
    }
    for (const { id, method, result } of jobs) {
      if (method === 'work.steps') assert.deepEqual(result, { drawn: Number(drawn.get(id)), told: id })
    }
  }

  #expectDependents(byId: ReadonlyMap<string, JobView>): void {
    for (const [id, { startedAt, result }] of byId) {
      if (!id.startsWith('second-')) continue
      const first = byId.get(id.replace('second', 'first'))!
      if (this.#retried.has(first.id) || this.#retried.has(id)) continue
      assert.deepEqual(result, ['completed'], id)
      assert.ok(startedAt! >= first.finishedAt!, `${id} started before the end of the other`)
    }
  }

  #expectBalances(states: readonly AccountState[]): void {
    const inOrder = (ids: number[]) => ids.sort((one, other) => one - other)
    const all = this.#transfers.map((_, id) => id)
    assert.deepEqual(inOrder(states.flatMap((state) => state.out)), all, 'every transfer is debited once')
    assert.deepEqual(inOrder(states.flatMap((state) => state.in)), all, 'every transfer is credited once')
    const sum = (ids: readonly number[]) => ids.reduce((total, id) => total + this.#transfers[id]!.amount, 0)
    for (const { balance, out, in: credits } of states) assert.equal(balance, openingBalance + sum(credits) - sum(out))
  }
}

function idsOf(jobs: readonly JobView[], wanted: string): string[] {
  return jobs.filter(({ method }) => method === wanted).map(({ id }) => id)
}

/** Of each origin there are so many jobs, whose params name it, and there are no others. */
function expectEach(
  jobs: readonly JobView[],
  name: string,
  origins: readonly (string | number)[],
  count: number
): void {
  const found = new Map<string, number>()
  for (const { params } of jobs) {
    const origin = (params as Record<string, string | number>)[name]
    if (origin !== undefined) found.set(String(origin), (found.get(String(origin)) ?? 0) + 1)
  }
  const wrong = [...found].filter(([, each]) => each !== count)
  assert.deepEqual(wrong, [], `jobs of each "${name}"`)
  assert.deepEqual([...found.keys()].sort(), origins.map(String).sort(), `all that have "${name}"`)
}

/** What came of an earlier request, which had no answer, may answer this one. */
async function unless(code: string, asked: Promise<unknown>): Promise<void> {
  try {
    await asked
  } catch (error) {
    if (!(error instanceof RuntimeError) || error.code !== code) throw error
  }
}
