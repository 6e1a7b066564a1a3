/**
 * Two supervisors that start on one data directory at almost the same moment (issue 7.2): one opens it and the other is refused,
 * whether the directory is new, its owner has just been killed, or its owner is just closing it. The record in the store and
 * owner.json name the winner.
 *
 * Twelve pairs of each by default, `LONG=1`: three hundred. `PAIRS_SEED` repeats the delays between the two.
 */
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { metaKey } from '../../runtime/store/keys.ts'
import { ownerCodec } from '../../runtime/store/records.ts'
import { Store } from '../../runtime/store/store.ts'
import { type Answer, OwnerProcess } from '../store/owner-process.ts'
import { randomFrom } from '../support/random.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const pairs = process.env.LONG === undefined ? 12 : 300
const seed = Number(process.env.PAIRS_SEED ?? Date.now() % 2 ** 31)
/** An open takes a few milliseconds: within them the second one comes. */
const delayMsMax = 12
const limit = { timeout: pairs * 3_000 }

async function ownerInStore(directory: string): Promise<number> {
  const copy = `${directory}-copy`
  mkdirSync(copy)
  copyFileSync(join(directory, 'store', 'data.mdb'), join(copy, 'data.mdb'))
  const store = new Store(copy)
  const key = metaKey('owner')
  const { pid } = ownerCodec.decode(key, store.reader.get(key)!)
  await store.close()
  rmSync(copy, { recursive: true })
  return pid
}

/** Both try to open, the second a moment after the first. @returns the winner */
async function race(directory: string, two: readonly OwnerProcess[], delayMs: number): Promise<OwnerProcess> {
  const answers: Answer[] = await Promise.all(
    two.map(async (process, index) => {
      if (index > 0 && delayMs > 1) await sleep(delayMs)
      return process.open(directory)
    })
  )
  const winners = two.filter((_, index) => answers[index]!.type === 'opened')
  const said = JSON.stringify(answers)
  assert.equal(winners.length, 1, said)
  const winner = winners[0]!
  const refused = answers.find(({ type }) => type === 'refused') as Answer & { type: 'refused' }
  assert.deepEqual([refused.code, refused.pid], ['DATA_DIR_LOCKED', winner.pid], said)
  assert.equal(await ownerInStore(directory), winner.pid, said)
  assert.equal(JSON.parse(readFileSync(join(directory, 'owner.json'), 'utf8')).pid, winner.pid, said)
  return winner
}

async function racers(test: TestContext): Promise<[OwnerProcess, OwnerProcess]> {
  return Promise.all([OwnerProcess.start(test), OwnerProcess.start(test)])
}

/** In turn each of the two is the first. */
function inTurn<T>([one, other]: readonly [T, T], pair: number): [T, T] {
  return pair % 2 === 0 ? [one, other] : [other, one]
}

test(`issue 7.2: of two starts on a new directory one wins, ${pairs} times`, limit, async (t) => {
  t.diagnostic(`PAIRS_SEED=${seed}`)
  const random = randomFrom(seed)
  const folder = temporaryFolder(t, 'memory')
  const both = await racers(t)
  const wins = new Map<number, number>()
  for (let pair = 0; pair < pairs; pair++) {
    const directory = join(folder, `new-${pair}`)
    const winner = await race(directory, inTurn(both, pair), random() * delayMsMax)
    wins.set(winner.pid, (wins.get(winner.pid) ?? 0) + 1)
    await winner.ask({ type: 'close' })
    rmSync(directory, { recursive: true })
  }
  t.diagnostic(`wins: ${[...wins.values()]}`)
})

test(`issue 7.2: of two starts after the owner was killed one wins, ${pairs / 3} times`, limit, async (t) => {
  const random = randomFrom(seed)
  const directory = join(temporaryFolder(t, 'memory'), 'data')
  let both = await racers(t)
  for (let pair = 0; pair < pairs / 3; pair++) {
    const winner = await race(directory, inTurn(both, pair), random() * delayMsMax)
    const next = OwnerProcess.start(t)
    await winner.kill()
    both = [both.find((process) => process !== winner)!, await next]
  }
})

test(`issue 7.2: whoever opens while the owner closes is refused or is the owner, ${pairs} times`, limit, async (t) => {
  const random = randomFrom(seed)
  const directory = join(temporaryFolder(t, 'memory'), 'data')
  const [one, other] = await racers(t)
  let [owner, next] = [one, other]
  assert.equal((await owner.open(directory)).type, 'opened')
  for (let pair = 0; pair < pairs; pair++) {
    const closed = owner.ask({ type: 'close' })
    await sleep(random() * 3)
    const answer = await next.open(directory)
    assert.equal((await closed).type, 'done')
    if (answer.type !== 'opened') {
      assert.equal((answer as Answer & { type: 'refused' }).code, 'DATA_DIR_LOCKED', JSON.stringify(answer))
      assert.equal((await next.open(directory)).type, 'opened')
    }
    ;[owner, next] = [next, owner]
    assert.equal(await ownerInStore(directory), owner.pid)
    assert.equal(JSON.parse(readFileSync(join(directory, 'owner.json'), 'utf8')).pid, owner.pid)
  }
})
