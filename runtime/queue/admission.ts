/**
 * Enqueueing, inside the commit. First a plan for each job of the call, which may refuse; then the writes. So it is all of
 * the jobs or none.
 */
import type { EnqueueResult } from '../core/job.ts'
import { isFinished } from '../core/lifecycle.ts'
import { linksPerCallMax } from '../core/limits.ts'
import { throttleEndingKey, throttleKey } from '../store/keys.ts'
import { throttleCodec } from '../store/records.ts'
import type { QueueCommit } from './commit.ts'
import { link } from './dependencies.ts'
import type { JobDraft } from './job-draft.ts'
import type { QueueRegistry } from './queue-registry.ts'
import {
  dependsInACircle,
  idInUse,
  parentUnknown,
  queueFull,
  quotaReached,
  saysWhich,
  tooManyLinks
} from './refusals.ts'
import { findJob, type StoredJob, successorIdOf, withWindowOf } from './stored-job.ts'

/** What is to be done for one job of a call. */
type Plan =
  | OwnPlan
  /** Another job of the same call is the answer. */
  | { type: 'same'; as: OwnPlan }

type OwnPlan =
  /** It is there: nothing is written. `state` of a job that is remembered only by its window. */
  | { type: 'existing'; result: EnqueueResult; job: StoredJob | undefined }
  /** `successorOf`: the job whose end it waits for. */
  | {
      type: 'add'
      draft: JobDraft
      inPlaceOf: StoredJob | undefined
      successorOf: StoredJob | undefined
      job?: StoredJob
    }
  | { type: 'replace'; draft: JobDraft; job: StoredJob }

export interface AdmissionRules {
  registry: QueueRegistry
  tag: string
  /** null: no bound. */
  maxStoreBytes: number | null
  usedBytes: () => number
  /** @throws RuntimeError `STORAGE_FULL`: the disk has no room for more jobs */
  checkDisk: () => void
}

/** What may speak against jobs. */
interface Admission {
  rules: AdmissionRules
  /** Whether the queues and the store must have room. */
  needsRoom: boolean
  /** They are promised: an id that is in use by now counts as deduplicated, a job to wait for that is gone as finished. */
  isPromised: boolean
}

/** @throws RuntimeError `JOB_EXISTS`, `JOB_UNKNOWN`, `QUEUE_FULL`, `STORAGE_FULL`, `PARAMS_INVALID` */
export function admit(commit: QueueCommit, rules: AdmissionRules, drafts: readonly JobDraft[]): EnqueueResult[] {
  if (drafts.every(isNew)) return addNew(commit, rules, drafts)
  return write(commit, plan(commit, drafts, { rules, needsRoom: true, isPromised: false }))
}

/** Nothing that is there can be meant by it. */
function isNew({ id, dependsOn }: JobDraft): boolean {
  return id === null && dependsOn === null
}

/** Nothing speaks against them but that there is no room, so nothing has to be planned. */
function addNew(commit: QueueCommit, rules: AdmissionRules, drafts: readonly JobDraft[]): EnqueueResult[] {
  const more = new Map<JobDraft['queue'], number>()
  for (const { queue } of drafts) more.set(queue, (more.get(queue) ?? 0) + 1)
  checkRoomFor(commit, rules, more)
  return drafts.map((draft) => addDraft(commit, draft))
}

/** Enqueues jobs that {@link checkAdmission} found admissible once; nothing speaks against them any more. */
export function admitPromised(
  commit: QueueCommit,
  rules: AdmissionRules,
  drafts: readonly JobDraft[]
): EnqueueResult[] {
  return write(commit, plan(commit, drafts, { rules, needsRoom: false, isPromised: true }))
}

/**
 * Writes nothing.
 *
 * @param needsRoom false: the queues may be full; room may be made before the jobs are admitted
 * @throws RuntimeError as {@link admit}
 */
export function checkAdmission(
  commit: QueueCommit,
  rules: AdmissionRules,
  drafts: readonly JobDraft[],
  needsRoom: boolean
): void {
  plan(commit, drafts, { rules, needsRoom, isPromised: false })
}

/** What is to be done for the jobs of a call; `order`: see {@link parentsOf}. */
interface Plans {
  plans: Plan[]
  parents: Parent[][]
  order: Iterable<number>
}

function plan(commit: QueueCommit, drafts: readonly JobDraft[], admission: Admission): Plans {
  const plans = planAll(commit, drafts, admission)
  const parents = parentsOf(commit, drafts, plans, admission)
  if (admission.needsRoom) checkRoom(commit, admission.rules, plans)
  return { plans, ...parents }
}

