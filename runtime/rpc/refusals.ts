/** What a client is told when its params do not fit, or when it meets one of the {@link Bounds} of the server. */
import { RuntimeError } from '../core/errors.ts'

export function tooManyConnections(connectionsMax: number): RuntimeError {
  return new RuntimeError(
    'TOO_MANY_REQUESTS',
    `Cannot take the connection: ${connectionsMax} are open. Close some, or send more requests over one.`,
    { connectionsMax }
  )
}

export function tooManyInFlight(requestsInFlightMax: number): RuntimeError {
  return new RuntimeError(
    'TOO_MANY_REQUESTS',
    `Cannot take the request: ${requestsInFlightMax} of this connection wait for an answer. Wait for some of them.`,
    { requestsInFlightMax }
  )
}

export function tooManyInFlightTogether(requestsInFlightTotalMax: number): RuntimeError {
  return new RuntimeError(
    'TOO_MANY_REQUESTS',
    `Cannot take the request: ${requestsInFlightTotalMax} of all connections wait for an answer, and many of them are of this one. Wait for some of them.`,
    { requestsInFlightTotalMax }
  )
}

export function tooMuchHeld(clientBytesMax: number): RuntimeError {
  return new RuntimeError(
    'TOO_MANY_REQUESTS',
    `Cannot read the request: requests that have arrived in part and unread answers of all connections take more than ${clientBytesMax} bytes, and this connection holds the most. Send large requests one after the other. The connection is closed.`,
    { clientBytesMax }
  )
}

export function tooManyEntries(entries: number, batchEntriesMax: number): RuntimeError {
  return new RuntimeError(
    'TOO_MANY_REQUESTS',
    `Cannot take a batch of ${entries} requests: at most ${batchEntriesMax}. Send several batches, or use enqueueMany.`,
    { batchEntriesMax }
  )
}

export function tooManySubscriptions(subscriptionsMax: number): RuntimeError {
  return new RuntimeError(
    'TOO_MANY_REQUESTS',
    `Cannot subscribe: this connection has ${subscriptionsMax} subscriptions. End one, or open another connection.`,
    { subscriptionsMax }
  )
}

export function frameTooLarge(bytesMax: number): RuntimeError {
  return new RuntimeError(
    'FRAME_TOO_LARGE',
    `Cannot read the request: it is larger than ${bytesMax} bytes. Send less in one request or batch. The connection is closed.`,
    { bytesMax }
  )
}

export function answerTooLarge(bytes: number, bytesMax: number): RuntimeError {
  return new RuntimeError(
    'FRAME_TOO_LARGE',
    `Cannot send the answer of ${bytes} bytes: with the others of its batch it is larger than ${bytesMax}. The request was carried out. Ask for less at a time.`,
    { bytesMax }
  )
}

/** Params that do not fit `method`. */
export function paramsInvalid(method: string, problem: string, data: Record<string, unknown> = {}): RuntimeError {
  return new RuntimeError('PARAMS_INVALID', `Cannot call "${method}": ${problem}`, data)
}
