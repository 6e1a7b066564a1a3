/** Completed jobs that share entries, against a plain list of them. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  FinishedRuns,
  findFinished,
  findStandings,
  finishedPlaces,
  finishedRunMax,
  jobsOfFinishedEntry,
  mayShare,
  standingInRun
} from '../../runtime/queue/finished-runs.ts'
import { bytesOfDigest } from '../../runtime/store/digest.ts'
import { finishedKey, finishedRange, sharedStandingsRange, standingKey } from '../../runtime/store/keys.ts'
import {
  initialStanding,
  type JobSpec,
  type Standing,
  standingCodec,
  standingOfCompleted
} from '../../runtime/store/records.ts'
import { PlainTransaction } from './plain-transaction.ts'

interface Job {
  seq: number
  queue: number
  standing: Standing
  bytes: number
  /** In an entry of several, as far as its place tells. */
  hasOwnStanding: boolean
}

const specOf = (queue: number) => ({ queue, method: `a.${queue}`, jobName: null, rules: null }) as unknown as JobSpec
const keyOf = ({ seq, queue, standing }: Job) => finishedKey('completed', queue, standing.finishedAtMs!, seq)
const byPlace = (one: Job, other: Job) => keyOf(one).compare(keyOf(other))
const all = { start: Buffer.of(0), end: Buffer.of(255) }

const operation = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('complete' as const),
      count: fc.integer({ min: 1, max: 12 }),
      gap: fc.integer({ min: 0, max: 1 }),
      queue: fc.integer({ min: 1, max: 2 }),
      startedAtMs: fc.integer({ min: 1, max: 2 }),
      result: fc.constantFrom(null, 'null', '"ä"', '{"a":[1]}'),
      isReversed: fc.boolean()
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('complete' as const),
      count: fc.constant(finishedRunMax + 3),
      gap: fc.constant(0),
      queue: fc.constant(1),
      startedAtMs: fc.constant(1),
      result: fc.constant('7'),
      isReversed: fc.constant(false)
    })
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('forget' as const), pick: fc.nat(), count: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('again' as const), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('amend' as const), pick: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('flush' as const), isNext: fc.boolean() }) }
)

