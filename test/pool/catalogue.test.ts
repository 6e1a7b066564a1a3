import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { type CatalogueOptions, startCatalogue } from '../../runtime/pool/catalogue.ts'
import { ScanChild } from '../../runtime/pool/module-scan.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { writeModule } from './pool-fixture.ts'

async function catalogueOf(test: TestContext, modules: Record<string, string>, options?: CatalogueOptions) {
  const folder = temporaryFolder(test)
  for (const [name, text] of Object.entries(modules)) writeModule(folder, name, text)
  return { folder, catalogue: await startCatalogue([folder], options) }
}

function unknown(message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof RuntimeError, String(error))
    assert.equal(error.code, 'METHOD_UNKNOWN')
    assert.match(error.message, message)
    return true
  }
}

const plain = 'export function run() {}'

test('every exported function is a method, with its name and the hash of its source', async (t) => {
  const { folder, catalogue } = await catalogueOf(t, {
    'reports/daily.js': `export async function run(params, ctx) { return 1 }
      const inner = () => 2
      export { inner as outer }
      export const value = 3
      export class Actor {}
      export default function () {}`,
    'old.cjs': 'exports.run = function named() {}',
    'new.mjs': plain,
    'a-b/$c/_d.js': plain
  })
  assert.deepEqual(catalogue.problems, [])
  assert.deepEqual(
    catalogue.list().map(({ method, functionName }) => `${method} ${functionName}`),
    [
      'a-b.$c._d.run run',
      'new.run run',
      'old.run named',
      'reports.daily.default default',
      'reports.daily.outer inner',
      'reports.daily.run run'
    ]
  )
  assert.deepEqual(await catalogue.resolve('reports.daily.outer'), {
    method: 'reports.daily.outer',
    file: join(folder, 'reports', 'daily.js'),
    functionName: 'inner',
    sourceHash: createHash('sha256').update('() => 2').digest('hex'),
    documentType: null
  })
  assert.equal(catalogue.known('reports.daily.value'), undefined)
})

test('files that no path can name are not modules: dots, digits, node_modules, links that lead out or in circles', async (t) => {
  const outside = temporaryFolder(t)
  writeModule(outside, 'secret.js', plain)
  const folder = temporaryFolder(t)
  for (const name of [
    '.hidden.js',
    'node_modules/x/y.js',
    '1st.js',
    'a b.js',
    'a.test.js',
    '.git/x.js',
    'types.d.ts',
    'notes.txt'
  ]) {
    writeModule(folder, name, plain)
  }
  writeModule(folder, 'real/here.js', plain)
  mkdirSync(join(folder, 'dir.js'))
  symlinkSync(join(outside, 'secret.js'), join(folder, 'linked.js'))
  symlinkSync(outside, join(folder, 'out'))
  symlinkSync(folder, join(folder, 'real', 'circle'))
  symlinkSync(join(folder, 'nowhere.js'), join(folder, 'broken.js'))
  symlinkSync(join(folder, 'real'), join(folder, 'alias'))
  const catalogue = await startCatalogue([folder])
  assert.deepEqual(catalogue.problems, [])
  assert.deepEqual(
    catalogue.list().map(({ method }) => method),
    ['alias.here.run', 'real.here.run']
  )
  for (const method of ['linked.run', 'out.secret.run', 'node_modules.x.y.run', 'broken.run', 'dir.run']) {
    await assert.rejects(catalogue.resolve(method), unknown(/there is no file/))
  }
})

