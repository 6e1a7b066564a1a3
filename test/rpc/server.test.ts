import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createMessageConnection, StreamMessageReader, StreamMessageWriter } from 'vscode-jsonrpc/node'
import { compileSchema } from '../../runtime/core/schema.ts'
import { protocolMethods } from '../../runtime/rpc/methods.ts'
import { connectSocket } from '../../runtime/rpc/socket-path.ts'
import { fakeService } from './fake-service.ts'
import { type Message, startServer } from './raw-client.ts'

const status = { jsonrpc: '2.0', id: 1, method: 'status' }

/** What a test says about an error: number, id, and the code of ours. */
function errorOf({ id, error }: Message): unknown[] {
  return [error.code, id, error.data?.code]
}

test('every method answers in the shape that the table says', async (test) => {
  const service = fakeService()
  const { client } = await startServer(test, { service })
  const raw = await client()
  const params: Record<string, object> = {
    enqueue: { method: 'a.b', jobId: 'j' },
    enqueueMany: { jobs: [{ method: 'a.b' }] },
    enqueueDoc: { type: 'a.Type', name: 'x', method: 'add', params: { by: 1 } },
    transaction: { operations: [{ op: 'enqueue', job: { method: 'a.b' } }] },
    'outbox.prepare': { outbox: 'shop', operations: [{ op: 'cancel', id: 'j' }], timeout: '1m' },
    'outbox.commit': { id: 'prepared-1' },
    'outbox.abort': { id: 'prepared-1' },
    'doc.get': { type: 'a.Type', name: 'x' },
    'doc.list': { type: 'a.Type', limit: 10 },
    'doc.remove': { type: 'a.Type', name: 'x' },
    'doc.cancelReminder': { type: 'a.Type', name: 'x', reminder: 'daily' },
    'job.signal': { id: 'j', name: 'approved', payload: { by: 'me' } },
    'job.move': { id: 'j', queue: 'q' },
    'job.cancelMany': { queue: 'q', since: '2026-01-01' },
    'job.retryMany': { text: 'x', params: 1 },
    'job.removeMany': { state: 'failed', errorCode: 'TIMEOUT' },
    'job.moveMany': { key: 'k', to: 'q' },
    'queue.pause': { queue: 'q', until: '2h' },
    'queue.drain': { queue: 'q', timeout: 1 },
    backup: { directory: '/backups/one' },
    'queue.resume': { queue: 'q' },
    'queue.purge': { queue: 'q', state: 'failed' },
    'events.unsubscribe': { subscription: '1' },
    'job.remove': { id: 'job-2' },
    'schedule.trigger': { event: 'daily' },
    'schedule.skip': { event: 'daily' },
    maintenance: { on: true }
  }
  for (const [method, { result }] of Object.entries(protocolMethods)) {
    const answer = raw.ask(
      method,
      params[method] ?? (method.startsWith('job.') && method !== 'job.list' ? { id: 'j' } : {})
    )
    if (method === 'job.wait') {
      while (service.waits === 0) await delay(1)
      service.finish('j')
    }
    const message = await answer
    assert.deepEqual(compileSchema(result)(message.result), [], `${method}: ${JSON.stringify(message)}`)
  }
})

test('ids are echoed: number, text, null', async (test) => {
  const raw = await (await startServer(test)).client()
  for (const id of [7, -1.5, 'x', '', null]) assert.equal((await raw.ask('status', {}, id)).id, id)
})

