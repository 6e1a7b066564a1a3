/**
 * The kill matrix: the deadline holds for any code. One runtime per isolation kills the shapes one after the other, each
 * beside a healthy job and before a waiting one.
 *
 * The two bounds on times are wide, since tests run beside each other and a thread that is started needs a core: how long it
 * takes is measured by `npm run bench:kills`. A shape that misses one is measured again, twice at most, and the table at the end
 * shows all. Everything else must hold at the first try: the outcome, the healthy job, and that
 * nothing of the killed job is left 10 s after the settle.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { KillBench, type KillFigures } from './kill-bench.ts'
import { killShapes } from './kill-shapes.ts'

const lateMsMax = 150
const nextStartMsMax = 1_000
const measuresAgainMax = 2
/** The event that a job has started carries the time at which the pool told of it. */
const startToldMsMax = 50
const onLinux = { skip: process.platform === 'linux' ? false : 'looks at processes and threads in /proc' }

test('process: every shape is killed at its deadline, and nothing of it remains', onLinux, (t) => killAll(t, 'process'))

test('inline: every shape that runs JavaScript is killed at its deadline', onLinux, (t) => killAll(t, 'inline'))

async function killAll(t: TestContext, isolation: 'process' | 'inline'): Promise<void> {
  const bench = await KillBench.open(t, isolation)
  const rows: string[] = []
  for (const shape of killShapes.filter(({ needsProcess }) => isolation === 'process' || !needsProcess)) {
    await t.test(shape.name, async () => {
      const measure = async () => {
        const figures = await bench.kill(shape)
        rows.push(row(shape.name, figures))
        return figures
      }
      let figures = await measure()
      for (let again = 0; again < measuresAgainMax && !isInTime(figures); again++) figures = await measure()
      requireInTime(figures)
    })
  }
  await t.test('both slots of the queue are left', () => bench.requireBothSlots())
  t.diagnostic(`${isolation}, ms`.padEnd(34) + ['late', 'next', 'gone'].map((title) => title.padStart(7)).join(''))
  for (const text of rows) t.diagnostic(text)
}

function isInTime({ lateMs, nextStartMs }: KillFigures): boolean {
  return lateMs <= lateMsMax && nextStartMs <= nextStartMsMax
}

function requireInTime(figures: KillFigures): void {
  const { lateMs, nextStartMs } = figures
  assert.ok(lateMs >= -startToldMsMax && nextStartMs >= -startToldMsMax, `Before its time: ${JSON.stringify(figures)}`)
  assert.ok(lateMs <= lateMsMax, `Settled ${lateMs} ms after the deadline, allowed are ${lateMsMax}`)
  assert.ok(nextStartMs <= nextStartMsMax, `The next job began ${nextStartMs} ms later, allowed are ${nextStartMsMax}`)
}

function row(name: string, { lateMs, nextStartMs, goneMs }: KillFigures): string {
  return name.padEnd(34) + [lateMs, nextStartMs, goneMs].map((figure) => String(figure).padStart(7)).join('')
}