test('a module that throws, exits, never ends or sends messages is one problem; the others are found', async (t) => {
  const { folder, catalogue } = await catalogueOf(
    t,
    {
      'a-first.js': plain,
      'b-throws.js': 'throw new TypeError("top level")',
      'c-exits.js': 'process.exit(7)',
      'd-spins.js': 'while (true);',
      'e-syntax.js': 'export const = 1',
      'f-imports.js': 'import "not-installed"',
      'g-prints.js': `console.log('noise'); process.send('ready'); process.send(null); process.send({ type: 'ready' }); ${plain}`,
      'h-waits.js': 'await new Promise(() => {})',
      'i-late.js': `setTimeout(() => { throw new Error('late') }); Promise.reject(1); ${plain}`,
      'j-symbol.js': 'throw Symbol("s")',
      'k-disconnects.js': 'process.disconnect(); await new Promise(() => {})',
      'z-last.js': plain
    },
    { moduleMsMax: 1_500 }
  )
  assert.deepEqual(
    catalogue.list().map(({ method }) => method),
    ['a-first.run', 'g-prints.run', 'i-late.run', 'z-last.run']
  )
  const expected: [string, RegExp][] = [
    ['b-throws.js', /: TypeError: top level \(\/.*b-throws\.js:1:7\)$/],
    ['c-exits.js', /it ended its process while it was loaded \(exit code 7\)$/],
    ['d-spins.js', /it is not loaded after 1500 ms/],
    ['e-syntax.js', /SyntaxError/],
    ['f-imports.js', /not-installed/],
    ['h-waits.js', /it is not loaded after 1500 ms/],
    ['j-symbol.js', /Symbol\(s\)/],
    ['k-disconnects.js', /it ended its process/]
  ]
  assert.equal(catalogue.problems.length, expected.length, JSON.stringify(catalogue.problems, null, 1))
  for (const [index, [name, message]] of expected.entries()) {
    assert.equal(catalogue.problems[index]?.file, join(folder, name))
    assert.match(catalogue.problems[index]?.message ?? '', message)
  }
  await assert.rejects(
    catalogue.resolve('b-throws.run'),
    unknown(/b-throws\.js cannot be loaded: TypeError: top level/)
  )
})

test('two files of one path are a problem, and the first wins; a TypeScript source beside its JavaScript is none', async (t) => {
  const first = temporaryFolder(t)
  const second = temporaryFolder(t)
  writeModule(first, 'a.js', 'export function fromJs() {}')
  writeModule(first, 'a.mjs', 'export function fromMjs() {}')
  writeModule(first, 'b.js', plain)
  writeModule(first, 'b.ts', plain)
  writeModule(second, 'a.js', 'export function fromSecond() {}')
  writeModule(second, 'c.js', plain)
  const missing = join(first, 'missing')
  const catalogue = await startCatalogue([first, missing, second])
  assert.deepEqual(
    catalogue.list().map(({ method }) => method),
    ['a.fromJs', 'b.run', 'c.run']
  )
  assert.deepEqual(catalogue.problems, [
    {
      file: join(first, 'a.mjs'),
      message: `Not used: ${join(first, 'a.js')} has the same path "a"; rename or remove one of them`
    },
    { file: missing, message: `No folder ${missing}; create it and put a module in it` },
    {
      file: join(second, 'a.js'),
      message: `Not used: ${join(first, 'a.js')} has the same path "a"; rename or remove one of them`
    }
  ])
})

test('names of any form are refused with the reason and a suggestion', async (t) => {
  const { catalogue } = await catalogueOf(t, { 'a/b.js': `${plain}; export const value = 1; export class Thing {}` })
  for (const method of [
    '',
    'run',
    'constructor',
    '__proto__',
    '..',
    'a..run',
    '../a.run',
    'a/b.run',
    '/etc/passwd',
    'a.b.run\n',
    'a.b.ru n',
    'a.b.run\0',
    'file:///a.run',
    'a%2fb.run',
    'é.run',
    `${'a.'.repeat(300)}run`
  ]) {
    await assert.rejects(catalogue.resolve(method), unknown(/a method path is two or more segments/), method)
  }
  const cases: [string, RegExp][] = [
    ['a.b.constructor', /b\.js does not export "constructor"; it exports run\./],
    ['a.b.__proto__', /does not export "__proto__"/],
    ['a.b.hasOwnProperty', /does not export/],
    ['__proto__.run', /there is no file __proto__\.js below/],
    ['constructor.prototype', /there is no file constructor\.js/],
    ['a.c.run', /there is no file a\/c\.js below .*\. Did you mean "a\.b\.run"\?$/],
    ['a.b.rum', /does not export "rum"; .* Did you mean "a\.b\.run"\?$/],
    ['a.b.value', /exports as "value" is no function \(number\)\.$/],
    ['a.b.Thing', /exports as "Thing" is no function \(class\)\.$/]
  ]
  for (const [method, message] of cases) await assert.rejects(catalogue.resolve(method), unknown(message), method)
})

