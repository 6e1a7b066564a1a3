/** What a job prints, by whatever way, is in its log, and nowhere else. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JobView } from '../../runtime/core/job.ts'
import { logLineCharsMax, logLinesMax } from '../../runtime/core/limits.ts'
import { connected } from '../support/connected.ts'
import { TestProject } from '../support/supervisor-process.ts'

const supervisorGrowthMbMax = 60
const bytesPerMb = 1024 * 1024

const actors = `
import { spawn, spawnSync } from 'node:child_process'
import { writeSync } from 'node:fs'
import { once } from 'node:events'

console.log('by an import')
const shell = ['sh', ['-c', 'echo by a child; echo a warning of a child >&2'], { stdio: 'inherit' }]
export function print() {
  console.log('by %s', 'console')
  console.error('by console.error')
  process.stdout.write('in two ')
  process.stdout.write('parts\\n')
  process.stderr.write('by stderr\\n')
  console.log('ein\\nzwei\\r\\ndrei \\u{1F600}')
  process.stdout.write('without an end')
}
export function direct({ n }) {
  writeSync(1, 'direct ' + n + '\\n')
  writeSync(2, 'warned ' + n + '\\n')
}
export const childSync = () => { spawnSync(...shell) }
export const childAsync = async () => { await once(spawn(...shell), 'close') }
export function longLine({ megabytes }) {
  for (let n = 0; n < megabytes; n++) writeSync(1, 'x'.repeat(1024 * 1024))
}
export function manyLines({ lines }) {
  const text = 'flood\\n'.repeat(1000)
  for (let n = 0; n < lines; n += 1000) writeSync(n % 2000 === 0 ? 1 : 2, text)
}
export function manyPrinted({ lines }) {
  for (let n = 0; n < lines; n++) console.log('flood', n)
}
`

test('what a job prints is in its log, bounded, and never in the output of the supervisor', {
  timeout: 120_000
}, async (t) => {
  const project = new TestProject(t)
  project.write('actors/a.js', actors)
  project.write('config/runtime.yaml', JSON.stringify({ workers: { default: { backgroundWorkers: 1 } } }))
  const supervisor = await project.serve()
  const runtime = await connected(t, project.socketPath)
  const run = async (method: string, params: object = {}) => {
    const job = await runtime.job.wait((await runtime.enqueue(method, params)).id)
    assert.equal(job.state, 'completed', JSON.stringify(job.error))
    return linesOf(job)
  }

  assert.deepEqual(await run('a.print'), [
    'info by an import',
    'info by console',
    'warn by console.error',
    'info in two parts',
    'warn by stderr',
    'info ein',
    'info zwei',
    'info drei 😀',
    'info without an end'
  ])
  for (let n = 0; n < 20; n++) {
    assert.deepEqual((await run('a.direct', { n })).sort(), [`info direct ${n}`, `warn warned ${n}`])
  }
  for (const method of ['a.childSync', 'a.childAsync']) {
    assert.deepEqual((await run(method)).sort(), ['info by a child', 'warn a warning of a child'])
  }

  const residentBytes = async () => (await runtime.status()).memory.residentBytes
  const before = await residentBytes()
  const [line = '', ...others] = await run('a.longLine', { megabytes: 200 })
  assert.deepEqual(others, [])
  assert.equal(line, `info ${'x'.repeat(logLineCharsMax)}`)
  for (const method of ['a.manyLines', 'a.manyPrinted']) {
    const startedMs = performance.now()
    const lines = await run(method, { lines: 100_000 })
    t.diagnostic(`${method}: ${Math.round(performance.now() - startedMs)} ms`)
    assert.equal(lines.length, logLinesMax, method)
    assert.match(lines.at(-1)!, /^warn The log of this attempt is full/, method)
  }
  const grownMb = ((await residentBytes()) - before) / bytesPerMb
  t.diagnostic(`the supervisor grew by ${grownMb.toFixed(1)} MiB`)
  assert.ok(grownMb <= supervisorGrowthMbMax, `${grownMb} MiB`)

  const { stdout, stderr } = await supervisor.end('SIGTERM')
  assert.match(stdout, /^[^\n]*pid[^\n]*\n$/, 'the line that says it is ready, and no other')
  for (const record of stderr.split('\n').filter((text) => text.includes('flood'))) {
    assert.match(record, /"job"/, 'a record that names the job')
  }
})

test('what several jobs of one host write past their threads is told to each, marked as such', {
  timeout: 60_000
}, async (t) => {
  const project = new TestProject(t)
  project.write(
    'actors/a.js',
    `import { writeSync } from 'node:fs'
    export const wait = (params, ctx) => new Promise((resolve) => setTimeout(resolve, 500, ctx.log.info('in')))
    export function direct() { writeSync(1, 'whose?\\n') }`
  )
  await project.serve()
  const runtime = await connected(t, project.socketPath)
  const { ids } = await runtime.enqueueMany([{ method: 'a.wait' }, { method: 'a.direct' }])
  const [waited, wrote] = (await Promise.all(ids.map((id) => runtime.job.wait(id)))) as [JobView, JobView]
  const marked = 'info whose? (from this job or another one in the same host)'
  assert.deepEqual(linesOf(waited).sort(), ['info in', marked])
  assert.deepEqual(linesOf(wrote), [marked])
})

function linesOf({ logs }: JobView): string[] {
  return logs.map(({ level, message }) => `${level} ${message}`)
}
