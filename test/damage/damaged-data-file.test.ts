/**
 * Whatever bytes the data file holds (issue 7.5): a start is refused, or every job is there as it was. No damage kills a process that
 * uses a store which a start has let through, and none makes a job disappear without a word.
 *
 * Long form: 20,000 damaged files. A case that fails is told with its seed: SEED=n runs that one alone.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openQueueIn } from '../queue/open-queue.ts'
import { assertInvariants } from '../queue/store-invariants.ts'
import { randomFrom } from '../support/random.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { everyKindConfigs, everyKindStartMs, fillWithEveryKind } from './every-kind.ts'
import type { JobsSeen, Verdict } from './judge-program.ts'
import { damages } from './make-damage.ts'

interface Base {
  marker: Buffer
  data: Buffer
  tag: string
  nowMs: number
  jobs: JobsSeen
}

/** A store of every kind of job, closed, and what a start shows of it. */
async function makeBase(t: TestContext): Promise<Base> {
  const directory = join(temporaryFolder(t, 'memory'), 'data')
  const opened = await openQueueIn(directory, everyKindStartMs, ...everyKindConfigs)
  await fillWithEveryKind(opened, 230)
  const { tag, clock } = opened
  assertInvariants(opened.store.reader, tag, new Map(everyKindConfigs.map((config) => [config.name, config])))
  await opened.close()
  const marker = readFileSync(join(directory, 'actor-runtime.json'))
  const data = readFileSync(join(directory, 'store', 'data.mdb'))
  const judge = new Judge(t)
  const verdict = await judge.of(directory, { tag, nowMs: clock.nowMs })
  assert('used' in verdict, JSON.stringify(verdict))
  return { marker, data, tag, nowMs: clock.nowMs, jobs: verdict.used }
}

type Judged = Verdict | { died: string; using: boolean }

/** A child that judges one folder after the other, until one kills it. */
class Judge {
  #child: ChildProcess | undefined
  constructor(t: TestContext) {
    t.after(() => this.#child?.kill('SIGKILL'))
  }

  of(directory: string, more: { tag: string; nowMs: number }): Promise<Judged> {
    this.#child ??= fork(fileURLToPath(new URL('./judge-program.js', import.meta.url)), {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc']
    })
    const child = this.#child
    let using = false
    return new Promise((resolve) => {
      const slow = setTimeout(() => child.kill('SIGKILL'), 30_000)
      const settle = (judged: Judged) => {
        clearTimeout(slow)
        child.removeAllListeners()
        if ('died' in judged) this.#child = undefined
        resolve(judged)
      }
      child.on('message', (verdict: Verdict) => {
        if ('using' in verdict) using = true
        else settle(verdict)
      })
      child.on('close', (code, signal) => settle({ died: signal ?? `exit ${code}`, using }))
      child.send({ directory, ...more })
    })
  }
}

test('issue 7.5: a start on a damaged data file is refused, or every job is there as it was; nothing dies, nothing is lost', async (t) => {
  const startedMs = performance.now()
  const base = await makeBase(t)
  const folder = temporaryFolder(t, 'memory')
  const judges = [new Judge(t), new Judge(t)]
  const kinds = Object.entries(damages)
  const only = process.env.SEED === undefined ? undefined : Number(process.env.SEED)
  const cases = process.env.LONG ? 20_000 : 44
  const told: Record<string, number> = {}
  let next = only ?? 0
  async function work(judge: Judge, number: number): Promise<void> {
    while (only === undefined ? next < cases : next === only) {
      const seed = next++
      const [kind, damage] = kinds[seed % kinds.length]!
      const { file, what } = damage(base.data, randomFrom(seed + 1))
      const directory = join(folder, `data-${number}`)
      rmSync(directory, { recursive: true, force: true })
      mkdirSync(join(directory, 'store'), { recursive: true })
      writeFileSync(join(directory, 'actor-runtime.json'), base.marker)
      writeFileSync(join(directory, 'store', 'data.mdb'), file)
      const judged = await judge.of(directory, base)
      const told1 = `SEED=${seed} (${kind}: ${what})`
      assert(!('failed' in judged), `${told1}: ${JSON.stringify(judged)}`)
      assert(!('died' in judged && judged.using), `${told1}: using it killed the process: ${JSON.stringify(judged)}`)
      if ('used' in judged) {
        for (const [id, view] of Object.entries(base.jobs)) assert.equal(judged.used[id], view, `${told1}: job ${id}`)
        assert.equal(Object.keys(judged.used).length, Object.keys(base.jobs).length, told1)
      }
      const outcome =
        'used' in judged ? 'not touched' : 'refused' in judged ? judged.refused.split(':')[0]! : 'verifier died'
      told[outcome] = (told[outcome] ?? 0) + 1
    }
  }
  await Promise.all(judges.map((judge, number) => work(judge, number)))
  const seconds = Math.round((performance.now() - startedMs) / 1000)
  t.diagnostic(
    `${Object.keys(base.jobs).length} jobs, ${base.data.length} bytes, ${cases} cases: ${JSON.stringify(told)}, ${seconds} s`
  )
  if (only === undefined) for (const way of ['structure', 'checksum', 'not touched']) assert(told[way]! > 0, way)
})
