/**
 * What clients were promised, and what threads did; against these the disk is held. An answer is a promise: a job that was
 * acknowledged is there until its removal was asked for, one that was seen to end stays so until it is retried, what was
 * refused has left no trace. What was not answered, because the machine died, has happened whole or not at all.
 */
import assert from 'node:assert/strict'
import type { ServiceMethods } from '../../runtime/core/api.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import type { JobView, Json } from '../../runtime/core/job.ts'
import { type FinishedState, isFinished, type JobState } from '../../runtime/core/lifecycle.ts'
import type { JobMessage, Outcome } from '../../runtime/core/pool.ts'
import { documentKey, eventRange } from '../../runtime/store/keys.ts'
import { documentCodec, eventCodec } from '../../runtime/store/records.ts'
import type { Reader } from '../../runtime/store/store.ts'
import type { DocumentState, PoolWatcher, Script } from './simulated-pool.ts'
import type { Answer } from './simulated-world.ts'

/** How it stands with a promise. `asked`: the answer is to come. */
type Promised = 'asked' | 'acknowledged' | 'refused' | 'unknown'

/** A job that only its own client changes. */
export interface KnownJob {
  id: string
  script: Script
  enqueued: Promised
  removed: 'no' | 'maybe' | 'acknowledged'
  ended: { state: FinishedState; result: string | undefined } | undefined
  /** Retries that were asked for, and of those the ones that are not answered yet. */
  retries: number
  openRetries: number
  /** Not started before these have ended. */
  parents: string[]
  runsWithFailedParents: boolean
}

/** Jobs, and perhaps a document, that come into being together. */
interface Together {
  ids: string[]
  document: string | undefined
  promised: Promised | 'aborted' | 'prepared'
}

export class Ledger implements PoolWatcher {
  readonly jobs = new Map<string, KnownJob>()
  readonly together: Together[] = []
  /** By clients, into the document that jobs write too. */
  readonly written: { n: number; promised: Promised }[] = []
  /** By job, the results that threads have given and the jobs that were to come with them. */
  readonly #given = new Map<string, { result: string; children: string[] }[]>()
  readonly #storedSteps = new Set<string>()
  readonly #received = new Map<string, string>()
  readonly #lastRun = new Map<string, number>()
  readonly #fired = new Set<string>()
  readonly #firstNextAtMs = new Map<string, number>()
  readonly #periodsMs: ReadonlyMap<string, number>
  checks = 0

  /** @param periodsMs of the scheduler events, by id */
  constructor(periodsMs: ReadonlyMap<string, number>) {
    this.#periodsMs = periodsMs
  }

  asked(id: string, script: Script, parents: string[] = [], runsWithFailedParents = false): KnownJob {
    const job: KnownJob = {
      id,
      script,
      enqueued: 'asked',
      removed: 'no',
      ended: undefined,
      retries: 0,
      openRetries: 0,
      parents,
      runsWithFailedParents
    }
    this.jobs.set(id, job)
    return job
  }

  /** A client has learned how a job ended. @param retries of the job when it began to wait */
  sawEnd(job: KnownJob, { state, result }: { state: JobState; result?: Json }, retries: number): void {
    if (!isFinished(state) || job.retries !== retries || job.removed !== 'no') return
    const ended = { state, result: result === undefined ? undefined : JSON.stringify(result) }
    if (job.ended !== undefined) assert.deepEqual(ended, job.ended, `${job.id} has ended twice`)
    job.ended = ended
  }

