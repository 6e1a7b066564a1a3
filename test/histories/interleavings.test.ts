/**
 * Every interleaving of a few clients with a few calls each, over the real queue in this process (issue 7): which calls are
 * made in one turn, and so share a commit, and in which order. Workers are clients as well, so the whole queue is compared
 * with a model: every list, all counts, each claim, and settles that come too late. Without `LONG` each fourth of them.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RuntimeError } from '../../runtime/core/errors.ts'
import type { ClaimedJob } from '../../runtime/queue/claimed-job.ts'
import { type OpenQueue, openQueue, queueConfig } from '../queue/open-queue.ts'
import { assertInvariants } from '../queue/store-invariants.ts'
import { randomFrom } from '../support/random.ts'
import { isLinearizable, type Operation, shrunk, told } from './linearize.ts'
import { attemptOf, countsOf, type QueueCall, shownOf, wholeModel } from './whole-state.ts'

const isLong = process.env.LONG !== undefined
/** Of the interleavings of one program: each, or each fourth. */
const stride = isLong ? 1 : 4
const config = queueConfig('default')
const noTrace = { progress: null, logs: [] }

type Program = readonly QueueCall[]
/** In each turn, the clients that call, in order. */
type Schedule = readonly (readonly number[])[]

function* schedulesOf(left: readonly number[]): Generator<Schedule> {
  if (left.every((calls) => calls === 0)) {
    yield []
    return
  }
  for (const turn of turnsOf(left)) {
    const rest = left.map((calls, client) => (turn.includes(client) ? calls - 1 : calls))
    for (const later of schedulesOf(rest)) yield [turn, ...later]
  }
}

/** Each choice of clients that still have calls, in each order. */
function* turnsOf(left: readonly number[], turn: readonly number[] = []): Generator<readonly number[]> {
  for (const [client, calls] of left.entries()) {
    if (calls === 0 || turn.includes(client)) continue
    const longer = [...turn, client]
    yield longer
    yield* turnsOf(left, longer)
  }
}

/** A client: what it claims it settles, the first first. */
class Caller {
  readonly #queue: OpenQueue['queue']
  readonly #claimed: ClaimedJob[] = []

  constructor({ queue }: OpenQueue) {
    this.#queue = queue
  }

