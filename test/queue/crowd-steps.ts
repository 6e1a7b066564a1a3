/**
 * Random sequences over hundreds of jobs, so that purges, bulk changes, promotion, recovery and telling children take more
 * commits than one. Where two of those meet, what is left to upkeep decides who comes first, and the documentation leaves
 * that open; so either jobs are released by hand, or changed in bulk.
 */
import fc from 'fast-check'
import type { Sequence, Step } from './model-steps.ts'
import { endings } from './model-steps.ts'

type CrowdRule = 'fail' | 'cancel' | 'release'

const queue = fc.nat({ max: 1 })
const commits = fc.integer({ min: 0, max: 4 })
const early = fc.nat({ max: 2 })
const finals = Object.keys(endings).filter((name) => /^completed|^final|^crashed|^interrupted/.test(name))

/** @param kind `fan`: all of them wait for the first; `diamond`: and another one for all */
function crowd(
  kind: 'plain' | 'delayed' | 'fan' | 'diamond',
  at: number,
  size: number,
  onParentFailure: CrowdRule
): Step {
  const options = { method: 'a.run', params: { n: size }, onParentFailure, queue: String(at) }
  const first = { options, dependsOn: undefined }
  const last = kind === 'diamond' ? [{ options, dependsOn: 'others' as const }] : []
  const jobs = 1 + size + last.length
  const members = Array.from({ length: size }, (_, index) =>
    kind === 'fan' || kind === 'diamond'
      ? { options, dependsOn: { jobs: [], indexes: [jobs - (1 + index)] } }
      : { options: kind === 'delayed' ? { ...options, delay: 0.02 } : options, dependsOn: undefined }
  )
  return { do: 'enqueue', requests: [first, ...members, ...last] }
}

function crowdOf(...rules: CrowdRule[]): fc.Arbitrary<Step> {
  return fc
    .tuple(
      fc.constantFrom('plain', 'delayed', 'fan', 'diamond'),
      queue,
      fc.integer({ min: 90, max: 210 }),
      fc.constantFrom(...rules)
    )
    .map((all) => crowd(...(all as Parameters<typeof crowd>)))
}

const claim = fc.record({
  do: fc.constant('claim'),
  ahead: fc.constantFrom(0, 40),
  queue,
  max: fc.constantFrom(1, 2, 130),
  isNoted: fc.constant(false)
})
const settle = fc.record({ do: fc.constant('settle'), pick: early, ending: fc.constantFrom(...finals) })
const change = fc.oneof(
  fc.record({ do: fc.constantFrom('cancel', 'remove'), pick: early }),
  fc.record({ do: fc.constant('retry'), pick: early, params: fc.constant(undefined) })
)
const bulk = fc
  .tuple(
    fc.constantFrom(
      ['cancel', undefined],
      ['cancel', 'scheduled'],
      ['cancel', 'ready'],
      ['move', undefined],
      ['move', 'ready'],
      ['retry', undefined],
      ['retry', 'cancelled'],
      ['retry', 'completed'],
      ['remove', 'scheduled'],
      ['remove', 'ready'],
      ['remove', 'cancelled']
    ),
    queue,
    fc.constantFrom(120, 1000)
  )
  .map(([[change, state], to, limit]) => ({
    do: 'bulk',
    change,
    to,
    selection: state === undefined ? {} : { state },
    limit,
    edits: false
  }))
const purge = fc.record({
  do: fc.constant('purge'),
  queue,
  states: fc.constantFrom(['scheduled', 'ready'], ['failed'], ['cancelled'], ['completed'])
})
const promote = fc.record({ do: fc.constant('promote') })
const advance = fc.record({ do: fc.constant('advance'), byMs: fc.constantFrom(5, 30) })
const ofQueue = [claim, claim, settle, settle, settle, promote, advance]

function diesIn(...steps: fc.Arbitrary<unknown>[]) {
  return fc.record({ do: fc.constant('crash'), during: fc.oneof(...steps), commits })
}

function stepsOf(crowds: fc.Arbitrary<Step>, steps: fc.Arbitrary<unknown>[]): fc.Arbitrary<Sequence> {
  return fc.record({
    queues: fc.constantFrom(['default', 'aged'], ['counted', 'default']),
    steps: fc
      .tuple(
        crowds,
        fc.array(fc.oneof(...steps) as fc.Arbitrary<Step>, { minLength: 8, maxLength: 14, size: 'max' }),
        crowds
      )
      .map(([first, all, second]) => [first, ...all.slice(0, 4), second, ...all.slice(4)])
  })
}

export const crowdSequence: fc.Arbitrary<Sequence> = fc.noBias(
  fc.oneof(
    stepsOf(crowdOf('fail', 'cancel', 'release'), [
      ...ofQueue,
      change,
      diesIn(settle, settle, settle, change, promote, claim)
    ]),
    stepsOf(crowdOf('fail', 'cancel'), [
      ...ofQueue,
      bulk,
      purge,
      diesIn(bulk, purge, promote),
      diesIn(bulk, purge, promote),
      diesIn(bulk)
    ])
  )
)
