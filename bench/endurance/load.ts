/**
 * What programs ask for, in a random order: each operation enqueues jobs of one kind and notes how they must end. A job that
 * must not be enqueued twice has an id of its own, so that a request which got no answer can be made again.
 */
import { createConnection } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '../../runtime/client/connect.ts'
import type { Runtime } from '../../runtime/core/api.ts'
import type { EnqueueOptions, JobView } from '../../runtime/core/job.ts'
import type { Expectation, Ledger } from './ledger.ts'
import { accounts, accountType, counterType, openingBalance } from './project.ts'
import { hasCode, isDisconnected, type Link } from './supervisor.ts'

type Operation = (client: Client) => Promise<void>

const textCharsMin = 100
const textCharsMax = 64 * 1024
const text = 'p'.repeat(textCharsMax)
const keys = 50
/** So few that transactions meet the jobs of others on the same document. */
const counters = 2

/** Of a thousand operations. Those that hold a thread or kill one are rare, as they are elsewhere. */
const mix: readonly [weight: number, operation: Operation][] = [
  [450, plain],
  [70, flaky],
  [15, doomed],
  [15, later],
  [80, delayed],
  [100, keyed],
  [110, transfer],
  [50, steps],
  [25, family],
  [30, cancelled],
  [15, removed],
  [15, signalled],
  [10, working],
  [10, transaction],
  [2.5, stuck],
  [0.2, native],
  [2.3, cancelledWhileRunning]
]
const weights = mix.reduce((sum, [weight]) => sum + weight, 0)

/** Sums that the transfers of an account must come to. */
interface Side {
  count: number
  amount: number
  marks: number
}

export class Load {
  readonly ledger: Ledger
  readonly random: () => number
  readonly #sides = new Map<string, { out: Side; in: Side }>()
  #counted = 0
  #enqueueMs: number[] = []
  requests = 0
  repeats = 0
  /** Operations that were not begun because too many waited. */
  leftOut = 0

  constructor(ledger: Ledger, random: () => number) {
    this.ledger = ledger
    this.random = random
    for (let number = 0; number < accounts; number++) {
      this.#sides.set(accountName(number), { out: { ...nothing }, in: { ...nothing } })
    }
  }

  noteEnqueue(ms: number): void {
    this.#enqueueMs.push(ms)
  }

  takeEnqueueMs(): number[] {
    const taken = this.#enqueueMs
    this.#enqueueMs = []
    return taken
  }

