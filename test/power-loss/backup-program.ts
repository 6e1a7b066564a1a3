/**
 * A program that fills a store, backs it up, and notes in the file `acknowledged` beside both what was acknowledged to it, as
 * workload.ts does; `backup` for the backup. Run under journal.c, as is the process that makes the copy; arguments: folder, seed.
 */
import { openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { Backups } from '../../runtime/store/backup.ts'
import { readMarker } from '../../runtime/store/data-directory.ts'
import { openQueueIn } from '../queue/open-queue.ts'
import { randomFrom } from '../support/random.ts'
import { powerLossQueues } from './image-invariants.ts'

const [folder = '', seed = '1'] = process.argv.slice(2)
const random = randomFrom(Number(seed))
const acknowledged = openSync(join(folder, 'acknowledged'), 'a')
const directory = join(folder, 'data')

const { queue } = await openQueueIn(directory, Date.UTC(2026, 0, 1), ...powerLossQueues)
for (let number = 0; number < 20; number++) {
  const text = 'x'.repeat(Math.floor(random() ** 4 * 20_000))
  await queue.enqueue([{ method: 'a.work', queue: 'short', jobId: `job-${number}`, params: { text } }])
  writeSync(acknowledged, `job-${number} 1\n`)
}
await new Backups(directory, readMarker(directory)!).make(join(folder, 'backup'))
writeSync(acknowledged, 'backup 1\n')
process.exit()