test('the standard errors', async (test) => {
  const defects: unknown[] = []
  const { client } = await startServer(test, { onInternalError: (error) => defects.push(error) })
  const raw = await client()
  const request = (method: string, params?: unknown) => ({ jsonrpc: '2.0', id: 5, method, params })
  for (const [line, code, id, ownCode] of [
    ['{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', -32700, null],
    [Buffer.from([0x22, 0xff, 0x22]), -32700, null],
    ['1', -32600, null],
    ['null', -32600, null],
    ['"x"', -32600, null],
    ['[]', -32600, null],
    ['{}', -32600, null],
    [{ jsonrpc: '2.0', method: 1, params: 'bar' }, -32600, null],
    [{ jsonrpc: '1.0', method: 'status', id: 1 }, -32600, null],
    [{ jsonrpc: '2.0', method: 'status', id: {} }, -32600, null],
    ['{"jsonrpc":"2.0","method":"status","id":9007199254740993}', -32600, null],
    ['{"jsonrpc":"2.0","method":"status","id":1e999}', -32600, null],
    [{ jsonrpc: '2.0', method: 'status', id: 1, params: 'x' }, -32600, null],
    [{ jsonrpc: '2.0', result: 1, id: 1 }, -32600, null],
    [request('nope'), -32601, 5],
    [request('constructor'), -32601, 5],
    [request('__proto__'), -32601, 5],
    [request('toString'), -32601, 5],
    [request('job.get'), -32602, 5, 'PARAMS_INVALID'],
    [request('job.get', { id: 1 }), -32602, 5, 'PARAMS_INVALID'],
    [request('status', { x: 1 }), -32602, 5, 'PARAMS_INVALID'],
    [request('status', ['x']), -32602, 5, 'PARAMS_INVALID'],
    [request('events.subscribe', { types: ['x'] }), -32602, 5, 'PARAMS_INVALID'],
    [request('enqueue', { method: 'quirks.unknown' }), -32001, 5, 'METHOD_UNKNOWN'],
    [request('enqueue', { method: 'quirks.defect' }), -32603, 5],
    [request('enqueue', { method: 'quirks.unspeakable' }), -32603, 5]
  ] as const) {
    raw.write(typeof line === 'string' || Buffer.isBuffer(line) ? line : JSON.stringify(line))
    raw.write('\n')
    const message = await raw.next()
    assert.deepEqual(errorOf(message), [code, id, ownCode], JSON.stringify(message))
    assert.ok(!JSON.stringify(message).includes('secret'))
  }
  assert.deepEqual(defects.map(String), [
    'TypeError: secret detail of a defect',
    'TypeError: Do not know how to serialize a BigInt'
  ])
})

test('an error of ours carries its data, and says place, expected and got', async (test) => {
  const raw = await (await startServer(test)).client()
  const unknown = await raw.ask('enqueue', { method: 'quirks.unknown' })
  assert.deepEqual(unknown.error.data, { code: 'METHOD_UNKNOWN', near: 'a.b' })
  const invalid = await raw.ask('enqueueMany', { jobs: [{ method: 'a.b' }, { method: 'a.b', timeout: -1 }] })
  assert.match(invalid.error.message, /^Cannot call "enqueueMany": jobs\[1\]\.timeout: expected seconds.*got -1\.$/)
  const misspelt = await raw.ask('enqueue', { method: 'a.b', priorty: 1 })
  assert.match(misspelt.error.message, /priorty: unknown key\. Did you mean "priority"\?/)
  assert.match((await raw.ask('enqeue')).error.message, /Did you mean "enqueue"\?/)
})

test('params by position follow the order of the schema', async (test) => {
  const service = fakeService()
  const raw = await (await startServer(test, { service })).client()
  await raw.ask('enqueue', ['a.b', { x: 1 }, 'long'])
  assert.deepEqual(service.enqueued, [{ method: 'a.b', params: { x: 1 }, queue: 'long' }])
  assert.match((await raw.ask('job.get', ['a', 'b'])).error.message, /2 params by position, at most 1: id\./)
})

test('notifications are never answered, good or bad', async (test) => {
  const service = fakeService()
  const raw = await (await startServer(test, { service })).client()
  raw.send({ jsonrpc: '2.0', method: 'enqueue', params: { method: 'a.b' } })
  raw.send({ jsonrpc: '2.0', method: 'enqueue', params: {} })
  raw.send({ jsonrpc: '2.0', method: 'nope' })
  raw.send([{ jsonrpc: '2.0', method: 'nope' }])
  assert.equal((await raw.ask('status', {}, 'next')).id, 'next')
  assert.equal(service.enqueued.length, 1)
})

test('batches: one list of answers, without the notifications', async (test) => {
  const raw = await (await startServer(test)).client()
  raw.send([status, { jsonrpc: '2.0', method: 'status' }, { foo: 'boo' }, 1, { ...status, id: 'x', method: 'nope' }])
  const answers: Message[] = await raw.next()
  assert.deepEqual(
    answers.map(({ id, error }) => [id, error?.code]),
    [
      [1, undefined],
      [null, -32600],
      [null, -32600],
      ['x', -32601]
    ]
  )
  raw.write('[1,2,3]\n')
  assert.deepEqual((await raw.next()).map(errorOf), Array(3).fill([-32600, null, undefined]))
})