  noteTransfer(from: string, to: string, amount: number, mark: number): void {
    add(this.#sides.get(from)!.out, amount, mark)
    add(this.#sides.get(to)!.in, amount, mark)
  }

  noteCount(value: number): void {
    this.#counted += value
  }

  /** At any moment: no money is made, and what is missing is on its way. */
  async checkSnapshot(runtime: Runtime): Promise<void> {
    const { documents } = await runtime.doc.list(accountType, { limit: 1_000 })
    let [onItsWay, total] = [0, 0]
    for (const { name, state } of documents) {
      const account = state as unknown as AccountState
      if (account.balance !== openingBalance - account.out.amount + account.in.amount) {
        this.ledger.violate(`account ${name} shows half a change: ${JSON.stringify(state)}`)
      }
      onItsWay += account.out.amount - account.in.amount
      total += account.balance
    }
    const isWhole = onItsWay >= 0 && total + onItsWay === documents.length * openingBalance
    if (!isWhole) this.ledger.violate(`the accounts hold ${total}, ${onItsWay} are on their way`)
  }

  /** Once everything has ended: each transfer happened exactly once. */
  async checkSums(runtime: Runtime): Promise<{ transfers: number }> {
    let transfers = 0
    for (const [name, { out, in: into }] of this.#sides) {
      transfers += out.count
      if (out.count + into.count === 0) continue
      const { state } = await runtime.doc.get(accountType, name)
      const expected = { balance: openingBalance - out.amount + into.amount, out, in: into }
      const found = state as unknown as AccountState
      const isSame =
        found.balance === expected.balance && isSameSide(found.out, expected.out) && isSameSide(found.in, expected.in)
      if (!isSame) this.ledger.violate(`account ${name} is ${JSON.stringify(state)}, not ${JSON.stringify(expected)}`)
    }
    const { documents } = await runtime.doc.list(counterType, { limit: 1_000 })
    const counted = documents.reduce((sum, { state }) => sum + (state as { value: number }).value, 0)
    if (counted !== this.#counted) this.ledger.violate(`the counters hold ${counted}, not ${this.#counted}`)
    return { transfers }
  }
}

/** A program that makes requests one after the other or side by side, on one connection. */
export class Client {
  readonly load: Load
  readonly link: Link
  readonly #name: string
  #number = 0

  constructor(name: string, load: Load, link: Link) {
    this.#name = name
    this.load = load
    this.link = link
  }

  get number(): number {
    return this.#number
  }

  random(below: number): number {
    return Math.floor(this.load.random() * below)
  }

  nextId(kind: string): string {
    return `${kind}-${this.#name}-${(++this.#number).toString(36)}`
  }

  next(): Promise<void> {
    let drawn = this.load.random() * weights
    for (const [weight, operation] of mix) {
      drawn -= weight
      if (drawn < 0) return operation(this)
    }
    return plain(this)
  }

  /** Enqueues a job under an id of its own, until that is acknowledged. @returns how long it took; undefined: more than one request */
  async enqueue(
    id: string,
    request: { method: string; params: object; options?: EnqueueOptions },
    expectation: Expectation
  ): Promise<number | undefined> {
    const { method, params, options } = request
    const startMs = performance.now()
    const isOnce = await this.once((runtime) => runtime.enqueue(method, params, { ...options, jobId: id }))
    this.load.ledger.acknowledge(id, expectation)
    return isOnce ? performance.now() - startMs : undefined
  }

  /**
   * Makes a request until it is answered. It enqueues under ids of its own, so one that took effect without an answer is
   * refused the next time.
   *
   * @returns whether it was answered the first time
   */
  async once(request: (runtime: Runtime) => Promise<unknown>): Promise<boolean> {
    let isFirst = true
    this.load.requests++
    try {
      await this.link.call(request, () => {
        isFirst = false
        this.load.repeats++
      })
    } catch (error) {
      if (isFirst || !hasCode(error, 'JOB_EXISTS')) throw error
    }
    return isFirst
  }
}

/** Comes for one thing and leaves again, not always politely. */
export async function visit(socketPath: string, load: Load): Promise<void> {
  const { ledger, random } = load
  if (random() < 0.2) return leaveInTheMiddle(socketPath)
  let runtime: Runtime | undefined
  try {
    runtime = await connect(socketPath)
    const { id } = await runtime.enqueue('load.leaf', { number: 1 })
    ledger.acknowledge(id, { kind: 'visit', state: 'completed' })
    const choice = random()
    if (choice < 0.4) await runtime.job.wait(id)
    else if (choice < 0.6) await runtime.subscribe({ job: id }, () => {})
    else if (choice < 0.7) await runtime.job.list({ limit: 20 })
    else if (choice < 0.8) await (await runtime.subscribe({}, () => {})).unsubscribe()
    else if (choice < 0.9) void runtime.job.wait(id).catch(() => {})
  } catch (error) {
    if (!isDisconnected(error)) throw error
  } finally {
    await runtime?.stop()
  }
}

/** A client that dies with half a request sent. */
async function leaveInTheMiddle(socketPath: string): Promise<void> {
  await new Promise<void>((resolve) => {
    const socket = createConnection(socketPath, () => {
      socket.write('{"jsonrpc":"2.0","id":1,"method":"status"}\n{"jsonrpc":"2.0","id":2,"met', () => socket.destroy())
    })
    socket.on('error', () => {}).on('close', () => resolve())
  })
}

/** A text of any size up to 64 KiB, small ones more often. */
function payload(client: Client): string {
  const chars = textCharsMin * (textCharsMax / textCharsMin) ** client.load.random()
  return text.slice(0, Math.round(chars))
}

async function plain(client: Client): Promise<void> {
  const id = client.nextId('plain')
  const params = { number: client.number, text: payload(client), answerChars: client.random(2_000) }
  const options = client.random(10) === 0 ? { priority: client.random(5), jobName: 'urgent' } : {}
  const ms = await client.enqueue(id, { method: 'load.plain', params, options }, completed('plain', checkPlain(params)))
  if (ms !== undefined) client.load.noteEnqueue(ms)
}

function checkPlain({ number, text, answerChars }: { number: number; text: string; answerChars: number }) {
  const chars = text.length
  return ({ params, result }: JobView) => {
    const found = result as { number: number; chars: number; text: string }
    if (found.number !== number || found.chars !== chars || found.text.length !== answerChars) {
      return `its result is ${JSON.stringify(result).slice(0, 200)}, not that of ${number} with ${chars} characters`
    }
    const kept = (params as { text: string }).text
    return kept.length === chars && /^p*$/.test(kept) ? undefined : `its params have changed: ${kept.length} characters`
  }
}

async function flaky(client: Client): Promise<void> {
  const options: EnqueueOptions = { attempts: 5, backoff: { type: 'exponential', delay: '200ms', jitter: 0.2 } }
  const request = { method: 'load.flaky', params: { failures: 1 + client.random(2) }, options }
  await client.enqueue(client.nextId('flaky'), request, completed('flaky'))
}

async function doomed(client: Client): Promise<void> {
  const request = { method: 'load.fails', params: {}, options: { attempts: 2, backoff: { type: 'fixed', delay: 0.1 } } }
  await client.enqueue(client.nextId('doomed'), request as never, {
    kind: 'doomed',
    state: 'failed',
    errorCode: 'THROWN'
  })
}

async function later(client: Client): Promise<void> {
  await client.enqueue(client.nextId('later'), { method: 'load.later', params: {} }, completed('later'))
}

async function delayed(client: Client): Promise<void> {
  const options = { delay: 0.5 + client.random(10_000) / 1_000 }
  await client.enqueue(
    client.nextId('delayed'),
    { method: 'load.leaf', params: { number: 1 }, options },
    completed('delayed')
  )
}

async function keyed(client: Client): Promise<void> {
  const options = { key: `tenant-${client.random(keys)}`, keyConcurrency: 1 }
  await client.enqueue(
    client.nextId('keyed'),
    { method: 'load.leaf', params: { number: 1 }, options },
    completed('keyed')
  )
}

async function transfer(client: Client): Promise<void> {
  const jobId = client.nextId('transfer')
  const [from, to] = [accountName(client.random(accounts)), accountName(client.random(accounts))]
  const amount = 1 + client.random(20)
  const mark = client.random(2 ** 31)
  await client.once((runtime) =>
    runtime.enqueueDoc(accountType, from, 'debit', { to, amount, mark }, { queue: 'bank', jobId })
  )
  client.load.ledger.acknowledge(jobId, completed('transfer'))
  client.load.noteTransfer(from, to, amount, mark)
}

async function steps(client: Client): Promise<void> {
  const options = { queue: 'slow' }
  const { number } = client
  const check = ({ result }: JobView) =>
    result === number + 2 ? undefined : `its result is ${result}, not ${number + 2}`
  await client.enqueue(
    client.nextId('steps'),
    { method: 'load.steps', params: { number }, options },
    completed('steps', check)
  )
}

/** Two parents and the job that adds their results up. */
async function family(client: Client): Promise<void> {
  const ids = ['a', 'b', 'join'].map(() => client.nextId('family'))
  const parent = (jobId: string, number: number) => ({ method: 'load.leaf', params: { number }, jobId })
  const jobs = [
    parent(ids[0]!, 3),
    parent(ids[1]!, 4),
    { method: 'load.join', jobId: ids[2]!, dependsOn: [0, 1], queue: 'slow' }
  ]
  await client.once((runtime) => runtime.enqueueMany(jobs))
  const isSum = ({ result }: JobView) => (result === 7 ? undefined : `its result is ${result}, not 7`)
  for (const id of ids.slice(0, 2)) client.load.ledger.acknowledge(id, completed('parent'))
  client.load.ledger.acknowledge(ids[2]!, completed('join', isSum))
}

async function cancelled(client: Client): Promise<void> {
  const id = client.nextId('cancelled')
  const request = { method: 'load.leaf', params: { number: 1 }, options: { delay: '1m' } }
  await client.enqueue(id, request, { kind: 'cancelled', state: 'cancelled' })
  await client.once((runtime) => runtime.job.cancel(id))
}

async function removed(client: Client): Promise<void> {
  const jobId = client.nextId('removed')
  await client.once((runtime) => runtime.enqueue('load.leaf', { number: 1 }, { delay: '1m', jobId }))
  client.load.ledger.acknowledged++
  await client
    .once((runtime) => runtime.job.remove(jobId))
    .catch((error) => {
      // A removal that took effect without an answer.
      if (!hasCode(error, 'JOB_UNKNOWN')) throw error
    })
  await client.load.ledger.expectGone(jobId)
}

async function signalled(client: Client): Promise<void> {
  const id = client.nextId('signalled')
  const { number } = client
  const check = ({ result }: JobView) => (result === number ? undefined : `it got the signal ${result}, not ${number}`)
  await client.enqueue(
    id,
    { method: 'load.waits', params: {}, options: { queue: 'slow' } },
    completed('signalled', check)
  )
  await sleep(client.random(500))
  await client
    .once((runtime) => runtime.job.signal(id, 'go', number))
    .catch((error) => {
      // The first of two has let it finish.
      if (!hasCode(error, 'JOB_STATE')) throw error
    })
}

async function working(client: Client): Promise<void> {
  const request = { method: 'load.works', params: { forMs: 400 }, options: { queue: 'slow' } }
  await client.enqueue(client.nextId('working'), request, completed('working'))
}

/** A count and a job: both or neither. */
async function transaction(client: Client): Promise<void> {
  const jobId = client.nextId('transaction')
  const name = `c${client.random(counters)}`
  await client.once((runtime) =>
    runtime.transaction(
      async (tx) => {
        const state = await tx.getState<{ value: number }>(counterType, name)
        tx.setState(counterType, name, { value: (state?.value ?? 0) + 1 })
        tx.enqueueDoc(counterType, name, 'add', { value: 1 }, { queue: 'bank', jobId })
      },
      { attempts: 100 }
    )
  )
  client.load.ledger.acknowledge(jobId, completed('transaction'))
  client.load.noteCount(2)
}

/** Runs until its deadline. */
async function stuck(client: Client): Promise<void> {
  const expectation: Expectation = { kind: 'stuck', state: 'failed', errorCode: 'TIMEOUT' }
  await client.enqueue(
    client.nextId('stuck'),
    { method: 'load.spin', params: {}, options: { queue: 'stuck' } },
    expectation
  )
}

/** As {@link stuck}, and costs its host. */
async function native(client: Client): Promise<void> {
  const expectation: Expectation = { kind: 'native', state: 'failed', errorCode: 'TIMEOUT' }
  await client.enqueue(
    client.nextId('native'),
    { method: 'load.native', params: {}, options: { queue: 'stuck' } },
    expectation
  )
}

async function cancelledWhileRunning(client: Client): Promise<void> {
  const id = client.nextId('killed')
  const request = { method: 'load.works', params: { forMs: 20_000 }, options: { queue: 'slow' } }
  await client.enqueue(id, request, { kind: 'killed', state: 'cancelled' })
  await sleep(client.random(300))
  await client.once((runtime) => runtime.job.cancel(id))
}

function completed(kind: string, check?: Expectation['check']): Expectation {
  return { kind, state: 'completed', ...(check && { check }) }
}

interface AccountState {
  balance: number
  out: Side
  in: Side
}

const nothing: Readonly<Side> = { count: 0, amount: 0, marks: 0 }

function accountName(number: number): string {
  return `a${number}`
}

function add(side: Side, amount: number, mark: number): void {
  side.count++
  side.amount += amount
  side.marks += mark
}

function isSameSide(one: Side, two: Side): boolean {
  return one.count === two.count && one.amount === two.amount && one.marks === two.marks
}
