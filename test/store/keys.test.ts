/**
 * The order of keys in bytes is the order that the queue relies on. Queue numbers and seqs gather around the values where a
 * byte overflows or is 0xff, since there a careless range would end too early or reach into its neighbour.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { instantMsMax, priorityMax, priorityMin } from '../../runtime/core/limits.ts'
import {
  countsKey,
  dueOfScheduledKey,
  dueRange,
  type FinishedState,
  finishedKey,
  finishedRange,
  idKey,
  jobKey,
  jobRange,
  type KeyRange,
  metaKey,
  numberOfQueueKey,
  queueKey,
  queueRange,
  readyKey,
  readyRange,
  runningKey,
  runningRange,
  scheduledKey,
  scheduledRange,
  seqOfKey,
  seqOfReadyKey,
  standingKey
} from '../../runtime/store/keys.ts'

const finishedStates: readonly FinishedState[] = ['completed', 'failed', 'cancelled']
const seqMax = 2 ** 48 - 1
const queues = edged([0, 1, 254, 255, 256, 257, 65279, 65280, 65281, 65534, 65535], 65535)
const seqs = edged([0, 1, 255, 256, 65535, 2 ** 32 - 1, 2 ** 32, seqMax - 1, seqMax], seqMax)
const instants = edged([0, 2 ** 32 - 1, 2 ** 32, instantMsMax], instantMsMax)
const states = fc.constantFrom(...finishedStates)
const priorities = fc.oneof(
  fc.constantFrom(priorityMin, -1, 0, 1, priorityMax),
  fc.integer({ min: priorityMin, max: priorityMax })
)

function edged(edges: number[], max: number): fc.Arbitrary<number> {
  return fc.oneof(fc.constantFrom(...edges), fc.integer({ min: 0, max }), fc.integer({ min: 0, max: Math.min(max, 9) }))
}

interface Ready {
  queue: number
  atFront: boolean
  priority: number
  seq: number
}
const ready: fc.Arbitrary<Ready> = fc.record({ queue: queues, atFront: fc.boolean(), priority: priorities, seq: seqs })
const scheduled = fc.record({ due: instants, seq: seqs })
const finished = fc.record({ state: states, queue: queues, finishedAtMs: instants, seq: seqs })

const keyOfReady = ({ queue, atFront, priority, seq }: Ready) => readyKey(queue, atFront, priority, seq)

/** Negative, zero or positive: the first difference decides. */
function firstDifference(...differences: number[]): number {
  return Math.sign(differences.find((difference) => difference !== 0) ?? 0)
}

describe('order of keys', () => {
  it('ready: by queue; at front before the others, the last put there first; then larger priority; then older', () => {
    fc.assert(
      fc.property(ready, ready, fc.boolean(), (a, other, sameQueue) => {
        const b = sameQueue ? { ...other, queue: a.queue } : other
        const expected = firstDifference(
          a.queue - b.queue,
          Number(b.atFront) - Number(a.atFront),
          a.atFront ? b.seq - a.seq : firstDifference(b.priority - a.priority, a.seq - b.seq)
        )
        assert.equal(Buffer.compare(keyOfReady(a), keyOfReady(b)), expected)
      }),
      { numRuns: 2000 }
    )
  })

  it('scheduled: by due time, then by seq', () => {
    fc.assert(
      fc.property(scheduled, scheduled, (a, b) => {
        const expected = firstDifference(a.due - b.due, a.seq - b.seq)
        assert.equal(Buffer.compare(scheduledKey(a.due, a.seq), scheduledKey(b.due, b.seq)), expected)
      }),
      { numRuns: 1000 }
    )
  })

  it('finished: by state, queue, time, seq', () => {
    const keyOf = (of: { state: FinishedState; queue: number; finishedAtMs: number; seq: number }) =>
      finishedKey(of.state, of.queue, of.finishedAtMs, of.seq)
    fc.assert(
      fc.property(finished, finished, fc.boolean(), (a, other, samePlace) => {
        const b = samePlace ? { ...other, state: a.state, queue: a.queue } : other
        const expected = firstDifference(
          finishedStates.indexOf(a.state) - finishedStates.indexOf(b.state),
          a.queue - b.queue,
          a.finishedAtMs - b.finishedAtMs,
          a.seq - b.seq
        )
        assert.equal(Buffer.compare(keyOf(a), keyOf(b)), expected)
      }),
      { numRuns: 1000 }
    )
  })
})

