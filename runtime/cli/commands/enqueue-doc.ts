import type { ClientSession } from '../client-session.ts'
import type { ExitCode } from '../exit-code.ts'
import { type EnqueueFlags, enqueueWith } from './enqueue.ts'

/** `runtime enqueue-doc TYPE NAME METHOD …`: a call of a method of a document; else as `runtime enqueue`. */
export function enqueueDoc(
  session: ClientSession,
  { type, name, method }: { type: string; name: string; method: string },
  flags: Omit<EnqueueFlags, 'key' | 'keyConcurrency'>
): Promise<ExitCode> {
  return enqueueWith(session, flags, (params, options) =>
    session.runtime.enqueueDoc(type, name, method, params, options)
  )
}
