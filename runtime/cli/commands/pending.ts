/**
 * `runtime pending [--queue Q]`: what waits and runs, for each queue and in it for each method. The counts of a queue are
 * exact; those of its methods come from a look at a bounded number of its jobs, and it says so where that was not all.
 * `--json`: `{"total", "queues": [{"queue", "scheduled", "ready", "running", "complete", "methods": [{"method",
 * "scheduled", "ready", "running"}]}]}`; `complete`: every job has been looked at.
 */
import type { Runtime } from '../../core/api.ts'
import type { QueueView } from '../../core/job.ts'
import type { ClientSession } from '../client-session.ts'
import { counted } from '../text/counted.ts'
import type { Look } from '../text/look.ts'
import { oneLine } from '../text/printable.ts'
import { formatTable } from '../text/table.ts'

const states = ['scheduled', 'ready', 'running'] as const
type Pending = Record<(typeof states)[number], number>

interface QueuePending extends Pending {
  queue: string
  complete: boolean
  methods: (Pending & { method: string })[]
}

/** Jobs that are looked at in each queue and state. */
const lookedAtMax = 2_000
/** Jobs asked for at a time: their params come with them. */
const pageJobsMax = 200
/** A page may hold few jobs of the queue, where others are scheduled between them. */
const pagesMax = 20

export async function pending({ runtime, output }: ClientSession, options: { queue?: string }): Promise<void> {
  const all = await runtime.queue.list()
  const views = options.queue === undefined ? all : all.filter(({ queue }) => queue === options.queue)
  // Asked for by name, so that an unknown one is refused in the words of the supervisor.
  if (options.queue !== undefined && views.length === 0) await runtime.job.list({ queue: options.queue, limit: 1 })
  const queues: QueuePending[] = []
  for (const view of views) queues.push(await pendingOf(runtime, view))
  const total = queues.reduce((sum, queue) => sum + totalOf(queue), 0)
  output.answer({ total, queues }, (look) => formatPending(look, queues, total))
  const cut = queues.filter(({ complete }) => !complete).map(({ queue }) => oneLine(queue))
  if (cut.length > 0) {
    output.note(
      () =>
        `Not all jobs of ${cut.join(', ')} were looked at: ${lookedAtMax} in each state at most. Their methods may have more.`
    )
  }
}

async function pendingOf(runtime: Runtime, { queue, counts }: QueueView): Promise<QueuePending> {
  const methods = new Map<string, Pending>()
  let complete = true
  for (const state of states) {
    if (counts[state] === 0) continue
    let looked = 0
    let pages = 0
    let cursor: string | null = null
    do {
      const page = await runtime.job.list({ queue, state, limit: pageJobsMax, ...(cursor !== null && { cursor }) })
      for (const { method } of page.jobs) {
        const of = methods.get(method) ?? { scheduled: 0, ready: 0, running: 0 }
        of[state]++
        methods.set(method, of)
      }
      looked += page.jobs.length
      cursor = page.cursor
    } while (cursor !== null && looked < Math.min(counts[state], lookedAtMax) && ++pages < pagesMax)
    if (cursor !== null && looked < counts[state]) complete = false
  }
  const { scheduled, ready, running } = counts
  const sorted = [...methods].map(([method, of]) => ({ method, ...of })).sort((a, b) => totalOf(b) - totalOf(a))
  return { queue, scheduled, ready, running, complete, methods: sorted }
}

function totalOf({ scheduled, ready, running }: Pending): number {
  return scheduled + ready + running
}

function formatPending(look: Look, queues: readonly QueuePending[], total: number): string {
  if (total === 0) return 'No job waits or runs.'
  const rows = queues.flatMap((queue) =>
    totalOf(queue) === 0
      ? []
      : [
          rowOf(oneLine(queue.queue), '(all)', queue, ''),
          ...queue.methods.map((of) => rowOf('', of.method, of, queue.complete ? '' : 'at least'))
        ]
  )
  const table = formatTable(look, ['QUEUE', 'METHOD', 'SCHEDULED', 'READY', 'RUNNING', ''], rows)
  return `${table}\n${counted(total, 'job')} in all.`
}

function rowOf(queue: string, method: string, { scheduled, ready, running }: Pending, remark: string): string[] {
  return [queue, method, String(scheduled), String(ready), String(running), remark]
}
