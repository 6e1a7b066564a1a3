/**
 * `runtime stop [--deadline T]`: asks the supervisor to stop and returns when it has, so that a script can go on with
 * the data directory. It is gone when it no longer answers and its process has ended; a supervisor that is embedded in a
 * program is gone when it no longer answers, whatever the program does next.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Runtime } from '../../core/api.ts'
import { type Duration, durationToMs } from '../../core/duration.ts'
import { RuntimeError } from '../../core/errors.ts'
import type { ClientSession } from '../client-session.ts'
import { present } from '../present.ts'
import { counted } from '../text/counted.ts'

/** What the supervisor gives running jobs when nobody says otherwise. */
const defaultDeadlineMs = 30_000
/** Time to close the store after the last job. */
const closeMs = 15_000
/** How long the process may outlive its socket before it counts as a program that goes on. */
const processExitMs = 2_000
const checkEveryMs = 50

/** @throws RuntimeError `WAIT_TIMEOUT` when it still answers well after its deadline */
export async function stop({ runtime, output }: ClientSession, options: { deadline?: Duration }): Promise<void> {
  const { pid } = await runtime.status()
  await runtime.shutdown(present({ deadline: options.deadline }))
  const deadlineMs = durationToMs(options.deadline) ?? defaultDeadlineMs
  let toldRunning: number | undefined
  const silent = await becomes(deadlineMs + closeMs, async () => {
    const running = await runningJobs(runtime)
    if (running === null) return true
    if (running !== toldRunning) output.progress(`stopping: ${counted(running, 'job')} still running`)
    toldRunning = running
    return false
  })
  output.clearProgress()
  if (!silent) {
    throw new RuntimeError('WAIT_TIMEOUT', `The supervisor (pid ${pid}) was asked to stop and has not yet. It goes on.`)
  }
  await becomes(processExitMs, async () => !isAlive(pid))
  output.answer({ stopped: true, pid }, () => `Stopped the supervisor (pid ${pid}).`)
}

async function becomes(withinMs: number, check: () => Promise<boolean>): Promise<boolean> {
  const endMs = performance.now() + withinMs
  while (!(await check())) {
    if (performance.now() > endMs) return false
    await sleep(checkEveryMs)
  }
  return true
}

/** @returns how many jobs the supervisor still waits for; null when it no longer answers */
async function runningJobs(runtime: Runtime): Promise<number | null> {
  try {
    const { queues } = await runtime.status()
    return queues.reduce((sum, queue) => sum + queue.counts.running, 0)
  } catch (error) {
    if (error instanceof RuntimeError && error.code === 'NOT_CONNECTED') return null
    throw error
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
