/**
 * `runtime ready-for-migration`: may code and data be changed now? Not while a job is ready or running: then the exit code
 * is 1. Scheduled jobs do not count. `--json`: `{"ready", "pending": [{"queue", "ready", "running"}]}`.
 */
import type { ClientSession } from '../client-session.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { counted } from '../text/counted.ts'
import { oneLine } from '../text/printable.ts'

export async function readyForMigration({ runtime, output }: ClientSession): Promise<ExitCode> {
  const queues = await runtime.queue.list()
  const pending = queues
    .map(({ queue, counts: { ready, running } }) => ({ queue, ready, running }))
    .filter(({ ready, running }) => ready + running > 0)
  const isReady = pending.length === 0
  output.answer({ ready: isReady, pending }, () =>
    isReady
      ? 'Ready for migration: no job is ready or running.'
      : [
          'Not ready for migration:',
          ...pending.map(
            ({ queue, ready, running }) => `  ${oneLine(queue)}: ${counted(ready, 'job')} ready, ${running} running`
          ),
          '"runtime drain QUEUE" waits for them; "runtime maintenance on" keeps further ones from starting.'
        ].join('\n')
  )
  return isReady ? exitCodes.done : exitCodes.failed
}
