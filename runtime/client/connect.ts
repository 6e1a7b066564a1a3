import type { Runtime } from '../core/api.ts'
import { openCaller } from '../rpc/caller.ts'
import { runtimeOver } from './facade.ts'

/**
 * Connects to a supervisor. The connection carries any number of calls at a time and keeps the process alive until
 * `stop()`. Once it ends, every call is rejected with `NOT_CONNECTED`; it does not connect again by itself.
 *
 * @param socketPath at most 107 bytes
 * @throws RuntimeError `NOT_CONNECTED` (nobody listens there, no permission), `SOCKET_INVALID` (path too long)
 */
export async function connect(socketPath: string): Promise<Runtime> {
  const caller = await openCaller(socketPath)
  return runtimeOver({
    call: (method, params) => caller.call(method, params),
    subscribe: (filter, listener, { cursor, onGap }) =>
      caller.subscribe(cursor === undefined ? filter : { ...filter, cursor }, { listener, onGap: onGap ?? (() => {}) }),
    stop: () => caller.stop()
  })
}
