/**
 * What `ctx.step`, `ctx.sleep`, `ctx.waitFor` and `ctx.enqueue` at once do in one attempt of a job.
 *
 * Each call has an index, given as it is made, so that the calls of a method which makes them in the same order in each
 * attempt have the same index in each attempt. What an earlier attempt has kept under the index and is done is returned,
 * and nothing happens; where another kind or name is kept, the code has changed under its job or does not do the same twice,
 * and the attempt ends: the job fails with `StepsChanged`.
 *
 * What is kept is given in the order in which earlier attempts have learnt of it, each once the method has made all calls that
 * the one before leads to. So calls beside each other, each followed by others, make these in the same order again.
 *
 * A call is under way from when it is made until it is over, or, of a sleep or a wait, until the supervisor has said that it
 * is not. When none is under way and one at least waits, for one turn of the event loop, the attempt ends as `suspended`. In both
 * cases the method is left where it is: its calls never settle, and further ones neither.
 *
 * The function of a step may make no such call, and ask for nothing that is done as the job completes: a later attempt does
 * not call it again, so the one would be missed and the other lost.
 */
import { AsyncLocalStorage } from 'node:async_hooks'

import type { Context, LogWriter, StepRun } from '../core/context.ts'
import { durationToMs } from '../core/duration.ts'
import { RuntimeError } from '../core/errors.ts'
import { instantToMs } from '../core/instant.ts'
import type { EnqueueRequest, JobError, Json } from '../core/job.ts'
import type { JournalEntry, JournalKind } from '../core/journal.ts'
import { journalEntriesMax, stepResultBytesMax } from '../core/limits.ts'
import type { Outcome, Until } from '../core/pool.ts'
import { checkName, checkObject, shown } from './argument-checks.ts'
import { jsonText } from './json-text.ts'
import type { Ask } from './questions.ts'
import { thrownError } from './thrown.ts'

/** A call that may do something; `entry` is what earlier attempts have kept of it. */
interface Call {
  index: number
  name: string
  entry: JournalEntry | undefined
}

const steps = new AsyncLocalStorage<{ name: string; isRunning: boolean }>()

/** @param attempted such as `enqueue "a.b"` @throws TypeError inside of the function of a step */
export function checkNotInStep(attempted: string): void {
  const step = steps.getStore()
  if (step?.isRunning !== true) return
  throw new TypeError(
    `Cannot ${attempted} inside of step "${step.name}": a later attempt does not call the function of a step that is done. Do it before or after the step`
  )
}

export interface JournalParts {
  /** Of earlier attempts. */
  entries: readonly JournalEntry[]
  ask: Ask
  warn: LogWriter
}

export class Journal implements Pick<Context, 'step' | 'sleep' | 'waitFor'> {
  readonly #ask: Ask
  readonly #warn: LogWriter
  readonly #entries: ReadonlyMap<number, JournalEntry>
  #calls = 0
  #underWay = 0
  /** Kept results that the method has asked for and not been given. */
  #due: { order: number; give: () => void }[] = []
  /** Indexes of steps that threw in this attempt. */
  readonly #failed = new Set<number>()
  /** Indexes of sleeps and waits that are not over. */
  readonly #waiting = new Set<number>()
  /** Jobs that are being enqueued at once. */
  readonly #enqueues = new Set<Promise<unknown>>()
  #check: NodeJS.Immediate | undefined
  #end: (outcome: Outcome) => void = () => {}
  #isOver = false

  constructor({ entries, ask, warn }: JournalParts) {
    this.#entries = new Map(entries.map((entry) => [entry.index, entry]))
    this.#ask = ask
    this.#warn = warn
  }

  /** @param end called once, with the outcome of the attempt, unless the method throws or {@link close} comes before */
  begin(end: (outcome: Outcome) => void): void {
    this.#end = (outcome) => {
      if (this.#isOver) return
      this.close()
      end(outcome)
    }
  }

