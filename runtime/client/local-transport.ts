import type { Service } from '../core/api.ts'
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
    async subscribe(filter, listener, { cursor, onGap = () => {} }) {
      const params = checkedParams('events.subscribe', cursor === undefined ? filter : { ...filter, cursor })
      // Copied: the program may use its object for something else.
      const following = service.events.follow({ filter: structuredClone(params), cursor, listener, onGap })
      following.catchUp()
      return { cursor: following.cursor, unsubscribe: async () => following.end() }
    },
    stop
  }
}
