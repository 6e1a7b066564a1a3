/**
 * Acknowledged means on disk, as the kernel sees it: strace records the calls of a supervisor during one enqueue. On its
 * main thread the pages that hold the job are written, then flushed (fdatasync), then the page that makes them valid is
 * written through a descriptor with O_DSYNC, and only then the answer goes to the socket.
 *
 * Needs strace (Debian package `strace`), which `.ci/run` installs, and a kernel that lets a process trace its children.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { cliMain } from '../cli/spawn-cli.ts'
import { RawClient } from '../rpc/raw-client.ts'
import { TestProject } from '../support/supervisor-process.ts'

const jobId = 'the-witness-of-the-flush'
const traced = 'trace=openat,fsync,fdatasync,pwrite64,pwritev,pwritev2,writev,write,sendmsg,sendto'
const notHere = process.platform === 'linux' ? false : 'strace is a program of Linux'

test('the flush of the commit comes before the answer', { skip: notHere, timeout: 60_000 }, async (t) => {
  const strace = spawnSync('strace', ['-V'])
  assert.equal(strace.status, 0, 'This test needs strace. Install it, on Debian with "apt-get install strace".')
  let pid = 0
  // Without its tracer the supervisor would go on.
  t.after(() => pid === 0 || endAnyway(pid))
  const project = new TestProject(t)
  project.write('actors/a.js', 'export function run() {}\n')
  const file = join(project.folder, 'trace')
  // One file per thread: the lines of a thread are whole, and in the order in which it made the calls.
  const options = ['-ff', '-o', file, '-y', '-s', '100000', '-e', traced]
  const supervisor = project.startProcess('strace', ...options, process.execPath, cliMain, 'serve', '--json')
  const failed = await Promise.race([supervisor.stdout.said('\n'), supervisor.ended])
  assert.equal(failed?.stderr, undefined)
  pid = JSON.parse(supervisor.stdout.text).pid

  const client = await RawClient.connect(t, project.socketPath)
  const answer = await client.ask('enqueue', { method: 'a.run', jobId, delay: '1h' })
  assert.equal(answer.result.id, jobId)
  process.kill(pid, 'SIGTERM')
  assert.equal((await supervisor.ended).code, 0)

  const calls = readFileSync(`${file}.${pid}`, 'utf8').split('\n')
  const durable = durableDescriptors(calls)
  const written = calls.findIndex((call) => writesTo(call) === 'data.mdb' && call.includes(jobId))
  assert.notEqual(written, -1, 'no page with the job was written by the main thread')
  const flushed = after(calls, written, (call) => /^fdatasync\(\d+<.*data\.mdb>\) += 0$/.test(call))
  assert.notEqual(flushed, -1, 'the pages were not flushed')
  const valid = after(calls, flushed, (call) => writesTo(call) === 'data.mdb' && durable.has(descriptorOf(call)))
  assert.notEqual(valid, -1, 'no meta page was written durably')
  const answered = calls.findIndex((call) => writesTo(call) === 'socket' && call.includes(jobId))
  const names = calls.slice(written, answered + 1).map((call) => `${call.slice(0, call.indexOf('>') + 1)}`)
  assert.ok(answered > valid, `the answer came before the commit was on disk: ${names.join(' ')}`)
  t.diagnostic(names.join(' '))
})

/** @returns descriptors whose writes return when they are on disk */
function durableDescriptors(calls: readonly string[]): Set<string> {
  const opened = calls.flatMap((call) => /^openat\(.*data\.mdb", [^)]*O_DSYNC[^)]*\) = (\d+)</.exec(call)?.[1] ?? [])
  return new Set(opened)
}

function after(calls: readonly string[], start: number, found: (call: string) => boolean): number {
  return calls.findIndex((call, at) => at > start && found(call))
}

function writesTo(call: string): 'data.mdb' | 'socket' | undefined {
  const target = /^(?:pwrite64|pwritev2?|writev?|sendmsg|sendto)\(\d+<([^>]*)>/.exec(call)?.[1]
  if (target === undefined) return undefined
  if (target.endsWith('/data.mdb')) return 'data.mdb'
  return target.startsWith('socket:') ? 'socket' : undefined
}

function descriptorOf(call: string): string {
  return /\((\d+)</.exec(call)![1]!
}

function endAnyway(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}
