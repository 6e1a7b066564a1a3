import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, lstatSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { RpcServer } from '../../runtime/rpc/server.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { fakeService } from './fake-service.ts'
import { RawClient } from './raw-client.ts'

function serverAt(socketPath: string): RpcServer {
  return new RpcServer({
    service: fakeService(),
    socketPath,
    onInternalError: (error) => {
      throw error
    }
  })
}

function mode(path: string): number {
  return statSync(path).mode & 0o777
}

test('the socket is 0600, a folder made for it 0700, and the file goes with the server', async (test) => {
  const folder = join(temporaryFolder(test), 'a', 'b')
  const server = serverAt(join(folder, 's'))
  const umask = process.umask(0)
  try {
    await Promise.all([server.start(), server.start()])
    assert.equal(process.umask(), 0)
  } finally {
    process.umask(umask)
  }
  assert.equal(mode(join(folder, 's')), 0o600)
  assert.equal(mode(folder), 0o700)
  assert.equal(mode(join(folder, '..')), 0o700)
  await server.stop()
  assert.equal(existsSync(join(folder, 's')), false)
})

test('a folder that is there keeps its mode', async (test) => {
  const folder = join(temporaryFolder(test), 'a')
  mkdirSync(folder, { mode: 0o755 })
  const server = serverAt(join(folder, 's'))
  await server.start()
  test.after(() => server.stop())
  assert.equal(mode(folder), 0o755)
})

test('a socket that nobody listens at is replaced', async (test) => {
  const path = join(temporaryFolder(test), 's')
  const listenAndDie = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`
  await once(spawn(process.execPath, ['-e', listenAndDie]), 'exit')
  const stale = existsSync(path)
  const server = serverAt(path)
  await server.start()
  test.after(() => server.stop())
  assert.ok(stale)
  assert.ok((await (await RawClient.connect(test, path)).ask('status')).result)
})

test('a socket that somebody listens at is refused and left alone', async (test) => {
  const path = join(temporaryFolder(test), 's')
  const first = serverAt(path)
  await first.start()
  test.after(() => first.stop())
  const second = serverAt(path)
  await assert.rejects(second.start(), { code: 'SOCKET_INVALID', message: /somebody listens there already/ })
  await second.stop()
  assert.ok((await (await RawClient.connect(test, path)).ask('status')).result)
})

test('what is no socket is refused and left alone', async (test) => {
  const folder = temporaryFolder(test)
  writeFileSync(join(folder, 'file'), 'precious')
  symlinkSync(join(folder, 'file'), join(folder, 'link'))
  mkdirSync(join(folder, 'folder'))
  for (const name of ['file', 'link', 'folder']) {
    await assert.rejects(serverAt(join(folder, name)).start(), { code: 'SOCKET_INVALID', message: /not a socket/ })
    assert.ok(lstatSync(join(folder, name)))
  }
  assert.equal(readFileSync(join(folder, 'file'), 'utf8'), 'precious')
})

test('a path of 107 bytes works, one of 108 is refused', async (test) => {
  const folder = temporaryFolder(test)
  const longest = join(folder, 'x'.repeat(107 - folder.length - 1))
  const server = serverAt(longest)
  await server.start()
  assert.ok(existsSync(longest))
  await server.stop()
  await assert.rejects(serverAt(`${longest}x`).start(), { code: 'SOCKET_INVALID', message: /108 bytes, at most 107/ })
})

test('a path that cannot be made is refused in words', async (test) => {
  const folder = temporaryFolder(test)
  writeFileSync(join(folder, 'file'), '')
  await assert.rejects(serverAt(join(folder, 'file', 's')).start(), {
    code: 'SOCKET_INVALID',
    message: /^Cannot use the socket .*(ENOTDIR|EEXIST)/
  })
})

test('stop without start, and start after a refusal, do no harm', async (test) => {
  const path = join(temporaryFolder(test), 's')
  await serverAt(path).stop()
  const other = createServer().listen(path)
  await once(other, 'listening')
  const server = serverAt(path)
  await assert.rejects(server.start())
  await assert.rejects(server.start())
  await server.stop()
  assert.ok(existsSync(path))
  other.close()
})
