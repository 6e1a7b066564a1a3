/**
 * The durable queue and the model side by side: performs each step on both and compares what can be seen of them.
 *
 * A crash may fall after any commit of a step. Which part of it then has happened is found by letting the model take its
 * parts one after the other until it agrees; so exactly what the documentation allows is allowed.
 */
import assert from 'node:assert/strict'
import { RuntimeError } from '../../runtime/core/errors.ts'
import type { EnqueueRequest, EnqueueResult, JobSelection, JobView } from '../../runtime/core/job.ts'
import { type FinishedState, finishedStates, isFinished, jobStates } from '../../runtime/core/lifecycle.ts'
import type { ClaimedJob } from '../../runtime/queue/claimed-job.ts'
import { finishedPlaces } from '../../runtime/queue/finished-runs.ts'
import { bytesOfDigest } from '../../runtime/store/digest.ts'
import { finishedRange, metaKey } from '../../runtime/store/keys.ts'
import { countersCodec } from '../../runtime/store/records.ts'
import { type ModelJob, ModelQueue } from './model.ts'
import { enqueue } from './model-admission.ts'
import { endings, queues, type RequestStep, type SelectionStep, type Step } from './model-steps.ts'
import { bulk, type ModelBulkChange, type ModelCursor, passes, purge, roomIn } from './model-walks.ts'
import { Died, type OpenQueue } from './open-queue.ts'

/** One call of the queue, and what the model does for it, part by part. */
interface Operation {
  run: () => Promise<unknown>
  parts: Generator<void, unknown>
  check: (result: never, expected: never) => void
  /** It is one commit, or as good as one. */
  isWhole: boolean
}

const bytesBounded = queues.flatMap(({ name, retention }) =>
  finishedStates.flatMap((state) => {
    const { bytes } = retention[state]
    return bytes === null ? [] : [{ queue: name, state, bytes }]
  })
)

const manyCommits: ReadonlySet<string> = new Set(['bulk', 'purge', 'promote'])

interface Claimed {
  number: number
  claim: ClaimedJob
}

export class QueueAndModel {
  open: OpenQueue
  readonly model: ModelQueue
  readonly #names: readonly string[]
  readonly #isCrowd: boolean
  #claimed: Claimed[] = []
  readonly #awake = new Set<string>()
  readonly #readyAtMs = new Map<string, number>()
  #upkeepAtMs = 0
  #dueAtMs = 0

  /**
   * @param names of the queues that are used
   * @param isCrowd there are more jobs than one commit deals with: what it leaves to upkeep is waited for after each step
   */
  constructor(open: OpenQueue, names: readonly string[], seen: Map<string, number>, isCrowd = false) {
    this.open = open
    this.#names = names
    this.#isCrowd = isCrowd
    this.model = new ModelQueue(queues, open.clock.nowMs, seen)
    this.#wakeAll()
  }

  async perform(step: Step): Promise<void> {
    this.model.saw(step.do)
    switch (step.do) {
      case 'advance':
        this.open.clock.nowMs += step.byMs
        this.model.nowMs += step.byMs
        break
      case 'together':
        await this.#together(step.steps)
        break
      case 'crash':
        await this.#crash(step.during, step.commits)
        break
      case 'bulk':
        await this.#bulk(step)
        break
      case 'claim': {
        const before = this.#claimed.length
        await this.#whole(this.#operationOf(step))
        if (!step.isNoted) break
        for (const entry of this.#claimed.slice(before)) await this.#whole(this.#note(entry, this.model.nowMs))
        break
      }
      case 'list':
        this.#list(step.selection, step.limit)
        break
      default:
        await this.#whole(this.#operationOf(step))
    }
    if (this.#isCrowd) {
      await this.#catchUp(0)
      this.#modelUpkeep()
      this.#adoptForgotten()
    }
    this.#hear()
    this.compare()
    this.#checkThatNothingSleeps(step)
  }

  async #whole(operation: Operation | undefined): Promise<unknown> {
    if (operation === undefined) return undefined
    const result = operation.run()
    const expected = this.#allParts(operation)
    operation.check((await result) as never, expected as never)
    return expected
  }

