/**
 * A program that opens the data directories named on its standard input, one a line, and answers with a line each: what is
 * there and how far it is, or what is wrong. Damage that LMDB dies of ends only this program.
 */
import { createInterface } from 'node:readline'
import { openQueueIn } from '../queue/open-queue.ts'
import { assertWhole, type Found, findAll, powerLossQueues } from './image-invariants.ts'

export interface Opened {
  found: Found
  error: string | null
}

for await (const folder of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await look(folder))}\n`)
}

async function look(folder: string): Promise<Opened> {
  try {
    const open = await openQueueIn(folder, Date.UTC(2027, 0, 1), ...powerLossQueues)
    try {
      const found = findAll(open)
      assertWhole(open, found)
      return { found, error: null }
    } finally {
      await open.close()
    }
  } catch (error) {
    return { found: {}, error: String((error as Error).stack) }
  }
}
