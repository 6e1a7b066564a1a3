/**
 * Who may open a data directory, and what is refused: at any moment one process owns it, whatever the others do and however
 * the last owner ended, and a directory that was initialised is never taken for an empty one.
 */
import assert from 'node:assert/strict'
import {
  chmodSync,
  copyFileSync,
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
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { type OpenDataDirectory, openDataDirectory } from '../../runtime/store/data-directory.ts'
import { jobKey } from '../../runtime/store/keys.ts'
import { formatVersion, type JobSpec, specCodec } from '../../runtime/store/records.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { endOfPages } from './end-of-pages.ts'
import { type Answer, OwnerProcess } from './owner-process.ts'
import { smallDisk } from './small-disk.ts'

const params = JSON.stringify({ known: 'text of the params' })
const spec: JobSpec = {
  id: 'one',
  method: 'a.b',
  queue: 1,
  params,
  enqueuedAtMs: 0,
  runAtMs: null,
  atFront: false,
  priority: 0,
  timeoutMs: 1,
  attemptsMax: 1,
  backoff: { type: 'fixed', delayMs: 0, maxMs: 0, jitter: 0, delaysMs: [] },
  jobName: null,
  softTimeoutMs: null,
  event: null,
  rules: null
}
const key = jobKey(1)

/** Opens, and closes when the test ends if the test has not. */

async function open(test: TestContext, directory: string): Promise<OpenDataDirectory> {
  const opened = await openDataDirectory(directory)
  test.after(() => opened.close())
  return opened
}

/** A directory that was used and closed: it holds one job. */
async function used(test: TestContext): Promise<{ directory: string; tag: string; dataFile: string }> {
  const directory = join(temporaryFolder(test), 'data')
  const { store, tag, close } = await open(test, directory)
  await store.transact((transaction) => transaction.put(key, specCodec.encode(key, spec)))
  await close()
  return { directory, tag, dataFile: join(directory, 'store', 'data.mdb') }
}

/** Makes it look as if its last owner had died. */
function leaveOwner(directory: string): void {
  writeFileSync(join(directory, 'owner.json'), JSON.stringify({ pid: 2 ** 22 + 1, birth: '' }))
}

async function assertRefused(directory: string, code: string, message: RegExp): Promise<void> {
  await assert.rejects(openDataDirectory(directory), (error) => {
    assert(error instanceof RuntimeError, String(error))
    assert.equal(error.code, code, error.message)
    assert.match(error.message, message)
    assert(error.message.includes(directory), `names the directory: ${error.message}`)
    return true
  })
}

function refusedBy(answer: Answer): { code: string; pid: number } {
  assert.equal(answer.type, 'refused')
  const { code, pid } = answer as Answer & { type: 'refused' }
  return { code, pid }
}

describe('data directory', () => {
  it('is made with its parents, for its owner only, whatever the umask', async (test) => {
    const umask = process.umask(0)
    test.after(() => process.umask(umask))
    const directory = join(temporaryFolder(test), 'some', 'parents', 'data')
    const { unclean } = await open(test, directory)
    assert.equal(unclean, false)
    const modeOf = (...path: string[]) => (statSync(join(directory, ...path)).mode & 0o777).toString(8)
    assert.equal(modeOf(), '700')
    for (const file of ['actor-runtime.json', 'owner.json', 'store/data.mdb', 'store/lock.mdb']) {
      assert.equal(modeOf(file), '600', file)
    }
    assert.deepEqual(readdirSync(directory).sort(), ['actor-runtime.json', 'owner.json', 'store'])
  })

  it('opened again keeps its tag and its jobs; after a clean close it has no owner and is not unclean', async (test) => {
    const { directory, tag } = await used(test)
    assert.match(tag, /^[0-9a-z]{7}$/)
    assert.equal(existsSync(join(directory, 'owner.json')), false)
    const again = await open(test, directory)
    assert.equal(again.unclean, false)
    assert.equal(again.tag, tag)
    assert.equal(specCodec.decode(key, again.store.reader.get(key)!).params, params)
    await again.close()
    assert.notEqual((await open(test, join(temporaryFolder(test), 'other'))).tag, tag)
  })

  it('issue 7.2: what dead processes were making beside the files goes with the next owner, not what a living one makes', async (test) => {
    const { directory } = await used(test)
    const dead = 2 ** 22 + 1
    const left = [dead, process.pid].flatMap((pid) => [`owner.json.${pid}.new`, `actor-runtime.json.${pid}.new`])
    for (const name of [...left, `owner.json.${process.ppid}.new`]) writeFileSync(join(directory, name), '{}')
    mkdirSync(join(directory, `store.${dead}.new`))
    await (await open(test, directory)).close()
    assert.deepEqual(readdirSync(directory).sort(), ['actor-runtime.json', `owner.json.${process.ppid}.new`, 'store'])
  })

  it('may be an empty folder that is there already', async (test) => {
    const directory = temporaryFolder(test)
    await (await open(test, directory)).close()
  })

  it('closing twice, at the same time and later, gives up ownership once', async (test) => {
    const { directory } = await used(test)
    const first = await open(test, directory)
    await Promise.all([first.close(), first.close()])
    const second = await open(test, directory)
    await first.close()
    assert(existsSync(join(directory, 'owner.json')))
    await assertRefused(directory, 'DATA_DIR_LOCKED', /owns it/)
    await second.close()
  })

  it('closing commits what is pending and lets nothing in behind the end of ownership', async (test) => {
    const { directory } = await used(test)
    const { store, close } = await open(test, directory)
    const pending = store.transact((transaction) => transaction.put(jobKey(2), Buffer.from('pending')))
    const closed = close()
    await assert.rejects(
      store.transact((transaction) => transaction.put(jobKey(3), Buffer.from('late'))),
      /closed/
    )
    await Promise.all([pending, closed])
    const { reader } = (await open(test, directory)).store
    assert.equal(String(reader.get(jobKey(2))), 'pending')
    assert.equal(reader.get(jobKey(3)), undefined)
  })
})

describe('one owner at a time', () => {
  it('the same process twice is refused, by any path, at the same time too', async (test) => {
    const { directory } = await used(test)
    const link = join(temporaryFolder(test), 'link')
    symlinkSync(directory, link)
    const first = await open(test, directory)
    for (const path of [directory, link])
      await assertRefused(path, 'DATA_DIR_LOCKED', new RegExp(`pid ${process.pid}\\b`))
    await first.close()
    leaveOwner(directory)
    const both = await Promise.allSettled([open(test, directory), open(test, link)])
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  })

  it('another process gets the pid of the owner; once that was killed, it opens and finds the end unclean', async (test) => {
    const { directory, tag } = await used(test)
    const [owner, other] = await Promise.all([OwnerProcess.start(test), OwnerProcess.start(test)])
    assert.deepEqual(await owner.open(directory), { type: 'opened', tag, unclean: false })
    assert.deepEqual(refusedBy(await other.open(directory)), { code: 'DATA_DIR_LOCKED', pid: owner.pid })
    await owner.put(jobKey(2), Buffer.from('acknowledged'))
    await assertRefused(directory, 'DATA_DIR_LOCKED', new RegExp(`pid ${owner.pid}\\b`))
    assert.deepEqual(await owner.put(jobKey(3), Buffer.from('not disturbed')), { type: 'done' })
    await owner.kill()
    const damagedSinceItIsNoRecord = await other.open(directory)
    assert.deepEqual(refusedBy(damagedSinceItIsNoRecord), { code: 'DATA_DIR_INVALID', pid: 0 })
  })

  it('a killed owner leaves a directory that opens, unclean, with everything that was acknowledged', async (test) => {
    const { directory, tag } = await used(test)
    const owner = await OwnerProcess.start(test)
    await owner.open(directory)
    await owner.put(jobKey(2), specCodec.encode(jobKey(2), spec))
    await owner.kill()
    const next = await open(test, directory)
    assert.equal(next.unclean, true)
    assert.equal(next.tag, tag)
    assert.equal(specCodec.decode(jobKey(2), next.store.reader.get(jobKey(2))!).params, params)
  })

  it('holds when owner.json was deleted, emptied or replaced by hand', async (test) => {
    const { directory } = await used(test)
    const owner = await OwnerProcess.start(test)
    await owner.open(directory)
    for (const content of ['', '{"pid":', 'null', '{"pid":"x"}', '{"pid":-1}']) {
      writeFileSync(join(directory, 'owner.json'), content)
      await assertRefused(directory, 'DATA_DIR_LOCKED', new RegExp(`pid ${owner.pid}\\b`))
    }
    rmSync(join(directory, 'owner.json'))
    await assertRefused(directory, 'DATA_DIR_LOCKED', new RegExp(`pid ${owner.pid}\\b`))
    assert.deepEqual(await owner.ask({ type: 'close' }), { type: 'done' })
    await (await open(test, directory)).close()
  })

  it('a pid that another process has been given since does not lock it', {
    skip: process.platform !== 'linux'
  }, async (test) => {
    const { directory } = await used(test)
    const stranger = { pid: process.ppid, birth: 'another boot/1' }
    writeFileSync(join(directory, 'owner.json'), JSON.stringify(stranger))
    assert.equal((await open(test, directory)).unclean, true)
  })

  it('a dead owner whose parent never asks for its exit code does not lock it', {
    skip: process.platform !== 'linux'
  }, async (test) => {
    const { directory } = await used(test)
    const owner = await OwnerProcess.start(test, '"$@" & exec sleep 60')
    await owner.open(directory)
    process.kill(owner.pid, 'SIGKILL')
    while (!/\) Z /.test(readFileSync(`/proc/${owner.pid}/stat`, 'latin1'))) await new Promise(setImmediate)
    process.kill(owner.pid, 0)
    assert.equal((await open(test, directory)).unclean, true)
  })

  it('of four that meet a new directory, and of four that meet a dead owner, exactly one wins', async (test) => {
    const racers = await Promise.all([0, 1, 2, 3].map(() => OwnerProcess.start(test)))
    for (let round = 0; round < 3; round++) {
      const directory = join(temporaryFolder(test), 'data')
      for (const state of ['new', 'closed', 'dead owner']) {
        if (state === 'dead owner') leaveOwner(directory)
        const answers = await Promise.all(racers.map((racer) => racer.open(directory)))
        const winners = racers.filter((_, at) => answers[at]!.type === 'opened')
        assert.equal(winners.length, 1, `${state}: ${JSON.stringify(answers)}`)
        for (const answer of answers.filter(({ type }) => type !== 'opened')) {
          assert.deepEqual(refusedBy(answer), { code: 'DATA_DIR_LOCKED', pid: winners[0]!.pid }, state)
        }
        const { tag } = answers.find(({ type }) => type === 'opened') as Answer & { type: 'opened' }
        const marker = JSON.parse(readFileSync(join(directory, 'actor-runtime.json'), 'utf8'))
        assert.deepEqual(marker, { product: 'actor-runtime', format: formatVersion, tag, initialised: true })
        assert.deepEqual(await winners[0]!.ask({ type: 'close' }), { type: 'done' })
        assert.deepEqual(readdirSync(directory).sort(), ['actor-runtime.json', 'store'])
      }
    }
  })

  it('of four that meet an owner who was really killed, exactly one wins', async (test) => {
    const racers = await Promise.all([0, 1, 2, 3, 4].map(() => OwnerProcess.start(test)))
    const directory = join(temporaryFolder(test), 'data')
    while (racers.length > 1) {
      const answers = await Promise.all(racers.map((racer) => racer.open(directory)))
      const winner = racers[answers.findIndex(({ type }) => type === 'opened')]!
      assert.equal(answers.filter(({ type }) => type === 'opened').length, 1, JSON.stringify(answers))
      await winner.kill()
      racers.splice(racers.indexOf(winner), 1)
    }
  })
})

