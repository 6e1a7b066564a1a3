/**
 * Do blocked jobs slow down callers? Time of `enqueue` over the socket, one after the other, each answered when it is on
 * disk: while nothing runs, and while 8 jobs sit in reads of a FIFO that nobody writes to, 4 synchronous and 4
 * asynchronous. The two are measured in turns, so that a busy machine spoils both alike. Linux only.
 *
 *   node dist/bench/blocked/blocked.js [--calls 1000] [--rounds 3] [--json]
 *
 * Aim: the 99th percentile while blocked is within noise of the idle one, so at most twice the largest of the idle rounds.
 * Exit code 1 beyond.
 */
import { execFileSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { serveProject, wholeNumber } from '../served-project.ts'

const blockedSync = 4
const blockedAsync = 4
const growthMax = 2

const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false }
  }
})
const calls = wholeNumber('--calls', values.calls, 100)
const rounds = wholeNumber('--rounds', values.rounds)

interface Latency {
  state: 'idle' | 'blocked'
  p50Ms: number
  p99Ms: number
  maxMs: number
}

const { folder, runtime, stop } = await serveProject({
  'actors/bench.js': `
    import { promises, readFileSync } from 'node:fs'
    export function readSync({ fifo }) { readFileSync(fifo) }
    export async function readAsync({ fifo }) { await promises.readFile(fifo) }
    export function run() {}`,
  'config/runtime.yaml': `workers:
  sync: { backgroundWorkers: ${blockedSync} }
  async: { backgroundWorkers: ${blockedAsync} }
`
})
const fifo = join(folder, 'fifo')
execFileSync('mkfifo', [fifo])
// Held open: readers get past their open and block in the read itself.
const writer = openSync(fifo, 'r+')
try {
  await enqueueLatency('idle')
  const latencies: Latency[] = []
  for (let round = 0; round < rounds; round++) {
    latencies.push(await enqueueLatency('idle'))
    const unblock = await block()
    latencies.push(await enqueueLatency('blocked'))
    await unblock()
  }
  report(latencies)
} finally {
  closeSync(writer)
  await stop()
}

/** Resolves once all the jobs run. @returns ends them */
async function block(): Promise<() => Promise<void>> {
  let started = 0
  let allStarted = () => {}
  const running = new Promise<void>((resolve) => {
    allStarted = resolve
  })
  const { unsubscribe } = await runtime.subscribe({ types: ['started'] }, () => {
    if (++started === blockedSync + blockedAsync) allStarted()
  })
  const { ids } = await runtime.enqueueMany([
    ...Array.from({ length: blockedSync }, () => ({ method: 'bench.readSync', params: { fifo }, queue: 'sync' })),
    ...Array.from({ length: blockedAsync }, () => ({ method: 'bench.readAsync', params: { fifo }, queue: 'async' }))
  ])
  await running
  await unsubscribe()
  return async () => {
    for (const id of ids) {
      const { state } = await runtime.job.get(id)
      if (state !== 'running') throw new Error(`Job ${id} was to block all the time, but is ${state}.`)
      await runtime.job.cancel(id)
    }
  }
}

/** Of jobs that wait for an hour: what is measured is the enqueue, not their runs. */
async function enqueueLatency(state: Latency['state']): Promise<Latency> {
  const tookMs: number[] = []
  for (let call = 0; call < calls; call++) {
    const startMs = performance.now()
    await runtime.enqueue('bench.run', {}, { delay: '1h' })
    tookMs.push(performance.now() - startMs)
  }
  await runtime.queue.purge('default')
  tookMs.sort((a, b) => a - b)
  const at = (share: number) => Math.round(1000 * tookMs[Math.floor(share * (calls - 1))]!) / 1000
  return { state, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) }
}

function report(latencies: readonly Latency[]): void {
  const p99Of = (wanted: Latency['state']) =>
    latencies.filter(({ state }) => state === wanted).map(({ p99Ms }) => p99Ms)
  const idleMs = Math.max(...p99Of('idle'))
  const blockedMs = p99Of('blocked').toSorted((a, b) => a - b)[rounds >> 1]!
  const met = blockedMs <= growthMax * idleMs
  process.exitCode = met ? 0 : 1
  if (values.json) {
    console.log(JSON.stringify({ calls, rounds, latencies, met }))
    return
  }
  console.table(latencies)
  console.log(
    `99th percentile: ${blockedMs} ms while blocked (median of rounds), ${idleMs} ms idle (largest of rounds)`
  )
}
