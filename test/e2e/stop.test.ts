/** How a supervisor ends, and what the next one finds. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { describe, it, type TestContext } from 'node:test'
import type { Runtime } from '../../runtime/core/api.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { connected, nextEvents } from '../support/connected.ts'
import { type SupervisorProcess, TestProject } from '../support/supervisor-process.ts'

const actors = `
export async function short() {
  await new Promise((resolve) => setTimeout(resolve, 500))
  return 'done'
}

/** Ends only when it is run again. */
export async function holdOnce(_params, ctx) {
  if (ctx.attempt === 1) for (;;);
  return 'done'
}
`

interface Scene {
  project: TestProject
  supervisor: SupervisorProcess
  runtime: Runtime
  /** Enqueues and resolves with the id once a thread runs it. */
  running(method: string): Promise<string>
}

async function scene(t: TestContext): Promise<Scene> {
  const project = new TestProject(t)
  project.write('actors/jobs.js', actors)
  const supervisor = await project.serve()
  const runtime = await connected(t, project.socketPath)
  async function running(method: string): Promise<string> {
    const { seen } = await nextEvents(runtime, 'started')
    const { id } = await runtime.enqueue(method)
    await seen
    return id
  }
  return { project, supervisor, runtime, running }
}

/** After a restart the job is run a second time and completes, though it has one attempt only. */
async function expectInterrupted(t: TestContext, project: TestProject, id: string): Promise<void> {
  await project.serve()
  const job = await (await connected(t, project.socketPath)).job.wait(id)
  assert.equal(job.state, 'completed')
  assert.deepEqual(job.attempts, { made: 2, max: 1 })
  assert.deepEqual(
    job.history.map(({ outcome }) => outcome),
    ['interrupted', 'completed']
  )
}

const limit = { timeout: 60_000 }

describe('stop', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`${signal} lets a running job finish, and ends with 0`, limit, async (t) => {
      const { project, supervisor, running } = await scene(t)
      const id = await running('jobs.short')
      const { code, stderr } = await supervisor.end(signal)
      assert.equal(code, 0, stderr)
      assert.equal(existsSync(project.socketPath), false)
      await project.serve()
      const job = await (await connected(t, project.socketPath)).job.get(id)
      assert.deepEqual([job.state, job.result, job.attempts.made], ['completed', 'done', 1])
    })

    it(`a second ${signal} ends it at once; the job runs again`, limit, async (t) => {
      const { project, supervisor, running } = await scene(t)
      const id = await running('jobs.holdOnce')
      supervisor.signal(signal)
      await supervisor.logged('"stopping')
      const secondAtMs = performance.now()
      const { code } = await supervisor.end(signal)
      const tookMs = performance.now() - secondAtMs
      t.diagnostic(`from the second ${signal} to the end: ${Math.round(tookMs)} ms`)
      assert.equal(code, 0)
      assert.ok(tookMs < 5_000, `${tookMs} ms are not at once`)
      await expectInterrupted(t, project, id)
    })
  }

  it('stop --deadline returns what does not end to ready, without a counted failure', limit, async (t) => {
    const { project, supervisor, running } = await scene(t)
    const id = await running('jobs.holdOnce')
    const askedAtMs = performance.now()
    const stopped = project.run('stop', '--deadline', '300ms')
    assert.equal((await supervisor.ended).code, 0)
    t.diagnostic(
      `stop --deadline 300ms with a job that spins: ended after ${Math.round(performance.now() - askedAtMs)} ms`
    )
    assert.ok(performance.now() - askedAtMs < 5_000)
    assert.equal((await stopped).code, 0)
    await expectInterrupted(t, project, id)
  })

  it('takes no new work while it drains', limit, async (t) => {
    const { supervisor, runtime, running } = await scene(t)
    await running('jobs.holdOnce')
    supervisor.signal('SIGTERM')
    await supervisor.logged('"stopping')
    for (const attempt of [
      () => runtime.enqueue('jobs.short'),
      () => runtime.enqueueMany([{ method: 'jobs.short' }])
    ]) {
      await assert.rejects(attempt, (error) => error instanceof RuntimeError && error.code === 'STOPPING')
    }
    assert.equal((await runtime.status()).state, 'stopping')
    assert.equal((await supervisor.end('SIGTERM')).code, 0)
  })

  it('a second supervisor on the same directory is refused and told the pid', limit, async (t) => {
    const { project, supervisor, runtime } = await scene(t)
    const { code, stdout, stderr } = await project.run('serve', '--socket', 'other.sock')
    assert.equal(code, 2)
    assert.equal(stdout, '')
    assert.match(stderr, new RegExp(`\\b${supervisor.pid}\\b`))
    assert.equal((await runtime.status()).pid, supervisor.pid)
  })

  it('the socket that a kill -9 left behind is replaced', limit, async (t) => {
    const { project, supervisor } = await scene(t)
    await supervisor.end('SIGKILL')
    assert.equal(existsSync(project.socketPath), true)
    const next = await project.serve()
    const runtime = await connected(t, project.socketPath)
    assert.equal((await runtime.status()).pid, next.pid)
  })
})
