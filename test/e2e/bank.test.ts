/**
 * Money moves between accounts while everything is killed. A transfer is a chain of two jobs: `debit` of one account enqueues
 * `credit` of another as it completes. Supervisors and hosts are killed with SIGKILL at random moments, always with work
 * before them. An account keeps the ids of its transfers beside its balance, so what happened twice or not at all is found,
 * and so is half a change: a method changes the two with a turn of the event loop in between.
 *
 * Seen from outside at any moment (`doc.list` is one snapshot): each balance agrees with the ids beside it, no transfer is
 * credited that is not debited, and what is debited and not credited is all that is missing from the total. In the end the
 * total is what it was, and every transfer happened exactly once.
 *
 * Batches are enqueued while the kills go on. A batch that got no answer is enqueued again under the same job ids: it is all
 * there (`JOB_EXISTS`) or not at all. A job that was killed three times with its host is failed with `HOST_CRASHED`, as it
 * should be; nothing of it has happened, and it is retried by hand in the end.
 *
 * Smaller numbers by default; `LONG=1`: those of issue 6. `BANK_SEED` repeats the moments.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '../../runtime/client/connect.ts'
import type { Runtime } from '../../runtime/core/api.ts'
import type { DocumentView } from '../../runtime/core/document.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import type { EnqueueRequest } from '../../runtime/core/job.ts'
import { hostsOf } from '../isolation/process-tree.ts'
import { allJobs, connected, untilIdle } from '../support/connected.ts'
import { actorImports, allDocuments } from '../support/documents.ts'
import { randomFrom } from '../support/random.ts'
import { TestProject } from '../support/supervisor-process.ts'

const isLong = process.env.LONG === '1'
const seed = Number(process.env.BANK_SEED ?? Date.now() % 2 ** 31)
const accounts = isLong ? 1_000 : 50
const transfers = isLong ? 100_000 : 800
const supervisorKills = isLong ? 50 : 2
const hostKills = isLong ? 500 : 8
const openingBalance = 1_000
const batchTransfers = isLong ? 50 : 25
/** Enqueued as the kill comes. */
const lastBatches = 3
const looksEveryMs = 150

const type = 'bank.Account'
const config = `workers:
  default: { backgroundWorkers: 4, timeout: 60, retention: { completed: {}, failed: {} } }
`
const actors = `${actorImports}
import { setImmediate as turn } from 'node:timers/promises'

export class Account extends Actor {
  state = { balance: ${openingBalance}, out: [], in: [] }

  async debit({ id, to, amount }, ctx) {
    this.state.balance -= amount
    await ctx.enqueueDoc('${type}', to, 'credit', { id, amount })
    await turn()
    this.state.out.push(id)
  }

  async credit({ id, amount }) {
    this.state.in.push(id)
    await turn()
    this.state.balance += amount
  }
}
`

interface Transfer {
  id: number
  from: string
  to: string
  amount: number
}

interface AccountState {
  balance: number
  out: number[]
  in: number[]
}

