/**
 * The order of keys in bytes is the order that the queue relies on. One table says of each kind of key what it is made of, and
 * by what it sorts; another of each range which keys it holds. Every pair of kinds and ranges is then drawn. Numbers gather
 * around the values where a byte overflows or is 0xff, since there a careless range would end too early or reach into its
 * neighbour.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type FinishedState, finishedStates } from '../../runtime/core/lifecycle.ts'
import {
  instantMsMax,
  nameCharsMax,
  priorityMax,
  priorityMin,
  reminderNamesBytesMax
} from '../../runtime/core/limits.ts'
import * as keys from '../../runtime/store/keys.ts'

const { agedRank, dueRange, noInstantMs, rankOf, scheduledKey } = keys
const seqMax = 2 ** 48 - 1
const rankMax = 2 ** 32 - 1
const lmdbKeyBytesMax = 1_978
const methodPathCharsMax = 512

function edged(edges: number[], max: number): fc.Arbitrary<number> {
  return fc.oneof(fc.constantFrom(...edges), fc.integer({ min: 0, max }), fc.integer({ min: 0, max: Math.min(max, 9) }))
}
const seqs = edged([0, 1, 255, 256, 65535, 2 ** 32 - 1, 2 ** 32, seqMax - 1, seqMax], seqMax)
const instants = edged([0, 2 ** 32 - 1, 2 ** 32, instantMsMax], instantMsMax)
const metaNames = ['counters', 'owner', 'scheduler', 'growth'] as const

/** What any key is made of; each kind takes what it needs. */
interface Parts {
  queue: number
  group: number
  atFront: boolean
  rank: number
  seq: number
  other: number
  atMs: number
  turn: number
  state: FinishedState
  text: string
  meta: (typeof metaNames)[number]
  /** Type and name of a document, outbox and id, name of a reminder: without control characters. */
  type: string
  name: string
  reminder: string
}
/** From the first character that is no control character on. */
const printable = fc.string({
  unit: fc.integer({ min: 0x20, max: 0x2ff }).map(String.fromCodePoint),
  minLength: 1,
  maxLength: 4
})
const names = fc.oneof(fc.constantFrom('a', 'ab', 'a b', 'a!'), printable)
const parts: fc.Arbitrary<Parts> = fc.record(
  {
    queue: edged([0, 1, 254, 255, 256, 257, 65279, 65280, 65281, 65534, 65535], 65535),
    group: seqs,
    atFront: fc.boolean(),
    rank: edged([0, priorityMax, agedRank - 1, agedRank, agedRank + 1, rankMax], rankMax),
    seq: seqs,
    other: seqs,
    atMs: instants,
    turn: seqs,
    state: fc.constantFrom(...finishedStates),
    text: fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }),
    meta: fc.constantFrom(...metaNames),
    type: names,
    name: names,
    reminder: names
  },
  { noNullPrototype: true }
)
/** Another key's parts, of which some, most or all are those of the first. */
const likened = fc
  .tuple(parts, parts, fc.array(fc.boolean(), { minLength: 14, maxLength: 14 }))
  .map(([a, b, shared]) => {
    const names = Object.keys(a) as (keyof Parts)[]
    return [
      a,
      Object.fromEntries(names.map((name, at) => [name, (shared[at] ? a : b)[name]])) as unknown as Parts
    ] as const
  })

interface Layout {
  keyOf: (of: Parts) => Buffer
  /** What decides between two keys of this kind, in this order; equal where the keys are. */
  sorts: (of: Parts) => (number | string)[]
  /** What is read back from the key. */
  reads?: (key: Buffer) => Partial<Parts>
}

/** At front the last one put there first; else by rank, then the oldest first. */
const readyOrder = ({ atFront, rank, seq }: Parts) => (atFront ? [0, -seq] : [1, rank, seq])
const stateOrder = ({ state }: Parts) => finishedStates.indexOf(state)

