/**
 * What the compiler says of calls of methods that a program imports (issue 6.8). Most of it is not run: it compiles, or it does
 * not, and a right line under `@ts-expect-error` is an error too. That the compiler refuses a wrong call, and in which words,
 * is asked of the compiler itself at the end.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Actor, type Context, type EnqueueResult, type Json, type ResultOf, type Runtime } from '../../runtime/index.ts'
import { projectFile } from '../rpc/project-file.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

/** True only where the two are the same type, to the last modifier. */
type Equal<One, Other> = (<T>() => T extends One ? 1 : 2) extends <T>() => T extends Other ? 1 : 2 ? true : false

function expect<_Claim extends true>(): void {}

type Answer<Call extends (...args: never) => Promise<unknown>> = Awaited<ReturnType<Call>>

// Functions of actor modules, as a program imports them.

async function report({ month, year = 2026 }: { month: number; year?: number }, ctx: Context) {
  ctx.progress(50)
  return { rows: month * year, from: new Date(0), note: undefined as string | undefined }
}
function sweep(): void {}
function top(params: { count?: number } = {}): number[] {
  return [params.count ?? 20]
}
function several(paths: string[]): [string, number] {
  return [paths.join(), paths.length]
}
// biome-ignore lint/suspicious/noExplicitAny: of a module without types
type AnyValue = any
function untyped(params: AnyValue): AnyValue {
  return params
}
function echo<Value>(value: Value): Value {
  return value
}

interface Line {
  amount: number
  text: string
}
interface InvoiceState {
  lines: Line[]
}

class Invoice extends Actor<InvoiceState> {
  static override version = 2
  override state: InvoiceState = { lines: [] }
  override migrate(state: { positions: Line[] }): InvoiceState {
    return { lines: state.positions }
  }
  addLine(line: Line, ctx: Context): number {
    ctx.log.info(this.name)
    return this.state.lines.push(line)
  }
  async total(): Promise<{ sum: number }> {
    return { sum: this.state.lines.reduce((sum, { amount }) => sum + amount, this._rounding()) }
  }
  close(_params: { at?: string }): void {}
  _rounding(): number {
    return this.secret().length
  }
  protected secret(): string {
    return ''
  }
}

abstract class Untold extends Actor {}

export async function functions(runtime: Runtime): Promise<void> {
  const answer = await runtime.enqueue(report, { month: 3 }, { queue: 'long', isAsync: false })
  expect<Equal<typeof answer, EnqueueResult<{ rows: number; from: string; note: string | undefined }>>>()
  const rows: number | undefined = answer.result?.rows
  void rows
  await runtime.enqueue(report, { month: 3, year: 2026 })
  // @ts-expect-error: the month is missing
  await runtime.enqueue(report, {})
  // @ts-expect-error: the params are missing
  await runtime.enqueue(report)
  // @ts-expect-error: no params are not the params
  await runtime.enqueue(report, undefined, { queue: 'long' })
  // @ts-expect-error: a month is a number
  await runtime.enqueue(report, { month: '3' })
  // @ts-expect-error: there is no day
  await runtime.enqueue(report, { month: 3, day: 1 })
  // @ts-expect-error: there is no such option
  await runtime.enqueue(report, { month: 3 }, { queues: 'long' })
  // @ts-expect-error: a function has no documents
  await runtime.enqueue(report, { month: 3 }, { document: 'x' })

  expect<Equal<Answer<typeof runtime.enqueue<typeof sweep>>, EnqueueResult<null>>>()
  await runtime.enqueue(sweep)
  await runtime.enqueue(sweep, undefined, { queue: 'long' })
  // @ts-expect-error: it takes no params
  await runtime.enqueue(sweep, { month: 3 })

  await runtime.enqueue(top)
  await runtime.enqueue(top, { count: 5 }, { delay: '5m' })
  // @ts-expect-error: a count is a number
  await runtime.enqueue(top, { count: '5' })

  expect<Equal<Answer<typeof runtime.enqueue<typeof several>>, EnqueueResult<[string, number]>>>()
  await runtime.enqueue(several, ['a'])
  // @ts-expect-error: a list is not left out
  await runtime.enqueue(several)

  const anything = await runtime.enqueue(untyped, { any: 'thing' })
  expect<Equal<typeof anything, EnqueueResult<Json>>>()
  await runtime.enqueue(untyped)
  await runtime.enqueue(echo, 5)

  // @ts-expect-error: a class is enqueued by one of its methods
  await runtime.enqueue(Invoice)
  // @ts-expect-error: the third parameter would never be given
  await runtime.enqueue((_params: object, _ctx: Context, extra: number) => extra)
}

