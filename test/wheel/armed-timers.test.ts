import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ArmedTimers } from '../../runtime/wheel/armed-timers.ts'
import { FakeTime } from './fake-time.ts'

const dayMs = 24 * 3600 * 1000

function fakeTimers(nowMs?: number): { time: FakeTime; timers: ArmedTimers } {
  const time = new FakeTime(nowMs)
  return { time, timers: new ArmedTimers(time.clock, time.alarm) }
}

describe('armed timers on a fake clock', () => {
  it('call each action once, never early, at the first whole millisecond, and leave nothing armed', () => {
    const delay = fc.oneof(
      fc.double({ min: 0, max: 10, noNaN: true }),
      fc.integer({ min: 0, max: 10_000 }),
      fc.integer({ min: 0, max: 400 * dayMs })
    )
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1e6, noNaN: true }),
        fc.array(delay, { maxLength: 30, size: 'max' }),
        (nowMs, delays) => {
          const { time, timers } = fakeTimers(nowMs)
          const fired = new Map<number, number>()
          delays.forEach((delayMs, index) => {
            timers.after(delayMs, () => {
              assert.ok(!fired.has(index))
              fired.set(index, time.nowMs)
            })
          })
          time.runUntil(nowMs + 401 * dayMs)
          assert.equal(fired.size, delays.length)
          for (const [index, firedAtMs] of fired) {
            const dueAtMs = nowMs + delays[index]!
            assert.ok(firedAtMs >= dueAtMs && firedAtMs < dueAtMs + 2, `due at ${dueAtMs}, fired at ${firedAtMs}`)
          }
          assert.equal(time.alarmAtMs, undefined)
        }
      )
    )
  })

  it('arm again only for an earlier entry', () => {
    const { time, timers } = fakeTimers()
    const fired: string[] = []
    timers.after(50, () => fired.push('50'))
    timers.after(60, () => fired.push('60'))
    assert.deepEqual(time.armedDelaysMs, [50])
    timers.after(20, () => fired.push('20'))
    timers.after(30, () => fired.push('30'))
    assert.deepEqual(time.armedDelaysMs, [50, 20])
    time.runUntil(60)
    assert.deepEqual(fired, ['20', '30', '50', '60'])
    assert.deepEqual(time.armedDelaysMs, [50, 20, 10, 20, 10])
  })

  it('are not early when the Node timer is, and give everything when it is late', () => {
    const { time, timers } = fakeTimers(1_000.25)
    const fired: string[] = []
    timers.after(10, () => fired.push('a'))
    timers.after(15, () => fired.push('b'))
    time.ringAt(1_010.2)
    assert.deepEqual(fired, [])
    assert.equal(time.armedDelaysMs.at(-1), 1)
    time.ringAt(5_000)
    assert.deepEqual(fired, ['a', 'b'])
    assert.equal(time.alarmAtMs, undefined)
  })

  it('take a wait of years in parts', () => {
    const { time, timers } = fakeTimers()
    let firedAtMs: number | undefined
    timers.after(36_525 * dayMs, () => {
      firedAtMs = time.nowMs
    })
    timers.after(Number.POSITIVE_INFINITY, () => assert.fail('never'))
    time.runUntil(36_525 * dayMs - 1)
    assert.equal(firedAtMs, undefined)
    time.runUntil(36_525 * dayMs)
    assert.equal(firedAtMs, 36_525 * dayMs)
  })

  it('do not call what was cancelled, even by an action that is due together with it', () => {
    const { time, timers } = fakeTimers()
    const fired: string[] = []
    const cancels: (() => void)[] = []
    timers.after(5, () => {
      fired.push('first')
      for (const cancel of cancels) cancel()
    })
    for (const name of ['second', 'third']) cancels.push(timers.after(5, () => fired.push(name)))
    cancels.push(timers.after(9, () => fired.push('later')))
    time.runUntil(100)
    assert.deepEqual(fired, ['first'])
    for (const cancel of cancels) cancel()
    assert.equal(time.alarmAtMs, undefined)
  })

  it('leave nothing armed once the last entry is cancelled, and arm again for the next', () => {
    const { time, timers } = fakeTimers()
    const cancels = [timers.after(5, assert.fail), timers.after(9, assert.fail)]
    cancels[0]!()
    assert.notEqual(time.alarmAtMs, undefined)
    cancels[1]!()
    assert.equal(time.alarmAtMs, undefined)
    cancels[1]!()
    let fired = 0
    timers.after(7, () => fired++)
    time.runUntil(7)
    assert.equal(fired, 1)
  })

  it('take entries from within an action, also such as are due at once, without starving the event loop', () => {
    const { time, timers } = fakeTimers()
    const fired: string[] = []
    timers.after(5, () => {
      fired.push('outer')
      timers.after(0, () => fired.push('at once'))
      timers.after(2, () => fired.push('soon'))
      assert.deepEqual(fired, ['outer'], 'never before after() returns')
    })
    time.ringAt(5)
    assert.deepEqual(fired, ['outer'])
    time.runUntil(7)
    assert.deepEqual(fired, ['outer', 'at once', 'soon'])
  })

  it('call nothing after stop, be it due together, pending, or added later', () => {
    const { time, timers } = fakeTimers()
    const fired: string[] = []
    timers.after(5, () => {
      fired.push('stopping')
      timers.stop()
      timers.after(1, () => fired.push('added later'))
    })
    timers.after(5, () => fired.push('due together'))
    const cancel = timers.after(9, () => fired.push('pending'))
    time.ringAt(5)
    assert.equal(time.alarmAtMs, undefined)
    assert.deepEqual(fired, ['stopping'])
    cancel()
    timers.stop()
  })

  it('clear the alarm on stop', () => {
    const { time, timers } = fakeTimers()
    timers.after(5, assert.fail)
    timers.stop()
    assert.equal(time.alarmAtMs, undefined)
  })
})

