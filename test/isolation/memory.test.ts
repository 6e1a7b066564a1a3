/**
 * A job that uses more memory than its queue allows ends with the host it is alone in, whatever it fills; the supervisor,
 * the job beside it and other queues go on.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JobView } from '../../runtime/core/job.ts'
import { connected } from '../support/connected.ts'
import { TestProject } from '../support/supervisor-process.ts'
import { embedded } from './embedded.ts'

const memoryLimitMb = 64
/** Of the supervisor itself over all of it; no more than garbage that was not collected yet. */
const supervisorGrowthMbMax = 40
const bytesPerMb = 1024 * 1024

/** Each would fill gigabytes if it could. */
const greedy = {
  arrayPush: 'const all = []; for (;;) all.push({ n: all.length })',
  oneBigArray: 'return new Array(1e9).fill(1).length',
  mapGrowth: 'const all = new Map(); for (let n = 0; ; n++) all.set(n, n)',
  bigJson: `for (let text = '[' + '[1,2,3,4],'.repeat(1e5) + '0]', all = []; ; text = '[' + text + ',' + text + ']') all.push(JSON.parse(text))`,
  strings: `const all = []; for (let n = 0; ; n++) all.push(Buffer.alloc(1e6, 97 + (n % 26)).toString('latin1'))`,
  doubledStrings: `let text = 'x'; for (const all = []; ; all.push(text + all.length)) if (text.length < 1e8) text += text`,
  buffers:
    'const all = []; for (let n = 0; n < 200; n++) { all.push(Buffer.alloc(10 * 1024 * 1024, 1)); await pause(1) } return all.length',
  buffersAtOnce:
    'const all = []; for (let n = 0; n < 20; n++) all.push(Buffer.alloc(100 * 1024 * 1024, 1)); return all.length',
  sharedMemory: 'const all = []; for (;;) all.push(new Uint8Array(new SharedArrayBuffer(1e7)).fill(1))'
}

const actors = `
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
${Object.entries(greedy)
  .map(([name, body]) => `export async function ${name}() { ${body} }`)
  .join('\n')}
export async function healthy({ ms }) {
  await pause(ms)
  return Buffer.alloc(8 * 1024 * 1024, 1).length
}
`

test('a job that runs out of memory fails; the supervisor, its neighbours and other queues go on', {
  timeout: 240_000
}, async (t) => {
  const project = new TestProject(t)
  project.write('actors/a.js', actors)
  const workers = { small: { memoryLimitMb, backgroundWorkers: 2, timeout: '60s' } }
  project.write('config/runtime.yaml', JSON.stringify({ workers }))
  const supervisor = await project.serve()
  const runtime = await connected(t, project.socketPath)
  const before = (await runtime.status()).memory.residentBytes

  for (const method of Object.keys(greedy)) {
    const { ids } = await runtime.enqueueMany([
      { method: `a.${method}`, queue: 'small' },
      { method: 'a.healthy', params: { ms: 300 }, queue: 'small' },
      { method: 'a.healthy', params: { ms: 300 }, queue: 'long' }
    ])
    const [full, beside, elsewhere] = (await Promise.all(ids.map((id) => runtime.job.wait(id)))) as [
      JobView,
      JobView,
      JobView
    ]
    const { code, message } = full.error ?? {}
    const seconds = ((Date.parse(full.finishedAt!) - Date.parse(full.enqueuedAt)) / 1000).toFixed(2)
    t.diagnostic(`${method}: ${code}, ${full.crashes} crashes, ${seconds} s: ${message?.split('\n')[0]}`)
    assert.equal(full.state, 'failed', method)
    if (code === 'HOST_CRASHED') assert.match(message!, /memory|MiB/, method)
    else assert.equal(code, 'OUT_OF_MEMORY', method)
    assert.deepEqual([beside.state, beside.attempts.made, beside.error], ['completed', 1, undefined], method)
    assert.ok(beside.crashes <= 1, method)
    assert.deepEqual([elsewhere.state, elsewhere.crashes, elsewhere.history.length], ['completed', 0, 1], method)
  }

  const { pid, memory } = await runtime.status()
  assert.equal(pid, supervisor.pid)
  const grownMb = (memory.residentBytes - before) / bytesPerMb
  t.diagnostic(`the supervisor grew by ${grownMb.toFixed(1)} MiB`)
  assert.ok(grownMb <= supervisorGrowthMbMax, `${grownMb} MiB`)
})

test('what the threads of a host need to start is not held against its first job', { timeout: 60_000 }, async (t) => {
  const workers = { small: { memoryLimitMb, backgroundWorkers: 16 } }
  const { runtime } = await embedded(t, { 'actors/a.js': actors }, workers)
  const { id } = await runtime.enqueue('a.healthy', { ms: 1_000 }, { queue: 'small' })
  const { state, crashes } = await runtime.job.wait(id)
  assert.deepEqual([state, crashes], ['completed', 0])
})
