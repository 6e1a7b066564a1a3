/**
 * A program that opens the data directories named on its standard input, one a line, and answers with a line each: what jobs
 * are there and how far they are, or why it cannot be opened. Damage that LMDB dies of ends only this program.
 */
import { createInterface } from 'node:readline'
import { openQueueIn, queueConfig } from '../queue/open-queue.ts'
import { assertInvariants } from '../queue/store-invariants.ts'

export interface Opened {
  /** By id: 1 enqueued, 2 completed. */
  jobs: Record<string, number>
  error: string | null
}

const config = queueConfig('short', { attempts: 3 })

for await (const folder of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await look(folder))}\n`)
}

async function look(folder: string): Promise<Opened> {
  try {
    const open = await openQueueIn(folder, Date.UTC(2027, 0, 1), config)
    const jobs: Opened['jobs'] = {}
    let cursor: string | null = null
    do {
      const page = open.queue.list({ limit: 1_000, ...(cursor !== null && { cursor }) })
      for (const { id, state } of page.jobs) jobs[id] = state === 'completed' ? 2 : 1
      cursor = page.cursor
    } while (cursor !== null)
    assertInvariants(open.store.reader, open.tag, new Map([[config.name, config]]))
    await open.close()
    return { jobs, error: null }
  } catch (error) {
    return { jobs: {}, error: String((error as Error).stack) }
  }
}
