/**
 * Backups and the restore drill (issue 7.5): a backup that is made while jobs run holds every job that was acknowledged before
 * it began, none by half; and whatever ends a backup early, nothing is left that looks like one.
 */
import assert from 'node:assert/strict'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync
} from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Runtime } from '../../runtime/core/api.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { createRuntime } from '../../runtime/embed/create-runtime.ts'
import { openDataDirectory } from '../../runtime/store/data-directory.ts'
import { verifyDirectory } from '../../runtime/store/verify-directory.ts'
import { endOfPages } from '../store/end-of-pages.ts'
import { smallDisk } from '../store/small-disk.ts'
import { allJobs, connected, nextEvents, untilIdle } from '../support/connected.ts'
import { TestProject } from '../support/supervisor-process.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const actors = `
export async function quick({ n }) { return n }
export async function slow() { await new Promise((resolve) => setTimeout(resolve, 400)) }
`
const payload = 'x'.repeat(2_000)

async function load(runtime: Runtime, count: number, method = 'a.quick'): Promise<string[]> {
  const jobs = Array.from({ length: count }, (_, n) => ({
    method,
    params: { n, payload }
  }))
  return (await runtime.enqueueMany(jobs)).ids
}

async function refusal(promise: Promise<unknown>): Promise<RuntimeError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason
  )
  assert(error instanceof RuntimeError, String(error))
  return error
}

/** What lies beside the place of a backup and begins like it. */
function leftovers(directory: string): string[] {
  return readdirSync(dirname(directory)).filter((name) => name.startsWith(basename(directory)))
}

test('issue 7.5: restore drill: backed up under load, killed, restored: every job that was acknowledged before is there', async (t) => {
  const project = new TestProject(t)
  project.write('actors/a.js', actors)
  const supervisor = await project.serve()
  const runtime = await connected(t, project.socketPath)
  const slow = await nextEvents(runtime, 'started')
  const before = [...(await load(runtime, 4, 'a.slow')), ...(await load(runtime, 400))]
  await slow.seen
  const [told] = await Promise.all([project.run('backup', 'copy', '--json'), load(runtime, 200), load(runtime, 200)])
  assert.equal(told.code, 0, told.stderr)
  const copy = join(project.folder, 'copy')
  const { jobs, bytes, directory } = JSON.parse(told.stdout)
  assert.deepEqual([directory, bytes], [copy, statSync(join(copy, 'store', 'data.mdb')).size])
  assert(jobs >= before.length, `${jobs} jobs`)
  await load(runtime, 100)
  await supervisor.end('SIGKILL')

  assert.deepEqual(readdirSync(copy).sort(), ['actor-runtime.json', 'store'])
  assert.equal((statSync(join(copy, 'store', 'data.mdb')).mode & 0o777).toString(8), '600')
  assert.equal((statSync(copy).mode & 0o777).toString(8), '700')
  const verified = await project.run('verify', 'copy', '--json')
  assert.equal(verified.code, 0, verified.stderr)
  assert.deepEqual(JSON.parse(verified.stdout).findings, [])
  await project.serve('--data-dir', 'copy', '--socket', 'copy.sock')
  const restored = await connected(t, join(project.folder, 'copy.sock'))
  const listed = await allJobs(restored)
  assert.equal(listed.length, jobs, 'as many as the backup said')
  const ids = new Set(listed.map(({ id }) => id))
  assert.deepEqual(
    before.filter((id) => !ids.has(id)),
    []
  )
  for (const { method, params } of listed) {
    if (method === 'a.quick') assert.equal((params as { payload: string }).payload, payload)
  }
  await untilIdle(restored)
  assert((await allJobs(restored)).every(({ state }) => state === 'completed'))
  // Ids go on behind those of the original as of the backup; nothing is given twice in one place.
  assert(!ids.has((await load(restored, 1))[0]!))
})

test('issue 7.5: a supervisor that is killed in the middle of a backup leaves nothing that opens; the next backup cleans up', async (t) => {
  const project = new TestProject(t)
  project.write('actors/a.js', actors)
  const copy = join(project.folder, 'copy')
  const stages: Record<string, number> = {}
  /** What is there first when the next part of a backup begins. */
  const moments = ['', 'store', 'store/data.mdb', 'store/lock.mdb', 'actor-runtime.json']
  const rounds = process.env.LONG ? 200 : moments.length
  for (let number = 0; number < rounds; number++) {
    const supervisor = await project.serve()
    const runtime = await connected(t, project.socketPath)
    if (number === 0) for (let batch = 0; batch < 4; batch++) await load(runtime, 1_000)
    for (const left of leftovers(copy)) rmSync(join(project.folder, left), { recursive: true })
    runtime.backup(copy).catch(() => undefined)
    const moment = moments[number % moments.length]!
    const isThere = (name: string) => name === 'copy' || existsSync(join(project.folder, name, moment))
    while (!leftovers(copy).some(isThere)) await new Promise(setImmediate)
    if (number >= moments.length) await pause(Math.random() * 20)
    await supervisor.end('SIGKILL')
    const left = join(project.folder, leftovers(copy)[0]!)
    const isMarked = existsSync(join(left, 'actor-runtime.json'))
    const stage = left === copy ? 'done' : isMarked ? 'marked' : existsSync(join(left, 'store')) ? 'copying' : 'begun'
    stages[stage] = (stages[stage] ?? 0) + 1
    if (isMarked) assert.equal((await verifyDirectory(left)).sound, true, 'with a marker it is whole')
    else if (stage !== 'begun') assert.equal((await refusal(openDataDirectory(left))).code, 'DATA_DIR_INVALID')
  }
  t.diagnostic(`killed ${JSON.stringify(stages)}`)
  await project.serve()
  const runtime = await connected(t, project.socketPath)
  if (existsSync(copy)) rmSync(copy, { recursive: true })
  await runtime.backup(copy)
  assert.deepEqual(leftovers(copy), ['copy'])
  assert.equal((await verifyDirectory(copy)).sound, true)
})

/** An embedded runtime over a store of a hundred jobs. */
async function embedded(t: TestContext, dataDir = join(temporaryFolder(t), 'data')): Promise<Runtime> {
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'actors'))
  writeFileSync(join(folder, 'actors', 'a.js'), actors)
  const runtime = await createRuntime({ dataDir, actors: join(folder, 'actors') })
  t.after(() => runtime.stop({ deadline: 0 }))
  await runtime.queue.pause('default')
  await load(runtime, 100)
  return runtime
}

test('issue 7.5: where a backup may not go is refused before anything is made', async (t) => {
  const runtime = await embedded(t)
  const { dataDir } = await runtime.status()
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'file'), 'precious')
  mkdirSync(join(folder, 'full'))
  writeFileSync(join(folder, 'full', 'thesis.txt'), 'precious')
  symlinkSync(dataDir, join(folder, 'link'))
  for (const [directory, why] of [
    [join(folder, 'file'), /there is a file/],
    [join(folder, 'full'), /not empty/],
    [dataDir, /inside the data directory/],
    [join(dataDir, 'backups', 'one'), /inside the data directory/],
    [join(folder, 'link', 'one'), /inside the data directory/]
  ] as const) {
    const error = await refusal(runtime.backup(directory))
    assert.equal(error.code, 'PARAMS_INVALID', error.message)
    assert.match(error.message, why)
  }
  for (const directory of ['relative', './x', '']) {
    assert.equal((await refusal(runtime.call('backup', { directory }))).code, 'PARAMS_INVALID')
  }
  const endless = await refusal(runtime.backup(join(folder, 'x'.repeat(100_000))))
  assert.deepEqual([endless.code, JSON.stringify(endless).length < 1_000], ['PARAMS_INVALID', true], 'not repeated')
  const unwritable = await refusal(runtime.backup(join(folder, 'file', 'below')))
  assert.equal(unwritable.code, 'BACKUP_FAILED')
  assert.deepEqual(readdirSync(folder).sort(), ['file', 'full', 'link'])
  assert.deepEqual(readdirSync(dataDir).sort(), ['actor-runtime.json', 'owner.json', 'store'])
})

test('issue 7.5: a backup goes into an empty folder, through missing parents, by a relative path, and several at a time', async (t) => {
  const runtime = await embedded(t)
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'empty'))
  const places = [
    join(folder, 'empty'),
    join(folder, 'some', 'parents', 'copy'),
    relative(process.cwd(), join(folder, 'rel'))
  ]
  const made = await Promise.all(places.map((place) => runtime.backup(place)))
  for (const { directory, jobs } of made) {
    assert.equal(jobs, 100)
    assert.equal((await verifyDirectory(directory)).sound, true)
  }
  assert.equal(made[2]!.directory, join(folder, 'rel'))
  assert.deepEqual(readdirSync(folder).sort(), ['empty', 'rel', 'some'])
})

test('issue 7.5: a backup has no owner, opens beside the running original, and can be backed up itself', async (t) => {
  const runtime = await embedded(t)
  const folder = temporaryFolder(t)
  await runtime.backup(join(folder, 'one'))
  const tagOf = (directory: string) => JSON.parse(readFileSync(join(directory, 'actor-runtime.json'), 'utf8'))
  assert.deepEqual(tagOf(join(folder, 'one')), tagOf((await runtime.status()).dataDir))
  const restored = await createRuntime({ dataDir: join(folder, 'one'), actors: folder })
  t.after(() => restored.stop({ deadline: 0 }))
  const { ids } = await restored.job.list({ limit: 1000 }).then(({ jobs }) => ({ ids: jobs.map(({ id }) => id) }))
  assert.equal(ids.length, 100)
  await restored.job.remove(ids[0]!)
  assert.equal((await restored.backup(join(folder, 'two'))).jobs, 99)
})

test('issue 7.5: a backup of a damaged store is refused, and the backup before it stays', async (t) => {
  const dataDir = join(temporaryFolder(t), 'data')
  const runtime = await embedded(t, dataDir)
  const folder = temporaryFolder(t)
  await runtime.backup(join(folder, 'good'))
  const file = join(dataDir, 'store', 'data.mdb')
  const content = readFileSync(file)
  for (
    let at = content.indexOf(payload.slice(0, 50));
    at !== -1;
    at = content.indexOf(payload.slice(0, 50), at + 2_000)
  ) {
    content[at + 20]! ^= 1
  }
  writeFileSync(file, content)
  const error = await refusal(runtime.backup(join(folder, 'bad')))
  assert.equal(error.code, 'BACKUP_FAILED')
  assert.match(error.message, /records fail their checksum.*runtime verify/)
  assert.deepEqual(readdirSync(folder), ['good'])
})

test('issue 7.5: a full disk refuses a backup, leaves nothing, and does not touch the supervisor', async (t) => {
  const disk = smallDisk(t, 300 * 1024)
  if (disk === undefined) return t.skip('this user may not mount a file system')
  const runtime = await embedded(t)
  const error = await refusal(runtime.backup(join(disk, 'copy')))
  assert.equal(error.code, 'STORAGE_FULL')
  assert.deepEqual(readdirSync(disk), [])
  assert.equal((await runtime.status()).state, 'running')
  await load(runtime, 1)
})

test('issue 7.5: a stop gives up a backup that is being made', async (t) => {
  const runtime = await embedded(t)
  const folder = temporaryFolder(t)
  const refused = refusal(runtime.backup(join(folder, 'copy')))
  while (readdirSync(folder).length === 0) await pause(1)
  await runtime.stop({ deadline: 0 })
  assert.equal((await refused).code, 'STOPPING')
  assert.deepEqual(readdirSync(folder), [])
})

test('issue 7.5: verify beside a supervisor that writes finds nothing wrong, and names what is there', async (t) => {
  const project = new TestProject(t)
  project.write('actors/a.js', actors)
  const supervisor = await project.serve()
  const runtime = await connected(t, project.socketPath)
  await load(runtime, 500)
  let goes = true
  const writing = (async () => {
    while (goes) await load(runtime, 20)
  })()
  for (let time = 0; time < (process.env.LONG ? 50 : 4); time++) {
    const { sound, pid, jobs, findings } = await verifyDirectory(join(project.folder, '.runtime'))
    assert.deepEqual([sound, pid], [true, supervisor.pid], JSON.stringify(findings))
    assert(jobs >= 500)
  }
  goes = false
  await writing
})

test('issue 7.5: verify of what is no store, and of a data file that is gone', async (t) => {
  const folder = temporaryFolder(t)
  assert.equal((await refusal(verifyDirectory(folder))).code, 'DATA_DIR_INVALID')
  assert.equal((await refusal(verifyDirectory(join(folder, 'none')))).code, 'DATA_DIR_INVALID')
  const { close } = await openDataDirectory(join(folder, 'data'))
  await close()
  assert.equal((await verifyDirectory(join(folder, 'data'))).sound, true)
  const file = join(folder, 'data', 'store', 'data.mdb')
  truncateSync(file, endOfPages(file) - 1)
  const { sound, findings } = await verifyDirectory(join(folder, 'data'))
  assert.equal(sound, false)
  assert.match(findings[0]!.what, /cut off/)
})
