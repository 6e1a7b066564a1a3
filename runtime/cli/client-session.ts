import type { Runtime } from '../core/api.ts'
import { type GlobalOptions, socketPathOf } from './global-options.ts'
import type { Output } from './output.ts'

/** What a client command works with. */
export interface ClientSession {
  runtime: Runtime
  output: Output
}

/**
 * Connects, runs `command`, and disconnects whatever came of it.
 *
 * @throws RuntimeError `NOT_CONNECTED`, `CONFIG_INVALID`, and what the command throws
 */
export async function withSupervisor<T>(
  options: GlobalOptions,
  output: Output,
  command: (session: ClientSession) => Promise<T>
): Promise<T> {
  const socketPath = await socketPathOf(options)
  const { connect } = await import('../client/connect.ts')
  const runtime = await connect(socketPath)
  try {
    return await command({ runtime, output })
  } finally {
    await runtime.stop()
  }
}
