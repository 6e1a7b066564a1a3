/**
 * Loss of power (issue 7): a program works on a store while journal.c writes down what it does to its files. From that,
 * disks are made as they may be after the power was lost at any point, and opened. Whatever was acknowledged before the loss
 * must be there. Needs a C compiler and Linux.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { noteClosed } from '../../runtime/store/closed-file.ts'
import { randomFrom } from '../support/random.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { Disk, type JournalRecord, readJournal } from './disk-images.ts'
import type { Opened } from './open-images.ts'

const isLong = process.env.LONG !== undefined
const runs = isLong ? 50 : 2
const imagesPerRun = isLong ? 200 : 15
const operations = 60
/** Of the losses: while the directory is being made, and how many records that takes, up to the first acknowledgement. */
const beginShare = 0.3
const beginRecords = 32
/** The last of a backup: it gets its marker, and its place. */
const placingRecords = 12
/** Of the images: opened as after a crash, with the check of every record in a process of its own, which takes longer. */
const fullyCheckedShare = 0.05
const workload = new URL('./workload.js', import.meta.url)
const backupProgram = new URL('./backup-program.js', import.meta.url)
const source = join(fileURLToPath(new URL('.', import.meta.url)).replace(/\.?build\/[^/]+\/|dist\//, ''), 'journal.c')
const compiler = ['cc', 'gcc', 'clang'].find((name) => spawnSync(name, ['--version']).status === 0)
const cannotRun =
  process.platform !== 'linux' ? 'Linux only' : compiler === undefined ? 'there is no C compiler' : false
const memory = existsSync('/dev/shm') ? '/dev/shm' : undefined

/** Of what is not synced; see {@link Disk.writeImage}. */
const none = () => 0
const all = () => 1 - Number.EPSILON

function compiled(t: TestContext): string {
  const library = join(temporaryFolder(t), 'journal.so')
  execFileSync(compiler!, ['-O2', '-shared', '-fPIC', '-o', library, source])
  return library
}

/** What a program did to its disk. */
function recorded(t: TestContext, library: string, seed: number, url = workload): JournalRecord[] {
  const folder = temporaryFolder(t)
  const disk = join(folder, 'disk')
  execFileSync('mkdir', [disk])
  const journal = join(folder, 'journal')
  const program = fileURLToPath(url)
  execFileSync(process.execPath, [program, disk, String(seed), String(operations)], {
    env: { ...process.env, LD_PRELOAD: library, POWER_LOSS_FOLDER: disk, POWER_LOSS_JOURNAL: journal },
    stdio: ['ignore', 'ignore', 'inherit']
  })
  return readJournal(readFileSync(journal))
}

interface Image {
  folder: string
  /** What was acknowledged before the loss, by id; see workload.ts. */
  acknowledged: Map<string, number>
  wasOpen: boolean
  /** For the words of a failure. */
  name: string
}

/** Disks after a loss at random points, in the order of these points. */
function* imagesOf(records: readonly JournalRecord[], root: string, seed: number, options = {}): Generator<Image> {
  const random = randomFrom(seed)
  const points = Array.from({ length: imagesPerRun }, () => {
    const among = random() < beginShare ? beginRecords : records.length
    return Math.floor(random() * (among + 1))
  }).sort((one, two) => one - two)
  const disk = new Disk(options)
  const acknowledged = new Map<string, number>()
  let wasOpen = false
  let at = 0
  for (const [number, point] of points.entries()) {
    for (; at < point; at++) {
      const record = records[at]!
      if (record.path !== '/acknowledged') disk.apply(record)
      else if (record.kind === 'write') {
        for (const line of record.data.toString('utf8').trim().split('\n')) {
          const [id, progress] = line.split(' ')
          if (progress === undefined) wasOpen = true
          else acknowledged.set(id!, Number(progress))
        }
      }
    }
    const folder = join(root, `image-${number}`)
    const last = records[at]?.path === '/acknowledged' ? undefined : records[at]
    disk.writeImage(folder, last, random)
    if (random() >= fullyCheckedShare) passForClosed(join(folder, 'data'))
    const name = `seed ${seed}, loss at record ${point} of ${records.length}, image ${number}`
    yield { folder: join(folder, 'data'), acknowledged: new Map(acknowledged), wasOpen, name }
    rmSync(folder, { recursive: true, force: true })
  }
}

/** So it is opened without the check in a process of its own: what the image holds is looked at after it. */
function passForClosed(directory: string): void {
  rmSync(join(directory, 'owner.json'), { force: true })
  const marker = join(directory, 'actor-runtime.json')
  const store = join(directory, 'store')
  if (!existsSync(marker) || !existsSync(join(store, 'data.mdb'))) return
  try {
    const { tag } = JSON.parse(readFileSync(marker, 'utf8')) as { tag: string }
    noteClosed(join(store, 'closed.json'), join(store, 'data.mdb'), tag)
  } catch {
    // Cut off in the middle: whoever opens it says so.
  }
}

/** Opens images one after the other in a process, and another one where that dies. */
class Opener {
  #process = this.#start()

  #start() {
    const program = fileURLToPath(new URL('./open-images.js', import.meta.url))
    const child = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'ignore'] })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    return { child, lines }
  }

  async open(folder: string): Promise<Opened> {
    this.#process.child.stdin.write(`${folder}\n`)
    const { value, done } = await this.#process.lines.next()
    if (!done) return JSON.parse(value) as Opened
    this.#process = this.#start()
    return { found: {}, error: 'the process that opened it has died' }
  }

  async stop(): Promise<void> {
    this.#process.child.stdin.end()
    await new Promise((resolve) => this.#process.child.once('close', resolve))
  }
}

