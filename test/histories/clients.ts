/**
 * Clients that call a supervisor at random and record what they are answered: one after the other each, several beside each
 * other, on connections of their own. What is lost with a connection may have happened.
 */
import { connect } from '../../runtime/client/connect.ts'
import type { JobChange, Runtime } from '../../runtime/core/api.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import type { JobView } from '../../runtime/core/job.ts'
import { jobStates } from '../../runtime/core/lifecycle.ts'
import type { DocumentCall, JobSeen } from './models.ts'
import type { RecordedHistory, Span } from './recorded-history.ts'

export const actorModule = (actorImports: string) => `${actorImports}
import { setTimeout as sleep } from 'node:timers/promises'

export async function work({ token, ms }, ctx) {
  if (ms > 0) await sleep(ms)
  if (token.startsWith('fail')) throw new Error('as told')
  if (token.startsWith('again') && ctx.attempt === 1) throw new RetryLater('1ms')
  return { attempt: ctx.attempt }
}

export async function waits(_params, ctx) {
  return [await ctx.waitFor('go'), await ctx.waitFor('go')]
}

export class List extends Actor {
  state = { list: [] }
  append({ token }) {
    this.state.list.push(token)
    return this.state.list
  }
}
`

export const config = `workers:
  default: { backgroundWorkers: 3, retention: { completed: {}, failed: {}, cancelled: {} } }
  gate: { backgroundWorkers: 1, retention: { completed: {}, failed: {}, cancelled: {} } }
  lists: { backgroundWorkers: 2, retention: { completed: {}, failed: {}, cancelled: {} } }
`

const jobs = 5
const gated = 2
const documents = 2
const waiters = 2
const listType = 'h.List'
const endings = ['ok', 'ok', 'fail', 'again', 'later']

/** What all clients of one history share. */
export class Arena {
  readonly name: string
  readonly history: RecordedHistory
  readonly random: () => number
  readonly jobIds: string[]
  readonly documents: string[]
  readonly waiters: string[]
  /** Jobs of documents, by id: the token that each appends. */
  /** Ids that calls under way may enqueue. */
  readonly enqueuing: string[] = []
  readonly appends = new Map<string, { document: string; token: string; client: string; calledAt: number }>()
  /** When no job of the gate may start: all resumes before were answered, none was called since. */
  readonly #closed: { fromMs: number; toMs: number }[] = []
  #gateChanges = 0
  #resumesUnderWay = 0
  #tokens = 0

  constructor(name: string, history: RecordedHistory, random: () => number) {
    this.name = name
    this.history = history
    this.random = random
    const named = (count: number, kind: string) => Array.from({ length: count }, (_, at) => `${name}-${kind}${at}`)
    this.jobIds = [...named(jobs, 'job'), ...named(gated, 'gate')]
    this.documents = named(documents, 'list')
    this.waiters = named(waiters, 'wait')
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)]!
  }

  token(kind: string): string {
    return `${kind}-${this.#tokens++}`
  }

  async paused(change: () => Promise<boolean>): Promise<boolean> {
    const changes = this.#gateChanges
    const isPaused = await change()
    if (changes === this.#gateChanges && this.#resumesUnderWay === 0) {
      this.#closed.push({ fromMs: Date.now(), toMs: Number.POSITIVE_INFINITY })
    }
    return isPaused
  }

  async resumed(change: () => Promise<boolean>): Promise<boolean> {
    this.#gateChanges++
    this.#resumesUnderWay++
    const nowMs = Date.now()
    for (const window of this.#closed) window.toMs = Math.min(window.toMs, nowMs)
    const isPaused = await change()
    // One that was lost stays under way for good.
    this.#resumesUnderWay--
    return isPaused
  }

  seen(view: JobView): JobSeen {
    const { id, state, params, attempts, result, startedAt } = view
    const startedAtMs = startedAt === null ? Number.NaN : Date.parse(startedAt)
    const window = this.#closed.find(({ fromMs, toMs }) => fromMs < startedAtMs && startedAtMs < toMs)
    if (view.queue === 'gate' && window !== undefined) {
      this.history.findings.push(`${id} was started at ${startedAt}, while its queue was paused`)
    }
    const { token } = params as { token: string }
    const seen = { state, token, made: attempts.made }
    return state === 'completed' ? { ...seen, result: (result as { attempt: number }).attempt } : seen
  }
}

const waitMs = 30
const done = () => 'done'
const changeOf = ({ state, changed }: JobChange) => ({ state, changed })

