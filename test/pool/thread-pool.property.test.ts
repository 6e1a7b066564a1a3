import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { poolOver, startPool } from './pool-fixture.ts'

/** What each method comes to when nobody kills it; `spin` and `wait` never end by themselves. */
const endings = {
  quick: 'completed',
  slow: 'completed',
  fails: 'THROWN',
  exits: 'WORKER_EXITED',
  floats: 'WORKER_EXITED',
  leaves: 'completed',
  spin: undefined,
  wait: undefined
} as const
type Name = keyof typeof endings

const modules = {
  'a.js': `const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
    export const quick = (params, ctx) => { ctx.progress(50); return 1 }
    export async function slow(params, ctx) { ctx.log.info('slow'); await pause(5) }
    export function fails() { throw new Error('fails') }
    export function exits() { process.exit(1) }
    export function floats() { Promise.reject(new Error('floats')) }
    export function leaves() { setTimeout(() => { throw new Error('left') }, 30) }
    export function spin() { while (true); }
    export const wait = () => new Promise(() => {})`
}

const jobs = fc.array(
  fc.record({ name: fc.constantFrom(...(Object.keys(endings) as Name[])), isKilled: fc.boolean(), turns: fc.nat(3) }),
  { minLength: 1, maxLength: 8 }
)

for (const kind of ['threads', 'hosts'] as const) {
  test(`under any mix of jobs and kills each job has exactly one outcome, last and its own, or none when it was killed (${kind})`, async (t) => {
    const { folder } = startPool(t, modules)
    await fc.assert(
      fc.asyncProperty(jobs, fc.integer({ min: 1, max: 2 }), async (list, threads) => {
        const { pool, heard, run } = poolOver(t, folder, threads, kind)
        const lane = async (index: number): Promise<void> => {
          const job = list[index]
          if (job === undefined) return
          const id = run(`a.${job.name}`)
          const ending = endings[job.name]
          if (job.isKilled || ending === undefined) {
            if (job.turns > 0) await Promise.race([heard.startOf(id), heard.outcomeOf(id)])
            pool.kill(id)
            const saidAtKill = heard.of(id).length
            await lane(index + threads)
            assert.equal(heard.of(id).length, saidAtKill, 'nothing is told after a kill')
          } else {
            const outcome = await heard.outcomeOf(id)
            assert.equal(outcome.type === 'failed' ? outcome.error.code : outcome.type, ending, job.name)
            await lane(index + threads)
          }
          const types = heard.of(id).map(({ type }) => type)
          assert.ok(types.filter((type) => type === 'outcome').length <= 1)
          if (types.includes('outcome')) assert.equal(types.at(-1), 'outcome')
          if (types.length > 1 || types[0] === 'log')
            assert.equal(types[0], 'started', 'the start is told first, if anything is told before the end')
        }
        await Promise.all(Array.from({ length: threads }, (_, index) => lane(index)))
        await pool.stop()
      }),
      { numRuns: kind === 'threads' ? 8 : 4 }
    )
  })
}
