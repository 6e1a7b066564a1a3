/**
 * The processes that a job has started, so that they end with it. Linux only: elsewhere they end with their host.
 *
 * Two ways to find them, since neither sees all. The kernel lists the children of each of our threads; that sees whatever
 * the thread started, also in a call that blocks it. And each child inherits the variable `ACTOR_RUNTIME_JOB`; that sees
 * grandchildren whose parents are gone, and what was started in the moment between the first look and the kill.
 */
import { readdirSync, readFileSync } from 'node:fs'

const jobVariable = 'ACTOR_RUNTIME_JOB'

/** Kills the processes that the thread has started, and theirs. @param taskId of the thread, as the kernel counts */
export function killChildrenOfThread(taskId: number): void {
  killAll(withDescendants(childrenOf(process.pid, taskId)))
}

/** Kills the processes that carry the name of the job. */
export function killProcessesOfJob(jobId: string): void {
  const marker = Buffer.from(`${jobVariable}=${jobId}\0`)
  killAll(
    processIds().filter((pid) => {
      if (pid === process.pid) return false
      const environment = readOrNothing(`/proc/${pid}/environ`)
      const at = environment.indexOf(marker)
      return at === 0 || (at > 0 && environment[at - 1] === 0)
    })
  )
}

/**
 * Whether children of threads that have ended have ended as well. Only their thread could have waited for them: they keep
 * their places in the process table until this process ends. The kernel counts them as children of the main thread, which
 * starts none of its own in a host.
 */
export function hasUnreapedChildren(): boolean {
  return childrenOf(process.pid, process.pid).some((pid) =>
    /\) Z [^)]*$/.test(readOrNothing(`/proc/${pid}/stat`).toString('latin1'))
  )
}

function withDescendants(pids: readonly number[]): number[] {
  return pids.flatMap((pid) => [pid, ...withDescendants(tasksOf(pid).flatMap((task) => childrenOf(pid, task)))])
}

function childrenOf(pid: number, taskId: number): number[] {
  return numbers(readOrNothing(`/proc/${pid}/task/${taskId}/children`).toString('latin1').split(' '))
}

function tasksOf(pid: number): number[] {
  return numbersIn(`/proc/${pid}/task`)
}

function processIds(): number[] {
  return numbersIn('/proc')
}

function numbersIn(folder: string): number[] {
  try {
    return numbers(readdirSync(folder))
  } catch {
    return []
  }
}

function numbers(texts: readonly string[]): number[] {
  return texts.filter((text) => /^\d+$/.test(text)).map(Number)
}

/** A process may end while we look, and another user's cannot be read. */
function readOrNothing(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch {
    return Buffer.alloc(0)
  }
}

function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended by itself.
    }
  }
}
