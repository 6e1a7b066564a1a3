import {
  batchEntriesMax,
  clientBytesMax,
  connectionsMax,
  frameBytesMax,
  frameMsMax,
  jsonDepthMax,
  requestsInFlightMax,
  requestsInFlightTotalMax,
  unreadEventBytesMax,
  unreadOutputBytesMax
} from '../core/limits.ts'

/** What one server lets its clients use. Each bound has an answer of its own, which PROTOCOL.md lists. */
export interface Bounds {
  /** Bytes of one request or batch. Beyond: `FRAME_TOO_LARGE`, and the connection is closed. */
  frameBytesMax: number
  /** Time from the first byte of a request to its last. Beyond: −32700, and the connection is closed. */
  frameMsMax: number
  /** Levels of arrays and objects in the `params` of one request. Beyond: `PARAMS_INVALID`. */
  paramsDepthMax: number
  /** Beyond: `TOO_MANY_REQUESTS` for the batch as a whole. */
  batchEntriesMax: number
  /** Beyond: `TOO_MANY_REQUESTS`, and the new connection is closed. */
  connectionsMax: number
  /** Unanswered requests of one connection. Beyond: `TOO_MANY_REQUESTS`. */
  requestsInFlightMax: number
  /** Of all connections together, where one has more than a few. Beyond: `TOO_MANY_REQUESTS`. */
  requestsInFlightTotalMax: number
  /** Event subscriptions of one connection. Beyond: `TOO_MANY_REQUESTS`. */
  subscriptionsMax: number
  /** Unread bytes of one connection above which its events wait, until they are not kept any more: then a gap is announced. */
  unreadEventBytesMax: number
  /**
   * Bytes of one answer; beyond, the answer is `FRAME_TOO_LARGE`. Also the bytes that a client may leave unread; beyond,
   * it is disconnected.
   */
  unreadOutputBytesMax: number
  /** Bytes that all connections hold, half requests and unread output. Beyond, the one that holds the most is closed. */
  clientBytesMax: number
}

export const boundsDefault: Readonly<Bounds> = {
  frameBytesMax,
  frameMsMax,
  // The params of a job, whose depth the queue checks, lie four levels deep in those of `transaction`.
  paramsDepthMax: jsonDepthMax + 4,
  batchEntriesMax,
  connectionsMax,
  requestsInFlightMax,
  requestsInFlightTotalMax,
  subscriptionsMax: 100,
  unreadEventBytesMax,
  unreadOutputBytesMax,
  clientBytesMax
}
