import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { type Started, startCli } from './spawn-cli.ts'

const script = fileURLToPath(new URL('./serve-process.js', import.meta.url))

/** Starts it and waits until it has said that it is ready. */
async function serving(t: TestContext, ...args: string[]): Promise<Started & { folder: string }> {
  const folder = temporaryFolder(t)
  const started = startCli(t, folder, args, { script })
  await started.stdout.said('\n')
  return { ...started, folder }
}

function records(stderr: string): { level: number; msg: string; [fact: string]: unknown }[] {
  return stderr
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}

describe('serve', { concurrency: true }, () => {
  it('says in one line that it is ready, stops at SIGTERM and ends with 0', async (t) => {
    const { process: child, ended, folder } = await serving(t, 'graceful')
    child.kill('SIGTERM')
    const { code, stdout } = await ended
    assert.equal(code, 0)
    const socket = join(folder, '.runtime', 'runtime.sock')
    assert.equal(stdout, `actor-runtime 0.1.0 ready pid ${child.pid} socket ${socket} queues short, default, long\n`)
  })

  it('says the same as JSON', async (t) => {
    const { process: child, ended, folder } = await serving(t, 'graceful', '--json')
    child.kill('SIGINT')
    const { code, stdout } = await ended
    assert.equal(code, 0)
    assert.deepEqual(JSON.parse(stdout), {
      version: '0.1.0',
      pid: child.pid,
      socket: join(folder, '.runtime', 'runtime.sock'),
      dataDir: join(folder, '.runtime'),
      queues: ['short', 'default', 'long']
    })
  })

  it('logs problems, failed jobs and its stop, but no job that went well', async (t) => {
    const { process: child, stderr, ended } = await serving(t, 'graceful')
    await stderr.said('job failed')
    child.kill('SIGTERM')
    const logged = records((await ended).stderr)
    assert.ok(logged.some(({ msg, file }) => msg === 'does not load' && file === 'actors/a.js'))
    assert.ok(logged.some(({ msg, signal }) => msg.startsWith('stopping') && signal === 'SIGTERM'))
    assert.equal(logged.at(-1)!.msg, 'stopped')
    assert.ok(!logged.some(({ msg }) => msg === 'job completed'))
    const failed = logged.find(({ msg }) => msg === 'job failed')
    assert.deepEqual({ level: failed?.level, job: failed?.job }, { level: 50, job: '42' })
  })

  it('kills itself after the second signal, whatever its thread does', { timeout: 10_000 }, async (t) => {
    const { process: child, stderr, ended } = await serving(t, 'unheard')
    child.kill('SIGTERM')
    await stderr.said('stopping')
    child.kill('SIGTERM')
    assert.equal((await ended).signal, 'SIGKILL')
  })

  it('logs why the store failed and ends with 1', async (t) => {
    const { code, stderr } = await startCli(t, temporaryFolder(t), ['broken'], { script }).ended
    assert.equal(code, 1)
    assert.match(JSON.stringify(records(stderr).at(-1)), /EIO/)
  })

  it('ends with 2 where it cannot have the data directory', async (t) => {
    const { code, stdout, stderr } = await startCli(t, temporaryFolder(t), ['locked'], { script }).ended
    assert.equal(code, 2)
    assert.equal(stdout, '')
    assert.equal(stderr, 'runtime: Process 7 owns it.\n')
  })
})
