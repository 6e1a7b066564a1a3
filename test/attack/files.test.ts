/**
 * The socket under attack (issue 7.6): what lies in the file system. Nobody else may connect or read, whatever the umask; what
 * lies where the socket should be is never removed unless it is a socket that nobody listens at; nothing outside of the
 * actors folder is ever imported, whatever a caller names.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { cliMain } from '../cli/spawn-cli.ts'
import { RawClient } from '../rpc/raw-client.ts'
import { TestProject } from '../support/supervisor-process.ts'

const limit = { timeout: 60_000 }
const isRoot = process.getuid?.() === 0

function mode(path: string): string {
  return (statSync(path).mode & 0o777).toString(8)
}

/** Serves with a umask that would let everybody in. */
async function servedOpenly(t: TestContext) {
  const project = new TestProject(t)
  project.write('actors/a.js', `export const ping = () => 'pong'`)
  const started = project.startProcess('sh', '-c', `umask 000; exec "$0" "$1" serve`, process.execPath, cliMain)
  await started.stdout.said('\n')
  return { project, started }
}

test('issue 7.6: socket, folders and files are private, whatever the umask', limit, async (t) => {
  const { project } = await servedOpenly(t)
  const client = await RawClient.connect(t, project.socketPath)
  assert.equal((await client.ask('enqueue', { method: 'a.ping', isAsync: false })).result.result, 'pong')
  const folder = join(project.folder, '.runtime')
  assert.equal(mode(folder), '700')
  assert.equal(mode(project.socketPath), '600')
  for (const name of readdirSync(folder, { recursive: true }) as string[]) {
    const path = join(folder, name)
    assert.equal(mode(path), lstatSync(path).isDirectory() ? '700' : '600', name)
  }
})

test('issue 7.6: another user can neither connect nor read', { ...limit, skip: !isRoot && 'not root' }, async (t) => {
  const { project } = await servedOpenly(t)
  spawnSync('chmod', ['755', project.folder])
  const program = `
    const { readdirSync, readFileSync } = require('node:fs')
    const tried = []
    const attempt = (what, action) => { try { action(); tried.push(what) } catch (error) { if (error.code !== 'EACCES') throw error } }
    process.chdir('/')
    process.setgroups([]); process.setgid(65534); process.setuid(65534)
    attempt('list', () => readdirSync(${JSON.stringify(join(project.folder, '.runtime'))}))
    attempt('read', () => readFileSync(${JSON.stringify(join(project.folder, '.runtime', 'data.mdb'))}))
    const socket = require('node:net').connect(${JSON.stringify(project.socketPath)})
    socket.on('connect', () => { tried.push('connect'); say() })
    socket.on('error', (error) => { if (error.code !== 'EACCES') tried.push(error.code); say() })
    const say = () => { console.log(JSON.stringify(tried)); process.exit() }`
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8' })
  assert.equal(stdout.trim(), '[]', stderr)
})

test('issue 7.6: what is no dead socket is left alone where the socket should be', limit, async (t) => {
  const project = new TestProject(t)
  project.write('actors/a.js', `export const ping = () => 'pong'`)
  const at = (name: string) => join(project.folder, name)
  writeFileSync(at('file'), 'precious')
  mkdirSync(at('folder'))
  symlinkSync(at('file'), at('link'))
  symlinkSync(at('nowhere'), at('dangling'))
  const other = createServer().listen(at('live'))
  t.after(() => other.close())
  symlinkSync(at('live'), at('link-to-live'))
  for (const name of ['file', 'folder', 'link', 'dangling', 'live', 'link-to-live']) {
    const before = lstatSync(at(name))
    const { code, stderr } = await project.run('serve', '--socket', at(name))
    assert.equal(code, 2, `${name}: ${stderr}`)
    assert.match(stderr, /Cannot use the socket/, name)
    const after = lstatSync(at(name))
    assert.deepEqual([after.ino, after.mode, after.mtimeMs], [before.ino, before.mode, before.mtimeMs], name)
  }
  assert.equal(readFileSync(at('file'), 'utf8'), 'precious')
  assert.equal(readlinkSync(at('dangling')), at('nowhere'))
  assert.equal(existsSync(at('nowhere')), false)
})