const actorFile = fileURLToPath(new URL('../../runtime/core/actor.js', import.meta.url))
const importActor = `import { Actor } from ${JSON.stringify(actorFile)}`

test('issue 6.1: each exported class that extends Actor is a document type, with its version and methods', async (t) => {
  const source = `class Invoice extends Actor {
    static version = 3
    static create() {}
    constructor() { super(); this.made = true }
    initialState() { return {} }
    migrate(state) { return state }
    name() {}
    state() {}
    addLine(params) {}
    async 'pay-back'() {}
    _inner() {}
    get total() { return 0 }
    #private() {}
    'not a segment'() {}
    [Symbol.iterator]() {}
    field = () => 1
  }`
  const { folder, catalogue } = await catalogueOf(t, {
    'billing.js': `${importActor}
      export ${source}
      export class Sub extends Invoice { addLine() {} ; extra() {}; version = 9 }
      export class Field extends Actor { version = 2; run() {} }
      export class Strict extends Actor { version = 2; constructor(name) { super(); name.length } run() {} }
      export class Plain { run() {} }
      export class OtherCopy { static [Symbol.for('actor-runtime.Actor')] = true; run() {} }
      export class Empty extends Actor {}
      export { Actor }
      export function bill() {}`
  })
  assert.deepEqual(catalogue.problems, [])
  assert.deepEqual(
    catalogue.list().map(({ method, documentType }) => `${method} ${documentType}`),
    [
      'billing.Field.run billing.Field',
      'billing.Invoice.addLine billing.Invoice',
      'billing.Invoice.pay-back billing.Invoice',
      'billing.OtherCopy.run billing.OtherCopy',
      'billing.Strict.run billing.Strict',
      'billing.Sub.addLine billing.Sub',
      'billing.Sub.extra billing.Sub',
      'billing.Sub.pay-back billing.Sub',
      'billing.bill null'
    ]
  )
  const file = join(folder, 'billing.js')
  assert.deepEqual(await catalogue.resolve('billing.Invoice.addLine'), {
    method: 'billing.Invoice.addLine',
    file,
    functionName: 'Invoice',
    sourceHash: createHash('sha256').update(source).digest('hex'),
    documentType: 'billing.Invoice'
  })
  const type = (name: string) => catalogue.documentType(`billing.${name}`)
  assert.deepEqual(type('Invoice'), { type: 'billing.Invoice', file, version: 3, methods: ['addLine', 'pay-back'] })
  assert.deepEqual(type('Sub'), { type: 'billing.Sub', file, version: 3, methods: ['addLine', 'extra', 'pay-back'] })
  assert.deepEqual(type('Empty'), { type: 'billing.Empty', file, version: 1, methods: [] })
  assert.deepEqual([type('Field')?.version, type('Strict')?.version, type('OtherCopy')?.version], [2, 1, 1])
  for (const none of ['Plain', 'Actor', 'bill', 'constructor']) assert.equal(type(none), undefined, none)
  const cases: [method: string, message: RegExp][] = [
    [
      'billing.Invoice.addLin',
      /the document type "billing\.Invoice" of .*billing\.js has no method "addLin"; it has addLine, pay-back\..* Did you mean "billing\.Invoice\.addLine"\?$/
    ],
    ['billing.Invoice.total', /has no method "total"/],
    ['billing.Invoice._inner', /has no method "_inner"/],
    ['billing.Invoice.constructor', /has no method "constructor"/],
    ['billing.Empty.run', /has no method "run"; it has no method that can be called/],
    ['billing.Invoice', /it is a document type; a job calls one of its methods \(addLine, pay-back\) of a document/],
    ['billing.Plain', /exports as "Plain" is no function \(class\)\.$/],
    [
      'billing.Gone.run',
      /no file billing\/Gone\.js below .*, and .*billing\.js exports no class "Gone" that extends Actor\./
    ]
  ]
  for (const [method, message] of cases) await assert.rejects(catalogue.resolve(method), unknown(message), method)
})

