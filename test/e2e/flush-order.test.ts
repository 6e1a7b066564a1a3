/**
 * Acknowledged means on disk, as the kernel sees it: strace records the calls of a supervisor during one enqueue. On its
 * main thread the pages that hold the job are written, then flushed (fdatasync), then the page that makes them valid is
 * written through a descriptor with O_DSYNC, and only then the answer goes to the socket.
 *
 * Needs strace (Debian package `strace`), which `.ci/run` installs, and a kernel that lets a process trace its children.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { constants, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { connectSocket } from '../../runtime/rpc/socket-path.ts'
import { spawnTool } from '../support/spawn-tool.ts'
import { TestProject } from '../support/supervisor-process.ts'

const main = fileURLToPath(new URL('../../runtime/cli/main.js', import.meta.url))
const jobId = 'the-witness-of-the-flush'
const writes = 'pwrite64,pwritev,pwritev2,writev,write,sendmsg,sendto'

test('the flush of the commit comes before the answer', { skip: whyNotHere(), timeout: 60_000 }, async (t) => {
  assert.equal(spawnSync('strace', ['-V']).status, 0, 'strace is missing: install it with "apt-get install strace"')
  const project = new TestProject(t)
  project.write('actors/a.js', 'export function run() {}\n')
  const trace = join(project.folder, 'trace')
  // One file per thread: the lines of a thread are whole, and in the order in which it made the calls.
  const options = ['-ff', '-o', trace, '-y', '-s', '100000', '-e', `trace=openat,fsync,fdatasync,${writes}`]
  const traced = spawnTool(t, 'strace', [...options, process.execPath, main, 'serve'], project.folder)
  await traced.said(/ready pid (\d+)/)
  const pid = Number(/ready pid (\d+)/.exec(traced.output())![1])

  const socket = await connectSocket(project.socketPath)
  t.after(() => socket.destroy())
  const request = { jsonrpc: '2.0', id: 1, method: 'enqueue', params: { method: 'a.run', jobId, delay: '1h' } }
  socket.write(`${JSON.stringify(request)}\n`)
  const [answer] = (await new Promise((resolve) => socket.once('data', (data) => resolve([data])))) as [Buffer]
  assert.equal(JSON.parse(answer.toString()).result.id, jobId)

  process.kill(pid, 'SIGTERM')
  assert.equal(await traced.ended, 0)
  const calls = readFileSync(`${trace}.${pid}`, 'utf8').split('\n')
  const answered = calls.findIndex((call) => /^(write|writev|sendmsg|sendto)\(\d+<socket:/.test(call) && call.includes(jobId))
  assert.notEqual(answered, -1, 'the answer was not written by the main thread')
  const before = calls.slice(0, answered)
  const stored = before.findIndex((call) => writesTo(call, syncless(calls)) && call.includes(jobId))
  assert.notEqual(stored, -1, `no page with the job was written before the answer:\n${shortened(before)}`)
  const flushed = before.findIndex((call, at) => at > stored && /^f(data)?sync\(\d+<.*data\.mdb>\) += 0/.test(call))
  assert.notEqual(flushed, -1, `the pages were not flushed before the answer:\n${shortened(before)}`)
  const valid = before.findIndex((call, at) => at > flushed && writesTo(call, synced(calls)))
  assert.notEqual(valid, -1, `the meta page was not written durably before the answer:\n${shortened(before)}`)
})
