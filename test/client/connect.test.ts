import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { connect } from '../../runtime/client/connect.ts'
import { fakeService } from '../rpc/fake-service.ts'
import { startServer } from '../rpc/raw-client.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

/** A server that does with a connection what it is told. */
async function listen(test: TestContext, serve: (socket: Socket) => void): Promise<string> {
  const path = join(temporaryFolder(test), 's')
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    test.after(() => socket.destroy())
    serve(socket)
  }).listen(path)
  await once(server, 'listening')
  test.after(() => server.close())
  return path
}

test('nobody at the socket: the error names the path and what to start', async (test) => {
  const path = join(temporaryFolder(test), 's')
  await assert.rejects(connect(path), {
    code: 'NOT_CONNECTED',
    message: `Cannot connect to ${path}: no supervisor listens there. Start one with \`runtime serve\`, or name the socket of the one that runs.`
  })
  await assert.rejects(connect('x'.repeat(108)), { code: 'SOCKET_INVALID' })
})

test('when the connection ends, every pending and every later call is rejected', async (test) => {
  const service = fakeService()
  const { server, socketPath } = await startServer(test, { service })
  const runtime = await connect(socketPath)
  const { id } = await runtime.enqueue('a.b')
  const waits = [runtime.job.wait(id), runtime.job.wait(id)]
  const rejections = waits.map((wait) => assert.rejects(wait, { code: 'NOT_CONNECTED', message: /ended/ }))
  await runtime.status()
  await server.stop()
  await Promise.all(rejections)
  await assert.rejects(runtime.status(), { code: 'NOT_CONNECTED' })
  await assert.rejects(
    runtime.subscribe({}, () => undefined),
    { code: 'NOT_CONNECTED' }
  )
  await runtime.stop()
})

test('stop rejects what is pending', async (test) => {
  const { socketPath } = await startServer(test)
  const runtime = await connect(socketPath)
  const rejection = assert.rejects(runtime.status(), { code: 'NOT_CONNECTED', message: /stop\(\)/ })
  await runtime.stop()
  await rejection
})

test('events in the same chunk as the answer of subscribe are not lost', async (test) => {
  const path = await listen(test, (socket) => {
    socket.once('data', () => {
      const event = (job: string) =>
        `{"jsonrpc":"2.0","method":"event","params":{"subscription":"9","event":{"job":"${job}"}}}\n`
      socket.write(`{"jsonrpc":"2.0","id":1,"result":{"subscription":"9"}}\n${event('a')}${event('b')}`)
    })
  })
  const runtime = await connect(path)
  test.after(() => runtime.stop())
  const jobs: string[] = []
  await runtime.subscribe({}, ({ job }) => jobs.push(job))
  assert.deepEqual(jobs, ['a', 'b'])
})

test('a refusal of the connection is what its calls are rejected with', async (test) => {
  const { socketPath } = await startServer(test, { bounds: { connectionsMax: 0 } })
  const runtime = await connect(socketPath)
  await assert.rejects(runtime.status(), { code: 'TOO_MANY_REQUESTS' })
  await runtime.stop()
})

test('somebody else at the socket: the calls are rejected, the program goes on', async (test) => {
  for (const answer of ['HTTP/1.1 400 Bad Request\r\n', 'null\n', 'Content-Length: x\r\n\r\n']) {
    const path = await listen(test, (socket) => void socket.write(answer))
    const runtime = await connect(path)
    await assert.rejects(runtime.status(), { code: 'NOT_CONNECTED', message: /does not answer as a supervisor/ })
    await runtime.stop()
  }
})

test('params that JSON cannot say are refused before they are sent', async (test) => {
  const { socketPath } = await startServer(test)
  const runtime = await connect(socketPath)
  test.after(() => runtime.stop())
  await assert.rejects(runtime.enqueue('a.b', 1n), {
    code: 'PARAMS_INVALID',
    message: /cannot be written as JSON.*BigInt/
  })
  await assert.rejects(runtime.enqueue('a.b', 'x'.repeat(17 * 1024 * 1024)), { code: 'FRAME_TOO_LARGE' })
  assert.equal((await runtime.status()).pid, 1)
})

test('more calls at a time than the server takes are held back, in order, and none is refused', async (test) => {
  const release: (() => void)[] = []
  let open = false
  let reached = 0
  const service = fakeService({
    async enqueue({ params }) {
      if (!open) await new Promise<void>((resolve) => release.push(resolve))
      return { id: String(params), state: 'ready', deduplicated: false }
    },
    async 'job.wait'() {
      reached = release.length
      open = true
      for (const answer of release) answer()
      return {} as never
    }
  })
  const { socketPath } = await startServer(test, { service })
  const runtime = await connect(socketPath)
  test.after(() => runtime.stop())
  const calls = Array.from({ length: 12_000 }, (_, index) => runtime.enqueue('a.b', index))
  // Not held back, so it comes right behind those that are sent.
  await runtime.job.wait('x')
  assert.equal(reached, 5_000)
  assert.deepEqual(
    (await Promise.all(calls)).map(({ id }) => id),
    calls.map((_, index) => String(index))
  )
})

test('calls that wait for jobs hold no others back', async (test) => {
  const service = fakeService()
  const { socketPath } = await startServer(test, { service })
  const runtime = await connect(socketPath)
  test.after(() => runtime.stop())
  const { id } = await runtime.enqueue('a.b')
  const waits = Array.from({ length: 6_000 }, () => runtime.job.wait(id))
  assert.equal((await runtime.status()).pid, 1)
  service.finish(id)
  assert.equal((await Promise.all(waits)).length, 6_000)
})

test('calls of documents that wait for their job hold no others back (issue 6.1)', {
  timeout: 30_000
}, async (test) => {
  let ended!: () => void
  const end = new Promise<void>((resolve) => {
    ended = resolve
  })
  const service = fakeService({
    async enqueueDoc() {
      await end
      return { id: '1', state: 'completed', deduplicated: false, result: null }
    }
  })
  const { socketPath } = await startServer(test, { service })
  const runtime = await connect(socketPath)
  test.after(() => runtime.stop())
  const options = [{ now: true }, { isAsync: false }]
  const calls = Array.from({ length: 6_000 }, (_, index) => runtime.enqueueDoc('a.T', 'x', 'm', {}, options[index % 2]))
  assert.equal((await runtime.status()).pid, 1)
  ended()
  assert.equal((await Promise.all(calls)).length, 6_000)
})

test('calls that wait for a queue to drain hold no others back (issue 5.7)', { timeout: 30_000 }, async (test) => {
  let drained!: () => void
  const drain = new Promise<void>((resolve) => {
    drained = resolve
  })
  const service = fakeService({
    async 'queue.drain'({ queue }) {
      await drain
      return { ...(await service.methods['queue.list']({})).queues[0]!, queue }
    }
  })
  const { socketPath } = await startServer(test, { service })
  const runtime = await connect(socketPath)
  test.after(() => runtime.stop())
  const drains = Array.from({ length: 6_000 }, () => runtime.queue.drain('q'))
  assert.equal((await runtime.status()).pid, 1)
  drained()
  assert.equal((await Promise.all(drains)).length, 6_000)
})