describe('armed timers on the real clock', () => {
  it('are never early', async () => {
    const timers = new ArmedTimers()
    const delays = [0, 0.3, 1, 2.5, 7.9, 8, 20.2]
    const earlyMs = await Promise.all(
      delays.map((delayMs) => {
        const dueAtMs = performance.now() + delayMs
        return new Promise<number>((resolve) => timers.after(delayMs, () => resolve(dueAtMs - performance.now())))
      })
    )
    for (const [index, early] of earlyMs.entries()) {
      // The clock was read before `after` read it, so no allowance is needed.
      assert.ok(early <= 0, `the timer of ${delays[index]} ms was ${early} ms early`)
    }
    timers.stop()
  })

  it('hold the process while something is to come', async () => {
    const { code, output } = await run(`timers.after(20, () => console.log('done'))`)
    assert.deepEqual({ code, output }, { code: 0, output: 'done\n' })
  })

  it('let the process end once all is cancelled, or stopped', async () => {
    const [cancelled, stopped] = await Promise.all([
      run(`timers.after(${dayMs}, () => {})()`),
      run(`timers.after(${dayMs}, () => {}); timers.stop()`)
    ])
    assert.deepEqual([cancelled.code, stopped.code], [0, 0])
  })

  it('surface what an action throws, after the other due actions and without losing later ones', async () => {
    const { code, output } = await run(`
      process.on('uncaughtException', (error) => console.log('uncaught', error.message))
      timers.after(5, () => { throw new Error('first') })
      timers.after(5, () => { console.log('second') })
      timers.after(6, () => console.log('third'))
      while (performance.now() < startedMs + 8);
      timers.after(30, () => console.log('later'))`)
    assert.equal(code, 0)
    assert.deepEqual(output.trim().split('\n'), ['second', 'third', 'uncaught first', 'later'])
    const unhandled = await run(`timers.after(1, () => { throw new Error('nobody listens') })`)
    assert.equal(unhandled.code, 1)
    assert.match(unhandled.errors, /nobody listens/)
  })
})

/** Runs `script` in a process of its own; one that hangs is killed, and its code is null. */
async function run(script: string): Promise<{ code: number | null; output: string; errors: string }> {
  const module = new URL('../../runtime/wheel/armed-timers.js', import.meta.url).href
  const head = `import { ArmedTimers } from ${JSON.stringify(module)}
    const startedMs = performance.now()
    const timers = new ArmedTimers()\n`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', head + script], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 10_000,
    killSignal: 'SIGKILL'
  })
  const [[code], output, errors] = await Promise.all([once(child, 'exit'), text(child.stdout), text(child.stderr)])
  return { code, output, errors }
}
