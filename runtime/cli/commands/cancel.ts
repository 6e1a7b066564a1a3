import type { ClientSession } from '../client-session.ts'
import { oneLine } from '../text/printable.ts'

/** `runtime cancel ID`; `--json`: the answer of `job.cancel`. To cancel a finished job is no error; it stays as it is. */
export async function cancel({ runtime, output }: ClientSession, id: string): Promise<void> {
  const change = await runtime.job.cancel(id)
  output.answer(change, () =>
    change.changed ? `Cancelled ${oneLine(id)}.` : `${oneLine(id)} was ${change.state} already and stays so.`
  )
}
