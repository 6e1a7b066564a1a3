/** What was asked for of jobs that share records, against a plain list of it. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { backoffDefault } from '../../runtime/core/backoff.ts'
import { makeId } from '../../runtime/queue/job-id.ts'
import { findSpec, findSpecRecord, jobsIn, SpecRuns, specRunMax } from '../../runtime/queue/spec-runs.ts'
import { jobKey, jobRange } from '../../runtime/store/keys.ts'
import { isSharedSpecs, type JobSpec, jobRecordCodec } from '../../runtime/store/records.ts'
import { PlainTransaction } from './plain-transaction.ts'

const tag = '1x4k2p9'
const pageBytes = 4096 - 16

function specOf(seq: number, more: Partial<JobSpec> = {}): JobSpec {
  return {
    id: makeId(tag, seq),
    method: 'a.b',
    queue: 1,
    params: `{"number":${seq}}`,
    enqueuedAtMs: 1000,
    runAtMs: null,
    atFront: false,
    priority: 0,
    timeoutMs: 300_000,
    attemptsMax: 1,
    backoff: backoffDefault,
    jobName: null,
    softTimeoutMs: null,
    event: null,
    rules: null,
    ...more
  }
}

/** Each differs from the others in one field. */
const kinds: Partial<JobSpec>[] = [
  {},
  { method: 'a.c' },
  { queue: 2 },
  { enqueuedAtMs: 1001 },
  { atFront: true },
  { priority: 7 },
  { timeoutMs: 1 },
  { attemptsMax: 3 },
  { backoff: { ...backoffDefault } },
  { backoff: { ...backoffDefault, delayMs: 5 } },
  { backoff: { ...backoffDefault, type: 'list', delaysMs: [1, 2] } },
  { backoff: { ...backoffDefault, type: 'list', delaysMs: [1, 3] } },
  { jobName: 'ä label' },
  { softTimeoutMs: 4 }
]
/** What is for a record of its own. */
const special: Partial<JobSpec>[] = [
  { id: 'chosen' },
  { event: 'nightly' },
  { rules: { key: 'k' } },
  { params: `"${'x'.repeat(2_000)}"` },
  { params: '[1,\n2]' }
]

const operation = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('add' as const),
      count: fc.integer({ min: 1, max: 12 }),
      kind: fc.oneof(fc.nat(2), fc.nat(kinds.length - 1)),
      runAtMs: fc.constantFrom(null, null, 5000),
      params: fc.constantFrom('{}', '"ä"', `"${'y'.repeat(400)}"`)
    })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('many' as const), count: fc.constant(specRunMax + 3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('special' as const), of: fc.nat(special.length - 1) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), pick: fc.nat(), count: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('replace' as const), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('look' as const), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.constant({ do: 'flush' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'commit' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'fail' as const }) }
)

