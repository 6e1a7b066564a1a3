import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { gunzipSync } from 'node:zlib'
import type { Outcome } from '../../runtime/core/pool.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { poolOver, writeModule } from './pool-fixture.ts'

// The example actors are not built: they run as they stand in the checkout, where the tests are started.
const actors = resolve('actors')

function completed(outcome: Outcome): unknown {
  assert.equal(outcome.type, 'completed', JSON.stringify(outcome))
  return JSON.parse((outcome as Outcome & { type: 'completed' }).result)
}

function message(outcome: Outcome): string {
  assert.equal(outcome.type, 'failed', JSON.stringify(outcome))
  return (outcome as Outcome & { type: 'failed' }).error.message
}

test('text.words.frequencies counts words of one and of several files', async (t) => {
  const folder = temporaryFolder(t)
  const a = writeModule(folder, 'a.txt', "The cat, the CAT; don't. Ünïcode 42")
  const b = writeModule(folder, 'b.txt', `${'lorem ipsum\n'.repeat(100_000)}the`)
  const { heard, run, outcome } = poolOver(t, actors)
  assert.deepEqual(completed(await outcome('text.words.frequencies', { file: a, top: 3 })), {
    files: 1,
    words: 7,
    distinct: 5,
    top: [
      { word: 'cat', count: 2 },
      { word: 'the', count: 2 },
      { word: '42', count: 1 }
    ]
  })
  const both = run('text.words.frequencies', { files: [a, b], top: 2 })
  assert.deepEqual(completed(await heard.outcomeOf(both)), {
    files: 2,
    words: 200_008,
    distinct: 7,
    top: [
      { word: 'ipsum', count: 100_000 },
      { word: 'lorem', count: 100_000 }
    ]
  })
  assert.equal(heard.of(both).findLast(({ type }) => type === 'progress')?.percent, 100)
  assert.match(message(await outcome('text.words.frequencies', {})), /either "file" or "files"/)
  assert.match(message(await outcome('text.words.frequencies', { file: folder })), /it is not a file/)
  assert.match(message(await outcome('text.words.frequencies', { file: join(folder, 'none') })), /ENOENT/)
})

test('files.checksum.sha256 walks a folder and skips links', async (t) => {
  const folder = temporaryFolder(t)
  const contents = { 'a.bin': 'x'.repeat(300_000), 'sub/b.txt': '', 'sub/deep/c.txt': 'c', __proto__x: 'p' }
  for (const [name, content] of Object.entries(contents)) writeModule(folder, name, content)
  symlinkSync(join(folder, 'a.bin'), join(folder, 'link'))
  symlinkSync(folder, join(folder, 'sub', 'circle'))
  const { outcome } = poolOver(t, actors)
  assert.deepEqual(completed(await outcome('files.checksum.sha256', { folder })), {
    files: 4,
    bytes: 300_002,
    sha256: Object.fromEntries(
      Object.entries(contents).map(([name, content]) => [name, createHash('sha256').update(content).digest('hex')])
    )
  })
  assert.match(message(await outcome('files.checksum.sha256', { folder: join(folder, 'a.bin') })), /it is not a folder/)
})

test('files.compress.gzip writes the whole target or nothing', async (t) => {
  const folder = temporaryFolder(t)
  const file = join(folder, 'log.txt')
  writeFileSync(file, 'a line of a log\n'.repeat(50_000))
  const { outcome } = poolOver(t, actors)
  const result = completed(await outcome('files.compress.gzip', { file, level: 9 })) as Record<string, unknown>
  const compressed = readFileSync(`${file}.gz`)
  assert.deepEqual(gunzipSync(compressed), readFileSync(file))
  const ratio = Math.round((compressed.length / 800_000) * 1000) / 1000
  assert.deepEqual(result, { file, target: `${file}.gz`, bytes: 800_000, compressedBytes: compressed.length, ratio })
  assert.match(message(await outcome('files.compress.gzip', { file, target: file })), /onto itself/)
  assert.match(message(await outcome('files.compress.gzip', { file, target: join(folder, 'no', 'x') })), /ENOENT/)
  assert.match(message(await outcome('files.compress.gzip', { file, level: 11 })), /from 0 to 9/)
  assert.deepEqual(readdirSync(folder).sort(), ['log.txt', 'log.txt.gz'])
})

test('files.watched.Folder tells what has changed since the last check (issue 6.1)', async (t) => {
  const folder = temporaryFolder(t)
  // As a user's module imports it: by the name of the package.
  const { Folder } = await import(pathToFileURL(join(actors, 'files', 'watched.js')).href)
  const said: unknown[] = []
  const ctx = {
    log: { info: () => {} },
    remind: (...args: unknown[]) => said.push(args),
    cancelReminder: (...args: unknown[]) => said.push(args)
  }
  let state: unknown = new Folder().state
  /** Each call with the state that the one before left, through JSON, as the runtime does. */
  const check = async () => {
    const document = Object.assign(new Folder(), { name: folder, state: JSON.parse(JSON.stringify(state)) })
    const result = await document.check({}, ctx)
    state = document.state
    return result
  }
  for (const name of ['a.txt', 'sub/b.txt', '__proto__']) writeModule(folder, name, 'x')
  const sorted = ({ added, ...rest }: { added: string[] }) => ({ added: added.sort(), ...rest })
  const none = { added: [], changed: [], removed: [] }
  assert.deepEqual(sorted(await check()), { ...none, files: 3, added: ['__proto__', 'a.txt', 'sub/b.txt'] })
  assert.deepEqual(await check(), { ...none, files: 3 })
  writeModule(folder, 'sub/b.txt', 'xx')
  rmSync(join(folder, 'a.txt'))
  assert.deepEqual(await check(), { ...none, files: 2, changed: ['sub/b.txt'], removed: ['a.txt'] })
  new Folder().every({ cron: 'hourly' }, ctx)
  new Folder().rest({}, ctx)
  assert.deepEqual(said, [['check', { method: 'check', cron: 'hourly' }], ['check']])
})
