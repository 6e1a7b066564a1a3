/**
 * Processes that read the store and are killed. LMDB uses no page again that a reader may still see, and takes a reader for
 * alive until it looks: the file would grow with every commit from then on.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { openDataDirectory } from '../../runtime/store/data-directory.ts'
import { Store } from '../../runtime/store/store.ts'
import { verifyInChild } from '../../runtime/store/verify-in-child.ts'
import { children } from '../support/processes.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const key = Buffer.from('a key')
const valueBytes = 40_000
const lmdb = createRequire(import.meta.url).resolve('lmdb')

/** Begins to read, says so, and never comes to the end. */
const reader = `
  const { open } = require(process.argv[2])
  const store = open({ path: process.argv[1], readOnly: true, encoding: 'binary', keyEncoding: 'binary' })
  store.getRange({})[Symbol.iterator]().next()
  console.log('reads')
  for (;;);`

test('the file does not grow because a process that read it was killed (issue 7.8)', async (t) => {
  const folder = temporaryFolder(t, 'memory')
  const store = new Store(folder)
  t.after(() => store.close())
  const overwrite = async (times: number) => {
    for (let time = 0; time < times; time++) {
      await store.transact((transaction) => transaction.put(key, Buffer.alloc(valueBytes, time)))
    }
  }
  await overwrite(10)
  const child = spawn(process.execPath, ['-e', reader, folder, lmdb], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  await overwrite(1_000)
  const bytes = store.bytes
  await overwrite(1_000)
  assert.equal(store.bytes, bytes)
})

test('who looks through the store before it is opened has ended by then (issue 7.8)', async (t) => {
  const folder = temporaryFolder(t)
  const directory = await openDataDirectory(folder)
  await directory.store.transact((transaction) => transaction.put(key, Buffer.alloc(valueBytes)))
  await directory.close()
  for (let time = 0; time < 5; time++) {
    await verifyInChild(join(folder, 'store'), { timeMs: 0, isLive: time % 2 === 0 })
    assert.deepEqual(children(), [])
  }
})
