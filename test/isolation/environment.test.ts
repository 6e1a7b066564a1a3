/** What the jobs of a queue see of the supervisor's environment, and what they may do. */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import workerThreads, { type WorkerOptions } from 'node:worker_threads'
import type { QueueOptions } from '../../runtime/core/config.ts'
import { hostEnvironment } from '../../runtime/pool/host-environment.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { embedded } from './embedded.ts'

const isolations = ['process', 'inline'] as const

test('of the variables of the supervisor a host gets those of the list, and those that its queue hands on', () => {
  const inherited = { PATH: '/bin', LC_ALL: 'C', Path: '/also', SECRET: 's', NODE_OPTIONS: '--inspect', TOKEN: 't' }
  const { UV_THREADPOOL_SIZE, ...given } = hostEnvironment(
    { TOKEN: true, MISSING: true, OWN: 'own', LC_ALL: 'de' },
    2,
    inherited
  )
  assert.deepEqual(given, { PATH: '/bin', Path: '/also', LC_ALL: 'de', TOKEN: 't', OWN: 'own' })
  assert.ok(Number(UV_THREADPOOL_SIZE) > 4)
  assert.equal(hostEnvironment({ UV_THREADPOOL_SIZE: '7' }, 2, {}).UV_THREADPOOL_SIZE, '7')
})

test('a secret in the environment of the supervisor reaches a job only where its queue hands it on', async (t) => {
  process.env.AR_TEST_SECRET = 'hush'
  t.after(() => {
    delete process.env.AR_TEST_SECRET
  })
  const names = ['AR_TEST_SECRET', 'OWN', 'PATH']
  const actors = `
    import { execFileSync } from 'node:child_process'
    import { readFileSync } from 'node:fs'
    const names = ${JSON.stringify(names)}
    export const seen = () => names.map((name) => process.env[name])
    export const inChild = () => execFileSync('env', { encoding: 'utf8' }).includes('AR_TEST_SECRET')
    export const inHost = () => readFileSync('/proc/self/environ', 'latin1').includes('AR_TEST_SECRET')`
  const workers: Record<string, QueueOptions> = {
    given: { env: { AR_TEST_SECRET: true, OWN: 'own' } },
    replaced: { env: { AR_TEST_SECRET: 'not hush' } },
    inline: { isolation: 'inline', env: { OWN: 'own', AR_TEST_SECRET: true } }
  }
  const { runtime } = await embedded(t, { 'actors/a.js': actors }, workers)
  const result = async (method: string, queue: string) =>
    (await runtime.enqueue(method, {}, { queue, isAsync: false })).result
  const path = process.env.PATH
  assert.deepEqual(await result('a.seen', 'default'), [null, null, path])
  assert.deepEqual(await result('a.inChild', 'default'), false)
  assert.deepEqual(await result('a.inHost', 'default'), false)
  assert.deepEqual(await result('a.seen', 'given'), ['hush', 'own', path])
  assert.deepEqual(await result('a.inChild', 'given'), true)
  assert.deepEqual(await result('a.seen', 'replaced'), ['not hush', null, path])
  assert.deepEqual(await result('a.seen', 'inline'), ['hush', 'own', path])
})

test('what a job sets in its environment stays in its thread', async (t) => {
  const { runtime } = await embedded(
    t,
    { 'actors/a.js': 'export const run = () => { process.env.AR_TEST_LEFT = "x" }' },
    { inline: { isolation: 'inline' } }
  )
  await runtime.enqueue('a.run', {}, { queue: 'inline', isAsync: false })
  assert.equal(process.env.AR_TEST_LEFT, undefined)
  assert.equal(process.env.ACTOR_RUNTIME_JOB, undefined)
})

test('where the platform does not enforce permissions, queues that are restricted by them are refused', async (t) => {
  const { Worker } = workerThreads
  const put = (value: typeof Worker) => {
    workerThreads.Worker = value
    syncBuiltinESMExports()
  }
  t.after(() => put(Worker))
  put(
    class extends Worker {
      constructor(text: string, options: WorkerOptions) {
        super(text, { ...options, execArgv: [] })
      }
    }
  )
  const started = embedded(t, {}, { q: { permissions: {} } })
  await assert.rejects(started, { code: 'CONFIG_INVALID', message: /does not enforce them\. Remove permissions/ })
})

