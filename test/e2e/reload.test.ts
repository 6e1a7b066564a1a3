/** New actor code without a restart: by `reload`, and by `serve --watch`. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Runtime } from '../../runtime/core/api.ts'
import type { QueueConfig } from '../../runtime/core/config.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { createRuntime } from '../../runtime/index.ts'
import { allJobs, connected, nextEvents, untilIdle } from '../support/connected.ts'
import { type SupervisorProcess, TestProject } from '../support/supervisor-process.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const limit = { timeout: 120_000 }
const jobsPerBatch = 20
const batchEveryMs = 20
const versions = 4
const batchesPerVersion = 40

/** The version comes from a module beside the actor: what it imports is new as well. */
const jobs = `
import { existsSync } from 'node:fs'
import { version } from '../lib/version.js'

export function run() {
  return version
}

export async function untilFile({ file }, ctx) {
  ctx.progress(1)
  while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 10))
  return version
}
`

interface Scene {
  project: TestProject
  runtime: Runtime
  supervisor: SupervisorProcess
  result(method: string): Promise<unknown>
}

async function scene(t: TestContext, isolation: QueueConfig['isolation'], ...args: string[]): Promise<Scene> {
  const project = new TestProject(t)
  const queue = `{ isolation: ${isolation}, backgroundWorkers: 2 }`
  project.write('config/runtime.yaml', `workers: { default: ${queue}, held: ${queue} }\n`)
  project.write('lib/version.js', 'export const version = 1\n')
  project.write('actors/jobs.js', jobs)
  const supervisor = await project.serve(...args)
  const runtime = await connected(t, project.socketPath)
  const result = async (method: string) => (await runtime.enqueue(method, {}, { isAsync: false })).result
  return { project, runtime, supervisor, result }
}

/** Two jobs that have loaded their module and run until they are let go, so on both threads of the queue. */
async function holdBoth(
  project: TestProject,
  runtime: Runtime,
  queue = 'held'
): Promise<{ ids: string[]; letGo: () => void }> {
  const file = join(project.folder, 'go')
  const { seen } = await nextEvents(runtime, 'progress', 2)
  const request = { method: 'jobs.untilFile', params: { file }, queue }
  const { ids } = await runtime.enqueueMany([request, request])
  await seen
  return { ids, letGo: () => void project.write('go', '') }
}

/** As editors and deployments do it: nobody sees half a file. */
function replace(project: TestProject, path: string, text: string): void {
  renameSync(project.write(`${path}.new`, text), join(project.folder, path))
}

async function refused(promise: Promise<unknown>, code: string): Promise<RuntimeError> {
  try {
    await promise
  } catch (error) {
    assert.ok(error instanceof RuntimeError, String(error))
    assert.equal(error.code, code)
    return error
  }
  return assert.fail(`expected ${code}`)
}

