/**
 * A program with a database of its own, a file to which it appends and which it flushes: each line is a transaction. With each
 * it enqueues two jobs through an outbox. Arguments: its folder; `check`, or where it kills itself: {@link Moment}, `never`.
 *
 * At its start the outbox decides about what an earlier process has left. Then it says what that was, as one line of JSON
 * ({@link Decided}). With `check` it says what jobs there are as well, and ends.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { createRuntime, type Decision, type JobView, type PreparedView, type Runtime } from '../../runtime/index.ts'

export type Moment = 'prepared' | 'written' | 'committing' | 'committed'
/** How often `decide` answered what. */
export type Decided = Record<Decision, number>

const lanes = 3
/** The transactions that a program does before the one in which it kills itself. */
const before = 5
const name = 'orders'

class Database {
  readonly #file: string
  readonly #written = new Map<string, string>()
  readonly #descriptor: number

  constructor(file: string) {
    this.#file = file
    const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
    // A line that was not finished was not committed.
    const whole = text.slice(0, text.lastIndexOf('\n') + 1)
    if (whole !== text) truncateSync(file, Buffer.byteLength(whole))
    for (const line of whole.split('\n').filter(Boolean)) {
      const [id, key] = line.split(' ')
      this.#written.set(id!, key!)
    }
    this.#descriptor = openSync(this.#file, 'a')
  }

  /** One transaction of its own. */
  write(id: string, key: string): void {
    writeSync(this.#descriptor, `${id} ${key}\n`)
    fsyncSync(this.#descriptor)
    this.#written.set(id, key)
  }

  has(id: string): boolean {
    return this.#written.has(id)
  }

  get keys(): string[] {
    return [...this.#written.values()]
  }

  close(): void {
    closeSync(this.#descriptor)
  }
}

async function main(folder: string, until: string): Promise<void> {
  const runtime = await createRuntime({ dataDir: join(folder, 'data'), actors: join(folder, 'actors') })
  const database = new Database(join(folder, 'database'))
  const inFlight = new Set<string>()
  const decided: Decided = { commit: 0, abort: 0 }
  let left = (await listed(runtime)).length
  let allAsked = () => {}
  const asked = new Promise<void>((resolve) => {
    allAsked = resolve
  })
  if (left === 0) allAsked()
  const outbox = runtime.outbox({
    name,
    timeout: '20ms',
    decide(id) {
      // Ours is not over: whether it will be written is not known.
      if (inFlight.has(id)) return undefined
      const decision = database.has(id) ? 'commit' : 'abort'
      decided[decision]++
      if (--left === 0) setImmediate(allAsked)
      return decision
    }
  })
  await asked
  console.log(JSON.stringify(decided))
  if (until === 'check') {
    await outbox.stop()
    console.log(JSON.stringify(await check(runtime, database)))
    database.close()
    await runtime.stop()
    return
  }

  async function order(key: string, dieAt?: string): Promise<void> {
    const dieIf = (moment: Moment) => {
      if (moment === dieAt) process.kill(process.pid, 'SIGKILL')
    }
    const prepared = await outbox.prepare((tx) => {
      for (const part of ['mail', 'parcel']) tx.enqueue('shop.idle', { key, part }, { delay: '10h' })
    })
    inFlight.add(prepared.id)
    dieIf('prepared')
    database.write(prepared.id, key)
    dieIf('written')
    const committed = prepared.commit()
    dieIf('committing')
    await committed
    inFlight.delete(prepared.id)
    dieIf('committed')
  }

  const start = database.keys.length
  for (let n = 0; n < before; n++) await order(`${process.pid}-${start}-${n}`)
  if (until !== 'never') await order(`${process.pid}-last`, until)
  console.log('runs')
  const lane = async (number: number) => {
    for (let n = 0; ; n++) await order(`${process.pid}-${start}-${number}-${n}`)
  }
  await Promise.all(Array.from({ length: lanes }, (_, number) => lane(number)))
}

export interface Checked {
  /** Of the database. */
  keys: string[]
  /** How many jobs there are for a key. */
  jobs: Record<string, number>
  undecided: number
}

async function check(runtime: Runtime, database: Database): Promise<Checked> {
  const jobs: Record<string, number> = {}
  let cursor: string | null = null
  do {
    const page: { jobs: JobView[]; cursor: string | null } = await runtime.job.list({
      limit: 1_000,
      ...(cursor !== null && { cursor })
    })
    for (const { params } of page.jobs) {
      const { key } = params as { key: string }
      jobs[key] = (jobs[key] ?? 0) + 1
    }
    cursor = page.cursor
  } while (cursor !== null)
  return { keys: database.keys, jobs, undecided: (await listed(runtime)).length }
}

async function listed(runtime: Runtime): Promise<PreparedView[]> {
  return ((await runtime.call('outbox.list', { outbox: name })) as { prepared: PreparedView[] }).prepared
}

const [, , folder, until] = process.argv
if (folder !== undefined) await main(folder, until!)