test('a batch over the bound is refused as a whole, and the connection goes on', async (test) => {
  const service = fakeService()
  const raw = await (await startServer(test, { service, bounds: { batchEntriesMax: 3 } })).client()
  raw.send(Array(4).fill({ ...status, method: 'enqueue', params: { method: 'a.b' } }))
  assert.deepEqual(errorOf(await raw.next()), [-32015, null, 'TOO_MANY_REQUESTS'])
  assert.equal(service.enqueued.length, 0)
  raw.send(Array(3).fill(status))
  assert.equal((await raw.next()).length, 3)
})

test('answers come as they are ready, not in order', async (test) => {
  const service = fakeService()
  const raw = await (await startServer(test, { service })).client()
  await raw.ask('enqueue', { method: 'a.b', jobId: 'j' })
  raw.send({ jsonrpc: '2.0', id: 'slow', method: 'job.wait', params: { id: 'j' } })
  assert.equal((await raw.ask('status', {}, 'quick')).id, 'quick')
  service.finish('j')
  assert.equal((await raw.next()).id, 'slow')
})

test('requests in flight are bounded for each connection', async (test) => {
  const service = fakeService()
  const { client } = await startServer(test, { service, bounds: { requestsInFlightMax: 2 } })
  const [raw, other] = [await client(), await client()]
  await raw.ask('enqueue', { method: 'a.b', jobId: 'j' })
  for (const id of ['w1', 'w2']) raw.send({ jsonrpc: '2.0', id, method: 'job.wait', params: { id: 'j' } })
  assert.deepEqual(errorOf(await raw.ask('status')), [-32015, 1, 'TOO_MANY_REQUESTS'])
  assert.equal((await other.ask('status')).id, 1)
  service.finish('j')
  assert.deepEqual([(await raw.next()).id, (await raw.next()).id], ['w1', 'w2'])
  assert.ok((await raw.ask('status')).result)
})

test('connections are bounded; one that is refused is told so, and a free place is taken again', async (test) => {
  const { client } = await startServer(test, { bounds: { connectionsMax: 1 } })
  const first = await client()
  await first.ask('status')
  const second = await client()
  assert.deepEqual(errorOf(await second.next()), [-32015, null, 'TOO_MANY_REQUESTS'])
  assert.equal(await second.next(), undefined)
  first.socket.end()
  await first.closed()
  assert.ok((await (await client()).ask('status')).result)
})

test('a frame that is too large is answered, then the connection is closed, also under a client that goes on writing', async (test) => {
  const { client } = await startServer(test, { bounds: { frameBytesMax: 1_000 } })
  for (const bytes of [1_010, 4_000_000]) {
    const raw = await client()
    raw.send(status)
    raw.write(`"${'x'.repeat(bytes)}"\n`)
    const messages = [await raw.next(), await raw.next()].sort((a, b) => Number(a.id) - Number(b.id))
    assert.deepEqual(errorOf(messages[0]), [-32014, null, 'FRAME_TOO_LARGE'])
    assert.deepEqual(messages[1].id, 1)
    assert.equal(await raw.next(), undefined)
    await raw.closed()
  }
})

test('an answer that is too large is replaced by an error; the others of its batch are not', async (test) => {
  const service = fakeService()
  const { client } = await startServer(test, { service, bounds: { unreadOutputBytesMax: 2_000 } })
  const raw = await client()
  await raw.ask('enqueue', { method: 'a.b', jobId: 'j', params: 'x'.repeat(1_000) })
  const get = { jsonrpc: '2.0', method: 'job.get', params: { id: 'j' } }
  raw.send([
    { ...get, id: 1 },
    { ...get, id: 2 },
    { ...get, id: 3, params: { id: 'k' } }
  ])
  const answers: Message[] = await raw.next()
  assert.equal(answers[0].result.id, 'j')
  assert.deepEqual(errorOf(answers[1]), [-32014, 2, 'FRAME_TOO_LARGE'])
  assert.deepEqual(errorOf(answers[2]), [-32003, 3, 'JOB_UNKNOWN'])
})