const layouts: Record<string, Layout> = {
  jobKey: bySeq(keys.jobKey),
  standingKey: bySeq(keys.standingKey),
  sharedStandingsKey: bySeq(keys.sharedStandingsKey),
  runningKey: bySeq(keys.runningKey),
  claimKey: bySeq(keys.claimKey),
  untoldKey: bySeq(keys.untoldKey),
  readyKey: {
    keyOf: (of) => keys.readyKey(of.queue, of),
    sorts: (of) => [of.queue, ...readyOrder(of)],
    reads: readsReady
  },
  keyedReadyKey: {
    keyOf: (of) => keys.keyedReadyKey(of.queue, of.group, of),
    sorts: (of) => [of.queue, of.group, ...readyOrder(of)],
    reads: readsReady
  },
  rotationKey: {
    keyOf: (of) => keys.rotationKey(of.queue, of, of.turn),
    sorts: ({ queue, atFront, rank, seq, turn }) =>
      atFront ? [queue, 0, -seq] : [queue, 1, Math.min(rank, agedRank), turn]
  },
  blockedKey: {
    keyOf: ({ queue, atMs, group }) => keys.blockedKey(queue, atMs, group),
    sorts: ({ queue, atMs, group }) => [queue, atMs, group],
    reads: (key) => ({ atMs: keys.untilOfBlockedKey(key), group: keys.seqOfKey(key) })
  },
  groupKey: {
    keyOf: ({ queue, text }) => keys.groupKey(queue, text),
    sorts: ({ queue, text }) => [queue, text]
  },
  startKey: {
    keyOf: ({ queue, group, atMs, turn }) => keys.startKey(queue, group, atMs, turn),
    sorts: ({ queue, group, atMs, turn }) => [queue, group, atMs, turn],
    reads: (key) => ({ atMs: keys.instantOfStartKey(key), turn: keys.turnOfStartKey(key) })
  },
  scheduledKey: {
    keyOf: ({ atMs, seq }) => scheduledKey(atMs, seq),
    sorts: ({ atMs, seq }) => [atMs, seq],
    reads: (key) => ({ atMs: keys.dueOfScheduledKey(key), seq: keys.seqOfKey(key) })
  },
  finishedKey: {
    keyOf: ({ state, queue, atMs, seq }) => keys.finishedKey(state, queue, atMs, seq),
    sorts: (of) => [stateOrder(of), of.queue, of.atMs, of.seq],
    reads: (key) => ({
      state: keys.stateOfFinishedKey(key),
      queue: keys.queueOfFinishedKey(key),
      atMs: keys.instantOfFinishedKey(key),
      seq: keys.seqOfKey(key)
    })
  },
  idKey: { keyOf: ({ text }) => keys.idKey(text), sorts: ({ text }) => [text] },
  throttleKey: { keyOf: ({ text }) => keys.throttleKey(text), sorts: ({ text }) => [text] },
  jobEndingKey: {
    keyOf: ({ atMs, seq }) => keys.jobEndingKey(atMs, seq),
    sorts: ({ atMs, seq }) => [atMs, 0, seq],
    reads: (key) => {
      const subject = keys.subjectOfEndingKey(key)
      assert('seq' in subject)
      return { atMs: keys.instantOfEndingKey(key), ...subject }
    }
  },
  throttleEndingKey: {
    keyOf: ({ atMs, text }) => keys.throttleEndingKey(atMs, text),
    sorts: ({ atMs, text }) => [atMs, 1, text],
    reads: (key) => {
      const subject = keys.subjectOfEndingKey(key)
      assert('id' in subject)
      return { atMs: keys.instantOfEndingKey(key), text: subject.id }
    }
  },
  documentKey: {
    keyOf: (of) => keys.documentKey(of),
    sorts: ({ type, name }) => [type, name],
    reads: (key) => keys.documentOfKey(key)
  },
  reminderKey: {
    keyOf: (of) => keys.reminderKey(of, of.reminder),
    sorts: ({ type, name, reminder }) => [type, name, reminder],
    reads: (key) => keys.reminderOfKey(key)
  },
  reminderEndingKey: {
    keyOf: (of) => keys.reminderEndingKey(of.atMs, keys.reminderKey(of, of.reminder)),
    sorts: ({ atMs, type, name, reminder }) => [atMs, 2, type, name, reminder],
    reads: (key) => {
      const subject = keys.subjectOfEndingKey(key)
      assert('reminder' in subject)
      return { atMs: keys.instantOfEndingKey(key), ...keys.reminderOfKey(subject.reminder) }
    }
  },
  journalKey: {
    keyOf: ({ seq, queue }) => keys.journalKey(seq, queue),
    sorts: ({ seq, queue }) => [seq, queue]
  },
  signalKey: {
    keyOf: ({ seq, other }) => keys.signalKey(seq, other),
    sorts: ({ seq, other }) => [seq, other],
    reads: (key) => ({ other: keys.seqOfKey(key) })
  },
  preparedKey: {
    keyOf: ({ name }) => keys.preparedKey(name),
    sorts: ({ name }) => [name],
    reads: (key) => ({ name: keys.idOfPreparedKey(key) })
  },
  setAsideKey: {
    keyOf: ({ name }) => keys.setAsideKey(keys.preparedKey(name)),
    sorts: ({ name }) => [name],
    reads: (key) => ({ name: keys.idOfPreparedKey(keys.originOfSetAsideKey(key)) })
  },
  childKey: {
    keyOf: ({ seq, other }) => keys.childKey(seq, other),
    sorts: ({ seq, other }) => [seq, other],
    reads: (key) => ({ other: keys.seqOfKey(key) })
  },
  parentKey: {
    keyOf: ({ seq, other }) => keys.parentKey(seq, other),
    sorts: ({ seq, other }) => [seq, other],
    reads: (key) => ({ other: keys.seqOfKey(key) })
  },
  countsKey: { keyOf: ({ queue }) => keys.countsKey(queue), sorts: ({ queue }) => [queue] },
  queueKey: {
    keyOf: ({ queue }) => keys.queueKey(queue),
    sorts: ({ queue }) => [queue],
    reads: (key) => ({ queue: keys.numberOfQueueKey(key) })
  },
  metaKey: { keyOf: ({ meta }) => keys.metaKey(meta), sorts: ({ meta }) => [meta] },
  eventKey: { keyOf: ({ text }) => keys.eventKey(text), sorts: ({ text }) => [text] },
  nextEventKey: {
    keyOf: ({ atMs, text }) => keys.nextEventKey(atMs, text),
    sorts: ({ atMs, text }) => [atMs, text],
    reads: (key) => ({ atMs: keys.nextOfNextEventKey(key), text: keys.idOfNextEventKey(key) })
  }
}
const kinds = fc.constantFrom(...Object.keys(layouts))

