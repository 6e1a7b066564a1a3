import type { ClientSession } from '../client-session.ts'
import { readJsonArgument } from '../json-argument.ts'
import { oneLine } from '../text/printable.ts'

/** `runtime signal ID NAME [JSON]`; `--json`: the answer of `job.signal`. */
export async function signal(
  { runtime, output }: ClientSession,
  id: string,
  name: string,
  json: string | undefined
): Promise<void> {
  const payload = json === undefined ? undefined : await readJsonArgument('The payload', json)
  const change = await runtime.job.signal(id, name, payload)
  output.answer(change, () => `Sent ${oneLine(name)} to ${oneLine(id)}, which is ${change.state}.`)
}