test('params that are too deep are refused with the id of their request', async (test) => {
  const raw = await (await startServer(test)).client()
  const nested = (levels: number) => `{"method":"a.b","params":${'['.repeat(levels)}${']'.repeat(levels)}}`
  const request = (id: number, levels: number) =>
    `{"jsonrpc":"2.0","id":${id},"method":"enqueue","params":${nested(levels)}}`
  raw.write(`${request(1, 67)}\n`)
  assert.ok((await raw.next()).result)
  for (const levels of [68, 1_000_000]) {
    raw.write(`${request(2, levels)}\n`)
    assert.deepEqual(errorOf(await raw.next()), [-32602, 2, 'PARAMS_INVALID'])
  }
  // What is too deep is not even parsed.
  raw.write(`${request(2, 100).replace('[]', '[no JSON]')}\n`)
  assert.deepEqual(errorOf(await raw.next()), [-32602, 2, 'PARAMS_INVALID'])
  raw.write(`[${request(3, 67)},${request(4, 68)}]\n`)
  const [shallow, deep] = await raw.next()
  assert.ok(shallow.result)
  assert.deepEqual(errorOf(deep), [-32602, 4, 'PARAMS_INVALID'])
})

test('keys of the prototype pollute nothing', async (test) => {
  const service = fakeService()
  const raw = await (await startServer(test, { service })).client()
  const poison = '{"polluted":true}'
  raw.write(`{"jsonrpc":"2.0","id":1,"method":"enqueue","params":{"method":"a.b","__proto__":${poison}}}\n`)
  assert.equal((await raw.next()).error.code, -32602)
  raw.write(
    `{"jsonrpc":"2.0","id":1,"method":"enqueue","params":{"method":"a.b","constructor":{"prototype":${poison}}}}\n`
  )
  assert.equal((await raw.next()).error.code, -32602)
  raw.write(`{"jsonrpc":"2.0","id":1,"method":"status","__proto__":${poison}}\n`)
  assert.ok((await raw.next()).result)
  raw.write(`{"jsonrpc":"2.0","id":1,"method":"enqueue","params":{"method":"a.b","params":{"__proto__":${poison}}}}\n`)
  assert.ok((await raw.next()).result)
  assert.equal(JSON.stringify(service.enqueued[0]!.params), `{"__proto__":${poison}}`)
  assert.equal(({} as { polluted?: true }).polluted, undefined)
})

test('a client that does not read is dropped at the bound, and others are served', async (test) => {
  const service = fakeService()
  const { client } = await startServer(test, { service, bounds: { unreadOutputBytesMax: 100_000 } })
  const [lazy, other] = [await client(), await client()]
  await lazy.ask('events.subscribe')
  lazy.socket.pause()
  const log = { at: '', level: 'info', message: 'x'.repeat(10_000) } as const
  let sent = 0
  const closed = once(lazy.socket, 'close')
  while (service.events.listened && sent < 100_000) {
    service.event({ type: 'log', log })
    sent += 1
    if (sent % 10 === 0) await other.ask('status')
  }
  assert.ok(sent < 100_000, 'it was never dropped')
  lazy.socket.resume()
  await closed
})

test('a client that reads may receive any amount', async (test) => {
  const raw = await (await startServer(test, { bounds: { unreadOutputBytesMax: 1_000 } })).client()
  for (let id = 0; id < 20; id++) assert.equal((await raw.ask('status', {}, id)).id, id)
})

test('a client that ends its side still gets its answers', async (test) => {
  const service = fakeService()
  const { client } = await startServer(test, { service })
  const raw = await client()
  await raw.ask('enqueue', { method: 'a.b', jobId: 'j' })
  raw.send({ jsonrpc: '2.0', id: 'w', method: 'job.wait', params: { id: 'j' } })
  raw.send([status])
  raw.socket.end()
  assert.equal((await raw.next()).length, 1)
  service.finish('j')
  assert.equal((await raw.next()).id, 'w')
  assert.equal(await raw.next(), undefined)
})

test('a client that is gone while it waits leaves nothing behind', async (test) => {
  const service = fakeService()
  const { client } = await startServer(test, { service, bounds: { connectionsMax: 1 } })
  const raw = await client()
  await raw.ask('enqueue', { method: 'a.b', jobId: 'j' })
  await raw.ask('events.subscribe')
  raw.send({ jsonrpc: '2.0', id: 'w', method: 'job.wait', params: { id: 'j' } })
  await raw.ask('status')
  raw.socket.destroy()
  // The wait goes on, yet the place of the connection is free again before it ends.
  for (;;) {
    const answer = await (await client()).ask('status')
    if (answer.result !== undefined) break
    await delay(50)
  }
  assert.equal(service.events.listened, false)
  service.finish('j')
})