  /** The method has returned. It may leave it to us to wait for what it asked for at once: that is not to be lost with the attempt. */
  async returned(outcome: Outcome): Promise<void> {
    await Promise.allSettled(this.#enqueues)
    this.#end(this.#missed(outcome) ?? outcome)
  }

  /** The attempt is over: calls from now on never settle. */
  close(): void {
    this.#isOver = true
    clearImmediate(this.#check)
  }

  async step<T>(name: string, fn: (run: StepRun) => T | Promise<T>): Promise<T> {
    checkName(name, 'begin a step')
    if (typeof fn !== 'function') {
      throw new TypeError(`Cannot begin step "${name}": it needs a function to call, got ${shown(fn)}`)
    }
    const call = this.#call('step', name)
    if (call === undefined) return never()
    if (isOver(call)) return this.#given(call.entry)
    return this.#during(() => this.#runStep(call, fn))
  }

  async sleep(name: string, until: Parameters<Context['sleep']>[1]): Promise<void> {
    checkName(name, 'sleep')
    const end = until instanceof Date ? endAt(until) : endAfter(until)
    if (end === undefined) {
      throw new TypeError(
        `Cannot sleep in "${name}": expected seconds, a text with a unit such as "30s" or "3d", or a Date, got ${shown(until)}`
      )
    }
    const call = this.#call('sleep', name)
    if (call === undefined) return never()
    if (isOver(call)) return this.#given(call.entry)
    const { index } = call
    const answer = await this.#during(() => this.#ask('sleep', { index, name, ...end }))
    if (!answer.isOver) await this.#wait(index)
  }

  async waitFor<T = Json>(name: string, options: Parameters<Context['waitFor']>[1] = {}): Promise<T | undefined> {
    checkName(name, 'wait for a signal')
    checkObject(options, `wait for signal "${name}"`, 'the options')
    const end = options.timeout === undefined ? ({ untilMs: null } as const) : endAfter(options.timeout)
    if (end === undefined) {
      throw new TypeError(
        `Cannot wait for signal "${name}": expected a timeout in seconds or a text with a unit such as "30s" or "3d", got ${shown(options.timeout)}`
      )
    }
    const call = this.#call('signal', name)
    if (call === undefined) return never()
    if (isOver(call)) return this.#given(call.entry)
    const { index } = call
    const answer = await this.#during(() => this.#ask('waitFor', { index, name, ...end }))
    if (answer.state === 'waiting') return this.#wait(index)
    return answer.state === 'received' ? (JSON.parse(answer.payload) as T) : undefined
  }

  /** @param name the same for the same call in each attempt @returns ids, in the order of the jobs */
  async enqueue(name: string, jobs: EnqueueRequest[]): Promise<string[]> {
    const call = this.#call('enqueue', name)
    if (call === undefined) return never()
    if (isOver(call)) return this.#given(call.entry)
    const { index } = call
    const asked = this.#during(() => this.#ask('enqueue', { index, name, jobs }))
    this.#enqueues.add(asked)
    const { ids } = await asked.finally(() => this.#enqueues.delete(asked))
    return ids
  }

  /** @returns undefined where the attempt is over: with this call, or before */
  #call(kind: JournalKind, name: string): Call | undefined {
    checkNotInStep(`${verbs[kind]} "${name}"`)
    if (this.#isOver) return undefined
    const index = this.#calls
    const entry = this.#entries.get(index)
    if (entry !== undefined && (entry.kind !== kind || entry.name !== name)) {
      this.#end(stepsChanged(index, entry, `it is ${calledAs(kind, name)} now`))
      return undefined
    }
    if (index >= journalEntriesMax) {
      throw new RuntimeError(
        'PARAMS_INVALID',
        `Cannot make ${calledAs(kind, name)}: a job has at most ${journalEntriesMax} steps, sleeps and waits. Go on in another job`
      )
    }
    this.#calls += 1
    return { index, name, entry }
  }

  async #runStep<T>({ index, name }: Call, fn: (run: StepRun) => T | Promise<T>): Promise<T> {
    const begun = await this.#ask('beginStep', { index, name })
    if (begun.wasCut) this.#warn('%s', `Step "${name}" was cut in its middle and runs again`)
    const step = { name, isRunning: true }
    try {
      const value = await steps.run(step, () => fn(begun))
      const json = jsonText(value === undefined ? null : value, stepResultBytesMax)
      if ('refused' in json) throw resultRefused(name, json.refused)
      await this.#ask('endStep', { index, result: json.text })
      // As a later attempt gets it, so that what works now works then.
      return JSON.parse(json.text)
    } catch (error) {
      this.#failed.add(index)
      await this.#ask('endStep', { index, error: thrownError(error) }).catch(() => undefined)
      throw error
    } finally {
      step.isRunning = false
    }
  }

  /** In its turn: behind what the method was given before in earlier attempts, and has asked for by now. */
  #given<T>(entry: JournalEntry): Promise<T> {
    return new Promise((resolve, reject) => {
      const give = () => (entry.state === 'failed' ? reject(keptError(entry.error!)) : resolve(keptValue(entry) as T))
      if (this.#due.push({ order: entry.order ?? 0, give }) === 1) this.#giveNext()
    })
  }

  /** Ticks come when there is no microtask left: then the method has made the calls that what it was given leads to. */
  #giveNext(): void {
    queueMicrotask(() =>
      process.nextTick(() => {
        if (this.#isOver) return
        const next = this.#due.reduce((first, other) => (other.order < first.order ? other : first))
        this.#due = this.#due.filter((each) => each !== next)
        next.give()
        if (this.#due.length > 0) this.#giveNext()
      })
    )
  }

  async #during<T>(action: () => Promise<T>): Promise<T> {
    this.#underWay += 1
    try {
      return await action()
    } finally {
      this.#underWay -= 1
      this.#look()
    }
  }

  #wait(index: number): Promise<never> {
    this.#waiting.add(index)
    this.#look()
    return never()
  }

  #look(): void {
    if (this.#isOver || this.#underWay > 0 || this.#waiting.size === 0) return
    clearImmediate(this.#check)
    this.#check = setImmediate(() => {
      if (this.#isOver || this.#underWay > 0) return
      const entries = sorted(this.#waiting)
      const failed = sorted(this.#failed)
      this.#end({ type: 'suspended', entries, ...(failed.length > 0 && { failed }) })
    })
  }

  /** A method that completes must have come to all that is kept. */
  #missed(outcome: Outcome): Outcome | undefined {
    if (outcome.type !== 'completed') return undefined
    for (const [index, entry] of this.#entries) {
      if (index >= this.#calls) return stepsChanged(index, entry, 'the method returned without it now')
    }
    return undefined
  }
}

function endAt(date: Date): Until | undefined {
  const untilMs = instantToMs(date)
  return untilMs === undefined ? undefined : { untilMs }
}

function endAfter(duration: unknown): Until | undefined {
  const forMs = durationToMs(duration)
  return forMs === undefined ? undefined : { forMs }
}

function isOver(call: Call): call is Call & { entry: JournalEntry } {
  return call.entry !== undefined && call.entry.state !== 'open'
}

/** What a sleep and a wait that has timed out give is nothing. */
function keptValue({ kind, state, result }: JournalEntry): unknown {
  return kind === 'sleep' || state === 'timedOut' ? undefined : JSON.parse(result ?? 'null')
}

/** Says the same as what the step threw; its class is not known any more. */
function keptError({ name, message, stack, thrownCode }: JobError): Error {
  const error = Object.assign(new Error(message), { name })
  if (stack !== undefined) error.stack = stack
  return thrownCode === undefined ? error : Object.assign(error, { code: thrownCode })
}

function sorted(indexes: Iterable<number>): number[] {
  return [...indexes].sort((one, other) => one - other)
}

function never(): Promise<never> {
  return new Promise(() => {})
}

function resultRefused(name: string, refused: string): Error {
  const error = new Error(
    `Cannot keep the result of step "${name}": it ${refused}. Return plain data, and put large data into a file`
  )
  error.name = 'ResultInvalid'
  return error
}

function stepsChanged(index: number, entry: JournalEntry, now: string): Outcome {
  const message = `Cannot go on with the job: call ${index + 1} of its steps, sleeps and waits was ${calledAs(entry.kind, entry.name)} in an earlier attempt, and ${now}. They must come in the same order in each attempt; enqueue the job anew to run it with the code as it is`
  return { type: 'failed', error: { code: 'UNRECOVERABLE', name: 'StepsChanged', message }, final: true }
}

const verbs: Record<JournalKind, string> = {
  step: 'begin step',
  sleep: 'begin sleep',
  signal: 'wait for signal',
  enqueue: 'make call'
}
const words: Record<JournalKind, string> = { step: 'step', sleep: 'sleep', signal: 'wait for signal', enqueue: 'call' }

function calledAs(kind: JournalKind, name: string): string {
  return `${words[kind]} "${name}"`
}
