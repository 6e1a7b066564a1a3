import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { pathResolver } from '../../runtime/client/method-of-function.ts'
import { Actor } from '../../runtime/core/actor.ts'
import type { MethodView } from '../../runtime/core/api.ts'
import type { Context } from '../../runtime/core/context.ts'
import type { ActorClass, ActorFunction } from '../../runtime/core/method-types.ts'
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

const documents = (actorModule: string) => `
import { Actor } from ${JSON.stringify(actorModule)}
export class Invoice extends Actor { addLine() {} total() {} }
export class Receipt extends Actor { print() {} }
export const sealed = (secret) => class Sealed extends Actor { open() { return secret } }
export const Sealed = sealed(1)
`

/** As {@link actorModule}, with classes: the list has one entry for each of their methods. */
async function documentModule(test: TestContext) {
  const file = join(temporaryFolder(test), 'billing.mjs')
  writeFileSync(file, documents(new URL('../../runtime/core/actor.js', import.meta.url).href))
  const module: Record<string, ActorClass> = await import(pathToFileURL(file).href)
  const methodsOf = { Invoice: ['addLine', 'total'], Receipt: ['print'], Sealed: ['open'] }
  const methods = Object.entries(methodsOf).flatMap(([name, ofClass]) =>
    ofClass.map((method) => ({
      ...view(file, `billing.${name}.${method}`, { name, source: module[name]!.toString() }),
      documentType: `billing.${name}`
    }))
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

test('an exported class is resolved to its path, once (issue 6.8)', async (test) => {
  const { module, pathOf, asked } = await documentModule(test)
  assert.deepEqual(await Promise.all([pathOf(module.Invoice!), pathOf(module.Invoice!)]), [
    'billing.Invoice',
    'billing.Invoice'
  ])
  assert.equal(asked(), 1)
  assert.equal(await pathOf(module.Receipt!), 'billing.Receipt')
})

test('a class that is not exported is refused, also one that looks like an exported one (issue 6.8)', async (test) => {
  const { module, pathOf, file } = await documentModule(test)
  assert.equal(await pathOf(module.Sealed!), 'billing.Sealed')
  class Unexported extends Actor {
    open() {}
  }
  await assert.rejects(pathOf(Unexported), {
    code: 'METHOD_UNKNOWN',
    message: /Cannot enqueue the class "Unexported": no actor module exports it.*such as "billing\.Invoice"/
  })
  const makes = module as unknown as { sealed(secret: number): ActorClass }
  const sibling = makes.sealed(2)
  await assert.rejects(pathOf(sibling), (error: Error) =>
    error.message.endsWith(`is another class: import it from ${file}.`)
  )
})

test('what was refused is looked for anew the next time', async (test) => {
  const { module, methods, pathOf } = await documentModule(test)
  const all = methods.splice(0)
  await assert.rejects(pathOf(module.Invoice!), { code: 'METHOD_UNKNOWN' })
  methods.push(...all)
  assert.equal(await pathOf(module.Invoice!), 'billing.Invoice')
})