test('issue 6.1: a class whose path does not fit into a key of the store is a problem, and no document type', async (t) => {
  const name = 'X'.repeat(600)
  const { catalogue } = await catalogueOf(t, {
    'long.js': `${importActor}
      export class ${name} extends Actor { run() {} }`
  })
  assert.match(catalogue.problems[0]!.message, /its path is longer than 512 characters$/)
  assert.equal(catalogue.documentType(`long.${name}`), undefined)
  await assert.rejects(catalogue.resolve(`long.${name}.run`), { code: 'METHOD_UNKNOWN' })
})

test('a document type appears, changes with reload, and a version that is none is a problem of its module', async (t) => {
  const { folder, catalogue } = await catalogueOf(t, {
    'hostile.js': `export class Doc { static get [Symbol.for('actor-runtime.Actor')]() { throw new Error('mark') } }`,
    'wrong.js': `${importActor}; export class Doc extends Actor { static version = 1.5; run() {} }`
  })
  const [hostile, wrong] = catalogue.problems.map(({ message }) => message)
  assert.match(hostile!, /hostile\.js: Error: mark/)
  assert.match(wrong!, /wrong\.js: TypeError: the version of class Doc is 1\.5; give a whole number from 1/)
  assert.equal(catalogue.problems.length, 2)
  const doc = (version: number, body = '') =>
    `${importActor}; export class Doc extends Actor { static version = ${version}; run() {} ${body} }`
  writeModule(folder, 'fresh.js', doc(1))
  assert.equal((await catalogue.resolve('fresh.Doc.run')).documentType, 'fresh.Doc')
  assert.equal(catalogue.documentType('fresh.Doc')?.version, 1)
  for (const name of ['wrong.js', 'hostile.js']) writeModule(folder, name, doc(1))
  assert.equal((await catalogue.resolve('wrong.Doc.run')).documentType, 'wrong.Doc', 'mended')
  writeModule(folder, 'fresh.js', doc(2, 'more() {}'))
  await assert.rejects(catalogue.resolve('fresh.Doc.more'), unknown(/counts after "runtime reload"/))
  await catalogue.reload()
  assert.equal(catalogue.documentType('fresh.Doc')?.version, 2)
  assert.equal((await catalogue.resolve('fresh.Doc.more')).method, 'fresh.Doc.more')
  assert.deepEqual(catalogue.problems, [])
})

test('a function and a method of one path: the function of the file is it, and the other is a problem', async (t) => {
  const { folder, catalogue } = await catalogueOf(t, {
    'a.js': `${importActor}; export class B extends Actor { run() {} other() {} }`,
    'a/B.js': plain
  })
  assert.equal((await catalogue.resolve('a.B.run')).documentType, null)
  assert.equal((await catalogue.resolve('a.B.other')).documentType, 'a.B')
  assert.deepEqual(catalogue.problems, [
    {
      file: join(folder, 'a.js'),
      message: `Method "a.B.run" of ${join(folder, 'a.js')} is not used: ${join(folder, 'a', 'B.js')} has one of the same path; rename one of them`
    }
  ])
})