for (const isolation of ['process', 'inline'] as const) {
  describe(`reload, ${isolation}`, () => {
    it('under load fails and loses no job, and who enqueues after it gets the new code', limit, async (t) => {
      const { project, runtime } = await scene(t, isolation)
      const startedAtMs = performance.now()
      /** Each with the version that was reloaded last when it was enqueued. */
      const enqueued = new Map<string, number>()
      const batches: Promise<void>[] = []
      let current = 1
      const enqueue = async () => {
        const atLeast = current
        const { ids } = await runtime.enqueueMany(Array(jobsPerBatch).fill({ method: 'jobs.run' }))
        for (const id of ids) enqueued.set(id, atLeast)
      }
      const reloads: Promise<void>[] = []
      const reload = async (version: number) => {
        replace(project, 'lib/version.js', `export const version = ${version}\n`)
        await runtime.reload()
        current = version
      }
      const { seen: oneHasRun } = await nextEvents(runtime, 'completed')
      for (let batch = 0; batch < versions * batchesPerVersion; batch++) {
        if (batch === batchesPerVersion) await oneHasRun
        if (batch > 0 && batch % batchesPerVersion === 0) reloads.push(reload(batch / batchesPerVersion + 1))
        batches.push(enqueue())
        await sleep(Math.max(0, startedAtMs + (batch + 1) * batchEveryMs - performance.now()))
      }
      const sentMs = performance.now() - startedAtMs
      await Promise.all([...reloads, ...batches])
      await untilIdle(runtime)

      const views = await allJobs(runtime)
      const total = versions * batchesPerVersion * jobsPerBatch
      const ends = views.map(({ finishedAt }) => Date.parse(finishedAt!)).sort((a, b) => a - b)
      const pauseMs = Math.max(...ends.slice(1).map((end, n) => end - ends[n]!))
      t.diagnostic(
        `${reloads.length} reloads; ${Math.round(total / (sentMs / 1000))} jobs/s enqueued, ` +
          `${Math.round(total / ((performance.now() - startedAtMs) / 1000))} jobs/s completed, longest pause ${pauseMs} ms`
      )
      assert.equal(enqueued.size, total)
      assert.equal(views.length, total)
      for (const { id, state, result, attempts, crashes } of views) {
        assert.deepEqual([state, attempts.made, crashes], ['completed', 1, 0])
        assert.ok((result as number) >= enqueued.get(id)!, `job ${id} ran version ${result}, not ${enqueued.get(id)}`)
      }
      const last = views.filter(({ result }) => result === versions).length
      assert.ok(last >= jobsPerBatch, `only ${last} jobs ran the last version`)
      assert.ok(views.some(({ result }) => result === 1))
    })

    it('lets running jobs finish on the old code while new ones run the new', limit, async (t) => {
      const { project, runtime, result } = await scene(t, isolation)
      const { ids, letGo } = await holdBoth(project, runtime)
      replace(project, 'lib/version.js', 'export const version = 2\n')
      await runtime.reload()
      assert.equal(await result('jobs.run'), 2)
      // The queue that waits for its old jobs has its threads taken; those of the new code wait for them.
      const next = await runtime.enqueue('jobs.run', {}, { queue: 'held' })
      assert.deepEqual(await Promise.all(ids.map(async (id) => (await runtime.job.get(id)).state)), [
        'running',
        'running'
      ])
      letGo()
      const finished = await Promise.all([...ids, next.id].map((id) => runtime.job.wait(id)))
      assert.deepEqual(
        finished.map(({ state, result }) => [state, result]),
        [
          ['completed', 1],
          ['completed', 1],
          ['completed', 2]
        ]
      )
    })

    it('is refused where a module does not load, with file and reason; the old code goes on', limit, async (t) => {
      const { project, runtime, result } = await scene(t, isolation)
      // A thread that has not loaded the module yet would find the file as it is now.
      const { ids, letGo } = await holdBoth(project, runtime, 'default')
      letGo()
      await Promise.all(ids.map((id) => runtime.job.wait(id)))
      const file = project.write('actors/broken.js', 'export function run( {}\n')
      replace(project, 'lib/version.js', 'export const version = 2\n')
      const error = await refused(runtime.reload(), 'ACTORS_INVALID')
      assert.match(error.message, /broken\.js: SyntaxError/)
      assert.deepEqual(
        (error.data.problems as { file: string }[]).map((problem) => problem.file),
        [file]
      )
      const { code, stdout, stderr } = await project.run('reload')
      assert.deepEqual([code, stdout], [1, ''])
      assert.match(stderr, /broken\.js: SyntaxError/)
      assert.equal(await result('jobs.run'), 1)
      rmSync(file)
      assert.deepEqual(JSON.parse((await project.run('reload', '--json')).stdout), { methods: 2 })
      assert.equal(await result('jobs.run'), 2)
    })

    it('removes and adds methods', limit, async (t) => {
      const { project, runtime, result } = await scene(t, isolation)
      await runtime.queue.pause('default')
      const waiting = await runtime.enqueue('jobs.untilFile')
      replace(project, 'actors/jobs.js', 'export function run() { return 2 }\n')
      project.write('actors/reports/daily.js', 'export function run() { return "daily" }\n')
      const { code, stdout } = await project.run('reload')
      assert.deepEqual([code, stdout], [0, 'Reloaded 2 methods: jobs from now on run the new code.\n'])
      await refused(runtime.enqueue('jobs.untilFile'), 'METHOD_UNKNOWN')
      await runtime.queue.resume('default')
      const { state, error } = await runtime.job.wait(waiting.id)
      assert.deepEqual([state, error?.code, error?.name], ['failed', 'THROWN', 'MethodUnknown'])
      assert.equal(await result('jobs.run'), 2)
      assert.equal(await result('reports.daily.run'), 'daily')
    })
  })
}

