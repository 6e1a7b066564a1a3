/**
 * The promises of the group commit: what is resolved is on disk, what is refused left no trace, one bad operation harms no
 * other, and every operation is answered exactly once.
 */
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import fc from 'fast-check'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { commitBytesMax, commitOperationsMax } from '../../runtime/core/limits.ts'
import { LmdbEngine } from '../../runtime/store/lmdb-engine.ts'
import { type CommitState, type CommitStates, Store, type Transaction } from '../../runtime/store/store.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { OwnerProcess } from './owner-process.ts'
import { smallDisk } from './small-disk.ts'

function openStore(test: TestContext, path = join(temporaryFolder(test), 'store')): Store {
  const store = new Store(path)
  test.after(() => store.close())
  return store
}

const key = (text: string | number) => Buffer.from(`k${text}`)
const value = (text: string | number) => Buffer.from(`v${text}`)
const put = (text: string | number) => (transaction: Transaction) => transaction.put(key(text), value(text))
const everything = { start: Buffer.of(0), end: Buffer.of(255) }
const refused = (code: string) => (error: unknown) => error instanceof RuntimeError && error.code === code

function keysOf(store: Store): string[] {
  return [...store.reader.keys(everything)].map(String)
}

/** Writes down which operations each commit held, before and after it. */
class CommitLog {
  readonly before: string[][] = []
  readonly after: string[][] = []

  note(states: CommitStates, name: string): void {
    states.of(this, () => this.#newCommit()).names.push(name)
  }

  #newCommit(): CommitState & { names: string[] } {
    const names: string[] = []
    return {
      names,
      beforeCommit: () => this.before.push([...names]),
      afterCommit: () => this.after.push([...names])
    }
  }
}

describe('resolved means on disk', () => {
  it('a process that is killed right after the promise resolved leaves the record behind', async (test) => {
    const directory = temporaryFolder(test)
    const child = await OwnerProcess.start(test)
    await child.open(directory)
    await child.putAndDie(key('kept'), value('kept'))
    const store = openStore(test, join(directory, 'store'))
    assert.deepEqual(store.reader.get(key('kept')), value('kept'))
  })

  it('another process that opens the store afterwards sees the record', async (test) => {
    const directory = temporaryFolder(test)
    const child = await OwnerProcess.start(test)
    await child.open(directory)
    await child.put(key(1), value(1))
    assert.deepEqual(openStore(test, join(directory, 'store')).reader.get(key(1)), value(1))
  })

  it('promises resolve after the after-commit actions, which see the commit', async (test) => {
    const store = openStore(test)
    const order: string[] = []
    const promise = store.transact((transaction, states) => {
      put(1)(transaction)
      states.of(order, () => ({
        beforeCommit: () => order.push('before'),
        afterCommit: () => order.push(`after, sees ${store.reader.get(key(1))}`)
      }))
      return 'value'
    })
    promise.then(() => order.push('resolved'))
    assert.equal(await promise, 'value')
    assert.deepEqual(order, ['before', 'after, sees v1', 'resolved'])
  })
})