export async function documents(runtime: Runtime): Promise<void> {
  const line = { amount: 12, text: 'paper' }
  const added = await runtime.enqueueDoc(Invoice, 'INV-1', 'addLine', line, { queue: 'long', isAsync: false })
  expect<Equal<typeof added, EnqueueResult<number>>>()
  // @ts-expect-error: the text is missing
  await runtime.enqueueDoc(Invoice, 'INV-1', 'addLine', { amount: 12 })
  // @ts-expect-error: the line is missing
  await runtime.enqueueDoc(Invoice, 'INV-1', 'addLine')
  // @ts-expect-error: there is no such method
  await runtime.enqueueDoc(Invoice, 'INV-1', 'removeLine', line)
  // @ts-expect-error: the document is the key
  await runtime.enqueueDoc(Invoice, 'INV-1', 'addLine', line, { key: 'k' })

  const total = await runtime.enqueueDoc(Invoice, 'INV-1', 'total')
  expect<Equal<typeof total, EnqueueResult<{ sum: number }>>>()
  await runtime.enqueueDoc(Invoice, 'INV-1', 'total', undefined, { delay: 5 })
  await runtime.enqueueDoc(Invoice, 'INV-1', 'close')
  const closed = await runtime.enqueueDoc(Invoice, 'INV-1', 'close', { at: '2026-01-31' })
  expect<Equal<typeof closed, EnqueueResult<null>>>()

  // @ts-expect-error: the state is no method
  await runtime.enqueueDoc(Invoice, 'INV-1', 'state')
  // @ts-expect-error: nor is the name
  await runtime.enqueueDoc(Invoice, 'INV-1', 'name')
  // @ts-expect-error: the runtime migrates
  await runtime.enqueueDoc(Invoice, 'INV-1', 'migrate', { positions: [] })
  // @ts-expect-error: the runtime asks for it
  await runtime.enqueueDoc(Invoice, 'INV-1', 'initialState', 'INV-1')
  // @ts-expect-error: what begins with _ belongs to the class
  await runtime.enqueueDoc(Invoice, 'INV-1', '_rounding')
  // @ts-expect-error: so does what is protected
  await runtime.enqueueDoc(Invoice, 'INV-1', 'secret')
  // @ts-expect-error: a class that is no Actor has no documents
  await runtime.enqueueDoc(Date, 'INV-1', 'getTime')
  // @ts-expect-error: nor has an abstract one
  await runtime.enqueueDoc(Untold, 'INV-1', 'x')

  await runtime.doc.get(Invoice, 'INV-1')
  await runtime.doc.list(Invoice, { limit: 10 })
  // @ts-expect-error: a type has to be named
  await runtime.doc.list()
  for await (const { state } of runtime.doc.export({ type: Invoice })) expect<Equal<typeof state, Json>>()
}

/** Paths are not checked, for what they lead to is not known here. */
export async function paths(runtime: Runtime): Promise<void> {
  const answer = await runtime.enqueue('reports.daily.run', { month: 'any' }, { document: 'x' })
  expect<Equal<typeof answer, EnqueueResult>>()
  expect<Equal<(typeof answer)['result'], Json | undefined>>()
  await runtime.enqueueDoc('billing.Invoice', 'INV-1', 'whatever', 5, { queue: 'long' })
  // @ts-expect-error: there is no such option
  await runtime.enqueue('reports.daily.run', {}, { queues: 'long' })
}

/** What JSON makes of a result. */
export function results(): void {
  class Money {
    amount = 5
    currency = 'EUR' as 'EUR' | 'USD'
    print(): string {
      return `${this.amount}`
    }
  }
  expect<Equal<ResultOf<() => undefined>, null>>()
  expect<Equal<ResultOf<() => Promise<void>>, null>>()
  expect<Equal<ResultOf<() => Promise<string | undefined>>, string | null>>()
  expect<Equal<ResultOf<() => Date[]>, string[]>>()
  expect<Equal<ResultOf<() => Money>, { amount: number; currency: 'EUR' | 'USD' }>>()
  expect<Equal<ResultOf<() => { at?: Date }>, { at?: string | undefined }>>()
  expect<Equal<ResultOf<() => { what: unknown }>, { what: Json }>>()
  expect<Equal<ResultOf<() => unknown>, Json>>()
  expect<Equal<ResultOf<() => AnyValue>, Json>>()
  expect<Equal<ResultOf<() => () => void>, never>>()
  expect<Equal<ResultOf<() => bigint>, never>>()
}

const program = `
import type { Actor, Runtime } from '${projectFile('runtime/index.ts')}'
declare const runtime: Runtime
declare function run(params: { month: number }): { rows: number }
declare class Counter extends Actor<{ count: number }> { add(params: { by: number }): number }

void runtime.enqueue(run, { month: 3 }).then(({ result }) => result?.rows)
void runtime.enqueueDoc(Counter, 'c', 'add', { by: 1 }).then(({ result }) => result?.toFixed())
void runtime.enqueue(run, { moth: 3 })
void runtime.enqueue(run, { month: 3 }).then(({ result }) => result?.columns)
void runtime.enqueueDoc(Counter, 'c', 'sub', { by: 1 })
void runtime.enqueueDoc(Counter, 'c', 'add', { by: '1' })
`

test('a wrong call does not compile, and the compiler says what is wrong (issue 6.8)', (t) => {
  const file = join(temporaryFolder(t), 'program.ts')
  writeFileSync(file, program)
  const options = [
    '--noEmit',
    '--strict',
    '--skipLibCheck',
    '--allowImportingTsExtensions',
    '--pretty',
    'false',
    '--ignoreConfig'
  ]
  const platform = ['--module', 'nodenext', '--target', 'es2023', '--types', 'node']
  const typeRoots = ['--typeRoots', projectFile('node_modules/@types')]
  const tsc = projectFile('node_modules/typescript/bin/tsc')
  const { status, stdout } = spawnSync(process.execPath, [tsc, ...options, ...platform, ...typeRoots, file], {
    encoding: 'utf8'
  })
  assert.notEqual(status, 0)
  const wrong = [...stdout.matchAll(/program\.ts\((\d+),/g)].map(([, line]) => Number(line))
  assert.deepEqual(wrong, [9, 10, 11, 12], stdout)
  assert.match(stdout, /'moth' does not exist in type '\{ month: number; \}'/)
  assert.match(stdout, /Property 'columns' does not exist on type '\{ rows: number; \}'/)
  assert.match(stdout, /'"sub"' is not assignable to parameter of type '"add"'/)
  assert.match(stdout, /Type 'string' is not assignable to type 'number'/)
})