function bySeq(keyOf: (seq: number) => Buffer): Layout {
  return { keyOf: ({ seq }) => keyOf(seq), sorts: ({ seq }) => [seq], reads: (key) => ({ seq: keys.seqOfKey(key) }) }
}

function readsReady(key: Buffer): Partial<Parts> {
  const { atFront, rank, seq } = keys.placeOfReadyKey(key)
  assert.equal(keys.seqOfReadyKey(key), seq)
  // At front there is no rank.
  return atFront ? { atFront, seq } : { atFront, rank, seq }
}

/** Negative, zero or positive: the first difference decides; texts by their UTF-8. */
function compare(one: (number | string)[], other: (number | string)[]): number {
  for (const [at, a] of one.entries()) {
    const b = other[at]!
    const difference = typeof a === 'number' ? a - Number(b) : Buffer.compare(Buffer.from(a), Buffer.from(String(b)))
    if (difference !== 0) return Math.sign(difference)
  }
  return 0
}

interface RangeLayout {
  rangeOf: (of: Parts) => keys.KeyRange
  /** The keys of these kinds are in it … */
  holds: string[]
  /** … that have these parts of it. */
  by: (keyof Parts)[]
}
const ranges: Record<string, RangeLayout> = {
  jobRange: { rangeOf: () => keys.jobRange, holds: ['jobKey'], by: [] },
  runningRange: { rangeOf: () => keys.runningRange, holds: ['runningKey'], by: [] },
  sharedStandingsRange: { rangeOf: () => keys.sharedStandingsRange, holds: ['sharedStandingsKey'], by: [] },
  claimRange: { rangeOf: () => keys.claimRange, holds: ['claimKey'], by: [] },
  scheduledRange: { rangeOf: () => keys.scheduledRange, holds: ['scheduledKey'], by: [] },
  queueRange: { rangeOf: () => keys.queueRange, holds: ['queueKey'], by: [] },
  eventRange: { rangeOf: () => keys.eventRange, holds: ['eventKey'], by: [] },
  nextEventRange: { rangeOf: () => keys.nextEventRange, holds: ['nextEventKey'], by: [] },
  endingRange: {
    rangeOf: () => keys.endingRange,
    holds: ['jobEndingKey', 'throttleEndingKey', 'reminderEndingKey'],
    by: []
  },
  untoldRange: { rangeOf: () => keys.untoldRange, holds: ['untoldKey'], by: [] },
  documentRange: { rangeOf: ({ type }) => keys.documentRange(type), holds: ['documentKey'], by: ['type'] },
  reminderRange: { rangeOf: (of) => keys.reminderRange(of), holds: ['reminderKey'], by: ['type', 'name'] },
  journalRange: { rangeOf: ({ seq }) => keys.journalRange(seq), holds: ['journalKey'], by: ['seq'] },
  signalRange: { rangeOf: ({ seq }) => keys.signalRange(seq), holds: ['signalKey'], by: ['seq'] },
  preparedRange: { rangeOf: () => keys.preparedRange, holds: ['preparedKey'], by: [] },
  setAsideRange: { rangeOf: () => keys.setAsideRange, holds: ['setAsideKey'], by: [] },
  childRange: { rangeOf: ({ seq }) => keys.childRange(seq), holds: ['childKey'], by: ['seq'] },
  parentRange: { rangeOf: ({ seq }) => keys.parentRange(seq), holds: ['parentKey'], by: ['seq'] },
  readyRange: { rangeOf: ({ queue }) => keys.readyRange(queue), holds: ['readyKey'], by: ['queue'] },
  keyedReadyRange: { rangeOf: ({ queue }) => keys.keyedReadyRange(queue), holds: ['keyedReadyKey'], by: ['queue'] },
  groupReadyRange: {
    rangeOf: ({ queue, group }) => keys.groupReadyRange(queue, group),
    holds: ['keyedReadyKey'],
    by: ['queue', 'group']
  },
  rotationRange: { rangeOf: ({ queue }) => keys.rotationRange(queue), holds: ['rotationKey'], by: ['queue'] },
  blockedRange: { rangeOf: ({ queue }) => keys.blockedRange(queue), holds: ['blockedKey'], by: ['queue'] },
  startRange: {
    rangeOf: ({ queue, group }) => keys.startRange(queue, group),
    holds: ['startKey'],
    by: ['queue', 'group']
  },
  finishedRange: {
    rangeOf: ({ state, queue }) => keys.finishedRange(state, queue),
    holds: ['finishedKey'],
    by: ['state', 'queue']
  }
}