test('a file that appears or is mended after the start is found when it is asked for, by one scan for all', async (t) => {
  const { folder, catalogue } = await catalogueOf(t, { 'broken.js': 'throw new Error("not yet")' })
  await assert.rejects(catalogue.resolve('fresh.run'), unknown(/no file fresh\.js/))
  await assert.rejects(catalogue.resolve('broken.run'), unknown(/not yet/))
  const marks = join(folder, 'marks')
  writeModule(
    folder,
    'fresh.js',
    `import { appendFileSync } from 'node:fs'; appendFileSync(${JSON.stringify(marks)}, 'x'); ${plain}`
  )
  writeModule(folder, 'broken.js', plain)
  const views = await Promise.all(
    ['fresh.run', 'fresh.run', 'fresh.run', 'broken.run'].map((name) => catalogue.resolve(name))
  )
  assert.deepEqual(
    views.map(({ method }) => method),
    ['fresh.run', 'fresh.run', 'fresh.run', 'broken.run']
  )
  assert.equal(readFileSync(marks, 'utf8'), 'x')
  assert.deepEqual(catalogue.problems, [])
})

test('TypeScript modules run through tsx of their project where the platform does not run them', async (t) => {
  const folder = temporaryFolder(t)
  writeModule(folder, 'actors/a.ts', 'export function run(params: object) { return params }')
  const hasTypeScript = Boolean((process.features as { typescript?: unknown }).typescript)
  if (!hasTypeScript) {
    const bare = await startCatalogue([join(folder, 'actors')])
    assert.match(bare.problems[0]?.message ?? '', /TypeScript modules need Node 22\.18 or later, or the package "tsx"/)
  }
  // A stand-in for tsx that strips the one annotation there is.
  const hooks = `export async function load(url, context, next) {
    if (!url.endsWith('.ts')) return next(url, context)
    const { readFileSync } = await import('node:fs')
    return { format: 'module', source: readFileSync(new URL(url), 'utf8').replace(': object', ''), shortCircuit: true }
  }`
  writeModule(folder, 'node_modules/tsx/package.json', '{ "name": "tsx", "exports": { "./esm/api": "./api.mjs" } }')
  writeModule(
    folder,
    'node_modules/tsx/api.mjs',
    `import { register as add } from 'node:module'
    export const register = () => add('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hooks)}))`
  )
  const catalogue = await startCatalogue([join(folder, 'actors')])
  assert.deepEqual(catalogue.problems, [])
  assert.equal(catalogue.list()[0]?.method, 'a.run')
})

test('stop ends a scan that is under way', async (t) => {
  const { folder, catalogue } = await catalogueOf(t, {})
  writeModule(folder, 'spins.js', 'while (true);')
  const resolving = catalogue.resolve('spins.run')
  catalogue.stop()
  catalogue.stop()
  await assert.rejects(resolving, unknown(/no file|stopped/))
})

test('the example actors are found quickly', async (t) => {
  const beginMs = performance.now()
  const catalogue = await startCatalogue([resolve('actors')])
  t.diagnostic(`scanned in ${Math.round(performance.now() - beginMs)} ms`)
  assert.deepEqual(catalogue.problems, [])
  assert.deepEqual(
    catalogue.list().map(({ method }) => method),
    [
      'files.checksum.sha256',
      'files.compress.gzip',
      'files.watched.Folder.check',
      'files.watched.Folder.every',
      'files.watched.Folder.rest',
      'text.words.frequencies'
    ]
  )
})

test('issue 8.1: a child that was started ahead makes the first scan; one that is of no use is not needed', async (t) => {
  const child = new ScanChild()
  t.after(() => child.stop())
  const first = await catalogueOf(t, { 'a.js': plain }, { child })
  assert.equal(child.take(), undefined)
  const stopped = new ScanChild()
  stopped.stop()
  const second = await catalogueOf(t, { 'a.js': plain }, { child: stopped })
  for (const { catalogue } of [first, second]) {
    assert.deepEqual(
      catalogue.list().map(({ method }) => method),
      ['a.run']
    )
  }
})
