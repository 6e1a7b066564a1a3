/**
 * The threads of one queue, without threads: what a job does stands in its params, and how long each thing takes is drawn. It
 * keeps the promises of core/pool.ts, and looks at those that are made to it: no jobs that wait but simple ones, one attempt
 * of a job at a time, one job of a document and of a strict key. In half of the lives jobs are quick, so that some are
 * claimed ahead and wait in it; they are given back after a time, or when the host ends that they wait in. No attempt is given
 * that is not on the disk as running.
 */
import assert from 'node:assert/strict'
import type { JournalEntry } from '../../runtime/core/journal.ts'
import type {
  Effects,
  JobAnswer,
  JobMessage,
  JobQuestion,
  JobQuestions,
  Outcome,
  Pool,
  PoolListener
} from '../../runtime/core/pool.ts'
import type { Agenda } from './agenda.ts'

/** What a job of the simulation does: its params. */
export interface Script {
  /** A number of its own. */
  n: number
  /** What it asks for, in order, as `ctx.step` and its like do. */
  calls?: ScriptedCall[]
  /** How its attempts end, one after the other; the last again and again. Default: it completes. */
  ends?: ScriptedEnd[]
  /** Jobs that it enqueues as it completes. */
  children?: { jobId: string; method: string; queue: string; document?: string; params: Script }[]
  /** Strict key, so that the pool can see that one job of it runs at a time. */
  strict?: string
  amount?: number
  remindsAfterMs?: number
}

export type ScriptedCall =
  | { type: 'step'; throws?: boolean }
  | { type: 'sleep'; ms: number }
  | { type: 'waitFor'; name: string; ms: number | null }
  | { type: 'enqueue'; jobId: string; queue: string }

export type ScriptedEnd = 'complete' | 'throw' | 'throwForGood' | 'retryLater' | 'hang' | 'crash' | 'crashAlone'

/** What the threads tell those who watch. */
export interface PoolWatcher {
  /** A thread takes the job. */
  runs(job: JobMessage, script: Script): void
  /** The outcome that a thread has given for an attempt. */
  gave(job: JobMessage, outcome: Outcome): void
  /** The function of a step is called, which no earlier attempt of the same run may have told of as done. */
  calledStep(job: JobMessage, index: number): void
  stepIsStored(job: JobMessage, index: number): void
  received(job: JobMessage, index: number, payload: string): void
}

export interface PoolGround {
  agenda: Agenda
  nowMs: () => number
  random: () => number
  trace: (line: string) => void
  watcher: PoolWatcher
  /** Documents and strict keys of which a job runs, over all queues. */
  held: Map<string, string>
  /** Whether the disk has that attempt of the job as running. */
  isStored: (job: JobMessage) => boolean
  /** No faults any more: nothing hangs. */
  isCalm: () => boolean
}

interface Thread {
  job: JobMessage
  script: Script
  holds: string | undefined
  cancelNext: () => void
  answered: Map<number, (answer: JobAnswer) => void>
  /** Calls that the journal has, by number. */
  journal: Map<number, JournalEntry>
}

const thinkMsMax = 400
const quickMsMax = 0.4
const quickShare = 0.97
const waitMsMax = 20
const toldAfterMs = 4
const lateMsMax = 45_000
const lateShare = 0.08

export class SimulatedPool implements Pool {
  readonly #ground: PoolGround
  readonly #listener: PoolListener
  readonly #threadsMax: number
  readonly #threads = new Map<string, Thread>()
  readonly #waiting: JobMessage[] = []
  readonly #isQuick: boolean
  #nextNumber = 1
  #isOver = false

  constructor(threadsMax: number, listener: PoolListener, ground: PoolGround) {
    this.#threadsMax = threadsMax
    this.#listener = listener
    this.#ground = ground
    this.#isQuick = ground.random() < 0.5
  }