function write(commit: QueueCommit, { plans, parents, order }: Plans): EnqueueResult[] {
  for (const [index, plan] of plans.entries()) writeOne(commit, plan, parents[index]!.length)
  for (const index of order) linkParents(commit, plans[index]!, parents[index]!)
  return plans.map(resultOf)
}

/** Enqueues a job that nothing speaks against. */
export function addDraft(commit: QueueCommit, draft: JobDraft): EnqueueResult {
  return resultOfJob(commit.add(draft), false)
}

function planAll(commit: QueueCommit, drafts: readonly JobDraft[], admission: Admission): Plan[] {
  const ofId = new Map<string, OwnPlan>()
  return drafts.map((draft, index) =>
    saysWhich(drafts, index, () => {
      const { id } = draft
      if (id === null) return { type: 'add', draft, inPlaceOf: undefined, successorOf: undefined }
      const earlier = ofId.get(id)
      if (earlier !== undefined) return planAgain(earlier, draft, id, admission)
      const plan = planOne(commit, draft, id, admission)
      const planned = idOfPlan(plan)
      // Of a successor, whose id another job of the call may ask for.
      const other = ofId.get(planned)
      if (other !== undefined && !admission.isPromised) throw idInUse(planned, undefined)
      ofId.set(id, other ?? plan)
      if (other !== undefined) return { type: 'same', as: other }
      ofId.set(planned, plan)
      return plan
    })
  )
}

/** The job that the plan is about. */
function idOfPlan(plan: OwnPlan): string {
  if (plan.type === 'add') return plan.draft.id!
  return plan.type === 'replace' ? plan.job.spec.id : plan.result.id
}

/** A second job of one id in the same call. */
function planAgain(earlier: OwnPlan, draft: JobDraft, id: string, { isPromised }: Admission): Plan {
  if (draft.deduplicate === null) {
    // It is the id of a successor, which was none when both were promised.
    if (isPromised) return { type: 'same', as: earlier }
    throw idInUse(id, undefined)
  }
  const takesNewest = draft.deduplicate.mode === 'debounce' || draft.deduplicate.mode === 'keepLast'
  if (takesNewest && (earlier.type === 'add' || earlier.type === 'replace')) {
    const { id, dependsOn, deduplicate, spec } = earlier.draft
    const rules = withWindowOf(spec.rules, draft.spec.rules)
    earlier.draft = { ...draft, id, dependsOn, deduplicate, spec: { ...draft.spec, rules } }
  }
  return { type: 'same', as: earlier }
}

function planOne(commit: QueueCommit, draft: JobDraft, id: string, admission: Admission): OwnPlan {
  const holder = findJob(commit.transaction, id, admission.rules.tag)
  const { deduplicate } = draft
  if (deduplicate === null) {
    if (holder === undefined) return addInPlaceOf(undefined, draft)
    if (admission.isPromised) return existing(holder)
    throw idInUse(id, holder.standing.state)
  }
  switch (deduplicate.mode) {
    case 'unfinished':
      return holder === undefined || isFinished(holder.standing.state) ? addInPlaceOf(holder, draft) : existing(holder)
    case 'throttle':
      return planThrottled(commit, draft, id, holder)
    default:
      return planNewest(commit, draft, id, holder, admission)
  }
}

function planThrottled(commit: QueueCommit, draft: JobDraft, id: string, holder: StoredJob | undefined): OwnPlan {
  const window = readThrottle(commit, id)
  if (window !== undefined && window.untilMs > commit.nowMs) {
    if (holder !== undefined) return existing(holder)
    const result = { id, state: window.state ?? 'completed', deduplicated: true }
    return { type: 'existing', result, job: undefined }
  }
  return holder === undefined || isFinished(holder.standing.state) ? addInPlaceOf(holder, draft) : existing(holder)
}

/** The newest request counts: a job that has not started becomes it; while one is under way, a successor does. */
function planNewest(
  commit: QueueCommit,
  draft: JobDraft,
  id: string,
  holder: StoredJob | undefined,
  { rules, isPromised }: Admission
): OwnPlan {
  const successorId = successorIdOf(id)
  const successor = findJob(commit.transaction, successorId, rules.tag)
  const unfinished = [holder, successor].filter((job) => job !== undefined && !isFinished(job.standing.state))
  const waiting = unfinished.find((job) => job!.standing.startedAtMs === null)
  if (waiting !== undefined) return { type: 'replace', draft, job: waiting }
  if (unfinished.length === 2) {
    if (isPromised) return existing(holder!)
    throw idInUse(id, holder!.standing.state)
  }
  const busy = unfinished[0]
  if (busy === undefined) return addInPlaceOf(holder, draft)
  const free = busy === holder ? { id: successorId, job: successor } : { id, job: holder }
  return { type: 'add', draft: { ...draft, id: free.id }, inPlaceOf: free.job, successorOf: busy }
}

