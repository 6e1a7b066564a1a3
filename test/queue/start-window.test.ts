/**
 * A rate limit against a plain list of starts. Time is real time, which only passes, in fractions of a millisecond; the wall
 * clock shows it in whole ones, and may be set back. What counts is when threads took their jobs in real time.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import type { RateLimitRule } from '../../runtime/core/config.ts'
import type { QueueCommit } from '../../runtime/queue/commit.ts'
import { StartWindow } from '../../runtime/queue/start-window.ts'
import { startRange } from '../../runtime/store/keys.ts'
import { Store } from '../../runtime/store/store.ts'

const queue = 1
/** A fraction of a millisecond is lost where a time becomes a whole one. */
const lostMs = 1

const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('reserve' as const), group: fc.nat(1) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('start' as const), pick: fc.nat() }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('note' as const), pick: fc.nat() }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      ms: fc.oneof(fc.double({ min: 0, max: 3, noNaN: true }), fc.double({ min: 0, max: 60, noNaN: true }))
    })
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), group: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('setBack' as const), ms: fc.integer({ min: 1, max: 200 }) }) }
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

/** A start that was reserved; then a thread took the job; then the queue was told. */
interface Start {
  turn: number
  reservedAtMs: number
  started: { realMs: number; wallMs: number } | undefined
  isNoted: boolean
}

interface Scene {
  rule: RateLimitRule
  steps: Step[]
}
const scene = (isSetBack: boolean): fc.Arbitrary<Scene> =>
  fc.record({
    rule: fc.record({ max: fc.integer({ min: 1, max: 5 }), perMs: fc.constantFrom(1, 10, 50) }),
    steps: fc.array(isSetBack ? step : step.filter((each) => each.do !== 'setBack'), {
      minLength: 20,
      maxLength: 60,
      size: 'max'
    })
  })

/** Two windows beside each other in one store, each with its list. */
class Windows {
  store: Store
  readonly #rule: RateLimitRule
  readonly starts: [Start[], Start[]] = [[], []]
  /** What the queue keeps of a window beside its entries. */
  readonly #counts = [0, 0]
  #realMs = 1_000_000
  #setBackByMs = 0
  #turn = 0
  isSetBack = false

  constructor(store: Store, rule: RateLimitRule) {
    this.store = store
    this.#rule = rule
  }

  get #nowMs(): number {
    return Math.floor(this.#realMs - this.#setBackByMs)
  }

