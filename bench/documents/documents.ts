/**
 * What do documents cost? One embedded runtime gets the same number of jobs in several shapes, in turns, so that they share
 * whatever the machine does meanwhile: plain jobs; jobs of one hot document, and of a thousand in turn, with a state of
 * 100 bytes and of 64 KiB, which change it or only read it; jobs that enqueue another as they complete; jobs of one step.
 * The queue is paused while they are enqueued; timed from its resume to its last completion. Round 0 warms up and does
 * not count; medians of the others.
 *
 * What a large state costs is that of moving it: a thread that ran the document last holds its state, and a thousand large
 * ones are more than threads hold, so the difference between one and a thousand that are only read is what holding saves.
 *
 *   node dist/bench/documents/documents.js [--jobs 5000] [--large 1000] [--rounds 5] [--threads 2] [--json]
 *
 * `--large`: jobs of the shapes with a state of 64 KiB. With `TMPDIR=/dev/shm` the flushes of the disk are not in the figures.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Runtime } from '../../runtime/core/api.ts'
import type { EnqueueRequest } from '../../runtime/core/job.ts'
import { createRuntime } from '../../runtime/embed/create-runtime.ts'
import { percentile } from '../percentile.ts'
import { wholeNumber } from '../served-project.ts'

const documents = 1_000
const largeBytes = 64 * 1024
/** What is in a state beside its ballast takes about 35 bytes. */
const smallBallast = 65

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '5000' },
    large: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '5' },
    threads: { type: 'string', default: '2' },
    json: { type: 'boolean', default: false }
  }
})
const jobs = wholeNumber('--jobs', values.jobs)
const largeJobs = wholeNumber('--large', values.large)
const rounds = wholeNumber('--rounds', values.rounds)
const threads = wholeNumber('--threads', values.threads)

const actors = `
import { Actor } from ${JSON.stringify(new URL('../../runtime/core/actor.js', import.meta.url).href)}

class Document extends Actor {
  add() { this.state.count++ }
  read() { return this.state.count }
  async addAndEnqueue(params, ctx) {
    this.state.count++
    await ctx.enqueue('bench.plain', {}, { queue: 'children' })
  }
}
export class Small extends Document {
  state = { count: 0, ballast: 'x'.repeat(${smallBallast}) }
}
export class Large extends Document {
  state = { count: 0, ballast: 'x'.repeat(${largeBytes}) }
}
export function plain() {}
export async function enqueues(params, ctx) {
  await ctx.enqueue('bench.plain', {}, { queue: 'children' })
}
export async function oneStep(params, ctx) {
  return await ctx.step('step', () => 1)
}
`

interface Shape {
  jobs: number
  request: (index: number) => EnqueueRequest
}

const plain = (method: string): Shape => ({ jobs, request: () => ({ method: `bench.${method}` }) })
const ofOne = (method: string, count = jobs): Shape => ({
  jobs: count,
  request: () => ({ method: `bench.${method}`, document: 'hot' })
})
const ofMany = (method: string, count = jobs): Shape => ({
  jobs: count,
  request: (index) => ({ method: `bench.${method}`, document: `document-${index % documents}` })
})

const shapes: Readonly<Record<string, Shape>> = {
  'plain jobs': plain('plain'),
  'one document, 100 B': ofOne('Small.add'),
  '1,000 documents, 100 B': ofMany('Small.add'),
  'one document, 100 B, read': ofOne('Small.read'),
  '1,000 documents, 100 B, read': ofMany('Small.read'),
  'one document, 64 KiB': ofOne('Large.add', largeJobs),
  '1,000 documents, 64 KiB': ofMany('Large.add', largeJobs),
  'one document, 64 KiB, read': ofOne('Large.read', largeJobs),
  '1,000 documents, 64 KiB, read': ofMany('Large.read', largeJobs),
  'plain jobs that enqueue one': plain('enqueues'),
  '1,000 documents, 100 B, that enqueue one': ofMany('Small.addAndEnqueue'),
  'plain jobs of one step': plain('oneStep')
}

/** Before the work: afterwards it is our own. */
const loadBefore = loadavg()[0]!
const folder = mkdtempSync(join(tmpdir(), 'documents-'))
mkdirSync(join(folder, 'actors'))
writeFileSync(join(folder, 'actors', 'bench.js'), actors)
const runtime = await createRuntime({
  dataDir: join(folder, 'data'),
  actors: join(folder, 'actors'),
  workers: { default: { backgroundWorkers: threads }, children: {} }
})
try {
  await runtime.queue.pause('children')
  const measured = new Map(Object.keys(shapes).map((name) => [name, [] as number[]]))
  for (let round = 0; round <= rounds; round++) {
    const inTurn = round % 2 === 0 ? Object.entries(shapes) : Object.entries(shapes).toReversed()
    for (const [name, shape] of inTurn) {
      const jobsPerSecond = await measure(runtime, shape, round === 0 ? Math.ceil(shape.jobs / 4) : shape.jobs)
      if (round > 0) measured.get(name)!.push(jobsPerSecond)
    }
    process.stderr.write(round === 0 ? 'warm\n' : `round ${round} of ${rounds}\n`)
  }
  report(measured)
} finally {
  await runtime.stop({ deadline: 0 })
  rmSync(folder, { recursive: true })
}

async function measure(runtime: Runtime, { request }: Shape, jobs: number): Promise<number> {
  await runtime.queue.pause('default')
  await runtime.enqueueMany(Array.from({ length: jobs }, (_, index) => request(index)))
  const startMs = performance.now()
  await runtime.queue.resume('default')
  const { counts } = await runtime.queue.drain('default')
  const elapsedMs = performance.now() - startMs
  if (counts.completed !== jobs)
    throw new Error(`${counts.completed} of ${jobs} jobs completed: ${await reason(runtime)}`)
  await runtime.queue.purge('default', { state: 'completed' })
  await runtime.queue.purge('children')
  return jobs / (elapsedMs / 1000)
}

async function reason(runtime: Runtime): Promise<string | undefined> {
  return (await runtime.job.list({ state: 'failed', limit: 1 })).jobs[0]?.error?.message
}

function report(measured: ReadonlyMap<string, readonly number[]>): void {
  const plainJobs = percentile(measured.get('plain jobs')!, 0.5)
  const rows = [...measured].map(([shape, all]) => {
    const jobsPerSecond = percentile(all, 0.5)
    return {
      shape,
      jobsPerSecond: Math.round(jobsPerSecond),
      least: Math.round(Math.min(...all)),
      most: Math.round(Math.max(...all)),
      microseconds: Math.round(1e6 / jobsPerSecond),
      ofPlain: Math.round((100 * jobsPerSecond) / plainJobs) / 100
    }
  })
  if (values.json) {
    console.log(JSON.stringify({ jobs, largeJobs, rounds, threads, loadBefore, rows }))
    return
  }
  console.log(
    `${rounds} rounds of ${jobs} jobs (64 KiB: ${largeJobs}), ${threads} threads; medians, least and most of the rounds`
  )
  console.table(
    Object.fromEntries(
      rows.map(({ shape, jobsPerSecond, least, most, microseconds, ofPlain }) => [
        shape,
        { 'jobs/s': jobsPerSecond, least, most, 'µs a job': microseconds, 'of plain': ofPlain }
      ])
    )
  )
  console.log(`Load of the machine before: ${loadBefore}`)
}
