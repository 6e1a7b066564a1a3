import { test } from 'node:test'
import fc from 'fast-check'
import { crowdSequence } from './crowd-steps.ts'
import { queues, type Sequence, sequence } from './model-steps.ts'
import { type OpenQueue, openQueue } from './open-queue.ts'
import { QueueAndModel } from './queue-and-model.ts'
import { shorten } from './shorten.ts'

const isLong = process.env.LONG === '1'
const only = process.env.RUNS?.split(',').map(Number)
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
/** Sampled at a time. */
const sampleMax = 100

const forms = [
  { name: 'over any operations and crashes', arbitrary: sequence, runs: isLong ? 10_000 : 150, isCrowd: false },
  { name: 'where operations take many commits', arbitrary: crowdSequence, runs: isLong ? 400 : 8, isCrowd: true }
]

for (const [at, { name, arbitrary, runs: usual, isCrowd }] of forms.entries()) {
  const runs = only?.[at] ?? usual
  test(`the queue does what a plain array of jobs does, ${name} (seed ${seed})`, { timeout: 7_200_000 }, async (t) => {
    const seen = new Map<string, number>()
    const store = await openQueue(...queues)
    try {
      for (let run = 0; run < runs; run += sampleMax) {
        for (const each of fc.sample(arbitrary, { numRuns: Math.min(sampleMax, runs - run), seed: seed + run })) {
          if ((await defectOf(store, each, isCrowd, seen)) !== undefined) await fail(store, each, isCrowd)
        }
      }
    } finally {
      await store.close()
    }
    t.diagnostic(
      [...seen]
        .sort(([a], [b]) => a.localeCompare(b))
        .map((each) => each.join(': '))
        .join(', ')
    )
  })
}

/** @returns what differs between queue and model */
async function defectOf(
  store: OpenQueue,
  { queues, steps }: Sequence,
  isCrowd: boolean,
  seen = new Map<string, number>()
): Promise<unknown> {
  const pair = new QueueAndModel(await store.fresh(), queues, seen, isCrowd)
  try {
    for (const step of steps) await pair.perform(step)
    await pair.leaveNothing()
    return undefined
  } catch (error) {
    return error
  }
}

async function fail(store: OpenQueue, sequence: Sequence, isCrowd: boolean): Promise<never> {
  const short = await shorten(sequence, async (each) => (await defectOf(store, each, isCrowd)) !== undefined)
  const error = (await defectOf(store, short, isCrowd)) as Error
  const steps = short.steps.map((step) => `  ${JSON.stringify(step)}`).join('\n')
  throw new Error(`Queue and model differ on ${short.queues}:\n${steps}\n${error.stack ?? error}`, { cause: error })
}
