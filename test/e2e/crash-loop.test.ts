/**
 * Acknowledged means on disk: clients enqueue without a pause, the supervisor is killed with SIGKILL at random moments and
 * started again. In the end every job whose enqueue was answered is completed.
 *
 * Six kills by default. `CRASH_KILLS=100 node --test dist/test/e2e/crash-loop.test.js` kills a hundred times;
 * `CRASH_SEED` repeats the moments of an earlier run, whose seed the report names.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '../../runtime/client/connect.ts'
import type { Runtime } from '../../runtime/core/api.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { allJobs, connected, untilIdle } from '../support/connected.ts'
import { randomFrom } from '../support/random.ts'
import { TestProject } from '../support/supervisor-process.ts'

const kills = Number(process.env.CRASH_KILLS ?? 6)
const seed = Number(process.env.CRASH_SEED ?? Date.now() % 2 ** 31)
const killAfterMsMin = 5
const killAfterMsMax = 150
const singleEnqueuers = 6
const manyEnqueuers = 2
const manyJobs = 20

const actors = `
import { appendFileSync } from 'node:fs'

export function witness({ file, number }) {
  appendFileSync(file, number + '\\n')
}
`

test(`${kills} kills at random moments lose no acknowledged job`, { timeout: 60_000 + kills * 10_000 }, async (t) => {
  t.diagnostic(`CRASH_SEED=${seed}`)
  const random = randomFrom(seed)
  const project = new TestProject(t)
  project.write('actors/jobs.js', actors)
  const file = join(project.folder, 'witness.txt')
  /** Ids that were answered, with the number that the job writes. */
  const acknowledged = new Map<string, number>()

  for (let kill = 0; kill < kills; kill++) {
    const supervisor = await project.serve('--log-level', 'error')
    const client = await connect(project.socketPath)
    const { answered, disconnected } = enqueueWithoutPause(client, file, acknowledged)
    // A slow machine may need longer for the first answer than any of these moments is away.
    if (kill % 2 === 1) await answered
    await sleep(killAfterMsMin + random() * (killAfterMsMax - killAfterMsMin))
    await supervisor.end('SIGKILL')
    await disconnected
    await client.stop()
  }

  const supervisor = await project.serve('--log-level', 'error')
  const runtime = await connected(t, project.socketPath)
  await untilIdle(runtime)
  const states = new Map((await allJobs(runtime)).map(({ id, state }) => [id, state]))
  const runs = readFileSync(file, 'utf8').trim().split('\n').map(Number)
  const ran = new Set(runs)
  const lost = [...acknowledged].filter(([id, number]) => states.get(id) !== 'completed' || !ran.has(number))
  t.diagnostic(
    `${kills} kills, ${acknowledged.size} acknowledged, ${lost.length} lost, ${states.size} stored, ${runs.length} runs`
  )
  assert.ok(acknowledged.size > kills, 'the load was too small to mean anything')
  assert.deepEqual(lost.slice(0, 10), [])
  assert.deepEqual(
    [...states].filter(([, state]) => state !== 'completed'),
    [],
    'what was stored without an answer must complete as well'
  )
  assert.equal((await supervisor.end('SIGTERM')).code, 0)
})

/** Several enqueues in flight at any time, until the connection ends. `answered`: the first of them was. */
function enqueueWithoutPause(runtime: Runtime, file: string, acknowledged: Map<string, number>) {
  const jobOf = (number: number) => ({ method: 'jobs.witness', params: { file, number } })
  let tellFirst = () => {}
  const answered = new Promise<void>((resolve) => {
    tellFirst = resolve
  })
  const one = async () => {
    const number = nextNumber()
    const { method, params } = jobOf(number)
    const { id } = await runtime.enqueue(method, params)
    acknowledged.set(id, number)
    tellFirst()
  }
  const many = async () => {
    const numbers = Array.from({ length: manyJobs }, nextNumber)
    const { ids } = await runtime.enqueueMany(numbers.map(jobOf))
    for (const [index, id] of ids.entries()) acknowledged.set(id, numbers[index]!)
  }
  const enqueuers = [...Array(singleEnqueuers).fill(one), ...Array(manyEnqueuers).fill(many)]
  return { answered, disconnected: Promise.all(enqueuers.map(repeatUntilDisconnected)) }
}

async function repeatUntilDisconnected(enqueue: () => Promise<void>): Promise<void> {
  try {
    for (;;) await enqueue()
  } catch (error) {
    if (!(error instanceof RuntimeError) || error.code !== 'NOT_CONNECTED') throw error
  }
}

let lastNumber = 0

function nextNumber(): number {
  return ++lastNumber
}
