/**
 * The kill matrix on Deno, where a thread that is terminated may go on for ever: every shape is settled at its deadline, a
 * job that runs beside it completes, one that waits behind it starts, and nothing of it is left in the end.
 *
 * Threads of Deno start slowly on a busy machine, so a shape that misses a bound on times is measured again, twice at most;
 * the table shows every measurement. All else must hold at the first try.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Runtime } from '../../runtime/core/api.ts'
import type { JobEvent } from '../../runtime/core/events.ts'
import { type KillShape, killShapes, shapesModule } from '../isolation/kill-shapes.ts'
import { descendantsOf, describeProcess, hostsOf, processesOfJob } from '../isolation/process-tree.ts'
import { connected } from '../support/connected.ts'
import { absence, interpreters } from './interpreters.ts'
import { becomes, serveOn } from './serve-on.ts'

const timeoutMs = 500
const healthyForMs = 1_000
const lateMsMax = 150
/** From the settle to the first line of the next job: its thread starts beside the one that goes on. */
const nextStartMsMax = 1_000
const goneWithinMsMax = 10_000
const triesMax = 3

const deno = interpreters.find(({ name }) => name === 'deno')!

interface Figures {
  lateMs: number
  nextStartMs: number
  goneMs: number
}

test('deno: every shape is killed at its deadline, and nothing of it remains', { skip: absence(deno) }, async (t) => {
  const bench = await openBench(t)
  const rows: string[] = []
  for (const shape of killShapes) {
    await t.test(shape.name, { timeout: 60_000 }, async () => {
      const measure = async () => {
        const figures = await bench(shape)
        rows.push(
          shape.name.padEnd(34) +
            Object.values(figures)
              .map((figure) => String(figure).padStart(7))
              .join('')
        )
        return figures
      }
      const inTime = ({ lateMs, nextStartMs }: Figures) => lateMs <= lateMsMax && nextStartMs <= nextStartMsMax
      let figures = await measure()
      for (let tries = 1; tries < triesMax && !inTime(figures); tries++) figures = await measure()
      assert.ok(figures.lateMs >= 0 && inTime(figures), JSON.stringify(figures))
    })
  }
  t.diagnostic('deno, ms'.padEnd(34) + ['late', 'next', 'gone'].map((title) => title.padStart(7)).join(''))
  for (const row of rows) t.diagnostic(row)
})

async function openBench(t: TestContext): Promise<(shape: KillShape) => Promise<Figures>> {
  const { project, pid } = await serveOn(t, deno, {
    'actors/shapes.js': shapesModule,
    'config/runtime.yaml': 'workers: { kills: { backgroundWorkers: 2 } }\n'
  })
  const fifo = join(project.folder, 'fifo')
  execFileSync('mkfifo', [fifo])
  const writer = openSync(fifo, 'r+')
  t.after(() => closeSync(writer))
  const runtime = await connected(t, project.socketPath)
  const startOf = await starts(runtime)
  const enqueue = async (method: string, params: object, timeout = 20_000) =>
    (await runtime.enqueue(`shapes.${method}`, params, { queue: 'kills', timeout: `${timeout}ms` })).id
  const runHealthy = async (name: string) => {
    const id = await enqueue('healthy', { file: join(project.folder, name), forMs: healthyForMs, text: 'x' })
    await startOf(id)
    return id
  }

  return async ({ method }) => {
    const healthyId = await runHealthy(`healthy-${method}`)
    const killedId = await enqueue(method, { fifo }, timeoutMs)
    const startedAtMs = Date.parse((await startOf(killedId)).at)
    const nextId = await enqueue('now', {})
    const [healthy, killed, next] = await Promise.all(
      ([healthyId, killedId, nextId] as const).map((id) => runtime.job.wait(id))
    )
    assert.deepEqual([killed!.state, killed!.error?.code], ['failed', 'TIMEOUT'], killed!.error?.message)
    assert.deepEqual([next!.state, next!.error?.message], ['completed', undefined])
    assert.deepEqual([healthy!.state, healthy!.crashes], ['completed', 0], healthy!.error?.message)
    const settledAtMs = Date.parse(killed!.finishedAt!)
    const left = () => [
      ...descendantsOf(pid).filter((child) => !hostsOf(pid).includes(child)),
      ...processesOfJob(killedId)
    ]
    await becomes(
      () => left().length === 0 && hostsOf(pid).length === 1,
      goneWithinMsMax,
      () => `one host, and nothing of the job: ${[...hostsOf(pid), ...left()].map(describeProcess).join('; ')}`
    )
    return {
      lateMs: settledAtMs - startedAtMs - timeoutMs,
      nextStartMs: (next!.result as number) - settledAtMs,
      goneMs: Date.now() - settledAtMs
    }
  }
}

/** @returns a wait for the start of a job, be it past or to come */
async function starts(runtime: Runtime): Promise<(id: string) => Promise<JobEvent>> {
  const started = new Map<string, JobEvent>()
  const waiting = new Map<string, (event: JobEvent) => void>()
  await runtime.subscribe({ types: ['started'] }, (event) => {
    started.set(event.job, event)
    waiting.get(event.job)?.(event)
  })
  return async (id) => started.get(id) ?? new Promise((resolve) => waiting.set(id, resolve))
}