test('events: from the answer on, filtered, until the subscription ends', async (test) => {
  const service = fakeService({
    // An event in the tick of the request, before anything could be awaited.
    async status() {
      service.event({ job: 'early' })
      return {} as never
    }
  })
  const { client } = await startServer(test, { service })
  const raw = await client()
  raw.write(`{"jsonrpc":"2.0","id":1,"method":"events.subscribe","params":{"types":["started"]}}\n`)
  raw.write(`{"jsonrpc":"2.0","id":2,"method":"status"}\n`)
  const { result } = await raw.next()
  assert.deepEqual(Object.keys(result), ['subscription', 'cursor'])
  const early = await raw.next()
  assert.equal(early.method, 'event')
  assert.equal('id' in early, false)
  assert.equal(early.params.subscription, result.subscription)
  assert.equal(early.params.event.job, 'early')
  assert.deepEqual(Object.keys(early.params), ['subscription', 'event', 'cursor'])
  await raw.next()
  service.event({ type: 'failed' })
  service.event({ job: 'j2' })
  assert.equal((await raw.next()).params.event.job, 'j2')
  assert.deepEqual((await raw.ask('events.unsubscribe', { subscription: result.subscription })).result, {
    unsubscribed: true
  })
  assert.deepEqual((await raw.ask('events.unsubscribe', { subscription: result.subscription })).result, {
    unsubscribed: false
  })
  assert.equal(service.events.listened, false)
})

test('subscriptions are bounded, belong to their connection and end with it', async (test) => {
  const service = fakeService()
  const { client } = await startServer(test, { service, bounds: { subscriptionsMax: 2 } })
  const [raw, other] = [await client(), await client()]
  const { result } = await raw.ask('events.subscribe')
  await raw.ask('events.subscribe')
  assert.deepEqual(errorOf(await raw.ask('events.subscribe')), [-32015, 1, 'TOO_MANY_REQUESTS'])
  const { subscription } = result
  assert.deepEqual((await other.ask('events.unsubscribe', { subscription })).result, { unsubscribed: false })
  raw.socket.end()
  await raw.closed()
  assert.equal(service.events.listened, false)
})

test('stop sends the answers that are owed, closes idle and waiting clients, and can be called twice', async (test) => {
  const { promise, resolve } = newGate()
  const service = fakeService({
    async shutdown() {
      await promise
      return { stopping: true }
    }
  })
  const { client, server } = await startServer(test, { service })
  const [raw, idle, waiting] = [await client(), await client(), await client()]
  await idle.ask('enqueue', { method: 'a.b', jobId: 'j' })
  raw.send({ jsonrpc: '2.0', id: 's', method: 'shutdown' })
  waiting.send({ jsonrpc: '2.0', id: 'w', method: 'job.wait', params: { id: 'j' } })
  while (service.waits === 0) await delay(1)
  const stopped = Promise.all([server.stop(), server.stop()])
  resolve()
  assert.deepEqual((await raw.next()).result, { stopping: true })
  assert.equal(await idle.next(), undefined)
  assert.equal(await waiting.next(), undefined)
  await stopped
})

test('quiet takes no new connections and serves the open ones', async (test) => {
  const { client, server } = await startServer(test)
  const raw = await client()
  await raw.ask('status')
  await server.quiet()
  await server.quiet()
  assert.ok((await raw.ask('status')).result)
  await assert.rejects(client(), { code: 'ENOENT' })
})

test('vscode-jsonrpc speaks to it, Content-Length framed', async (test) => {
  const service = fakeService()
  const { socketPath } = await startServer(test, { service })
  const socket = await connectSocket(socketPath)
  const connection = createMessageConnection(new StreamMessageReader(socket), new StreamMessageWriter(socket))
  test.after(() => {
    connection.dispose()
    socket.destroy()
  })
  connection.listen()
  const result = await connection.sendRequest('enqueue', { method: 'a.b', params: { text: 'é€😀' } })
  assert.deepEqual(result, { id: 'job-1', state: 'ready', deduplicated: false })
  assert.deepEqual(service.enqueued, [{ method: 'a.b', params: { text: 'é€😀' } }])
  assert.deepEqual(await connection.sendRequest('queue.purge', 'default', 'failed'), { removed: 3 })
  await assert.rejects(connection.sendRequest('nope'), { code: -32601 })
  await assert.rejects(connection.sendRequest('job.get', { id: 'x' }), {
    code: -32003,
    data: { code: 'JOB_UNKNOWN', id: 'x' }
  })
  const event = new Promise((resolve) => connection.onNotification('event', resolve))
  const { subscription, cursor } = (await connection.sendRequest('events.subscribe', {})) as {
    subscription: string
    cursor: string
  }
  service.event({ job: 'ü' })
  const notice = (await event) as { cursor: string }
  assert.notEqual(notice.cursor, cursor)
  assert.deepEqual(notice, {
    subscription,
    cursor: notice.cursor,
    event: { type: 'started', job: 'ü', queue: 'default', method: 'a.b', at: '2026-01-01T00:00:00Z' }
  })
})

