/** Finding and reading jobs. */
import { RuntimeError } from '../core/errors.ts'
import { idKey, type ReadyPlace, rankOf, runningKey, scheduledKey, standingKey } from '../store/keys.ts'
import {
  initialStanding,
  type JobRules,
  type JobSpec,
  type Standing,
  seqCodec,
  standingCodec,
  standingOfClaimed
} from '../store/records.ts'
import type { Reader } from '../store/store.ts'
import { findStandings, standingInRun } from './finished-runs.ts'
import { HeldTransaction } from './held-transaction.ts'
import { seqOfMadeId } from './job-id.ts'
import { claimOf } from './running-claims.ts'
import { type FoundSpec, findSpec, findSpecRecord } from './spec-runs.ts'

export interface StoredJob {
  seq: number
  spec: JobSpec
  /** Length of the spec's record, or about that of its part of one. */
  specBytes: number
  standing: Standing
  /** Of a running job without a record of its own: the claim that holds it. */
  claim?: number | undefined
  /** Of a finished job: its standing is in an entry of several. */
  isShared?: boolean
}

/** What a job asks for that is made another one: the window that it began goes on. */
export function withWindowOf(earlier: JobRules | null, rules: JobRules | null): JobRules | null {
  const throttledUntilMs = earlier?.throttledUntilMs
  return throttledUntilMs === undefined ? rules : { ...rules, throttledUntilMs }
}

/** Of the job that waits for the end of another one of the same identity. */
export function successorIdOf(id: string): string {
  return `${id}~next`
}

export function findJob(reader: Reader, id: string, tag: string): StoredJob | undefined {
  const seq = seqOfMadeId(id, tag) ?? seqOfChosenId(reader, id)
  return seq === undefined ? undefined : readJob(reader, seq)
}

/** @throws RuntimeError `JOB_UNKNOWN` */
export function requireJob(reader: Reader, id: string, tag: string, attempted: string): StoredJob {
  const job = findJob(reader, id, tag)
  if (job !== undefined) return job
  throw new RuntimeError(
    'JOB_UNKNOWN',
    `Cannot ${attempted} job "${id}": no job has this id. It may have been removed; "runtime jobs" lists those that exist.`,
    { id }
  )
}

export function readJob(reader: Reader, seq: number): StoredJob | undefined {
  const job = readFreshJob(reader, seq)
  if (job === undefined) return undefined
  const standing = readStanding(reader, seq)
  if (standing !== undefined) {
    job.standing = standing
    return job
  }
  if (waitsForItsTime(reader, job)) {
    job.standing = initialStanding(job.spec, 'scheduled')
    return job
  }
  const shared = readSharedStanding(reader, seq)
  if (shared !== undefined) {
    job.standing = shared
    job.isShared = true
    return job
  }
  const held = claimOf(reader, seq)
  if (held === undefined) return job
  job.standing = standingOfClaimed(job.spec, held.startedAtMs)
  job.claim = held.claim
  return job
}

/** The job, if it runs and is in this attempt. */
export function readAttempt(reader: Reader, { seq, attempt }: { seq: number; attempt: number }): StoredJob | undefined {
  const job = readJob(reader, seq)
  return job?.standing.state === 'running' && job.standing.made === attempt ? job : undefined
}

/** Whether the record of a job, or of it and others, holds the texts, wherever: much cheaper than to read the job. */
export function recordHolds(reader: Reader, seq: number, texts: readonly Buffer[]): boolean {
  const record = findSpecRecord(reader, seq)
  return record !== undefined && texts.every((text) => record.includes(text))
}

/** A job whose ready entry says that it has no standing of its own. */
export function readFreshJob(reader: Reader, seq: number): StoredJob | undefined {
  const found = specOf(reader, seq)
  if (found === undefined) return undefined
  const { spec, bytes } = found
  return {
    seq,
    spec,
    specBytes: bytes,
    standing: initialStanding(spec, 'ready'),
    claim: undefined,
    isShared: false
  }
}

export function hasJob(reader: Reader, seq: number): boolean {
  return specOf(reader, seq) !== undefined
}

/** What is asked for in this commit may be in no entry yet. */
function specOf(reader: Reader, seq: number): FoundSpec | undefined {
  return reader instanceof HeldTransaction ? reader.specs.find(seq) : findSpec(reader, seq)
}

/** Where the job is among the ready ones. Those of a document, which may be in several queues, do not age. */
export function readyPlaceOf({ seq, spec }: StoredJob): ReadyPlace {
  const ageingMs = spec.rules?.document === undefined ? spec.rules?.ageingMs : undefined
  return { atFront: spec.atFront, rank: rankOf(spec.priority, ageingMs, spec.enqueuedAtMs), seq }
}

/** How many of the jobs that it depends on have not finished. */
export function unmetDependencies({ dependencies }: Standing): number {
  if (dependencies === null) return 0
  return dependencies.total - dependencies.completed - dependencies.failed - dependencies.cancelled
}

/** Whether it is the end of other jobs that keeps it from running. One that was retried by hand waits for none. */
export function waitsForOthers({ state, dueAtMs }: Standing): boolean {
  return state === 'scheduled' && dueAtMs === null
}

/** Whether its last attempt gave its thread back, to sleep or to wait for a signal; it has not gone on since. */
export function isSuspended({ state, dueAtMs, history }: Standing): boolean {
  return state === 'scheduled' && dueAtMs !== null && history.at(-1)?.outcome === 'suspended'
}

function readStanding(reader: Reader, seq: number): Standing | undefined {
  for (const key of [standingKey(seq), runningKey(seq)]) {
    const value = reader.get(key)
    if (value !== undefined) return standingCodec.decode(key, value)
  }
  return undefined
}

/** What has changed in this commit is in none of the entries yet. */
function readSharedStanding(reader: Reader, seq: number): Standing | undefined {
  if (reader instanceof HeldTransaction) return reader.finished.standingOf(seq)
  return standingInRun(findStandings(reader, seq), seq)
}

/** Of a job without a standing of its own: else it is ready, has just been claimed, or has completed. */
function waitsForItsTime(reader: Reader, { seq, spec }: StoredJob): boolean {
  return spec.runAtMs !== null && reader.has(scheduledKey(spec.runAtMs, seq))
}

function seqOfChosenId(reader: Reader, id: string): number | undefined {
  const key = idKey(id)
  const value = reader.get(key)
  return value === undefined ? undefined : seqCodec.decode(key, value)
}
