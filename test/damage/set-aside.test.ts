/**
 * A record is damaged while the queue is in use (issue 7.5), one after the other of a store that holds every kind: the queue goes on, the
 * record is set aside as it was, all sound jobs come to the end that they would have had, and all entries agree afterwards.
 *
 * Long form: every record of that store (about half a minute), else some of each kind.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { RuntimeError } from '../../runtime/core/errors.ts'
import type { JobView } from '../../runtime/core/job.ts'
import type { ClaimedJob } from '../../runtime/queue/claimed-job.ts'
import { makeId } from '../../runtime/queue/job-id.ts'
import { seqsOfRuns } from '../../runtime/queue/running-claims.ts'
import { metaKey, seqOfKey, setAsideKey } from '../../runtime/store/keys.ts'
import {
  claimCodec,
  isSealed,
  isSharedSpecs,
  jobRecordCodec,
  setAsideCodec,
  sharedStandingsCodec
} from '../../runtime/store/records.ts'
import type { Store } from '../../runtime/store/store.ts'
import { type OpenQueue, openQueue } from '../queue/open-queue.ts'
import { assertInvariants } from '../queue/store-invariants.ts'
import { everyKindConfigs, fillWithEveryKind } from './every-kind.ts'

type Entry = { key: Buffer; value: Buffer }

const configs = new Map(everyKindConfigs.map((config) => [config.name, config]))
const everything = { start: Buffer.of(0), end: Buffer.of(255) }
const owner = metaKey('owner')
const jobKind = 'J'.charCodeAt(0)
const kindA = { start: Buffer.from('A'), end: Buffer.from('B') }

function entriesOf(store: Store): Entry[] {
  return [...store.reader.entries(everything)].map(({ key, value }) => ({
    key: Buffer.from(key),
    value: Buffer.from(value)
  }))
}

async function become(store: Store, entries: Entry[]): Promise<void> {
  await store.transact((transaction) => {
    for (const key of [...transaction.keys(everything)]) transaction.remove(key)
    for (const { key, value } of entries) transaction.put(key, value)
  })
}

/** Of the jobs whose record it is. */
function idsIn({ key, value }: Entry, tag: string): Map<number, string> {
  const record = jobRecordCodec.decode(key, value)
  const first = seqOfKey(key)
  if (!isSharedSpecs(record)) return new Map([[first, record.id]])
  return new Map(Array.from({ length: record.count }, (_, at) => [first + at, makeId(tag, first + at)]))
}

function flipped(value: Buffer, at: number): Buffer {
  const copy = Buffer.from(value)
  copy[at % copy.length]! ^= 0x10
  return copy
}

async function damage(store: Store, { key, value }: Entry, at: number): Promise<Buffer> {
  const raw = flipped(value, at)
  await store.transact((transaction) => transaction.put(key, raw))
  return raw
}

function unlessDamaged<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    assert(error instanceof RuntimeError && error.code === 'DATA_DAMAGED', String(error))
    return undefined
  }
}

const trace = { progress: null, logs: [] }
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** What a supervisor does, for two days of its clock: everything that can run runs. @returns all jobs as they are then */
async function useUp({ queue, clock }: OpenQueue, running: ClaimedJob[]): Promise<Map<string, JobView>> {
  await queue.signal('stepped', 'approved', null).catch(ignoreRefusals)
  for (let round = 0; round < 60; round++) {
    // What is damaged, is so from the beginning; later there are only new entries to be seen.
    if (round < 4 || round % 8 === 0) lookAtAll(queue, clock.nowMs)
    await turn()
    await queue.promoteDue(clock.nowMs)
    await queue.upkeep(clock.nowMs)
    if (round === 1) await queue.setPaused('paused', false)
    for (const name of configs.keys()) {
      for (const job of await queue.claim(name, 10)) {
        await queue.noteStart(job, clock.nowMs)
        await queue.settle(job, { type: 'completed', result: '1' }, trace)
      }
    }
    if (round === 0) await queue.storeTraces(running.map((job) => ({ job, trace })))
    if (round === 2) for (const job of running) await queue.settle(job, { type: 'completed', result: '1' }, trace)
    clock.nowMs += 60_000 * (round < 30 ? 2 : 90)
  }
  const jobs = new Map<string, JobView>()
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = queue.list(cursor === undefined ? { limit: 200 } : { limit: 200, cursor })
    for (const job of page.jobs) jobs.set(job.id, job)
    cursor = page.cursor
  }
  return jobs
}

function lookAtAll(queue: OpenQueue['queue'], nowMs: number): void {
  unlessDamaged(() => queue.queues())
  unlessDamaged(() => queue.list({ limit: 500 }))
  unlessDamaged(() => queue.health())
  unlessDamaged(() => queue.documents.list({}))
  unlessDamaged(() => queue.outbox.list(undefined))
  unlessDamaged(() => queue.schedule.due(nowMs, 10))
  unlessDamaged(() => queue.growth())
}

function ignoreRefusals(error: unknown): void {
  assert(error instanceof RuntimeError && ['JOB_UNKNOWN', 'JOB_STATE'].includes(error.code), String(error))
}

const perKind = 6

function firstOfEachKind(entries: Entry[], orWhere: (key: Buffer) => boolean): Entry[] {
  const seen = new Map<number, number>()
  return entries.filter(({ key }) => {
    const count = (seen.get(key[0]!) ?? 0) + 1
    seen.set(key[0]!, count)
    return count <= perKind || orWhere(key)
  })
}

