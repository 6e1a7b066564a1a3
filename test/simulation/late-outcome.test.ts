/**
 * An outcome that a full disk holds back (issue 7.1): by the time it is stored its job may run in another attempt. Stories of
 * simulation.test.ts hardly ever come there, so this one is told on purpose.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EnqueueRequest } from '../../runtime/core/job.ts'
import { SimulatedWorld } from './simulated-world.ts'

/** Longer than the dispatcher waits until it tries again. */
const triedAgainMs = 1_500

test('issue 7.1: an outcome that a full disk held back does not end the next attempt', async () => {
  let isFull = false
  let given = 0
  const world = new SimulatedWorld({
    seed: 7,
    runtime: {},
    watcher: {
      runs() {},
      gave: () => {
        given++
        isFull = true
      },
      calledStep() {},
      stepIsStored() {},
      received() {}
    },
    faultOf: () => (isFull ? { type: 'full' } : undefined)
  })
  assert(await world.boot())
  const request = { method: 'w.run', jobId: 'j', params: { n: 1, ends: ['complete', 'hang'] } }
  void world.request('enqueue', (service) => service.enqueue(request as unknown as EnqueueRequest))
  while (given === 0) {
    await world.rest()
    if (given === 0) assert(await world.advance(Number.POSITIVE_INFINITY))
  }
  await world.rest()
  isFull = false
  void world.request('cancel', (service) => service['job.cancel']({ id: 'j' }))
  await world.rest()
  void world.request('retry', (service) => service['job.retry']({ id: 'j' }))
  await world.rest()
  const { state, attempts } = await world.service['job.get']({ id: 'j' })
  assert.deepEqual([state, attempts.made, given], ['running', 2, 1], 'it runs again before the first outcome is stored')

  const untilMs = world.monotonicMs + triedAgainMs
  while (await world.advance(untilMs)) await world.rest()
  const later = await world.service['job.get']({ id: 'j' })
  assert.deepEqual([later.state, later.attempts.made, later.result], ['running', 2, undefined])
  assert.deepEqual(world.defects, [])
  world.assertStore()
  await world.stop(0)
})
