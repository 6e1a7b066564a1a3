/** What processes have used, from /proc. Linux only. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

export interface Usage {
  cpuSeconds: number
  voluntarySwitches: number
  involuntarySwitches: number
}

/** Of the process with all of its threads, and of its children. */
export function usageOf(root: number): Usage {
  const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
  const total: Usage = { cpuSeconds: 0, voluntarySwitches: 0, involuntarySwitches: 0 }
  for (const pid of processTree(root)) {
    // The second field is a name in parentheses, which may itself hold spaces and parentheses.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    total.cpuSeconds += (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8')
      total.voluntarySwitches += Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)![1])
      total.involuntarySwitches += Number(/^nonvoluntary_ctxt_switches:\s+(\d+)/m.exec(status)![1])
    }
  }
  return total
}

/** Resident memory of a process and its children that is no page of a file: a mapped store is the kernel's to take back. */
export function anonymousBytesOf(root: number): number {
  return processTree(root).reduce((total, pid) => {
    const anonymous = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return total + Number(anonymous?.[1] ?? 0) * 1024
  }, 0)
}

export function processTree(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
  )
  return [pid, ...children.flatMap(processTree)]
}
