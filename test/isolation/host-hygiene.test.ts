/** What a host is born with, and what piles up in it. */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createRuntime, type Runtime } from '../../runtime/index.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const onLinux = { skip: process.platform === 'linux' ? false : 'looks at descriptors in /proc' }

const actors = `
import { readdirSync, readlinkSync } from 'node:fs'

export function pid() {
  return process.pid
}

export function exit() {
  process.exit()
}

export function openFiles() {
  return readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      return [readlinkSync('/proc/self/fd/' + descriptor)]
    } catch {
      return []
    }
  })
}
`

test('a job cannot reach the store through a descriptor', onLinux, async (t) => {
  const { runtime, folder } = await open(t)
  const { result } = await runtime.enqueue('a.openFiles', {}, { isAsync: false })
  assert.ok(Array.isArray(result) && result.length > 0)
  assert.deepEqual(
    result.filter((file) => String(file).startsWith(folder)),
    []
  )
})

test('a host in which many threads have ended is replaced, and no job notices', async (t) => {
  const { runtime } = await open(t)
  const pidOfHost = async () => (await runtime.enqueue('a.pid', {}, { isAsync: false })).result
  const before = await pidOfHost()
  const { ids } = await runtime.enqueueMany(Array.from({ length: 140 }, () => ({ method: 'a.exit' })))
  for (const id of ids) {
    const { error, crashes } = await runtime.job.wait(id)
    assert.deepEqual([error?.code, crashes], ['WORKER_EXITED', 0])
  }
  assert.notEqual(await pidOfHost(), before)
})

async function open(t: TestContext): Promise<{ runtime: Runtime; folder: string }> {
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'actors'))
  writeFileSync(join(folder, 'actors', 'a.js'), actors)
  const runtime = await createRuntime({ dataDir: join(folder, 'data'), actors: join(folder, 'actors') })
  t.after(() => runtime.stop({ deadline: 0 }))
  return { runtime, folder }
}