/** Ends that a job may have for the damage, besides the one without it. */
function isForDamage({ error }: JobView): boolean {
  return error?.code === 'RECORD_DAMAGED' || error?.name === 'ParentFailed'
}

test('issue 7.5: whatever record is damaged under a running queue, it is set aside and everything sound goes on', async (t: TestContext) => {
  const base = await openQueue(...everyKindConfigs)
  t.after(() => base.close())
  await fillWithEveryKind(base, 3)
  const { store, tag, clock } = base
  const [before, beforeMs] = [entriesOf(store), clock.nowMs]
  const fresh = async () => {
    await become(store, before)
    clock.nowMs = beforeMs
    const opened = await base.reopen()
    return { opened, running: await opened.queue.claim('default', 8) }
  }
  const { opened, running } = await fresh()
  const there = opened.queue.list({ limit: 500 }).jobs.map(({ id }) => id)
  const sound = await useUp(opened, running)
  const assertSound = (name: string) => {
    try {
      assertInvariants(store.reader, tag, configs)
    } catch (error) {
      ;(error as Error).message = `${name}: ${(error as Error).message}`
      throw error
    }
  }
  assert([...sound.values()].every(({ state }) => ['completed', 'failed', 'cancelled'].includes(state)))

  await fresh()
  const all = entriesOf(store).filter(({ key }) => isSealed(key) && !key.equals(owner))
  const ofJobs = all.filter(({ key }) => key[0] === jobKind)
  const idOf = new Map(ofJobs.flatMap((record) => [...idsIn(record, tag)]))
  const shared = ofJobs.filter((record) => idsIn(record, tag).size > 1).map(({ key }) => key)
  assert(shared.length > 0)
  const parents = [...store.reader.keys(kindA)].map((key) => key.readUIntBE(1, 6))
  const ofSeveral = (key: Buffer) =>
    key[0] === jobKind && (parents.includes(seqOfKey(key)) || shared.some((other) => other.equals(key)))
  const records = process.env.LONG ? all : firstOfEachKind(all, ofSeveral)
  const unread: string[] = []
  const kinds = new Map<string, number>()
  for (const [index, record] of records.entries()) {
    const kind = String.fromCharCode(record.key[0]!)
    const name = `record ${kind} ${record.key.toString('hex')}`
    const { opened, running } = await fresh()
    const raw = await damage(store, record, index)
    const jobs = await useUp(opened, running)
    if (opened.queue.setAside() === 0) await opened.queue.repair()
    const aside = setAsideKey(record.key)
    const kept = store.reader.get(aside)
    if (kept === undefined) {
      // Removed or written anew before anybody read it.
      assert(store.reader.get(record.key)?.equals(raw) !== true, `${name} is not set aside`)
      unread.push(name)
    } else {
      assert(setAsideCodec.decode(aside, kept).value.equals(raw), `${name} is kept as it was`)
      assert(
        opened.events.some(({ type, job }) => type === 'damaged' && job === record.key.toString('hex')),
        name
      )
    }
    assertSound(name)
    if (kept !== undefined && kind === 'J') {
      for (const id of idsIn(record, tag).values()) assert(!jobs.has(id), `${name}: ${id} is there`)
    }
    if (kept !== undefined && 'SX'.includes(kind)) {
      // It must not run again as if nothing had been, nor be shown as if nothing were lost.
      const job = jobs.get(idOf.get(seqOfKey(record.key))!)
      assert(job === undefined || job.error?.code === 'RECORD_DAMAGED', `${name} is ${job?.state}`)
    }
    if (kept !== undefined && kind === 'x') {
      for (const seq of seqsOfRuns(claimCodec.decode(record.key, record.value).runs)) {
        assert.equal(jobs.get(idOf.get(seq)!)?.error?.code, 'RECORD_DAMAGED', `${name}: job ${seq}`)
      }
    }
    if (kept !== undefined && kind === 's') {
      const { count } = sharedStandingsCodec.decode(record.key, record.value)
      assert(count > 1)
      for (let seq = seqOfKey(record.key); seq < seqOfKey(record.key) + count; seq++) {
        const { state, error, result } = jobs.get(idOf.get(seq)!)!
        assert.deepEqual(
          [state, error?.code, result],
          ['completed', 'RECORD_DAMAGED', undefined],
          `${name}: job ${seq}`
        )
      }
    }
    const gone = there.filter((id) => sound.has(id) && !jobs.has(id))
    const mayGo = kind === 'J' ? idsIn(record, tag).size + 1 : 0
    assert(gone.length <= mayGo, `${name}: ${gone} are gone`)
    for (const [id, job] of jobs) {
      const expected = sound.get(id)
      if (expected === undefined) continue
      assert(job.state === expected.state || isForDamage(job), `${name}: ${id} is ${job.state}, not ${expected.state}`)
    }
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  }
  t.diagnostic(
    `${records.length} records, by kind: ${[...kinds].map(([kind, count]) => `${kind} ${count}`).join(', ')}`
  )
  t.diagnostic(`never read: ${unread.join(', ') || 'none'}`)
  assert(unread.length < 5)
  for (const kind of 'CDEHIJKLMOPQSUXrsx') assert(kinds.has(kind), `kind ${kind}`)
})
