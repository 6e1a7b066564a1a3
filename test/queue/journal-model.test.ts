/**
 * Questions, signals, ends of attempts, kills and retries in any order, sharing commits: the queue answers what a plain
 * model answers, shows what it holds, and the store follows from it.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RuntimeError } from '../../runtime/core/errors.ts'
import type { ClaimedJob } from '../../runtime/queue/claimed-job.ts'
import type { JournalQuestion } from '../../runtime/queue/journal.ts'
import { attemptsMax, backoffMs, JournalModel, type ModelAttempt, type ModelJob, Refused } from './journal-model.ts'
import { Died, type OpenQueue, openQueue, queueConfig } from './open-queue.ts'
import { assertInvariants, entriesByKind } from './store-invariants.ts'

const isLong = process.env.LONG === '1'
const config = queueConfig('default', {
  attempts: attemptsMax,
  backoff: { type: 'fixed', delayMs: backoffMs, maxMs: backoffMs, jitter: 0, delaysMs: [] }
})
const configs = new Map([['default', config]])
const noTrace = { progress: null, logs: [] }

const ids = ['one', 'two', 'three'] as const
const id = fc.constantFrom(...ids)
const index = fc.constantFrom(0, 0, 1, 2, 3, 4)
const pick = fc.nat(6)
const signalName = fc.constantFrom('s', 't')
const afterMs = fc.constantFrom(-5, 10, 30)

/** What a method calls at each place, as a rule. */
const kinds = ['step', 'sleep', 'signal', 'enqueue', 'signal'] as const

const question = fc.record({
  index,
  strange: fc.constantFrom(...Array<undefined>(12).fill(undefined), 'step', 'signal'),
  ends: fc.constantFrom('begin', 'begin', 'returns', 'throws'),
  value: fc.nat(9),
  afterMs: fc.option(afterMs),
  jobs: fc.uniqueArray(fc.constantFrom('child', 'three', 'four'), { maxLength: 2 })
})
type Drawn = typeof question extends fc.Arbitrary<infer Q> ? Q : never

function questionOf({ index, strange, ends, value, afterMs, jobs }: Drawn, nowMs: number): JournalQuestion {
  const untilMs = afterMs === null ? null : nowMs + afterMs
  switch (strange ?? kinds[index]) {
    case 'sleep':
      return { type: 'sleep', index, name: 'z', untilMs: untilMs ?? nowMs + 500 }
    case 'signal':
      return { type: 'waitFor', index, name: index === 4 ? 't' : 's', untilMs }
    case 'enqueue':
      return { type: 'enqueue', index, name: 'e', jobs: jobs.map((jobId) => ({ method: 'a.y', jobId })) }
  }
  if (ends === 'begin') return { type: 'beginStep', index, name: 'p' }
  const error = { code: 'THROWN' as const, name: 'Error', message: `é${value}` }
  return { type: 'endStep', index, ...(ends === 'throws' ? { error } : { result: String(value) }) }
}

const step = fc.oneof(
  weighted(2, fc.record({ do: fc.constant('enqueue' as const), id })),
  weighted(12, fc.record({ do: fc.constant('claim' as const), max: fc.integer({ min: 1, max: 3 }) })),
  weighted(24, fc.record({ do: fc.constant('ask' as const), pick, question })),
  weighted(
    6,
    fc.record({
      do: fc.constant('settle' as const),
      pick,
      ending: fc.constantFrom('completed', 'failed', 'failed', 'interrupted', ...Array(5).fill('suspended')),
      entries: fc.subarray([0, 1, 2, 4, 7])
    })
  ),
  weighted(9, fc.record({ do: fc.constant('signal' as const), id, name: signalName, value: fc.nat(9) })),
  weighted(1, fc.record({ do: fc.constant('cancel' as const), id })),
  weighted(4, fc.record({ do: fc.constant('retry' as const), id, hasParams: fc.constantFrom(false, false, true) })),
  weighted(1, fc.record({ do: fc.constant('remove' as const), id })),
  weighted(4, fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1, 11, 45) })),
  weighted(2, fc.record({ do: fc.constant('kill' as const) })),
  // The answer never comes, but what was asked for is on disk.
  weighted(2, fc.record({ do: fc.constant('killAfter' as const), pick, question }))
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

function weighted<T>(weight: number, arbitrary: fc.Arbitrary<T>): { weight: number; arbitrary: fc.Arbitrary<T> } {
  return { weight, arbitrary }
}

