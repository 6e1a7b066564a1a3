/**
 * A supervisor that may open few files (issue 7.4): connections are turned away, jobs go on or wait for their host, and once
 * there are descriptors again all is done, with nobody's help.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect as connectSocket, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { cliMain } from '../cli/spawn-cli.ts'
import { connected } from '../support/connected.ts'
import { TestProject } from '../support/supervisor-process.ts'

const limits = process.env.LONG === undefined ? [128] : [48, 64, 128, 256]
const cannotRun = spawnSync('env', ['prlimit', '--version']).status === 0 ? false : 'there is no prlimit'

/** Opens connections until the supervisor ends or ignores one. @returns those that are open */
async function crowd(t: TestContext, path: string, count: number): Promise<Socket[]> {
  const sockets: Socket[] = []
  t.after(() => {
    for (const socket of sockets) socket.destroy()
  })
  for (let number = 0; number < count; number++) {
    const socket = connectSocket(path)
    socket.on('error', () => {})
    sockets.push(socket)
    await Promise.race([once(socket, 'connect'), once(socket, 'close')])
  }
  return sockets
}

describe('few descriptors (issue 7.4)', { skip: cannotRun }, () => {
  for (const limit of limits) {
    test(`${limit}: connections are turned away, and the jobs are done`, { timeout: 120_000 }, async (t) => {
      const project = new TestProject(t, 'memory')
      project.write('actors/work.mjs', 'export const quick = async (params) => params.number\n')
      const socketPath = join(project.folder, 's.sock')
      const started = project.startProcess(
        'env',
        'prlimit',
        `--nofile=${limit}`,
        process.execPath,
        cliMain,
        'serve',
        ...['--data-dir', join(project.folder, 'data'), '--socket', socketPath]
      )
      const ended = await Promise.race([started.stdout.said('\n').then(() => undefined), started.ended])
      if (ended !== undefined) {
        assert.equal(ended.code, 1, ended.stderr)
        assert.match(ended.stderr, /EMFILE|too many open files/i)
        t.diagnostic(`does not start: ${ended.stderr.trim()}`)
        return
      }
      const runtime = await connected(t, socketPath)
      const sockets = await crowd(t, socketPath, 2 * limit)
      const ids: string[] = []
      for (let number = 0; number < 20; number++) {
        ids.push((await runtime.enqueue('work.quick', { number }, { queue: number % 2 === 0 ? 'short' : 'long' })).id)
      }
      assert.equal((await runtime.status()).state, 'running')
      // A host that cannot be started is tried again after a second.
      await pause(1_500)
      const open = sockets.filter((socket) => !socket.destroyed && socket.readable).length
      for (const socket of sockets) socket.destroy()
      for (const id of ids) {
        const { state, error } = await runtime.job.wait(id)
        assert.equal(state, 'completed', JSON.stringify(error))
      }
      const other = await connected(t, socketPath)
      assert.equal((await other.status()).state, 'running')
      started.process.kill('SIGTERM')
      const { code, stderr } = await started.ended
      assert.equal(code, 0, stderr)
      assert.doesNotMatch(stderr, /TypeError|uncaught|"level":60/)
      t.diagnostic(`limit ${limit}: ${open} of ${sockets.length} connections stayed`)
    })
  }
})