function holds({ start, end }: keys.KeyRange, key: Buffer): boolean {
  return Buffer.compare(start, key) <= 0 && Buffer.compare(key, end) < 0
}

describe('keys', () => {
  it('every kind of key, and every range, of the layout is in the tables of this test', () => {
    const named = (ending: RegExp) => Object.keys(keys).filter((name) => ending.test(name) && !name.includes('Of'))
    assert.deepEqual(Object.keys(layouts).sort(), named(/Key$/).sort())
    assert.deepEqual([...Object.keys(ranges), 'dueRange'].sort(), named(/Range$/).sort())
  })

  for (const [kind, { keyOf, sorts, reads }] of Object.entries(layouts)) {
    it(`${kind}: sorts by what decides between two of them, and is equal only where that is`, () => {
      fc.assert(
        fc.property(likened, ([a, b]) => {
          assert.equal(Buffer.compare(keyOf(a), keyOf(b)), compare(sorts(a), sorts(b)))
        }),
        { numRuns: 1000 }
      )
    })

    if (reads === undefined) continue
    it(`${kind}: what is read from it is what went in`, () => {
      fc.assert(
        fc.property(parts, (of) => {
          const read = reads(keyOf(of))
          assert.deepEqual({ ...of, ...read }, of)
        })
      )
    })
  }

  it('no key of one kind is one of another', () => {
    const firstBytes = new Map<number, string[]>()
    fc.assert(
      fc.property(likened, kinds, kinds, ([a, b], one, other) => {
        fc.pre(one !== other)
        assert.notDeepEqual(layouts[one]!.keyOf(a), layouts[other]!.keyOf(b))
        const [first] = layouts[one]!.keyOf(a)
        firstBytes.set(first!, [...new Set([...(firstBytes.get(first!) ?? []), one])])
      }),
      { numRuns: 5000 }
    )
    const shared = [...firstBytes.values()].filter((each) => each.length > 1).map((each) => each.sort())
    assert.deepEqual(
      shared,
      [['jobEndingKey', 'reminderEndingKey', 'throttleEndingKey']],
      'kinds are told apart by their first byte'
    )
  })

  it('with the longest name there is, in any letters, fits into what LMDB takes', () => {
    const text = '\u{10ffff}'.repeat(nameCharsMax)
    const of: Parts = {
      ...{ queue: 65535, group: seqMax, atFront: false, rank: rankMax, seq: seqMax, other: seqMax },
      ...{ atMs: seqMax, turn: seqMax, state: 'failed', text, meta: 'scheduler' },
      ...{ type: 'a'.repeat(methodPathCharsMax), name: text, reminder: '' }
    }
    // The names of a reminder are bounded together.
    of.reminder = 'r'.repeat(reminderNamesBytesMax - Buffer.byteLength(of.type + of.name))
    for (const [kind, { keyOf }] of Object.entries(layouts)) {
      assert(keyOf(of).length + Buffer.byteLength('~next') <= lmdbKeyBytesMax, kind)
    }
    assert(keys.groupKey(0, `${of.type}\0${of.name}`).length <= lmdbKeyBytesMax, 'group of a document')
  })
})