test('issue 6.5: whatever happens in whatever order, journals and signals are those of a plain model', async () => {
  const seen = new Map<string, number>()
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(step, { minLength: 1, maxLength: 3 }), { minLength: 20, maxLength: 60, size: 'max' }),
      async (rounds) => {
        const open = await openQueue(config)
        try {
          const use = new Use(open, new JournalModel(open.clock.nowMs, seen))
          await use.round(ids.map((each) => ({ do: 'enqueue', id: each })))
          for (const round of rounds) await use.round(round)
          await use.removeAll()
        } finally {
          await open.close()
        }
      }
    ),
    { numRuns: isLong ? 2_000 : 200 }
  )
  const met = [
    'a cut',
    'a sleep that is over',
    'an early signal',
    'a timeout',
    'an enqueue at once',
    'a refused enqueue',
    'an attempt that is over',
    'the end of no step',
    'another call',
    'a signal to a finished job',
    'a signal that wakes',
    'a retry that goes on'
  ]
  for (const what of met) assert((seen.get(what) ?? 0) >= 5, `${what}: ${seen.get(what)} times`)
})

/** In the queue, and in the model. */
interface Attempt {
  claimed: ClaimedJob
  of: ModelAttempt
}

class Use {
  #open: OpenQueue
  readonly #model: JournalModel
  /** Newest first; also those whose attempt is over. */
  #claimed: Attempt[] = []

  constructor(open: OpenQueue, model: JournalModel) {
    this.#open = open
    this.#model = model
  }

