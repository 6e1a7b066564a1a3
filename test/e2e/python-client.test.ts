/** The protocol needs no library: a script of Python with `socket` and `json` is a full client of a real supervisor. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RpcAnswer } from '../../runtime/rpc/json-rpc.ts'
import { projectFile } from '../rpc/project-file.ts'
import { TestProject } from '../support/supervisor-process.ts'

const actor = "export function greet({ name }) {\n  return 'Hello ' + name\n}\n"

test('a client in Python enqueues, waits, hears events, and is told what is wrong', { timeout: 60_000 }, async (t) => {
  const project = new TestProject(t)
  project.write('actors/jobs.js', actor)
  await project.serve()
  const script = projectFile('test/e2e/python_client.py')
  const { code, stdout, stderr } = await project.startProcess('python3', script, project.socketPath).ended
  assert.equal(code, 0, stderr)
  const [done, ...refused] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

  const { id, state } = done.enqueued.result
  assert.equal(state, 'ready')
  assert.equal(done.waited.result.state, 'completed')
  assert.equal(done.waited.result.result, 'Hello Zoë')
  const { subscription } = done.subscribed.result
  assert.deepEqual(
    done.events.map(
      ({
        method,
        params
      }: {
        method: string
        params: { subscription: string; event: { job: string; type: string } }
      }) => [method, params.subscription, params.event.job, params.event.type]
    ),
    ['enqueued', 'started', 'completed'].map((type) => ['event', subscription, id, type])
  )
  assert.deepEqual(
    refused.map(({ error }: RpcAnswer) => [error?.code, (error?.data as { code: string } | undefined)?.code]),
    [
      [-32700, undefined],
      [-32600, undefined],
      [-32600, undefined],
      [-32601, undefined],
      [-32602, 'PARAMS_INVALID'],
      [-32602, 'PARAMS_INVALID'],
      [-32001, 'METHOD_UNKNOWN'],
      [-32002, 'QUEUE_UNKNOWN'],
      [-32003, 'JOB_UNKNOWN']
    ]
  )
})
