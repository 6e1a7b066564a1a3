/** Ways of giving work to a system: as fast as it takes it with so many calls in flight, or at planned instants. */
import { Worker } from 'node:worker_threads'
import { monotonicMs } from './bench-actor.ts'

/** Bytes of a payload that make the params of a job about 100 bytes of JSON. */
export const usualPayload = 'x'.repeat(70)

/**
 * Keeps `window` calls in flight for `forMs`, then waits for the last.
 *
 * @returns calls that were answered, per second
 */
export async function answeredPerSecond(window: number, forMs: number, call: (index: number) => Promise<unknown>) {
  const fromMs = performance.now()
  const untilMs = fromMs + forMs
  let next = 0
  const one = async () => {
    while (performance.now() < untilMs) await call(next++)
  }
  await Promise.all(Array.from({ length: window }, one))
  return (1000 * next) / (performance.now() - fromMs)
}

/** @returns seconds until all of the calls were answered */
export async function secondsFor(count: number, window: number, call: (index: number) => Promise<unknown>) {
  const fromMs = performance.now()
  let next = 0
  const one = async () => {
    while (next < count) await call(next++)
  }
  await Promise.all(Array.from({ length: window }, one))
  return (performance.now() - fromMs) / 1000
}

export interface OpenLoop {
  /** On the clock of {@link monotonicMs}, one for each call. */
  plannedMs: number[]
  /** How late each call was made: what the generator and the busy thread of the caller add. */
  lateMs: number[]
}

/**
 * An open loop: calls are planned for fixed instants and made whether or not earlier ones are answered, and who measures
 * counts from the planned instant. So a system that stalls is charged for all the calls that should have been made meanwhile
 * (no coordinated omission). A thread of its own keeps the time, since timers of Node are a millisecond late and the caller's may
 * be busy; it sleeps between the instants.
 *
 * @param call its promise is awaited at the end, all together
 */
export async function openLoop(perSecond: number, count: number, call: (index: number) => Promise<unknown>) {
  const metronome = new Worker(new URL('./metronome.js', import.meta.url), { workerData: { perSecond, count } })
  const calls: Promise<unknown>[] = []
  const lateMs: number[] = []
  let firstMs = 0
  try {
    await new Promise<void>((resolve, reject) => {
      metronome.once('error', reject)
      metronome.on('message', ({ fromMs, due }: { fromMs: number; due: number }) => {
        firstMs = fromMs
        while (calls.length < due) {
          lateMs.push(monotonicMs() - firstMs - (1000 * calls.length) / perSecond)
          calls.push(call(calls.length))
        }
        if (calls.length === count) resolve()
      })
    })
    await Promise.all(calls)
  } finally {
    await metronome.terminate()
  }
  const plannedMs = Array.from({ length: count }, (_, index) => firstMs + (1000 * index) / perSecond)
  return { plannedMs, lateMs } satisfies OpenLoop
}
