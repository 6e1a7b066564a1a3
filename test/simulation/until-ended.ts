/** Lets a world without faults go on until every job has ended, and every reminder has had its job. */
import assert from 'node:assert/strict'
import type { SimulatedWorld } from './simulated-world.ts'

const roundsMax = 1_000
const momentsPerRound = 40
const reminders = { start: Buffer.from('r'), end: Buffer.from('s') }

export async function untilEnded(world: SimulatedWorld): Promise<void> {
  for (let rounds = 0; !(await hasEnded(world)); rounds++) {
    if (rounds === roundsMax) assert.fail(`jobs that do not end: ${await unfinished(world)}`)
    for (let moments = 0; moments < momentsPerRound; moments++) {
      if (!(await world.advance(Number.POSITIVE_INFINITY))) break
    }
    await world.rest()
  }
}

/** What waits for a signal without an end is cancelled: nobody sends one any more. */
async function hasEnded({ service, reader }: SimulatedWorld): Promise<boolean> {
  const { queues } = await service['queue.list']({})
  if (queues.every(({ counts }) => counts.ready + counts.running + counts.scheduled === 0)) {
    return [...reader.keys({ ...reminders, limit: 1 })].length === 0
  }
  const { jobs } = await service['job.list']({ state: 'scheduled', limit: 1_000 })
  for (const { id, runAt, dependencies } of jobs) {
    const { total = 0, completed = 0, failed = 0, cancelled = 0 } = dependencies ?? {}
    const waitsForOthers = total > completed + failed + cancelled
    if (runAt === null && !waitsForOthers) void service['job.cancel']({ id })
  }
  return false
}

async function unfinished({ service }: SimulatedWorld): Promise<string> {
  const open: string[] = []
  for (const state of ['scheduled', 'ready', 'running'] as const) {
    const { jobs } = await service['job.list']({ state, limit: 1_000 })
    for (const { id, attempts, dependencies } of jobs) open.push(JSON.stringify({ id, state, attempts, dependencies }))
  }
  return open.join(', ')
}
