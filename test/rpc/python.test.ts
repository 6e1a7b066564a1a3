import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { fakeService } from './fake-service.ts'
import { projectFile } from './project-file.ts'
import { startServer } from './raw-client.ts'

test('a client in Python enqueues, and receives every standard error', async (test) => {
  const service = fakeService()
  const { socketPath } = await startServer(test, { service, onInternalError: () => undefined })
  const { stdout } = await promisify(execFile)('python3', [projectFile('test/rpc/python_client.py'), socketPath])
  const [enqueued, ...errors] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual(enqueued, { jsonrpc: '2.0', id: 1, result: { id: 'job-1', state: 'ready', deduplicated: false } })
  assert.deepEqual(service.enqueued, [{ method: 'reports.daily.run', params: { name: 'Zoë' }, queue: 'long' }])
  assert.deepEqual(
    errors.map(({ error }) => error.code),
    [-32700, -32600, -32601, -32602, -32603]
  )
})
