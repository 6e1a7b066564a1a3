/**
 * Clients that ask for things at random, and note in the ledger what they were promised. In the queues `default` and `bank`
 * each job has one owner, so that all about it can be foretold; in `crowd` everything meets everything, under few ids.
 */
import type { ServiceMethods } from '../../runtime/core/api.ts'
import type { RuntimeOptions } from '../../runtime/core/config.ts'
import type { EnqueueRequest } from '../../runtime/core/job.ts'
import { jobStates } from '../../runtime/core/lifecycle.ts'
import type { TransactionOperation } from '../../runtime/core/transaction.ts'
import { type KnownJob, type Ledger, promisedBy } from './ledger.ts'
import type { Script, ScriptedCall, ScriptedEnd } from './simulated-pool.ts'
import type { SimulatedWorld } from './simulated-world.ts'

export const options: RuntimeOptions = {
  workers: {
    default: { timeout: 60, backgroundWorkers: 3 },
    bank: { timeout: 60, backgroundWorkers: 3, attempts: 1_000, backoff: { type: 'fixed', delay: 1 } },
    crowd: {
      timeout: 30,
      backgroundWorkers: 2,
      maxQueued: 40,
      ageing: 20,
      rateLimit: { max: 5, per: 10 },
      keyRateLimit: { max: 2, per: 8 },
      retention: { completed: { count: 4 }, failed: { age: 60 }, cancelled: { bytes: 2_000 } }
    }
  },
  schedulerEvents: {
    cron: {
      '*/15 * * * *': [{ method: 'w.all', missed: 'all', overlap: 'allow', params: { n: 0 }, queue: 'long' }],
      // It lasts longer than its period, so one instant waits and others are left out.
      '*/2 * * * *': [
        {
          method: 'w.queued',
          missed: 'once',
          overlap: 'queue',
          params: { n: 0, calls: [{ type: 'sleep', ms: 200_000 }] }
        }
      ],
      '* * * * *': [{ method: 'w.skips', missed: 'skip', overlap: 'skip', params: { n: 0 }, queue: 'short' }]
    }
  }
}

export const periodsMs: ReadonlyMap<string, number> = new Map([
  ['cron */15 * * * *:w.all', 15 * 60_000],
  ['cron */2 * * * *:w.queued', 2 * 60_000],
  ['cron * * * * *:w.skips', 60_000]
])

const crowdIds = ['x', 'x~next', 'y', 'z']

export class Clients {
  readonly #world: SimulatedWorld
  readonly #ledger: Ledger
  readonly #signalled: KnownJob[] = []
  readonly #prepared: { id: string; operations: Parameters<Ledger['together']['push']>[0] }[] = []
  #n = 0

  constructor(world: SimulatedWorld, ledger: Ledger) {
    this.#world = world
    this.#ledger = ledger
  }

  /** Asks for one thing. */
  ask(): void {
    const what = this.#pick(this.#repertoire)
    what()
  }

