/**
 * The socket under attack (issue 7.6): frames of a grammar, many connections at once, against a real `runtime serve`. It
 * must answer each request once and as documented, store exactly what it acknowledged, stay small, and serve a well-behaved
 * client beside as if nothing happened. `SEED=n` repeats a run,
 * `FRAMES=n` makes it shorter or longer.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Runtime } from '../../runtime/core/api.ts'
import { openDataDirectory } from '../../runtime/store/data-directory.ts'
import { assertInvariants } from '../queue/store-invariants.ts'
import { allJobs, connected } from '../support/connected.ts'
import { actorImports } from '../support/documents.ts'
import { TestProject } from '../support/supervisor-process.ts'
import { type AttackReport, attack } from './attacker.ts'
import { Grammar } from './grammar.ts'

const isLong = process.env.LONG !== undefined
const firstSeed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9))
/** Each on a store of its own: in one that has grown, lists take most of the time. */
const rounds = isLong && process.env.SEED === undefined ? 10 : 1
const framesPerConnection = 250
const atOnce = isLong ? 30 : 12

const actors = {
  'actors/a.js': `
    export const ping = () => 'pong'
    export const echo = (params) => params
    export const fail = () => { throw new Error('as it was told') }
    /** What a job of this module would see of a polluted prototype. */
    export const polluted = (params) => [({}).polluted ?? null, Object.keys(params), JSON.stringify(params)]
  `,
  'actors/d.js': `${actorImports}
    export class Account extends Actor { add(by) { this.state = { sum: by } } }
  `
}

interface Measured {
  residentMb: number
  descriptors: number
}

function measure(pid: number): Measured {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  const residentMb = Number(/^VmRSS:\s+(\d+)/m.exec(status)![1]) / 1024
  return { residentMb, descriptors: readdirSync(`/proc/${pid}/fd`).length }
}

/** Enqueues and looks, again and again, as long as the attack goes on. What it has enqueued may be cancelled or moved, never lost. */
function wellBehaved(runtime: Runtime) {
  let isOver = false
  const seen = { calls: 0, worstMs: 0 }
  const done = (async () => {
    while (!isOver) {
      const beganMs = performance.now()
      const { id } = await runtime.enqueue('a.echo', { call: seen.calls }, { queue: 'quiet', jobName: 'well-behaved' })
      seen.worstMs = Math.max(seen.worstMs, performance.now() - beganMs)
      assert.deepEqual((await runtime.job.get(id)).params, { call: seen.calls })
      seen.calls += 1
    }
    return seen
  })()
  done.catch(() => undefined)
  return {
    stop: () => {
      isOver = true
      return done
    }
  }
}

async function attackWith(project: TestProject, seed: number, frames: number, removes: boolean, part: number) {
  const total: AttackReport = { frames: 0, answers: 0, acknowledged: [], refused: [], silentJobsMax: 0 }
  let connections = 0
  const lane = async () => {
    while (total.frames < frames) {
      const number = connections++
      total.frames += framesPerConnection
      const grammar = new Grammar(seed + part * 10_000_000 + number, { removes })
      const report = await attack(project.socketPath, grammar, framesPerConnection).catch((error: Error) => {
        throw new Error(`SEED=${seed}, connection ${number} of part ${part}: ${error.message}`, { cause: error })
      })
      total.answers += report.answers
      total.acknowledged.push(...report.acknowledged)
      total.refused.push(...report.refused)
      total.silentJobsMax += report.silentJobsMax
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  return total
}

async function served(t: TestContext) {
  const project = new TestProject(t)
  for (const [path, text] of Object.entries(actors)) project.write(path, text)
  project.write('config/runtime.yaml', 'workers:\n  quiet: { backgroundWorkers: 1 }\n')
  const supervisor = await project.serve('--log-level', 'error')
  return { project, supervisor, runtime: await connected(t, project.socketPath) }
}

test('issue 7.6: whatever frames come, each request is answered once and as documented, and stored is what was acknowledged', {
  timeout: isLong ? 5_400_000 : 240_000,
  skip: process.platform !== 'linux' && 'Linux only'
}, async (t) => {
  for (let round = 0; round < rounds; round++) await underAttack(t, firstSeed + round)
})

async function underAttack(t: TestContext, seed: number): Promise<void> {
  const beganMs = performance.now()
  const { project, supervisor, runtime } = await served(t)
  const client = wellBehaved(runtime)
  const before = measure(supervisor.pid)
  const frames = isLong ? 90_000 : Number(process.env.FRAMES ?? 6_000)
  const first = await attackWith(project, seed, frames, false, 1)
  const afterFirst = measure(supervisor.pid)

  const stored = new Set((await allJobs(runtime, {})).map(({ id }) => id))
  const acknowledged = new Set(first.acknowledged)
  const lost = [...acknowledged].filter((id) => !stored.has(id))
  assert.deepEqual(lost.slice(0, 5), [], `SEED=${seed}: acknowledged, and not stored (${lost.length})`)
  const crept = first.refused.filter((id) => stored.has(id) && !acknowledged.has(id))
  assert.deepEqual(crept.slice(0, 5), [], `SEED=${seed}: refused, and stored (${crept.length})`)

  const { calls, worstMs } = await client.stop()
  assert.ok(calls > 0)
  const second = await attackWith(project, seed, frames / 9, true, 2)
  assert.equal((await runtime.status()).pid, supervisor.pid)

  const poison = JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}')
  const { id } = await runtime.enqueue('a.polluted', poison, { queue: 'quiet' })
  const { result } = await runtime.job.wait(id)
  assert.deepEqual(result, [null, ['__proto__', 'constructor'], JSON.stringify(poison)])

  const after = measure(supervisor.pid)
  assert.ok(after.descriptors <= before.descriptors + 30, `descriptors: ${before.descriptors} → ${after.descriptors}`)
  assert.ok(after.residentMb < 800, `resident: ${before.residentMb} → ${after.residentMb} MB`)
  assert.ok(worstMs < 20_000, `a well-behaved client waited ${worstMs} ms`)

  await runtime.stop()
  const { code, stderr } = await supervisor.end('SIGTERM')
  assert.equal(stderr.includes('defect'), false, stderr.slice(0, 2_000))
  assert.equal(code, 0)
  const directory = await openDataDirectory(join(project.folder, '.runtime'))
  assertInvariants(directory.store.reader, directory.tag, new Map())
  await directory.close()

  const seconds = (performance.now() - beganMs) / 1_000
  t.diagnostic(
    `seed ${seed}: ${first.frames + second.frames} frames, ${first.answers + second.answers} answers, ` +
      `${acknowledged.size} acknowledged jobs compared with ${stored.size} stored, ${seconds.toFixed(0)} s; beside, ` +
      `${calls} calls, the slowest ${worstMs.toFixed(0)} ms; resident ${before.residentMb.toFixed(0)} → ` +
      `${afterFirst.residentMb.toFixed(0)} → ${after.residentMb.toFixed(0)} MB, descriptors ${before.descriptors} → ${after.descriptors}`
  )
}
