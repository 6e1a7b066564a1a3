/**
 * Deaths while a data directory of an older format is opened (issue 7.2, 7.9): the next start finds it as that format had left
 * it, and makes it one of the present.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { QueueConfig } from '../../runtime/core/config.ts'
import type { FailPoint } from '../../runtime/core/fail-points.ts'
import type { JobView } from '../../runtime/core/job.ts'
import { formatVersion } from '../../runtime/store/records.ts'
import { openQueueIn, queueConfig } from '../queue/open-queue.ts'
import { assertInvariants } from '../queue/store-invariants.ts'
import { expectedOf, unpack } from '../store/format-fixture.ts'
import { TestProject } from '../support/supervisor-process.ts'

interface Expected {
  nowMs: number
  queues: { queue: string }[]
  /** Jobs that ran; of format 1 it is not written down. */
  recovered?: number
  /** Of the queues, where they are not the usual ones. */
  options?: Record<string, Partial<QueueConfig>>
  views: JobView[]
}

/** Up to where the queue begins to change jobs. */
const points: readonly FailPoint[] = [
  'commit.ran',
  'commit.flushed',
  'start.ownerTaken',
  'create.ready',
  'start.ownerWritten'
]

for (const format of [1, 2]) {
  test(`issue 7.2: a directory of format ${format} survives deaths at each step of its opening`, async (t) => {
    const expected = expectedOf<Expected>(format)
    const project = new TestProject(t, 'memory')
    const directory = unpack(t, format, join(project.folder, '.runtime'))
    project.write('actors/a.js', 'export function b() {}\n')

    for (const point of points) {
      project.environment = { RUNTIME_FAIL_POINT: point }
      const { signal, stderr } = await project.run('serve')
      assert.equal(signal, 'SIGKILL', `${point}: ${stderr}`)
    }

    const configs = expected.queues.map(({ queue }) => queueConfig(queue, expected.options?.[queue]))
    const { queue, store, tag, recovered, close } = await openQueueIn(directory, expected.nowMs, ...configs)
    t.after(close)
    if (expected.recovered !== undefined) assert.equal(recovered, expected.recovered)
    assert.deepEqual(
      queue.list({ limit: 1_000 }).jobs.map(({ id, state, params }) => ({ id, state, params })),
      expected.views.map(({ id, state, params }) => ({ id, state, params }))
    )
    assertInvariants(store.reader, tag, new Map(configs.map((config) => [config.name, config])))
    assert.equal(JSON.parse(readFileSync(join(directory, 'actor-runtime.json'), 'utf8')).format, formatVersion)
  })
}
