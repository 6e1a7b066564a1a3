/** State outlives the code that wrote it: what happens to state of version 1 once `reload` has brought other code. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Runtime } from '../../runtime/core/api.ts'
import type { JobView } from '../../runtime/core/job.ts'
import { connected } from '../support/connected.ts'
import { actorImports } from '../support/documents.ts'
import { TestProject } from '../support/supervisor-process.ts'

const limit = { timeout: 60_000 }
const type = 'counters.Counter'

const version1 = `
export class Counter extends Actor {
  state = { count: 0 }
  add({ by }) {
    return (this.state.count += by)
  }
}
`

/** The same class in a later version; calls of `migrate` leave a line in a file. */
const later = (version: number, migrate: string) => `
import { appendFileSync } from 'node:fs'

export class Counter extends Actor {
  static version = ${version}
  state = { total: 0 }
  ${migrate}
  add({ by }) {
    return (this.state.total += by)
  }
  read() {
    return this.state
  }
  fails() {
    this.state.total += 1_000
    throw new Error('as told')
  }
}
`
const migrates = (file: string) => `migrate(state, fromVersion) {
    appendFileSync(${JSON.stringify(file)}, this.name + ' from ' + fromVersion + '\\n')
    return { total: state.count ?? state.total, migratedFrom: fromVersion }
  }`

interface Scene {
  runtime: Runtime
  /** Every call of `migrate`, in order. */
  migrations: () => string[]
  reload: (code: string) => Promise<void>
  run: (name: string, method: string, params?: unknown) => Promise<JobView>
  migrate: string
}

/** Documents a, b and c with state of version 1, written by code of version 1. */
async function scene(t: TestContext): Promise<Scene> {
  const project = new TestProject(t)
  project.write('actors/counters.js', actorImports + version1)
  await project.serve('--log-level', 'error')
  const runtime = await connected(t, project.socketPath)
  const run = async (name: string, method: string, params: unknown = {}) =>
    runtime.job.wait((await runtime.enqueueDoc(type, name, method, params)).id)
  for (const [name, by] of Object.entries({ a: 1, b: 2, c: 3 })) {
    assert.equal((await run(name, 'add', { by })).result, by)
    const { version, state } = await runtime.doc.get(type, name)
    assert.deepEqual([version, state], [1, { count: by }])
  }
  const file = join(project.folder, 'migrations')
  return {
    ...{ runtime, run, migrate: migrates(file) },
    migrations: () => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []),
    reload: async (code) => {
      renameSync(
        project.write('actors/counters.js.new', actorImports + code),
        join(project.folder, 'actors/counters.js')
      )
      await runtime.reload()
    }
  }
}

async function versions(runtime: Runtime): Promise<Record<string, number>> {
  const { documents } = await runtime.doc.list(type, { limit: 1_000 })
  return Object.fromEntries(documents.map(({ name, version }) => [name, version]))
}

/** The attempt is refused in words, and the document is what it was. */
async function refusesAndKeeps({ runtime, run }: Scene, name: string, errorName: string, words: RegExp): Promise<void> {
  const before = await runtime.doc.get(type, name)
  const { state, error } = await run(name, 'add', { by: 1 })
  assert.deepEqual([state, error?.name], ['failed', errorName], error?.message)
  assert.match(error!.message, words)
  assert.deepEqual(await runtime.doc.get(type, name), before)
}

test('state of version 1 is migrated as its document is next used, and others stay (issue 6)', limit, async (t) => {
  const { runtime, run, reload, migrations, migrate } = await scene(t)
  await reload(later(2, migrate))
  assert.deepEqual(await versions(runtime), { a: 1, b: 1, c: 1 })
  assert.deepEqual(migrations(), [])

  assert.equal((await run('a', 'add', { by: 10 })).result, 11)
  assert.deepEqual((await runtime.doc.get(type, 'a')).state, { total: 11, migratedFrom: 1 })
  assert.deepEqual(await versions(runtime), { a: 2, b: 1, c: 1 })
  assert.equal((await run('a', 'add', { by: 1 })).result, 12)
  assert.deepEqual(migrations(), ['a from 1'], 'what is migrated is stored')

  // A method that changes nothing itself.
  assert.deepEqual((await run('b', 'read')).result, { total: 2, migratedFrom: 1 })
  assert.deepEqual(await versions(runtime), { a: 2, b: 2, c: 1 })

  // A method that throws stores nothing, so the state is migrated again.
  const before = await runtime.doc.get(type, 'c')
  assert.equal((await run('c', 'fails')).state, 'failed')
  assert.deepEqual(await runtime.doc.get(type, 'c'), before)
  assert.equal((await run('c', 'add', { by: 1 })).result, 4)
  assert.deepEqual(migrations(), ['a from 1', 'b from 1', 'c from 1', 'c from 1'])

  // A new document is of the new version, and was never migrated.
  assert.equal((await run('d', 'add', { by: 5 })).result, 5)
  assert.deepEqual(await versions(runtime), { a: 2, b: 2, c: 2, d: 2 })
  assert.equal(migrations().length, 4)
})

test('a version may be left out on the way (issue 6)', limit, async (t) => {
  const { runtime, run, reload, migrations, migrate } = await scene(t)
  await reload(later(2, migrate))
  await run('a', 'read')
  await reload(later(3, migrate))
  assert.deepEqual((await run('a', 'read')).result, { total: 1, migratedFrom: 2 })
  assert.deepEqual((await run('b', 'read')).result, { total: 2, migratedFrom: 1 })
  assert.deepEqual(migrations(), ['a from 1', 'a from 2', 'b from 1'])
  assert.deepEqual(await versions(runtime), { a: 3, b: 3, c: 1 })
})

test(
  'without migrate: a clear error, and the state stays; with it, the job can be retried (issue 6)',
  limit,
  async (t) => {
    const here = await scene(t)
    const { runtime, reload, migrate } = here
    await reload(later(2, ''))
    await refusesAndKeeps(here, 'a', 'MigrationMissing', /version 1.*version 2|version 2.*version 1/s)
    assert.deepEqual(await versions(runtime), { a: 1, b: 1, c: 1 })
    const [failed] = (await runtime.job.list({ state: 'failed' })).jobs
    await reload(later(2, migrate))
    await runtime.job.retry(failed!.id)
    assert.equal((await runtime.job.wait(failed!.id)).result, 2)
    assert.deepEqual(await versions(runtime), { a: 2, b: 1, c: 1 })
  }
)

test('migrate that returns nothing, or throws: the state stays (issue 6)', limit, async (t) => {
  const here = await scene(t)
  await here.reload(later(2, 'migrate() {}'))
  await refusesAndKeeps(here, 'a', 'MigrationInvalid', /migrate/)
  await here.reload(later(2, "migrate() { throw new RangeError('no such form') }"))
  await refusesAndKeeps(here, 'a', 'RangeError', /no such form/)
  assert.deepEqual(await versions(here.runtime), { a: 1, b: 1, c: 1 })
})

test('state of a newer version is refused, and stays (issue 6)', limit, async (t) => {
  const here = await scene(t)
  await here.reload(later(2, here.migrate))
  await here.run('a', 'add', { by: 1 })
  await here.reload(version1)
  await refusesAndKeeps(here, 'a', 'StateTooNew', /version 2/)
  assert.equal((await here.run('b', 'add', { by: 1 })).result, 3, 'state of its own version is as good as ever')
})
