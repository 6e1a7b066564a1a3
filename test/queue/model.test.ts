import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { queues, type Sequence, sequence } from './model-steps.ts'
import { type OpenQueue, openQueue } from './open-queue.ts'
import { QueueAndModel } from './queue-and-model.ts'
import { shorten } from './shorten.ts'

const isLong = process.env.LONG === '1'
const runs = Number(process.env.RUNS ?? (isLong ? 10_000 : 120))
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)

test(`the durable queue does what a plain array of jobs does, over any operations and crashes (seed ${seed})`, {
  timeout: 3_600_000
}, async () => {
  const seen = new Map<string, number>()
  let steps = 0
  const store = await openQueue(...queues)
  try {
    for (const each of fc.sample(sequence, { numRuns: runs, seed })) {
      const defect = await defectOf(store, each, seen)
      if (defect !== undefined) await fail(store, each)
      steps += each.steps.length
    }
  } finally {
    await store.close()
  }
  assert.ok(steps >= runs * 40, `${steps} steps`)
  if (process.env.SEEN) {
    const lines = [...seen].sort(([a], [b]) => a.localeCompare(b)).map(([a, n]) => `${a}: ${n}`)
    console.log(lines.join('\n'))
  }
})

/** @returns what differs between queue and model */
async function defectOf(
  store: OpenQueue,
  { queues, steps }: Sequence,
  seen = new Map<string, number>()
): Promise<unknown> {
  const pair = new QueueAndModel(await store.fresh(), queues, seen)
  try {
    for (const step of steps) await pair.perform(step)
    await pair.leaveNothing()
    return undefined
  } catch (error) {
    return error
  }
}

async function fail(store: OpenQueue, sequence: Sequence): Promise<never> {
  const short = await shorten(sequence, async (each) => (await defectOf(store, each)) !== undefined)
  const error = (await defectOf(store, short)) as Error
  const steps = short.steps.map((step) => `  ${JSON.stringify(step)}`).join('\n')
  throw new Error(`Queue and model differ on ${short.queues}:\n${steps}\n${error.stack ?? error}`, { cause: error })
}