/** @returns what is wrong with the disk after the loss; undefined: nothing */
function lossIn({ acknowledged, name, wasOpen }: Image, { found, error }: Opened): string | undefined {
  if (error !== null) return `${name}${wasOpen ? '' : ' (not open yet)'}: ${error}`
  for (const [id, progress] of acknowledged) {
    const problem = id.includes(':') ? lostOf(id, progress, found[id]) : lostJob(progress, found[id])
    if (problem !== undefined) return `${name}: ${id} ${problem}`
  }
  return undefined
}

function lostJob(progress: number, found: number | undefined): string | undefined {
  if (progress === 4 && found !== undefined) return 'was removed and is there'
  if (progress < 3 && found === undefined) return 'is lost'
  return found !== undefined && found < Math.min(progress, 2) ? 'was completed and is not' : undefined
}

/** Of what an outbox has prepared; else of what counts up. */
function lostOf(id: string, progress: number, found = 0): string | undefined {
  if (!id.startsWith('outbox:')) return found < progress ? `was at ${progress} and is at ${found}` : undefined
  if (progress === 1 && found === 0) return 'was prepared and is lost'
  return progress === 3 && found > 0 ? 'was committed and is still prepared' : undefined
}

async function lossesOver(
  t: TestContext,
  seeds: number[],
  options = {}
): Promise<{ images: number; losses: string[] }> {
  const library = compiled(t)
  const root = mkdtempSync(join(memory ?? temporaryFolder(t), 'ar-power-'))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  const opener = new Opener()
  const losses: string[] = []
  let images = 0
  for (const seed of seeds) {
    const records = recorded(t, library, seed)
    for (const image of imagesOf(records, root, seed, options)) {
      images++
      const loss = lossIn(image, await opener.open(image.folder))
      if (loss !== undefined) losses.push(loss)
    }
  }
  await opener.stop()
  return { images, losses }
}