  #allParts({ parts }: Operation): unknown {
    for (;;) {
      const { done, value } = parts.next()
      this.model.turns.commitEnds()
      if (done) return value
    }
  }

  /** In one commit. */
  async #together(steps: readonly Step[]): Promise<void> {
    const started: { result: Promise<unknown>; expected: unknown; operation: Operation }[] = []
    for (const step of steps) {
      const operation = this.#operationOf(step)
      if (operation === undefined) continue
      const result = operation.run()
      const { done, value } = operation.parts.next()
      assert.ok(done)
      started.push({ result, expected: value, operation })
    }
    this.model.turns.commitEnds()
    for (const { result, expected, operation } of started) operation.check((await result) as never, expected as never)
  }

  async #crash(during: Step | undefined, commits: number): Promise<void> {
    // What runs and is not settled yet would hide which part was done.
    if (this.#isCrowd && during !== undefined && manyCommits.has(during.do)) await this.#reopen()
    const operation = during === undefined ? undefined : this.#operationOf(during)
    if (during !== undefined && operation !== undefined) await this.#die(during, operation, commits)
    await this.#reopen()
    if (during?.do === 'purge' || during?.do === 'bulk') await this.perform(during)
  }

  async #reopen(): Promise<void> {
    this.open = await this.open.reopen()
    assert.equal(this.open.recovered, this.model.crash())
    this.model.turns.commitEnds()
    this.#wakeAll()
  }

  async #die(step: Step, operation: Operation, commits: number): Promise<void> {
    this.open.dieAfter(commits)
    let result: unknown
    try {
      result = await operation.run()
    } catch (error) {
      if (!(error instanceof Died)) throw error
      this.model.saw(`died after ${commits}`)
      if (this.#isCrowd) {
        this.open = await this.open.reopen()
        await this.#catchUp(commits)
      }
      if (operation.isWhole) {
        if (commits > 0) this.#allParts(operation)
        if (commits > 0 && step.do === 'upkeep') this.#adoptForgotten()
        if (this.#isCrowd) {
          this.model.crash()
          this.#modelUpkeep()
          this.#adoptForgotten()
        }
        this.compare()
      } else this.#findPrefix(operation, commits)
      return
    }
    operation.check(result as never, this.#allParts(operation) as never)
  }

  #findPrefix({ parts }: Operation, commits: number): void {
    let taken = 0
    for (let done: boolean | undefined = false; !this.#agrees(); taken++) {
      if (done) this.compare()
      done = parts.next().done
      this.model.turns.commitEnds()
      if (this.#isCrowd) this.#modelUpkeep()
    }
    assert.ok(taken <= commits * 100, `${taken} parts in ${commits} commits`)
    if (taken > 0) this.model.saw('died halfway')
  }

  /** Does what upkeep has to do; dies once in the middle of it, if there are so many commits. */
  async #catchUp(commits: number): Promise<void> {
    if (commits > 0) {
      this.open.dieAfter(commits)
      try {
        await this.#upkeepAll()
      } catch (error) {
        if (!(error instanceof Died)) throw error
        this.model.saw('died in upkeep')
      }
      this.#compareCounts()
      this.open = await this.open.reopen()
    }
    await this.#upkeepAll()
  }

  #modelUpkeep(): void {
    this.model.upkeep()
    this.model.turns.commitEnds()
  }

  async #upkeepAll(): Promise<number | null> {
    let pieces = 0
    let nextAtMs: number | null
    do {
      nextAtMs = await this.open.queue.upkeep(this.open.clock.nowMs)
      if (++pieces > 1) this.model.saw('upkeep in pieces')
      assert.ok(pieces < upkeepPiecesMax, 'upkeep comes to an end')
    } while (nextAtMs !== null && nextAtMs <= this.open.clock.nowMs)
    return nextAtMs
  }

  /** Halfway as well, every job is counted where it is. */
  #compareCounts(): void {
    const { jobs } = this.open.queue.list({ limit: 1000 })
    for (const name of this.#names) {
      const { counts } = this.open.queue.queue(name)
      for (const state of jobStates) {
        const listed = jobs.filter((job) => job.queue === name && job.state === state)
        assert.equal(counts[state], listed.length, `${state} in ${name}`)
        assert.equal(this.open.queue.list({ queue: name, state, limit: 1000 }).jobs.length, listed.length)
      }
    }
  }

  #agrees(): boolean {
    try {
      if (this.#isCrowd) this.#adoptForgotten()
      this.compare()
      return true
    } catch (error) {
      if (error instanceof assert.AssertionError) return false
      throw error
    }
  }

  #queueOf(at: number): string {
    return this.#names[at % this.#names.length]!
  }

  #jobOf(pick: number): ModelJob | undefined {
    return pick % 30 === 29 ? undefined : this.model.jobs[pick % Math.max(this.model.jobs.length, 1)]
  }

  #operationOf(step: Step): Operation | undefined {
    const { queue, clock, told } = this.open
    const { model } = this
    switch (step.do) {
      case 'enqueue': {
        const requests = step.requests.map((request, at) => this.#requestOf(request, at, step.requests.length))
        return commitOf(
          () => codeOr(queue.enqueue(requests)),
          () => enqueue(model, requests),
          (results: EnqueueResult[] | string, expected: ReturnType<typeof enqueue>) => {
            if (typeof results === 'string' || expected instanceof Set) {
              const codes = expected instanceof Set ? [...expected] : []
              assert.ok(codes.includes(results as string), `got ${JSON.stringify(results)}, expected ${codes}`)
              model.saw(`enqueue: ${results}`)
              return
            }
            results.forEach(({ id }, at) => {
              const { job } = expected[at]!
              if (job?.id === '') job.id = id
            })
            assert.deepEqual(
              results.map(({ id, state, deduplicated }) => [id, state, deduplicated]),
              expected.map(({ id, state, deduplicated, job }) => [job?.id ?? id, state, deduplicated])
            )
          }
        )
      }
      case 'claim':
        return this.#claim(this.#queueOf(step.queue), step.max, step.max + step.ahead)
      case 'note': {
        const entry = this.#claimed[step.pick % Math.max(this.#claimed.length, 1)]
        if (entry === undefined) return undefined
        return this.#note(entry, clock.nowMs - step.lateMs)
      }
      case 'settle': {
        const [entry] = this.#claimed.splice(step.pick % Math.max(this.#claimed.length, 1), 1)
        if (entry === undefined) return undefined
        const ending = endings[step.ending]!
        return commitOf(
          () => queue.settle(entry.claim, ending, { progress: null, logs: [] }),
          () => {
            const job = this.#running(entry)
            if (job !== undefined) model.settle(job, ending)
            return job !== undefined
          },
          assert.equal
        )
      }
      case 'settleAll': {
        const ends = step.ends.flatMap(({ pick, ending }) => {
          const [entry] = this.#claimed.splice(pick % Math.max(this.#claimed.length, 1), 1)
          return entry === undefined ? [] : [{ entry, ending: endings[ending]! }]
        })
        if (ends.length > 1) model.saw('settled together')
        return commitOf(
          () =>
            queue.settleAll(
              ends.map(({ entry, ending }) => ({ job: entry.claim, ending, trace: { progress: null, logs: [] } }))
            ),
          () => {
            for (const { entry, ending } of ends) {
              const job = this.#running(entry)
              if (job !== undefined) model.settle(job, ending)
            }
          }
        )
      }
      case 'promote':
        return {
          run: () => queue.promoteDue(clock.nowMs),
          parts: model.promote(),
          check: (nextAtMs: number | null, expected: number | null) => {
            assert.equal(nextAtMs, expected)
            this.#dueAtMs = nextAtMs ?? Number.POSITIVE_INFINITY
          },
          isWhole: false
        }
      case 'upkeep':
        return commitOf(
          async () => {
            this.#sizesBefore = new Map(bytesBounded.flatMap((place) => [...this.#sizesOf(place)]))
            return this.#upkeepAll()
          },
          () => model.upkeep(),
          (nextAtMs: number | null) => {
            this.#adoptForgotten()
            told.upkeepAt.length = 0
            this.#upkeepAtMs = nextAtMs ?? Number.POSITIVE_INFINITY
          }
        )
      case 'cancel':
      case 'remove':
      case 'retry':
      case 'move':
        return this.#change(step)
      case 'purge': {
        const name = this.#queueOf(step.queue)
        return {
          run: () => queue.purge(name, step.states),
          parts: purge(model, name, step.states),
          check: assert.equal,
          isWhole: false
        }
      }
      case 'bulk':
        return this.#bulkStep(step, undefined, null)
      case 'pause': {
        const name = this.#queueOf(step.queue)
        const untilMs = step.paused && step.forMs !== undefined ? clock.nowMs + step.forMs : null
        return commitOf(
          () => queue.setPaused(name, step.paused, untilMs),
          () => {
            model.pauses.set(name, step.paused ? (untilMs ?? Number.POSITIVE_INFINITY) : 0)
          }
        )
      }
      default:
        throw new Error(`no single operation: ${step.do}`)
    }
  }

  #requestOf({ options, dependsOn }: RequestStep, own: number, jobs: number): EnqueueRequest {
    const { queue, onSuccess, onFailure, ...rest } = options
    const request: EnqueueRequest = {
      ...rest,
      queue: this.#queueOf(Number(queue)),
      ...(onSuccess === undefined ? {} : { onSuccess }),
      ...(onFailure === undefined ? {} : { onFailure })
    }
    if (dependsOn === undefined) return request
    if (dependsOn === 'others') return { ...request, dependsOn }
    const { model } = this
    const ids = dependsOn.jobs.map((pick) =>
      pick % 30 === 29 ? 'gone' : (model.jobs[pick % Math.max(model.jobs.length, 1)]?.id ?? '')
    )
    const indexes = dependsOn.indexes.map((after) => (own + after) % jobs).filter((at) => jobs > 1 || at > 0)
    return { ...request, dependsOn: [...ids.filter((id) => id !== ''), ...indexes] }
  }

  #claim(name: string, threads: number, jobs: number): Operation {
    const { queue } = this.open
    const { model } = this
    return commitOf(
      async () => {
        this.#awake.delete(name)
        this.#readyAtMs.delete(name)
        const claims = await queue.claim(name, { threads, jobs })
        if (claims.length >= threads) this.#awake.add(name)
        return claims
      },
      () =>
        model.turns
          .claim(name, threads, jobs)
          .map((job) => ({ job, ...job, parents: job.parents.map((each) => ({ ...each })) })),
      (claims: ClaimedJob[], chosen: (ModelJob & { job: ModelJob })[]) => {
        // What is cancelled in the same commit does not start.
        const expected = chosen.filter(({ job, made }) => job.state === 'running' && job.made === made)
        for (const [at, { job }] of expected.entries()) if (job.id === '') job.id = claims[at]?.id ?? ''
        assert.deepEqual(
          claims.map(({ id, attempt, alone, parents }) => [id, attempt, alone, parents ?? []]),
          expected.map(({ job, made, crashes, parents }) => [
            job.id,
            made,
            crashes > 0,
            parents.map(({ of, state, result }) => ({ id: of.id, state, ...(result === null ? {} : { result }) }))
          ])
        )
        this.#claimed.push(...expected.map(({ number }, at) => ({ number, claim: claims[at]! })))
      }
    )
  }

  /** A thread takes the job at once. */
  #note(entry: Claimed, atMs: number): Operation {
    const { model } = this
    return commitOf(
      () => this.open.queue.noteStart(entry.claim, atMs),
      () => {
        const job = this.#running(entry)
        if (job !== undefined) model.turns.noteStart(job, atMs)
      }
    )
  }

  /** Whether the job is still in the attempt that was claimed. */
  #running({ number, claim }: Claimed): ModelJob | undefined {
    const job = this.model.numbered(number)
    return job?.state === 'running' && job.made === claim.attempt ? job : undefined
  }

  #change(step: Step & { do: 'cancel' | 'remove' | 'retry' | 'move' }): Operation | undefined {
    const { queue, told } = this.open
    const { model } = this
    const job = this.#jobOf(step.pick)
    const id = job?.id ?? 'gone'
    if (id === '') return undefined
    const check = (result: unknown, expected: unknown) => {
      assert.deepEqual(result, expected)
      if (typeof expected === 'string') model.saw(`${step.do}: ${expected}`)
    }
    const onKnown = (change: (known: ModelJob) => unknown) => () =>
      job === undefined || !model.jobs.includes(job) ? 'JOB_UNKNOWN' : change(job)
    switch (step.do) {
      case 'cancel':
        return commitOf(
          () => codeOr(queue.cancel(id, () => undefined)),
          onKnown((known) => {
            const wasRunning = known.state === 'running'
            const changed = model.cancel(known)
            return { id, state: known.state, changed, wasRunning }
          }),
          (result: unknown, expected: unknown) => {
            if (typeof expected === 'string') return check(result, expected)
            const { wasRunning, ...answer } = expected as { wasRunning: boolean }
            check(result, answer)
            if (wasRunning) assert.ok(told.cancelled.includes(id))
          }
        )
      case 'remove':
        return commitOf(
          () => codeOr(queue.remove(id)),
          onKnown((known) => (known.state === 'running' ? 'JOB_STATE' : model.forget(known, 'hand'))),
          check
        )
      case 'retry': {
        const params = step.params === undefined ? undefined : { n: step.params }
        return commitOf(
          () => codeOr(queue.retry(id, params)),
          onKnown((known) => {
            if (!model.mayRetry(known)) return 'JOB_STATE'
            model.retry(known, params)
            return { id, state: 'ready', changed: true }
          }),
          check
        )
      }
      case 'move': {
        const to = this.#queueOf(step.queue)
        return commitOf(
          () => codeOr(queue.move(id, to)),
          onKnown((known) => {
            if (known.state !== 'ready' && known.state !== 'scheduled') return 'JOB_STATE'
            const changed = known.queue !== to
            if (changed && roomIn(model, to) <= 0) return 'QUEUE_FULL'
            if (changed) model.moveTo(known, to)
            return { id, state: known.state, changed }
          }),
          check
        )
      }
    }
  }

  async #bulk(step: Step & { do: 'bulk' }): Promise<void> {
    let cursor: string | undefined
    let at: ModelCursor | null = null
    for (;;) {
      const operation = this.#bulkStep(step, cursor, at)
      if (operation === undefined) return
      const result = operation.run()
      const expected = this.#allParts(operation) as { cursor: ModelCursor | null } | string
      const done = (await result) as { cursor: string | null } | string
      operation.check(done as never, expected as never)
      if (typeof expected === 'string' || typeof done === 'string' || done.cursor === null) return
      cursor = done.cursor
      at = expected.cursor
      if (!this.#isCrowd) this.compare()
    }
  }

  #bulkStep(step: Step & { do: 'bulk' }, cursor: string | undefined, at: ModelCursor | null): Operation | undefined {
    const { queue } = this.open
    const { model } = this
    if (step.change === 'remove' && step.selection.state === undefined) return undefined
    const params = step.edits ? { n: 9 } : undefined
    const to = this.#queueOf(step.to)
    const changes: Record<string, ModelBulkChange> = {
      cancel: { type: 'cancel' },
      retry: { type: 'retry', params },
      remove: { type: 'remove' },
      move: { type: 'move', to }
    }
    const change = changes[step.change]!
    const selection = { ...this.#selectionOf(step.selection), limit: step.limit }
    return {
      run: () =>
        codeOr(
          queue.bulk(change.type === 'cancel' ? { type: 'cancel', traceOf: () => undefined } : change, {
            ...selection,
            ...(cursor === undefined ? {} : { cursor })
          })
        ),
      parts: bulk(model, change, selection, at === null ? null : { ...at }),
      check: (
        result: { changed: number; cursor: string | null } | string,
        expected: { changed: number; cursor: ModelCursor | null } | string
      ) => {
        if (typeof result === 'string' || typeof expected === 'string') {
          assert.equal(result, expected)
          model.saw(`bulk: ${expected}`)
          return
        }
        assert.deepEqual([result.changed, result.cursor === null], [expected.changed, expected.cursor === null])
        if (result.changed > 0) model.saw(`bulk ${step.change}`)
      },
      isWhole: false
    }
  }

  #selectionOf({ queue, sinceMs, untilMs, ...rest }: SelectionStep): JobSelection {
    const { nowMs } = this.model
    return {
      ...rest,
      ...(queue === undefined ? {} : { queue: this.#queueOf(queue) }),
      ...(sinceMs === undefined ? {} : { since: nowMs - sinceMs }),
      ...(untilMs === undefined ? {} : { until: nowMs - untilMs })
    }
  }

  #list(step: SelectionStep, limit: number): void {
    const selection = this.#selectionOf(step)
    const ids: string[] = []
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = this.open.queue.list({ ...selection, limit, ...(cursor === undefined ? {} : { cursor }) })
      assert.ok(page.jobs.length <= limit)
      ids.push(...page.jobs.map(({ id }) => id))
      cursor = page.cursor
    }
    const expected = this.model.walk(selection.state).filter((job) => passes(job, selection))
    if (expected.length > 0) this.model.saw('list found')
    assert.deepEqual(
      ids,
      expected.map(({ id }) => id)
    )
  }

  compare(): void {
    const { queue } = this.open
    const { model } = this
    const views = queue.list({ limit: 1000 }).jobs
    const jobs = model.walk()
    if (views.length !== jobs.length) {
      assert.deepEqual(views.map(nameOf), jobs.map(nameOf))
    }
    for (const [at, job] of jobs.entries()) if (job.id === '') job.id = views[at]!.id
    for (const [at, job] of jobs.entries()) {
      const view = views[at]!
      const expected = expectedOf(job)
      const shown = withoutUnknownId(shownOf(view), expected)
      if (JSON.stringify(shown) !== JSON.stringify(expected)) assert.deepEqual(shown, expected)
    }
    for (const name of this.#names) {
      const { counts, paused, pausedUntil } = queue.queue(name)
      const untilMs = model.pauses.get(name) ?? 0
      const isPaused = untilMs > model.nowMs
      const expected = [
        isPaused,
        isPaused && untilMs !== Number.POSITIVE_INFINITY ? untilMs : null,
        jobStates.map((state) => model.count(name, state))
      ]
      const shown = [
        paused,
        pausedUntil === null ? null : Date.parse(pausedUntil),
        jobStates.map((state) => counts[state])
      ]
      if (JSON.stringify(shown) !== JSON.stringify(expected)) assert.deepEqual(shown, expected, name)
    }
    const one = jobs[model.nowMs % Math.max(jobs.length, 1)]
    if (one !== undefined && !isFinished(one.state)) {
      assert.deepEqual(queue.get(one.id).dependsOn ?? [], one.parents.map(({ of }) => of.id).slice(0, listedParentsMax))
    }
  }

  /** Retention by bytes: the model knows no bytes, but that those which are left fit, and one more would not. */
  #adoptForgotten(): void {
    const { model } = this
    for (const place of bytesBounded) {
      const sizes = this.#sizesOf(place)
      const jobs = model.retained(place.queue, place.state)
      const kept = jobs.filter(({ number }) => sizes.has(number))
      assert.deepEqual(kept, kept.length === 0 ? [] : jobs.slice(-kept.length), 'the newest are kept')
      const bytes = kept.reduce((sum, { number }) => sum + sizes.get(number)!, 0)
      assert.ok(bytes <= place.bytes, `${bytes} bytes of ${place.bytes}`)
      const forgotten = jobs.slice(0, jobs.length - kept.length)
      const known = new Set(
        forgotten.length === 0 ? [] : this.open.queue.list({ limit: 1000 }).jobs.map(({ id }) => id)
      )
      assert.deepEqual(
        forgotten.filter(({ id }) => known.has(id)),
        []
      )
      const more = this.#sizesBefore.get(forgotten.at(-1)?.number ?? 0)
      if (more !== undefined) assert.ok(bytes + more > place.bytes, `${bytes + more} bytes fit into ${place.bytes}`)
      for (const job of forgotten) {
        model.saw('retained by bytes')
        model.forget(job, 'retention')
      }
      model.turns.commitEnds()
    }
  }

  #sizesBefore = new Map<number, number>()

  #sizesOf({ queue, state }: { queue: string; state: FinishedState }): Map<number, number> {
    const range = finishedRange(state, queues.findIndex(({ name }) => name === queue) + 1)
    return new Map(
      [...finishedPlaces(this.open.store.reader, range)].map(({ seq, value }) => [seq, bytesOfDigest(value)])
    )
  }

  #wakeAll(): void {
    for (const name of this.#names) this.#awake.add(name)
    this.#readyAtMs.clear()
    this.#upkeepAtMs = 0
    this.#dueAtMs = 0
  }

  #hear(): void {
    const { told } = this.open
    for (const name of told.ready.splice(0)) this.#awake.add(name)
    for (const [name, atMs] of told.readyAt.splice(0)) {
      this.#readyAtMs.set(name, Math.min(this.#readyAtMs.get(name) ?? atMs, atMs))
    }
    this.#upkeepAtMs = Math.min(this.#upkeepAtMs, ...told.upkeepAt.splice(0))
    this.#dueAtMs = Math.min(this.#dueAtMs, ...told.scheduled.splice(0))
    told.cancelled.length = 0
  }

  /** Nothing polls: whoever has something to do has been told, or told when. */
  #checkThatNothingSleeps(step: Step): void {
    const { model } = this
    for (const name of this.#names) {
      const isAwake = this.#awake.has(name) || (this.#readyAtMs.get(name) ?? Number.POSITIVE_INFINITY) <= model.nowMs
      if (isAwake || model.isPaused(name)) continue
      assert.equal(model.turns.next(name)?.job.id, undefined, `${name} sleeps after ${step.do}`)
    }
    assert.ok(this.#dueAtMs <= (model.nextDueAtMs() ?? Number.POSITIVE_INFINITY), `promotion sleeps after ${step.do}`)
    assert.ok(this.#upkeepAtMs <= model.nextUpkeepAtMs(), `upkeep sleeps after ${step.do}`)
  }

  /** Once everything is over and removed, the store is as empty as in the beginning. */
  async leaveNothing(): Promise<void> {
    const { queue, clock, store } = this.open
    for (const name of queues.map((config) => config.name)) {
      await queue.setPaused(name, false)
    }
    await queue.bulk({ type: 'cancel', traceOf: () => undefined }, {})
    for (const { name } of queues) await queue.purge(name, ['scheduled', 'ready', 'completed', 'failed', 'cancelled'])
    clock.nowMs += 3_600_000
    await this.#upkeepAll()
    for (const { name } of queues) assert.deepEqual(await queue.claim(name, 1), [])
    const left = [...store.reader.keys({ start: Buffer.of(0), end: Buffer.of(255) })]
      .map((key) => String.fromCharCode(key[0]!))
      .filter((kind) => !'CQM'.includes(kind))
    assert.deepEqual(left, [], 'entries that are left')
    const meta = metaKey('counters')
    assert.equal(countersCodec.decode(meta, store.reader.get(meta)!).links, 0, 'links that are counted')
    for (const { name } of queues) {
      assert.deepEqual(
        jobStates.map((state) => queue.queue(name).counts[state]),
        [0, 0, 0, 0, 0, 0]
      )
    }
  }
}