  /** @returns the call as it is made, and its answer */
  make(call: QueueCall): { call: QueueCall; answer: Promise<unknown> } {
    if (call.type !== 'settle') return { call, answer: codeOf(() => this.#answerTo(call)) }
    const claimed = this.#claimed.shift()
    // Without one it settles what nobody has claimed.
    const attempt = claimed ?? ({ seq: 0, id: 'none', attempt: 0 } as ClaimedJob)
    const settled = { type: 'settle', claimed: attemptOf(attempt.id, attempt.attempt) } as const
    const ending = { type: 'completed', result: 'null' } as const
    return { call: settled, answer: codeOf(() => this.#queue.settle(attempt, ending, noTrace)) }
  }

  async #answerTo(call: Exclude<QueueCall, { type: 'settle' }>): Promise<unknown> {
    const queue = this.#queue
    switch (call.type) {
      case 'enqueue': {
        const deduplicate = call.form === 'unfinished'
        const request = { method: 'a.x', jobId: call.id, ...(deduplicate && { deduplicate }) }
        const [result] = await queue.enqueue([request])
        return result!.deduplicated ? `${result!.state} as before` : result!.state
      }
      case 'cancel': {
        const { state, changed } = await queue.cancel(call.id, () => noTrace)
        return changed ? state : `${state} as before`
      }
      case 'retry':
        return (await queue.retry(call.id)).state
      case 'remove':
        await queue.remove(call.id)
        return 'done'
      case 'get': {
        const { id, state, attempts } = queue.get(call.id)
        return shownOf(id, state, attempts.made)
      }
      case 'list':
        return queue.list({ limit: 100 }).jobs.map(({ id, state, attempts }) => shownOf(id, state, attempts.made))
      case 'counts': {
        const { paused, counts } = queue.queue('default')
        return countsOf(paused, counts)
      }
      case 'pause':
      case 'resume': {
        const { paused, counts } = await queue.setPaused('default', call.type === 'pause')
        return countsOf(paused, counts)
      }
      case 'claim': {
        const jobs = await queue.claim('default', 1)
        this.#claimed.push(...jobs)
        return jobs.map(({ id, attempt }) => attemptOf(id, attempt))
      }
    }
  }
}

async function codeOf(answer: () => Promise<unknown>): Promise<unknown> {
  try {
    return await answer()
  } catch (error) {
    if (error instanceof RuntimeError) return error.code
    throw error
  }
}

async function run(open: OpenQueue, programs: readonly Program[], schedule: Schedule): Promise<Operation<QueueCall>[]> {
  const callers = programs.map(() => new Caller(open))
  const made = programs.map(() => 0)
  const history: Operation<QueueCall>[] = []
  let events = 0
  const perform = async (client: number, next: QueueCall) => {
    const calledAt = events++
    const { call, answer: answered } = callers[client]!.make(next)
    const answer = await answered
    history.push({ client: `client ${client}`, call, calledAt, returnedAt: events++, answer })
  }
  for (const turn of schedule) {
    const calls = turn.map((client) => ({ client, call: programs[client]![made[client]!++]! }))
    const besideCancel = calls.some(({ call }) => call.type === 'cancel')
    await Promise.all(
      calls.map(({ client, call }) => perform(client, call.type === 'claim' ? { ...call, besideCancel } : call))
    )
  }
  for (const type of ['list', 'counts'] as const) await perform(0, { type })
  return history
}

/** Of few jobs, so that clients meet at them. */
function randomProgram(random: () => number, calls: number, isWorker: boolean): Program {
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)]!
  return Array.from({ length: calls }, (_, at): QueueCall => {
    const id = pick(['x', 'x', 'y'])
    if (isWorker) return { type: pick(['claim', 'settle', 'claim', 'settle', 'counts']), claimed: '' } as QueueCall
    if (at === 0) return { type: 'enqueue', id, form: 'unfinished' }
    const type = pick([
      'enqueue',
      'cancel',
      'cancel',
      'retry',
      'retry',
      'remove',
      'get',
      'list',
      'counts',
      'pause',
      'resume'
    ])
    return { type, id, form: pick(['refuse', 'unfinished']) } as QueueCall
  })
}

const x = { id: 'x' } as const
const enqueueX = { type: 'enqueue', ...x, form: 'unfinished' } as const
const claim = { type: 'claim' } as const
const settle = { type: 'settle', claimed: '' } as const

/** What is most likely to go wrong: a settle of an attempt that is over, and whatever two clients do to one id. */
const chosen: readonly (readonly Program[])[] = [
  [
    [enqueueX, { type: 'cancel', ...x }, { type: 'retry', ...x }, { type: 'get', ...x }],
    [claim, claim, settle, settle]
  ],
  [
    [enqueueX, { type: 'remove', ...x }, enqueueX, { type: 'list' }],
    [enqueueX, { type: 'cancel', ...x }, { type: 'retry', ...x }, { type: 'counts' }]
  ],
  [
    [{ type: 'pause' }, { type: 'resume' }],
    [enqueueX, { type: 'counts' }],
    [claim, settle]
  ]
]

async function checkAll(open: OpenQueue, programs: readonly Program[]): Promise<{ open: OpenQueue; runs: number }> {
  let runs = 0
  let number = 0
  let current = open
  for (const schedule of schedulesOf(programs.map(({ length }) => length))) {
    if (number++ % stride !== 0) continue
    current = await current.fresh()
    const history = await run(current, programs, schedule)
    runs++
    if (!isLinearizable(history, wholeModel)) {
      assert.fail(`${JSON.stringify(schedule)}: no order explains\n${told(shrunk(history, wholeModel))}`)
    }
    if (runs % 50 === 0) assertInvariants(current.store.reader, current.tag, new Map([[config.name, config]]))
  }
  return { open: current, runs }
}

test('issue 7.7: every interleaving of a few calls has answers that some order explains', {
  timeout: isLong ? 3_600_000 : 300_000
}, async (t) => {
  const random = randomFrom(Number(process.env.INTERLEAVING_SEED ?? 7))
  const startedMs = performance.now()
  let open = await openQueue(config)
  t.after(() => open.close())
  const two = () => [randomProgram(random, 4, false), randomProgram(random, 4, random() < 0.5)]
  const three = () => [
    randomProgram(random, 2, false),
    randomProgram(random, 2, random() < 0.3),
    randomProgram(random, 2, true)
  ]
  const all = [...chosen, ...Array.from({ length: isLong ? 60 : 1 }, two)]
  all.push(...Array.from({ length: isLong ? 20 : 1 }, three))
  let runs = 0
  for (const programs of all) {
    const checked = await checkAll(open, programs)
    open = checked.open
    runs += checked.runs
  }
  const seconds = (performance.now() - startedMs) / 1_000
  t.diagnostic(`${runs} interleavings of ${all.length} programs, ${seconds.toFixed(1)} s`)
})

test('issue 7.7: a pause is answered with what it did, also where a resume shares its commit', async (t) => {
  const { queue, close } = await openQueue(config)
  t.after(close)
  const [paused, resumed] = await Promise.all([queue.setPaused('default', true), queue.setPaused('default', false)])
  assert.deepEqual([paused.paused, resumed.paused], [true, false])
  const changes = [{ paused: true }, { maintenance: true }, { maintenance: false }, { paused: false }]
  const answers = await Promise.all(changes.map((change) => queue.schedule.changeScheduler(change)))
  assert.deepEqual(answers, [
    { paused: true, maintenance: false },
    { paused: true, maintenance: true },
    { paused: true, maintenance: false },
    { paused: false, maintenance: false }
  ])
})
