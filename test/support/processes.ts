import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

/** A process that has ended but was not asked for its exit code yet is not alive. */
export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return false
  }
}

/** Resolves when none of the processes is alive, at the latest after `withinMs`. @returns those that still are */
export async function stillAlive(pids: readonly number[], withinMs: number): Promise<number[]> {
  const untilMs = performance.now() + withinMs
  while (pids.some(isAlive) && performance.now() < untilMs) await pause(5)
  return pids.filter(isAlive)
}

/** The processes that this one has started and that are alive. */
export function children(): number[] {
  const pids = readFileSync(`/proc/self/task/${process.pid}/children`, 'latin1').split(' ')
  return pids
    .filter((pid) => pid !== '')
    .map(Number)
    .filter(isAlive)
}