  /** The steps are asked for in one turn, so they share a commit, in their order; those that take longer stand alone. */
  async round(steps: readonly Step[]): Promise<void> {
    const together: Promise<void>[] = []
    for (const each of steps) {
      const isAlone = each.do === 'claim' || each.do === 'pass' || each.do === 'kill' || each.do === 'killAfter'
      const asksEnqueue = each.do === 'ask' && questionOf(each.question, this.#model.nowMs).type === 'enqueue'
      if (isAlone || asksEnqueue) await Promise.all(together.splice(0))
      together.push(this.#perform(each))
      if (isAlone || asksEnqueue) await Promise.all(together.splice(0))
    }
    await Promise.all(together)
    const { store, tag } = this.#open
    assertInvariants(store.reader, tag, configs)
    for (const job of this.#model.jobs.values()) this.#compare(job)
  }

  async #perform(each: Step): Promise<void> {
    const { queue, clock } = this.#open
    const model = this.#model
    switch (each.do) {
      case 'enqueue':
        return this.#both(
          () => queue.enqueue([{ method: 'a.x', jobId: each.id }]),
          () => model.enqueue(each.id)
        )
      case 'claim':
        return this.#claim(each.max)
      case 'ask': {
        const job = this.#pick(each.pick)
        const asked = questionOf(each.question, model.nowMs)
        if (job === undefined) return
        return this.#both(
          () => queue.ask(job.claimed, asked),
          () => model.ask(job.of, asked),
          (answer, expected) => assert.deepEqual(answer, expected)
        )
      }
      case 'settle': {
        const job = this.#pick(each.pick)
        const { ending, entries } = each
        if (job === undefined) return
        const error = { code: 'THROWN' as const, name: 'Error', message: 'no' }
        const endings = {
          completed: { type: 'completed' as const, result: '1' },
          failed: { type: 'failed' as const, final: false, error },
          interrupted: { type: 'interrupted' as const },
          suspended: { type: 'suspended' as const, entries }
        }
        return this.#both(
          () => queue.settle(job.claimed, endings[ending as keyof typeof endings], noTrace),
          () => model.settle(job.of, ending, entries),
          (settled, expected) => assert.equal(settled, expected)
        )
      }
      case 'signal':
        return this.#both(
          () => queue.signal(each.id, each.name, each.value),
          () => model.signal(each.id, each.name, String(each.value)),
          ({ state }, expected) => assert.equal(state, expected)
        )
      case 'cancel':
        return this.#both(
          () => queue.cancel(each.id, () => noTrace),
          () => model.cancel(each.id)
        )
      case 'retry':
        return this.#both(
          () => queue.retry(each.id, each.hasParams ? { other: 1 } : undefined),
          () => model.retry(each.id, each.hasParams)
        )
      case 'remove':
        return this.#both(
          () => queue.remove(each.id),
          () => model.remove(each.id)
        )
      case 'pass':
        clock.nowMs += each.ms
        model.nowMs += each.ms
        await queue.promoteDue(clock.nowMs)
        return model.promote()
      case 'killAfter': {
        const job = this.#pick(each.pick)
        if (job === undefined) return
        this.#open.dieAfter(1)
        const asked = questionOf(each.question, model.nowMs)
        const died = await queue.ask(job.claimed, asked).then(
          () => assert.fail('it was to die'),
          (error: unknown) => error instanceof Died
        )
        // A refusal reaches nobody either, and changes nothing.
        if (died) model.ask(job.of, asked)
        return this.#kill()
      }
      case 'kill':
        return this.#kill()
    }
  }

  async #kill(): Promise<void> {
    this.#open = await this.#open.reopen()
    this.#model.kill()
  }

  async #claim(max: number): Promise<void> {
    const ready = [...this.#model.jobs.values()].filter(({ state }) => state === 'ready').length
    const claimed = await this.#open.queue.claim('default', max)
    assert.equal(claimed.length, Math.min(max, ready))
    const attempts = claimed.map((job) => {
      const of = this.#model.claimed(job.id)
      assert.equal(job.attempt, of.attempt)
      const kept = (job.journal ?? []).map(({ index, name, state, result }) => [index, name, state, result])
      const expected = [...of.job.entries].sort(([one], [other]) => one - other)
      assert.deepEqual(
        kept,
        expected.map(([at, { name, state, result }]) => [at, name, state, result])
      )
      assert.notEqual(job.journal?.length, 0)
      return { claimed: job, of }
    })
    this.#claimed = [...attempts, ...this.#claimed].slice(0, 7)
  }

  /** One that runs, seldom one whose attempt may be over. */
  #pick(pick: number): Attempt | undefined {
    const running = this.#claimed.filter(({ of }) => this.#model.runs(of))
    const from = pick === 0 ? this.#claimed : running
    return from[pick % Math.max(from.length, 1)]
  }

  /** The model goes first, at once, so that the order is that in which the queue was asked. */
  async #both<Got, Expected>(
    ask: () => Promise<Got>,
    model: () => Expected,
    check: (got: Got, expected: Expected) => void = () => {}
  ): Promise<void> {
    const asked = ask().then(
      (value) => ({ value }),
      (error: unknown) => {
        if (error instanceof RuntimeError) return { code: error.code }
        throw error
      }
    )
    let expected: Expected
    try {
      expected = model()
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      const { code } = error
      const got = await asked
      assert.deepEqual(got, { code })
      return
    }
    const got = await asked
    if (!('value' in got)) assert.fail(`refused with ${got.code}`)
    check(got.value, expected)
  }

  #compare(expected: ModelJob): void {
    const { state, attempts, steps = [], signals = [], runAt } = this.#open.queue.get(expected.id)
    assert.deepEqual([state, attempts.made], [expected.state, expected.made])
    if (state === 'scheduled') {
      const due = expected.dueAtMs === Number.POSITIVE_INFINITY ? null : new Date(expected.dueAtMs).toISOString()
      assert.equal(runAt, due)
    }
    assert.deepEqual(
      signals.map(({ name, payload }) => [name, JSON.stringify(payload)]),
      expected.signals.map(({ name, payload }) => [name, payload])
    )
    const entries = [...expected.entries].sort(([one], [other]) => one - other)
    assert.deepEqual(
      steps.map(({ kind, name, state, runs, cuts, until, result, error }) => [
        kind,
        name,
        state,
        runs,
        cuts,
        until === null ? null : Date.parse(until),
        result === undefined ? null : JSON.stringify(result),
        error?.message ?? null
      ]),
      entries.map(([, entry]) => {
        const { kind, name, runs, cuts, untilMs, result, threw } = entry
        return [kind, name, shown(entry), runs, cuts, untilMs, result, threw]
      })
    )
  }

  async removeAll(): Promise<void> {
    const { queue, store } = this.#open
    for (const { id } of queue.list({ limit: 100 }).jobs) {
      await queue.cancel(id, () => noTrace)
      await queue.remove(id)
    }
    const kinds = entriesByKind(store.reader)
    assert.deepEqual([...kinds.keys()], ['C', 'M', 'Q'])
  }
}

function shown({ kind, state, threw }: { kind: string; state: string; threw: string | null }): string {
  if (state !== 'open') return state
  if (kind === 'sleep') return 'sleeping'
  if (kind === 'signal') return 'waiting'
  return threw === null ? 'running' : 'failed'
}