describe('reload that takes its time', () => {
  it('of two at the same time, the later one counts', limit, async (t) => {
    const { project, runtime, result } = await scene(t, 'process')
    const started = join(project.folder, 'started')
    const slow = "await new Promise((resolve) => setTimeout(resolve, 500))\nexport const run = () => 'slow'\n"
    project.write(
      'actors/other.js',
      `import { writeFileSync } from 'node:fs'\nwriteFileSync(${JSON.stringify(started)}, '')\n${slow}`
    )
    const first = runtime.reload()
    while (!existsSync(started)) await sleep(5)
    replace(project, 'actors/other.js', "export const fast = () => 'fast'\n")
    const second = runtime.reload()
    await Promise.all([first, second])
    assert.equal(await result('other.fast'), 'fast')
    await refused(runtime.enqueue('other.run'), 'METHOD_UNKNOWN')
  })

  it('ends with its runtime', limit, async (t) => {
    const folder = temporaryFolder(t)
    const pidFile = join(folder, 'pid')
    const actors = join(folder, 'actors')
    mkdirSync(actors)
    const runtime = await createRuntime({ dataDir: join(folder, 'data'), actors })
    const say = `import { writeFileSync } from 'node:fs'\nwriteFileSync(${JSON.stringify(pidFile)}, String(process.pid))\n`
    writeFileSync(join(actors, 'endless.js'), `${say}for (;;);\n`)
    const reloaded = runtime.reload()
    while (!existsSync(pidFile) || readFileSync(pidFile, 'utf8') === '') await sleep(5)
    const pid = Number(readFileSync(pidFile, 'utf8'))
    await runtime.stop()
    const askedAtMs = performance.now()
    await reloaded
    assert.ok(performance.now() - askedAtMs < 5_000, 'the module has 10 s to load')
    assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
  })
})

describe('serve --watch', () => {
  it('reloads when files of actors change, also by rename and in new folders', limit, async (t) => {
    const { project, supervisor, result } = await scene(t, 'process', '--watch')
    assert.equal(await result('jobs.run'), 1)
    const methods = (count: number) => supervisor.logged(`"methods":${count},"msg":"actors reloaded"`)
    const version = (number: number, more: number) =>
      `export const run = () => ${number}\n${Array.from({ length: more }, (_, n) => `export const m${n} = () => 0`).join('\n')}\n`

    project.write('actors/jobs.js', version(2, 3))
    await methods(4)
    assert.equal(await result('jobs.run'), 2)
    for (const more of [4, 5]) {
      replace(project, 'actors/jobs.js', version(more, more))
      await methods(more + 1)
      assert.equal(await result('jobs.run'), more)
    }
    for (const [place, count] of [
      ['a/b/first', 7],
      ['a/b/second', 8]
    ] as const) {
      project.write(`actors/${place}.js`, 'export const run = () => "new"\n')
      await methods(count)
      assert.equal(await result(`${place.replaceAll('/', '.')}.run`), 'new')
    }
    rmSync(join(project.folder, 'actors/a'), { recursive: true })
    project.write('actors/jobs.js', version(9, 9))
    await methods(10)
    assert.equal(await result('jobs.run'), 9)
  })

  it('logs a change that does not load, and the old code goes on until it is mended', limit, async (t) => {
    const { project, supervisor, result } = await scene(t, 'process', '--watch')
    project.write('actors/other.js', 'export function run( {}\n')
    await supervisor.logged('other.js: SyntaxError')
    assert.equal(await result('jobs.run'), 1)
    project.write('actors/other.js', 'export const run = () => "mended"\n')
    await supervisor.logged('"methods":3')
    assert.equal(await result('other.run'), 'mended')
  })

  it('waits for a folder that is not there', limit, async (t) => {
    const project = new TestProject(t)
    const supervisor = await project.serve('--watch', '--actors', 'later/actors')
    const runtime = await connected(t, project.socketPath)
    const result = async (method: string) => (await runtime.enqueue(method, {}, { isAsync: false })).result
    project.write('later/actors/a.js', 'export const run = () => 1\n')
    await supervisor.logged('"methods":1')
    assert.equal(await result('a.run'), 1)
    // Away for a moment: nothing is forgotten meanwhile.
    renameSync(join(project.folder, 'later'), join(project.folder, 'away'))
    project.write('unrelated', '')
    renameSync(join(project.folder, 'away'), join(project.folder, 'later'))
    project.write('later/actors/b.js', 'export const run = () => 2\n')
    await supervisor.logged('"methods":2')
    assert.equal(await result('b.run'), 2)
    const { code, stderr } = await supervisor.end('SIGTERM')
    assert.equal(code, 0)
    assert.doesNotMatch(stderr, /"methods":0/)
  })
})
