/** The stream of events, seen by its followers: each gets what passes its filter, in order, or is told how much it missed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type EventFilter,
  type EventGap,
  EventStream,
  type EventStreamOptions,
  type Following,
  type JobEvent
} from '../../runtime/core/events.ts'
import { eventsKeptMsMax, unreadEventBytesMax, unreadOutputBytesMax } from '../../runtime/core/limits.ts'

class FakeClock {
  nowMs = 0
  monotonicMs(): number {
    return this.nowMs
  }
}

function openStream(options: Partial<EventStreamOptions> = {}) {
  const clock = new FakeClock()
  const stream = new EventStream({ clock, ...options })
  let emitted = 0
  return {
    clock,
    stream,
    /** @returns the job of the event, a number that only grows */
    emit(fields: Partial<JobEvent> = {}): number {
      emitted += 1
      const at = '2026-01-01T00:00:00.000Z'
      stream.emit({ type: 'started', job: String(emitted), queue: 'default', method: 'a.b', at, ...fields })
      return emitted
    }
  }
}

/** A follower that can be made slow, and what it was told. */
class Reader {
  readonly told: ({ job: number; cursor: string } | { gap: EventGap; cursor: string })[] = []
  slow = false
  readonly following: Following

  constructor(stream: EventStream, filter: EventFilter = {}, cursor?: string) {
    this.following = stream.follow({
      filter,
      cursor,
      listener: ({ job }, after) => this.told.push({ job: Number(job), cursor: after }),
      onGap: (gap, after) => this.told.push({ gap, cursor: after }),
      ready: () => !this.slow
    })
    this.following.catchUp()
  }

  get jobs(): number[] {
    return this.told.flatMap((told) => ('job' in told ? [told.job] : []))
  }

  get gaps(): EventGap[] {
    return this.told.flatMap((told) => ('gap' in told ? [told.gap] : []))
  }

  /** Where to go on after everything it was told. */
  get cursor(): string {
    return this.told.at(-1)?.cursor ?? this.following.cursor
  }
}

test('a subscription with a cursor goes on after it, without a hole or a repeat', () => {
  const { stream, emit } = openStream()
  const first = new Reader(stream)
  emit()
  emit()
  first.following.end()
  emit()
  const second = new Reader(stream, {}, first.cursor)
  assert.equal(second.following.cursor, first.cursor)
  emit()
  assert.deepEqual([first.jobs, second.jobs, second.gaps], [[1, 2], [3, 4], []])
  assert.deepEqual(new Reader(stream, {}, first.following.cursor).jobs, [1, 2, 3, 4])
})

test('filters by queue, job, method and types, live and since a cursor', () => {
  const { stream, emit } = openStream()
  const start = new Reader(stream).cursor
  const filters: EventFilter[] = [{ queue: 'long' }, { method: 'a.c' }, { job: '3' }, { types: ['failed', 'log'] }]
  const live = filters.map((filter) => new Reader(stream, filter))
  emit()
  emit({ queue: 'long' })
  emit({ method: 'a.c', queue: 'long' })
  emit({ type: 'failed' })
  const expected = [[2, 3], [3], [3], [4]]
  assert.deepEqual(
    live.map(({ jobs }) => jobs),
    expected
  )
  assert.deepEqual(
    filters.map((filter) => new Reader(stream, filter, start).jobs),
    expected
  )
})

test('nothing is kept, and need not be built, before the first follower and a time after the last', () => {
  const { stream, emit, clock } = openStream()
  assert.equal(stream.listened, false)
  const end = stream.subscribe({}, () => {})
  assert.equal(stream.listened, true)
  end()
  assert.equal(stream.listened, false, 'a part of the supervisor does not come back')
  const reader = new Reader(stream)
  reader.following.end()
  reader.following.end()
  clock.nowMs = eventsKeptMsMax - 1
  assert.equal(stream.listened, true)
  clock.nowMs = eventsKeptMsMax
  assert.equal(stream.listened, false)
  emit()
  const late = new Reader(stream, {}, reader.cursor)
  emit()
  assert.deepEqual(late.gaps, [{ missed: null, reason: 'expired' }])
  assert.deepEqual(late.jobs, [2])
})

test('a cursor from before a time without keeping is expired even where no event is known to be missing', () => {
  const { stream, clock } = openStream()
  const reader = new Reader(stream)
  reader.following.end()
  clock.nowMs = 2 * eventsKeptMsMax
  const other = new Reader(stream)
  assert.deepEqual(new Reader(stream, {}, reader.cursor).gaps, [{ missed: null, reason: 'expired' }])
  assert.deepEqual(new Reader(stream, {}, other.cursor).gaps, [])
})