function commitOf<R, E>(
  run: () => Promise<R>,
  change: () => E,
  check: (result: R, expected: E) => void = () => undefined
): Operation {
  // biome-ignore lint/correctness/useYield: a single part
  const parts = (function* (): Generator<void, E> {
    return change()
  })()
  return { run, parts, check: check as Operation['check'], isWhole: true }
}

function nameOf({ id, state }: { id: string; state: string }): string {
  return `${id} ${state}`
}

const historyMax = 20
const upkeepPiecesMax = 100
const listedParentsMax = 100

/** A job that was forgotten in the commit which nobody was told of has an id that only its follow-up names. */
function withoutUnknownId<T>(shown: T, expected: unknown): T {
  const unknown = '\\"job\\":{\\"id\\":\\"\\"'
  if (!JSON.stringify(expected).includes(unknown)) return shown
  return JSON.parse(JSON.stringify(shown).replace(/\\"job\\":{\\"id\\":\\"[^"]*\\"/, () => unknown)) as T
}

function shownOf(view: JobView): unknown[] {
  const hasEnded = isFinished(view.state)
  return [
    view.id,
    view.state,
    view.queue,
    view.method,
    paramsOf(view.params),
    view.jobName,
    view.priority,
    view.attempts.made,
    view.attempts.max,
    view.crashes,
    view.key,
    view.keyConcurrency,
    view.dependencies,
    instantOf(view.enqueuedAt),
    instantOf(view.expiresAt),
    view.state === 'scheduled' ? instantOf(view.runAt) : null,
    instantOf(view.startedAt),
    instantOf(view.finishedAt),
    hasEnded && view.error !== undefined ? [view.error.code, view.error.name] : null,
    view.result === undefined ? null : JSON.stringify(view.result),
    view.history.map(({ attempt, outcome }) => [attempt, outcome]).slice(-historyMax)
  ]
}

function expectedOf(job: ModelJob): unknown[] {
  const hasEnded = isFinished(job.state)
  const told = (state: string) => job.parents.filter((parent) => parent.state === state).length
  return [
    job.id,
    job.state,
    job.queue,
    job.method,
    paramsOf(job.params),
    job.jobName,
    job.priority,
    job.made,
    job.attemptsMax,
    job.crashes,
    job.key,
    job.keyConcurrency,
    job.parents.length === 0
      ? null
      : {
          total: job.parents.length,
          completed: told('completed'),
          failed: told('failed'),
          cancelled: told('cancelled')
        },
    job.enqueuedAtMs,
    job.expiresAtMs,
    job.state === 'scheduled' ? (job.dueAtMs ?? job.runAtMs) : null,
    job.startedAtMs,
    job.finishedAtMs,
    hasEnded && job.state !== 'completed' ? [job.error!.code, job.error!.name] : null,
    job.state === 'completed' ? job.result : null,
    job.history.map(({ attempt, outcome }) => [attempt, outcome]).slice(-historyMax)
  ]
}

function instantOf(text: string | null): number | null {
  return text === null ? null : Date.parse(text)
}

/** Without the messages of errors, which are for people. */
function paramsOf(params: unknown): string {
  return JSON.stringify(params, (name, value) => (name === 'message' ? undefined : value))
}

/** @returns what the promise gives, or the code of the refusal */
async function codeOr<T>(promise: Promise<T>): Promise<T | string> {
  try {
    return await promise
  } catch (error) {
    if (error instanceof RuntimeError) return error.code
    throw error
  }
}