  /** In a commit of its own, of a queue that knows nothing but what is stored: as after a restart. */
  async within<T>(group: number, act: (window: StartWindow) => T): Promise<T> {
    return this.store.transact((transaction) => {
      const commit = { transaction, nowMs: this.#nowMs } as QueueCommit
      const window = new StartWindow(commit, queue, group, this.#rule, this.#counts[group]!)
      window.prune()
      const result = act(window)
      this.#counts[group] = window.count
      const stored = [...transaction.keys(startRange(queue, group))].length
      assert.equal(window.count, stored, 'entries that the window believes to have')
      return result
    })
  }

  async perform(each: Step): Promise<void> {
    const all = this.starts.flat()
    switch (each.do) {
      case 'reserve': {
        const start: Start = { turn: ++this.#turn, reservedAtMs: this.#nowMs, started: undefined, isNoted: false }
        const isFree = await this.within(each.group, (window) => {
          if (window.free === 0) return false
          window.reserve(start.turn)
          return true
        })
        if (isFree) this.starts[each.group]!.push(start)
        return
      }
      case 'start': {
        const start = all.filter(({ started }) => started === undefined)[each.pick % 3]
        if (start !== undefined) start.started = { realMs: this.#realMs, wallMs: this.#nowMs }
        return
      }
      case 'note': {
        const start = all.filter(({ started, isNoted }) => started !== undefined && !isNoted)[each.pick % 3]
        if (start === undefined) return
        start.isNoted = true
        const group = this.starts[0].includes(start) ? 0 : 1
        const { reservedAtMs, turn, started } = start
        await this.within(group, (window) => {
          window.note(reservedAtMs, turn, started!.wallMs)
          // The queue is told again when the job ends: the first time counts.
          window.note(reservedAtMs, turn, this.#nowMs)
        })
        return
      }
      case 'pass':
        this.#realMs += each.ms
        return
      case 'wait': {
        const { free, atMs } = await this.within(each.group, (window) => ({
          free: window.free,
          atMs: window.freeAtMs()
        }))
        if (free > 0 || atMs === null) return
        assert(atMs > this.#nowMs && atMs <= this.#nowMs + this.#rule.perMs + 1, 'never waits longer than the span')
        this.#realMs += atMs - 1 - this.#nowMs
        assert.equal(await this.within(each.group, (window) => window.free), 0, 'not before that instant')
        this.#realMs += 1
        assert((await this.within(each.group, (window) => window.free)) > 0, 'at that instant')
        return
      }
      case 'setBack':
        this.#setBackByMs += each.ms
        this.isSetBack = true
        return
      default:
        return
    }
  }

  async check(): Promise<void> {
    const { max, perMs } = this.#rule
    for (const [group, starts] of this.starts.entries()) {
      const within = (spanMs: number) =>
        starts.filter(({ started, isNoted }) => !isNoted || this.#realMs - started!.realMs <= spanMs).length
      const free = await this.within(group, (window) => window.free)
      assert(free <= Math.max(max - within(perMs), 0), `${free} free with ${within(perMs)} of ${max} in the window`)
      if (!this.isSetBack) assert(free >= max - within(perMs + lostMs), 'allowance is lost')

      const taken = starts.flatMap(({ started }) => (started === undefined ? [] : [started.realMs]))
      taken.sort((a, b) => a - b)
      for (const [at, realMs] of taken.entries()) {
        const next = taken[at + max]
        assert(next === undefined || next - realMs > perMs, `more than ${max} starts in ${perMs} ms`)
      }
    }
  }
}

async function compare(isSetBack: boolean, numRuns: number): Promise<void> {
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'ar-'))
  let runs = 0
  let starts = 0
  try {
    await fc.assert(
      fc.asyncProperty(scene(isSetBack), async ({ rule, steps }) => {
        const path = join(folder, String(runs++))
        let store = new Store(path)
        try {
          const windows = new Windows(store, rule)
          for (const each of steps) {
            if (each.do === 'restart') {
              await store.close()
              store = new Store(path)
              windows.store = store
            } else await windows.perform(each)
            await windows.check()
          }
          starts += windows.starts.flat().length
        } finally {
          await store.close()
          rmSync(path, { recursive: true })
        }
      }),
      { numRuns }
    )
    assert(starts > numRuns, `${starts} starts`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

test('issue 5.3: never more starts than the limit in any span, none less than it allows, over restarts', () =>
  compare(false, 120))

test('issue 5.3: with a clock that is set back never more starts than the limit, and no wait longer than the span', () =>
  compare(true, 120))

test('a limit that is no longer configured: its entries go, a bounded number at a time, until none is left', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ar-'))
  const store = new Store(folder)
  try {
    const entries = 2_300
    await store.transact((transaction) => {
      const commit = { transaction, nowMs: 1_000 } as QueueCommit
      const window = new StartWindow(commit, queue, 7, { max: 5_000, perMs: 1_000 }, 0)
      for (let turn = 1; turn <= entries; turn++) window.reserve(turn)
    })
    let count = entries
    const left: number[] = []
    while (count > 0) {
      count = await store.transact((transaction) => {
        const window = new StartWindow({ transaction, nowMs: 1_000 } as QueueCommit, queue, 7, null, count)
        assert.equal(window.free, Number.POSITIVE_INFINITY)
        window.prune()
        return window.count
      })
      left.push(count)
    }
    assert.deepEqual(left, [1_300, 300, 0])
    assert.deepEqual([...store.reader.keys(startRange(queue, 7))], [])
  } finally {
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  }
})