test('issue 7.6: a request must be complete in time; an idle client, and one that goes on asking, may stay', async (test) => {
  const { client } = await startServer(test, { bounds: { frameMsMax: 300 } })
  const [slow, idle, busy] = [await client(), await client(), await client()]
  await idle.ask('status')
  slow.write('{"jsonrpc":"2.0",')
  const line = JSON.stringify(status)
  const asking = (async () => {
    for (let count = 0; count < 5; count++) {
      busy.write(line.slice(0, 10))
      await delay(100)
      busy.write(`${line.slice(10)}\n`)
      assert.ok((await busy.next()).result)
    }
  })()
  assert.deepEqual(errorOf(await slow.next()), [-32700, null, undefined])
  assert.equal(await slow.next(), undefined)
  await asking
  assert.ok((await idle.ask('status')).result)
})

test('issue 7.6: of all connections together requests in flight are bounded, and a modest one is always served', async (test) => {
  const service = fakeService()
  const { client } = await startServer(test, { service, bounds: { requestsInFlightTotalMax: 150 } })
  const [greedy, modest] = [await client(), await client()]
  await modest.ask('enqueue', { method: 'a.b', jobId: 'j' })
  for (let id = 1; id <= 151; id++) greedy.send({ jsonrpc: '2.0', id, method: 'job.wait', params: { id: 'j' } })
  assert.deepEqual(errorOf(await greedy.next()), [-32015, 151, 'TOO_MANY_REQUESTS'])
  assert.equal((await modest.ask('status')).id, 1)
  greedy.socket.destroy()
  // The server notices within a second that it is gone.
  for (;;) {
    const next = await client()
    for (let id = 1; id <= 120; id++) next.send({ jsonrpc: '2.0', id, method: 'job.wait', params: { id: 'j' } })
    const answer = await next.ask('status', {}, 'free again')
    next.socket.destroy()
    if (answer.id === 'free again') break
    await delay(1_200)
  }
  service.finish('j')
})

test('issue 7.6: what a client sends at once does not hold up another, and its answers are complete', async (test) => {
  const busyMs = 3
  const service = fakeService({
    async 'method.list'() {
      for (const untilMs = performance.now() + busyMs; performance.now() < untilMs; );
      return { methods: [] }
    }
  })
  const { client } = await startServer(test, { service })
  const [greedy, other] = [await client(), await client()]
  await other.ask('status')
  const call = (id: number) => ({ jsonrpc: '2.0', id, method: 'method.list' })
  greedy.send(Array.from({ length: 300 }, (_, id) => call(id)))
  for (let id = 300; id < 600; id++) greedy.send(call(id))
  greedy.socket.end()
  const first = greedy.next()
  await delay(10)
  const beganMs = performance.now()
  await other.ask('status')
  const otherMs = performance.now() - beganMs
  const answers: Message[] = [await first]
  for (let answer = await greedy.next(); answer !== undefined; answer = await greedy.next()) answers.push(answer)
  assert.deepEqual(
    answers
      .flat()
      .map(({ id }) => id)
      .sort((a, b) => a - b),
    Array.from({ length: 600 }, (_, id) => id)
  )
  assert.ok(otherMs < (300 * busyMs) / 3, `the other one waited ${otherMs} ms`)
})

test('issue 7.6: of what all connections hold together the one that holds the most is told and closed', async (test) => {
  const { client } = await startServer(test, { bounds: { clientBytesMax: 3_000_000 } })
  const [small, large] = [await client(), await client()]
  small.write(Buffer.alloc(100_000, 'x'))
  large.write(Buffer.alloc(3_500_000, 'x'))
  assert.deepEqual(errorOf(await large.next()), [-32015, null, 'TOO_MANY_REQUESTS'])
  assert.equal(await large.next(), undefined)
  small.write('\n')
  assert.deepEqual(errorOf(await small.next()), [-32700, null, undefined])
  assert.ok((await small.ask('status')).result)
})

function newGate(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>((open) => {
    resolve = open
  })
  return { promise, resolve }
}