  /** Requests, each as often as its weight. */
  readonly #repertoire: (() => void)[] = [
    ...times(8, () => this.#enqueue()),
    ...times(3, () => this.#enqueueTogether()),
    ...times(4, () => this.#append()),
    ...times(3, () => this.#withdraw()),
    ...times(2, () => this.#tick()),
    ...times(3, () => this.#change('cancel')),
    ...times(2, () => this.#change('retry')),
    ...times(2, () => this.#change('remove')),
    ...times(3, () => this.#signal()),
    ...times(2, () => this.#transaction()),
    ...times(2, () => this.#prepare()),
    ...times(2, () => this.#decide()),
    ...times(1, () => this.#pair()),
    ...times(2, () => this.#share()),
    ...times(2, () => this.#write()),
    ...times(9, () => this.#crowd()),
    ...times(3, () => this.#operate())
  ]

  #enqueue(): void {
    const id = `job ${++this.#n}`
    const script: Script = { n: this.#n, ...this.#calls(id), ...this.#ends() }
    const strict = this.#chance(0.25) ? this.#pick(['k', 'l']) : undefined
    const other: Partial<EnqueueRequest> = {
      attempts: 1 + this.#below(3),
      ...(this.#chance(0.5) ? { backoff: { type: 'exponential', delay: 1, jitter: 0.5 } } : {}),
      ...(this.#chance(0.2) ? { expires: 20 } : {}),
      ...(this.#chance(0.2) ? { onSuccess: 'w.after', onFailure: 'w.after' } : {})
    }
    const place: Partial<EnqueueRequest> =
      strict !== undefined
        ? { key: strict, keyConcurrency: 1 }
        : {
            priority: this.#below(3) - 1,
            ...(this.#chance(0.2) ? { atFront: true } : {}),
            ...(this.#chance(0.3) ? { delay: this.#below(90) } : {}),
            ...(this.#chance(0.1) ? { key: 'wide', keyConcurrency: 2 } : {})
          }
    if (strict !== undefined) script.strict = strict
    if (this.#chance(0.3))
      script.children = [{ jobId: `child ${this.#n}`, method: 'w.child', queue: 'default', params: { n: 0 } }]
    const parent = strict === undefined && this.#chance(0.15) ? this.#someJob() : undefined
    const isHere = parent?.enqueued === 'acknowledged' && parent.removed === 'no' && parent.retries === 0
    const parents = isHere ? [parent.id] : []
    if (isHere) {
      other.dependsOn = parents
      // Removed before it is asked for, it would be unknown.
      this.#isParent.add(parent.id)
    }
    const job = this.#ledger.asked(id, script, parents)
    if (script.calls?.some(({ type }) => type === 'waitFor')) this.#signalled.push(job)
    const request = { method: 'w.run', jobId: id, queue: 'default', params: script, ...other, ...place }
    this.#promise(job, 0.4, (service) => service.enqueue(request as EnqueueRequest))
  }

  readonly #isParent = new Set<string>()

  /** Several jobs, some of which wait for the others. */
  #enqueueTogether(): void {
    const count = 2 + this.#below(3)
    const first = this.#n + 1
    const ids = Array.from({ length: count }, (_, at) => `job ${first + at}`)
    const releases = this.#chance(0.5)
    const jobs: KnownJob[] = []
    const requests = ids.map((id, at): EnqueueRequest => {
      const script: Script = { n: ++this.#n, ...this.#ends() }
      const isLast = at === count - 1
      jobs.push(this.#ledger.asked(id, script, isLast ? ids.slice(0, -1) : [], releases))
      this.#isParent.add(id)
      return {
        method: 'w.run',
        jobId: id,
        params: script,
        attempts: 2,
        ...(isLast ? { dependsOn: 'others', onParentFailure: releases ? 'release' : 'fail' } : {})
      }
    })
    const together = { ids, document: undefined, promised: 'asked' as const } as Ledger['together'][number]
    this.#ledger.together.push(together)
    void this.#world
      .request(`enqueueMany ${ids}`, (service) => service.enqueueMany({ jobs: requests }))
      .then((answer) => {
        together.promised = promisedBy(answer)
        for (const job of jobs) job.enqueued = together.promised as KnownJob['enqueued']
      })
  }

  #append(): void {
    const name = this.#pick(['small', 'large'])
    const id = `log ${++this.#n}`
    const script: Script = {
      n: this.#n,
      ends: this.#pick<ScriptedEnd[]>([
        ['complete'],
        ['throw', 'complete'],
        ['retryLater', 'complete'],
        ['throwForGood'],
        ['hang', 'complete']
      ])
    }
    this.#doc({ id, type: 'd.Log', name, method: 'append', script })
  }

  #withdraw(): void {
    const [from, to] = this.#pick([
      ['a', 'b'],
      ['b', 'c'],
      ['c', 'a']
    ] as const)
    const id = `withdraw ${++this.#n}`
    const amount = 1 + this.#below(9)
    const params = { n: this.#n, amount }
    const deposit = { jobId: `deposit ${this.#n}`, method: 'd.Account.deposit', queue: 'bank', document: to, params }
    this.#doc({ id, type: 'd.Account', name: from, method: 'withdraw', script: { ...params, children: [deposit] } })
  }

  #tick(): void {
    const id = `tick ${++this.#n}`
    const script = { n: this.#n, remindsAfterMs: this.#below(60_000) }
    this.#doc({ id, type: 'd.Clock', name: 'clock', method: 'tick', script })
  }

  #doc({ id, type, name, method, script }: { id: string; type: string; name: string; method: string; script: Script }) {
    const job = this.#ledger.asked(id, script)
    const request = { type, name, method, jobId: id, queue: 'bank', params: script }
    this.#promise(job, 0.3, (service) => service.enqueueDoc(request))
  }

  #promise(job: KnownJob, waitShare: number, call: (service: ServiceMethods) => Promise<unknown>): void {
    void this.#world.request(`enqueue ${job.id}`, call).then((answer) => {
      job.enqueued = promisedBy(answer)
      if (answer.type === 'acknowledged' && this.#chance(waitShare)) this.#waitFor(job)
    })
  }

  #waitFor(job: KnownJob): void {
    const { retries } = job
    void this.#world
      .request(`wait ${job.id}`, (service) => service['job.wait']({ id: job.id }))
      .then((answer) => {
        if (answer.type === 'acknowledged') this.#ledger.sawEnd(job, answer.value, retries)
      })
  }

  #change(how: 'cancel' | 'retry' | 'remove'): void {
    const job = this.#someJob()
    if (job === undefined) return
    const { id, retries } = job
    if (how === 'cancel') {
      void this.#world
        .request(`cancel ${id}`, (service) => service['job.cancel']({ id }))
        .then((answer) => {
          if (answer.type !== 'acknowledged' || !answer.value.changed) return
          this.#ledger.sawEnd(job, { state: answer.value.state }, retries)
        })
      return
    }
    // Jobs of documents keep the order of their first run.
    if (!id.startsWith('job ') || job.script.strict !== undefined || this.#isParent.has(id)) return
    if (how === 'retry') {
      job.retries++
      job.openRetries++
      job.ended = undefined
      const params = this.#chance(0.3) ? { params: { ...job.script, calls: [] } } : {}
      void this.#world
        .request(`retry ${id}`, (service) => service['job.retry']({ id, ...params }))
        .then(() => {
          job.openRetries--
          job.ended = undefined
        })
      return
    }
    const before = job.removed
    if (before === 'no') job.removed = 'maybe'
    void this.#world
      .request(`remove ${id}`, (service) => service['job.remove']({ id }))
      .then(({ type }) => {
        if (type === 'acknowledged') job.removed = 'acknowledged'
        else if (type === 'refused' && before === 'no' && job.removed === 'maybe') job.removed = 'no'
      })
  }

  #signal(): void {
    const job = this.#signalled.length === 0 ? undefined : this.#pick(this.#signalled)
    if (job === undefined) return
    const payload = `signal ${++this.#n}`
    void this.#world.request(payload, (service) => service['job.signal']({ id: job.id, name: 's', payload }))
  }

  /** Jobs and a document that marks them, and perhaps the end of another job. */
  #operations(): { ids: string[]; document: string; operations: TransactionOperation[] } {
    const n = ++this.#n
    const ids = [`part ${n} 1`, `part ${n} 2`]
    const document = `marker ${n}`
    const jobs = ids.map((jobId) => ({ op: 'enqueue' as const, job: { method: 'w.part', jobId, params: { n } } }))
    const state = { list: [], balance: 0, padding: '' }
    return { ids, document, operations: [...jobs, { op: 'setState', type: 'd.Marker', name: document, state }] }
  }

  #transaction(): void {
    const { ids, document, operations } = this.#operations()
    const together = { ids, document, promised: 'asked' } as Ledger['together'][number]
    this.#ledger.together.push(together)
    void this.#world
      .request(`transaction ${document}`, (service) => service.transaction({ operations }))
      .then((answer) => {
        together.promised = promisedBy(answer)
      })
  }

  #prepare(): void {
    const { ids, document, operations } = this.#operations()
    const together = { ids, document, promised: 'prepared' } as Ledger['together'][number]
    this.#ledger.together.push(together)
    void this.#world
      .request(`prepare ${document}`, (service) => service['outbox.prepare']({ outbox: 'o', operations }))
      .then((answer) => {
        if (answer.type === 'acknowledged') this.#prepared.push({ id: answer.value.id, operations: together })
      })
  }

  #decide(): void {
    if (this.#prepared.length === 0) return
    const [entry] = this.#prepared.splice(this.#below(this.#prepared.length), 1)
    const { id, operations } = entry!
    const isCommit = this.#chance(0.7)
    operations.promised = 'asked'
    const { document } = operations
    const answer: Promise<{ type: 'acknowledged' | 'refused' | 'unknown' }> = isCommit
      ? this.#world.request(`commit of ${document}`, (service) => service['outbox.commit']({ id }))
      : this.#world.request(`abort of ${document}`, (service) => service['outbox.abort']({ id }))
    void answer.then(({ type }) => {
      if (type === 'acknowledged') operations.promised = isCommit ? 'acknowledged' : 'aborted'
      else if (type === 'refused') {
        // A full disk: it is still prepared.
        operations.promised = 'prepared'
        this.#prepared.push(entry!)
      } else operations.promised = 'unknown'
    })
  }

  /** Two documents that are always the same. */
  #pair(): void {
    const state = { list: [++this.#n], balance: 0, padding: '' }
    const operations = ['left', 'right'].map((name) => ({ op: 'setState' as const, type: 'd.Pair', name, state }))
    void this.#world.request('pair', (service) => service.transaction({ operations }))
  }

  /** A document that jobs and clients write, so that they meet. */
  #share(): void {
    const id = `share ${++this.#n}`
    this.#doc({ id, type: 'd.Shared', name: 'shared', method: 'append', script: { n: this.#n } })
  }

  /** What it has read, with one more: only if it is still so. */
  #write(): void {
    const n = ++this.#n
    const promise = { n, promised: 'asked' } as Ledger['written'][number]
    this.#ledger.written.push(promise)
    const call = async (service: ServiceMethods) => {
      const found = await service['doc.get']({ type: 'd.Shared', name: 'shared' }).catch(() => undefined)
      const { list } = (found?.state ?? { list: [] }) as { list: number[] }
      const state = { list: [...list, n], balance: 0, padding: '' }
      const revision = found?.revision ?? null
      const operations = [{ op: 'setState' as const, type: 'd.Shared', name: 'shared', state, revision }]
      return service.transaction({ operations })
    }
    void this.#world.request(`write ${n}`, call).then((answer) => {
      promise.promised = promisedBy(answer)
    })
  }

  /** Anything, under ids that are in use. */
  #crowd(): void {
    const id = this.#pick(crowdIds)
    const queue = this.#pick(['crowd', 'crowd', 'long'])
    const selection = { queue: 'crowd', ...(this.#chance(0.5) ? { state: this.#pick(jobStates) } : {}) }
    const limit = 1 + this.#below(8)
    this.#pick<() => void>([
      ...times(8, () => void this.#world.request(`crowd ${id}`, (service) => service.enqueue(this.#crowdRequest(id)))),
      () => void this.#world.request(`cancel ${id}`, (service) => service['job.cancel']({ id })),
      () => void this.#world.request(`retry ${id}`, (service) => service['job.retry']({ id })),
      () => void this.#world.request(`remove ${id}`, (service) => service['job.remove']({ id })),
      () => void this.#world.request(`move ${id}`, (service) => service['job.move']({ id, queue })),
      () => void this.#world.request('cancelMany', (service) => service['job.cancelMany']({ ...selection, limit })),
      () =>
        void this.#world.request('retryMany', (service) =>
          service['job.retryMany']({ queue: 'crowd', state: 'failed', limit })
        ),
      () =>
        void this.#world.request('removeMany', (service) =>
          service['job.removeMany']({ queue: 'crowd', state: 'completed', limit })
        ),
      () =>
        void this.#world.request('moveMany', (service) =>
          service['job.moveMany']({ queue: 'long', state: 'ready', to: 'crowd', limit })
        ),
      () => void this.#world.request('purge', (service) => service['queue.purge']({ queue: 'crowd' }))
    ])()
  }

  #crowdRequest(id: string): EnqueueRequest {
    const form = this.#pick([undefined, true, { for: 20 }, { debounce: 5 }, { keepLast: true as const }])
    const isDebounced = typeof form === 'object' && 'debounce' in form
    const script: Script = { n: ++this.#n, ...this.#ends() }
    return {
      method: 'w.crowd',
      queue: 'crowd',
      params: script,
      attempts: 1 + this.#below(3),
      priority: this.#below(3),
      ...(form === undefined && this.#chance(0.7) ? {} : { jobId: id }),
      ...(form === undefined ? {} : { deduplicate: form }),
      ...(this.#chance(0.5) ? { key: this.#pick(['p', 'q']) } : {}),
      ...(this.#chance(0.2) && !isDebounced ? { delay: this.#below(30) } : {}),
      ...(this.#chance(0.2) ? { dependsOn: [this.#pick(crowdIds)] } : {}),
      ...(this.#chance(0.2) ? { expires: this.#below(20) } : {}),
      ...(this.#chance(0.2) ? { resultTtl: this.#below(10) } : {}),
      ...(this.#chance(0.2) ? { retention: { failed: { age: 5 }, cancelled: { age: 0 } } } : {}),
      ...(this.#chance(0.2) ? { onSuccess: { method: 'w.after', queue: 'crowd' } } : {})
    } as EnqueueRequest
  }

  /** Whoever runs the machine. */
  #operate(): void {
    const queue = this.#pick(['default', 'bank', 'crowd'])
    this.#pick<() => void>([
      () => void this.#world.request(`pause ${queue}`, (service) => service['queue.pause']({ queue, until: 30 })),
      () => void this.#world.request(`pause ${queue}`, (service) => service['queue.pause']({ queue })),
      ...times(2, () => void this.#world.request(`resume ${queue}`, (service) => service['queue.resume']({ queue }))),
      () => void this.#world.request('trigger', (service) => service['schedule.trigger']({ event: 'w.all' })),
      () => void this.#world.request('skip', (service) => service['schedule.skip']({ event: 'w.skips' })),
      () => void this.#world.request('maintenance', (service) => service.maintenance({ on: true })),
      ...times(2, () => void this.#world.request('work', (service) => service.maintenance({ on: false }))),
      () => void this.#world.request('schedule pause', (service) => service['schedule.pause']({ event: 'w.skips' })),
      () => void this.#world.request('schedule resume', (service) => service['schedule.resume']({ event: 'w.skips' }))
    ])()
  }

  #calls(id: string): { calls?: ScriptedCall[] } {
    if (this.#chance(0.6)) return {}
    const calls = Array.from(
      { length: 1 + this.#below(3) },
      (_, at): ScriptedCall =>
        this.#pick<ScriptedCall>([
          { type: 'step' },
          { type: 'step', throws: true },
          { type: 'sleep', ms: this.#below(40_000) },
          { type: 'waitFor', name: 's', ms: this.#chance(0.5) ? null : this.#below(60_000) },
          { type: 'enqueue', jobId: `at once ${id} ${at}`, queue: 'default' }
        ])
    )
    return { calls }
  }

  #ends(): { ends?: ScriptedEnd[] } {
    if (this.#chance(0.5)) return {}
    const ends: ScriptedEnd[] = ['complete', 'throw', 'throwForGood', 'retryLater', 'hang', 'crash', 'crashAlone']
    return { ends: [...Array.from({ length: 1 + this.#below(2) }, () => this.#pick(ends)), 'complete'] }
  }

  #someJob(): KnownJob | undefined {
    const jobs = [...this.#ledger.jobs.values()]
    return jobs.length === 0 ? undefined : this.#pick(jobs.slice(-25))
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#below(from.length)]!
  }

  #below(bound: number): number {
    return Math.floor(this.#world.random() * bound)
  }

  #chance(share: number): boolean {
    return this.#world.random() < share
  }
}

function times<T>(count: number, value: T): T[] {
  return Array.from({ length: count }, () => value)
}
