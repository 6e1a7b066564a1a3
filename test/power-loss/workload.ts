/**
 * A program that works on a durable queue at random, and notes each change that was acknowledged to it in the file
 * `acknowledged` beside the data directory. Run under journal.c; arguments: folder, seed, number of operations.
 *
 * What is noted of a job only ever grows: 1 enqueued, 2 completed, 3 to be removed, 4 removed.
 */
import { openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { ClaimedJob } from '../../runtime/queue/claimed-job.ts'
import { openQueueIn, queueConfig } from '../queue/open-queue.ts'
import { randomFrom } from '../support/random.ts'

const [folder = '', seed = '1', operations = '100'] = process.argv.slice(2)
const random = randomFrom(Number(seed))
const acknowledged = openSync(join(folder, 'acknowledged'), 'a')
const note = (line: string) => writeSync(acknowledged, `${line}\n`)
const pick = <T>(list: T[]): T | undefined => list.splice(Math.floor(random() * list.length), 1)[0]

const { queue, clock, close } = await openQueueIn(
  join(folder, 'data'),
  Date.UTC(2026, 0, 1),
  queueConfig('short', { attempts: 3 })
)
note('open')

let made = 0
const claimed: ClaimedJob[] = []
const finished: string[] = []

async function enqueue(): Promise<void> {
  const ids = Array.from({ length: 1 + Math.floor(random() * 4) }, () => `job-${made++}`)
  const text = 'x'.repeat(Math.floor(random() ** 4 * 20_000))
  await queue.enqueue(
    ids.map((jobId) => ({
      method: 'a.work',
      queue: 'short',
      jobId,
      params: { text },
      ...(random() < 0.3 && { key: `key-${Math.floor(random() * 3)}`, keyConcurrency: 1 })
    }))
  )
  for (const id of ids) note(`${id} 1`)
}

async function settle(job: ClaimedJob): Promise<void> {
  const trace = { progress: null, logs: [] }
  if (random() < 0.2) {
    const error = { code: 'THROWN', name: 'Error', message: 'no' } as const
    await queue.settle(job, { type: 'failed', error, final: false }, trace)
    return
  }
  await queue.settle(job, { type: 'completed', result: '"done"' }, trace)
  note(`${job.id} 2`)
  finished.push(job.id)
}

async function remove(id: string): Promise<void> {
  note(`${id} 3`)
  await queue.remove(id)
  note(`${id} 4`)
}

for (let done = 0; done < Number(operations); done++) {
  clock.nowMs += Math.floor(random() * 1_000)
  // Several at a time share a commit.
  const underWay: Promise<unknown>[] = []
  for (let at = Math.floor(random() * 4); at >= 0; at--) {
    const choice = random()
    if (choice < 0.4) underWay.push(enqueue())
    else if (choice < 0.6) underWay.push(queue.claim('short', 3).then((jobs) => claimed.push(...jobs)))
    else if (choice < 0.85 && claimed.length > 0) underWay.push(settle(pick(claimed)!))
    else if (finished.length > 0) underWay.push(remove(pick(finished)!))
  }
  await Promise.all(underWay)
  await queue.promoteDue(clock.nowMs)
}
if (random() < 0.5) await close()
note('end')
process.exit()