describe('ready keys', () => {
  it('of a document compare as its jobs run, in whatever queues and groups they are', () => {
    fc.assert(
      fc.property(likened, ([a, b]) => {
        const [one, other] = [a, b].map((of) => keys.keyedReadyKey(of.queue, of.group, of)) as [Buffer, Buffer]
        assert.equal(Math.sign(keys.comparePlaces(one, other)), compare(readyOrder(a), readyOrder(b)))
        assert.equal(keys.queueOfReadyKey(one), a.queue)
      }),
      { numRuns: 1000 }
    )
  })
})

describe('ranges', () => {
  for (const [name, { rangeOf, holds: kindsIn, by }] of Object.entries(ranges)) {
    it(`${name}: holds the keys that belong to it, and of any kind no other`, () => {
      fc.assert(
        fc.property(likened, kinds, ([a, b], anyKind) => {
          for (const kind of [anyKind, ...kindsIn]) {
            const belongs = kindsIn.includes(kind) && by.every((part) => a[part] === b[part])
            assert.equal(holds(rangeOf(a), layouts[kind]!.keyOf(b)), belongs, kind)
          }
        }),
        { numRuns: 1500 }
      )
    })
  }

  it('documentRange: without a type, all of them', () => {
    fc.assert(
      fc.property(parts, kinds, (of, kind) => {
        const key = layouts[kind]!.keyOf(of)
        assert.equal(holds(keys.documentRange(undefined), key), kind === 'documentKey')
      })
    )
  })

  it('of neighbours meet where a byte overflows: the last key of the one is before the first of the other', () => {
    const first: Parts = {
      ...{ queue: 0, group: 0, atFront: true, rank: 0, seq: seqMax, other: 0 },
      ...{ atMs: 0, turn: 0, state: 'completed', text: '\0', meta: 'owner', type: 'a', name: 'a', reminder: 'a' }
    }
    const last: Parts = { ...first, atFront: false, rank: rankMax, other: seqMax, atMs: instantMsMax, turn: seqMax }
    for (const queue of [0, 254, 255, 256, 65279, 65280, 65534, 65535]) {
      for (const [name, { rangeOf, holds: kindsIn, by }] of Object.entries(ranges)) {
        if (!by.includes('queue')) continue
        for (const kind of kindsIn) {
          const { keyOf } = layouts[kind]!
          const [low, high] = [keyOf({ ...first, queue }), keyOf({ ...last, queue })]
          assert(holds(rangeOf({ ...first, queue }), low) && holds(rangeOf({ ...last, queue }), high), name)
          if (queue > 0) assert(!holds(rangeOf({ ...first, queue: queue - 1 }), low), name)
          if (queue < 65535) assert(!holds(rangeOf({ ...first, queue: queue + 1 }), high), name)
        }
      }
    }
  })

  it('dueRange: what is due at that instant or before, and nothing that waits without a time', () => {
    fc.assert(
      fc.property(parts, kinds, instants, fc.integer({ min: -1, max: 1 }), (of, kind, nowMs, offset) => {
        const isDue = kind === 'scheduledKey' && of.atMs <= nowMs
        assert.equal(holds(dueRange(nowMs), layouts[kind]!.keyOf(of)), isDue)
        const near = Math.max(0, nowMs + offset)
        assert.equal(holds(dueRange(nowMs), scheduledKey(near, of.seq)), near <= nowMs)
        assert(!holds(dueRange(nowMs), scheduledKey(noInstantMs, of.seq)))
        assert(holds(keys.scheduledRange, scheduledKey(noInstantMs, of.seq)))
      }),
      { numRuns: 1000 }
    )
  })
})

