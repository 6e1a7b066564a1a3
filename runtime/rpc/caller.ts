/**
 * The client's end of one connection: calls that run at the same time, and the events of subscriptions.
 *
 * The server refuses more than a number of unanswered requests. Calls that are answered at once are therefore held back
 * beyond {@link callsInFlightMax} and sent as answers come in. Calls that wait for a job are never held back, and never
 * hold others back: a program may well wait for thousands of jobs and cancel one.
 */
import type { Socket } from 'node:net'
import { RuntimeError } from '../core/errors.ts'
import type { EventFilter, EventListener, GapListener } from '../core/events.ts'
import { frameBytesMax, requestsInFlightMax, unreadOutputBytesMax } from '../core/limits.ts'
import { preview } from '../core/preview.ts'
import { FrameSplitter } from './framing.ts'
import { type RpcAnswer, toError } from './json-rpc.ts'
import { Output } from './output.ts'
import { paramsInvalid } from './refusals.ts'
import { checkSocketPath, connectSocket } from './socket-path.ts'
import type { EventNotice } from './subscriptions.ts'

const callsInFlightMax = requestsInFlightMax / 4

interface Call {
  text: string
  /** Waits for a job, so it can take any time. */
  lasting: boolean
  resolve(result: unknown): void
  reject(error: Error): void
}

interface Subscriber {
  listener: EventListener
  onGap: GapListener
}

/**
 * @param socketPath at most 107 bytes
 * @throws RuntimeError `SOCKET_INVALID` (path too long), `NOT_CONNECTED` (nobody listens there, no permission)
 */
export async function openCaller(socketPath: string): Promise<RpcCaller> {
  checkSocketPath(socketPath)
  const socket = await connectSocket(socketPath).catch((error: NodeJS.ErrnoException) => {
    const advice =
      error.code === 'EACCES'
        ? 'this user may not use it.'
        : 'no supervisor listens there. Start one with `runtime serve`, or name the socket of the one that runs.'
    throw new RuntimeError(
      'NOT_CONNECTED',
      `Cannot connect to ${socketPath}: ${advice}`,
      { path: socketPath, reason: error.code },
      { cause: error }
    )
  })
  return new RpcCaller(socket, socketPath)
}

export class RpcCaller {
  readonly #socket: Socket
  readonly #splitter = new FrameSplitter(unreadOutputBytesMax)
  readonly #output: Output
  readonly #closed: Promise<void>
  readonly #calls = new Map<number, Call>()
  /** Oldest first; those before {@link RpcCaller.#heldBackFrom} have been sent. */
  #heldBack: Call[] = []
  #heldBackFrom = 0
  readonly #subscribers = new Map<string, Subscriber>()
  #shortCallsInFlight = 0
  #callsMade = 0
  /** Why the connection is of no use any more. */
  #ended: RuntimeError | undefined

