/**
 * One call of a method of a document (E11).
 *
 * Each job has an instance of its own, and a state of its own, read from the text that the store holds: what an earlier job
 * left running can change neither. State of an older version of the class is migrated first. What `this.state` is when the
 * method has returned goes along with the outcome, unless it is what the store holds already. So the first job that completes
 * makes the document, also if all it does is read: what `initialState` gives is asked for once.
 */
import type { Context } from '../core/context.ts'
import { stateBytesMax } from '../core/limits.ts'
import type { DocumentMessage, JobMessage, Outcome } from '../core/pool.ts'
import {
  type DocumentClass,
  declaredVersion,
  documentMethods,
  isDocumentClass,
  versionProblem
} from './document-class.ts'
import type { CollectedEffects } from './effects.ts'
import { jsonText } from './json-text.ts'
import type { Ask } from './questions.ts'
import { invalidOutcome, resultOutcome } from './result.ts'
import { heldState, holdState } from './state-texts.ts'

export interface DocumentCall {
  job: JobMessage
  document: DocumentMessage
  type: DocumentClass
  params: unknown
  ctx: Context
  effects: CollectedEffects
  ask: Ask
  /** Called right before the method. */
  called(): void
}

/** @throws Error `MethodUnknown` */
export function findDocumentClass(
  { method, file }: JobMessage,
  document: DocumentMessage,
  module: Readonly<Record<string, unknown>>
): DocumentClass {
  const exportName = document.type.slice(document.type.lastIndexOf('.') + 1)
  const type = Object.hasOwn(module, exportName) ? module[exportName] : undefined
  if (!isDocumentClass(type)) {
    throw named(
      'MethodUnknown',
      `Cannot run "${method}": ${file} no longer exports a class "${exportName}" that extends Actor`
    )
  }
  if (documentMethods(type).includes(nameOf(method))) return type
  throw named('MethodUnknown', `Cannot run "${method}": class "${exportName}" of ${file} has no such method any more`)
}

/** @returns the outcome, with the new state among its effects @throws what the method throws */
export async function callDocument({
  job,
  document,
  type,
  params,
  ctx,
  effects,
  ask,
  called
}: DocumentCall): Promise<Outcome> {
  const instance = new type()
  give(instance, 'name', document.name)
  const version = versionOf(type, instance)
  const stored = await storedText(document, ask)
  const what = `state of ${described(document)}`
  const isMigrated = stored !== undefined && document.version !== version
  let before = stored
  if (before === undefined || isMigrated) {
    const first =
      before === undefined
        ? await initialState(type, instance, document.name)
        : await migratedState(type, instance, document, version, JSON.parse(before))
    const json = jsonText(first, stateBytesMax)
    if ('refused' in json) return invalidOutcome(what, json.refused)
    before = json.text
  }
  give(instance, 'state', JSON.parse(before))
  called()
  const method = instance[nameOf(job.method)] as (params: unknown, ctx: Context) => unknown
  const outcome = resultOutcome(await method.call(instance, params, ctx))
  if (outcome.type !== 'completed') return outcome
  if (effects.isDocumentRemoved) return effects.with(outcome)
  const json = jsonText(instance.state, stateBytesMax)
  if ('refused' in json) return invalidOutcome(what, json.refused)
  const { text } = json
  if (text === stored && !isMigrated) return effects.with(outcome)
  holdState(document, document.nextRevision, text)
  return effects.with(outcome, { state: text, version })
}

/** @returns undefined where there is no such document yet */
async function storedText(document: DocumentMessage, ask: Ask): Promise<string | undefined> {
  const { revision, state } = document
  if (revision === null || state !== undefined) return revision === null ? undefined : state
  const held = heldState(document, revision)
  if (held !== undefined) return held
  const asked = await ask('state', {})
  holdState(document, revision, asked.state)
  return asked.state
}

function versionOf(type: DocumentClass, instance: object): number {
  const version = declaredVersion(type, () => instance)
  const problem = versionProblem(type, version)
  if (problem !== undefined) throw named('VersionInvalid', `Cannot run the method: ${problem}`)
  return version as number
}

async function initialState(type: DocumentClass, instance: Record<string, unknown>, name: string): Promise<unknown> {
  const sources = [
    () => given(type, type.initialState, name),
    () => given(instance, instance.initialState, name),
    () => instance.state
  ]
  for (const source of sources) {
    const state = await source()
    if (state !== undefined) return state
  }
  return {}
}

function given(owner: object, initial: unknown, name: string): unknown {
  return typeof initial === 'function' ? initial.call(owner, name) : initial
}

async function migratedState(
  type: DocumentClass,
  instance: Record<string, unknown>,
  document: DocumentMessage,
  version: number,
  state: unknown
): Promise<unknown> {
  const stored = `the state of ${described(document)} has version ${document.version}`
  if (document.version > version) {
    throw named(
      'StateTooNew',
      `Cannot run the method: ${stored}, and class ${type.name} knows versions up to ${version}. Run the newer code`
    )
  }
  const [owner, migrate] = typeof type.migrate === 'function' ? [type, type.migrate] : [instance, instance.migrate]
  if (typeof migrate !== 'function') {
    throw named(
      'MigrationMissing',
      `Cannot run the method: ${stored}, class ${type.name} has version ${version} and no function "migrate". Add migrate(state, fromVersion) that returns the state in the new form`
    )
  }
  const migrated = await migrate.call(owner, state, document.version)
  if (migrated !== undefined) return migrated
  throw named(
    'MigrationInvalid',
    `Cannot run the method: ${stored}, and migrate(state, ${document.version}) of class ${type.name} returned undefined. It must return the state in the form of version ${version}`
  )
}

/** Whatever accessors the class has of that name. */
function give(instance: object, field: 'name' | 'state', value: unknown): void {
  Object.defineProperty(instance, field, { value, writable: true, enumerable: true, configurable: true })
}

function described({ type, name }: DocumentMessage): string {
  return `document "${name}" of ${type}`
}

function nameOf(method: string): string {
  return method.slice(method.lastIndexOf('.') + 1)
}

function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name })
}
