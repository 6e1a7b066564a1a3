/** Random sequences of everything that can be done to a queue. Few ids, keys and methods, so that features meet. */
import fc from 'fast-check'
import type { EnqueueRequest, JobSelection } from '../../runtime/core/job.ts'
import { finishedStates, type JobState, jobStates } from '../../runtime/core/lifecycle.ts'
import type { Ending } from '../../runtime/queue/attempts.ts'
import { queueConfig } from './open-queue.ts'

const keepAll = { ageMs: null, count: null, bytes: null }

export const queues = [
  queueConfig('default'),
  queueConfig('bounded', { maxQueued: 4, attempts: 2, noRetryOn: ['TIMEOUT'] }),
  queueConfig('aged', { ageingMs: 1000 }),
  queueConfig('rated', { rateLimit: { max: 3, perMs: 50 }, keyRateLimit: { max: 2, perMs: 70 } }),
  queueConfig('fair', { keyRateLimit: { max: 1, perMs: 40 } }),
  queueConfig('kept', {
    retention: {
      completed: { ...keepAll, count: 1 },
      failed: { ...keepAll, ageMs: 100, count: 2 },
      cancelled: { ...keepAll, bytes: 500 }
    }
  }),
  queueConfig('counted', {
    retention: {
      completed: { ...keepAll, count: 3 },
      failed: { ...keepAll, count: 3 },
      cancelled: { ...keepAll, ageMs: 20 }
    }
  })
]

/** Jobs are named by where they are among those that are known when the step is performed, or so many after it in the call. */
export interface RequestStep {
  options: Omit<EnqueueRequest, 'dependsOn'>
  dependsOn: { jobs: number[]; indexes: number[] } | 'others' | undefined
}

export type Step =
  | { do: 'enqueue'; requests: RequestStep[] }
  | { do: 'claim'; queue: number; max: number; ahead: number; isNoted: boolean }
  | { do: 'note'; pick: number; lateMs: number }
  | { do: 'settle'; pick: number; ending: string }
  | { do: 'settleAll'; ends: { pick: number; ending: string }[] }
  | { do: 'advance'; byMs: number }
  | { do: 'promote' | 'upkeep' }
  | { do: 'cancel' | 'remove'; pick: number }
  | { do: 'retry'; pick: number; params: number | undefined }
  | { do: 'move'; pick: number; queue: number }
  | {
      do: 'bulk'
      change: 'cancel' | 'retry' | 'remove' | 'move'
      to: number
      selection: SelectionStep
      limit: number
      edits: boolean
    }
  | { do: 'purge'; queue: number; states: Exclude<JobState, 'running'>[] }
  | { do: 'pause'; queue: number; paused: boolean; forMs: number | undefined }
  | { do: 'list'; selection: SelectionStep; limit: number }
  | { do: 'crash'; during: Step | undefined; commits: number }
  | { do: 'together'; steps: Step[] }

/** Instants are spans before now. */
export type SelectionStep = Omit<JobSelection, 'queue' | 'since' | 'until'> & {
  queue?: number
  sinceMs?: number
  untilMs?: number
}

const errors = {
  thrown: { code: 'THROWN', name: 'Error', message: 'no' },
  absent: { code: 'THROWN', name: 'TypeError', message: 'no', thrownCode: 'ENOENT' },
  timeout: { code: 'TIMEOUT', name: 'Timeout', message: 'late' }
} as const

export const endings: Record<string, Ending> = {
  completed: { type: 'completed', result: '{"done":true}' },
  completed2: { type: 'completed', result: '7' },
  thrown: { type: 'failed', final: false, error: errors.thrown },
  absent: { type: 'failed', final: false, error: errors.absent },
  timeout: { type: 'failed', final: false, error: errors.timeout },
  final: { type: 'failed', final: true, error: { code: 'UNRECOVERABLE', name: 'Unrecoverable', message: 'never' } },
  later: { type: 'retryLater', delayMs: 30, message: 'later' },
  interrupted: { type: 'interrupted' },
  givenBack: { type: 'givenBack', hostEnded: false },
  crashedShared: { type: 'crashed', cause: { outOfMemory: false, message: 'SIGKILL' }, alone: false },
  crashedAlone: { type: 'crashed', cause: { outOfMemory: false, message: 'SIGKILL' }, alone: true },
  memoryShared: { type: 'crashed', cause: { outOfMemory: true, message: 'full' }, alone: false },
  memoryAlone: { type: 'crashed', cause: { outOfMemory: true, message: 'full' }, alone: true }
}

const pick = fc.nat({ max: 1000 })
const queue = fc.nat({ max: 2 })

