/** A page of jobs is bounded by what is shown, not only by how many there are. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listPageBytesMax } from '../../runtime/core/limits.ts'
import { openQueue, queueConfig } from './open-queue.ts'

test('issue 7.6: a page of large jobs ends early and goes on with its cursor; none is left out', async () => {
  const { queue, close } = await openQueue(queueConfig('default'))
  try {
    const text = 'x'.repeat(1024 * 1024)
    for (let number = 0; number < 12; number++)
      await queue.enqueue([{ method: 'a.b', jobId: `job ${number}`, params: text }])
    for (const filter of [{}, { state: 'ready' } as const, { text: 'xxx' }]) {
      const ids: string[] = []
      let cursor: string | null = null
      do {
        const page = queue.list({ ...filter, limit: 1_000, ...(cursor === null ? {} : { cursor }) })
        assert.ok(JSON.stringify(page.jobs).length < listPageBytesMax + 2 * text.length)
        ids.push(...page.jobs.map(({ id }) => id))
        cursor = page.cursor
      } while (cursor !== null)
      assert.equal(new Set(ids).size, 12)
      assert.equal(ids.length, 12)
    }
    assert.equal((await queue.bulk({ type: 'remove' }, { state: 'ready' })).changed, 12)
  } finally {
    await close()
  }
})