  /** Those that wait included. */
  get running(): string[] {
    return [...this.#threads.keys(), ...this.#waiting.map(({ id }) => id)]
  }

  start(): void {}
  renew(): void {}

  run(jobs: readonly JobMessage[]): void {
    for (const job of jobs) {
      // The last breath of a machine that has died.
      if (this.#isOver) return
      assert(!this.running.includes(job.id), `job ${job.id} runs twice`)
      assert(
        this.#ground.isStored(job),
        `attempt ${job.attempt} of ${job.id} is given, and on the disk it does not run`
      )
      if (this.#threads.size < this.#threadsMax) this.#begin(job)
      else this.#wait(job)
    }
  }

  #wait(job: JobMessage): void {
    this.#ground.trace(`wait ${job.id} ${job.attempt}`)
    const mayWait = job.attempt === 1 && job.document === undefined && !job.alone && !job.startIsCounted
    assert(mayWait && job.journal === undefined, `${job.id} of ${job.queue} was given while no thread is free`)
    this.#waiting.push(job)
    const { agenda, nowMs } = this.#ground
    agenda.add(nowMs() + waitMsMax, () => {
      if (this.#dropWaiting(job)) this.#giveBack([job], false)
    })
  }

  #dropWaiting(job: JobMessage): boolean {
    const at = this.#waiting.indexOf(job)
    if (at >= 0) this.#waiting.splice(at, 1)
    return at >= 0
  }

  #giveBack(jobs: readonly JobMessage[], hostEnded: boolean): void {
    for (const { id, attempt } of jobs) this.#ground.trace(`give back ${id} ${attempt} ${hostEnded}`)
    this.#listener.outcomes(jobs.map(({ id }) => ({ id, outcome: { type: 'givenBack', hostEnded } })))
  }

  #begin(job: JobMessage): void {
    const { held, trace } = this.#ground
    trace(`run ${job.id} ${job.attempt}`)
    const script = JSON.parse(job.params) as Script
    const holds =
      job.document === undefined ? script.strict && `key ${script.strict}` : `${job.document.type} ${job.document.name}`
    if (holds !== undefined) {
      assert.equal(held.get(holds), undefined, `${job.id} runs beside another job of ${holds}`)
      held.set(holds, job.id)
    }
    this.#ground.watcher.runs(job, script)
    const journal = new Map((job.journal ?? []).map((entry) => [entry.index, entry]))
    const thread: Thread = { job, script, holds, cancelNext: () => {}, answered: new Map(), journal }
    this.#threads.set(job.id, thread)
    this.#later(thread, () => {
      // Of one that ends soon it need not be told.
      if (!this.#isQuick || this.#ground.random() < 0.3) this.#listener.started(job.id, 0)
      else
        this.#ground.agenda.add(this.#ground.nowMs() + toldAfterMs, () => {
          if (this.#threads.get(job.id) === thread) this.#listener.started(job.id, toldAfterMs)
        })
      if (job.startIsCounted) this.#listener.called(job.id)
      this.#later(thread, () => this.#goOn(thread, 0))
    })
  }

  answer(id: string, number: number, answer: JobAnswer): void {
    const answered = this.#threads.get(id)?.answered
    const take = answered?.get(number)
    answered?.delete(number)
    this.#ground.trace(`answer ${id} ${answer.type}`)
    take?.(answer)
  }

  kill(id: string): void {
    this.#ground.trace(`kill ${id}`)
    const thread = this.#threads.get(id)
    if (thread !== undefined) this.#end(thread)
    const waiting = this.#waiting.find((job) => job.id === id)
    if (waiting !== undefined) this.#dropWaiting(waiting)
  }

  async stop(): Promise<void> {
    this.die()
  }

  /** All threads end with the machine. */
  die(): void {
    this.#isOver = true
    this.#waiting.length = 0
    for (const thread of this.#threads.values()) this.#end(thread)
  }

  #goOn(thread: Thread, index: number): undefined {
    const { job, script } = thread
    const call = script.calls?.[index]
    if (this.#ground.random() < 0.15) this.#say(job)
    if (call === undefined) {
      if (job.document !== undefined && job.document.revision !== null && job.document.state === undefined) {
        this.#ask(thread, { type: 'state' }, (value) => this.#finish(thread, (value as { state: string }).state))
      } else this.#finish(thread, job.document?.state)
      return
    }
    const kept = thread.journal.get(index)
    const next = (): undefined => this.#later(thread, () => this.#goOn(thread, index + 1))
    const name = `${call.type} ${index}`
    switch (call.type) {
      case 'step':
        this.#step(thread, index, call.throws === true, kept, next)
        break
      case 'sleep':
        if (kept?.state === 'done') return next()
        this.#ask(thread, { type: 'sleep', index, name, forMs: call.ms }, (value) => {
          if ((value as ReturnType<JobQuestions['sleep']>).isOver) next()
          else this.#suspend(thread, index)
        })
        break
      case 'waitFor': {
        const take = (state: string, payload: string | null | undefined) => {
          if (state === 'waiting') return this.#suspend(thread, index)
          if (payload != null) this.#ground.watcher.received(job, index, payload)
          next()
        }
        if (kept !== undefined && kept.state !== 'open') return take(kept.state, kept.result)
        const until = call.ms === null ? { untilMs: null } : { forMs: call.ms }
        this.#ask(thread, { type: 'waitFor', index, name: call.name, ...until }, (value) => {
          const { state, payload } = value as { state: string; payload?: string }
          take(state, payload)
        })
        break
      }
      case 'enqueue': {
        if (kept?.state === 'done') return next()
        const jobs = [{ method: 'w.child', jobId: call.jobId, queue: call.queue, params: { n: 0 } }]
        this.#ask(thread, { type: 'enqueue', index, name, jobs }, next)
      }
    }
  }

  #step(
    thread: Thread,
    index: number,
    throws: boolean,
    kept: JournalEntry | undefined,
    next: () => undefined
  ): undefined {
    const { job } = thread
    if (kept?.state === 'done' || kept?.state === 'failed') return next()
    const name = `step ${index}`
    this.#ask(thread, { type: 'beginStep', index, name }, () => {
      this.#ground.watcher.calledStep(job, index)
      const isThrown = throws && this.#ground.random() < 0.5
      this.#later(thread, () => {
        const error = { code: 'THROWN', name: 'Error', message: 'in a step' } as const
        const end = isThrown ? { error } : { result: JSON.stringify(`${job.id} ${index}`) }
        this.#ask(thread, { type: 'endStep', index, ...end }, () => {
          if (!isThrown) this.#ground.watcher.stepIsStored(job, index)
          if (isThrown) this.#give(thread, { type: 'failed', final: false, error })
          else next()
        })
      })
    })
  }

  #suspend(thread: Thread, index: number): undefined {
    this.#give(thread, { type: 'suspended', entries: [index] })
  }

  #say({ id }: JobMessage): void {
    const { random } = this.#ground
    if (random() < 0.5) this.#listener.progress(id, Math.floor(random() * 100), null)
    else
      this.#listener.log(id, {
        at: new Date(0).toISOString(),
        level: 'info',
        message: `said ${Math.floor(random() * 9)}`
      })
  }

  #finish(thread: Thread, state: string | undefined): undefined {
    const { job, script } = thread
    const ends = script.ends ?? ['complete']
    const end = ends[Math.min(job.attempt, ends.length) - 1]!
    const message = { outOfMemory: false, message: 'the host ended' }
    switch (end) {
      case 'hang':
        // Its deadline ends it.
        return
      case 'throw':
      case 'throwForGood': {
        const error = { code: end === 'throw' ? 'THROWN' : 'UNRECOVERABLE', name: 'Error', message: 'no' } as const
        return this.#give(thread, { type: 'failed', final: end === 'throwForGood', error })
      }
      case 'retryLater':
        return this.#give(thread, { type: 'retryLater', delayMs: 2_000, message: 'later' })
      case 'crash':
      case 'crashAlone':
        if (this.#waiting.length > 0) return this.#crashAmongMany(thread)
        return this.#give(thread, { type: 'crashed', cause: message, alone: end === 'crashAlone' || job.alone })
      case 'complete':
        return this.#give(thread, {
          type: 'completed',
          result: JSON.stringify({ n: script.n, attempt: job.attempt }),
          ...this.#effectsOf(thread, state)
        })
    }
  }

  /** The host ends while others wait in it: whether this one had started is known sometimes, of the others never. */
  #crashAmongMany(thread: Thread): undefined {
    const { job } = thread
    const waiting = this.#waiting.splice(0)
    if (this.#ground.random() < 0.5) {
      const cause = { outOfMemory: false, message: 'the host ended' }
      this.#give(thread, { type: 'crashed', cause, alone: false })
      this.#giveBack(waiting, true)
    } else {
      this.#end(thread)
      this.#giveBack([job, ...waiting], true)
    }
  }

  #effectsOf({ job, script }: Thread, state: string | undefined): { effects?: Effects } {
    const jobs = script.children
    const effects: Effects = jobs === undefined ? {} : { jobs }
    if (job.document !== undefined) {
      const before = state === undefined ? undefined : (JSON.parse(state) as DocumentState)
      effects.document = { state: JSON.stringify(after(before, job, script)), version: 1 }
      if (script.remindsAfterMs !== undefined) {
        const params = { n: script.n + 0.5 }
        effects.reminders = [
          {
            type: 'set',
            name: `later ${script.n}`,
            method: 'reminded',
            queue: 'bank',
            delay: script.remindsAfterMs / 1000,
            params
          }
        ]
      }
    }
    return Object.keys(effects).length === 0 ? {} : { effects }
  }

  #give(thread: Thread, outcome: Outcome): undefined {
    const { job } = thread
    this.#ground.trace(`outcome ${job.id} ${job.attempt} ${outcome.type}`)
    this.#end(thread)
    this.#ground.watcher.gave(job, outcome)
    this.#listener.outcomes([{ id: job.id, outcome }])
  }

  #ask(thread: Thread, question: JobQuestion, then: (value: object) => void): void {
    const number = this.#nextNumber++
    thread.answered.set(number, (answer) => {
      if (answer.type === 'answered') return then(answer.value)
      const error = { code: 'THROWN', name: 'RuntimeError', thrownCode: answer.code, message: answer.message } as const
      this.#give(thread, { type: 'failed', final: false, error })
    })
    this.#listener.asked(thread.job.id, number, question)
  }

  #end(thread: Thread): void {
    thread.cancelNext()
    this.#threads.delete(thread.job.id)
    if (thread.holds !== undefined) this.#ground.held.delete(thread.holds)
    const next = this.#isOver || this.#threads.size >= this.#threadsMax ? undefined : this.#waiting.shift()
    if (next !== undefined) this.#begin(next)
  }

  #later(thread: Thread, action: () => void): undefined {
    const { agenda, nowMs, random, isCalm } = this.#ground
    const isLate = !isCalm() && random() < lateShare
    const isQuick = this.#isQuick && random() < quickShare
    thread.cancelNext = agenda.add(
      nowMs() + random() * (isQuick ? quickMsMax : isLate ? lateMsMax : thinkMsMax),
      action
    )
  }
}

/** State of every document of the simulation: what was done to it, in order. */
export interface DocumentState {
  list: number[]
  balance: number
  /** Makes some too large to be sent along with a job. */
  padding: string
}

function after(before: DocumentState | undefined, { method, document }: JobMessage, script: Script): DocumentState {
  const padding = document!.name === 'large' ? 'x'.repeat(5_000) : ''
  const state = before ?? { list: [], balance: 0, padding }
  const list = [...state.list, script.n]
  return { list, padding, balance: state.balance + (method.endsWith('withdraw') ? -1 : 1) * (script.amount ?? 0) }
}
