import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import fc from 'fast-check'
import { protocolMethods } from '../../runtime/rpc/methods.ts'
import { connectSocket } from '../../runtime/rpc/socket-path.ts'
import { startServer } from './raw-client.ts'

const method = fc.constantFrom(
  ...Object.keys(protocolMethods).filter((name) => name !== 'job.wait'),
  '__proto__',
  'nope'
)
const params = fc.oneof(
  fc.jsonValue(),
  fc.record({ id: fc.jsonValue(), method: fc.jsonValue(), queue: fc.jsonValue() }, { requiredKeys: [] }),
  fc.array(fc.jsonValue())
)
const request = fc.record(
  { jsonrpc: fc.constantFrom('2.0', 2), id: fc.jsonValue(), method: fc.oneof(method, fc.jsonValue()), params },
  { requiredKeys: ['jsonrpc', 'method'] }
)
const message = fc.oneof(request, fc.array(request), fc.jsonValue()).map((value) => JSON.stringify(value))
const damaged = fc.tuple(message, fc.nat(), fc.string()).map(([text, at, patch]) => {
  const place = at % (text.length + 1)
  return text.slice(0, place) + patch + text.slice(place + patch.length)
})
const header = fc
  .tuple(fc.constantFrom('Content-Length: ', 'content-', 'Content-Length'), fc.nat(50))
  .map((parts) => parts.join(''))
const piece = fc.oneof(
  message.map((text) => Buffer.from(`${text}\n`)),
  damaged.map((text) => Buffer.from(`${text}\n`)),
  header.map((text) => Buffer.from(`${text}\r\n\r\n`)),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes))
)

test('whatever a client sends, the server answers a ping afterwards', { timeout: 60_000 }, async (test) => {
  const { client, socketPath } = await startServer(test, { bounds: { frameBytesMax: 2_000 } })
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 20 }), fc.boolean(), async (pieces, gone) => {
      const socket = await connectSocket(socketPath)
      socket.on('error', () => undefined)
      for (const bytes of pieces) socket.write(bytes)
      if (gone) socket.destroy()
      else socket.resume().end()
      await once(socket, 'close')
      const raw = await client()
      assert.ok((await raw.ask('status')).result)
      raw.socket.destroy()
    }),
    { numRuns: 200 }
  )
})
