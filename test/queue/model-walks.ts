/** Lists and changes of many jobs in the model, after the heads of job-walk.ts and bulk.ts. */
import type { BulkRequest, JobSelection, Json } from '../../runtime/core/job.ts'
import { isFinished, type JobState } from '../../runtime/core/lifecycle.ts'
import { comparePlaces, type ModelJob, type ModelQueue } from './model.ts'

/** Jobs changed by one commit. */
/** Jobs that one commit visits, and that one commit of a bulk change changes. */
const pieceMax = 100
const bulkPieceMax = 25

export type ModelBulkChange =
  | { type: 'cancel' }
  | { type: 'retry'; params: Json | undefined }
  | { type: 'remove' }
  | { type: 'move'; to: string }

/** Without a state, in which order. */
const states: Record<ModelBulkChange['type'], JobState[]> = {
  cancel: ['scheduled', 'ready', 'running'],
  retry: ['failed'],
  remove: [],
  move: ['scheduled', 'ready']
}

export interface ModelCursor {
  state: number
  place: number[] | undefined
}

export function passes(
  job: ModelJob,
  { queue, state, method, jobName, key, errorCode, since, until, text }: JobSelection
): boolean {
  const atMs = job.finishedAtMs ?? job.enqueuedAtMs
  return (
    (queue ?? job.queue) === job.queue &&
    (state ?? job.state) === job.state &&
    (method ?? job.method) === job.method &&
    (jobName ?? job.jobName) === job.jobName &&
    (key ?? job.key) === job.key &&
    (errorCode === undefined || (isFinished(job.state) && job.error?.code === errorCode)) &&
    (since === undefined || atMs >= (since as number)) &&
    (until === undefined || atMs < (until as number)) &&
    (text === undefined || JSON.stringify(job.params).includes(text))
  )
}

/** A step; a part of it is a page of jobs, and of those of the next states what is left of a page. @returns a code where the jobs have nowhere to go */
export function* bulk(
  model: ModelQueue,
  change: ModelBulkChange,
  request: BulkRequest,
  from: ModelCursor | null
): Generator<void, { changed: number; cursor: ModelCursor | null } | string> {
  const { limit = 1000, cursor: _, ...selection } = request
  const order = selection.state === undefined ? states[change.type] : [selection.state]
  const at: ModelCursor = from ?? { state: 0, place: undefined }
  let changed = 0
  let inPart = 0
  let partMax = Math.min(limit, bulkPieceMax)
  while (at.state < order.length && changed < limit) {
    const state = order[at.state]!
    const room = change.type === 'move' ? roomIn(model, change.to) : Number.POSITIVE_INFINITY
    const page = pageOf(model, { ...selection, state }, at.place, Math.min(partMax - inPart, Math.max(room, 1)))
    if (room <= 0 && page.jobs.some((job) => change.type === 'move' && job.queue !== change.to && isWaiting(job))) {
      return 'QUEUE_FULL'
    }
    for (const job of page.jobs) {
      if (!model.jobs.includes(job) || job.state !== state || !apply(model, change, job)) continue
      changed++
      inPart++
    }
    if (page.last === undefined) at.state++
    at.place = page.last
    const goesOn = page.last === undefined && at.state < order.length && inPart < partMax
    if (goesOn && room === Number.POSITIVE_INFINITY) continue
    yield
    inPart = 0
    partMax = Math.min(limit - changed, bulkPieceMax)
  }
  return { changed, cursor: at.state >= order.length ? null : at }
}

function apply(model: ModelQueue, change: ModelBulkChange, job: ModelJob): boolean {
  switch (change.type) {
    case 'cancel':
      return model.cancel(job)
    case 'retry':
      if (!model.mayRetry(job)) return false
      model.retry(job, change.params)
      return true
    case 'remove':
      if (job.state === 'running') return false
      model.forget(job, 'hand')
      return true
    case 'move':
      if (job.queue === change.to || !isWaiting(job)) return false
      model.moveTo(job, change.to)
      return true
  }
}

function isWaiting({ state }: ModelJob): boolean {
  return state === 'ready' || state === 'scheduled'
}

export function roomIn(model: ModelQueue, queue: string): number {
  return (model.queues.get(queue)!.maxQueued ?? Number.POSITIVE_INFINITY) - model.waiting(queue)
}

/** `last`: the place to go on from; undefined where no job of the place follows, whether or not it passes. */
function pageOf(model: ModelQueue, selection: JobSelection, after: number[] | undefined, limit: number) {
  const { state } = selection
  const isOfQueue = state === 'ready' || isFinished(state!)
  const left = model
    .walk(state, isOfQueue ? selection.queue : undefined)
    .filter((job) => !isFinished(state!) || isInTime(job, selection))
    .map((job) => ({ job, place: model.placeOf(job, state) }))
    .filter(({ place }) => after === undefined || comparePlaces(place, after) > 0)
  const passing = left.filter(({ job }) => passes(job, selection)).slice(0, limit)
  const last = passing.at(-1)
  const isMoreLeft = passing.length === limit && last !== undefined && left.at(-1) !== last
  return { jobs: passing.map(({ job }) => job), last: isMoreLeft ? last.place : undefined }
}

/** The walk of finished jobs looks at no others. */
function isInTime({ finishedAtMs }: ModelJob, { since, until }: JobSelection): boolean {
  return (
    (since === undefined || finishedAtMs! >= (since as number)) &&
    (until === undefined || finishedAtMs! < (until as number))
  )
}

/** Place by place, a page of jobs per part; the finished ones the oldest first. */
export function* purge(model: ModelQueue, queue: string, purged: readonly JobState[]): Generator<void, number> {
  let removed = 0
  for (const state of purged) {
    const places =
      state === 'ready' ? [(job: ModelJob) => job.key === null, (job: ModelJob) => job.key !== null] : [() => true]
    const sign = isFinished(state) ? -1 : 1
    for (const isIn of places) {
      let last: number[] | undefined
      do {
        const page = model
          .walk(state, state === 'scheduled' ? undefined : queue)
          .filter(isIn)
          .map((job) => ({ job, place: model.placeOf(job, state).map((part) => sign * part) }))
          .sort((one, other) => comparePlaces(one.place, other.place))
          .filter(({ place }) => last === undefined || comparePlaces(place, last) > 0)
          .slice(0, pieceMax)
        for (const { job } of page) {
          if (job.queue !== queue || !model.jobs.includes(job) || job.state !== state) continue
          model.forget(job, 'hand')
          removed++
        }
        last = page.length < pieceMax ? undefined : page.at(-1)!.place
        yield
      } while (last !== undefined)
    }
  }
  return removed
}
