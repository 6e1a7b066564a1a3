/** The two ways to a runtime that a program has; what is shown of one is shown of the other. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { connect, createRuntime, type Runtime, type RuntimeError, type RuntimeOptions } from '../../runtime/index.ts'

/** @returns a runtime over the actors in `folder`, which ends with the test */
export type Open = (test: TestContext, folder: string) => Promise<Runtime>

/** Calls `suite` for each, one with threads of the process and one with hosts. @param workers configuration of the queues */
export function onEachRuntime(suite: (name: string, open: Open) => void, workers: RuntimeOptions['workers']): void {
  const queues = { short: {}, default: {}, long: {}, ...workers }
  const inline = Object.entries(queues).map(([name, queue]) => [name, { ...queue, isolation: 'inline' }] as const)
  const options = (folder: string) => ({
    dataDir: join(folder, 'data'),
    actors: join(folder, 'actors'),
    workers: queues
  })
  suite('createRuntime', async (test, folder) => {
    const runtime = await createRuntime({ ...options(folder), workers: Object.fromEntries(inline) })
    test.after(() => runtime.stop({ deadline: 0 }))
    return runtime
  })
  suite('connect', async (test, folder) => {
    const socket = join(folder, 's')
    const server = await createRuntime({ ...options(folder), socket })
    test.after(() => server.stop({ deadline: 0 }))
    const runtime = await connect(socket)
    test.after(() => runtime.stop())
    return runtime
  })
}

/** @returns the refusal, which has this code */
export async function refused(promise: Promise<unknown>, code: string): Promise<RuntimeError> {
  let refusal: RuntimeError | undefined
  await assert.rejects(promise, (error: RuntimeError) => {
    assert.equal(error.code, code, error.stack)
    refusal = error
    return true
  })
  return refusal!
}