function addInPlaceOf(finished: StoredJob | undefined, draft: JobDraft): OwnPlan {
  return { type: 'add', draft, inPlaceOf: finished, successorOf: undefined }
}

function existing(job: StoredJob): OwnPlan {
  return { type: 'existing', result: resultOfJob(job, true), job }
}

/** What a job depends on: jobs of the store, and new ones of the same call. */
type Parent = StoredJob | Extract<Plan, { type: 'add' }>

/**
 * @returns for each job of the call those it depends on, without repeats; and an order in which each comes after those of
 * the call that it depends on, since some may end as soon as they are linked
 * @throws RuntimeError `JOB_UNKNOWN`, `PARAMS_INVALID`
 */
function parentsOf(
  commit: QueueCommit,
  drafts: readonly JobDraft[],
  plans: readonly Plan[],
  { rules, isPromised }: Admission
): Omit<Plans, 'plans'> {
  if (drafts.every(({ dependsOn }) => dependsOn === null)) {
    const parents = plans.map((plan) =>
      plan.type === 'add' && plan.successorOf !== undefined ? [plan.successorOf] : []
    )
    return { parents, order: plans.keys() }
  }
  const links = drafts.reduce(
    (sum, { dependsOn }) => sum + (dependsOn === 'others' ? drafts.length : (dependsOn?.length ?? 0)),
    0
  )
  if (links > linksPerCallMax) throw tooManyLinks(links, linksPerCallMax)
  const byId = new Map(drafts.flatMap(({ id }, index) => (id === null ? [] : [[id, index] as const])))
  const indexes = withoutRepeats(
    plans,
    drafts.map(({ dependsOn }, index) => indexesIn(dependsOn, byId, drafts.length, index))
  )
  const order = parentsFirst(indexes)
  const parents = plans.map((plan, index) =>
    saysWhich(drafts, index, () => {
      if (plan.type !== 'add') return []
      const { dependsOn } = plan.draft
      const texts =
        dependsOn === null || dependsOn === 'others' ? [] : dependsOn.filter((each) => typeof each === 'string')
      const stored = texts
        .filter((id) => !byId.has(id))
        .map((id) => findJob(commit.transaction, id, rules.tag) ?? (isPromised ? undefined : refuseParent(id)))
        .filter((job) => job !== undefined)
      const ofCall = indexes[index]!.flatMap((at) => resolved(plans[at]!))
      const successor = plan.successorOf === undefined ? [] : [plan.successorOf]
      return distinct([...successor, ...stored, ...ofCall])
    })
  )
  return { parents, order }
}

/** Jobs of one id are one job: what depends on any depends on the first, and that not on the others. */
function withoutRepeats(plans: readonly Plan[], indexes: readonly (readonly number[])[]): number[][] {
  const firstOf = new Map(plans.map((plan, index) => [plan, index]))
  const first = plans.map((plan, index) => (plan.type === 'same' ? firstOf.get(plan.as)! : index))
  return indexes.map((of, own) => {
    if (plans[own]!.type === 'same') return []
    return of.filter((at) => at === own || first[at] !== own).map((at) => first[at]!)
  })
}

function indexesIn(
  dependsOn: JobDraft['dependsOn'],
  byId: ReadonlyMap<string, number>,
  jobs: number,
  own: number
): number[] {
  if (dependsOn === null) return []
  if (dependsOn === 'others') return Array.from({ length: jobs }, (_, at) => at).filter((at) => at !== own)
  return dependsOn.flatMap((each) => {
    const at = typeof each === 'number' ? each : byId.get(each)
    return at === undefined ? [] : [at]
  })
}

/**
 * Takes away, again and again, what depends on nothing that is left; what cannot be taken away goes in a circle.
 *
 * @returns the order in which they were taken away
 */
