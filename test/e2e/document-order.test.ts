/**
 * One document runs one job at a time, in the order of enqueueing, also where its jobs stand in two queues. Numbers are
 * appended to lists; some attempts throw before the list has changed or after it, or ask to run again later, and wait for
 * their next attempt meanwhile; and the supervisor is killed once. In the end each list has its numbers in order, without a
 * gap and without a repeat. Every other document is large, so that its state is asked for instead of sent.
 *
 * Smaller numbers by default; `LONG=1`: those of issue 6. `ORDER_SEED` repeats the failures.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EnqueueRequest } from '../../runtime/core/job.ts'
import { allJobs, connected, nextEvents, untilIdle } from '../support/connected.ts'
import { actorImports, allDocuments } from '../support/documents.ts'
import { randomFrom } from '../support/random.ts'
import { TestProject } from '../support/supervisor-process.ts'

const isLong = process.env.LONG === '1'
const seed = Number(process.env.ORDER_SEED ?? Date.now() % 2 ** 31)
const documents = isLong ? 100 : 10
const appends = isLong ? 50_000 : 1_000
const failingShare = 0.1
const batchJobs = 5_000

const config = `workers:
  one: { backgroundWorkers: 2, retention: { completed: {} } }
  two: { backgroundWorkers: 2, retention: { completed: {} } }
`
const actors = `${actorImports}
import { setImmediate as turn } from 'node:timers/promises'

export class List extends Actor {
  initialState(name) {
    return { numbers: [], ballast: Number(name.slice('list-'.length)) % 2 === 0 ? '' : 'x'.repeat(8_192) }
  }

  async append({ number, endings }, { attempt }) {
    const ending = endings[attempt - 1]
    if (ending === 'throws before') throw new Error(ending)
    this.state.numbers.push(number)
    await turn()
    if (ending === 'throws after') throw new Error(ending)
    if (ending === 'later') throw new RetryLater('20ms')
    return this.state.numbers.length
  }
}
`
const endings = ['throws before', 'throws after', 'later'] as const

test(`${appends} appends to ${documents} documents over two queues, with failures, retries and a kill (issue 6)`, {
  timeout: isLong ? 1_800_000 : 120_000
}, async (t) => {
  t.diagnostic(`ORDER_SEED=${seed}`)
  const random = randomFrom(seed)
  const project = new TestProject(t, 'memory')
  project.write('actors/lists.js', actors)
  project.write('config/runtime.yaml', config)
  const requests = Array.from({ length: appends }, (_, index): EnqueueRequest => {
    const failures = random() < failingShare ? 1 + Math.floor(random() * 2) : 0
    const ends = Array.from({ length: failures }, () => endings[Math.floor(random() * endings.length)]!)
    return {
      method: 'lists.List.append',
      document: `list-${index % documents}`,
      params: { number: Math.floor(index / documents), endings: ends },
      queue: random() < 0.5 ? 'one' : 'two',
      attempts: 3,
      backoff: { type: 'exponential', delay: '10ms', jitter: 0.5 }
    }
  })
  const startedAtMs = performance.now()
  const first = await project.serve('--log-level', 'error')
  const before = await connected(t, project.socketPath)
  const { seen: someCompleted } = await nextEvents(before, 'completed', Math.floor(appends * (0.2 + 0.3 * random())))
  for (let at = 0; at < appends; at += batchJobs) await before.enqueueMany(requests.slice(at, at + batchJobs))
  await someCompleted
  await first.end('SIGKILL')

  const second = await project.serve('--log-level', 'error')
  const runtime = await connected(t, project.socketPath)
  await untilIdle(runtime)
  const views = await allJobs(runtime)
  assert.equal(views.length, appends)
  assert.deepEqual(
    views.filter(({ state }) => state !== 'completed').map(({ id, state }) => [id, state]),
    []
  )
  const outcomes = views.flatMap(({ history }) => history.map(({ outcome }) => outcome))
  const times = (outcome: string) => outcomes.filter((each) => each === outcome).length
  t.diagnostic(
    `${Math.round(performance.now() - startedAtMs)} ms; attempts: ${outcomes.length}, failed ${times('failed')}, ` +
      `later ${times('retryLater')}, interrupted ${times('interrupted')}`
  )
  assert.ok(times('failed') > (appends * failingShare) / 2, 'too few attempts failed to mean anything')
  assert.ok(times('retryLater') > (appends * failingShare) / 5, 'too few attempts asked to run later')

  const lists = await allDocuments(runtime, 'lists.List')
  assert.equal(lists.length, documents)
  const numbers = Array.from({ length: appends / documents }, (_, number) => number)
  for (const { name, state } of lists) assert.deepEqual((state as { numbers: number[] }).numbers, numbers, name)
  // What a method returned is the length that it saw: of the same state as the one stored.
  for (const { result, params } of views) assert.equal(result, (params as { number: number }).number + 1)
  assert.equal((await second.end('SIGTERM')).code, 0)
})
