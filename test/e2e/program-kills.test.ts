/**
 * Transactions and outboxes of programs that are killed with SIGKILL (issue 6.4): each transaction is there as a whole or not at
 * all, and is there if it was acknowledged; each entry in the program's own database has its jobs once, and there are no others.
 *
 * Six kills of transactions and two of outboxes; `LONG=1`: 300 and 100. `TRANSACTION_SEED` repeats the moments of an earlier run.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { randomFrom } from '../support/random.ts'
import { TestProject } from '../support/supervisor-process.ts'
import type { Checked, Decided, Moment } from './outbox-program.ts'
import { documentsPerTransaction, type Found, jobsPerTransaction, lanes } from './transaction-program.ts'

const kills = process.env.LONG === '1' ? 300 : 6
const seed = Number(process.env.TRANSACTION_SEED ?? Date.now() % 2 ** 31)
const killWithinMs = 150
const limit = { timeout: kills * 20_000 }

const program = (name: string) => fileURLToPath(new URL(`./${name}.js`, import.meta.url))

function project(t: TestContext): TestProject {
  const made = new TestProject(t)
  const actors =
    "export class Account { static [Symbol.for('actor-runtime.Actor')] = true; add() {} }\nexport function idle() {}\n"
  made.write('actors/bank.js', actors)
  made.write('actors/shop.js', 'export function idle() {}\n')
  return made
}

/** Starts a program, lets it run for a random time once it says `runs`, and kills it. @returns its lines */
async function killed(made: TestProject, random: () => number, file: string, ...args: string[]): Promise<string[]> {
  const started = made.startProcess(process.execPath, file, made.folder, ...args)
  const first = await Promise.race([started.stdout.said('runs\n'), started.ended])
  assert.equal(first, undefined, `ended by itself: ${first?.stderr}`)
  await sleep(random() * killWithinMs)
  started.process.kill('SIGKILL')
  const { stdout, signal, stderr } = await started.ended
  assert.equal(signal, 'SIGKILL', stderr)
  // What comes after the last line end was cut.
  return stdout.split('\n').slice(0, -1)
}

test(
  'issue 6.4: of transactions in a program that is killed, each is there as a whole or not at all',
  limit,
  async (t) => {
    t.diagnostic(`TRANSACTION_SEED=${seed}`)
    const random = randomFrom(seed)
    const made = project(t)
    const acknowledged = new Array<number>(lanes).fill(0)
    let unacknowledged = 0
    for (let kill = 0; kill <= kills; kill++) {
      const [first, , ...lines] = await killed(made, random, program('transaction-program'))
      const found = JSON.parse(first!) as Found[]
      for (const [lane, { documents, jobs, cancelled }] of found.entries()) {
        const last = documents[0]!
        assert.deepEqual(documents, new Array(documentsPerTransaction).fill(last), `documents of lane ${lane}`)
        assert.ok(
          last >= acknowledged[lane]!,
          `transaction ${acknowledged[lane]} was acknowledged, ${last} is the last`
        )
        if (last > acknowledged[lane]!) unacknowledged++
        for (const [number, count] of Object.entries(jobs)) {
          assert.equal(
            count,
            Number(number) <= last ? jobsPerTransaction : 0,
            `jobs of transaction ${number} of ${last}`
          )
        }
        for (const [number, state] of Object.entries(cancelled)) {
          assert.equal(state, Number(number) <= last ? 'cancelled' : 'scheduled', `by transaction ${number} of ${last}`)
        }
      }
      for (const line of lines) {
        const [lane, number] = line.split(' ').map(Number)
        acknowledged[lane!] = number!
      }
    }
    t.diagnostic(`transactions: ${acknowledged}; ${unacknowledged} were on disk and not acknowledged`)
    for (const [lane, number] of acknowledged.entries()) assert.ok(number >= kills / 3, `lane ${lane} did ${number}`)
  }
)

test(
  'issue 6.4: a program and its outbox, killed between any two of their steps, agree in the end',
  limit,
  async (t) => {
    t.diagnostic(`TRANSACTION_SEED=${seed}`)
    const random = randomFrom(seed)
    const made = project(t)
    const decided: Decided = { commit: 0, abort: 0 }
    const note = (line: string): Decided => {
      const more = JSON.parse(line) as Decided
      decided.commit += more.commit
      decided.abort += more.abort
      return more
    }
    const file = program('outbox-program')
    const checked = async (what: string): Promise<Decided> => {
      const { stdout, stderr, code } = await made.startProcess(process.execPath, file, made.folder, 'check').ended
      assert.equal(code, 0, stderr)
      const [first, second] = stdout.split('\n')
      const { keys, jobs, undecided } = JSON.parse(second!) as Checked
      assert.equal(undecided, 0, what)
      assert.deepEqual(jobs, Object.fromEntries(keys.map((key) => [key, 2])), what)
      return note(first!)
    }

    const moments: [Moment, Decided][] = [
      ['prepared', { commit: 0, abort: 1 }],
      ['written', { commit: 1, abort: 0 }],
      ['committed', { commit: 0, abort: 0 }]
    ]
    for (const [moment, expected] of moments) {
      const { signal, stderr } = await made.startProcess(process.execPath, file, made.folder, moment).ended
      assert.equal(signal, 'SIGKILL', stderr)
      assert.deepEqual(await checked(moment), expected, moment)
    }
    const { signal } = await made.startProcess(process.execPath, file, made.folder, 'committing').ended
    assert.equal(signal, 'SIGKILL')
    await checked('committing')

    for (let kill = 0; kill < kills; kill++) {
      const [first] = await killed(made, random, file, 'never')
      note(first!)
      if (kill % 5 === 4) await checked(`kill ${kill}`)
    }
    await checked('at the end')
    t.diagnostic(`decide answered: ${JSON.stringify(decided)}`)
  }
)
