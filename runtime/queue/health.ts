/** What a diagnosis wants to know of a queue and its counts do not say. Looks at a bounded number of entries. */
import type { QueueHealth } from '../core/api.ts'
import { dueRange, runningRange, seqOfKey } from '../store/keys.ts'
import type { Reader } from '../store/store.ts'
import { placesIn, rangesOf } from './places.ts'
import { readJob, type StoredJob } from './stored-job.ts'

const looksMax = 2_000
/** What has been due for less is on its way. */
const overdueAfterMs = 60_000

export function healthOf(reader: Reader, name: string, queue: number, nowMs: number): QueueHealth {
  const oldest = oldestReady(reader, queue)
  const running = firstRunning(reader, queue)
  return {
    queue: name,
    oldestReady: oldest === undefined ? null : { id: oldest.spec.id, readySinceMs: readySinceMs(oldest) },
    oldestRunning:
      running === undefined
        ? null
        : { id: running.spec.id, startedAtMs: running.standing.startedAtMs!, timeoutMs: running.spec.timeoutMs },
    overdue: overdueIn(reader, queue, nowMs)
  }
}

/** At the latest then: when it was due, or when its last attempt ended. */
function readySinceMs({ spec, standing }: StoredJob): number {
  return Math.max(spec.runAtMs ?? spec.enqueuedAtMs, standing.history.at(-1)?.finishedAtMs ?? 0)
}

/** The order of ready jobs is not that of their ages: priorities and keys come first. */
function oldestReady(reader: Reader, queue: number): StoredJob | undefined {
  let first = Number.POSITIVE_INFINITY
  for (const range of rangesOf('ready', queue)) {
    let looks = 0
    for (const { seq } of placesIn(reader, 'ready', range)) {
      first = Math.min(first, seq)
      if (++looks === looksMax) break
    }
  }
  return first === Number.POSITIVE_INFINITY ? undefined : readJob(reader, first)
}

function firstRunning(reader: Reader, queue: number): StoredJob | undefined {
  let looks = 0
  for (const { seq } of placesIn(reader, 'running', runningRange)) {
    const job = readJob(reader, seq)
    if (job?.spec.queue === queue) return job
    if (++looks === looksMax) break
  }
  return undefined
}

function overdueIn(reader: Reader, queue: number, nowMs: number): number {
  let overdue = 0
  for (const key of reader.keys({ ...dueRange(nowMs - overdueAfterMs), limit: looksMax })) {
    if (readJob(reader, seqOfKey(key))?.spec.queue === queue) overdue++
  }
  return overdue
}