/** Disks after a loss while a backup is made, half of them behind its acknowledgement; the folder is that of the backup. */
function* imagesOfBackup(records: readonly JournalRecord[], root: string, seed: number): Generator<Image> {
  const random = randomFrom(seed)
  const jobs = new Map(records.flatMap(({ path, data }) => (path === '/acknowledged' ? linesOf(data) : [])))
  jobs.delete('backup')
  const isOfBackup = ({ path, other }: JournalRecord) => [path, other].some((each) => each.startsWith('/backup'))
  const [begin, end] = [records.findIndex(isOfBackup), records.findLastIndex(isOfBackup) + 1]
  assert(begin >= 0, 'the copying process is not watched')
  for (let number = 0; number < imagesPerRun; number++) {
    const wasAcknowledged = number % 2 === 0
    const among = number % 4 === 1 ? end - begin : Math.min(placingRecords, end - begin)
    const point = wasAcknowledged ? records.length : end - Math.floor(random() * among)
    const disk = new Disk()
    for (const record of records.slice(0, point)) if (record.path !== '/acknowledged') disk.apply(record)
    const folder = join(root, `backup-${number}`)
    disk.writeImage(folder, records[point], random)
    const name = `seed ${seed}, loss at record ${point} of ${records.length}, image ${number}`
    const isThere = existsSync(join(folder, 'backup'))
    yield {
      folder: isThere ? join(folder, 'backup') : '',
      acknowledged: wasAcknowledged || isThere ? jobs : new Map(),
      wasOpen: wasAcknowledged,
      name
    }
    rmSync(folder, { recursive: true, force: true })
  }
}

function linesOf(data: Buffer): [id: string, progress: number][] {
  return data
    .toString('utf8')
    .trim()
    .split('\n')
    .map((line) => [line.split(' ')[0]!, Number(line.split(' ')[1])])
}

describe('loss of power (issue 7.3)', { skip: cannotRun }, () => {
  test('whatever was acknowledged before it is there', { timeout: isLong ? 3_600_000 : 300_000 }, async (t) => {
    const seeds = Array.from({ length: runs }, (_, index) => index + 1)
    const { images, losses } = await lossesOver(t, seeds)
    t.diagnostic(`${images} images`)
    assert.deepEqual(losses, [])
    assert.equal(images, runs * imagesPerRun)
  })

  test('a directory that is being made opens after a loss at each step, of names or of contents', {
    timeout: 600_000
  }, async (t) => {
    const records = recorded(t, compiled(t), 1)
    const root = mkdtempSync(join(memory ?? temporaryFolder(t), 'ar-power-'))
    t.after(() => rmSync(root, { recursive: true, force: true }))
    const opener = new Opener()
    const disk = new Disk()
    const made = records.findIndex(({ kind, path }) => kind === 'write' && path === '/acknowledged')
    assert(made > 0)
    const losses: string[] = []
    for (const [at, record] of records.slice(0, made).entries()) {
      disk.apply(record)
      for (const names of isLong ? [none, all] : [at % 2 === 0 ? none : all]) {
        const folder = join(root, `made-${at}`)
        disk.writeImage(folder, undefined, names === all ? randomFrom(at) : all, names)
        const { error } = await opener.open(join(folder, 'data'))
        if (error !== null) losses.push(`loss behind record ${at}, ${record.kind} of ${record.path}: ${error}`)
        rmSync(folder, { recursive: true, force: true })
      }
    }
    await opener.stop()
    t.diagnostic(`losses after each of ${made} records`)
    assert.deepEqual(losses, [])
  })

  test('a backup is there as a whole once it is acknowledged, and before that as a whole or not at all', {
    timeout: isLong ? 3_600_000 : 300_000
  }, async (t) => {
    const library = compiled(t)
    const root = mkdtempSync(join(memory ?? temporaryFolder(t), 'ar-power-'))
    t.after(() => rmSync(root, { recursive: true, force: true }))
    const opener = new Opener()
    const losses: string[] = []
    let whole = 0
    for (let seed = 1; seed <= (isLong ? 10 : 1); seed++) {
      for (const image of imagesOfBackup(recorded(t, library, seed, backupProgram), root, seed)) {
        const isThere = image.folder !== ''
        if (isThere) whole++
        const loss = lossIn(image, isThere ? await opener.open(image.folder) : { found: {}, error: null })
        if (loss !== undefined) losses.push(loss)
      }
    }
    await opener.stop()
    t.diagnostic(`${whole} images have the backup`)
    assert.deepEqual(losses, [])
  })

  test('a disk that does not sync when it says so is found out', { timeout: 600_000 }, async (t) => {
    const { images, losses } = await lossesOver(t, [1], { ignoresSyncs: true })
    t.diagnostic(`${losses.length} of ${images} images`)
    assert(losses.length > 0)
  })
})