describe('numbers in keys', () => {
  it('come back as they went in', () => {
    fc.assert(
      fc.property(ready, instants, states, ({ queue, atFront, priority, seq }, atMs, state) => {
        assert.equal(seqOfReadyKey(readyKey(queue, atFront, priority, seq)), seq)
        for (const key of [
          jobKey(seq),
          standingKey(seq),
          runningKey(seq),
          scheduledKey(atMs, seq),
          finishedKey(state, queue, atMs, seq)
        ]) {
          assert.equal(seqOfKey(key), seq)
        }
        assert.equal(dueOfScheduledKey(scheduledKey(atMs, seq)), atMs)
        assert.equal(numberOfQueueKey(queueKey(queue)), queue)
      })
    )
  })
})

/** A key of any kind, with what it was made of. */
interface AnyKey {
  kind: string
  key: Buffer
  queue?: number
  state?: FinishedState
  due?: number
}
const anyKey: fc.Arbitrary<AnyKey> = fc.oneof(
  seqs.map((seq) => ({ kind: 'job', key: jobKey(seq) })),
  seqs.map((seq) => ({ kind: 'standing', key: standingKey(seq) })),
  seqs.map((seq) => ({ kind: 'running', key: runningKey(seq) })),
  ready.map((of) => ({ kind: 'ready', key: keyOfReady(of), queue: of.queue })),
  scheduled.map(({ due, seq }) => ({ kind: 'scheduled', key: scheduledKey(due, seq), due })),
  finished.map(({ state, queue, finishedAtMs, seq }) => ({
    kind: 'finished',
    key: finishedKey(state, queue, finishedAtMs, seq),
    state,
    queue
  })),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }).map((id) => ({ kind: 'id', key: idKey(id) })),
  queues.map((queue) => ({ kind: 'counts', key: countsKey(queue) })),
  queues.map((queue) => ({ kind: 'queue', key: queueKey(queue) })),
  fc.constantFrom('counters' as const, 'owner' as const).map((name) => ({ kind: 'meta', key: metaKey(name) }))
)

function holds({ start, end }: KeyRange, key: Buffer): boolean {
  return Buffer.compare(start, key) <= 0 && Buffer.compare(key, end) < 0
}

describe('ranges', () => {
  it('of a kind hold its keys and no others', () => {
    fc.assert(
      fc.property(anyKey, ({ kind, key }) => {
        assert.equal(holds(jobRange, key), kind === 'job')
        assert.equal(holds(runningRange, key), kind === 'running')
        assert.equal(holds(scheduledRange, key), kind === 'scheduled')
        assert.equal(holds(queueRange, key), kind === 'queue')
      }),
      { numRuns: 2000 }
    )
  })

  it('of one queue hold its keys and not those of its neighbours', () => {
    fc.assert(
      fc.property(queues, states, anyKey, (queue, state, { kind, key, queue: ofQueue, state: ofState }) => {
        assert.equal(holds(readyRange(queue), key), kind === 'ready' && ofQueue === queue)
        assert.equal(
          holds(finishedRange(state, queue), key),
          kind === 'finished' && ofQueue === queue && ofState === state
        )
      }),
      { numRuns: 3000 }
    )
  })

  it('of queues whose numbers have 0xff bytes hold their first and last keys, and end before the next queue', () => {
    for (const queue of [0, 254, 255, 256, 65279, 65280, 65534, 65535]) {
      for (const key of [readyKey(queue, true, 0, seqMax), readyKey(queue, false, priorityMin, seqMax)]) {
        assert(holds(readyRange(queue), key))
        if (queue > 0) assert(!holds(readyRange(queue - 1), key))
        if (queue < 65535) assert(!holds(readyRange(queue + 1), key))
      }
      for (const state of finishedStates) {
        assert(holds(finishedRange(state, queue), finishedKey(state, queue, 0, 0)))
        assert(holds(finishedRange(state, queue), finishedKey(state, queue, instantMsMax, seqMax)))
        if (queue > 0) assert(!holds(finishedRange(state, queue - 1), finishedKey(state, queue, 0, 0)))
      }
    }
  })

  it('of due jobs hold what is due at that instant or before', () => {
    fc.assert(
      fc.property(instants, anyKey, fc.integer({ min: -1, max: 1 }), seqs, (nowMs, { key, due }, offset, seq) => {
        assert.equal(holds(dueRange(nowMs), key), due !== undefined && due <= nowMs)
        const near = Math.max(0, nowMs + offset)
        assert.equal(holds(dueRange(nowMs), scheduledKey(near, seq)), near <= nowMs)
      }),
      { numRuns: 1000 }
    )
  })
})
