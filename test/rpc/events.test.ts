/** Events over a real socket: clients that stop reading, come back with a cursor, or meet another supervisor. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { connect } from '../../runtime/client/connect.ts'
import type { Runtime } from '../../runtime/core/api.ts'
import { type EventGap, EventStream, type EventStreamOptions } from '../../runtime/core/events.ts'
import { fakeService } from './fake-service.ts'
import { type Message, type RawClient, startServer } from './raw-client.ts'

const logLine = { at: '', level: 'info', message: 'x'.repeat(10_000) } as const

async function openServer(test: TestContext, stream: Partial<EventStreamOptions> = {}, unreadEventBytesMax = 100_000) {
  const service = fakeService({}, new EventStream(stream))
  const { client, socketPath } = await startServer(test, { service, bounds: { unreadEventBytesMax } })
  return { service, client, socketPath }
}

/** Reads until the event of that job. @returns what came before and it, without other messages */
async function readTo(client: RawClient, job: string): Promise<Message[]> {
  const notices: Message[] = []
  for (;;) {
    const message = await client.next()
    if (message.method !== 'event') continue
    notices.push(message.params)
    if (message.params.event?.job === job) return notices
  }
}

/** A program that collects what it is told, until the event of a job. */
async function collect(runtime: Runtime, cursor: string | undefined, lastJob: string) {
  const jobs: string[] = []
  const gaps: EventGap[] = []
  let next = ''
  let finish = () => {}
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  const subscription = await runtime.subscribe(
    {},
    ({ job }, after) => {
      jobs.push(job)
      next = after
      if (job === lastJob) finish()
    },
    { ...(cursor === undefined ? {} : { cursor }), onGap: (gap) => gaps.push(gap) }
  )
  return { jobs, gaps, finished, subscription, cursor: () => next }
}

test('a client that stops reading catches up from what is kept, exactly, and its answers come all the same (issue 5.8)', async (test) => {
  const { service, client } = await openServer(test)
  const [lazy, other] = [await client(), await client()]
  await lazy.ask('events.subscribe')
  await other.ask('events.subscribe', { types: ['completed'] })
  lazy.socket.pause()
  // Six megabytes as they are counted, less than is kept.
  const events = 300
  for (let job = 1; job <= events; job++) {
    service.event({ job: String(job), type: 'log', log: logLine })
    if (job % 50 === 0) await other.ask('status')
  }
  lazy.send({ jsonrpc: '2.0', id: 'asked', method: 'status' })
  service.event({ job: 'quick', type: 'completed' })
  assert.equal((await readTo(other, 'quick')).length, 1, 'a slow client holds up nobody')
  lazy.socket.resume()
  const notices: Message[] = []
  let answered = false
  while (notices.length < events + 1) {
    const message = await lazy.next()
    if (message.id === 'asked') answered = true
    else notices.push(message.params)
  }
  assert.ok(answered)
  assert.deepEqual(
    notices.map(({ event }) => event?.job),
    [...Array.from({ length: events }, (_, index) => String(index + 1)), 'quick']
  )
})

test('a client that stops reading is told how many events it missed, and memory stays bounded (issue 5.8)', async (test) => {
  const { service, client } = await openServer(test, { keptMax: 20 })
  const [lazy, other] = [await client(), await client()]
  await lazy.ask('events.subscribe', { types: ['log', 'completed'] })
  lazy.socket.pause()
  const events = 5_000
  const rssBefore = process.memoryUsage().rss
  for (let job = 1; job <= events; job++) {
    // As from the disk: every event has texts of its own.
    service.event({ job: String(job), type: 'log', log: { ...logLine, message: `${job} `.repeat(2_000) } })
    if (job % 100 === 0) await other.ask('status')
  }
  const grown = process.memoryUsage().rss - rssBefore
  assert.ok(grown < 64 * 1024 * 1024, `${grown} bytes more; all events are ${events * 20_000}`)
  service.event({ job: 'last', type: 'completed' })
  lazy.socket.resume()
  const notices = await readTo(lazy, 'last')
  let expected = 1
  let gaps = 0
  for (const { event, gap } of notices) {
    if (event?.job === 'last') break
    if (gap === undefined) assert.equal(event.job, String(expected++))
    else {
      assert.equal(gap.reason, 'slow')
      gaps += 1
      expected += gap.missed
    }
  }
  assert.equal(expected, events + 1, 'what was told and what was announced is everything')
  assert.ok(gaps > 0)
})

