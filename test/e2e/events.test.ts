/** What a `kill -9` of the supervisor leaves of the progress and log of a job, and of the subscriptions to its events. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EventGap, JobEvent } from '../../runtime/core/events.ts'
import { traceStoreIntervalMs } from '../../runtime/core/limits.ts'
import { connected } from '../support/connected.ts'
import { TestProject } from '../support/supervisor-process.ts'

const actors = `
export async function talks(params, ctx) {
  if (ctx.attempt > 1) return
  ctx.progress(30, 'copying')
  ctx.log.info('copied a third')
  ctx.log.warn('the rest is slow')
  for (let line = 0; ; line++) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    ctx.log.info('still here ' + line)
  }
}

export async function onlyProgress(params, ctx) {
  ctx.progress(60, null)
  await new Promise((resolve) => setTimeout(resolve, 60_000))
}
`

test('kill -9: the interrupted job shows its progress and log lines, and subscriptions learn of the restart (issue 5.8)', {
  timeout: 60_000
}, async (t) => {
  const project = new TestProject(t)
  project.write('actors/jobs.js', actors)
  const first = await project.serve()
  const before = await connected(t, project.socketPath)
  const lines: JobEvent[] = []
  let cursor = ''
  let toldEnough = () => {}
  const enough = new Promise<void>((resolve) => {
    toldEnough = resolve
  })
  await before.subscribe({ method: 'jobs.talks', types: ['log'] }, (event, after) => {
    lines.push(event)
    cursor = after
    // The first lines are stored once the interval has passed; those after that may be.
    if (Date.parse(event.at) - Date.parse(lines[0]!.at) > 2 * traceStoreIntervalMs) toldEnough()
  })
  const silent = await before.enqueue('jobs.onlyProgress')
  const { id } = await before.enqueue('jobs.talks')
  await enough
  await before.queue.pause('default')
  const running = await before.job.get(id)
  await first.end('SIGKILL')

  await project.serve()
  const after = await connected(t, project.socketPath)
  const job = await after.job.get(id)
  assert.equal(job.state, 'ready')
  assert.deepEqual(
    job.history.map(({ attempt, outcome }) => [attempt, outcome]),
    [[1, 'interrupted']]
  )
  assert.deepEqual(job.progress, { percent: 30, stage: 'copying' })
  assert.deepEqual((await after.job.get(silent.id)).progress, { percent: 60, stage: null })
  await after.job.cancel(silent.id)
  assert.deepEqual(
    job.logs.slice(0, 2).map(({ level, message }) => [level, message]),
    [
      ['info', 'copied a third'],
      ['warn', 'the rest is slow']
    ]
  )
  assert.deepEqual(job.logs, running.logs.slice(0, job.logs.length), 'what is stored is the beginning of what it said')
  const lostMs = Date.parse(running.logs.at(-1)!.at) - Date.parse(job.logs.at(-1)!.at)
  t.diagnostic(`${job.logs.length} of ${running.logs.length} lines are stored; the last ${lostMs} ms are lost`)
  assert.ok(lostMs <= 2 * traceStoreIntervalMs, `lines of ${lostMs} ms are lost`)

  const gaps: EventGap[] = []
  const types: string[] = []
  const completed = new Promise<void>((resolve) => {
    const listener = ({ type }: JobEvent) => {
      types.push(type)
      if (type === 'completed') resolve()
    }
    void after
      .subscribe({ job: id }, listener, { cursor, onGap: (gap) => gaps.push(gap) })
      .then(() => after.queue.resume('default'))
  })
  await completed
  assert.deepEqual(gaps, [{ missed: null, reason: 'restarted' }])
  assert.deepEqual(types, ['started', 'completed'])
})

test('runtime events --since goes on where an earlier one ended', { timeout: 60_000 }, async (t) => {
  const project = new TestProject(t)
  project.write('actors/jobs.js', 'export const echo = (params) => params')
  await project.serve()
  const runtime = await connected(t, project.socketPath)
  const args = ['events', '--json', '--method', 'jobs.echo', '--type', 'enqueued', 'completed']
  const first = project.start(...args)
  let enqueued = await runtime.enqueue('jobs.echo')
  // Until it has connected it is told nothing.
  while (first.stdout.text === '') {
    await runtime.job.wait(enqueued.id)
    enqueued = await runtime.enqueue('jobs.echo')
  }
  await runtime.job.wait(enqueued.id)
  first.process.kill('SIGINT')
  const { code, stderr } = await first.ended
  assert.equal(code, 0)
  const { cursor } = JSON.parse(stderr) as { cursor: string }
  const { id } = await runtime.enqueue('jobs.echo')
  await runtime.job.wait(id)
  const second = project.start(...args, '--since', cursor)
  await second.stdout.said('"completed"')
  second.process.kill('SIGINT')
  const ended = await second.ended
  const events = ended.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as JobEvent)
  const last = events.filter((event) => event.job === id).map(({ type }) => type)
  assert.deepEqual(last, ['enqueued', 'completed'])
  const told = new Set(first.stdout.text.trim().split('\n'))
  assert.deepEqual(
    events.filter((event) => told.has(JSON.stringify(event))),
    [],
    'nothing is told twice'
  )
})
