// Writes this fixture: node test/store/format-4/write.mjs BUILD FOLDER, with the build of the commit that README.md names.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'

const [build, target] = process.argv.slice(2)
const load = (path) => import(resolve(build, 'test', path))
const { openQueueIn } = await load('queue/open-queue.js')
const { everyKindConfigs, everyKindStartMs, fillWithEveryKind } = await load('damage/every-kind.js')

const folder = mkdtempSync(join(tmpdir(), 'format-4-'))
const directory = join(folder, 'data')
const opened = await openQueueIn(directory, everyKindStartMs, ...everyKindConfigs)
await fillWithEveryKind(opened, 20)
const { nowMs } = opened.clock
await opened.close()

cpSync(directory, join(folder, 'copy'), { recursive: true })
const again = await openQueueIn(join(folder, 'copy'), nowMs, ...everyKindConfigs)
const { queue, recovered, clock } = again
const views = queue.list({ limit: 1000 }).jobs.map(({ id }) => queue.get(id))
const queues = queue.queues()
const event = queue.schedule.get('hourly')
const documents = ['x', 'y'].map((name) => queue.documents.get({ type: 'd.Doc', name }))
const prepared = queue.outbox.list(undefined)
await queue.setPaused('paused', false)
const claims = async () => {
  const all = {}
  for (const { name } of everyKindConfigs) {
    const jobs = await queue.claim(name, 100)
    all[name] = jobs.map(({ id, attempt, parents = [], document = null, journal = [] }) => [
      id,
      attempt,
      parents,
      document,
      journal
    ])
  }
  return all
}
const order = await claims()
clock.nowMs += 24 * 3_600_000
await queue.promoteDue(clock.nowMs)
const due = await claims()
await again.close()

const expected = { nowMs, recovered, queues, event, documents, prepared, order, due, views }
writeFileSync(join(target, 'data.mdb.gz'), gzipSync(readFileSync(join(directory, 'store', 'data.mdb')), { level: 9 }))
cpSync(join(directory, 'actor-runtime.json'), join(target, 'actor-runtime.json'))
writeFileSync(join(target, 'expected.json'), `${JSON.stringify(expected, null, 1)}\n`)
rmSync(folder, { recursive: true })