test('a client that never reads is not cut off by its events', async (test) => {
  const { service, client } = await openServer(test, { keptMax: 5 })
  const lazy = await client()
  await lazy.ask('events.subscribe')
  lazy.socket.pause()
  let closed = false
  lazy.socket.on('close', () => {
    closed = true
  })
  const other = await client()
  // 50 MB, more than the 32 MiB at which it would be.
  for (let job = 1; job <= 5_000; job++) {
    service.event({ job: String(job), log: logLine })
    if (job % 500 === 0) await other.ask('status')
  }
  service.event({ job: 'last' })
  lazy.socket.resume()
  await readTo(lazy, 'last')
  assert.equal(closed, false)
})

test('after a lost connection, a subscription goes on where it was (issue 5.8)', async (test) => {
  const { service, client } = await openServer(test)
  const first = await client()
  const { result } = await first.ask('events.subscribe', { method: 'a.b' })
  service.event({ job: '1' })
  service.event({ job: '2', method: 'a.c' })
  const [{ cursor, subscription }] = await readTo(first, '1')
  assert.equal(subscription, result.subscription)
  first.socket.destroy()
  service.event({ job: '3' })
  service.event({ job: '4', method: 'a.c' })
  const second = await client()
  const answer = await second.ask('events.subscribe', { method: 'a.b', cursor })
  assert.deepEqual(answer.result, { subscription: '1', cursor })
  service.event({ job: '5' })
  assert.deepEqual(
    (await readTo(second, '5')).map(({ event }) => event.job),
    ['3', '5']
  )
  const third = await client()
  await third.ask('events.subscribe', { method: 'a.b', cursor: result.cursor })
  assert.deepEqual(
    (await readTo(third, '5')).map(({ event }) => event.job),
    ['1', '3', '5']
  )
})

test('a subscription in a batch begins after the answer of the batch, with what happened since', async (test) => {
  const { service, client } = await openServer(test)
  const raw = await client()
  await raw.ask('enqueue', { method: 'a.b', jobId: 'j' })
  raw.send([
    { jsonrpc: '2.0', id: 1, method: 'events.subscribe' },
    { jsonrpc: '2.0', id: 2, method: 'job.wait', params: { id: 'j' } }
  ])
  while (service.waits === 0) await new Promise((resolve) => setImmediate(resolve))
  service.event({ job: 'meanwhile' })
  service.finish('j')
  const answers = await raw.next()
  assert.equal(answers.length, 2)
  assert.equal((await raw.next()).params.event.job, 'meanwhile')
})

test('a cursor that is none is refused; one of another run begins now, after a gap (issue 5.8)', async (test) => {
  const { client, service } = await openServer(test)
  const raw = await client()
  for (const cursor of ['x', '0123456789ab-', 7]) {
    const { error } = await raw.ask('events.subscribe', { cursor })
    assert.deepEqual([error.code, error.data.code, error.data.path], [-32602, 'PARAMS_INVALID', 'cursor'])
  }
  const { result } = await raw.ask('events.subscribe', { cursor: '0123456789ab-1' })
  const { params } = await raw.next()
  assert.deepEqual(params, { ...result, gap: { missed: null, reason: 'restarted' } })
  service.event({ job: 'now' })
  assert.deepEqual((await readTo(raw, 'now')).length, 1)
})

test('connect: a listener gets cursors, a new connection goes on from one, a gap is told before its events', async (test) => {
  const { service, socketPath } = await openServer(test, { keptMax: 3 })
  const first = await connect(socketPath)
  const before = await collect(first, undefined, '2')
  service.event({ job: '1' })
  service.event({ job: '2' })
  await before.finished
  await first.stop()
  service.event({ job: '3' })
  const second = await connect(socketPath)
  test.after(() => second.stop())
  const after = await collect(second, before.cursor(), '4')
  assert.equal(after.subscription.cursor, before.cursor())
  service.event({ job: '4' })
  await after.finished
  assert.deepEqual([before.jobs, after.jobs, after.gaps], [['1', '2'], ['3', '4'], []])
  service.event({ job: '5' })
  const late = await collect(second, before.subscription.cursor, '6')
  service.event({ job: '6' })
  await late.finished
  assert.deepEqual([late.jobs, late.gaps], [['6'], [{ missed: null, reason: 'expired' }]])
})

test('a client that is gone while its events wait leaves no subscriber behind', async (test) => {
  const { service, client } = await openServer(test, { keptMsMax: 0 })
  const lazy = await client()
  await lazy.ask('events.subscribe')
  lazy.socket.pause()
  for (let job = 1; job <= 100; job++) service.event({ job: String(job), log: logLine })
  const closed = once(lazy.socket, 'close')
  lazy.socket.destroy()
  await closed
  const other = await client()
  while (service.events.listened) await other.ask('status')
})