  runs(job: JobMessage, script: Script): void {
    const strict = script.strict ?? (job.method === 'd.Log.append' ? `log ${job.document!.name}` : undefined)
    if (strict !== undefined) {
      assert(script.n >= (this.#lastRun.get(strict) ?? 0), `order of ${strict}: ${script.n} runs behind its follower`)
      this.#lastRun.set(strict, script.n)
    }
    const known = this.jobs.get(job.id)
    if (known === undefined) return
    assert.notEqual(known.enqueued, 'refused', `${job.id} was refused, and runs`)
    assert.notEqual(known.removed, 'acknowledged', `${job.id} was removed, and runs`)
    if (known.openRetries === 0) assert.equal(known.ended, undefined, `${job.id} has ended, and runs`)
    if (known.parents.length === 0 || known.retries > 0) return
    assert.equal(job.parents?.length, known.parents.length, `parents of ${job.id}`)
    for (const { id, state } of job.parents ?? []) {
      assert(state !== null, `${job.id} runs before ${id} has ended`)
      if (!known.runsWithFailedParents) assert.equal(state, 'completed', `${job.id} runs though ${id} is ${state}`)
    }
  }

  gave(job: JobMessage, outcome: Outcome): void {
    if (outcome.type !== 'completed') return
    const given = this.#given.get(job.id) ?? []
    this.#given.set(job.id, given)
    given.push({ result: outcome.result, children: (outcome.effects?.jobs ?? []).map(({ jobId }) => jobId!) })
  }

  calledStep(job: JobMessage, index: number): void {
    if ((this.jobs.get(job.id)?.retries ?? 1) > 0) return
    assert(!this.#storedSteps.has(`${job.id} ${index}`), `step ${index} of ${job.id} is called again`)
  }

  stepIsStored({ id }: JobMessage, index: number): void {
    this.#storedSteps.add(`${id} ${index}`)
  }

  received({ id }: JobMessage, index: number, payload: string): void {
    if ((this.jobs.get(id)?.retries ?? 1) > 0) return
    const place = `${id} ${index}`
    const before = this.#received.get(payload)
    assert(before === undefined || before === place, `signal ${payload} of ${before} is received by ${place} again`)
    this.#received.set(payload, place)
  }

  /** What can be seen in each commit. */
  committed(reader: Reader, writes: ReadonlyMap<string, Buffer | undefined>): void {
    let isPair = false
    for (const [key, value] of writes) {
      if (key.startsWith('Od.Pair')) isPair = true
      if (key[0] === 'E' && value !== undefined) {
        const { id, nextAtMs } = eventCodec.decode(Buffer.from(key, 'latin1'), value)
        if (!this.#firstNextAtMs.has(id)) this.#firstNextAtMs.set(id, nextAtMs!)
      }
      if (key[0] !== 'I' || !key.includes('@')) continue
      // Removed by now: where it had not fired before, it was made and purged in this commit.
      assert(value === undefined || !this.#fired.has(key), `the instant ${key.slice(1)} has fired twice`)
      this.#fired.add(key)
    }
    if (isPair) {
      const [left, right] = ['left', 'right'].map((name) => stateOf(reader, 'd.Pair', name))
      assert.deepEqual(left, right, 'both documents of a transaction')
    }
  }

  /** Holds all of it against a supervisor that runs, and the disk below it. */
  async check(service: ServiceMethods, reader: Reader): Promise<void> {
    this.checks++
    this.#views.clear()
    for (const job of this.jobs.values()) this.#checkJob(job, await this.#view(service, job.id))
    for (const group of this.together) await this.#checkTogether(group, service, reader)
    await this.#checkDocuments(service, reader)
    await this.#checkShared(service, reader)
    this.#checkInstants(reader)
  }

  /** No faults any more, and nothing is left to happen. */
  async checkEnd(service: ServiceMethods, reader: Reader): Promise<void> {
    await this.check(service, reader)
    for (const { id } of this.jobs.values()) {
      const view = await this.#view(service, id)
      assert(view === undefined || isFinished(view.state), `${id} is ${view?.state} for good`)
    }
    for (const [id, job] of this.jobs) {
      const { method = '', state } = (await this.#view(service, id)) ?? {}
      if (method !== 'd.Clock.tick' || state !== 'completed' || job.script.remindsAfterMs === undefined) continue
      const list = listOf(reader, 'd.Clock', 'clock')
      assert.equal(list.filter((n) => n === job.script.n + 0.5).length, 1, `the reminder of ${id}`)
    }
  }

  /** As of this check. */
  readonly #views = new Map<string, JobView | undefined>()

  async #view(service: ServiceMethods, id: string): Promise<JobView | undefined> {
    if (!this.#views.has(id)) this.#views.set(id, await viewOf(service, id))
    return this.#views.get(id)
  }

  #checkJob(job: KnownJob, view: JobView | undefined): void {
    const { id, enqueued, removed, ended } = job
    if (enqueued === 'acknowledged' && removed === 'no')
      assert(view !== undefined, `${id} was acknowledged, and is lost`)
    if (enqueued === 'refused') assert.equal(view, undefined, `${id} was refused, and is there`)
    if (removed === 'acknowledged') assert.equal(view, undefined, `${id} was removed, and is there`)
    if (view === undefined) return
    const { state, result, history } = view
    if (ended !== undefined && job.openRetries === 0) {
      const now = { state, result: result === undefined ? undefined : JSON.stringify(result) }
      assert.deepEqual(now, ended, `${id} was seen to end otherwise`)
    }
    for (const [at, { attempt, outcome }] of history.entries()) {
      const before = history[at - 1]
      if (before === undefined || before.outcome === 'crashed') continue
      assert(attempt > before.attempt, `attempt ${attempt} of ${id} has ended twice: ${before.outcome}, ${outcome}`)
    }
    if (state === 'completed') this.#checkResult(job, JSON.stringify(result))
  }

  #checkResult({ id }: KnownJob, result: string): void {
    const given = this.#given.get(id)?.find((each) => each.result === result)
    assert(given !== undefined, `no thread has given the result of ${id}: ${result}`)
    for (const child of given.children) this.#completedWith.push(child)
  }

  /** Jobs that must be there, as the one that enqueued them has completed. */
  readonly #completedWith: string[] = []

  async #checkTogether({ ids, document, promised }: Together, service: ServiceMethods, reader: Reader): Promise<void> {
    if (promised === 'asked') return
    const found: boolean[] = []
    for (const id of ids) found.push((await this.#view(service, id)) !== undefined)
    if (document !== undefined) found.push(reader.has(documentKey({ type: 'd.Marker', name: document })))
    const isThere = found[0]
    const what = `${ids.join(', ')}${document === undefined ? '' : ` and ${document}`}, ${promised}`
    assert(
      found.every((each) => each === isThere),
      `half of a change: ${what}`
    )
    if (promised === 'acknowledged') assert.equal(isThere, true, `lost: ${what}`)
    else if (promised !== 'unknown') assert.equal(isThere, false, `happened: ${what}`)
  }

  async #checkDocuments(service: ServiceMethods, reader: Reader): Promise<void> {
    for (const child of this.#completedWith.splice(0)) {
      assert((await this.#view(service, child)) !== undefined, `${child} came with a completion, and is lost`)
    }
    let sum = 0
    for (const name of ['a', 'b', 'c']) sum += stateOf(reader, 'd.Account', name)?.balance ?? 0
    const done = new Map<string, number[]>()
    for (const { id, script } of this.jobs.values()) {
      const isWithdrawal = script.amount !== undefined
      const view = isWithdrawal ? await this.#view(service, `deposit ${script.n}`) : undefined
      if (view !== undefined && view.state !== 'completed') sum += script.amount!
      const append = id.startsWith('log ') ? await this.#view(service, id) : undefined
      if (append?.state !== 'completed') continue
      const { name } = append.document!
      done.set(name, [...(done.get(name) ?? []), script.n])
    }
    assert.equal(sum, 0, 'money in accounts and on its way')
    for (const name of ['small', 'large']) {
      assert.deepEqual(listOf(reader, 'd.Log', name), done.get(name) ?? [], `appends to the log ${name}`)
    }
  }

  /** No writer of the document has undone what another wrote. */
  async #checkShared(service: ServiceMethods, reader: Reader): Promise<void> {
    const list = listOf(reader, 'd.Shared', 'shared')
    assert.equal(new Set(list).size, list.length, 'what was written to the shared document')
    const must: number[] = []
    for (const { id, script } of this.jobs.values()) {
      if (!id.startsWith('share ')) continue
      const state = (await this.#view(service, id))?.state
      if (state === 'completed') must.push(script.n)
      else assert(!list.includes(script.n), `${id} is ${state}, and has written`)
    }
    for (const { n, promised } of this.written) {
      if (promised === 'acknowledged') must.push(n)
      if (promised === 'refused') assert(!list.includes(n), `write ${n} was refused, and is there`)
    }
    for (const n of must) assert(list.includes(n), `what ${n} wrote to the shared document is lost`)
  }

  /** Every instant between the first and the next one has fired, was left out, or was missed. */
  #checkInstants(reader: Reader): void {
    for (const { key, value } of reader.entries(eventRange)) {
      const { id, nextAtMs, skips, misses, queuedAtMs } = eventCodec.decode(key, value)
      const periodMs = this.#periodsMs.get(id)
      if (periodMs === undefined) continue
      const fired = [...this.#fired].filter((each) => each.startsWith(`I${id}@`)).length
      const passed = Math.round((nextAtMs! - this.#firstNextAtMs.get(id)!) / periodMs)
      assert.equal(fired + skips + misses + (queuedAtMs === null ? 0 : 1), passed, `instants of ${id}`)
    }
  }
}

/** Whether what was asked for happened. */
export function promisedBy(answer: Answer<unknown>): Promised {
  return answer.type
}

async function viewOf(service: ServiceMethods, id: string): Promise<JobView | undefined> {
  try {
    return await service['job.get']({ id })
  } catch (error) {
    if (error instanceof RuntimeError && error.code === 'JOB_UNKNOWN') return undefined
    throw error
  }
}

function stateOf(reader: Reader, type: string, name: string): DocumentState | undefined {
  const key = documentKey({ type, name })
  const value = reader.get(key)
  return value === undefined ? undefined : (JSON.parse(documentCodec.decode(key, value).state) as DocumentState)
}

function listOf(reader: Reader, type: string, name: string): number[] {
  return stateOf(reader, type, name)?.list ?? []
}
