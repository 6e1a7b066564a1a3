import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { crowdSequence } from './crowd-steps.ts'
import { queues, type Sequence, type Step, sequence } from './model-steps.ts'
import { type OpenQueue, openQueue } from './open-queue.ts'
import { QueueAndModel } from './queue-and-model.ts'
import { shorten } from './shorten.ts'

const isLong = process.env.LONG === '1'
/** `RUNS=500,20`: so many sequences of each form, whatever they meet. */
const only = process.env.RUNS?.split(',').map(Number)
/** The long form goes new ways each time; the short one is to meet every feature in little time. */
const seed = Number(process.env.SEED ?? (isLong ? Date.now() % 2 ** 31 : 12))
/** Sampled at a time. */
const sampleMax = 100

/** Steps, refusals, and what the rules of jobs and queues can do. */
const features = [
  ...[
    'enqueue',
    'claim',
    'note',
    'settle',
    'settleAll',
    'advance',
    'promote',
    'upkeep',
    'cancel',
    'remove',
    'retry',
    'move'
  ],
  ...['bulk', 'purge', 'pause', 'list', 'crash', 'together', 'list found'],
  ...['enqueue: JOB_EXISTS', 'enqueue: JOB_UNKNOWN', 'enqueue: QUEUE_FULL', 'enqueue: PARAMS_INVALID', 'circle'],
  ...['cancel: JOB_UNKNOWN', 'remove: JOB_UNKNOWN', 'retry: JOB_UNKNOWN', 'move: JOB_UNKNOWN'],
  ...['remove: JOB_STATE', 'retry: JOB_STATE', 'move: JOB_STATE', 'move: QUEUE_FULL', 'bulk: QUEUE_FULL'],
  ...['bulk cancel', 'bulk retry', 'bulk remove', 'bulk move'],
  ...['found', 'throttled', 'throttled without a job', 'same in one call'],
  ...['replaced by debounce', 'replaced by keepLast', 'successor by debounce', 'successor by keepLast'],
  ...['backoff fixed', 'backoff exponential', 'backoff list', 'not retried by name', 'crashed too often'],
  ...['depends on others', 'released', 'released for later', 'onSuccess', 'onFailure'],
  ...['parent failed: fail', 'parent failed: cancel', 'parent failed: release'],
  ...['parent cancelled: fail', 'parent cancelled: cancel', 'parent cancelled: release'],
  ...['keys take turns', 'held back by keyConcurrency'],
  ...['held back by the rate of the queue', 'held back by the rate of the key'],
  ...['expired', 'expired at claim', 'claimed ahead', 'settled together', 'kept not at all'],
  ...['retained by age', 'retained by count', 'retained by bytes'],
  ...['died after 0', 'died after 1', 'died after 2', 'died halfway']
]

const crowdFeatures = ['upkeep in pieces', 'died in upkeep', 'died halfway', 'bulk cancel', 'purge', 'promote']

/** `runsPerSight`: each feature is met once in about so many sequences. */
const forms = [
  {
    name: 'over any operations and crashes',
    arbitrary: sequence,
    runs: isLong ? 10_000 : 100,
    features,
    runsPerSight: 300,
    isCrowd: false
  },
  {
    name: 'where operations take many commits',
    arbitrary: crowdSequence,
    runs: isLong ? 400 : 5,
    features: crowdFeatures,
    runsPerSight: 40,
    isCrowd: true
  }
]

for (const [at, { name, arbitrary, runs: usual, features, runsPerSight, isCrowd }] of forms.entries()) {
  const runs = only?.[at] ?? usual
  test(`the queue does what a plain array of jobs does, ${name} (seed ${seed})`, {
    timeout: isLong ? 7_200_000 : 300_000
  }, async (t) => {
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
    const least = Math.max(1, Math.floor(runs / (4 * runsPerSight)))
    const unseen = (isLong && only === undefined ? features : []).filter((feature) => (seen.get(feature) ?? 0) < least)
    assert.deepEqual(unseen, [], `each is to be met ${least} times`)
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
  const steps = short.steps.map((step) => `  ${textOf(step)}`).join('\n')
  throw new Error(`Queue and model differ on ${short.queues}:\n${steps}\n${error.stack ?? error}`, { cause: error })
}

function textOf(step: Step): string {
  const text = JSON.stringify(step)
  return text.length < 2_000 ? text : `${text.slice(0, 1_000)} … ${text.slice(-500)}`
}
