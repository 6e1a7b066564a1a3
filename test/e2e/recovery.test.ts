/** What a `kill -9` of the supervisor costs: nothing but the time of its restart. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { allJobs, connected, nextEvents, untilIdle } from '../support/connected.ts'
import { TestProject } from '../support/supervisor-process.ts'

const readyJobs = 1_000
const scheduledJobs = 100
const scheduledDelayMs = 4_000

/** Each run leaves one line in the file: O_APPEND keeps the lines of several threads whole. */
const actors = `
import { appendFileSync } from 'node:fs'

export function witness({ file, number }) {
  appendFileSync(file, number + '\\n')
}

export function hold({ file, number }, ctx) {
  appendFileSync(file, number + '\\n')
  ctx.log.info('holds')
  if (ctx.attempt === 1) for (;;);
}
`

test('kill -9 with ready, scheduled and running jobs: after a restart every one completes', {
  timeout: 90_000
}, async (t) => {
  const project = new TestProject(t)
  project.write('actors/jobs.js', actors)
  const file = join(project.folder, 'witness.txt')
  const first = await project.serve()
  const before = await connected(t, project.socketPath)

  const { seen: bothRun } = await nextEvents(before, 'log', 2)
  const held = await before.enqueueMany([0, 1].map((number) => ({ method: 'jobs.hold', params: { file, number } })))
  await bothRun
  const numbers = Array.from({ length: readyJobs + scheduledJobs }, (_, index) => index + 2)
  await before.enqueueMany(
    numbers.map((number, index) => ({
      method: 'jobs.witness',
      params: { file, number },
      ...(index < readyJobs ? {} : { delay: `${scheduledDelayMs}ms` })
    }))
  )
  const counts = (await before.queue.list()).find(({ queue }) => queue === 'default')!.counts
  assert.deepEqual(
    [counts.running, counts.ready, counts.scheduled],
    [2, readyJobs, scheduledJobs],
    'the kill must find jobs in each of the three states'
  )
  await first.end('SIGKILL')
  const second = await project.serve()
  const after = await connected(t, project.socketPath)
  await untilIdle(after)

  const jobs = await allJobs(after)
  assert.equal(jobs.length, 2 + numbers.length)
  assert.deepEqual(
    jobs.filter(({ state }) => state !== 'completed').map(({ id, state }) => [id, state]),
    []
  )
  const runs = readFileSync(file, 'utf8').trim().split('\n').map(Number)
  assert.deepEqual(
    runs.sort((a, b) => a - b),
    [0, 0, 1, 1, ...numbers],
    'the two that were running ran twice, every other one once'
  )

  const interrupted = await Promise.all(held.ids.map((id) => after.job.get(id)))
  for (const { attempts, crashes, history } of interrupted) {
    assert.equal(attempts.made, 2)
    assert.equal(crashes, 0, 'the death of the supervisor is no crash of the job')
    assert.deepEqual(
      history.map(({ outcome }) => outcome),
      ['interrupted', 'completed']
    )
  }
  const startedAtMs = Math.min(...interrupted.map(({ startedAt }) => Date.parse(startedAt!)))
  const restartToStartMs = startedAtMs - second.spawnedAtMs
  t.diagnostic(`from the spawn of the new supervisor to the start of the first interrupted job: ${restartToStartMs} ms`)
})