describe('completed jobs that share entries', () => {
  it('are what a sorted list of them is, whoever joins or leaves, and wherever one begins to look', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 40 }), fc.nat(), (operations, pick) => {
        const transaction = new PlainTransaction()
        const runs = new FinishedRuns(transaction)
        let jobs: Job[] = []
        const gone: Job[] = []
        let [nextSeq, nowMs] = [1, 10]
        const complete = (job: Job) => {
          jobs.push(job)
          runs.place(job.seq, specOf(job.queue), job.standing, job.bytes)
        }
        const forget = (job: Job) => {
          jobs = jobs.filter((each) => each !== job)
          gone.push(job)
          const digest = runs.takePlace('completed', job.queue, job.standing.finishedAtMs!, job.seq)
          assert.equal(digest === undefined ? undefined : bytesOfDigest(digest), job.bytes, `digest of ${job.seq}`)
          runs.leaveStandings(job.seq)
          transaction.remove(standingKey(job.seq))
        }
        for (const each of operations) {
          switch (each.do) {
            case 'complete': {
              nextSeq += each.gap
              const added = Array.from({ length: each.count }, () => ({
                seq: nextSeq,
                queue: each.queue,
                standing: standingOfCompleted(each.startedAtMs, nowMs, each.result),
                bytes: nextSeq++ * 3,
                hasOwnStanding: false
              }))
              for (const job of each.isReversed ? added.reverse() : added) complete(job)
              break
            }
            case 'forget':
              for (const job of jobs.slice(each.pick % Math.max(jobs.length, 1)).slice(0, each.count)) forget(job)
              break
            case 'again': {
              const job = jobs[each.pick % Math.max(jobs.length, 1)]
              if (job === undefined) break
              forget(job)
              complete({ ...job, standing: standingOfCompleted(1, nowMs, '"again"'), hasOwnStanding: false })
              break
            }
            case 'amend': {
              const job = jobs[each.pick % Math.max(jobs.length, 1)]
              if (job === undefined || job.hasOwnStanding) break
              runs.leaveStandings(job.seq)
              job.hasOwnStanding = true
              transaction.put(standingKey(job.seq), standingCodec.encode(standingKey(job.seq), job.standing))
              break
            }
            case 'flush':
              runs.flush()
              if (each.isNext) nowMs++
          }
        }
        runs.flush()
        for (const queue of [1, 2]) {
          const range = finishedRange('completed', queue)
          const expected = jobs.filter((job) => job.queue === queue).sort(byPlace)
          const seqs = (found: Iterable<{ seq: number }>) => [...found].map(({ seq }) => seq)
          assert.deepEqual(
            [...finishedPlaces(transaction, range)].map(({ key, value }) => [
              key.toString('hex'),
              bytesOfDigest(value)
            ]),
            expected.map((job) => [keyOf(job).toString('hex'), job.bytes])
          )
          const from = [...expected, ...gone.filter((job) => job.queue === queue)]
          const bound = from[pick % Math.max(from.length, 1)]
          for (const each of [undefined, bound]) {
            const place = each === undefined ? {} : { bound: keyOf(each) }
            assert.deepEqual(
              seqs(finishedPlaces(transaction, range, place)),
              seqs(expected.filter((job) => each === undefined || byPlace(job, each) > 0))
            )
            assert.deepEqual(
              seqs(finishedPlaces(transaction, range, { ...place, reverse: true })),
              seqs(expected.filter((job) => each === undefined || byPlace(job, each) < 0).reverse())
            )
          }
        }
        for (const job of jobs) {
          const { queue, standing, seq, hasOwnStanding } = job
          const found = findFinished(transaction, 'completed', queue, standing.finishedAtMs!, seq)
          assert.equal(bytesOfDigest(found!.digest), job.bytes)
          const shared = standingInRun(findStandings(transaction, seq), seq)
          const own = transaction.get(standingKey(seq))
          assert.equal(own === undefined, shared !== undefined, `one standing of ${seq}`)
          if (hasOwnStanding) assert(own !== undefined)
          assert.deepEqual(shared ?? standingCodec.decode(standingKey(seq), own!), standing)
          assert.deepEqual(runs.standingOf(seq), shared)
        }
        for (const { seq, queue, standing } of gone.filter(({ seq }) => !jobs.some((job) => job.seq === seq))) {
          assert.equal(findFinished(transaction, 'completed', queue, standing.finishedAtMs!, seq), undefined)
          assert.equal(standingInRun(findStandings(transaction, seq), seq), undefined)
        }
        for (const { value } of transaction.entries(finishedRange('completed', 1))) {
          assert(jobsOfFinishedEntry(value) <= finishedRunMax)
        }
      }),
      { numRuns: 200 }
    )
  })

  it('take a place and a record for all that complete together, and each is written once as many of them are forgotten', () => {
    const transaction = new PlainTransaction()
    const runs = new FinishedRuns(transaction)
    for (let seq = 100; seq > 0; seq--) runs.place(seq, specOf(1), standingOfCompleted(1, 2, 'null'), seq)
    runs.flush()
    assert.equal(transaction.entries(all).length, 2)
    const before = transaction.writes
    for (let seq = 1; seq <= 60; seq++) {
      if (seq === 30) continue
      assert(runs.takePlace('completed', 1, 2, seq) !== undefined)
      runs.leaveStandings(seq)
    }
    runs.flush()
    assert.equal(transaction.writes - before, 6)
    assert.deepEqual(
      transaction.entries(finishedRange('completed', 1)).map(({ value }) => jobsOfFinishedEntry(value)),
      [1, 40]
    )
    assert.equal(transaction.entries(sharedStandingsRange).length, 2)
  })

  it('are those of which nothing is to be said but when they ran, and a short result', () => {
    const spec = specOf(1)
    const plain = standingOfCompleted(1, 2, '{"a":1}')
    assert(mayShare(spec, plain))
    assert(mayShare(spec, { ...plain, result: null }))
    assert.deepEqual(plain, {
      ...initialStanding({ ...spec, runAtMs: null }, 'ready'),
      state: 'completed',
      made: 1,
      startedAtMs: 1,
      finishedAtMs: 2,
      result: '{"a":1}'
    })
    const others: Partial<Standing>[] = [
      { state: 'failed' },
      { made: 2 },
      { failures: 1 },
      { crashes: 1 },
      { startedAtMs: null },
      { dueAtMs: 1 },
      { error: { code: 'CANCELLED', name: '', message: '' } },
      { result: '' },
      { result: '1\n' },
      { result: `"${'x'.repeat(100)}"` },
      { progress: { percent: 1, stage: null } },
      { logs: [{ at: '', level: 'info', message: '' }] },
      { history: [{ attempt: 1, startedAtMs: 1, finishedAtMs: 1, outcome: 'interrupted', error: null }] },
      { dependencies: { total: 1, completed: 1, failed: 0, cancelled: 0 } },
      { startTurn: 1 },
      { journal: { entries: 0, bytes: 0, signals: 0, nextSignal: 1, nextOrder: 0 } }
    ]
    for (const other of others) assert(!mayShare(spec, { ...plain, ...other }), JSON.stringify(other))
    assert(!mayShare({ ...spec, rules: { keepMs: { completed: 5 } } }, plain))
    assert(mayShare({ ...spec, rules: { keepMs: { failed: 5 } } }, plain))
  })
})
