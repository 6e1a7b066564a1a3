/**
 * Histories of concurrent clients (issue 7): clients on connections of their own call a supervisor, a real process whose
 * threads run the jobs meanwhile, and what they are answered must be what one client could have been answered who called one
 * after the other. In some the supervisor is killed in between, in some connections are cut with a call under way.
 *
 * `LONG=1`: more of them. `HISTORY_SEED` repeats the choices of one, though not the timing.
 */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { actorImports } from '../support/documents.ts'
import { randomFrom } from '../support/random.ts'
import { type SupervisorProcess, TestProject } from '../support/supervisor-process.ts'
import { Arena, actorModule, Client, config } from './clients.ts'
import { RecordedHistory } from './recorded-history.ts'

const isLong = process.env.LONG !== undefined
const firstSeed = Number(process.env.HISTORY_SEED ?? 1)
const isOne = process.env.HISTORY_SEED !== undefined
const histories = isOne ? 1 : isLong ? 2_000 : 30
const historiesWithKills = isOne ? 1 : isLong ? 60 : 2
const clients = 5
const callsPerClient = 30
const cutShare = 0.02

class Scene {
  readonly #project: TestProject
  #supervisor!: SupervisorProcess

  constructor(t: TestContext) {
    this.#project = new TestProject(t, 'memory')
    this.#project.write('actors/h.js', actorModule(actorImports))
    this.#project.write('config/runtime.yaml', config)
  }

  async start(): Promise<void> {
    this.#supervisor = await this.#project.serve('--log-level', 'error')
  }

  get socketPath(): string {
    return this.#project.socketPath
  }

  kill() {
    return this.#supervisor.end('SIGKILL')
  }
}

/** @returns the history, and what is wrong with it */
async function run(scene: Scene, seed: number, kills: boolean): Promise<{ history: RecordedHistory; wrong: string[] }> {
  const random = randomFrom(seed)
  const history = new RecordedHistory()
  const arena = new Arena(`s${seed}`, history, random)
  const all = Array.from({ length: clients }, (_, at) => new Client(`client ${at}`, arena, scene.socketPath))
  await Promise.all(all.map((client) => client.open()))
  const callsMax = clients * callsPerClient
  let killAt = kills ? Math.floor(callsMax * (0.2 + 0.6 * random())) : Number.POSITIVE_INFINITY
  let restarted = Promise.resolve()
  let calls = 0
  const restart = async () => {
    const calledAt = history.now()
    await scene.kill()
    await scene.start()
    const span = { calledAt, returnedAt: history.now() }
    for (const id of arena.jobIds) history.add('job', id, 'supervisor', { type: 'restart' }, span, 'done')
  }
  await Promise.all(
    all.map(async (client) => {
      for (let call = 0; call < callsPerClient; call++) {
        if (calls++ >= killAt) {
          killAt = Number.POSITIVE_INFINITY
          restarted = restart()
        }
        if (!client.isOpen) {
          await restarted
          await client.open()
        }
        if (!kills && random() < cutShare) await client.cut()
        else await client.act()
      }
    })
  )
  await restarted
  const [first] = all as [Client]
  await first.open()
  for (const id of arena.jobIds) await first.get(id)
  for (const id of arena.waiters) await first.readWaiter(id)
  await first.gate('read')
  await first.recordAppends()
  for (const name of arena.documents) await first.readDocument(name)
  await first.clear()
  await Promise.all(all.map((client) => client.close()))
  return { history, wrong: history.check() }
}

async function runAll(t: TestContext, count: number, kills: boolean): Promise<void> {
  const scene = new Scene(t)
  await scene.start()
  const startedMs = performance.now()
  let operations = 0
  for (let seed = firstSeed; seed < firstSeed + count; seed++) {
    const { history, wrong } = await run(scene, seed, kills)
    operations += history.size
    if (wrong.length === 0) continue
    const folder = join(tmpdir(), 'actor-runtime-histories')
    mkdirSync(folder, { recursive: true })
    const file = join(folder, `${kills ? 'kills' : 'calls'}-${seed}.txt`)
    writeFileSync(file, `${wrong.join('\n\n')}\n\n${history.text()}\n`)
    assert.fail(`HISTORY_SEED=${seed} (all of it: ${file})\n${wrong.join('\n')}`)
  }
  const seconds = (performance.now() - startedMs) / 1_000
  t.diagnostic(`${count} histories, ${operations} operations, ${seconds.toFixed(1)} s`)
}

test(
  'issue 7.7: what concurrent clients are answered is what one after the other would have been',
  {
    timeout: isLong ? 3_600_000 : 300_000
  },
  (t) => runAll(t, histories, false)
)

test('issue 7.7: the same where the supervisor is killed in between', { timeout: isLong ? 3_600_000 : 300_000 }, (t) =>
  runAll(t, historiesWithKills, true)
)
