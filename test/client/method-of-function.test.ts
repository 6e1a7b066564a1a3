import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { pathResolver } from '../../runtime/client/method-of-function.ts'
import type { MethodView } from '../../runtime/core/api.ts'
import type { Context } from '../../runtime/core/context.ts'
import type { ActorFunction } from '../../runtime/core/method-types.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const source = `
export async function run(params) { return params }
export const arrow = (params) => params
export function made(secret) { return function inner() { return secret } }
export const inner = made(1)
export function broken() {}
`

function view(file: string, method: string, { name, source }: { name: string; source: string }): MethodView {
  const sourceHash = createHash('sha256').update(source).digest('hex')
  return { method, file, functionName: name, sourceHash, documentType: null }
}

/** A module with methods, the resolver over its list, and how often the list was asked for. */
async function actorModule(test: TestContext) {
  const file = join(temporaryFolder(test), 'daily.mjs')
  writeFileSync(file, source)
  const module: Record<string, ActorFunction> = await import(pathToFileURL(file).href)
  const methods = Object.entries(module).map(([name, method]) =>
    view(file, `reports.daily.${name}`, { name: method.name, source: method.toString() })
  )
  let asked = 0
  const pathOf = pathResolver({
    async call() {
      asked += 1
      return { methods }
    }
  })
  return { module, methods, file, pathOf, asked: () => asked }
}

test('an exported function is resolved to its path, once', async (test) => {
  const { module, pathOf, asked } = await actorModule(test)
  assert.equal(await pathOf(module.run!), 'reports.daily.run')
  assert.equal(await pathOf(module.run!), 'reports.daily.run')
  assert.equal(asked(), 1)
  assert.equal(await pathOf(module.arrow!), 'reports.daily.arrow')
})

test('a lambda, an unexported function and a bound one are refused', async (test) => {
  const { module, pathOf } = await actorModule(test)
  function unexported() {}
  for (const method of [() => 1, unexported, module.run!.bind(null)]) {
    await assert.rejects(pathOf(method), { code: 'METHOD_UNKNOWN', message: /no actor module exports it.*closure/ })
  }
})

test('a closure with the source of an exported function is refused', async (test) => {
  const { module, pathOf, file } = await actorModule(test)
  assert.equal(await pathOf(module.inner!), 'reports.daily.inner')
  const sibling = module.made!(2, {} as Context) as ActorFunction
  await assert.rejects(pathOf(sibling), (error: Error) => error.message.endsWith(`import it from ${file}.`))
})

test('a function that was changed since the supervisor started is refused, with what to do', async (test) => {
  const { methods, pathOf } = await actorModule(test)
  const run = { run: async (params: unknown) => [params] }.run
  await assert.rejects(pathOf(run), {
    code: 'METHOD_UNKNOWN',
    message: /"reports\.daily\.run" has the same name.*restart/
  })
  methods.length = 0
  await assert.rejects(pathOf(run), (error: Error) => !error.message.includes('reports.daily.run" has'))
})

test('a module that does not load here is passed over', async (test) => {
  const { module, methods, file, pathOf } = await actorModule(test)
  methods.unshift({ ...methods.find(({ method }) => method.endsWith('.run'))!, file: `${file}.missing` })
  assert.equal(await pathOf(module.run!), 'reports.daily.run')
})