describe('group commit', () => {
  it('operations of one turn share one commit, in order, and see each other', async (test) => {
    const store = openStore(test)
    const log = new CommitLog()
    const results = Array.from({ length: 100 }, (_, at) =>
      store.transact((transaction, states) => {
        log.note(states, `${at}`)
        put(at)(transaction)
        return transaction.get(key(at - 1))?.toString()
      })
    )
    assert.deepEqual(await Promise.all(results), [undefined, ...Array.from({ length: 99 }, (_, at) => `v${at}`)])
    assert.deepEqual(log.after, [Array.from({ length: 100 }, (_, at) => `${at}`)])
    assert.deepEqual(log.before, log.after)
  })

  it('operations of the next turn are another commit', async (test) => {
    const store = openStore(test)
    const log = new CommitLog()
    await store.transact((_, states) => log.note(states, 'first'))
    await store.transact((_, states) => log.note(states, 'second'))
    assert.deepEqual(log.after, [['first'], ['second']])
  })

  it('holds at most so many operations', async (test) => {
    const store = openStore(test)
    const log = new CommitLog()
    const total = 2 * commitOperationsMax + 1
    const all = Array.from({ length: total }, (_, at) => store.transact((_, states) => log.note(states, `${at}`)))
    await Promise.all(all)
    assert.deepEqual(
      log.after.map((names) => names.length),
      [commitOperationsMax, commitOperationsMax, 1]
    )
    assert.deepEqual(
      log.after.flat(),
      all.map((_, at) => `${at}`)
    )
  })

  it('takes no further operation once it holds so many bytes', async (test) => {
    const store = openStore(test)
    const log = new CommitLog()
    const half = Buffer.alloc(commitBytesMax / 2)
    await Promise.all(
      Array.from({ length: 5 }, (_, at) =>
        store.transact((transaction, states) => {
          log.note(states, `${at}`)
          transaction.put(key(at), half)
        })
      )
    )
    assert.deepEqual(log.after, [['0', '1'], ['2', '3'], ['4']])
  })

  it('an operation that is larger than a commit should be is stored all the same', async (test) => {
    const store = openStore(test)
    const large = Buffer.alloc(4 * commitBytesMax, 7)
    await Promise.all([store.transact(put(1)), store.transact((transaction) => transaction.put(key(2), large))])
    assert.deepEqual(store.reader.get(key(2)), large)
    assert.deepEqual(keysOf(store), ['k1', 'k2'])
  })

  it('what after-commit actions ask for is a commit of its own, and runs once', async (test) => {
    const store = openStore(test)
    const log = new CommitLog()
    let follow: Promise<void> | undefined
    await store.transact((_, states) => {
      log.note(states, 'first')
      states.of({}, () => ({
        beforeCommit: () => undefined,
        afterCommit: () => {
          follow = store.transact((transaction, followStates) => {
            log.note(followStates, 'second')
            put(2)(transaction)
          })
        }
      }))
    })
    await follow
    assert.deepEqual(log.after, [['first'], ['second']])
    assert.deepEqual(keysOf(store), ['k2'])
  })
})

describe('operations that throw', () => {
  const badInput = () => new RuntimeError('JOB_EXISTS', 'bad input')

  it('a RuntimeError before the first write refuses that operation only, in the same commit', async (test) => {
    const store = openStore(test)
    const log = new CommitLog()
    const [first, second, third] = await Promise.allSettled([
      store.transact((transaction, states) => {
        log.note(states, 'first')
        put(1)(transaction)
      }),
      store.transact((_, states) => {
        log.note(states, 'second')
        throw badInput()
      }),
      store.transact((transaction, states) => {
        log.note(states, 'third')
        put(3)(transaction)
      })
    ])
    assert.equal(first.status, 'fulfilled')
    assert(second.status === 'rejected' && refused('JOB_EXISTS')(second.reason))
    assert.equal(third.status, 'fulfilled')
    assert.deepEqual(log.after, [['first', 'second', 'third']])
    assert.deepEqual(keysOf(store), ['k1', 'k3'])
  })

  for (const [name, error] of [
    ['RuntimeError', badInput()],
    ['defect', new TypeError('a defect')]
  ] as const) {
    it(`a ${name} after a write leaves nothing of its operation, and all of the others`, async (test) => {
      const store = openStore(test)
      const log = new CommitLog()
      const [first, second, third] = await Promise.allSettled([
        store.transact((transaction, states) => {
          log.note(states, 'first')
          put(1)(transaction)
        }),
        store.transact((transaction, states) => {
          log.note(states, 'second')
          put(2)(transaction)
          transaction.remove(key(1))
          throw error
        }),
        store.transact((transaction, states) => {
          log.note(states, 'third')
          put(3)(transaction)
        })
      ])
      assert.deepEqual([first.status, second.status, third.status], ['fulfilled', 'rejected', 'fulfilled'])
      assert.equal((second as PromiseRejectedResult).reason, error)
      assert.deepEqual(keysOf(store), ['k1', 'k3'])
      assert.deepEqual(log.before, [['first'], ['third']])
      assert.deepEqual(log.after, [['first'], ['third']])
      await store.close()
      assert.deepEqual(keysOf(openStore(test, store.path)), ['k1', 'k3'])
    })
  }

  it('a defect before any write refuses that operation only', async (test) => {
    const store = openStore(test)
    const [bad, good] = await Promise.allSettled([
      store.transact(() => {
        throw new TypeError('a defect')
      }),
      store.transact(put(1))
    ])
    assert(bad.status === 'rejected' && bad.reason instanceof TypeError)
    assert.equal(good.status, 'fulfilled')
  })

  it('what beforeCommit throws refuses the operations that share the state, and nothing of them is kept', async (test) => {
    const store = openStore(test)
    const owner = {}
    const failing = (text: string) =>
      store.transact((transaction, states) => {
        put(text)(transaction)
        states.of(owner, () => ({
          beforeCommit: () => {
            throw badInput()
          },
          afterCommit: () => assert.fail('must not be told of a commit that was not made')
        }))
      })
    const [first, second, third] = await Promise.allSettled([failing('a'), store.transact(put('b')), failing('c')])
    assert.deepEqual([first.status, second.status, third.status], ['rejected', 'fulfilled', 'rejected'])
    assert.deepEqual(keysOf(store), ['kb'])
  })

  it('an asynchronous operation is refused: it would be acknowledged before it has written', async (test) => {
    const store = openStore(test)
    const asynchronous = store.transact(async (transaction) => put(1)(transaction))
    await assert.rejects(asynchronous, /must be synchronous/)
    assert.deepEqual(keysOf(store), [])
  })

  it('what an after-commit action throws ends the process, but whoever is on disk is acknowledged, once', async (test) => {
    const store = openStore(test)
    const uncaught = uncaughtError(test)
    const log = new CommitLog()
    const operations = Array.from({ length: commitOperationsMax + 1 }, (_, at) =>
      store.transact((transaction, states) => {
        log.note(states, `${at}`)
        put(at)(transaction)
        if (at === 0) {
          states.of({}, () => ({
            beforeCommit: () => undefined,
            afterCommit: () => {
              throw new Error('of a listener')
            }
          }))
        }
      })
    )
    await Promise.all(operations)
    assert.match((await uncaught).message, /of a listener/)
    assert.deepEqual(
      log.after.map((names) => names.length),
      [commitOperationsMax, 1]
    )
  })
})

