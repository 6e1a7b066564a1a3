/**
 * Who starts next, in the model: turns of keys, holds and the windows of rate limits, after the heads of claiming.ts,
 * key-groups.ts and start-window.ts.
 *
 * A key is known while it has jobs that are ready or hold it, or starts in its window; it takes its first turn after those
 * that are known. Starts that are over are forgotten when the queue looks at the key again: when what is ready or
 * holds it changes, or at a claim.
 */
import { comparePlaces, expired, type ModelJob, type ModelQueue, orderOf, rankOf } from './model.ts'

interface Key {
  queue: string
  key: string
  /** In the order in which keys became known. */
  number: number
  turn: number
}

interface Start {
  queue: string
  key: string | null
  job: number
  atMs: number
  noted: boolean
}

/** With ageing, ranks differ by when a job came: keys then only take turns. */
const agedRankMin = 2_000_001

export class ModelTurns {
  readonly #model: ModelQueue
  #keys: Key[] = []
  #starts: Start[] = []
  readonly #turn = new Map<string, number>()
  readonly #unkeyedTurn = new Map<string, number>()
  #numbers = 0
  #touched: ModelJob[] = []

  constructor(model: ModelQueue) {
    this.#model = model
  }

  /** Told before and after the place of a job changes. */
  changed(job: ModelJob): void {
    if (job.key === null || !this.#uses(job)) return
    this.#touched.push({ ...job })
    const key = this.#keyOf(job.queue, job.key)
    if (key === undefined && this.#model.jobs.includes(job)) {
      this.#keys.push({ queue: job.queue, key: job.key, number: ++this.#numbers, turn: this.#nextTurn(job.queue) })
    }
  }

  /** What has nothing left is forgotten. */
  commitEnds(): void {
    for (const { queue, key } of this.#touched) this.#sweep(queue, key!)
    this.#touched = []
  }

  /** 0: it has no key. */
  numberOf(job: ModelJob): number {
    return job.key === null ? 0 : (this.#keyOf(job.queue, job.key)?.number ?? Number.NaN)
  }

  /** @returns the jobs that start, in order; what has expired is cancelled instead */
  claim(queue: string, threads: number, jobs: number): ModelJob[] {
    if (this.#model.isPaused(queue)) return []
    this.#prune(queue, null)
    for (const { key } of this.#keys.filter((each) => each.queue === queue)) this.#sweep(queue, key)
    const claimed: ModelJob[] = []
    const max = this.#model.queues.get(queue)!.rateLimit === null ? jobs : threads
    while (claimed.length < max) {
      this.commitEnds()
      const next = this.next(queue)
      if (next === undefined) break
      const { job, isBeforeKeys } = next
      const isAhead = claimed.length >= threads
      if (isAhead && (job.startedAtMs !== null || job.parents.length > 0)) break
      if (job.expiresAtMs !== null && job.expiresAtMs <= this.#model.nowMs && job.startedAtMs === null) {
        this.#model.saw('expired at claim')
        this.#model.finish(job, 'cancelled', { error: expired })
        continue
      }
      if (isAhead && job.key !== null) break
      if (isAhead) this.#model.saw('claimed ahead')
      this.#start(job, isBeforeKeys)
      claimed.push(job)
    }
    return claimed
  }

  #start(job: ModelJob, isBeforeKeys: boolean): void {
    const { rateLimit, keyRateLimit } = this.#model.queues.get(job.queue)!
    if (job.key !== null) this.#keyOf(job.queue, job.key)!.turn = this.#nextTurn(job.queue)
    else if (isBeforeKeys) this.#unkeyedTurn.set(job.queue, this.#nextTurn(job.queue))
    const start = { queue: job.queue, job: job.number, atMs: this.#model.nowMs, noted: false }
    if (rateLimit !== null) this.#starts.push({ ...start, key: null })
    if (keyRateLimit !== null && job.key !== null) this.#starts.push({ ...start, key: job.key })
    this.#model.start(job)
  }

  /** A job that may start now, if there is one. */
  next(queue: string): { job: ModelJob; isBeforeKeys: boolean } | undefined {
    const { rateLimit } = this.#model.queues.get(queue)!
    if (rateLimit !== null && this.#over(queue, null).length >= rateLimit.max) {
      if (this.#model.count(queue, 'ready') > 0) this.#model.saw('held back by the rate of the queue')
      return undefined
    }
    const ready = this.#model.walk('ready', queue)
    const head = ready.find(({ key }) => key === null)
    const heads = this.#keys.filter((key) => key.queue === queue).flatMap((key) => this.#headOf(key, ready) ?? [])
    heads.sort((one, other) => comparePlaces(one.place, other.place))
    const keyed = heads[0]
    if (keyed === undefined) return head === undefined ? undefined : { job: head, isBeforeKeys: false }
    if (heads.length > 1) this.#model.saw('keys take turns')
    if (head === undefined) return { job: keyed.job, isBeforeKeys: false }
    const place = placeOf(head, this.#unkeyedTurn.get(queue) ?? 0)
    return comparePlaces(place, keyed.place) < 0
      ? { job: head, isBeforeKeys: true }
      : { job: keyed.job, isBeforeKeys: false }
  }

  /** The first job of a key, where it may start. */
  #headOf({ queue, key, turn }: Key, ready: readonly ModelJob[]): { job: ModelJob; place: number[] } | undefined {
    const job = ready.find((each) => each.key === key)
    if (job === undefined) return undefined
    const held = this.#model.jobs.filter((each) => each.queue === queue && each.key === key && holdsKey(each)).length
    const { keyRateLimit } = this.#model.queues.get(queue)!
    if (job.keyConcurrency !== null && held >= job.keyConcurrency) {
      this.#model.saw('held back by keyConcurrency')
      return undefined
    }
    if (keyRateLimit !== null && this.#over(queue, key).length >= keyRateLimit.max) {
      this.#model.saw('held back by the rate of the key')
      return undefined
    }
    return { job, place: placeOf(job, turn) }
  }

  /** A thread took the job. The first note counts. */
  noteStart(job: ModelJob, atMs: number): void {
    for (const start of this.#starts) {
      if (start.job !== job.number || start.noted) continue
      start.noted = true
      start.atMs = Math.max(start.atMs, atMs)
      if (job.key !== null) this.#touched.push({ ...job })
    }
  }

  /** Starts that count now, whether or not those that are over have been forgotten. */
  #over(queue: string, key: string | null): Start[] {
    return this.#starts.filter((start) => start.queue === queue && start.key === key && !this.#isOver(start))
  }

  #isOver({ queue, key, atMs, noted }: Start): boolean {
    const { rateLimit, keyRateLimit } = this.#model.queues.get(queue)!
    const { perMs } = (key === null ? rateLimit : keyRateLimit)!
    return noted && atMs + perMs < this.#model.nowMs
  }

  #prune(queue: string, key: string | null): void {
    this.#starts = this.#starts.filter((start) => start.queue !== queue || start.key !== key || !this.#isOver(start))
  }

  #sweep(queue: string, key: string): void {
    this.#prune(queue, key)
    const isUsed =
      this.#model.jobs.some((job) => job.queue === queue && job.key === key && this.#uses(job)) ||
      this.#starts.some((start) => start.queue === queue && start.key === key)
    if (!isUsed) this.#keys = this.#keys.filter((each) => each.queue !== queue || each.key !== key)
  }

  #uses(job: ModelJob): boolean {
    return job.state === 'ready' || holdsKey(job)
  }

  #keyOf(queue: string, key: string): Key | undefined {
    return this.#keys.find((each) => each.queue === queue && each.key === key)
  }

  #nextTurn(queue: string): number {
    const turn = (this.#turn.get(queue) ?? 0) + 1
    this.#turn.set(queue, turn)
    return turn
  }
}

/** Counts against the `keyConcurrency` of its key: while it runs, and with 1 also while it waits for its next attempt. */
function holdsKey({ state, made, keyConcurrency }: ModelJob): boolean {
  return state === 'running' || (state === 'scheduled' && made > 0 && keyConcurrency === 1)
}

function placeOf(job: ModelJob, turn: number): number[] {
  return job.atFront ? orderOf(job) : [1, Math.min(rankOf(job), agedRankMin), turn]
}
