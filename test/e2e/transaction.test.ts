/**
 * Transactions of programs, and kills of the supervisor in their middle. Each one appends its number to two documents that
 * others write at the same time, enqueues a job, and cancels one that waits. Clients make them without a pause while the
 * supervisor is killed with SIGKILL. In the end of each transaction everything is there or nothing, and everything of those
 * that were answered; one whose callback throws leaves nothing.
 *
 * `TRANSACTION_KILLS` and `TRANSACTION_SEED` as in the crash loop; `LONG=1`: a hundred kills.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '../../runtime/client/connect.ts'
import type { Runtime } from '../../runtime/core/api.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { allJobs, connected } from '../support/connected.ts'
import { actorImports, allDocuments } from '../support/documents.ts'
import { randomFrom } from '../support/random.ts'
import { TestProject } from '../support/supervisor-process.ts'

const isLong = process.env.LONG === '1'
const kills = Number(process.env.TRANSACTION_KILLS ?? (isLong ? 100 : 3))
const seed = Number(process.env.TRANSACTION_SEED ?? Date.now() % 2 ** 31)
const clients = 6
const documents = 5
/** Jobs that wait to be cancelled, for each life: more than it comes to. */
const perLife = 500
/** Answered in every second life, before its kill. */
const perLifeMin = 5
const throwingShare = 0.1

const type = 'ledger.Page'
const actors = `${actorImports}
export class Page extends Actor {
  state = { numbers: [] }
}
export function witness() {}
`

interface PageState {
  numbers: number[]
}

test(`${kills} kills in the middle of transactions: all of each or nothing (issue 6)`, {
  timeout: 60_000 + kills * 10_000
}, async (t) => {
  t.diagnostic(`TRANSACTION_SEED=${seed}`)
  const random = randomFrom(seed)
  const project = new TestProject(t, 'memory')
  project.write('actors/ledger.js', actors)
  const answered = new Set<number>()
  const thrown = new Set<number>()
  let next = 0

  for (let kill = 0; kill < kills; kill++) {
    const supervisor = await project.serve('--log-level', 'error')
    const runtime = await connect(project.socketPath)
    const last = (kill + 1) * perLife
    next = kill * perLife
    await runtime.enqueueMany(
      Array.from({ length: perLife }, (_, index) => ({
        method: 'ledger.witness',
        jobId: `waits-${next + index}`,
        delay: '1d'
      }))
    )
    const meant = answered.size + perLifeMin
    let tellMeant = () => {}
    const meantAreAnswered = new Promise<void>((resolve) => {
      tellMeant = resolve
    })
    const load = Array.from({ length: clients }, () =>
      untilDisconnected(async () => {
        while (next < last) {
          const number = next++
          const fails = random() < throwingShare
          if (await transact(runtime, number, fails)) answered.add(number)
          else thrown.add(number)
          if (answered.size >= meant) tellMeant()
        }
      })
    )
    // A slow machine may need longer for them than any of these moments is away.
    if (kill % 2 === 1) await meantAreAnswered
    await sleep(20 + random() * 150)
    await supervisor.end('SIGKILL')
    await Promise.all(load)
    await runtime.stop()
  }

  const supervisor = await project.serve('--log-level', 'error')
  const runtime = await connected(t, project.socketPath)
  const pages = new Map((await allDocuments(runtime, type)).map(({ name, state }) => [name, state as unknown]))
  const onPage = (side: string) =>
    Array.from({ length: documents }, (_, page) => (pages.get(`${side}-${page}`) as PageState)?.numbers ?? []).flat()
  const [left, right] = [onPage('left'), onPage('right')]
  assert.equal(new Set(left).size, left.length, 'a number was written twice')
  const jobs = await allJobs(runtime)
  const written = jobs.filter(({ id }) => id.startsWith('job-')).map(({ id }) => Number(id.slice('job-'.length)))
  const cancelled = jobs
    .filter(({ id, state }) => id.startsWith('waits-') && state === 'cancelled')
    .map(({ id }) => Number(id.slice('waits-'.length)))
  const inOrder = (numbers: number[]) => numbers.toSorted((a, b) => a - b)
  t.diagnostic(
    `${answered.size} transactions answered, ${left.length} on disk, ${thrown.size} thrown by their callbacks`
  )
  assert.deepEqual(inOrder(right), inOrder(left))
  assert.deepEqual(inOrder(written), inOrder(left))
  assert.deepEqual(inOrder(cancelled), inOrder(left))
  const kept = new Set(left)
  assert.deepEqual(
    [...answered].filter((number) => !kept.has(number)),
    [],
    'answered and lost'
  )
  assert.deepEqual(
    [...thrown].filter((number) => kept.has(number)),
    [],
    'thrown and kept'
  )
  assert.ok(answered.size >= Math.floor(kills / 2) * perLifeMin, 'the load was too small to mean anything')
  assert.equal((await supervisor.end('SIGTERM')).code, 0)
})

/** @returns false: its callback threw */
async function transact(runtime: Runtime, number: number, fails: boolean): Promise<boolean> {
  const asTold = new Error('as told')
  try {
    await runtime.transaction(
      async (tx) => {
        for (const side of ['left', 'right']) {
          const name = `${side}-${number % documents}`
          const { numbers } = (await tx.getState<PageState>(type, name)) ?? { numbers: [] }
          tx.setState(type, name, { numbers: [...numbers, number] })
        }
        tx.enqueue('ledger.witness', { number }, { jobId: `job-${number}` })
        tx.cancel(`waits-${number}`)
        if (fails) throw asTold
      },
      { attempts: 1_000 }
    )
    return true
  } catch (error) {
    if (error === asTold) return false
    throw error
  }
}

async function untilDisconnected(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof RuntimeError) || error.code !== 'NOT_CONNECTED') throw error
  }
}