/** Resolves with the next error that nobody catches, which would end an ordinary process. */
function uncaughtError(test: TestContext): Promise<Error> {
  const listeners = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  test.after(() => {
    process.removeAllListeners('uncaughtException')
    for (const listener of listeners) process.on('uncaughtException', listener)
  })
  return new Promise((resolve) => process.on('uncaughtException', resolve))
}

describe('closing', () => {
  it('commits what is pending, in whatever number of commits', async (test) => {
    const store = openStore(test)
    const total = commitOperationsMax + 10
    const all = Array.from({ length: total }, (_, at) => store.transact(put(at)))
    await store.close()
    assert.equal((await Promise.allSettled(all)).filter(({ status }) => status === 'fulfilled').length, total)
    assert.equal(keysOf(openStore(test, store.path)).length, total)
  })

  it('is safe twice, at the same time and afterwards, and refuses what follows', async (test) => {
    const store = openStore(test)
    await store.transact(put(1))
    const closing = store.close()
    await assert.rejects(store.transact(put(2)), refused('STORAGE_FAILED'))
    await Promise.all([closing, store.close()])
    await store.close()
    await assert.rejects(store.transact(put(3)), refused('STORAGE_FAILED'))
    assert.throws(() => store.reader.get(key(1)))
    assert.deepEqual(keysOf(openStore(test, store.path)), ['k1'])
  })

  it('from inside an after-commit action commits nothing twice', async (test) => {
    const store = openStore(test)
    let runs = 0
    await store.transact((transaction, states) => {
      runs++
      put(1)(transaction)
      states.of({}, () => ({ beforeCommit: () => undefined, afterCommit: () => void store.close() }))
    })
    await store.close()
    assert.equal(runs, 1)
  })
})

