import type { ClientSession } from '../client-session.ts'
import { readJsonArgument } from '../json-argument.ts'
import { prettyJson } from '../text/printable.ts'

/** `runtime call METHOD [JSON]`: any method of PROTOCOL.md; prints its result, indented for people. */
export async function call({ runtime, output }: ClientSession, method: string, json?: string): Promise<void> {
  const params = json === undefined ? undefined : await readJsonArgument('The argument [json]', json)
  const result = await runtime.call(method, params)
  output.answer(result, () => prettyJson(result))
}