const permitted = `
import * as ours from 'ours'
import { createRequire } from 'node:module'
import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { neighbour } from './deep/neighbour.js'

const require = createRequire(import.meta.url)
const codeOf = async (action) => {
  try {
    await action()
    return 'allowed'
  } catch (error) {
    return error.code ?? error.message
  }
}
export async function imports(params, ctx) {
  ctx.log.info('it can speak')
  return [ours.name, require('ours').name, neighbour, (await import('ours/late.js')).name]
}
export async function tryAll({ read, secret, write, forbidden }) {
  return {
    read: await codeOf(() => readFileSync(read, 'utf8')),
    secret: await codeOf(() => readFileSync(secret)),
    list: await codeOf(() => readdirSync(dirname(secret))),
    write: await codeOf(() => writeFileSync(write, 'written')),
    forbidden: await codeOf(() => writeFileSync(forbidden, 'written')),
    childProcess: await codeOf(() => execFileSync('true')),
    worker: await codeOf(() => new Promise((resolve, reject) => {
      new Worker('', { eval: true }).once('exit', resolve).once('error', reject)
    })),
    addons: await codeOf(() => process.dlopen({ exports: {} }, read))
  }
}
`

const denied = 'ERR_ACCESS_DENIED'
const nothing = { read: denied, secret: denied, list: denied, write: denied, forbidden: denied }
const noMore = { childProcess: denied, worker: denied, addons: 'ERR_DLOPEN_DISABLED' }
/** It is no library, but it was tried. */
const addons = 'ERR_DLOPEN_FAILED'

for (const isolation of isolations) {
  test(`permissions of a queue, isolation ${isolation}`, { timeout: 60_000 }, async (t) => {
    const outside = temporaryFolder(t)
    for (const folder of ['read', 'write', 'other']) mkdirSync(join(outside, folder))
    for (const folder of ['read', 'other']) writeFileSync(join(outside, folder, 'file'), 'text')
    const below = (path: string) => join(outside, path)
    const [readFolder, writeFolder] = [below('read'), below('write')]
    const cases: [permissions: QueueOptions['permissions'], expected: Record<string, string>][] = [
      [{}, { ...nothing, ...noMore }],
      [{ read: [readFolder] }, { ...nothing, ...noMore, read: 'allowed' }],
      [{ read: [join(readFolder, 'file')] }, { ...nothing, ...noMore, read: 'allowed' }],
      [{ write: [writeFolder] }, { ...nothing, ...noMore, write: 'allowed' }],
      // Node ends the process where a path is granted twice, or in an unlucky order.
      [
        { read: ['read-more', 'read-most', 'rea', 'read/file', 'read', 'read', 'read/file'].map(below) },
        { ...nothing, ...noMore, read: 'allowed' }
      ],
      [
        { read: ['/'], write: [join(writeFolder, '*')] },
        { ...nothing, ...noMore, read: 'allowed', secret: 'allowed', list: 'allowed', write: 'allowed' }
      ],
      [{ childProcess: true }, { ...nothing, ...noMore, childProcess: 'allowed' }],
      [{ worker: true }, { ...nothing, ...noMore, worker: 'allowed' }],
      [
        { addons: true, read: [readFolder] },
        { ...nothing, ...noMore, read: 'allowed', addons }
      ]
    ]
    const files = {
      'actors/a.js': permitted,
      'actors/deep/neighbour.js': 'export const neighbour = "neighbour"',
      'package.json': '{ "type": "module" }',
      'node_modules/ours/package.json':
        '{ "name": "ours", "exports": { ".": { "import": "./index.mjs", "require": "./index.cjs" }, "./late.js": "./late.mjs" } }',
      'node_modules/ours/index.mjs': 'export { name } from "./inner.mjs"',
      'node_modules/ours/inner.mjs': 'export const name = "as a module"',
      'node_modules/ours/index.cjs': 'exports.name = "as CommonJS"',
      'node_modules/ours/late.mjs': 'export const name = "late"'
    }
    const workers = Object.fromEntries(
      cases.map(([permissions = {}], index) => [`q${index}`, { isolation, permissions, backgroundWorkers: 1 }])
    )
    const { runtime } = await embedded(t, files, workers)
    const params = {
      read: join(readFolder, 'file'),
      secret: join(outside, 'other', 'file'),
      write: join(writeFolder, 'file'),
      forbidden: join(outside, 'other', 'new')
    }
    for (const [index, [permissions, expected]] of cases.entries()) {
      const options = { queue: `q${index}`, isAsync: false }
      const imported = await runtime.enqueue('a.imports', {}, options)
      assert.deepEqual(
        imported.result,
        ['as a module', 'as CommonJS', 'neighbour', 'late'],
        JSON.stringify(imported.error)
      )
      const { result, error } = await runtime.enqueue('a.tryAll', params, options)
      assert.deepEqual(result, expected, `${JSON.stringify(permissions)} ${JSON.stringify(error)}`)
    }
    const { result } = await runtime.enqueue('a.tryAll', params, { isAsync: false })
    const everything = Object.fromEntries(Object.keys({ ...nothing, ...noMore }).map((key) => [key, 'allowed']))
    assert.deepEqual(result, { ...everything, addons }, 'a queue without permissions may do everything')
  })
}