test('issue 7.6: whatever a caller names, nothing outside of the actors folder is imported', limit, async (t) => {
  const project = new TestProject(t)
  const witness = join(project.folder, 'witness')
  const spy = `import { writeFileSync } from 'node:fs'
    writeFileSync(${JSON.stringify(witness)}, import.meta.url)
    export const run = () => 'imported'`
  project.write(
    'actors/a.js',
    `class Base { own() {} }\nexport const ping = () => 'pong'\nexport const object = Object.create({ run() {} })\nexport const instance = new Base()\nexport default () => 1`
  )
  project.write('outside.js', spy)
  project.write('outside/run.js', spy)
  project.write('node_modules/evil/index.js', spy)
  project.write('actors/node_modules/evil.js', spy)
  project.write('actors/.hidden.js', spy)
  project.write('actors/odd name.js', spy)
  project.write('actors/a..b.js', spy)
  project.write('actors/data.json', '{}')
  symlinkSync(join(project.folder, 'outside.js'), join(project.folder, 'actors', 'link.js'))
  symlinkSync(join(project.folder, 'outside'), join(project.folder, 'actors', 'linked'))
  symlinkSync(join(project.folder, 'nowhere.js'), join(project.folder, 'actors', 'dangling.js'))
  symlinkSync(project.folder, join(project.folder, 'actors', 'up'))
  const supervisor = await project.serve()
  const client = await RawClient.connect(t, project.socketPath)
  const paths = [
    '../outside',
    '..outside',
    '.',
    '..',
    '/outside',
    'a/../../outside',
    './outside',
    'outside',
    '%2e%2e%2foutside',
    `${project.folder}/outside`,
    `file://${project.folder}/outside.js`,
    'file:///etc/passwd',
    'data:text/javascript,1',
    'node:fs',
    'fs',
    'node:child_process',
    'child_process',
    'evil',
    'node_modules.evil',
    'linked.run',
    'link',
    'up.outside',
    'up.outside.run',
    'dangling',
    '.hidden',
    'odd name',
    'a..b',
    'a\u0000',
    'a\n',
    'a.js',
    'a\\..\\outside',
    'data',
    'constructor',
    '__proto__',
    'prototype',
    'toString',
    'then',
    'a.object',
    'a.instance',
    'a.default',
    'a.__proto__',
    'a.constructor',
    'a.ping',
    'a.ping.constructor',
    'ａ',
    'a\u202e',
    '~/outside',
    '$(touch witness)'
  ]
  const names = ['run', 'readFileSync', 'execSync', 'constructor', '__proto__', 'toString', 'own', 'call', 'then', '']
  for (const path of paths) {
    for (const name of names) {
      const method = `${path}.${name}`
      if (method === 'a.ping') continue
      const asked = [
        await client.ask('enqueue', { method }),
        await client.ask('enqueueDoc', { type: path, name: 'x', method: name }),
        await client.ask('enqueue', { method: 'a.ping', onSuccess: method }),
        await client.ask('transaction', { operations: [{ op: 'setState', type: path, name: 'x', state: {} }] })
      ]
      for (const { error } of asked) {
        assert.ok(
          ['METHOD_UNKNOWN', 'PARAMS_INVALID'].includes(error?.data?.code),
          `${method}: ${JSON.stringify(asked)}`
        )
      }
    }
    for (const text of [path, '../../x']) {
      for (const [method, params] of [
        ['job.get', { id: text }],
        ['doc.get', { type: path, name: text }],
        ['doc.list', { type: path }],
        ['queue.pause', { queue: text }],
        ['schedule.trigger', { event: text }],
        ['job.signal', { id: text, name: text }],
        ['doc.cancelReminder', { type: path, name: text, reminder: text }],
        ['outbox.commit', { id: text }]
      ] as const) {
        const answer = await client.ask(method, params)
        const isEmptyPage = method === 'doc.list' && answer.result?.documents.length === 0
        assert.ok(isEmptyPage || (answer.error !== undefined && answer.error.code !== -32603), JSON.stringify(answer))
      }
    }
  }
  assert.equal((await client.ask('enqueue', { method: 'a.ping', isAsync: false })).result.result, 'pong')
  assert.equal(existsSync(witness), false, existsSync(witness) ? readFileSync(witness, 'utf8') : '')
  assert.ok(supervisor.pid > 0)
})
