import type { ClientSession } from '../client-session.ts'
import { counted } from '../text/counted.ts'

/** `runtime reload`; `--json`: the answer of `reload`. A module that does not load is a refusal, so it ends with 1. */
export async function reload({ runtime, output }: ClientSession): Promise<void> {
  const reloaded = await runtime.reload()
  output.answer(reloaded, () => `Reloaded ${counted(reloaded.methods, 'method')}: jobs from now on run the new code.`)
}
