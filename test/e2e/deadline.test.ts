/** The deadline of a job ends it, whatever it does, and its thread is there for the next one at once. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { JobView } from '../../runtime/core/job.ts'
import { connected } from '../support/connected.ts'
import { TestProject } from '../support/supervisor-process.ts'

const timeoutMs = 1_000
const killedWithinMsMax = 1_200
/** The aim is 100 ms for both; on a busy machine the start of a new thread takes its time. */
const nextStartMsMax = 500
const nextRunMsMax = 1_500

const actors = `
export function spin() {
  while (true) {}
}

export function spinAndCatch() {
  for (;;) {
    try {
      for (;;);
    } catch {
    } finally {
      for (;;);
    }
  }
}

export async function neverEnd() {
  process.on('uncaughtException', () => {})
  process.on('exit', () => { for (;;); })
  for (;;) {
    try {
      await new Promise((resolve) => setTimeout(resolve, 10))
      throw new Error('caught')
    } catch {}
  }
}

export function now() {
  return Date.now()
}
`

describe('deadline', () => {
  for (const method of ['jobs.spin', 'jobs.spinAndCatch', 'jobs.neverEnd']) {
    it(`kills ${method}, and the next job runs`, { timeout: 60_000 }, async (t) => {
      const project = new TestProject(t)
      project.write('actors/jobs.js', actors)
      project.write('config/runtime.yaml', 'workers: { one: { backgroundWorkers: 1 } }\n')
      await project.serve()
      const runtime = await connected(t, project.socketPath)
      // The figures are those of a supervisor at work, not of one that starts its first thread.
      await runtime.enqueue('jobs.now', {}, { queue: 'one', isAsync: false })

      const { ids } = await runtime.enqueueMany([
        { method, queue: 'one', timeout: `${timeoutMs}ms` },
        { method: 'jobs.now', queue: 'one' }
      ])
      const [killed, next] = (await Promise.all(ids.map((id) => runtime.job.wait(id)))) as [JobView, JobView]

      assert.equal(killed.state, 'failed')
      assert.equal(killed.error?.code, 'TIMEOUT')
      const ranMs = Date.parse(killed.finishedAt!) - Date.parse(killed.startedAt!)
      assert.equal(next.state, 'completed')
      const nextStartMs = Date.parse(next.startedAt!) - Date.parse(killed.finishedAt!)
      // The store says when a thread was given the job; the job itself says when its first line ran.
      const nextRunMs = (next.result as number) - Date.parse(killed.finishedAt!)
      t.diagnostic(`failed after ${ranMs} ms; next job started ${nextStartMs} ms, its code ran ${nextRunMs} ms later`)
      assert.ok(ranMs >= timeoutMs && ranMs <= killedWithinMsMax, `ran ${ranMs} ms`)
      assert.ok(nextStartMs <= nextStartMsMax && nextRunMs <= nextRunMsMax, `${nextStartMs} ms, ${nextRunMs} ms`)
    })
  }
})
