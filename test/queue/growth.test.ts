/** The size of the store over time, against a plain list: a sample an hour at most, the newest two days of them, over restarts. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { Growth } from '../../runtime/queue/growth.ts'
import { Store } from '../../runtime/store/store.ts'

const hourMs = 3_600_000
const kept = 48
const startMs = Date.UTC(2026, 0)

function openStore(test: TestContext): Store {
  const folder = mkdtempSync(join(tmpdir(), 'ar-'))
  const store = new Store(folder)
  test.after(async () => {
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return store
}

class Sampled {
  usedBytes = 0
  readonly #store: Store
  #growth: Growth

  constructor(store: Store) {
    this.#store = store
    this.#growth = new Growth(() => this.usedBytes)
  }

  /** As a new supervisor: it knows what is stored. */
  restart(): void {
    this.#growth = new Growth(() => this.usedBytes)
  }

  async commit(nowMs: number): Promise<[number, number][]> {
    await this.#store.transact((transaction) => this.#growth.sample(transaction, nowMs))
    return this.#growth.list(this.#store.reader).map(({ atMs, usedBytes }) => [atMs, usedBytes])
  }
}

test('issue 5.7: a commit takes a sample an hour after the last one; the newest 48 are kept, over restarts', async (test) => {
  const store = openStore(test)
  const step = fc.record({
    afterMs: fc.oneof(fc.nat(hourMs), fc.constantFrom(hourMs - 1, hourMs, hourMs + 1), fc.nat(10 * hourMs)),
    usedBytes: fc.nat(),
    restarts: fc.boolean()
  })
  let nowMs = startMs
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 80, maxLength: 120, size: 'max' }), async (steps) => {
      await store.transact((transaction) => {
        for (const key of [...transaction.keys({ start: Buffer.of(0), end: Buffer.of(255) })]) transaction.remove(key)
      })
      const sampled = new Sampled(store)
      const list: [number, number][] = []
      for (const { afterMs, usedBytes, restarts } of steps) {
        nowMs += afterMs
        sampled.usedBytes = usedBytes
        if (restarts) sampled.restart()
        if (list.length === 0 || nowMs >= list.at(-1)![0] + hourMs) list.push([nowMs, usedBytes])
        assert.deepEqual(await sampled.commit(nowMs), list.slice(-kept))
      }
    }),
    { numRuns: 20 }
  )
})

test('after the clock was set back, samples of the future go, the others stay, and it goes on at once', async (test) => {
  for (const restarts of [false, true]) {
    const sampled = new Sampled(openStore(test))
    sampled.usedBytes = 10
    for (let hour = 0; hour < 5; hour++) await sampled.commit(startMs + hour * hourMs)
    const backMs = startMs + 2.5 * hourMs
    sampled.usedBytes = 20
    if (restarts) sampled.restart()
    const past = [0, 1, 2].map((hour) => [startMs + hour * hourMs, 10])
    assert.deepEqual(await sampled.commit(backMs), [...past, [backMs, 20]])
    assert.deepEqual(await sampled.commit(backMs + hourMs - 1), [...past, [backMs, 20]])
    assert.equal((await sampled.commit(backMs + hourMs)).length, 5)
  }
})
