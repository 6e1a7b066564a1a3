/** The outbox of a program (issue 6.4): when `decide` is asked, and what follows from its answer. Time is the test's own. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Outboxes } from '../../runtime/client/outbox.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import type { Decision, OutboxOptions } from '../../runtime/core/transaction.ts'

/** A clock whose timers fire as the test moves it, in order. */
class FakeTimers {
  nowMs = 1_000
  readonly #timers = new Map<object, { atMs: number; action: () => void }>()

  wallMs(): number {
    return Date.UTC(2026, 0, 1) + this.nowMs
  }

  monotonicMs(): number {
    return this.nowMs
  }

  after(delayMs: number, action: () => void): () => void {
    const handle = {}
    this.#timers.set(handle, { atMs: this.nowMs + delayMs, action })
    return () => this.#timers.delete(handle)
  }

  get armed(): number {
    return this.#timers.size
  }

  async pass(ms: number): Promise<void> {
    const endMs = this.nowMs + ms
    for (;;) {
      const [next] = [...this.#timers].sort(([, one], [, other]) => one.atMs - other.atMs)
      if (next === undefined || next[1].atMs > endMs) break
      this.#timers.delete(next[0])
      this.nowMs = next[1].atMs
      next[1].action()
      await settled()
    }
    this.nowMs = endMs
    await settled()
  }
}

/** What is under way in promises has come to its end: nothing here waits for anything else. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

/** A service that knows what is prepared, and notes what is decided. */
class FakeService {
  readonly prepared = new Map<string, { outbox: string; undecidedAtMs: number }>()
  readonly calls: string[] = []
  readonly failures = new Map<string, Error>()
  #count = 0
  readonly #clock: FakeTimers

  constructor(clock: FakeTimers) {
    this.#clock = clock
  }

