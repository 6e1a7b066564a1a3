import type { ClientSession } from '../client-session.ts'
import { counted } from '../text/counted.ts'
import { oneLine } from '../text/printable.ts'
import { formatBytes } from '../text/status-text.ts'

/** `runtime backup DIR`; `--json`: the answer of `backup`. Nothing is left there where it is refused. */
export async function backup({ runtime, output }: ClientSession, directory: string): Promise<void> {
  const made = await runtime.backup(directory)
  output.answer(
    made,
    () =>
      `Backed up ${counted(made.jobs, 'job')} (${formatBytes(made.bytes)}) to ${oneLine(made.directory)} in ${made.durationMs} ms. ` +
      'It is synced and verified; "runtime serve --data-dir" opens it.'
  )
}
