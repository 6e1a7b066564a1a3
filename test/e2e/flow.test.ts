/** What a user does at a terminal, against a real supervisor: each command, its answer as JSON, and its exit code. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { gunzipSync } from 'node:zlib'
import type { JobEvent } from '../../runtime/core/events.ts'
import type { JobPage, JobView, QueueView } from '../../runtime/core/job.ts'
import { projectFile } from '../rpc/project-file.ts'
import { connected, nextEvents } from '../support/connected.ts'
import { TestProject } from '../support/supervisor-process.ts'

const actors = `
import { existsSync } from 'node:fs'

export function echo(params) {
  return params
}

export function spin() {
  for (;;);
}

export function fail() {
  throw new TypeError('on purpose')
}

/** Fails the first time. */
export function secondTime(_params, ctx) {
  if (ctx.attempt === 1) throw new Error('not yet')
  return ctx.attempt
}

/** Fails until the file is there. */
export function needs({ file }) {
  if (!existsSync(file)) throw new Error('no such file')
  return 'found'
}
`

const examples = projectFile('actors')

/** A served project whose commands are run with `--json` and expected to end with `code`. */
async function scene(t: TestContext, { examples: withExamples = false } = {}) {
  const project = new TestProject(t)
  project.write('actors/jobs.js', actors)
  await project.serve(...(withExamples ? ['--actors', examples] : []))
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  async function run(code: number, ...args: string[]): Promise<any> {
    const ended = await project.run('--json', ...args)
    assert.equal(ended.code, code, `${args.join(' ')}: ${ended.stdout}${ended.stderr}`)
    return JSON.parse(ended.stdout === '' ? ended.stderr : ended.stdout)
  }
  return { project, run }
}

const limit = { timeout: 60_000 }

describe('the commands', { concurrency: 2 }, () => {
  it('run the example actors on real files', limit, async (t) => {
    const { project, run } = await scene(t, { examples: true })
    const words = 'the cat and the dog and the bird\n'.repeat(20_000)
    project.write('data/words.txt', words)
    project.write('data/below/more.txt', 'more')
    const readme = projectFile('README.md')

    const counted: JobView = await run(0, 'enqueue', 'text.words.frequencies', '-p', 'file=data/words.txt', '--wait')
    assert.deepEqual(counted.result, {
      files: 1,
      words: 160_000,
      distinct: 5,
      top: [
        { word: 'the', count: 60_000 },
        { word: 'and', count: 40_000 },
        { word: 'bird', count: 20_000 },
        { word: 'cat', count: 20_000 },
        { word: 'dog', count: 20_000 }
      ]
    })
    assert.equal(counted.progress?.percent, 100)

    const summed: JobView = await run(0, 'enqueue', 'files.checksum.sha256', '-p', 'folder=data', '--wait')
    assert.deepEqual(summed.result, {
      files: 2,
      bytes: words.length + 4,
      sha256: { 'below/more.txt': sha256('more'), 'words.txt': sha256(words) }
    })

    const target = join(project.folder, 'readme.gz')
    const params = JSON.stringify({ file: readme, target })
    const zipped: JobView = await run(0, 'enqueue', 'files.compress.gzip', '--params', params, '--wait')
    assert.equal(zipped.state, 'completed')
    assert.deepEqual(gunzipSync(readFileSync(target)), readFileSync(readme))
  })

  it('show jobs, queues and the supervisor', limit, async (t) => {
    const { project, run } = await scene(t)
    const { id } = await run(0, 'enqueue', 'jobs.echo', '-p', 'x=1', '-p', 'text=a b', '--job-name', 'mine', '--now')
    const job: JobView = await run(0, 'job', id)
    assert.deepEqual([job.state, job.params, job.result], ['completed', { x: 1, text: 'a b' }, { x: 1, text: 'a b' }])
    const listed: JobPage = await run(0, 'jobs', '--name', 'mine', '--state', 'completed', '--limit', '1')
    assert.deepEqual([listed.jobs.map((view) => view.id), listed.cursor], [[id], null])
    assert.deepEqual((await run(0, 'jobs', '--state', 'failed')).jobs, [])
    const { queues }: { queues: QueueView[] } = await run(0, 'queues')
    assert.deepEqual(queues.map(({ queue }) => queue).sort(), ['default', 'long', 'short'])
    const status = await run(0, 'status')
    assert.equal(status.state, 'running')
    assert.equal(status.socket, project.socketPath)
    const { openrpc, methods } = await run(0, 'call', 'rpc.discover')
    assert.match(openrpc, /^1\./)
    assert.ok(methods.some(({ name }: { name: string }) => name === 'enqueue'))
  })

  it('pause, resume and purge a queue', limit, async (t) => {
    const { run } = await scene(t)
    assert.equal((await run(0, 'pause', 'short')).paused, true)
    const { id } = await run(0, 'enqueue', 'jobs.echo', '--queue', 'short')
    assert.equal(
      (await run(4, 'enqueue', 'jobs.echo', '--queue', 'short', '--wait-timeout', '200ms')).error.code,
      'WAIT_TIMEOUT'
    )
    assert.equal((await run(0, 'job', id)).state, 'ready')
    await run(0, 'enqueue', 'jobs.echo', '--queue', 'short', '--delay', '1h')
    assert.deepEqual(await run(0, 'purge', 'short', '--state', 'scheduled'), { removed: 1 })
    assert.equal((await run(0, 'resume', 'short')).paused, false)
    assert.equal((await run(0, 'call', 'job.wait', JSON.stringify({ id }))).state, 'completed')
    await run(0, 'purge', 'short', '--state', 'completed')
    assert.equal((await run(1, 'job', id)).error.code, 'JOB_UNKNOWN')
  })

  it('cancel a scheduled job and a running one', limit, async (t) => {
    const { project, run } = await scene(t)
    const scheduled = await run(0, 'enqueue', 'jobs.echo', '--at', '2999-01-01T00:00:00Z')
    assert.equal(scheduled.state, 'scheduled')
    assert.deepEqual(await run(0, 'cancel', scheduled.id), { id: scheduled.id, state: 'cancelled', changed: true })

    const { seen } = await nextEvents(await connected(t, project.socketPath), 'started')
    const { id } = await run(0, 'enqueue', 'jobs.spin')
    await seen
    const waiting = run(0, 'call', 'job.wait', JSON.stringify({ id }))
    assert.equal((await run(0, 'cancel', id)).changed, true)
    assert.equal((await waiting).error.code, 'CANCELLED')
    assert.equal((await run(0, 'cancel', id)).changed, false)
    assert.equal((await run(0, 'remove', id)).removed, true)
  })

  it('retry jobs', limit, async (t) => {
    const { project, run } = await scene(t)
    const second: JobView = await run(0, 'enqueue', 'jobs.secondTime', '--attempts', '3', '--wait')
    assert.deepEqual([second.result, second.attempts], [2, { made: 2, max: 3 }])
    assert.deepEqual(
      second.history.map(({ outcome }) => outcome),
      ['failed', 'completed']
    )

    const failed: JobView = await run(1, 'enqueue', 'jobs.fail', '--wait')
    assert.deepEqual(
      [failed.error?.code, failed.error?.name, failed.error?.message],
      ['THROWN', 'TypeError', 'on purpose']
    )
    assert.equal((await run(0, 'retry', failed.id)).retried, 1)
    assert.equal((await run(0, 'call', 'job.wait', JSON.stringify({ id: failed.id }))).state, 'failed')
    await run(0, 'remove', failed.id)

    const file = join(project.folder, 'needed')
    const params = JSON.stringify({ file })
    const ids = await Promise.all(
      [0, 1].map(async () => (await run(1, 'enqueue', 'jobs.needs', '--params', params, '--wait')).id)
    )
    project.write('needed', '')
    assert.deepEqual(await run(0, 'retry', '--failed'), { retried: 2, unchanged: [], refused: [] })
    for (const id of ids) {
      assert.equal((await run(0, 'call', 'job.wait', JSON.stringify({ id }))).result, 'found')
    }
  })

  it('follow events', limit, async (t) => {
    const { project, run } = await scene(t)
    const follower = project.start('--json', 'events', '--follow', '--queue', 'long')
    let heard = false
    const hearing = follower.stdout.said('\n').then(() => {
      heard = true
    })
    // Nothing tells that it listens, so jobs are enqueued until one is heard of.
    while (!heard) await run(0, 'enqueue', 'jobs.echo', '--queue', 'long', '--now')
    await hearing
    const { id } = await run(0, 'enqueue', 'jobs.echo', '--queue', 'long')
    await run(0, 'enqueue', 'jobs.echo', '--queue', 'short')
    await follower.stdout.said(`"type":"completed","job":"${id}"`)
    follower.process.kill('SIGINT')
    const { code, stdout } = await follower.ended
    assert.equal(code, 0)
    const events: JobEvent[] = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    assert.deepEqual(
      events.filter(({ job }) => job === id).map(({ type }) => type),
      ['enqueued', 'started', 'completed']
    )
    assert.ok(events.every(({ queue }) => queue === 'long'))
  })

  it('end with the exit code of their outcome', limit, async (t) => {
    const { project, run } = await scene(t)
    assert.equal((await run(2, 'enqueue', 'jobs.ecko')).error.code, 'METHOD_UNKNOWN')
    assert.equal((await run(2, 'enqueue', 'jobs.echo', '--queue', 'lnog')).error.code, 'QUEUE_UNKNOWN')
    assert.equal((await run(2, 'enqueue', 'jobs.echo', '--timeout', 'soon')).error.code, 'USAGE')
    assert.equal((await run(2, 'enqueue')).error.code, 'USAGE')
    assert.equal((await run(1, 'cancel', 'no-such-job')).error.code, 'JOB_UNKNOWN')
    assert.equal((await run(4, 'enqueue', 'jobs.spin', '--wait-timeout', '100ms')).error.code, 'WAIT_TIMEOUT')
    assert.equal((await run(0, 'stop', '--deadline', '0')).stopped, true)
    assert.equal((await run(3, 'status')).error.code, 'NOT_CONNECTED')
    const help = await project.run('--help')
    assert.deepEqual([help.code, help.stderr], [0, ''])
    assert.match(help.stdout, /Exit codes/)
  })

  it('check a project without starting it', limit, async (t) => {
    const project = new TestProject(t)
    const check = async (code: number) => {
      const ended = await project.run('--json', 'check')
      assert.equal(ended.code, code, ended.stderr)
      return JSON.parse(ended.stdout)
    }
    project.write('actors/jobs.js', actors)
    assert.deepEqual(await check(0), { ok: true, file: null, methods: 5, problems: [], warnings: [] })

    project.write('actors/broken.js', 'export function run( {\n')
    const broken = await check(1)
    assert.deepEqual(
      broken.problems.map(({ file }: { file: string }) => file),
      [join(project.folder, 'actors', 'broken.js')]
    )

    const file = project.write('config/runtime.yaml', 'workers:\n  short:\n    backgroundWorker: 0\n  long: 3\n')
    const { problems } = await check(2)
    assert.deepEqual(
      problems.map(({ file, line, path }: { file: string; line: number; path: string }) => [file, line, path]),
      [
        [file, 3, 'workers.short.backgroundWorker'],
        [file, 4, 'workers.long']
      ]
    )
    assert.match(problems[0].message, /Did you mean "backgroundWorkers"/)
    assert.equal(existsSync(join(project.folder, '.runtime')), false, 'check must leave nothing behind')
  })
})

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
