/** Processes and threads as Linux shows them. A process that ends while we look is taken for gone. */
import { readdirSync, readFileSync } from 'node:fs'

export interface ProcessUsage {
  threads: number
  descriptors: number
  residentBytes: number
}

/** Every descendant that still has a parent among us, children first. Zombies count: nobody has waited for them. */
export function descendantsOf(pid: number): number[] {
  const children = numbersIn(`/proc/${pid}/task`).flatMap((task) =>
    textOf(`/proc/${pid}/task/${task}/children`).split(' ').filter(Boolean).map(Number)
  )
  return [...children, ...children.flatMap(descendantsOf)]
}

/** The host processes among the descendants. */
export function hostsOf(pid: number): number[] {
  return descendantsOf(pid).filter((child) => textOf(`/proc/${child}/cmdline`).split('\0').some(isHost))
}

function isHost(argument: string): boolean {
  return argument.endsWith('/pool/host.js')
}

/** Processes that were started by the job, wherever they hang by now: they inherited its name. */
export function processesOfJob(jobId: string): number[] {
  const variable = `ACTOR_RUNTIME_JOB=${jobId}`
  return numbersIn('/proc').filter((pid) => textOf(`/proc/${pid}/environ`).split('\0').includes(variable))
}

export function threadsOf(pid: number): number {
  return numbersIn(`/proc/${pid}/task`).length
}

export function usageOf(pid: number): ProcessUsage {
  const resident = /^VmRSS:\s+(\d+) kB/m.exec(textOf(`/proc/${pid}/status`))
  return {
    threads: threadsOf(pid),
    descriptors: numbersIn(`/proc/${pid}/fd`).length,
    residentBytes: Number(resident?.[1] ?? 0) * 1024
  }
}

/** For messages. */
export function describeProcess(pid: number): string {
  return `${pid} ${textOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim() || '(ended, not waited for)'}`
}

function numbersIn(folder: string): number[] {
  try {
    return readdirSync(folder)
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
  } catch {
    return []
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}
