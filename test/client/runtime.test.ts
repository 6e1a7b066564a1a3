/** What every {@link Runtime} does, on both transports: over the socket, and in this process. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { connect } from '../../runtime/client/connect.ts'
import { runtimeOver } from '../../runtime/client/facade.ts'
import { localTransport } from '../../runtime/client/local-transport.ts'
import type { Runtime } from '../../runtime/core/api.ts'
import type { DocumentPage } from '../../runtime/core/document.ts'
import type { JobEvent } from '../../runtime/core/events.ts'
import type { BulkRequest } from '../../runtime/core/job.ts'
import { documentView, type FakeService, fakeService } from '../rpc/fake-service.ts'
import { startServer } from '../rpc/raw-client.ts'

type Make = (test: TestContext, service: FakeService) => Promise<Runtime>

const transports: Record<string, Make> = {
  async socket(test, service) {
    const { socketPath } = await startServer(test, { service })
    const runtime = await connect(socketPath)
    test.after(() => runtime.stop())
    return runtime
  },
  async local(_test, service) {
    return runtimeOver(localTransport(service, async () => undefined))
  }
}

for (const [name, make] of Object.entries(transports)) {
  test(`${name}: enqueue sends method, params and options, and dates as instants`, async (test) => {
    const service = fakeService()
    const runtime = await make(test, service)
    const runAt = new Date('2030-01-01T00:00:00Z')
    assert.deepEqual(await runtime.enqueue('a.b', { x: 1 }, { queue: 'long', runAt }), {
      id: 'job-1',
      state: 'ready',
      deduplicated: false
    })
    await runtime.enqueue('a.b')
    assert.deepEqual(await runtime.enqueueMany([{ method: 'c.d', runAt }]), { ids: ['job-3'] })
    const instant = '2030-01-01T00:00:00.000Z'
    assert.deepEqual(service.enqueued, [
      { queue: 'long', runAt: instant, method: 'a.b', params: { x: 1 } },
      { method: 'a.b' },
      { method: 'c.d', runAt: instant }
    ])
  })

  test(`${name}: every call reaches its method`, async (test) => {
    const service = fakeService()
    const runtime = await make(test, service)
    const { id } = await runtime.enqueue('a.b', null)
    assert.equal((await runtime.job.get(id)).params, null)
    assert.equal((await runtime.job.list()).jobs.length, 1)
    assert.equal((await runtime.job.list({ limit: 1 })).cursor, null)
    assert.equal((await runtime.job.cancel(id)).changed, true)
    assert.equal((await runtime.job.retry(id, { params: 1 })).id, id)
    assert.deepEqual(await runtime.job.remove(id), { id, removed: true })
    assert.equal((await runtime.queue.list())[0]?.queue, 'default')
    assert.equal((await runtime.queue.pause('q')).paused, true)
    assert.equal((await runtime.queue.resume('q')).paused, false)
    assert.deepEqual(await runtime.queue.purge('q', { state: 'failed' }), { removed: 3 })
    assert.equal((await runtime.status()).pid, 1)
    assert.equal(await runtime.shutdown({ deadline: '1s' }), undefined)
    assert.deepEqual(await runtime.call('queue.purge', ['q']), { removed: 3 })
    assert.equal(((await runtime.call('rpc.discover')) as { openrpc: string }).openrpc, '1.3.2')
  })

  test(`${name}: documents and signals reach their methods (issue 6.1, 6.5)`, async (test) => {
    const asked: [string, unknown][] = []
    const asks =
      <Answer>(method: string, answer: Answer) =>
      async (params: unknown) => {
        asked.push([method, params])
        return answer
      }
    const view = documentView({ type: 'a.Counter', name: 'x' })
    const enqueued = { id: '1', state: 'ready', deduplicated: false } as const
    const runtime = await make(
      test,
      fakeService({
        enqueueDoc: asks('enqueueDoc', enqueued),
        'doc.get': asks('get', view),
        'doc.list': asks('list', { documents: [view], cursor: 'next' }),
        'doc.remove': asks('remove', { type: 'a.Counter', name: 'x', removed: true }),
        'doc.cancelReminder': asks('cancelReminder', view),
        'job.signal': asks('signal', { id: '1', state: 'ready', changed: true })
      })
    )
    const runAt = new Date('2030-01-01T00:00:00Z')
    const document = { type: 'a.Counter', name: 'x' }
    assert.deepEqual(await runtime.enqueueDoc('a.Counter', 'x', 'add', { by: 1 }, { queue: 'long', runAt }), enqueued)
    await runtime.enqueueDoc('a.Counter', 'x', 'reset')
    assert.deepEqual(await runtime.doc.get('a.Counter', 'x'), view)
    assert.equal((await runtime.doc.list('a.Counter', { limit: 1 })).cursor, 'next')
    assert.deepEqual(await runtime.doc.remove('a.Counter', 'x'), { ...document, removed: true })
    assert.deepEqual(await runtime.doc.cancelReminder('a.Counter', 'x', 'daily'), view)
    assert.equal((await runtime.job.signal('1', 'approved', { by: 'me' })).changed, true)
    await runtime.job.signal('1', 'go')
    assert.deepEqual(asked, [
      ['enqueueDoc', { queue: 'long', runAt: runAt.toISOString(), ...document, method: 'add', params: { by: 1 } }],
      ['enqueueDoc', { ...document, method: 'reset' }],
      ['get', document],
      ['list', { limit: 1, type: 'a.Counter' }],
      ['remove', document],
      ['cancelReminder', { ...document, reminder: 'daily' }],
      ['signal', { id: '1', name: 'approved', payload: { by: 'me' } }],
      ['signal', { id: '1', name: 'go' }]
    ])
    await assert.rejects(runtime.enqueueDoc('a.Counter', '', 'add'), { code: 'PARAMS_INVALID', data: { path: 'name' } })
    await assert.rejects(runtime.enqueueDoc('a.Counter', 'x', 'add', {}, { key: 'k' } as object), {
      code: 'PARAMS_INVALID',
      data: { path: 'key' }
    })
  })

  test(`${name}: calls that are not awaited are made in their order, of documents too`, async (test) => {
    const service = fakeService()
    const runtime = await make(test, service)
    await Promise.all([
      runtime.enqueueDoc('a.Counter', 'x', 'add'),
      runtime.enqueue('a.b'),
      runtime.enqueueDoc('a.Counter', 'x', 'reset')
    ])
    assert.deepEqual(
      service.enqueued.map(({ method }) => method),
      ['a.Counter.add', 'a.b', 'a.Counter.reset']
    )
  })

  test(`${name}: an export asks for a page when the loop comes to it, and for none after a break (issue 6.1)`, async (test) => {
    const asked: unknown[] = []
    const pages: Record<string, DocumentPage> = {
      first: {
        documents: [documentView({ type: 't', name: 'a' }), documentView({ type: 't', name: 'b' })],
        cursor: 'p2'
      },
      // A page may be empty and not the last.
      p2: { documents: [], cursor: 'p3' },
      p3: { documents: [documentView({ type: 'u', name: 'c' })], cursor: null }
    }
    const service = fakeService({
      'doc.export': async (params) => {
        asked.push(params)
        return pages[params.cursor ?? 'first']!
      }
    })
    const runtime = await make(test, service)
    const names: string[] = []
    for await (const { name } of runtime.doc.export()) names.push(name)
    assert.deepEqual(names, ['a', 'b', 'c'])
    assert.deepEqual(asked, [{}, { cursor: 'p2' }, { cursor: 'p3' }])
    for await (const { name } of runtime.doc.export({ type: 't' })) if (name === 'b') break
    assert.deepEqual(asked.slice(3), [{ type: 't' }])
  })

  test(`${name}: changes of many jobs ask for steps until none is left, and tell how far they are (issue 5.7)`, async (test) => {
    const asked: [string, BulkRequest][] = []
    const steps = [
      { changed: 3, cursor: 'a' },
      { changed: 0, cursor: 'b' },
      { changed: 1, cursor: null }
    ]
    const step = (method: string) => async (request: BulkRequest) => {
      asked.push([method, request])
      return steps[request.cursor === undefined ? 0 : request.cursor === 'a' ? 1 : 2]!
    }
    const runtime = await make(
      test,
      fakeService({
        'job.cancelMany': step('cancel'),
        'job.retryMany': step('retry'),
        'job.removeMany': step('remove'),
        'job.moveMany': step('move')
      })
    )
    const since = new Date('2030-01-01T00:00:00Z')
    const told: number[] = []
    const onProgress = (changed: number) => void told.push(changed)
    assert.equal(await runtime.job.cancelMany({ queue: 'long', since }, { onProgress }), 4)
    assert.deepEqual(told, [3, 3, 4])
    assert.equal(await runtime.job.retryMany({ text: 'x' }, { params: null }), 4)
    assert.equal(await runtime.job.retryMany({}, { onProgress }), 4)
    assert.equal(await runtime.job.removeMany({ state: 'failed', errorCode: 'TIMEOUT' }), 4)
    assert.equal(await runtime.job.moveMany({ key: 'k', until: 5 }, 'short'), 4)
    const cursors = [{}, { cursor: 'a' }, { cursor: 'b' }]
    const requests: [string, object][] = [
      ['cancel', { queue: 'long', since: '2030-01-01T00:00:00.000Z' }],
      ['retry', { text: 'x', params: null }],
      ['retry', {}],
      ['remove', { state: 'failed', errorCode: 'TIMEOUT' }],
      ['move', { key: 'k', until: 5, to: 'short' }]
    ]
    assert.deepEqual(
      asked,
      requests.flatMap(([method, request]) => cursors.map((cursor) => [method, { ...request, ...cursor }]))
    )
    await assert.rejects(runtime.job.removeMany({} as never), { code: 'PARAMS_INVALID', data: { path: 'state' } })
  })

  test(`${name}: move, drain, pause until and doctor; dates are sent as instants`, async (test) => {
    const asked: unknown[] = []
    const service = fakeService({
      'queue.pause': async (params) => {
        asked.push(params)
        return (await runtime.queue.list())[0]!
      },
      'job.list': async (params) => {
        asked.push(params)
        return { jobs: [], cursor: null }
      }
    })
    const runtime = await make(test, service)
    const at = new Date('2030-01-01T00:00:00Z')
    const instant = at.toISOString()
    await runtime.enqueue('a.b', {}, { expires: at, jobId: 'j' })
    assert.deepEqual(service.enqueued, [{ method: 'a.b', params: {}, expires: instant, jobId: 'j' }])
    await runtime.queue.pause('q', { until: at })
    await runtime.queue.pause('q', { until: '2h' })
    await runtime.job.list({ since: at, until: at })
    assert.deepEqual(asked, [
      { queue: 'q', until: instant },
      { queue: 'q', until: '2h' },
      { since: instant, until: instant }
    ])
    assert.deepEqual(await runtime.job.move('j', 'long'), { id: 'j', state: 'ready', changed: true })
    assert.equal((await runtime.queue.drain('q', { timeout: 1 })).queue, 'q')
    assert.deepEqual(await runtime.doctor(), { ok: true, findings: [] })
    const none = { code: 'PARAMS_INVALID' }
    await assert.rejects(runtime.queue.pause('q', { until: 'soon' }), none)
    await assert.rejects(runtime.job.list({ since: new Date('x') }), { ...none, data: { path: 'since' } })
    await assert.rejects(runtime.enqueue('a.b', {}, { expires: -1 }), { ...none, data: { path: 'expires' } })
  })

  test(`${name}: errors carry code and data, whatever is wrong`, async (test) => {
    const runtime = await make(test, fakeService())
    const unknown = { name: 'RuntimeError', code: 'METHOD_UNKNOWN', data: { near: 'a.b' } }
    await assert.rejects(runtime.enqueue('quirks.unknown'), unknown)
    const at = (path: string) => ({ name: 'RuntimeError', code: 'PARAMS_INVALID', data: { path } })
    await assert.rejects(runtime.enqueue('a.b', {}, { priority: 0.5 }), at('priority'))
    await assert.rejects(runtime.enqueue('a.b', {}, { runAt: new Date('x') }), at('runAt'))
    await assert.rejects(runtime.enqueueMany([{ method: 'a.b', timeout: '1 year' }]), at('jobs[0].timeout'))
    await assert.rejects(runtime.job.get(undefined as never), at('id'))
    await assert.rejects(runtime.call('status', null), { code: 'PARAMS_INVALID' })
    await assert.rejects(
      runtime.subscribe({ types: ['x' as never] }, () => undefined),
      at('types[0]')
    )
    await assert.rejects(runtime.call('nope'), { name: 'RpcMethodNotFound', rpcCode: -32601 })
    await assert.rejects(runtime.call('constructor'), { name: 'RpcMethodNotFound' })
    assert.equal((await runtime.status()).pid, 1)
  })

  test(`${name}: calls run at the same time`, async (test) => {
    const service = fakeService()
    const runtime = await make(test, service)
    const { id } = await runtime.enqueue('a.b')
    const wait = runtime.job.wait(id)
    await runtime.status()
    service.finish(id)
    assert.equal((await wait).state, 'completed')
  })

  test(`${name}: events are told from the moment that subscribe resolves, until unsubscribe`, async (test) => {
    const service = fakeService()
    const runtime = await make(test, service)
    const events: JobEvent[] = []
    const subscription = await runtime.subscribe({ types: ['started'] }, (event) => events.push(event))
    service.event({ job: 'a' })
    service.event({ type: 'failed' })
    await runtime.status()
    await subscription.unsubscribe()
    await subscription.unsubscribe()
    service.event({ job: 'b' })
    await runtime.status()
    assert.deepEqual(
      events.map(({ job }) => job),
      ['a']
    )
    assert.equal(service.events.listened, false)
  })

  test(`${name}: stop can be called twice`, async (test) => {
    const runtime = await make(test, fakeService())
    await Promise.all([runtime.stop(), runtime.stop()])
    await runtime.stop()
  })
}