function parentsFirst(parents: readonly (readonly number[])[]): number[] {
  const children = new Map<number, number[]>()
  const open = parents.map((of) => of.length)
  for (const [child, of] of parents.entries()) {
    for (const parent of of) {
      const known = children.get(parent)
      if (known === undefined) children.set(parent, [child])
      else known.push(child)
    }
  }
  const free = open.flatMap((count, index) => (count === 0 ? [index] : []))
  for (const index of free) {
    for (const child of children.get(index) ?? []) if (--open[child]! === 0) free.push(child)
  }
  if (free.length === parents.length) return free
  const done = new Set(free)
  throw dependsInACircle(parents.flatMap((_, index) => (done.has(index) ? [] : [index])).slice(0, 20))
}

function refuseParent(id: string): never {
  throw parentUnknown(id)
}

/** A job that only its window remembers has finished, and nothing more is known of it. */
function resolved(plan: Plan): Parent[] {
  const target = plan.type === 'same' ? plan.as : plan
  if (target.type === 'add') return [target]
  return target.job === undefined ? [] : [target.job]
}

function distinct(parents: readonly Parent[]): Parent[] {
  const seen = new Set<unknown>()
  return parents.filter((parent) => {
    const identity = 'seq' in parent ? parent.seq : parent
    return !seen.has(identity) && seen.add(identity)
  })
}

/** @throws RuntimeError `STORAGE_FULL` */
export function checkQuota({ maxStoreBytes, usedBytes, checkDisk }: AdmissionRules, attempted: string): void {
  checkDisk()
  if (maxStoreBytes !== null && usedBytes() >= maxStoreBytes) throw quotaReached(attempted, usedBytes(), maxStoreBytes)
}

function checkRoom(commit: QueueCommit, rules: AdmissionRules, plans: readonly Plan[]): void {
  const { registry } = rules
  const more = new Map<JobDraft['queue'], number>()
  for (const plan of plans) {
    if (isMoreIn(registry, plan)) more.set(plan.draft.queue, (more.get(plan.draft.queue) ?? 0) + 1)
  }
  checkRoomFor(commit, rules, more)
}

function checkRoomFor(commit: QueueCommit, rules: AdmissionRules, more: ReadonlyMap<JobDraft['queue'], number>): void {
  if (more.size > 0) checkQuota(rules, 'enqueue')
  for (const [queue, count] of more) {
    if (queue.maxQueued === null) continue
    const { ready, scheduled } = commit.counts(rules.registry.numberOf(queue.name)!)
    if (ready + scheduled + count > queue.maxQueued) throw queueFull(queue, 'enqueue')
  }
}

/** Whether the queue that the request names holds one more job then. */
function isMoreIn(registry: QueueRegistry, plan: Plan): plan is Extract<Plan, { type: 'add' | 'replace' }> {
  if (plan.type === 'replace') return plan.job.spec.queue !== registry.numberOf(plan.draft.queue.name)
  return plan.type === 'add'
}

function writeOne(commit: QueueCommit, plan: Plan, parents: number): void {
  if (plan.type === 'replace') commit.replace(plan.job, plan.draft)
  if (plan.type !== 'add') return
  const { draft, inPlaceOf } = plan
  if (inPlaceOf !== undefined) commit.forget(inPlaceOf, 'hand')
  plan.job = commit.add(draft, parents)
  if (draft.deduplicate?.mode === 'throttle') openWindow(commit, plan.job)
}

function openWindow(commit: QueueCommit, { spec }: StoredJob): void {
  const key = throttleKey(spec.id)
  const untilMs = spec.rules!.throttledUntilMs!
  commit.transaction.put(key, throttleCodec.encode(key, { untilMs, state: null }))
  commit.transaction.put(throttleEndingKey(untilMs, spec.id), Buffer.alloc(0))
  commit.upkeepAt(untilMs)
}

function linkParents(commit: QueueCommit, plan: Plan, parents: readonly Parent[]): void {
  if (plan.type !== 'add' || parents.length === 0) return
  const jobs = parents.map((parent) => ('seq' in parent ? parent : parent.job!))
  link(commit, plan.job!, jobs, plan.successorOf)
}

function readThrottle(commit: QueueCommit, id: string) {
  const key = throttleKey(id)
  const value = commit.transaction.get(key)
  return value === undefined ? undefined : throttleCodec.decode(key, value)
}

function resultOf(plan: Plan): EnqueueResult {
  switch (plan.type) {
    case 'same':
      return { ...resultOf(plan.as), deduplicated: true }
    case 'existing':
      return plan.result
    default:
      return resultOfJob(plan.job!, plan.type === 'replace')
  }
}

function resultOfJob({ spec, standing }: StoredJob, deduplicated: boolean): EnqueueResult {
  return { id: spec.id, state: standing.state, deduplicated }
}
