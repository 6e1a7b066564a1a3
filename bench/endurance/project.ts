/** The project that is served: one queue for each way in which jobs hold threads, and methods that end in every way. */

const core = (path: string) => JSON.stringify(new URL(`../../runtime/core/${path}`, import.meta.url).href)

export const accounts = 40
export const openingBalance = 1_000
export const accountType = 'bank.Account'
export const counterType = 'bank.Counter'
/** Methods of scheduler events, and how often they fire. */
export const cronEveryMs: ReadonlyMap<string, number> = new Map([
  ['load.second', 1_000],
  ['load.fiveSeconds', 5_000]
])

/** @param retentionS how long a finished job is remembered: short, so that the store comes to a steady size */
export function projectFiles(retentionS: number): Record<string, string> {
  const age = `{ age: ${retentionS}s }`
  const retention = `retention: { completed: ${age}, failed: ${age}, cancelled: ${age} }`
  return {
    'config/runtime.yaml': `workers:
  default: { timeout: 30s, backgroundWorkers: 4, ${retention} }
  slow: { timeout: 30s, backgroundWorkers: 4, ${retention} }
  bank: { timeout: 30s, retention: { completed: ${age} } }
  stuck: { timeout: 100ms, ${retention} }
schedulerEvents:
  cron:
    "* * * * * *": [{ method: load.second, missed: all, overlap: allow }]
    "* * * * * */5": [{ method: load.fiveSeconds, missed: all, overlap: allow }]
`,
    'actors/load.js': `
import { pbkdf2Sync } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { RetryLater } from ${core('errors.js')}

export const plain = ({ number, text, answerChars }) => ({ number, chars: text.length, text: 'r'.repeat(answerChars) })
export const fails = () => { throw new RangeError('as told') }
export function flaky({ failures }, ctx) {
  if (ctx.attempt <= failures) throw new Error('as told')
  return ctx.attempt
}
export function later(_, ctx) {
  if (ctx.attempt === 1) throw new RetryLater('300ms')
}
export async function steps({ number }, ctx) {
  const one = await ctx.step('one', () => number + 1)
  await ctx.sleep('pause', '200ms')
  const two = await ctx.step('two', () => one + 1)
  await ctx.enqueue('load.leaf', { number }, { queue: 'slow' })
  return two
}
export const waits = (_, ctx) => ctx.waitFor('go')
export async function works({ forMs }, ctx) {
  for (let part = 1; part <= 4; part++) {
    await sleep(forMs / 4)
    ctx.progress(part * 25)
    ctx.log.info('part', part)
  }
}
export const leaf = ({ number }) => number
export const join = (_, ctx) => ctx.parents.reduce((sum, { result }) => sum + result, 0)
export const spin = () => { for (;;); }
export const native = () => { pbkdf2Sync('password', 'salt', 2 ** 31 - 1, 64, 'sha512') }
export const second = () => {}
export const fiveSeconds = () => {}
`,
    'actors/bank.js': `
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { Actor } from ${core('actor.js')}

export class Account extends Actor {
  state = { balance: ${openingBalance}, out: { count: 0, amount: 0, marks: 0 }, in: { count: 0, amount: 0, marks: 0 } }

  async debit({ to, amount, mark }, ctx) {
    this.state.balance -= amount
    await ctx.enqueueDoc('${accountType}', to, 'credit', { amount, mark }, { queue: 'bank' })
    await turn()
    note(this.state.out, amount, mark)
  }

  async credit({ amount, mark }) {
    note(this.state.in, amount, mark)
    await turn()
    this.state.balance += amount
  }
}

export class Counter extends Actor {
  state = { value: 0 }
  async add({ value }) {
    const before = this.state.value
    await sleep(5)
    this.state.value = before + value
  }
}

function note(side, amount, mark) {
  side.count++
  side.amount += amount
  side.marks += mark
}
`
  }
}