/** Present once in `times`. */
function once<T>(times: number, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: times - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })
}

const key = fc.constantFrom('k', 'l', 'm')
const method = fc.constantFrom('a.run', 'a.other')
const params = fc.nat({ max: 4 })
const second = fc.constantFrom(0, 0.005, 0.02, 0.06)

const followUp = fc.oneof(
  fc.constant('a.after'),
  fc.record(
    {
      method: fc.constant('a.after'),
      params: fc.constant({ own: 1 }),
      priority: fc.constant(1),
      delay: second,
      jobName: fc.constant('followed')
    },
    { requiredKeys: ['method', 'params'] }
  )
)

const deduplicate = fc.oneof(
  fc.constant(true),
  { weight: 3, arbitrary: fc.constantFrom(0.05, 2).map((span) => ({ for: span })) },
  fc.constantFrom(0.01, 0.05).map((span) => ({ debounce: span })),
  fc.constant({ keepLast: true } as const)
)

const identity = fc.record({
  jobId: fc.constantFrom('x', 'x', 'y', 'y', 'zé', 'x~next'),
  deduplicate: once(3, deduplicate).chain((rule) =>
    rule === undefined ? fc.option(deduplicate, { nil: undefined, freq: 3 }) : fc.constant(rule)
  )
})

const backoff = fc.oneof(
  fc.constantFrom(0, 0.01).map((delay) => ({ type: 'fixed' as const, delay })),
  fc.constant({ type: 'exponential' as const, delay: 0.01, max: 0.03 }),
  fc.constant({ type: 'list' as const, delays: [0.005, 0, 0.02] })
)

const options = fc
  .record({
    queue,
    method,
    params: params.map((n) => ({ n })),
    identity: once(3, identity),
    wrong: once(40, fc.constant({ deduplicate: true })),
    jobName: once(5, fc.constantFrom('one', 'two')),
    delay: once(5, second),
    priority: once(3, fc.integer({ min: -2, max: 2 })),
    atFront: once(7, fc.boolean()),
    keyed: once(2, fc.record({ key, keyConcurrency: fc.constantFrom(undefined, 1, 1, 2) })),
    onParentFailure: once(2, fc.constantFrom('fail', 'cancel', 'release')),
    onSuccess: once(8, followUp),
    onFailure: once(8, followUp),
    expires: once(8, fc.constantFrom(0.005, 0.03, 0.2)),
    retention: once(
      6,
      fc.record(
        { failed: fc.constantFrom(0, 0.02), cancelled: fc.constantFrom(0, 0.02), completed: fc.constantFrom(0, 0.02) },
        { requiredKeys: [] }
      )
    ),
    resultTtl: once(6, fc.constantFrom(0, 0, 0.03)),
    attempts: once(2, fc.integer({ min: 1, max: 4 })),
    backoff: once(2, backoff),
    retryOn: once(9, fc.constantFrom(['ENOENT'], ['THROWN'], ['Error', 'OUT_OF_MEMORY'])),
    noRetryOn: once(9, fc.constantFrom(['TIMEOUT'], ['TypeError'], ['Error']))
  })
  .map(({ queue, identity, wrong, keyed, retention, ...rest }) => {
    const isThrottled = typeof identity?.deduplicate === 'object' && 'for' in identity.deduplicate
    // Its window outlives it.
    if (isThrottled && rest.params.n % 2 === 0) Object.assign(rest, { resultTtl: 0 })
    const ages = retention && Object.fromEntries(Object.entries(retention).map(([state, age]) => [state, { age }]))
    return present({
      ...rest,
      ...keyed,
      ...wrong,
      ...identity,
      retention: ages,
      queue: String(queue)
    }) as unknown as RequestStep['options']
  })

const request: fc.Arbitrary<RequestStep> = fc.record({
  options,
  dependsOn: once(
    3,
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          jobs: fc.array(pick, { minLength: 1, maxLength: 3 }),
          indexes: fc.constant([] as number[])
        })
      },
      {
        weight: 4,
        arbitrary: fc.record({
          jobs: fc.array(pick, { maxLength: 1 }),
          indexes: fc.array(fc.constantFrom(1, 1, 1, 1, 2, 2, 3, 4), { minLength: 1, maxLength: 2 })
        })
      },
      { weight: 2, arbitrary: fc.constant('others' as const) }
    )
  )
})

