/**
 * A data directory that format 3 or a later one wrote (see their README.md) opens as it was left, and everything works on its
 * jobs.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { verifier } from '../../runtime/queue/verifier.ts'
import { formatVersion } from '../../runtime/store/records.ts'
import { verifyDirectory } from '../../runtime/store/verify-directory.ts'
import { everyKindConfigs } from '../damage/every-kind.ts'
import type { OpenQueue } from '../queue/open-queue.ts'
import { assertInvariants } from '../queue/store-invariants.ts'
import { expectedOf, openCopy, unpack } from './format-fixture.ts'

type Claim = [id: string, attempt: number, parents: unknown[], document: unknown, journal: unknown[]]
type Claims = Record<string, Claim[]>

interface Expected {
  nowMs: number
  recovered: number
  queues: unknown
  event: unknown
  documents: unknown
  prepared: { id: string }[]
  order: Claims
  due: Claims
  views: { id: string }[]
}

const configs = new Map(everyKindConfigs.map((config) => [config.name, config]))
const dayMs = 24 * 3_600_000

async function claimAll({ queue }: OpenQueue): Promise<Claims> {
  const claims: Claims = {}
  for (const { name } of everyKindConfigs) {
    const jobs = await queue.claim(name, 100)
    claims[name] = jobs.map(({ id, attempt, parents = [], document = null, journal = [] }) => [
      id,
      attempt,
      [...parents],
      document,
      [...journal]
    ])
  }
  return claims
}

for (const format of [3, 4]) {
  const expected = expectedOf<Expected>(format)
  const open = (test: TestContext) => openCopy(test, format, expected.nowMs, everyKindConfigs)

  test(`issue 7.9: a store of format ${format} can be told apart, and is sound`, async (test) => {
    const { format: found, sound, findings } = await verifyDirectory(unpack(test, format), { verifier })
    assert.equal(found, format)
    assert(format < formatVersion)
    assert.equal(sound, true, JSON.stringify(findings))
  })

  test(`issue 7.9: jobs, documents, journals, prepared operations and events of format ${format} are there as they were`, async (test) => {
    const opened = await open(test)
    const { queue, recovered, store, tag } = opened
    assert.equal(recovered, expected.recovered)
    assert.deepEqual(
      queue.list({ limit: 1000 }).jobs.map(({ id }) => id),
      expected.views.map(({ id }) => id)
    )
    for (const view of expected.views) assert.deepEqual(queue.get(view.id), view, view.id)
    assert.deepEqual(queue.queues(), expected.queues)
    assert.deepEqual(queue.schedule.get('hourly'), expected.event)
    assert.deepEqual(
      ['x', 'y'].map((name) => queue.documents.get({ type: 'd.Doc', name })),
      expected.documents
    )
    assert.deepEqual(queue.outbox.list(undefined), expected.prepared)
    assertInvariants(store.reader, tag, configs)
  })

  test(`issue 7.9: jobs of format ${format} are claimed in their order, with the states and journals that they had`, async (test) => {
    const opened = await open(test)
    const { queue, clock, store, tag } = opened
    await queue.setPaused('paused', false)
    assert.deepEqual(JSON.parse(JSON.stringify(await claimAll(opened))), expected.order)
    clock.nowMs += dayMs
    await queue.promoteDue(clock.nowMs)
    assert.deepEqual(JSON.parse(JSON.stringify(await claimAll(opened))), expected.due)
    assertInvariants(store.reader, tag, configs)
    const jobs = await queue.outbox.commit(expected.prepared[0]!.id, () => undefined)
    assert.equal(jobs.length, 1)
    assertInvariants(store.reader, tag, configs)
  })
}