describe('looking', () => {
  it('the reader sees the last commit, also in a turn in which it has looked before', async (test) => {
    const store = openStore(test)
    for (let round = 0; round < 20; round++) {
      const { reader } = store
      assert.equal(reader.get(key(round)), undefined)
      const first = reader.keys(everything)[Symbol.iterator]()
      first.next()
      first.return?.()
      await store.transact(put(round))
      assert.deepEqual(reader.get(key(round)), value(round))
      assert(reader.has(key(round)))
      assert.equal(keysOf(store).length, round + 1)
    }
  })

  it('values stay what they were after later reads', async (test) => {
    const store = openStore(test)
    await store.transact((transaction) => {
      for (let at = 0; at < 50; at++) transaction.put(key(at + 10), Buffer.alloc(1000, at))
    })
    const read = Array.from({ length: 50 }, (_, at) => store.reader.get(key(at + 10))!)
    const scanned = [...store.reader.entries(everything)]
    for (let at = 0; at < 50; at++) {
      assert.deepEqual(read[at], Buffer.alloc(1000, at))
      assert.deepEqual(scanned[at], { key: key(at + 10), value: Buffer.alloc(1000, at) })
    }
  })

  it('scans forward, in reverse and with a limit equal a sorted list', async (test) => {
    const keys = fc.uint8Array({ minLength: 1, maxLength: 4 }).map((bytes) => Buffer.from(bytes))
    const edges = fc.oneof(
      keys,
      fc.array(fc.constantFrom(0, 1, 254, 255), { minLength: 1, maxLength: 3 }).map((bytes) => Buffer.from(bytes))
    )
    const store = openStore(test)
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(edges, { maxLength: 30, selector: (bytes) => bytes.toString('hex') }),
        fc.array(fc.record({ a: edges, b: edges, reverse: fc.boolean(), limit: fc.option(fc.nat(10)) }), {
          minLength: 5
        }),
        async (stored, scans) => {
          await store.transact((transaction) => {
            for (const { key: old } of [...transaction.entries({ start: Buffer.of(0), end: Buffer.alloc(9, 255) })]) {
              transaction.remove(old)
            }
            for (const one of stored) transaction.put(one, Buffer.concat([one, one]))
          })
          for (const { a, b, reverse, limit } of scans) {
            const [start, end] = [a, b].sort(Buffer.compare) as [Buffer, Buffer]
            const expected = stored
              .filter((one) => Buffer.compare(start, one) <= 0 && Buffer.compare(one, end) < 0)
              .sort(Buffer.compare)
            if (reverse) expected.reverse()
            const scan = { start, end, reverse, ...(limit === null ? {} : { limit }) }
            const wanted = expected.slice(0, limit ?? undefined)
            assert.deepEqual([...store.reader.keys(scan)], wanted)
            assert.deepEqual(
              [...store.reader.entries(scan)],
              wanted.map((one) => ({ key: one, value: Buffer.concat([one, one]) }))
            )
            // Within a transaction too, where what it wrote itself counts.
            assert.deepEqual(await store.transact((transaction) => [...transaction.keys(scan)]), wanted)
          }
        }
      ),
      { numRuns: 40 }
    )
  })
})

