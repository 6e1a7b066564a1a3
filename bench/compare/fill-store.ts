/** Fills a store with jobs of which some have been claimed, then kills its own process: what a crash leaves. */
import { join } from 'node:path'
import { openStore } from '../open-store.ts'

const groupJobs = 1_000

const [folder, waiting, running] = process.argv.slice(2) as [string, string, string]
const { queue } = await openStore(join(folder, '.runtime'), {})
const jobs = Number(waiting) + Number(running)
const job = { method: 'bench.line', params: { payload: 'x'.repeat(70) } }
for (let left = jobs; left > 0; left -= groupJobs) {
  await queue.enqueue(Array.from({ length: Math.min(left, groupJobs) }, () => job))
}
for (let left = Number(running); left > 0; left -= groupJobs) {
  await queue.claim('default', Math.min(left, groupJobs))
}
process.kill(process.pid, 'SIGKILL')