test('events are kept for a time, also while somebody follows', () => {
  const { stream, emit, clock } = openStream()
  const reader = new Reader(stream)
  emit()
  clock.nowMs = eventsKeptMsMax
  emit()
  assert.deepEqual(new Reader(stream, {}, reader.following.cursor).jobs, [1, 2])
  clock.nowMs = eventsKeptMsMax + 1
  const late = new Reader(stream, {}, reader.following.cursor)
  assert.deepEqual(late.gaps, [{ missed: null, reason: 'expired' }])
  assert.deepEqual(late.jobs, [])
  assert.deepEqual(reader.jobs, [1, 2])
})

test('events are kept within about a number of bytes', () => {
  const { stream, emit } = openStream({ keptBytesMax: 100_000 })
  const reader = new Reader(stream)
  for (let n = 0; n < 20; n++) emit({ log: { at: '', level: 'info', message: 'x'.repeat(10_000) } })
  reader.slow = true
  for (let n = 0; n < 20; n++) emit({ log: { at: '', level: 'info', message: 'x'.repeat(10_000) } })
  reader.slow = false
  reader.following.catchUp()
  assert.deepEqual(reader.gaps, [{ missed: 16, reason: 'slow' }])
  assert.deepEqual(reader.jobs.slice(20), [37, 38, 39, 40])
})

test('a slow follower goes on from what is kept, and is told exactly what it missed of its filter', () => {
  const { stream, emit } = openStream({ keptMax: 4 })
  const [slow, quick] = [new Reader(stream, { queue: 'long' }), new Reader(stream)]
  slow.slow = true
  for (let n = 0; n < 10; n++) emit({ queue: n % 2 === 0 ? 'long' : 'short' })
  assert.equal(slow.told.length, 0)
  slow.slow = false
  slow.following.catchUp()
  assert.deepEqual(slow.gaps, [{ missed: 3, reason: 'slow' }])
  assert.deepEqual(slow.jobs, [7, 9])
  const [first] = slow.told
  assert.ok(first !== undefined && 'gap' in first, 'the gap stands where the events are missing')
  assert.equal(quick.jobs.length, 10)
  assert.deepEqual(new Reader(stream, { queue: 'long' }, first.cursor).jobs, [7, 9])
})

test('a slow follower that missed nothing of its filter is told no gap', () => {
  const { stream, emit } = openStream({ keptMax: 2 })
  const slow = new Reader(stream, { job: '9' })
  slow.slow = true
  for (let n = 0; n < 9; n++) emit()
  slow.slow = false
  slow.following.catchUp()
  assert.deepEqual([slow.jobs, slow.gaps], [[9], []])
})

test('the cursor of another run begins now, after a gap', () => {
  const { cursor } = new Reader(openStream().stream)
  const { stream, emit } = openStream()
  new Reader(stream)
  emit()
  const reader = new Reader(stream, {}, cursor)
  emit()
  assert.deepEqual(reader.gaps, [{ missed: null, reason: 'restarted' }])
  assert.deepEqual(reader.jobs, [2])
  assert.ok('gap' in reader.told[0]!)
})

test('a cursor that no subscription has given is refused', () => {
  const { stream } = openStream()
  const { cursor } = new Reader(stream)
  const [run] = cursor.split('-')
  for (const wrong of [
    '',
    'x',
    cursor.slice(1),
    `${cursor} `,
    `${run}-`,
    `${run}-0`,
    `${run}--1`,
    `${run}-zzzzzzzzzzzzz`,
    `${run}-2`
  ]) {
    assert.throws(() => new Reader(stream, {}, wrong), { code: 'PARAMS_INVALID', message: /cursor/ }, wrong)
  }
})

test('a follower may end while it is told an event', () => {
  const { stream, emit } = openStream()
  const start = new Reader(stream)
  emit()
  emit()
  const jobs: string[] = []
  const following = stream.follow({
    filter: {},
    cursor: start.following.cursor,
    listener: ({ job }) => {
      jobs.push(job)
      following.end()
    },
    onGap: () => assert.fail('nothing is missing')
  })
  following.catchUp()
  emit()
  assert.deepEqual(jobs, ['1'])
})