test(`${transfers} transfers between ${accounts} accounts, ${supervisorKills} kills of the supervisor and ${hostKills} of hosts (issue 6)`, {
  timeout: isLong ? 3_600_000 : 180_000
}, async (t) => {
  t.diagnostic(`BANK_SEED=${seed}`)
  const startedAtMs = performance.now()
  const random = randomFrom(seed)
  const bank = new Bank(random)
  const project = new TestProject(t, 'memory')
  project.write('actors/bank.js', actors)
  project.write('config/runtime.yaml', config)
  let looks = 0

  for (let life = 0; life < supervisorKills; life++) {
    const supervisor = await project.serve('--log-level', 'error')
    const runtime = await connect(project.socketPath)
    const completions = await Completions.of(runtime)
    const batches = Math.ceil((bank.batches.length * (life + 1)) / supervisorKills)
    const fed = untilDisconnected(() => bank.feed(runtime, batches - lastBatches))
    const watched = untilDisconnected(async () => {
      for (;;) {
        await sleep(random() * 2 * looksEveryMs)
        bank.expectSnapshot((await runtime.doc.list(type, { limit: 1_000 })).documents)
        looks++
      }
    })
    const moments = momentsOf(random, life)
    for (const moment of moments.hostKills) {
      await Promise.race([completions.reach(moment), watched])
      await killHost(supervisor.pid, random)
    }
    await Promise.race([completions.reach(moments.supervisorKill), watched])
    await fed
    // The kill comes while the last batches of this life are on their way.
    const lastFed = untilDisconnected(() => bank.feed(runtime, batches))
    await sleep(random() * 20)
    await supervisor.end('SIGKILL')
    await Promise.all([lastFed, watched])
    await runtime.stop()
  }

  const supervisor = await project.serve('--log-level', 'error')
  const runtime = await connected(t, project.socketPath)
  await bank.feed(runtime, bank.batches.length)
  const crashed = await untilCompleted(runtime)
  const jobs = await allJobs(runtime)
  const outcomes = jobs.flatMap(({ history }) => history.map(({ outcome }) => outcome))
  const hit = (outcome: string) => outcomes.filter((each) => each === outcome).length
  t.diagnostic(
    `${Math.round((performance.now() - startedAtMs) / 1000)} s; attempts cut by kills of supervisors: ${hit('interrupted')}, of hosts: ` +
      `${hit('crashed')}; ${crashed} jobs failed with HOST_CRASHED and retried; ${bank.found} batches were there without an ` +
      `answer; ${looks} looks from outside`
  )

  assert.equal(jobs.length, 2 * transfers)
  assert.deepEqual(
    jobs.filter(({ state }) => state !== 'completed').map(({ id, state }) => [id, state]),
    []
  )
  bank.expectAllDone(await allDocuments(runtime, type))
  assert.ok(hit('interrupted') >= supervisorKills / 2, 'most kills of supervisors must have hit jobs')
  assert.ok(hit('crashed') >= hostKills / 2, 'most kills of hosts must have hit jobs')
  assert.equal((await supervisor.end('SIGTERM')).code, 0)
})

/** What was asked for, and what the accounts have to say about it. */
class Bank {
  readonly #transfers: Transfer[]
  readonly batches: EnqueueRequest[][] = []
  #nextBatch = 0
  /** Batches that were on disk though nobody had been told. */
  found = 0

