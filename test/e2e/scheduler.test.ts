/** Scheduler events of a configuration file, fired by a real supervisor at real seconds. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { MigrationView, SchedulerView } from '../../runtime/core/scheduler-event.ts'
import { allJobs, connected, nextEvents, untilIdle } from '../support/connected.ts'
import { TestProject } from '../support/supervisor-process.ts'

const limit = { timeout: 60_000 }
const latenessMsMax = 500
const seconds = 8
const downMs = 2_500

const actors = `
import { appendFileSync } from 'node:fs'

export function run() {}

/** One line for each run: O_APPEND keeps them whole. */
export function witness({ file }, { id }) {
  appendFileSync(file, id + ' ' + Date.now() + '\\n')
}
`

function instantOf(id: string): number {
  return Date.parse(id.slice(id.lastIndexOf('@') + 1))
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)]!
}

test('each second: an expression with seconds and all with a tick of one second fire on time', limit, async (t) => {
  const project = new TestProject(t)
  project.write('actors/jobs.js', actors)
  const file = join(project.folder, 'witness.txt')
  const entry = JSON.stringify({ method: 'jobs.witness', params: { file }, overlap: 'allow' })
  project.write(
    'config/runtime.yaml',
    `schedulerTickInterval: 1\nschedulerEvents: { all: [${entry}], cron: { "* * * * * */1": [${entry}] } }\n`
  )
  await project.serve()
  const runtime = await connected(t, project.socketPath)
  await (await nextEvents(runtime, 'completed', 2 * seconds)).seen
  await runtime.schedule.pause()
  await untilIdle(runtime)

  const jobs = await allJobs(runtime)
  for (const event of ['all:jobs.witness', 'cron * * * * * */1:jobs.witness']) {
    const instants = jobs.flatMap(({ id }) => (id.startsWith(`${event}@`) ? [instantOf(id)] : [])).sort()
    assert.ok(instants.length >= seconds - 1, `${event} ran ${instants.length} times`)
    for (const [index, atMs] of instants.entries()) assert.equal(atMs, instants[0]! + index * 1000)
  }
  const lateMs = jobs.map(({ id, enqueuedAt }) => Date.parse(enqueuedAt) - instantOf(id)).sort((a, b) => a - b)
  const lines = readFileSync(file, 'utf8').trim().split('\n')
  // A job id holds an expression, and so blanks.
  const firstLineMs = lines
    .map((line) => Number(line.slice(line.lastIndexOf(' '))) - instantOf(line.slice(0, line.lastIndexOf(' '))))
    .sort((a, b) => a - b)
  t.diagnostic(`enqueued ${quantile(lateMs, 0.5)} ms after the instant (most ${lateMs.at(-1)} ms)`)
  t.diagnostic(`first line ${quantile(firstLineMs, 0.5)} ms after the instant (most ${firstLineMs.at(-1)} ms)`)
  assert.ok(lateMs[0]! >= 0, 'nothing is early')
  assert.ok(quantile(lateMs, 0.5) < latenessMsMax)
  assert.equal(lines.length, jobs.length)
})

test(
  'an expression that is wrong: check names it, serve refuses it, --skip-invalid-events runs the others',
  limit,
  async (t) => {
    const project = new TestProject(t)
    project.write('actors/jobs.js', actors)
    project.write(
      'config/runtime.yaml',
      'schedulerEvents: { cron: { "61 * * * *": [jobs.run], "* * * * * *": [jobs.run, jobs.gone] } }\n'
    )
    const bad = 'cron 61 * * * *:jobs.run'
    const checked = await project.run('check', '--json')
    assert.equal(checked.code, 2)
    const { problems } = JSON.parse(checked.stdout) as { problems: { message: string }[] }
    assert.equal(problems.length, 2)
    assert.ok(problems[0]!.message.includes(bad) && problems[0]!.message.includes('minute'), problems[0]!.message)
    assert.match(problems[1]!.message, /"jobs\.gone"/)

    const refused = await project.run('serve')
    assert.equal(refused.code, 2)
    assert.ok(refused.stderr.includes(bad) && refused.stderr.includes('--skip-invalid-events'), refused.stderr)

    const supervisor = await project.serve('--skip-invalid-events')
    await supervisor.logged(bad)
    const runtime = await connected(t, project.socketPath)
    await (await nextEvents(runtime, 'completed')).seen
    const shown = JSON.parse((await project.run('schedule', '--json')).stdout) as SchedulerView
    const invalid = shown.events.find(({ event }) => event === bad)!
    assert.deepEqual([invalid.state, invalid.next, invalid.runs], ['invalid', null, 0])
    assert.match(invalid.problem!, /minute/)
    assert.ok(shown.events.find(({ event }) => event === 'cron * * * * * *:jobs.run')!.runs > 0)
  }
)

test('migrate applies what the file holds now, and refuses what is wrong in it', limit, async (t) => {
  const project = new TestProject(t)
  project.write('actors/jobs.js', actors)
  const write = (events: string) => project.write('config/runtime.yaml', `schedulerEvents: ${events}\n`)
  write('{ daily: [jobs.run], monthly: [jobs.run] }')
  await project.serve()
  const migrate = async (...args: string[]): Promise<MigrationView> => {
    const { code, stdout, stderr } = await project.run('migrate', '--json', ...args)
    assert.equal(code, 0, stderr)
    return JSON.parse(stdout)
  }
  write('{ daily: [{ method: jobs.run, spread: 1h }], cron: { "* * * * * *": [later.run] } }')
  // An actor that comes with the event: nobody has to restart anything.
  project.write('actors/later.js', 'export function run() {}')
  const found = {
    ...{ added: ['cron * * * * * *:later.run'], changed: ['daily:jobs.run'], removed: ['monthly:jobs.run'] },
    unchanged: 0
  }
  assert.deepEqual(await migrate('--dry-run'), found)
  assert.deepEqual(await migrate(), found)
  const runtime = await connected(t, project.socketPath)
  const [completed] = await (await nextEvents(runtime, 'completed')).seen
  assert.equal(completed!.method, 'later.run')
  assert.deepEqual(await migrate(), { added: [], changed: [], removed: [], unchanged: 2 })
  write('{ cron: { "61 * * * *": [jobs.run] } }')
  const refused = await project.run('migrate')
  assert.equal(refused.code, 2)
  assert.match(refused.stderr, /61/)
  assert.equal((await runtime.schedule.list()).events.length, 2, 'the old ones go on')
})

test('kill -9 between instants: none runs twice, and with missed: all none is lost', limit, async (t) => {
  const project = new TestProject(t)
  project.write('actors/jobs.js', actors)
  project.write(
    'config/runtime.yaml',
    'schedulerEvents: { cron: { "* * * * * *": [{ method: jobs.run, missed: all, overlap: allow }] } }\n'
  )
  for (let life = 0; life < 2; life++) {
    const supervisor = await project.serve()
    const runtime = await connected(t, project.socketPath)
    await (await nextEvents(runtime, 'completed', 2)).seen
    await supervisor.end('SIGKILL')
    // Instants pass while nobody is there.
    await sleep(downMs)
  }
  await project.serve()
  const runtime = await connected(t, project.socketPath)
  await (await nextEvents(runtime, 'completed')).seen
  await runtime.schedule.pause()
  await untilIdle(runtime)
  const jobs = await allJobs(runtime)
  const instants = jobs.map(({ id }) => instantOf(id)).sort((a, b) => a - b)
  for (const [index, atMs] of instants.entries()) assert.equal(atMs, instants[0]! + index * 1000)
  const [event] = (await runtime.schedule.list()).events
  assert.deepEqual([event!.runs, event!.misses], [jobs.length, 0])
  assert.ok(jobs.every(({ state }) => state === 'completed'))
})