  constructor(socket: Socket, socketPath: string) {
    this.#socket = socket
    this.#output = new Output(socket, Number.POSITIVE_INFINITY)
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    let reason = 'the supervisor closed the connection'
    socket.on('error', (error) => {
      reason = error.message
    })
    this.#closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#end(
          notConnected(`The connection to ${socketPath} ended: ${reason}. Calls may or may not have taken effect.`)
        )
        resolve()
      })
    })
  }

  /**
   * @throws RuntimeError with the code of the answer; `NOT_CONNECTED` once the connection has ended; `FRAME_TOO_LARGE`,
   * `PARAMS_INVALID` where the params cannot be sent
   * @throws RpcError an error of the protocol itself
   */
  call(method: string, params: unknown = {}): Promise<unknown> {
    return new Promise((resolve, reject) => this.#call(method, params, resolve, reject))
  }

  /**
   * @returns where the subscription begins, and the function that ends it; safe to call twice
   * @throws RuntimeError as {@link RpcCaller.call}
   */
  subscribe(
    params: EventFilter & { cursor?: string },
    subscriber: Subscriber
  ): Promise<{ cursor: string; unsubscribe: () => Promise<void> }> {
    return new Promise((resolve, reject) => {
      // Events can be in the same chunk as the answer, so the subscriber has to be there before any promise has run.
      const subscribed = (result: unknown) => {
        const { subscription, cursor } = result as { subscription: string; cursor: string }
        this.#subscribers.set(subscription, subscriber)
        resolve({ cursor, unsubscribe: () => this.#unsubscribe(subscription) })
      }
      this.#call('events.subscribe', params, subscribed, reject)
    })
  }

  /** Closes the connection; calls without an answer are rejected with `NOT_CONNECTED`. Safe to call twice. */
  stop(): Promise<void> {
    this.#end(notConnected('The connection was closed by stop().'))
    this.#socket.destroy()
    return this.#closed
  }

  #call(method: string, params: unknown, resolve: Call['resolve'], reject: Call['reject']): void {
    if (this.#ended !== undefined) throw this.#ended
    const id = ++this.#callsMade
    const text = requestText(id, method, params)
    const call: Call = { text, lasting: waitsForJob(method, params), resolve, reject }
    this.#calls.set(id, call)
    if (call.lasting) this.#send(call)
    else if (this.#shortCallsInFlight >= callsInFlightMax) this.#heldBack.push(call)
    else this.#sendShort(call)
  }

  #sendShort(call: Call): void {
    this.#shortCallsInFlight += 1
    this.#send(call)
  }

  #send(call: Call): void {
    this.#output.send(call.text, 'line')
    call.text = ''
  }

  #read(chunk: Buffer): void {
    for (const frame of this.#splitter.push(chunk)) {
      const message = parseMessage(frame)
      if (message === undefined) this.#giveUp()
      else if ('method' in message) this.#takeEvent(message.params)
      else this.#takeAnswer(message)
    }
    if (this.#splitter.violation !== undefined) this.#giveUp()
  }

  #giveUp(): void {
    this.#end(notConnected('What listens at the socket does not answer as a supervisor does. Check the path.'))
    this.#socket.destroy()
  }

  #takeEvent(notice: EventNotice): void {
    const subscriber = this.#subscribers.get(notice.subscription)
    if ('gap' in notice) subscriber?.onGap(notice.gap, notice.cursor)
    else subscriber?.listener(notice.event, notice.cursor)
  }

  #takeAnswer({ id, result, error }: RpcAnswer): void {
    // An answer to no request is about the connection as a whole, which the server closes then.
    if (id === null && error !== undefined) this.#end(toError(error))
    const call = this.#calls.get(id as number)
    if (call === undefined) return
    this.#calls.delete(id as number)
    if (!call.lasting) {
      this.#shortCallsInFlight -= 1
      this.#sendHeldBack()
    }
    if (error === undefined) call.resolve(result)
    else call.reject(toError(error))
  }

  #sendHeldBack(): void {
    const next = this.#heldBack[this.#heldBackFrom]
    if (next !== undefined) {
      this.#heldBackFrom += 1
      this.#sendShort(next)
    } else if (this.#heldBackFrom > 0) {
      this.#heldBack = []
      this.#heldBackFrom = 0
    }
  }

  async #unsubscribe(subscription: string): Promise<void> {
    if (!this.#subscribers.delete(subscription) || this.#ended !== undefined) return
    await this.call('events.unsubscribe', { subscription })
  }

  #end(error: Error): void {
    if (this.#ended !== undefined) return
    this.#ended = error as RuntimeError
    this.#subscribers.clear()
    this.#heldBack = []
    for (const call of this.#calls.values()) call.reject(error)
    this.#calls.clear()
  }
}

function waitsForJob(method: string, params: unknown): boolean {
  if (method === 'job.wait' || method === 'queue.drain' || method === 'backup') return true
  const { now, isAsync } = params as { now?: unknown; isAsync?: unknown }
  return (method === 'enqueue' || method === 'enqueueDoc') && (now === true || isAsync === false)
}

interface EventNotification {
  method: 'event'
  params: EventNotice
}

/** @returns undefined where it is no message of a supervisor */
function parseMessage(frame: Buffer): EventNotification | RpcAnswer | undefined {
  try {
    const message = JSON.parse(frame.toString())
    return message?.jsonrpc === '2.0' ? message : undefined
  } catch {
    return undefined
  }
}

function requestText(id: number, method: string, params: unknown): string {
  if (typeof params !== 'object' || params === null) {
    throw paramsInvalid(method, `params: expected an object, got ${preview(params)}.`)
  }
  let text: string
  try {
    text = JSON.stringify({ jsonrpc: '2.0', id, method, params })
  } catch (error) {
    throw paramsInvalid(method, `the params cannot be written as JSON: ${(error as Error).message}`)
  }
  const bytes = Buffer.byteLength(text)
  if (bytes <= frameBytesMax) return text
  throw new RuntimeError(
    'FRAME_TOO_LARGE',
    `Cannot call "${method}": the request has ${bytes} bytes, at most ${frameBytesMax} can be sent. Send less at a time.`,
    { bytesMax: frameBytesMax }
  )
}

function notConnected(message: string): RuntimeError {
  return new RuntimeError('NOT_CONNECTED', message)
}