  constructor(random: () => number) {
    this.#transfers = Array.from({ length: transfers }, (_, id) => {
      const from = Math.floor(random() * accounts)
      const to = (from + 1 + Math.floor(random() * (accounts - 1))) % accounts
      return { id, from: `account-${from}`, to: `account-${to}`, amount: 1 + Math.floor(random() * 100) }
    })
    const requests = this.#transfers.map(({ id, from, to, amount }) => ({
      ...{ method: `${type}.debit`, document: from, jobId: `transfer-${id}` },
      params: { id, to, amount }
    }))
    for (let at = 0; at < requests.length; at += batchTransfers)
      this.batches.push(requests.slice(at, at + batchTransfers))
  }

  /** Enqueues each batch once, from the first that is not known to be there. */
  async feed(runtime: Runtime, batches: number): Promise<void> {
    for (; this.#nextBatch < batches; this.#nextBatch++) {
      try {
        await runtime.enqueueMany(this.batches[this.#nextBatch]!)
      } catch (error) {
        if (!(error instanceof RuntimeError) || error.code !== 'JOB_EXISTS') throw error
        this.found++
      }
    }
  }

  /** Holds at any moment: of documents that were read in one transaction. */
  expectSnapshot(documents: readonly DocumentView[]): void {
    const states = documents.map(({ name, state }) => ({ name, ...(state as unknown as AccountState) }))
    const debited = new Set(states.flatMap((state) => state.out))
    const credited = new Set(states.flatMap((state) => state.in))
    const sum = (ids: Iterable<number>) => [...ids].reduce((total, id) => total + this.#transfers[id]!.amount, 0)
    for (const { name, balance, out, in: credits } of states) {
      assert.equal(balance, openingBalance + sum(credits) - sum(out), `half a change of ${name}`)
      for (const id of out) assert.equal(this.#transfers[id]!.from, name)
      for (const id of credits) assert.equal(this.#transfers[id]!.to, name)
    }
    const [outs, ins] = [states.flatMap((state) => state.out), states.flatMap((state) => state.in)]
    assert.equal(outs.length, debited.size, 'a transfer was debited twice')
    assert.equal(ins.length, credited.size, 'a transfer was credited twice')
    assert.deepEqual(
      ins.filter((id) => !debited.has(id)),
      [],
      'credited without a debit'
    )
    const onTheWay = outs.filter((id) => !credited.has(id))
    const total = states.reduce((sum, { balance }) => sum + balance, 0)
    assert.equal(total + sum(onTheWay), openingBalance * states.length)
  }

  expectAllDone(documents: readonly DocumentView[]): void {
    this.expectSnapshot(documents)
    const states = documents.map(({ state }) => state as unknown as AccountState)
    const inOrder = (ids: number[]) => ids.sort((a, b) => a - b)
    const all = this.#transfers.map(({ id }) => id)
    assert.deepEqual(inOrder(states.flatMap((state) => state.out)), all, 'every transfer is debited once')
    assert.deepEqual(inOrder(states.flatMap((state) => state.in)), all, 'every transfer is credited once')
    const total = states.reduce((sum, { balance }) => sum + balance, 0)
    assert.equal(total, openingBalance * documents.length)
  }
}

/** Counts jobs that complete in one life of the supervisor. */
class Completions {
  #count = 0
  #wanted: { count: number; resolve: () => void } | undefined

  static async of(runtime: Runtime): Promise<Completions> {
    const completions = new Completions()
    await runtime.subscribe({ types: ['completed'] }, () => completions.#add(1), {
      onGap: ({ missed }) => completions.#add(missed ?? 0)
    })
    return completions
  }

  reach(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wanted = { count, resolve }
      this.#add(0)
    })
  }

  #add(more: number): void {
    this.#count += more
    if (this.#wanted !== undefined && this.#count >= this.#wanted.count) this.#wanted.resolve()
  }
}

/** By the number of jobs completed in this life, of which there are more: what is killed has work before it. */
function momentsOf(random: () => number, life: number): { hostKills: number[]; supervisorKill: number } {
  const jobs = 2 * (transfers / supervisorKills - lastBatches * batchTransfers)
  const upTo = (part: number) => Math.floor((hostKills * part) / supervisorKills)
  const supervisorKill = Math.floor(jobs * (0.4 + 0.4 * random()))
  const kills = Array.from({ length: upTo(life + 1) - upTo(life) }, () => Math.floor(random() * supervisorKill))
  return { hostKills: kills.sort((a, b) => a - b), supervisorKill }
}

/** Any of those that there are; waits for one, as after a kill that took the only one. */
async function killHost(supervisor: number, random: () => number): Promise<void> {
  for (;;) {
    const hosts = hostsOf(supervisor)
    const host = hosts[Math.floor(random() * hosts.length)]
    if (host !== undefined && kill(host)) return
    await sleep(2)
  }
}

/** @returns false: it had ended by itself */
function kill(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL')
  } catch {
    return false
  }
}

/** @returns how many jobs had failed with their hosts on the way */
async function untilCompleted(runtime: Runtime): Promise<number> {
  for (let crashed = 0; ; ) {
    await untilIdle(runtime)
    const failed = await allJobs(runtime, { state: 'failed' })
    for (const { error } of failed) assert.equal(error?.code, 'HOST_CRASHED', error?.message)
    if (failed.length === 0) return crashed
    crashed += failed.length
    await runtime.job.retryMany({ state: 'failed' })
  }
}

async function untilDisconnected(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof RuntimeError) || error.code !== 'NOT_CONNECTED') throw error
  }
}
