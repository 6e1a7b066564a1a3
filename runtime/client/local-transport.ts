import type { Service } from '../core/api.ts'
import type { EventFilter } from '../core/events.ts'
import { checkedParams, dispatch } from '../rpc/dispatch.ts'
import type { Transport } from './transport.ts'

/**
 * Carries calls to a service in this process: looked up and checked as on the socket, but without JSON in between.
 *
 * @param stop ends the service; safe to call twice
 */
export function localTransport(service: Service, stop: Transport['stop']): Transport {
  return {
    call: (method, params) => dispatch(service, method, params),
    async subscribe(filter, listener) {
      const end = service.events.subscribe(checkedParams('events.subscribe', filter) as EventFilter, listener)
      return { unsubscribe: async () => void end() }
    },
    stop
  }
}
