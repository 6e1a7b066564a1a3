/** A look at the store of a data directory that no process has open: at a copy, so that it stays as a crash has left it. */
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { findJob } from '../../runtime/queue/stored-job.ts'
import { Store } from '../../runtime/store/store.ts'
import { queueConfig } from '../queue/open-queue.ts'
import { assertInvariants } from '../queue/store-invariants.ts'
import type { Workload } from './workload.ts'

/**
 * Every index of every entry agrees with the jobs, every job that was acknowledged is there, and those that were seen completed
 * still are.
 */
export async function checkStopped(
  dataDirectory: string,
  copy: string,
  { acknowledged, completed }: Workload
): Promise<void> {
  mkdirSync(copy)
  copyFileSync(join(dataDirectory, 'store', 'data.mdb'), join(copy, 'data.mdb'))
  const { tag } = JSON.parse(readFileSync(join(dataDirectory, 'actor-runtime.json'), 'utf8')) as { tag: string }
  const store = new Store(copy)
  try {
    const configs = ['default', 'children', 'short', 'long'].map((name) => queueConfig(name))
    assertInvariants(store.reader, tag, new Map(configs.map((config) => [config.name, config])))
    for (const id of acknowledged) {
      const state = findJob(store.reader, id, tag)?.standing.state
      assert.ok(state !== undefined, `${id} was acknowledged and is lost`)
      if (completed.has(id)) assert.equal(state, 'completed', `${id} was completed`)
    }
  } finally {
    await store.close()
    rmSync(copy, { recursive: true })
  }
}