describe('rank of a ready job', () => {
  const priorities = fc.oneof(
    fc.constantFrom(priorityMin, -1, 0, 1, priorityMax),
    fc.integer({ min: priorityMin, max: priorityMax })
  )
  const anyAgeing = fc.oneof(fc.constantFrom(1, 999, 1000, 60_000, 3_600_000, 100 * 365.25 * 86_400_000), fc.nat())
  const year2000Ms = Date.UTC(2000, 0)

  it('without ageing follows from the priority alone: larger first', () => {
    fc.assert(
      fc.property(priorities, priorities, instants, instants, (one, other, thenMs, nowMs) => {
        const difference = rankOf(one, undefined, thenMs) - rankOf(other, undefined, nowMs)
        assert.equal(Math.sign(difference), Math.sign(other - one))
      })
    )
  })

  it('is a whole number of four bytes, and with ageing always behind every job without', () => {
    fc.assert(
      fc.property(priorities, anyAgeing, instants, (priority, ageingMs, enqueuedAtMs) => {
        const aged = rankOf(priority, ageingMs, enqueuedAtMs)
        assert(Number.isInteger(aged) && aged >= agedRank && aged <= rankMax, String(aged))
        assert(rankOf(priority, undefined, enqueuedAtMs) < agedRank)
      }),
      { numRuns: 1000 }
    )
  })

  it('with ageing puts two jobs in the order of their priorities plus what they have waited, whenever one looks', () => {
    // Priorities and spans within which no rank meets its bounds: 30 years.
    const job = fc.record({
      priority: fc.integer({ min: -300, max: 300 }),
      enqueuedAtMs: fc.integer({ min: year2000Ms, max: year2000Ms + 30 * 365 * 86_400_000 })
    })
    const ageing = fc.integer({ min: 1, max: 36 * 3_600_000 })
    const laterMs = fc.nat(100 * 86_400_000)
    fc.assert(
      fc.property(job, job, fc.boolean(), ageing, laterMs, (a, other, isNear, ageingMs, waitedMs) => {
        const b = isNear
          ? { ...other, enqueuedAtMs: a.enqueuedAtMs + (other.priority - a.priority) * ageingMs + (waitedMs % 5000) }
          : other
        const nowMs = Math.max(a.enqueuedAtMs, b.enqueuedAtMs) + waitedMs
        const effective = (of: typeof a) => of.priority + (nowMs - of.enqueuedAtMs) / ageingMs
        const olderByMs = b.enqueuedAtMs - a.enqueuedAtMs + ageingMs * (a.priority - b.priority)
        const difference = rankOf(b.priority, ageingMs, b.enqueuedAtMs) - rankOf(a.priority, ageingMs, a.enqueuedAtMs)
        // In whole seconds: less than one second apart may be the same rank, which the seq decides.
        if (difference === 0) assert(Math.abs(olderByMs) < 1000)
        else assert.equal(Math.sign(difference), Math.sign(olderByMs))
        if (Math.abs(olderByMs) >= 1000) {
          assert.equal(Math.sign(difference), Math.sign(effective(a) - effective(b)))
        }
      }),
      { numRuns: 3000 }
    )
  })

  it('with ageing sorts keys of the store by that, then by age; in the rotation of keys every such rank is one', () => {
    const atMs = Date.UTC(2026, 0)
    const place = (priority: number, enqueuedAtMs: number, seq: number): keys.ReadyPlace => ({
      atFront: false,
      rank: rankOf(priority, 60_000, enqueuedAtMs),
      seq
    })
    const low = place(0, atMs, 1)
    const soon = place(1, atMs + 59_000, 2)
    const same = place(1, atMs + 60_000, 3)
    const late = place(1, atMs + 61_000, 4)
    const sorted = [late, same, low, soon].sort((a, b) => Buffer.compare(keys.readyKey(1, a), keys.readyKey(1, b)))
    assert.deepEqual(
      sorted.map(({ seq }) => seq),
      [2, 1, 3, 4]
    )
    const [first, ...others] = sorted.map((each) => keys.rotationKey(1, each, 7))
    for (const other of others) assert.deepEqual(other, first)
    const unaged = keys.rotationKey(1, { atFront: false, rank: rankOf(priorityMin, undefined, atMs), seq: 9 }, 99)
    assert(Buffer.compare(unaged, first!) < 0, 'without ageing before every rank with it')
  })
})