test('events wait long before a connection is cut off for what it leaves unread', () => {
  assert.ok(unreadEventBytesMax * 10 < unreadOutputBytesMax)
})

test('a follower that has ended is told nothing, whatever is called and kept', () => {
  const { stream, emit } = openStream({ keptMax: 1 })
  const [ended, late] = [new Reader(stream), new Reader(stream)]
  late.slow = true
  const waiting = stream.follow({
    filter: {},
    cursor: '0123456789ab-1',
    listener: () => assert.fail('ended'),
    onGap: () => assert.fail('ended')
  })
  for (const { following } of [ended, late]) following.end()
  waiting.end()
  emit()
  emit()
  for (const following of [ended.following, late.following, waiting]) following.catchUp()
  assert.deepEqual([...ended.told, ...late.told], [])
})

/** What a follower must have seen of the events of its queue that were emitted from one moment on. */
interface Session {
  reader: Reader
  queue: string | undefined
  /** How many events had been emitted where it began; after a gap of unknown size, now. */
  from: number
  unknownAtFirst: boolean
}

const queues = ['a', 'b', undefined]

test('property: what a follower was told and the announced gaps are what was emitted', () => {
  const command = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('emit' as const), queue: fc.nat(1) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('follow' as const), queue: fc.nat(2) }) },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant('resume' as const), queue: fc.nat(2), of: fc.nat(), place: fc.nat() })
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('turn' as const), of: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('end' as const), of: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(1_500) }) }
  )
  fc.assert(
    fc.property(fc.array(command, { maxLength: 120 }), fc.integer({ min: 1, max: 8 }), (commands, keptMax) => {
      const { stream, emit, clock } = openStream({ keptMax, keptMsMax: 1_000 })
      const emitted: string[] = []
      /** How many events had been emitted where a cursor is; several places where they name the same. */
      const places = new Map<string, number>()
      const sessions: Session[] = []
      const ended = new Set<Session>()
      const begin = (queue: string | undefined, cursor?: string) => {
        const reader = new Reader(stream, queue === undefined ? {} : { queue }, cursor)
        const unknownAtFirst = reader.gaps[0]?.missed === null
        const from = cursor === undefined || unknownAtFirst ? emitted.length : places.get(cursor)!
        if (!places.has(reader.following.cursor)) places.set(reader.following.cursor, from)
        sessions.push({ reader, queue, from, unknownAtFirst })
      }
      for (const command of commands) {
        const session = 'of' in command ? sessions[command.of % Math.max(sessions.length, 1)] : undefined
        if (command.do === 'emit') {
          // Nobody builds events that nobody listens to.
          if (!stream.listened) continue
          emitted.push(queues[command.queue]!)
          emit({ job: String(emitted.length), queue: queues[command.queue]! })
        } else if (command.do === 'follow') begin(queues[command.queue])
        else if (command.do === 'wait') clock.nowMs += command.ms
        else if (session === undefined) continue
        else if (command.do === 'resume') {
          const cursors = [session.reader.following.cursor, ...session.reader.told.map(({ cursor }) => cursor)]
          for (const told of session.reader.told) if ('job' in told) places.set(told.cursor, told.job)
          const cursor = cursors[command.place % cursors.length]!
          if (places.has(cursor)) begin(queues[command.queue], cursor)
        } else if (command.do === 'turn') {
          session.reader.slow = !session.reader.slow
          session.reader.following.catchUp()
        } else if (!ended.has(session)) {
          catchUp(session)
          check(session, emitted)
          session.reader.following.end()
          ended.add(session)
        }
      }
      for (const session of sessions.filter((session) => !ended.has(session))) {
        catchUp(session)
        check(session, emitted)
      }
    }),
    { numRuns: 2_000 }
  )
})

function catchUp({ reader }: Session): void {
  reader.slow = false
  reader.following.catchUp()
}

function check({ reader, queue, from, unknownAtFirst }: Session, emitted: readonly string[]): void {
  const due = emitted.flatMap((name, index) =>
    index >= from && (queue === undefined || queue === name) ? [index + 1] : []
  )
  const told = unknownAtFirst ? reader.told.slice(1) : reader.told
  let next = 0
  for (const entry of told) {
    if ('job' in entry) assert.equal(entry.job, due[next++])
    else {
      assert.equal(entry.gap.reason, 'slow')
      assert.ok(entry.gap.missed! > 0)
      next += entry.gap.missed!
    }
  }
  assert.equal(next, due.length, 'everything was told or announced')
}
