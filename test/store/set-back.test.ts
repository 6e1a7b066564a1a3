/**
 * Other processes that open the files of a store, as a backup and a check do, set LMDB back behind the last commit now and then
 * (lmdb-engine.ts). No commit may be lost by it.
 */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Store } from '../../runtime/store/store.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const openings = 200
const key = Buffer.from('count')

test('issue 7.3: no commit is lost while other processes open the files again and again', async (t) => {
  const path = temporaryFolder(t, 'memory')
  const store = new Store(path)
  const count = (transaction: Pick<Store['reader'], 'get'>) => transaction.get(key)?.readUInt32BE(0) ?? 0
  const opener = fork(fileURLToPath(new URL('./opener.js', import.meta.url)), [path, String(openings)])
  let isOver = false
  const ended = new Promise<void>((resolve) => {
    opener.once('exit', () => {
      isOver = true
      resolve()
    })
  })
  let acknowledged = 0
  while (!isOver) {
    const seen = await store.transact((transaction) => {
      const before = count(transaction)
      const value = Buffer.alloc(4)
      value.writeUInt32BE(acknowledged + 1, 0)
      transaction.put(key, value)
      return before
    })
    assert.equal(seen, acknowledged, 'the commit before this one is gone')
    acknowledged++
    // Such a transaction does not use up its number.
    if (acknowledged % 3 === 0) await store.transact((transaction) => transaction.remove(Buffer.from('not there')))
    if (acknowledged % 5 === 0) await store.transact(count)
    if (acknowledged % 20 === 0) await nextTurn()
  }
  await ended
  assert.equal(opener.exitCode, 0)
  await store.close()
  const again = new Store(path)
  assert.equal(count(again.reader), acknowledged)
  await again.close()
})