describe('what is not ours is refused and not touched', () => {
  it('a folder with other files', async (test) => {
    const directory = temporaryFolder(test)
    writeFileSync(join(directory, 'thesis.txt'), 'precious')
    await assertRefused(directory, 'DATA_DIR_INVALID', /holds other files \(thesis\.txt\)/)
    assert.deepEqual(readdirSync(directory), ['thesis.txt'])
  })

  it('a store whose marker is gone', async (test) => {
    const { directory } = await used(test)
    rmSync(join(directory, 'actor-runtime.json'))
    await assertRefused(directory, 'DATA_DIR_INVALID', /holds other files \(store\)/)
  })

  it('a path that is a file, or leads through one', async (test) => {
    const file = join(temporaryFolder(test), 'file')
    writeFileSync(file, 'precious')
    await assertRefused(file, 'DATA_DIR_INVALID', /is a file, not a directory/)
    await assertRefused(join(file, 'below'), 'DATA_DIR_INVALID', /is a file, not a directory/)
    assert.equal(readFileSync(file, 'utf8'), 'precious')
  })

  it('a marker of a newer format, of another product, or damaged', async (test) => {
    const { directory, tag } = await used(test)
    const marker = { product: 'actor-runtime', format: formatVersion, tag, initialised: true }
    const { initialised: _, ...unfinished } = marker
    for (const [content, message] of [
      [
        JSON.stringify({ ...marker, format: formatVersion + 1 }),
        /newer version \(format \d+; this version reads up to/
      ],
      [JSON.stringify({ ...marker, product: 'other' }), /not one of ours/],
      [JSON.stringify({ ...marker, tag: 7 }), /not one of ours/],
      [JSON.stringify({ ...marker, format: 'x' }), /not one of ours/],
      [JSON.stringify(unfinished), /not one of ours/],
      ['null', /not one of ours/],
      ['', /marker actor-runtime\.json is damaged/],
      [JSON.stringify(marker).slice(0, -2), /marker actor-runtime\.json is damaged/]
    ] as const) {
      writeFileSync(join(directory, 'actor-runtime.json'), content)
      await assertRefused(directory, 'DATA_DIR_INVALID', message)
    }
    writeFileSync(join(directory, 'actor-runtime.json'), JSON.stringify(marker))
    assert.equal(specCodec.decode(key, (await open(test, directory)).store.reader.get(key)!).params, params)
  })

  it('a directory that this user may not write', { skip: process.platform === 'win32' }, async (test) => {
    const folder = temporaryFolder(test)
    const { directory } = await used(test)
    const child = await OwnerProcess.start(test)
    if (process.getuid!() === 0) {
      chmodSync(folder, 0o755)
      chmodSync(join(directory, '..'), 0o755)
      assert.deepEqual(await child.ask({ type: 'user', id: 65534 }), { type: 'done' })
    } else {
      chmodSync(folder, 0o500)
    }
    const readable = () => {
      chmodSync(directory, 0o555)
      chmodSync(join(directory, 'store'), 0o555)
      for (const file of ['actor-runtime.json', 'store/data.mdb']) chmodSync(join(directory, file), 0o444)
    }
    for (const [path, prepare] of [
      [join(folder, 'new'), () => undefined],
      [directory, () => chmodSync(directory, 0o100)],
      [directory, readable],
      // The store could be written, but nobody could be told about the owner.
      [directory, () => chmodSync(join(directory, 'store/data.mdb'), 0o666)]
    ] as const) {
      prepare()
      const answer = await child.open(path)
      assert.equal(refusedBy(answer).code, 'DATA_DIR_INVALID')
      assert.match((answer as Answer & { type: 'refused' }).message, /not writable for this user \(EACCES\)/)
    }
    chmodSync(directory, 0o700)
    chmodSync(folder, 0o700)
  })
})

describe('damage is never opened as an empty store', () => {
  const damages: [name: string, damage: (dataFile: string) => void, message: RegExp][] = [
    ['missing data file', (file) => rmSync(file), /data\.mdb is missing/],
    ['missing store folder', (file) => rmSync(join(file, '..'), { recursive: true }), /data\.mdb is missing/],
    ['data file of length zero', (file) => truncateSync(file, 0), /data\.mdb is empty/],
    ['data file of one byte', (file) => truncateSync(file, 1), /has no valid header/],
    ['data file of half a header', (file) => truncateSync(file, 4096), /has no valid header/],
    ['data file without its last page', (file) => truncateSync(file, endOfPages(file) - 4096), /cut off/],
    ['header of zeros', (file) => overwrite(file, 0, Buffer.alloc(8192)), /has no valid header/],
    ['first of the two headers of zeros', (file) => overwrite(file, 0, Buffer.alloc(4096)), /has no valid header/],
    ['second of the two headers of zeros', (file) => overwrite(file, 4096, Buffer.alloc(4096)), /has no valid header/],
    ['page size of zero in the header', (file) => overwrite(file, 48, Buffer.alloc(4)), /has no valid header/],
    ['page size of nonsense in the header', (file) => overwrite(file, 49, Buffer.of(0x20)), /has no valid header/],
    ['data file of another program', (file) => writeFileSync(file, 'text '.repeat(10_000)), /has no valid header/]
  ]
  for (const ending of ['closed', 'killed']) {
    for (const [name, damage, message] of damages) {
      it(`${name}, after its owner has ${ending === 'closed' ? 'closed' : 'died'}`, async (test) => {
        const { directory, dataFile } = await used(test)
        if (ending === 'killed') leaveOwner(directory)
        damage(dataFile)
        const left = existsSync(dataFile) ? readFileSync(dataFile) : undefined
        await assertRefused(directory, 'DATA_DIR_INVALID', message)
        await assertRefused(directory, 'DATA_DIR_INVALID', message)
        assert.deepEqual(existsSync(dataFile) ? readFileSync(dataFile) : undefined, left)
      })
    }
  }

  it('one flipped bit of a record is found by the verification after an unclean end', async (test) => {
    const { directory, dataFile } = await used(test)
    const whole = join(temporaryFolder(test), 'data.mdb')
    copyFileSync(dataFile, whole)
    flipBitOf(dataFile, params)
    leaveOwner(directory)
    await assertRefused(
      directory,
      'DATA_DIR_INVALID',
      /1 of \d+ records fail their checksum; the first: 4a000000000001/
    )
    copyFileSync(whole, dataFile)
    const repaired = await open(test, directory)
    assert.equal(repaired.unclean, true)
    assert.equal(specCodec.decode(key, repaired.store.reader.get(key)!).params, params)
  })

  it('issue 7.5: one flipped bit is found at the next start after a clean end too, since the file was touched', async (test) => {
    const { directory, dataFile } = await used(test)
    const whole = readFileSync(dataFile)
    flipBitOf(dataFile, params)
    await assertRefused(directory, 'DATA_DIR_INVALID', /1 of \d+ records fail their checksum/)
    writeFileSync(dataFile, whole)
    assert.equal((await open(test, directory)).unclean, false)
  })

  it('pages of nonsense end the process that reads them, and that is not this one', async (test) => {
    const { directory, dataFile } = await used(test)
    leaveOwner(directory)
    overwrite(dataFile, 8192, Buffer.alloc(statSync(dataFile).size - 8192, 0xa5))
    await assertRefused(directory, 'DATA_DIR_INVALID', /its store is damaged/)
  })
})

function overwrite(file: string, position: number, bytes: Buffer): void {
  const content = readFileSync(file)
  bytes.copy(content, position)
  writeFileSync(file, content)
}

/** In every copy of it, since LMDB leaves old pages behind. */
function flipBitOf(file: string, text: string): void {
  const content = readFileSync(file)
  let copies = 0
  for (let at = content.indexOf(text); at !== -1; at = content.indexOf(text, at + 1)) {
    content[at + 3]! ^= 1
    copies++
  }
  assert(copies > 0)
  writeFileSync(file, content)
}

describe('a start that did not come to its end', () => {
  const unfinished = { product: 'actor-runtime', format: formatVersion, tag: '0abcdef', initialised: false }

  it('before the marker was in place: opens as new', async (test) => {
    const directory = temporaryFolder(test)
    writeFileSync(join(directory, 'actor-runtime.json.4711.new'), '{"prod')
    assert.equal((await open(test, directory)).unclean, false)
  })

  it('between the marker and the first commit: opens as new, with the tag of the marker', async (test) => {
    for (const withFolder of [false, true]) {
      const directory = temporaryFolder(test)
      writeFileSync(join(directory, 'actor-runtime.json'), JSON.stringify(unfinished))
      if (withFolder) mkdirSync(join(directory, 'store'))
      const { tag, close } = await open(test, directory)
      assert.equal(tag, unfinished.tag)
      await close()
      assert.equal(JSON.parse(readFileSync(join(directory, 'actor-runtime.json'), 'utf8')).initialised, true)
    }
  })

  it('between the first commit and the second marker: opens with what is there', async (test) => {
    const { directory, tag } = await used(test)
    writeFileSync(join(directory, 'actor-runtime.json'), JSON.stringify({ ...unfinished, tag }))
    const again = await open(test, directory)
    assert.equal(again.tag, tag)
    assert(again.store.reader.has(key))
  })

  it('because the disk is full: says so, gives up ownership, and opens once there is room', async (test) => {
    const folder = smallDisk(test, 1024 * 1024)
    if (folder === undefined) return test.skip('this user may not mount a file system')
    const directory = join(folder, 'data')
    await (await open(test, directory)).close()
    const filling = join(folder, 'filling')
    assert.throws(() => writeFileSync(filling, Buffer.alloc(2 * 1024 * 1024)), /ENOSPC/)
    // In processes of their own: LMDB 3.5.6 may write past a buffer while it words the error of a failed write.
    const [first, next] = await Promise.all([OwnerProcess.start(test), OwnerProcess.start(test)])
    const answer = await first.open(directory)
    assert.equal(refusedBy(answer).code, 'STORAGE_FULL')
    assert.match((answer as Answer & { type: 'refused' }).message, /disk .*is full/)
    rmSync(filling)
    // The first one still lives, and owns nothing.
    process.kill(first.pid, 0)
    assert.equal((await next.open(directory)).type, 'opened')
  })
})
