/** Runs of ready jobs against a plain sorted list. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { findReady, jobsOfReadyEntry, ReadyRuns, readyPlaces, readyRunMax } from '../../runtime/queue/ready-runs.ts'
import { type ReadyPlace, readyKey, readyRange } from '../../runtime/store/keys.ts'
import { PlainTransaction } from './plain-transaction.ts'

interface Job {
  queue: number
  place: ReadyPlace
  hasStanding: boolean
}

const operation = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('enqueue' as const),
      count: fc.integer({ min: 1, max: 12 }),
      queue: fc.integer({ min: 1, max: 2 }),
      rank: fc.integer({ min: 0, max: 1 })
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('many' as const),
      queue: fc.constant(1),
      rank: fc.constant(0),
      count: fc.constant(readyRunMax + 3)
    })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('front' as const), queue: fc.integer({ min: 1, max: 2 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('claim' as const),
      queue: fc.integer({ min: 1, max: 2 }),
      count: fc.integer({ min: 1, max: 20 })
    })
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('take' as const), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('back' as const), pick: fc.nat(), hasStanding: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('flush' as const) }) }
)

const keyOf = ({ queue, place }: Job) => readyKey(queue, place)
const byPlace = (one: Job, other: Job) => keyOf(one).compare(keyOf(other))

describe('runs of ready jobs', () => {
  it('are what a sorted list of the jobs is, whatever is put in and taken out, and wherever one begins to look', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 40 }), fc.nat(), (operations, pick) => {
        const transaction = new PlainTransaction()
        const runs = new ReadyRuns(transaction)
        let jobs: Job[] = []
        const gone: Job[] = []
        let nextSeq = 1
        const put = (job: Job) => {
          jobs.push(job)
          runs.place(job.queue, job.place, job.hasStanding)
        }
        const take = (job: Job) => {
          jobs = jobs.filter((each) => each !== job)
          gone.push(job)
          runs.take(job.queue, job.place, job.hasStanding)
        }
        for (const each of operations) {
          switch (each.do) {
            case 'enqueue':
            case 'many':
              for (let n = 0; n < each.count; n++) {
                put({
                  queue: each.queue,
                  place: { atFront: false, rank: each.rank, seq: nextSeq++ },
                  hasStanding: false
                })
              }
              break
            case 'front':
              put({ queue: each.queue, place: { atFront: true, rank: 0, seq: nextSeq++ }, hasStanding: false })
              break
            case 'claim':
              for (const job of jobs
                .filter(({ queue }) => queue === each.queue)
                .sort(byPlace)
                .slice(0, each.count))
                take(job)
              break
            case 'take':
              if (jobs.length > 0) take(jobs[each.pick % jobs.length]!)
              break
            case 'back': {
              const [job] = gone.splice(each.pick % Math.max(gone.length, 1), 1)
              if (job !== undefined) put({ ...job, hasStanding: each.hasStanding })
              break
            }
            case 'flush':
              runs.flush()
          }
          for (const queue of [1, 2]) {
            const all = jobs.filter((job) => job.queue === queue).sort(byPlace)
            const unwritten = runs.unwritten(queue, all.length)
            if (unwritten === undefined) continue
            const { first, count } = unwritten
            assert.deepEqual(
              all.map(({ place, hasStanding }) => [place.seq, hasStanding]),
              Array.from({ length: count }, (_, at) => [first + at, false])
            )
          }
        }
        runs.flush()
        for (const queue of [1, 2]) {
          const range = readyRange(queue)
          const expected = jobs.filter((job) => job.queue === queue).sort(byPlace)
          const found = [...readyPlaces(transaction, range)]
          assert.deepEqual(
            found.map(({ key, seq, hasStanding }) => [key.toString('hex'), seq, hasStanding]),
            expected.map((job) => [keyOf(job).toString('hex'), job.place.seq, job.hasStanding])
          )
          const from = [...expected, ...gone.filter((job) => job.queue === queue)]
          const behind = from[pick % Math.max(from.length, 1)]
          if (behind !== undefined) {
            assert.deepEqual(
              [...readyPlaces(transaction, range, keyOf(behind))].map(({ seq }) => seq),
              expected.filter((job) => byPlace(job, behind) > 0).map(({ place }) => place.seq)
            )
          }
        }
        for (const { queue, place, hasStanding } of jobs) {
          assert.equal(findReady(transaction, queue, place)?.value.length === 1, hasStanding)
        }
        for (const { queue, place } of gone) assert.equal(findReady(transaction, queue, place), undefined)
        for (const { value } of transaction.entries({ start: Buffer.of(0), end: Buffer.of(255) })) {
          const count = jobsOfReadyEntry(value)
          assert(count >= 1 && count <= readyRunMax)
        }
      }),
      { numRuns: 150 }
    )
  })

  it('that are taken in the commit that made them leave nothing, and are known without a look', () => {
    const transaction = new PlainTransaction()
    const runs = new ReadyRuns(transaction)
    for (let seq = 1; seq <= 5; seq++) runs.place(1, { atFront: false, rank: 0, seq }, false)
    assert.deepEqual(runs.unwritten(1, 5), { queue: 1, rank: 0, first: 1, count: 5 })
    assert.equal(runs.unwritten(1, 6), undefined, 'another one is ready')
    assert.equal(runs.unwritten(2, 5), undefined, 'it is another queue')
    for (let seq = 1; seq <= 5; seq++) runs.take(1, { atFront: false, rank: 0, seq }, false)
    runs.flush()
    assert.deepEqual([...transaction.entries({ start: Buffer.of(0), end: Buffer.of(255) })], [])
  })

  it('that follow each other in one commit are one entry', () => {
    const transaction = new PlainTransaction()
    const runs = new ReadyRuns(transaction)
    for (let seq = 1; seq <= 50; seq++) runs.place(1, { atFront: false, rank: 0, seq }, false)
    for (let seq = 1; seq <= 20; seq++) runs.take(1, { atFront: false, rank: 0, seq }, false)
    runs.flush()
    const [entry, ...others] = transaction.entries({ start: Buffer.of(0), end: Buffer.of(255) })
    assert.equal(others.length, 0)
    assert.equal(jobsOfReadyEntry(entry!.value), 30)
  })
})
