/** Enqueueing in the model: what each request of a call comes to, what speaks against the call, and then all of it. */
import type { Deduplication, EnqueueRequest } from '../../runtime/core/job.ts'
import { isFinished } from '../../runtime/core/lifecycle.ts'
import { type ModelJob, type ModelQueue, type ModelSpec, runAtOf, spanMs } from './model.ts'

/** The answer to one request. `job`: undefined where only the window of its id remembers it. */
interface Answer {
  id: string
  state: string
  deduplicated: boolean
  job: ModelJob | undefined
}

type Plan =
  | { type: 'existing'; answer: Answer }
  | {
      type: 'add'
      id: string
      spec: ModelSpec
      inPlaceOf?: ModelJob
      waitsFor?: ModelJob
      window: number | null
      job?: ModelJob
    }
  | { type: 'replace'; spec: ModelSpec; job: ModelJob }
  | { type: 'same'; as: number }

/** @returns the answers; or the codes of everything that speaks against the call, each of which may be told */
export function enqueue(model: ModelQueue, requests: readonly EnqueueRequest[]): Answer[] | Set<string> {
  const against = new Set<string>()
  if (requests.some((request, index) => isWrong(model, request, index, requests.length))) against.add('PARAMS_INVALID')
  const plans = planAll(model, requests)
  if (plans === undefined) return against.add('JOB_EXISTS')
  const parents = requests.map((request, index) => parentsIn(plans, requests, request, index))
  if (parentsFirst(parents).length < parents.length) {
    model.saw('circle')
    return against.add('PARAMS_INVALID')
  }
  const stored = requests.map((request, index) =>
    plans[index]!.type === 'add' ? storedParents(request, requests) : []
  )
  if (stored.flat().some((id) => model.find(id) === undefined)) against.add('JOB_UNKNOWN')
  if (isTooMuch(model, plans)) against.add('QUEUE_FULL')
  if (against.size > 0) return against

  const storedJobs = stored.map((ids) => ids.map((id) => ({ ...model.find(id)! })))
  const isParent = plans.map(
    (plan, index) => plan.type === 'add' && hasParents(plan, plans, parents[index]!, stored[index]!)
  )
  for (const [index, plan] of plans.entries()) write(model, plan, isParent[index]!)
  for (const index of parentsFirst(parents)) {
    const plan = plans[index]!
    if (plan.type !== 'add' || !isParent[index]) continue
    const jobs = [
      ...(plan.waitsFor === undefined ? [] : [plan.waitsFor]),
      ...storedJobs[index]!.map((job) => model.numbered(job.number) ?? job),
      ...parents[index]!.flatMap((at) => jobOf(plans, at) ?? [])
    ]
    const distinct = jobs.filter((job, at) => jobs.findIndex(({ number }) => number === job.number) === at)
    model.link(plan.job!, distinct, plan.waitsFor)
  }
  return plans.map((plan) => {
    if (plan.type !== 'same') return answerOf(plan)
    model.saw('same in one call')
    return { ...answerOf(plans[plan.as]!), deduplicated: true }
  })
}

function answerOf(plan: Plan): Answer {
  if (plan.type === 'existing') return plan.answer
  const { job, type } = plan as Extract<Plan, { type: 'add' | 'replace' }>
  return { id: job!.id, state: job!.state, deduplicated: type === 'replace', job }
}

function isWrong({ nowMs }: ModelQueue, request: EnqueueRequest, index: number, jobs: number): boolean {
  const { expires, dependsOn, deduplicate, jobId, delay, resultTtl, retention, key, keyConcurrency } = request
  const isDebounce = typeof deduplicate === 'object' && 'debounce' in deduplicate
  return (
    (expires !== undefined && nowMs + spanMs(expires) <= (runAtOf(request, nowMs) ?? nowMs)) ||
    (Array.isArray(dependsOn) &&
      dependsOn.some((each) => each === index || (typeof each === 'number' && each >= jobs))) ||
    (deduplicate !== undefined && deduplicate !== false && jobId === undefined) ||
    (isDebounce && delay !== undefined) ||
    (keyConcurrency !== undefined && key === undefined) ||
    (resultTtl !== undefined && retention?.completed !== undefined)
  )
}

/** @returns undefined where an id is in use */
function planAll(model: ModelQueue, requests: readonly EnqueueRequest[]): Plan[] | undefined {
  const ofId = new Map<string, number>()
  const plans: Plan[] = []
  for (const [index, request] of requests.entries()) {
    const { jobId, deduplicate } = request
    const earlier = jobId === undefined ? undefined : ofId.get(jobId)
    if (earlier !== undefined) {
      if (deduplicate === undefined || deduplicate === false) return undefined
      const plan = plans[earlier]!
      const takesNewest = typeof deduplicate === 'object' && !('for' in deduplicate)
      if (takesNewest && (plan.type === 'add' || plan.type === 'replace')) plan.spec = model.specOf(request)
      plans.push({ type: 'same', as: earlier })
      continue
    }
    const plan = planOne(model, request)
    if (plan === undefined) return undefined
    plans.push(plan)
    if (jobId === undefined) continue
    ofId.set(jobId, index)
    const target = plan.type === 'add' ? plan.id : plan.type === 'replace' ? plan.job.id : jobId
    if (target === jobId) continue
    if (ofId.has(target)) return undefined
    ofId.set(target, index)
  }
  return plans
}

