/**
 * Entry of a child process: imports the actor modules whose files its parent names and tells what each of them exports.
 * Modules are user code that runs on import: it may print, throw, exit or never return. So this has a process of its own,
 * whose output goes nowhere, and which the parent kills when a module takes too long; the parent knows by the order of the
 * answers which module is to blame.
 */
import { createHash } from 'node:crypto'
import { Worker } from 'node:worker_threads'
import { closeInheritedFiles } from '../core/inherited-files.ts'
import {
  type DocumentClass,
  declaredVersion,
  documentMethods,
  isDocumentClass,
  versionProblem
} from './document-class.ts'
import { loadModule } from './load.ts'
import type { ScanMessage, ScannedExport } from './messages.ts'
import { thrownError } from './thrown.ts'

// Kept from before the first import: a module can take these away.
const send = process.send?.bind(process)
const exit = process.exit.bind(process)

closeInheritedFiles()
endWithParent()
process.once('message', (files: string[]) => void scan(files))
process.once('disconnect', () => exit())
// What a module left behind and fails later is not the fault of the module that is being imported then.
process.on('uncaughtException', () => {})
tell({ type: 'ready' })

/**
 * A module that never returns keeps this thread from hearing that the parent has died. Another one waits for that: the
 * pipe from the parent has an end then.
 */
function endWithParent(): void {
  const program = `require('node:fs').readSync(0, Buffer.alloc(1)); process.kill(${process.pid}, 'SIGKILL')`
  new Worker(program, { eval: true }).unref()
}

async function scan(files: readonly string[]): Promise<void> {
  for (const file of files) tell(await scanModule(file))
}

async function scanModule(file: string): Promise<ScanMessage> {
  try {
    const module = await loadModule(file)
    return { type: 'module', file, exports: Object.keys(module).map((name) => describe(name, module[name])) }
  } catch (error) {
    const { name, message, stack = '' } = thrownError(error)
    const place = /(?<=^|[\s(])(?:file:\/\/)?\/[^\s()]+?:\d+(?::\d+)?/.exec(stack)
    return { type: 'failure', file, message: `${name}: ${message}${place === null ? '' : ` (${place[0]})`}` }
  }
}

function describe(name: string, value: unknown): ScannedExport {
  if (typeof value !== 'function')
    return { name, kind: value === null ? 'null' : typeof value, functionName: '', sourceHash: '' }
  const source = Function.prototype.toString.call(value)
  const document = documentOf(value)
  return {
    name,
    kind: document !== undefined ? 'document' : /^class\b/.test(source) ? 'class' : 'function',
    functionName: typeof value.name === 'string' ? value.name : '',
    sourceHash: createHash('sha256').update(source).digest('hex'),
    ...(document !== undefined && { document })
  }
}

/** @throws Error: its version is none, which makes the module unusable */
function documentOf(value: unknown): ScannedExport['document'] {
  if (!isDocumentClass(value)) return undefined
  const version = declaredVersion(value, () => sample(value))
  const problem = versionProblem(value, version)
  if (problem !== undefined) throw new TypeError(problem)
  return { version: version as number, methods: documentMethods(value) }
}

/** For a version that is a field. A class whose constructor needs something is taken to have none. */
function sample(type: DocumentClass): object {
  try {
    return new type()
  } catch {
    return {}
  }
}

function tell(message: ScanMessage): void {
  send?.(message)
}