const selection: fc.Arbitrary<SelectionStep> = fc
  .record({
    queue: once(2, queue),
    state: once(2, fc.constantFrom(...jobStates)),
    method: once(5, method),
    jobName: once(8, fc.constantFrom('one', 'followed')),
    key: once(6, key),
    errorCode: once(8, fc.constantFrom('THROWN', 'CANCELLED', 'UNRECOVERABLE')),
    sinceMs: once(6, fc.constantFrom(20, 200)),
    untilMs: once(6, fc.constantFrom(0, 15)),
    text: once(8, fc.constantFrom('"n":1', '"own"'))
  })
  .map((all) => present(all) as SelectionStep)

const claim = fc.record({
  do: fc.constant('claim'),
  queue,
  max: fc.integer({ min: 1, max: 4 }),
  ahead: fc.constantFrom(0, 0, 2, 9),
  isNoted: fc.boolean()
})
const end = {
  pick,
  ending: fc.constantFrom(...Object.keys(endings), 'completed', 'thrown', 'completed', 'crashedShared', 'crashedAlone')
}
const settle = fc.record({ do: fc.constant('settle'), ...end })
const settleAll = fc.record({
  do: fc.constant('settleAll'),
  ends: fc.array(fc.record(end), { minLength: 1, maxLength: 6 })
})
const enqueue = fc.record({
  do: fc.constant('enqueue'),
  requests: fc.oneof(
    { weight: 5, arbitrary: fc.array(request, { minLength: 1, maxLength: 1 }) },
    { weight: 3, arbitrary: fc.array(request, { minLength: 2, maxLength: 4 }) }
  )
})
const change = fc.oneof(
  fc.record({ do: fc.constantFrom('cancel', 'remove'), pick }),
  fc.record({ do: fc.constant('retry'), pick, params: fc.option(params, { nil: undefined }) }),
  fc.record({ do: fc.constant('retry'), pick, params: fc.option(params, { nil: undefined }) }),
  fc.record({ do: fc.constant('move'), pick, queue })
)
const pause = fc.record({
  do: fc.constant('pause'),
  queue,
  paused: fc.boolean(),
  forMs: fc.option(fc.constantFrom(5, 40), { nil: undefined })
})
const note = fc.record({ do: fc.constant('note'), pick, lateMs: fc.constantFrom(0, 0, 3) })
const bulk = fc.record({
  do: fc.constant('bulk'),
  change: fc.constantFrom('cancel', 'retry', 'remove', 'move'),
  to: queue,
  selection,
  limit: fc.constantFrom(1, 2, 3, 1000),
  edits: fc.boolean()
})
const purge = fc.record({
  do: fc.constant('purge'),
  queue,
  states: fc.constantFrom(['scheduled', 'ready'], ...[...finishedStates, 'scheduled', 'ready'].map((state) => [state]))
})
const promote = fc.record({ do: fc.constantFrom('promote', 'upkeep', 'upkeep') })
const list = fc.record({ do: fc.constant('list'), selection, limit: fc.constantFrom(1, 2, 5, 1000) })
const advance = fc.record({ do: fc.constant('advance'), byMs: fc.constantFrom(1, 5, 10, 30, 60, 200, 1500) })

const one = [enqueue, claim, settle, settleAll, change, pause, note]
const crash = fc.record({
  do: fc.constant('crash'),
  during: fc.option(fc.oneof(enqueue, claim, settle, settleAll, change, bulk, bulk, purge, promote, pause), {
    nil: undefined,
    freq: 4
  }),
  commits: fc.nat({ max: 3 })
})

const step = fc.oneof(
  { weight: 9, arbitrary: enqueue },
  { weight: 8, arbitrary: claim },
  { weight: 8, arbitrary: settle },
  { weight: 3, arbitrary: settleAll },
  { weight: 5, arbitrary: advance },
  { weight: 3, arbitrary: promote },
  { weight: 4, arbitrary: change },
  { weight: 2, arbitrary: note },
  { weight: 2, arbitrary: bulk },
  { weight: 1, arbitrary: purge },
  { weight: 1, arbitrary: pause },
  { weight: 2, arbitrary: list },
  { weight: 2, arbitrary: crash },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('together'),
      steps: fc.array(fc.oneof(...one), { minLength: 2, maxLength: 3 })
    })
  }
) as fc.Arbitrary<Step>

/** What is done to three of the queues. */
export interface Sequence {
  queues: string[]
  steps: Step[]
}

export const sequence: fc.Arbitrary<Sequence> = fc.noBias(
  fc.record({
    queues: fc.shuffledSubarray(
      queues.map(({ name }) => name),
      { minLength: 2, maxLength: 3 }
    ),
    steps: fc.array(step, { minLength: 40, maxLength: 80, size: 'max' })
  })
)

/** Without what is undefined. */
function present<T extends object>(all: T): Partial<T> {
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Partial<T>
}