function planOne(model: ModelQueue, request: EnqueueRequest): Plan | undefined {
  const { jobId, deduplicate = false } = request
  const add = (id: string, inPlaceOf?: ModelJob, waitsFor?: ModelJob): Plan => {
    const isWindow = typeof deduplicate === 'object' && 'for' in deduplicate
    return {
      type: 'add',
      id,
      spec: model.specOf(request),
      ...(inPlaceOf === undefined ? {} : { inPlaceOf }),
      ...(waitsFor === undefined ? {} : { waitsFor }),
      window: isWindow ? model.nowMs + spanMs(deduplicate.for) : null
    }
  }
  if (jobId === undefined) return add('')
  const holder = model.find(jobId)
  if (deduplicate === false) return holder === undefined ? add(jobId) : undefined
  const isOver = holder === undefined || isFinished(holder.state)
  if (deduplicate === true) return isOver ? add(jobId, holder) : existing(model, 'found', holder)
  if ('for' in deduplicate) {
    const window = model.windows.get(jobId)
    if (window !== undefined && window.untilMs > model.nowMs) {
      if (holder !== undefined) return existing(model, 'throttled', holder)
      model.saw('throttled without a job')
      const answer = { id: jobId, state: window.state ?? 'completed', deduplicated: true, job: undefined }
      return { type: 'existing', answer }
    }
    return isOver ? add(jobId, holder) : existing(model, 'found', holder)
  }
  const successorId = `${jobId}~next`
  const successor = model.find(successorId)
  const unfinished = [holder, successor].filter((job) => job !== undefined && !isFinished(job.state)) as ModelJob[]
  const waiting = unfinished.find(({ startedAtMs }) => startedAtMs === null)
  if (waiting !== undefined) {
    model.saw(`replaced by ${kindOf(deduplicate)}`)
    return { type: 'replace', spec: model.specOf(request), job: waiting }
  }
  if (unfinished.length === 2) return undefined
  const busy = unfinished[0]
  if (busy === undefined) return add(jobId, holder)
  model.saw(`successor by ${kindOf(deduplicate)}`)
  return busy === holder ? add(successorId, successor, busy) : add(jobId, holder, busy)
}

function existing(model: ModelQueue, feature: string, job: ModelJob): Plan {
  model.saw(feature)
  return { type: 'existing', answer: { id: job.id, state: job.state, deduplicated: true, job } }
}

function kindOf(deduplicate: Deduplication): string {
  return Object.keys(deduplicate)[0]!
}

/** Indexes of the jobs of the call on which one of them depends; those of one id are one job. */
function parentsIn(
  plans: readonly Plan[],
  requests: readonly EnqueueRequest[],
  request: EnqueueRequest,
  own: number
): number[] {
  if (plans[own]!.type === 'same') return []
  const { dependsOn = [] } = request
  const indexes =
    dependsOn === 'others'
      ? requests.map((_, at) => at).filter((at) => at !== own)
      : dependsOn.flatMap((each) => {
          const at = typeof each === 'number' ? each : requests.findLastIndex(({ jobId }) => jobId === each)
          return at === -1 ? [] : [at]
        })
  return indexes
    .map((at) => {
      const plan = plans[at]!
      return { at, plan: plan?.type === 'same' ? plan.as : at }
    })
    .filter(({ at, plan }) => at === own || plan !== own)
    .map(({ plan }) => plan)
}

function storedParents({ dependsOn = [] }: EnqueueRequest, requests: readonly EnqueueRequest[]): string[] {
  if (dependsOn === 'others') return []
  return dependsOn.filter(
    (each) => typeof each === 'string' && requests.every(({ jobId }) => jobId !== each)
  ) as string[]
}

/** First those that depend on none of the others, in order; then each as soon as all of its own have had their turn. */
function parentsFirst(parents: readonly (readonly number[])[]): number[] {
  const left = parents.map((of) => of.length)
  const done = left.flatMap((count, index) => (count === 0 ? [index] : []))
  for (const index of done) {
    for (const [child, of] of parents.entries()) {
      for (const parent of of) if (parent === index && --left[child]! === 0) done.push(child)
    }
  }
  return done
}

function jobOf(plans: readonly Plan[], at: number): ModelJob | undefined {
  const plan = plans[at]!
  if (plan.type === 'existing') return plan.answer.job
  return plan.type === 'same' ? undefined : plan.job
}

function hasParents(
  plan: Plan & { type: 'add' },
  plans: readonly Plan[],
  inCall: readonly number[],
  stored: readonly string[]
): boolean {
  const known = inCall.filter((at) => {
    const parent = plans[at]!
    return parent.type !== 'existing' || parent.answer.job !== undefined
  })
  return plan.waitsFor !== undefined || stored.length > 0 || known.length > 0
}

function isTooMuch(model: ModelQueue, plans: readonly Plan[]): boolean {
  return [...model.queues.values()].some(({ name, maxQueued }) => {
    const more = plans.filter(
      (plan) =>
        (plan.type === 'add' && plan.spec.queue === name) ||
        (plan.type === 'replace' && plan.spec.queue === name && plan.job.queue !== name)
    ).length
    return maxQueued !== null && more > 0 && model.waiting(name) + more > maxQueued
  })
}

function write(model: ModelQueue, plan: Plan, waits: boolean): void {
  if (plan.type === 'replace') model.replace(plan.job, plan.spec)
  if (plan.type !== 'add') return
  if (plan.inPlaceOf !== undefined) model.forget(plan.inPlaceOf, 'hand')
  plan.job = model.add(plan.spec, plan.id, waits)
  if (waits) model.saw('depends on others')
  if (plan.window !== null) model.windows.set(plan.id, { untilMs: plan.window, number: plan.job.number, state: null })
}
