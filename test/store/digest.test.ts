/**
 * A digest lets a filter pass over a finished job without reading it. It may be wrong one way only: a job that the filter
 * wants is never passed over; one that it does not want nearly always is.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type JobErrorCode, jobErrorCodes } from '../../runtime/core/errors.ts'
import {
  bytesOfDigest,
  type DigestedJob,
  type DigestFilter,
  digestTest,
  encodeDigest,
  keepsItself
} from '../../runtime/store/digest.ts'

const codes = Object.keys(jobErrorCodes) as JobErrorCode[]
// Few texts, so that filters often want what the job has; and any text, for the hashes.
const text = fc.oneof(fc.constantFrom('', 'a.b', 'a.c', 'é', '\0'), fc.string({ unit: 'binary', maxLength: 20 }))
const code = fc.constantFrom(...codes)
const bytesMax = 2 ** 32 - 1
const job: fc.Arbitrary<DigestedJob> = fc.record({
  bytes: fc.oneof(fc.constantFrom(0, 1, bytesMax, bytesMax + 1), fc.nat()),
  keepsItself: fc.boolean(),
  errorCode: fc.option(code, { nil: null }),
  method: text,
  jobName: fc.option(text, { nil: null }),
  key: fc.option(text, { nil: null })
})
const filter: fc.Arbitrary<DigestFilter> = fc.record(
  { errorCode: code, method: text, jobName: text, key: text },
  { requiredKeys: [] }
)
type Condition = keyof DigestFilter
const conditions: Condition[] = ['errorCode', 'method', 'jobName', 'key']

/** Said plainly: each condition that is there is met. */
function passes(of: DigestedJob, wanted: DigestFilter): boolean {
  return conditions.every((name) => wanted[name] === undefined || wanted[name] === of[name])
}

describe('digest of a finished job', () => {
  it('of a job that passes the filter is never passed over', () => {
    fc.assert(
      fc.property(job, filter, fc.subarray(conditions), (of, other, shared) => {
        // A filter that wants some of what the job has, and one drawn at random.
        const own = Object.fromEntries(
          shared.flatMap((name) => (of[name] === null ? [] : [[name, of[name]]]))
        ) as DigestFilter
        assert(passes(of, own))
        assert(digestTest(own)(encodeDigest(of)), JSON.stringify(own))
        if (passes(of, other)) assert(digestTest(other)(encodeDigest(of)))
      }),
      { numRuns: 5000 }
    )
  })

  it('of a job that has none of what is asked for is passed over, but for texts of equal hashes', () => {
    let looks = 0
    let passedOver = 0
    fc.assert(
      fc.property(job, filter, (of, wanted) => {
        if (passes(of, wanted)) return
        looks++
        if (!digestTest(wanted)(encodeDigest(of))) passedOver++
      }),
      { numRuns: 20_000 }
    )
    assert(looks > 5_000, `${looks} jobs that do not pass`)
    // The hash of the empty text is that of none, and the generator likes it; of others about one in 2^32 is equal.
    assert(passedOver > looks * 0.9, `${passedOver} of ${looks}`)
  })

  it('of a hundred thousand names, all different, passes over all but the one that is asked for', () => {
    const mayPass = digestTest({ jobName: 'job 77' })
    const found: string[] = []
    for (let number = 0; number < 100_000; number++) {
      const jobName = `job ${number}`
      const digest = encodeDigest({ bytes: 1, keepsItself: false, errorCode: null, method: 'a.b', jobName, key: null })
      if (mayPass(digest)) found.push(jobName)
    }
    // CRC-32 of texts of the same length that differ in their last 4 bytes never collide; of the others a few might.
    assert(found.includes('job 77') && found.length <= 3, found.join(', '))
  })

  it('tells its bytes, up to what four bytes hold, and whether the job says itself how long it is kept', () => {
    fc.assert(
      fc.property(job, (of) => {
        const digest = encodeDigest(of)
        assert.equal(bytesOfDigest(digest), Math.min(of.bytes, bytesMax))
        assert.equal(keepsItself(digest), of.keepsItself)
      })
    )
  })

  it('that is empty, of a job that format 1 finished, passes every filter, and says nothing', () => {
    const none = Buffer.alloc(0)
    fc.assert(fc.property(filter, (wanted) => digestTest(wanted)(none)))
    assert.equal(bytesOfDigest(none), 0)
    assert.equal(keepsItself(none), false)
  })
})
