/**
 * A real file system that is full (issue 7.4), again and again: nothing acknowledged is lost, jobs can be cancelled, purged
 * and read, outcomes are stored when there is room, and nobody has to do more than make room.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { openDataDirectory } from '../../runtime/store/data-directory.ts'
import { LmdbEngine } from '../../runtime/store/lmdb-engine.ts'
import { Store } from '../../runtime/store/store.ts'
import { assertInvariants } from '../queue/store-invariants.ts'
import { smallDisk } from '../store/small-disk.ts'
import { connected } from '../support/connected.ts'
import { randomFrom } from '../support/random.ts'
import { TestProject } from '../support/supervisor-process.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const isLong = process.env.LONG !== undefined
/** From the fifth on the store itself takes most of the disk or all of it, and a purge must do with little room. */
const rounds = isLong ? 20 : 6
const commits = isLong ? 20_000 : 3_000
const diskBytes = 8 * 1024 * 1024

/** An ext4 of its own in a file; undefined where this user may not mount one. */
function ext4Disk(t: TestContext, sizeBytes: number): string | undefined {
  const image = join(temporaryFolder(t), 'image')
  writeFileSync(image, Buffer.alloc(sizeBytes))
  const folder = mkdtempSync(join(tmpdir(), 'ar-ext4-'))
  t.after(() => {
    spawnSync('umount', ['--lazy', folder])
    rmSync(folder, { recursive: true, force: true })
  })
  if (spawnSync('env', ['mkfs.ext4', '-q', '-F', image]).status !== 0) return undefined
  return spawnSync('mount', ['-o', 'loop', image, folder]).status === 0 ? folder : undefined
}

const actor = `
import { setTimeout as pause } from 'node:timers/promises'
export async function slow(params) { await pause(params.ms); return 'r'.repeat(20_000) }
export const quick = async () => 1
`

async function fillAndFree(t: TestContext, disk: string): Promise<void> {
  const project = new TestProject(t)
  project.write('actors/work.mjs', actor)
  const arguments_ = ['--data-dir', join(disk, 'data'), '--socket', join(project.folder, 's.sock')]
  const supervisor = await project.serve(...arguments_)
  const runtime = await connected(t, join(project.folder, 's.sock'))
  const filling = join(disk, 'filling')
  const refused = (code: string) => (error: unknown) => error instanceof RuntimeError && error.code === code
  let acknowledged = 0
  for (let round = 0; round < rounds; round++) {
    const running = await runtime.enqueue('work.slow', { ms: 300 }, { queue: 'short' })
    await runtime.queue.pause('long')
    const waiting: string[] = []
    // It is written as far as there is room.
    assert.throws(() => writeFileSync(filling, Buffer.alloc(2 * diskBytes)), /ENOSPC/)
    let refusal: unknown
    while (refusal === undefined) {
      try {
        const { id } = await runtime.enqueue('work.quick', { text: 'x'.repeat(3_000) }, { queue: 'long' })
        waiting.push(id)
      } catch (error) {
        refusal = error
      }
    }
    assert(refused('STORAGE_FULL')(refusal), String(refusal))
    assert.equal((await runtime.status()).state, 'storageFull')
    for (const id of waiting) assert.equal((await runtime.job.get(id)).state, 'ready')
    const cancelled = waiting.splice(0, 3)
    for (const id of cancelled) assert.equal((await runtime.job.cancel(id)).state, 'cancelled')
    await runtime.queue.purge('long', { state: 'cancelled' })
    rmSync(filling)
    assert.equal((await runtime.job.wait(running.id)).state, 'completed')
    await runtime.queue.resume('long')
    for (const id of waiting) assert.equal((await runtime.job.wait(id)).state, 'completed')
    // By and by the store itself takes the whole disk: then a purge is what makes room.
    for (const queue of ['long', 'short']) await runtime.queue.purge(queue, { state: 'completed' })
    await runtime.enqueue('work.quick', {}, { queue: 'short' })
    assert.equal((await runtime.status()).state, 'running')
    acknowledged += waiting.length
  }
  const { code, stderr } = await supervisor.end('SIGTERM')
  assert.equal(code, 0, stderr)
  // Where the store has taken the whole disk there is no room for the mark of an owner.
  const copy = join(project.folder, 'copy')
  cpSync(join(disk, 'data'), copy, { recursive: true })
  const open = await openDataDirectory(copy)
  assertInvariants(open.store.reader, open.tag, new Map())
  await open.close()
  t.diagnostic(`${rounds} rounds, ${acknowledged} jobs acknowledged while the disk filled up`)
}

describe('a full disk (issue 7.4)', () => {
  test('tmpfs: what was acknowledged is done once there is room', { timeout: 600_000 }, async (t) => {
    const disk = smallDisk(t, diskBytes)
    if (disk === undefined) return t.skip('this user may not mount a file system')
    await fillAndFree(t, disk)
  })

  // Its journal makes it slow; in the short form a tmpfs must do.
  if (isLong) {
    test('ext4: what was acknowledged is done once there is room', { timeout: 600_000 }, async (t) => {
      const disk = ext4Disk(t, 2 * diskBytes)
      if (disk === undefined) return t.skip('this user may not mount an ext4')
      await fillAndFree(t, disk)
    })
  }

  test('LMDB is never refused a write, whose wording damages the heap', { timeout: 600_000 }, async (t) => {
    const disk = smallDisk(t, diskBytes / 2)
    if (disk === undefined) return t.skip('this user may not mount a file system')
    const seed = Number(process.env.SEED ?? 7)
    const random = randomFrom(seed)
    const path = join(disk, 'store')
    const engine = new LmdbEngine(path)
    const seen: string[] = []
    const meaningOf = engine.meaningOf.bind(engine)
    engine.meaningOf = (error) => {
      seen.push((error as Error).message)
      return meaningOf(error)
    }
    const store = new Store(path, engine)
    const there = new Map<string, number>()
    let refusals = 0
    for (let commit = 0; commit < commits; commit++) {
      const changes = Array.from({ length: 1 + Math.floor(random() * 20) }, async () => {
        const key = `key${Math.floor(random() * 3_000)}`
        const bytes = Math.floor(random() ** 4 * 20_000)
        const isRemoval = random() < (Math.floor(commit / 300) % 4 === 3 ? 0.7 : 0.2)
        try {
          await store.transact((transaction) => {
            if (isRemoval) return transaction.remove(Buffer.from(key))
            store.checkRoomToGrow()
            transaction.put(Buffer.from(key), Buffer.alloc(bytes, 1))
          })
          if (isRemoval) there.delete(key)
          else there.set(key, bytes)
        } catch (error) {
          assert(error instanceof RuntimeError && error.code === 'STORAGE_FULL', String(error))
          refusals++
        }
      })
      await Promise.all(changes)
    }
    for (const [key, bytes] of there) assert.equal(store.reader.get(Buffer.from(key))?.length, bytes, key)
    await store.close()
    t.diagnostic(`seed ${seed}: ${commits} turns, ${refusals} changes refused, ${seen.length} of them by the engine`)
    assert(refusals > 0)
    assert.deepEqual(
      seen.filter((message) => !message.startsWith('no room for')),
      []
    )
  })
})