describe('what was asked for of jobs that share records', () => {
  it('is what a list of it says, whoever joins or leaves, in the commit and after it, from wherever one looks', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 40 }), fc.nat(), (operations, pick) => {
        let transaction = new PlainTransaction()
        let runs = new SpecRuns(transaction, tag)
        let jobs = new Map<number, JobSpec>()
        let nextSeq = 1
        let removed = 0
        let committed = { entries: transaction.entries(jobRange), jobs: new Map(jobs) }
        const add = (spec: JobSpec) => {
          const seq = nextSeq++
          jobs.set(seq, spec)
          assert(runs.add(seq, spec, spec.id === makeId(tag, seq)) > 0)
        }
        const picked = (at: number) => [...jobs.keys()][at % Math.max(jobs.size, 1)]
        for (const each of operations) {
          switch (each.do) {
            case 'add':
              for (let count = 0; count < each.count; count++) {
                add(specOf(nextSeq, { ...kinds[each.kind], runAtMs: each.runAtMs, params: each.params }))
              }
              break
            case 'many':
              for (let count = 0; count < each.count; count++) add(specOf(nextSeq, { params: '{}' }))
              break
            case 'special':
              add(specOf(nextSeq, special[each.of]))
              break
            case 'remove':
              for (const seq of [...jobs.keys()].slice(each.pick % Math.max(jobs.size, 1)).slice(0, each.count)) {
                runs.remove(seq)
                jobs.delete(seq)
                removed = seq
              }
              break
            case 'replace': {
              const seq = picked(each.pick)
              if (seq === undefined) break
              const spec = { ...jobs.get(seq)!, params: '"other"' }
              jobs.set(seq, spec)
              runs.replace(seq, spec)
              break
            }
            case 'look': {
              const seq = each.pick % (nextSeq + 1)
              assert.deepEqual(runs.find(seq)?.spec, jobs.get(seq))
              break
            }
            case 'flush':
              runs.flush()
              break
            case 'commit':
              runs.flush()
              runs = new SpecRuns(transaction, tag)
              committed = { entries: transaction.entries(jobRange), jobs: new Map(jobs) }
              break
            case 'fail':
              transaction = new PlainTransaction()
              for (const { key, value } of committed.entries) transaction.put(key, value)
              runs = new SpecRuns(transaction, tag)
              jobs = new Map(committed.jobs)
              assert.deepEqual(runs.find(removed)?.spec, jobs.get(removed), 'of a commit that failed')
          }
        }
        for (let seq = 0; seq <= nextSeq; seq++) assert.deepEqual(runs.find(seq)?.spec, jobs.get(seq), `job ${seq}`)
        runs.flush()
        for (let seq = 0; seq <= nextSeq; seq++) {
          assert.deepEqual(findSpec(transaction, seq)?.spec, jobs.get(seq), `job ${seq}, written`)
          assert.deepEqual(runs.find(seq)?.spec, jobs.get(seq), `job ${seq}, read again`)
        }
        const seqs = (found: Iterable<{ key: Buffer; seq: number }>) =>
          [...found].map(({ key, seq }) => {
            assert(key.equals(jobKey(seq)))
            return seq
          })
        assert.deepEqual(seqs(jobsIn(transaction)), [...jobs.keys()])
        const bound = 1 + (pick % nextSeq)
        const before = { start: jobRange.start, end: jobKey(bound) }
        assert.deepEqual(
          seqs(jobsIn(transaction, before, true)),
          [...jobs.keys()].filter((seq) => seq < bound).reverse()
        )
        for (const { key, value } of transaction.entries(jobRange)) {
          const record = jobRecordCodec.decode(key, value)
          if (!isSharedSpecs(record)) continue
          assert(record.count > 1 && record.count <= specRunMax)
          assert(value.length <= pageBytes, `${value.length} bytes`)
        }
      }),
      { numRuns: 200 }
    )
  })

  it('takes one record for as many as fill a page, which is written once as many of them leave', () => {
    const transaction = new PlainTransaction()
    const runs = new SpecRuns(transaction, tag)
    for (let seq = 1; seq <= 300; seq++) runs.add(seq, specOf(seq, { params: '{}', priority: seq % 3 }), true)
    runs.flush()
    assert.equal(transaction.entries(jobRange).length, 2)
    const before = transaction.writes
    for (let seq = 1; seq <= 150; seq++) if (seq !== 100) runs.remove(seq)
    runs.flush()
    assert.equal(transaction.writes - before, 3)
    assert.deepEqual(
      [...jobsIn(transaction)].map(({ seq }) => seq),
      [100, ...Array.from({ length: 150 }, (_, at) => 151 + at)]
    )
    assert(findSpecRecord(transaction, 170)!.includes('a.b'))
    assert.equal(findSpec(transaction, 99), undefined)
  })

  it('of one that asks for something special, or is alone, is a record of its own', () => {
    for (const more of special) {
      const transaction = new PlainTransaction()
      const runs = new SpecRuns(transaction, tag)
      for (const seq of [1, 2]) runs.add(seq, specOf(seq, more), more.id === undefined)
      runs.flush()
      assert.equal(transaction.entries(jobRange).length, 2, JSON.stringify(more))
    }
    const transaction = new PlainTransaction()
    const runs = new SpecRuns(transaction, tag)
    runs.add(1, specOf(1), true)
    runs.flush()
    const [alone] = transaction.entries(jobRange)
    assert(!isSharedSpecs(jobRecordCodec.decode(alone!.key, alone!.value)))
  })
})