export class Client {
  readonly #name: string
  readonly #arena: Arena
  readonly #socketPath: string
  #runtime: Runtime | undefined
  #isCut = false

  constructor(name: string, arena: Arena, socketPath: string) {
    this.#name = name
    this.#arena = arena
    this.#socketPath = socketPath
  }

  async open(): Promise<void> {
    this.#runtime ??= await connect(this.#socketPath)
  }

  async close(): Promise<void> {
    await this.#runtime?.stop()
    this.#runtime = undefined
  }

  get isOpen(): boolean {
    return this.#runtime !== undefined
  }

  /** One call at random. */
  async act(): Promise<void> {
    const { random } = this.#arena
    const choice = random()
    if (choice < 0.62) await this.#actOnJob()
    else if (choice < 0.7) await this.#list()
    else if (choice < 0.86) await this.#actOnDocument()
    else if (choice < 0.95) await this.#actOnWaiter()
    else await this.#actOnGate()
  }

  /** A call whose answer nobody waits for: the connection is cut at once, and opened again. */
  async cut(): Promise<void> {
    this.#isCut = true
    const acting = this.act()
    await this.#runtime?.stop()
    await acting
    this.#runtime = undefined
    this.#isCut = false
    await this.open()
  }

  async #actOnJob(): Promise<void> {
    const { jobIds, random } = this.#arena
    const id = this.#arena.pick(jobIds)
    const choice = random()
    if (choice < 0.35) await this.#enqueue(id)
    else if (choice < 0.5) await this.#call(id, { type: 'cancel' }, (runtime) => runtime.job.cancel(id).then(changeOf))
    else if (choice < 0.62) await this.#call(id, { type: 'retry' }, (runtime) => runtime.job.retry(id).then(changeOf))
    else if (choice < 0.72) await this.#call(id, { type: 'remove' }, (runtime) => runtime.job.remove(id).then(done))
    else if (choice < 0.78) await this.#wait(id)
    else await this.get(id)
  }

  async get(id: string): Promise<void> {
    await this.#call(id, { type: 'read' }, (runtime) => this.#read(() => runtime.job.get(id)))
  }

  /** Whatever it answers once the job has finished; a wait that ends before says nothing. */
  async #wait(id: string): Promise<void> {
    await this.#call(id, { type: 'read' }, (runtime) =>
      this.#read(async () => {
        const view = await runtime.job.wait(id, { timeout: `${waitMs}ms` })
        if (!['completed', 'failed', 'cancelled'].includes(view.state)) {
          this.#arena.history.findings.push(`a wait for ${id} ended while it was ${view.state}`)
        }
        return view
      })
    )
  }

  async #enqueue(id: string): Promise<void> {
    const { random, history } = this.#arena
    const token = this.#arena.token(this.#arena.pick(endings))
    const deduplicate = this.#arena.pick([undefined, undefined, true, { for: '1h' }] as const)
    const calledAt = history.now()
    const options = {
      jobId: id,
      jobName: this.#arena.name,
      queue: id.includes('gate') ? 'gate' : 'default',
      ...(deduplicate !== undefined && { deduplicate }),
      ...(token.startsWith('later') && { delay: '1h' })
    }
    const ms = random() < 0.2 ? Math.floor(random() * 30) : 0
    this.#arena.enqueuing.push(id)
    const answer = await this.#try(async (runtime) => {
      const { state, deduplicated } = await runtime.enqueue('h.work', { token, ms }, options)
      return { state, deduplicated }
    })
    this.#arena.enqueuing.splice(this.#arena.enqueuing.indexOf(id), 1)
    const form = deduplicate === undefined ? 'refuse' : deduplicate === true ? 'unfinished' : 'window'
    history.add('job', id, this.#name, { type: 'enqueue', token, form }, this.#end({ calledAt }, answer), answer)
  }

  /** All jobs, or those of one state, in one page; or all in pages of two. */
  async #list(): Promise<void> {
    const { random, history, name: jobName, jobIds } = this.#arena
    const state = random() < 0.5 ? this.#arena.pick(jobStates) : undefined
    if (state === undefined && random() < 0.4) return this.#listInPages()
    const calledAt = history.now()
    const jobs = await this.#try(async (runtime) => {
      const page = await runtime.job.list({ jobName, limit: 1_000, ...(state !== undefined && { state }) })
      return page.jobs
    })
    if (!Array.isArray(jobs)) return
    const span = { calledAt, returnedAt: history.now() }
    const call = { type: 'read', ...(state !== undefined && { state }) } as const
    const found = new Map((jobs as JobView[]).map((view) => [view.id, this.#arena.seen(view)]))
    for (const id of jobIds) history.add('job', id, this.#name, call, span, found.get(id) ?? null)
  }

  async #listInPages(): Promise<void> {
    const { history, name: jobName, jobIds } = this.#arena
    const calledAt = history.now()
    const tokens = new Set<string>()
    const found = new Set<string>()
    let cursor: string | null = null
    do {
      const pageCalledAt = history.now()
      const from: string | null = cursor
      const page = (await this.#try((runtime) =>
        runtime.job.list({ jobName, limit: 2, ...(from !== null && { cursor: from }) })
      )) as { jobs: JobView[]; cursor: string | null } | undefined
      if (page?.jobs === undefined) return
      const span = { calledAt: pageCalledAt, returnedAt: history.now() }
      for (const view of page.jobs) {
        const seen = this.#arena.seen(view)
        if (tokens.has(seen.token)) history.findings.push(`${view.id} was listed twice by one walk (${seen.token})`)
        tokens.add(seen.token)
        found.add(view.id)
        history.add('job', view.id, this.#name, { type: 'read' }, span, seen)
      }
      cursor = page.cursor
    } while (cursor !== null)
    const span = { calledAt, returnedAt: history.now() }
    for (const id of jobIds) {
      // One that was enqueued meanwhile may have been behind the walk both before and after it.
      const isNew = history.operationsOf('job', id).some(({ call, returnedAt }) => {
        return (call as { type: string }).type === 'enqueue' && returnedAt > calledAt
      })
      if (!found.has(id) && !isNew && !this.#arena.enqueuing.includes(id)) {
        history.add('job', id, this.#name, { type: 'read' }, span, null)
      }
    }
  }

  async #actOnDocument(): Promise<void> {
    const { random, history, documents } = this.#arena
    const name = this.#arena.pick(documents)
    const token = this.#arena.token('t')
    const choice = random()
    const calledAt = history.now()
    const note = (call: DocumentCall, answer: unknown) => {
      if (answer === 'DOCUMENT_CHANGED') return
      history.add('document', name, this.#name, call, this.#end({ calledAt }, answer), answer)
    }
    if (choice < 0.35) {
      const jobId = `${this.#arena.name}-${token}`
      this.#arena.appends.set(jobId, { document: name, token, client: this.#name, calledAt })
      await this.#try((runtime) => runtime.enqueueDoc(listType, name, 'append', { token }, { jobId, queue: 'lists' }))
    } else if (choice < 0.5) {
      const answer = await this.#try((runtime) =>
        runtime
          .transaction(async (tx) => {
            const state = await tx.getState<{ list: string[] }>(listType, name)
            tx.setState(listType, name, { list: [...(state?.list ?? []), token] })
          })
          .then(done)
      )
      note({ type: 'transaction', token }, answer)
    } else if (choice < 0.55) {
      const answer = await this.#try((runtime) =>
        runtime.transaction((tx) => tx.setState(listType, name, { list: [token] })).then(done)
      )
      note({ type: 'set', token }, answer)
    } else if (choice < 0.6) {
      note({ type: 'remove' }, await this.#try((runtime) => runtime.doc.remove(listType, name).then(done)))
    } else await this.readDocument(name)
  }

  async readDocument(name: string): Promise<void> {
    const { history } = this.#arena
    const calledAt = history.now()
    const answer = await this.#try(async (runtime) => {
      const { state } = await runtime.doc.get(listType, name)
      return (state as { list: string[] }).list
    })
    if (answer === undefined) return
    const list = answer === 'DOCUMENT_UNKNOWN' ? null : answer
    history.add('document', name, this.#name, { type: 'read' }, this.#end({ calledAt }, answer), list)
  }

  async #actOnWaiter(): Promise<void> {
    const { random, history, waiters } = this.#arena
    const id = this.#arena.pick(waiters)
    const calledAt = history.now()
    const choice = random()
    const token = this.#arena.token('s')
    if (choice < 0.3) {
      const options = { jobId: id }
      const answer = await this.#try((runtime) => runtime.enqueue('h.waits', {}, options).then(done))
      history.add('signals', id, this.#name, { type: 'enqueue' }, this.#end({ calledAt }, answer), answer)
    } else if (choice < 0.7) {
      const answer = await this.#try((runtime) => runtime.job.signal(id, 'go', token).then(done))
      history.add('signals', id, this.#name, { type: 'signal', token }, this.#end({ calledAt }, answer), answer)
    } else await this.readWaiter(id)
  }

  async readWaiter(id: string): Promise<void> {
    const { history } = this.#arena
    const calledAt = history.now()
    const answer = await this.#try(async (runtime) => {
      const { state, result } = await runtime.job.get(id)
      return { result: state === 'completed' ? result : null }
    })
    if (answer === undefined) return
    const seen = answer === 'JOB_UNKNOWN' ? null : answer
    history.add('signals', id, this.#name, { type: 'read' }, this.#end({ calledAt }, answer), seen)
  }

  async #actOnGate(): Promise<void> {
    const choice = this.#arena.random()
    await this.gate(choice < 0.35 ? 'pause' : choice < 0.7 ? 'resume' : 'read')
  }

  async gate(type: 'pause' | 'resume' | 'read'): Promise<void> {
    const { history } = this.#arena
    const calledAt = history.now()
    const answer = await this.#try(async (runtime) => {
      if (type === 'pause') return this.#arena.paused(async () => (await runtime.queue.pause('gate')).paused)
      if (type === 'resume') return this.#arena.resumed(async () => (await runtime.queue.resume('gate')).paused)
      return (await runtime.queue.list()).find(({ queue }) => queue === 'gate')!.paused
    })
    if (type === 'read' && answer === undefined) return
    history.add('pause', this.#arena.name, this.#name, { type }, this.#end({ calledAt }, answer), answer)
  }

  async #call(
    id: string,
    call: { type: 'cancel' | 'retry' | 'remove' | 'read' },
    perform: (runtime: Runtime) => Promise<unknown>
  ): Promise<void> {
    const { history } = this.#arena
    const calledAt = history.now()
    const answer = await this.#try(perform)
    if (call.type === 'read' && (answer === undefined || answer === 'WAIT_TIMEOUT')) return
    history.add('job', id, this.#name, call, this.#end({ calledAt }, answer), answer)
  }

  #end({ calledAt }: Pick<Span, 'calledAt'>, answer: unknown): Span {
    const end = this.#arena.history.now()
    return { calledAt, returnedAt: answer === undefined && this.#isCut ? Number.POSITIVE_INFINITY : end }
  }

  /** @returns the code of a refusal; undefined where the answer was lost */
  async #try(perform: (runtime: Runtime) => Promise<unknown>): Promise<unknown> {
    try {
      return this.#runtime === undefined ? undefined : await perform(this.#runtime)
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error
      if (error.code !== 'NOT_CONNECTED') return error.code
      this.#runtime = undefined
      return undefined
    }
  }

  async #read(look: () => Promise<JobView>): Promise<JobSeen | null> {
    try {
      return this.#arena.seen(await look())
    } catch (error) {
      if (error instanceof RuntimeError && error.code === 'JOB_UNKNOWN') return null
      throw error
    }
  }

  /** What the jobs of documents have answered; to be asked when no call is under way. */
  async recordAppends(): Promise<void> {
    const { history, appends } = this.#arena
    for (const [jobId, { document, token, client, calledAt }] of appends) {
      const list = await this.#runtime!.job.wait(jobId, { timeout: '10s' })
        .then(({ result }) => result)
        .catch((error: RuntimeError) => error.code)
      // Its enqueue was lost, and so it was; or it may still be on its way.
      if (list === 'JOB_UNKNOWN') continue
      if (!Array.isArray(list))
        history.findings.push(`${jobId}, a job of a document, ended with ${JSON.stringify(list)}`)
      else
        history.add(
          'document',
          document,
          client,
          { type: 'append', token },
          { calledAt, returnedAt: history.now() },
          list
        )
    }
  }

  /** Removes the jobs of the history. @returns what is left of them by the counts of the queues */
  async clear(): Promise<void> {
    const runtime = this.#runtime!
    await runtime.queue.resume('gate')
    for (const queue of ['default', 'gate', 'lists']) {
      await runtime.job.cancelMany({ queue })
      for (const state of ['completed', 'failed', 'cancelled'] as const) await runtime.job.removeMany({ queue, state })
    }
    for (const { queue, counts } of await runtime.queue.list()) {
      const left = Object.entries(counts).filter(([, count]) => count !== 0)
      if (left.length > 0) this.#arena.history.findings.push(`${queue} is empty and counts ${JSON.stringify(counts)}`)
    }
  }
}