  readonly call = async (method: string, params: unknown): Promise<unknown> => {
    const failure = this.failures.get(method)
    if (failure !== undefined) throw failure
    if (method === 'outbox.list') {
      const { outbox } = params as { outbox: string }
      return {
        prepared: [...this.prepared].flatMap(([id, entry]) => (entry.outbox === outbox ? [view(id, entry)] : []))
      }
    }
    if (method === 'outbox.prepare') {
      const { outbox, timeout } = params as { outbox: string; timeout: string }
      const id = `p${++this.#count}`
      this.prepared.set(id, { outbox, undecidedAtMs: this.#clock.wallMs() + Number.parseInt(timeout, 10) })
      return view(id, this.prepared.get(id)!)
    }
    const { id } = params as { id: string }
    if (!this.prepared.delete(id)) throw new RuntimeError('OUTBOX_UNKNOWN', `nothing under ${id}`)
    this.calls.push(`${method} ${id}`)
    return method === 'outbox.commit' ? { jobs: [] } : { id, aborted: true }
  }
}

function view(id: string, { outbox, undecidedAtMs }: { outbox: string; undecidedAtMs: number }) {
  const undecidedAt = new Date(undecidedAtMs).toISOString()
  return { id, outbox, operations: 1, preparedAt: undecidedAt, undecidedAt }
}

interface Opened {
  clock: FakeTimers
  service: FakeService
  outboxes: Outboxes
  /** What `decide` was asked, with the second. */
  asked: [string, number][]
  errors: unknown[]
  answers: Map<string, Decision | undefined | Error | Promise<Decision>>
  open(options?: Partial<OutboxOptions>): ReturnType<Outboxes['open']>
}

function opened(test: TestContext): Opened {
  const clock = new FakeTimers()
  const service = new FakeService(clock)
  const outboxes = new Outboxes(service, async () => 'a.b', clock)
  test.after(() => outboxes.stop())
  const asked: Opened['asked'] = []
  const errors: unknown[] = []
  const answers: Opened['answers'] = new Map()
  const decide = async (id: string) => {
    asked.push([id, (clock.nowMs - 1_000) / 1_000])
    const answer = answers.get(id)
    if (answer instanceof Error) throw answer
    return answer
  }
  const open = (options: Partial<OutboxOptions> = {}) =>
    outboxes.open({ name: 'orders', timeout: '10s', decide, onError: (error) => errors.push(error), ...options })
  return { clock, service, outboxes, asked, errors, answers, open }
}

test('issue 6.4: who decides in time is not asked', async (t) => {
  const { clock, service, asked, open } = opened(t)
  const outbox = open()
  const kept = await outbox.prepare((tx) => void tx.enqueue('a.b'))
  const dropped = await outbox.prepare(async (tx) => void tx.cancel('x'))
  assert.deepEqual(await kept.commit(), { jobs: [] })
  assert.equal(await dropped.abort(), undefined)
  await clock.pass(60_000)
  assert.deepEqual(asked, [])
  assert.deepEqual(service.calls, ['outbox.commit p1', 'outbox.abort p2'])
  assert.equal(clock.armed, 0)
})

test('issue 6.4: decide is asked after the timeout, and again until it knows', async (t) => {
  const { clock, service, asked, answers, open } = opened(t)
  const outbox = open()
  await outbox.prepare((tx) => void tx.enqueue('a.b'))
  await clock.pass(4_000)
  await outbox.prepare((tx) => void tx.enqueue('a.b'))
  await clock.pass(5_999)
  assert.deepEqual(asked, [])
  await clock.pass(1)
  assert.deepEqual(asked, [['p1', 10]])
  answers.set('p2', 'abort')
  await clock.pass(4_000)
  assert.deepEqual(service.calls, ['outbox.abort p2'])
  await clock.pass(26_000)
  answers.set('p1', 'commit')
  await clock.pass(10_000)
  assert.deepEqual(asked, [
    ['p1', 10],
    ['p2', 14],
    ['p1', 20],
    ['p1', 30],
    ['p1', 40],
    ['p1', 50]
  ])
  assert.deepEqual(service.calls, ['outbox.abort p2', 'outbox.commit p1'])
  assert.equal(clock.armed, 0)
})

test('issue 6.4: what an earlier process has prepared is asked about, each when its time is over', async (t) => {
  const { clock, service, asked, answers, open } = opened(t)
  service.prepared.set('old', { outbox: 'orders', undecidedAtMs: clock.wallMs() - 86_400_000 })
  service.prepared.set('young', { outbox: 'orders', undecidedAtMs: clock.wallMs() + 3_000 })
  service.prepared.set('foreign', { outbox: 'mails', undecidedAtMs: 0 })
  answers.set('old', 'commit').set('young', 'abort')
  open()
  await settled()
  assert.deepEqual(asked, [['old', 0]])
  await clock.pass(60_000)
  assert.deepEqual(asked, [
    ['old', 0],
    ['young', 3]
  ])
  assert.deepEqual(service.calls, ['outbox.commit old', 'outbox.abort young'])
  assert.deepEqual([...service.prepared.keys()], ['foreign'])
})

test('issue 6.4: errors are told, and it is tried again after the timeout', async (t) => {
  const { clock, service, asked, errors, answers, open } = opened(t)
  const down = new RuntimeError('STORAGE_FULL', 'full')
  service.prepared.set('old', { outbox: 'orders', undecidedAtMs: 0 })
  service.failures.set('outbox.list', down)
  open()
  await settled()
  assert.deepEqual([errors.splice(0), asked], [[down], []])
  service.failures.clear()
  const broken = new Error('the database is away')
  answers.set('old', broken)
  await clock.pass(10_000)
  assert.deepEqual([errors.splice(0), asked.splice(0)], [[broken], [['old', 10]]])
  answers.set('old', true as never)
  await clock.pass(10_000)
  assert.match(String(errors.splice(0)[0]), /decide gave true/)
  answers.set('old', 'commit')
  service.failures.set('outbox.commit', down)
  await clock.pass(10_000)
  assert.deepEqual(errors.splice(0), [down])
  service.failures.clear()
  await clock.pass(10_000)
  assert.deepEqual(service.calls, ['outbox.commit old'])
  assert.deepEqual(
    asked.map(([, second]) => second),
    [20, 30, 40]
  )
  await clock.pass(100_000)
  assert.deepEqual([errors, asked.length], [[], 3])
})

test('issue 6.4: what was decided elsewhere meanwhile is no error', async (t) => {
  const { clock, service, errors, answers, open } = opened(t)
  const outbox = open()
  const prepared = await outbox.prepare((tx) => void tx.enqueue('a.b'))
  answers.set(prepared.id, 'commit')
  service.prepared.clear()
  await clock.pass(60_000)
  assert.deepEqual(errors, [])
  assert.equal(clock.armed, 0)
  await assert.rejects(prepared.abort(), { code: 'OUTBOX_UNKNOWN' })
})

test('issue 6.4: the program and decide may come to the same decision; it is carried out once', async (t) => {
  const { clock, service, errors, answers, open } = opened(t)
  const outbox = open()
  const prepared = await outbox.prepare((tx) => void tx.enqueue('a.b'))
  answers.set(prepared.id, 'commit')
  await clock.pass(10_000)
  assert.deepEqual(await prepared.commit(), { jobs: [] })
  assert.deepEqual(await prepared.commit(), { jobs: [] })

  let answer = (_: Decision) => {}
  const slow = await outbox.prepare((tx) => void tx.enqueue('a.b'))
  answers.set(
    slow.id,
    new Promise<Decision>((resolve) => {
      answer = resolve
    })
  )
  await clock.pass(10_000)
  await slow.commit()
  answer('abort')
  await clock.pass(60_000)
  assert.deepEqual([service.calls, errors], [['outbox.commit p1', 'outbox.commit p2'], []])
})

test('issue 6.4: while the program carries out its decision, decide is not asked, and its answer does not count', async (t) => {
  const { clock, service, asked, errors, answers } = opened(t)
  let carryOut = () => {}
  let answer = (_: Decision) => {}
  const { call } = service
  const slow = new Outboxes(
    {
      call: async (method, params) => {
        if (method === 'outbox.commit') {
          await new Promise<void>((resolve) => {
            carryOut = resolve
          })
        }
        return call(method, params)
      }
    },
    async () => 'a.b',
    clock
  )
  t.after(() => slow.stop())
  const decide = (id: string) => {
    asked.push([id, (clock.nowMs - 1_000) / 1_000])
    return answers.get(id) as Promise<Decision>
  }
  const outbox = slow.open({ name: 'orders', timeout: 10, decide, onError: (error) => errors.push(error) })
  const first = await outbox.prepare((tx) => void tx.enqueue('a.b'))
  const underWay = first.commit()
  await clock.pass(30_000)
  assert.deepEqual(asked, [])
  carryOut()
  await underWay

  const second = await outbox.prepare((tx) => void tx.enqueue('a.b'))
  answers.set(
    second.id,
    new Promise<Decision>((resolve) => {
      answer = resolve
    })
  )
  await clock.pass(10_000)
  assert.equal(asked.length, 1)
  const alsoUnderWay = second.commit()
  answer('abort')
  await settled()
  carryOut()
  await alsoUnderWay
  assert.deepEqual([service.calls, errors], [['outbox.commit p1', 'outbox.commit p2'], []])
})

test('issue 6.4: a commit that failed can be asked for again', async (t) => {
  const { service, open } = opened(t)
  const prepared = await open().prepare((tx) => void tx.enqueue('a.b'))
  service.failures.set('outbox.commit', new RuntimeError('STORAGE_FULL', 'full'))
  await assert.rejects(prepared.commit(), { code: 'STORAGE_FULL' })
  service.failures.clear()
  assert.deepEqual(await prepared.commit(), { jobs: [] })
})

test('issue 6.4: after stop nobody is asked, and an answer that comes is not carried out', async (t) => {
  const { clock, service, outboxes, asked, errors, answers, open } = opened(t)
  const outbox = open()
  let answer = (_: Decision) => {}
  const prepared = await outbox.prepare((tx) => void tx.enqueue('a.b'))
  await outbox.prepare((tx) => void tx.enqueue('a.b'))
  answers.set(
    prepared.id,
    new Promise<Decision>((resolve) => {
      answer = resolve
    })
  )
  await clock.pass(10_000)
  assert.deepEqual(asked, [['p1', 10]])
  await outbox.stop()
  await outboxes.stop()
  answer('commit')
  await clock.pass(600_000)
  assert.deepEqual([asked.length, service.calls, errors, clock.armed], [1, [], [], 0])
  await assert.rejects(
    outbox.prepare((tx) => void tx.enqueue('a.b')),
    /has been stopped/
  )
})

test('issue 6.4: stop waits for a decision that is being carried out', async (t) => {
  const { clock, service } = opened(t)
  let carryOut = () => {}
  const { call } = service
  const slow = new Outboxes(
    {
      call: async (method, params) => {
        if (method === 'outbox.commit')
          await new Promise<void>((resolve) => {
            carryOut = resolve
          })
        return call(method, params)
      }
    },
    async () => 'a.b',
    clock
  )
  const outbox = slow.open({ name: 'orders', timeout: 10, decide: () => 'commit' })
  await outbox.prepare((tx) => void tx.enqueue('a.b'))
  await clock.pass(10_000)
  let hasStopped = false
  const stopped = outbox.stop().then(() => {
    hasStopped = true
  })
  await settled()
  assert.equal(hasStopped, false)
  carryOut()
  await stopped
  assert.deepEqual(service.calls, ['outbox.commit p1'])
})

test('issue 6.4: when the connection has ended, that is told once', async (t) => {
  const { clock, service, errors, answers, open } = opened(t)
  const outbox = open()
  await outbox.prepare((tx) => void tx.enqueue('a.b'))
  answers.set('p1', 'commit')
  service.failures.set('outbox.commit', new RuntimeError('NOT_CONNECTED', 'gone'))
  await clock.pass(600_000)
  assert.deepEqual([errors.length, clock.armed], [1, 0])
})

test('issue 6.4: without decide nothing is looked for or decided by itself', async (t) => {
  const { clock, service, outboxes } = opened(t)
  service.prepared.set('old', { outbox: 'default', undecidedAtMs: 0 })
  const outbox = outboxes.open({})
  await outbox.prepare((tx) => void tx.enqueue('a.b'))
  const second = await outbox.prepare((tx) => void tx.enqueue('a.b'))
  assert.equal(clock.armed, 0)
  await clock.pass(86_400_000)
  assert.deepEqual(
    (await outbox.list()).map(({ id }) => id),
    ['old', 'p1', 'p2']
  )
  await outbox.commit('old')
  await outbox.abort('p1')
  await Promise.all([second.commit(), outbox.commit('p2')])
  assert.deepEqual(service.calls, ['outbox.commit old', 'outbox.abort p1', 'outbox.commit p2'])
  await assert.rejects(outbox.commit('old'), { code: 'OUTBOX_UNKNOWN' })
})

test('issue 6.4: what cannot be an outbox, or be prepared, is refused in words', async (t) => {
  const { service, open } = opened(t)
  for (const options of [{ name: '' }, { timeout: 0 }, { timeout: 'soon' }, { decide: 'commit' as never }]) {
    assert.throws(() => open(options), { code: 'PARAMS_INVALID' })
  }
  const outbox = open()
  await assert.rejects(
    outbox.prepare(() => {}),
    { code: 'PARAMS_INVALID' }
  )
  await assert.rejects(
    outbox.prepare((tx) => {
      tx.enqueue('a.b')
      throw new RangeError('changed my mind')
    }),
    RangeError
  )
  let late = () => {}
  await outbox.prepare((tx) => {
    tx.enqueue('a.b')
    late = () => void tx.enqueue('a.b')
  })
  assert.throws(late, TypeError)
  assert.equal(service.prepared.size, 1)
})