describe('a disk that refuses', () => {
  const room = 64 * 1024
  const filling = (at: number) => Buffer.alloc(room, at)

  it('full: nothing of the refused operation is kept, the rest is readable, and room that is made is used', async (test) => {
    const folder = smallDisk(test, 2 * 1024 * 1024)
    if (folder === undefined) return test.skip('this user may not mount a file system')
    const store = openStore(test, join(folder, 'store'))
    const fill = (at: number) => store.transact((transaction) => transaction.put(key(at), filling(at)))
    let stored = 0
    await assert.rejects(async () => {
      for (; stored < 100; stored++) await fill(stored)
    }, refused('STORAGE_FULL'))
    assert(stored >= 10, `only ${stored} values of ${room} bytes fit`)
    assert.equal(store.full, true)
    assert.equal(store.reader.get(key(stored)), undefined)
    for (let at = 0; at < stored; at++) assert.deepEqual(store.reader.get(key(at)), filling(at))

    await store.transact((transaction) => transaction.get(key(0)))
    assert.equal(store.full, true, 'a commit that writes nothing says nothing about the disk')

    // Removing works on the full disk, also beside an operation that is refused.
    const [removed, tooLarge] = await Promise.allSettled([
      store.transact((transaction) => {
        for (let at = 0; at < 5; at++) transaction.remove(key(at))
      }),
      store.transact((transaction) => transaction.put(key('large'), Buffer.alloc(3 * 1024 * 1024)))
    ])
    assert.equal(removed.status, 'fulfilled')
    assert(tooLarge.status === 'rejected' && refused('STORAGE_FULL')(tooLarge.reason))
    assert.equal(store.reader.get(key('large')), undefined)

    // Pages that a commit freed are given out by the commit after the next.
    await store.transact(put('small'))
    assert.equal(store.full, false)
    for (let at = 0; at < 3; at++) await fill(at)
    assert.equal(store.full, false)
    for (let at = 0; at < 3; at++) assert.deepEqual(store.reader.get(key(at)), filling(at))

    await store.close()
    const again = openStore(test, store.path)
    assert.equal(keysOf(again).length, stored - 2 + 1)
  })

  const broken = () => Object.assign(new Error('Input/output error'), { code: 5 })

  it('broken: nothing is acknowledged any more, whoever waits is told, and the reason is given once', async (test) => {
    const store = openStore(test)
    await store.transact(put('before'))
    const waiting = Promise.allSettled([
      store.transact(put(1)),
      store.transact(() => {
        throw broken()
      }),
      ...Array.from({ length: commitOperationsMax + 10 }, (_, at) => store.transact(put(at + 2)))
    ])
    const outcomes = await waiting
    assert.equal(outcomes[0]!.status, 'fulfilled')
    for (const outcome of outcomes.slice(1)) {
      assert(outcome.status === 'rejected' && refused('STORAGE_FAILED')(outcome.reason))
    }
    assert(refused('STORAGE_FAILED')(await store.failed))
    await assert.rejects(store.transact(put('after')), refused('STORAGE_FAILED'))
    await store.close()
    assert.deepEqual(keysOf(openStore(test, store.path)), ['k1', 'kbefore'])
  })

  it('broken once in a commit of several: it is not tried again, and none of them is acknowledged (issue 7.4)', async (test) => {
    const path = join(temporaryFolder(test), 'store')
    let isBroken = false
    class BreaksOnce extends LmdbEngine {
      override transact(write: () => void): void {
        super.transact(() => {
          write()
          if (!isBroken) return
          isBroken = false
          throw broken()
        })
      }
    }
    const store = new Store(path, new BreaksOnce(path))
    test.after(() => store.close())
    await store.transact(put('before'))
    isBroken = true
    const outcomes = await Promise.allSettled([store.transact(put(1)), store.transact(put(2))])
    for (const outcome of outcomes) {
      assert(outcome.status === 'rejected' && refused('STORAGE_FAILED')(outcome.reason))
    }
    assert.deepEqual(keysOf(store), ['kbefore'])
  })

  it('full for a commit of several: they come again one by one, and who was told of one acts before the next (issue 7.1)', async (test) => {
    const path = join(temporaryFolder(test), 'store')
    let isFull = true
    class FullOnce extends LmdbEngine {
      override transact(write: () => void): void {
        super.transact(() => {
          write()
          if (!isFull) return
          isFull = false
          throw Object.assign(new Error('No space left on device'), { code: 28 })
        })
      }
    }
    const store = new Store(path, new FullOnce(path))
    test.after(() => store.close())
    const acted: number[] = []
    const seen: number[][] = []
    const operation = (number: number) =>
      store.transact((transaction) => {
        if (!isFull) seen.push([...acted])
        put(number)(transaction)
      })
    // As far from the store as a dispatcher is: its claim passes through several functions.
    const act = async (number: number) => {
      await (async () => await (async () => await operation(number))())()
      acted.push(number)
    }
    await Promise.all([act(1), act(2), act(3)])
    assert.deepEqual(seen.slice(-3), [[], [1], [1, 2]])
    assert.deepEqual(keysOf(store), ['k1', 'k2', 'k3'])
  })

  it('broken so that no transaction begins: whoever waits is told, and closing ends', async (test) => {
    const store = openStore(test)
    const emit = EventEmitter.prototype.emit
    test.mock.method(EventEmitter.prototype, 'emit', function (this: EventEmitter, name: string, ...rest: unknown[]) {
      if (name === 'begin-transaction') throw Object.assign(new Error('MDB_PANIC'), { code: -30795 })
      return emit.call(this, name, ...rest)
    })
    const waiting = await Promise.allSettled([store.transact(put(1)), store.transact(put(2))])
    for (const outcome of waiting) {
      assert(outcome.status === 'rejected' && refused('STORAGE_FAILED')(outcome.reason))
    }
    await store.close()
  })
})
