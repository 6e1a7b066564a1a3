/**
 * One client of the server: frames in, answers and events out. Requests run at the same time and are answered as they
 * end, so answers may come in another order; the answers of a batch come together, as one list.
 *
 * States: **open** → **draining** → **closed**. A draining connection takes no more requests and sends no more events; it
 * ends once what it owes has been answered. It drains because
 * - the client ended its side: answers may take as long as they take,
 * - the client broke the framing: whatever it still sends is swallowed for {@link drainMs}, so that the error can reach a
 *   client that is in the middle of writing,
 * - the server stops: owed answers have {@link drainMs}.
 *
 * What arrives is worked on in turns ({@link Turns}); until it is done nothing more is read. Whoever waits for an answer
 * when the connection closes is forgotten ({@link Caller}).
 */

import { isUtf8 } from 'node:buffer'
import type { Socket } from 'node:net'
import type { Caller, Service } from '../core/api.ts'
import { RuntimeError } from '../core/errors.ts'
import type { EventFilter } from '../core/events.ts'
import { jsonDepth } from '../core/json-depth.ts'
import { requestsInFlightMin } from '../core/limits.ts'
import type { Bounds } from './bounds.ts'
import type { ClientMemory, Holder } from './client-memory.ts'
import { cutBelow, valueDeeperThan } from './depth.ts'
import { checkedParams, dispatch } from './dispatch.ts'
import { FrameSplitter } from './framing.ts'
import {
  errorText,
  invalidRequest,
  isRequest,
  parseError,
  RpcError,
  type RpcRequest,
  resultText,
  standardErrors
} from './json-rpc.ts'
import { Output } from './output.ts'
import {
  answerTooLarge,
  paramsInvalid,
  tooManyEntries,
  tooManyInFlight,
  tooManyInFlightTogether,
  tooMuchHeld
} from './refusals.ts'
import { Subscriptions } from './subscriptions.ts'
import type { Turns } from './turns.ts'

/** Time that a connection which the server closes has to take its answers. */
const drainMs = 1_000
/** How often a connection whose client ended its side, but is owed an answer, is checked for being gone altogether. */
const probeMs = 1_000

export interface ConnectionContext {
  readonly service: Service
  readonly bounds: Readonly<Bounds>
  /** Told of whatever is thrown that is not an operating error, and by which method; `accept`: by the listener. */
  readonly onInternalError: (error: unknown, method: string) => void
  /** Shared by all connections. */
  readonly turns: Turns
  readonly memory: ClientMemory
  readonly load: { requestsInFlight: number }
}

/** The text of an answer; undefined: none is due, as for notifications. */
type Answer = string | undefined

export class Connection implements Holder {
  /** Resolves when the socket is closed. */
  readonly closed: Promise<void>
  readonly #socket: Socket
  readonly #context: ConnectionContext
  readonly #splitter: FrameSplitter
  readonly #output: Output
  readonly #subscriptions: Subscriptions
  #state: 'open' | 'draining' | 'closed' = 'open'
  #requestsInFlight = 0
  #framesOwed = 0
  #timer: NodeJS.Timeout | undefined
  /** Runs while a frame has arrived in part. */
  #frameTimer: NodeJS.Timeout | undefined
  #isWorking = false
  #clientHasEnded = false
  readonly #waiting = new Set<() => void>()
  readonly #caller: Caller = {
    onGone: (listener) => {
      this.#waiting.add(listener)
      return () => this.#waiting.delete(listener)
    }
  }

  constructor(socket: Socket, context: ConnectionContext) {
    this.#socket = socket
    this.#context = context
    this.#splitter = new FrameSplitter(context.bounds.frameBytesMax)
    const { unreadOutputBytesMax, unreadEventBytesMax, subscriptionsMax } = context.bounds
    this.#output = new Output(
      socket,
      unreadOutputBytesMax,
      () => this.#subscriptions.catchUp(),
      () => this.#countHeld()
    )
    this.#subscriptions = new Subscriptions({
      events: context.service.events,
      max: subscriptionsMax,
      ready: () => this.#output.unreadBytes <= unreadEventBytesMax,
      notify: (notice) => this.#send(JSON.stringify({ jsonrpc: '2.0', method: 'event', params: notice }))
    })
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('end', () => this.#clientEnded())
    // A client may go away at any moment; `close` follows and says all there is to say.
    socket.on('error', () => undefined)
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#state = 'closed'
        clearInterval(this.#timer)
        this.#stopFrameTimer()
        this.#subscriptions.endAll()
        this.#forgetWaiting()
        context.memory.holds(this, 0)
        resolve()
      })
    })
  }

  /** Takes no more requests, sends the answers that are owed, and closes within {@link drainMs}. Safe to call twice. */
  stop(): Promise<void> {
    this.#closeWithin(drainMs)
    this.#socket.once('finish', () => this.#socket.destroy())
    if (this.#socket.writableFinished) this.#socket.destroy()
    return this.closed
  }

  /** Answers nothing but `error`, then closes. */
  refuse(error: RuntimeError | RpcError): void {
    this.#send(errorText(null, error))
    this.#closeWithin(drainMs)
  }

  /** Closes because of what it holds; see {@link ClientMemory}. */
  letGo(): void {
    const unreadBytes = this.#output.unreadBytes
    if (this.#state !== 'open' || unreadBytes > this.#splitter.heldBytes) this.#socket.destroy()
    else this.refuse(tooMuchHeld(this.#context.bounds.clientBytesMax))
    this.#splitter.forget()
  }

  #read(chunk: Buffer): void {
    if (this.#state !== 'open') return
    const frames = this.#splitter.push(chunk)
    if (frames.length > 0) this.#stopFrameTimer()
    this.#isWorking = true
    this.#goOn(this.#take(frames))
  }

  /** Works as long as the turn lasts, and goes on in later ones. */
  #goOn(work: Iterator<void>): void {
    while (this.#state !== 'closed') {
      if (this.#context.turns.isOver) {
        this.#socket.pause()
        this.#stopFrameTimer()
        this.#context.turns.later(() => this.#goOn(work))
        return
      }
      if (work.next().done) {
        this.#isWorking = false
        this.#afterWork()
        return
      }
    }
  }

  #afterWork(): void {
    this.#socket.resume()
    if (this.#state !== 'open') return
    if (this.#splitter.violation !== undefined) this.refuse(this.#splitter.violation)
    else if (this.#clientHasEnded) this.#clientEnded()
    else if (this.#splitter.isWithinFrame) this.#startFrameTimer()
    this.#countHeld()
  }

  #startFrameTimer(): void {
    const { frameMsMax } = this.#context.bounds
    this.#frameTimer ??= setTimeout(
      () => this.refuse(parseError(`the request is not complete ${frameMsMax / 1000} s after its begin`)),
      frameMsMax
    ).unref()
  }

  #stopFrameTimer(): void {
    clearTimeout(this.#frameTimer)
    this.#frameTimer = undefined
  }

  #countHeld(): void {
    if (this.#state !== 'closed') this.#context.memory.holds(this, this.#splitter.heldBytes + this.#output.unreadBytes)
  }

  /** Each step is a request: of a frame, or of its batch. */
  *#take(frames: readonly Buffer[]): Generator<void> {
    for (const frame of frames) {
      if (this.#state !== 'open') return
      yield* this.#takeFrame(frame)
      yield
    }
  }

  *#takeFrame(frame: Buffer): Generator<void> {
    const { paramsDepthMax, unreadOutputBytesMax } = this.#context.bounds
    let parsed: ParsedFrame
    try {
      parsed = parse(frame, paramsDepthMax)
    } catch (error) {
      this.#send(errorText(null, error as RpcError))
      return
    }
    const { message, deep } = parsed
    const owed: Owed = { bytes: unreadOutputBytesMax, deep, subscriptions: [] }
    this.#framesOwed += 1
    const answer = Array.isArray(message) ? yield* this.#answerBatch(message, owed) : this.#answer(message, owed)
    if (answer instanceof Promise) answer.then((text) => this.#settleFrame(text, owed))
    else this.#settleFrame(answer, owed)
  }

  #settleFrame(answer: Answer, { subscriptions }: Owed): void {
    this.#framesOwed -= 1
    if (answer !== undefined) this.#send(answer)
    for (const subscription of subscriptions) this.#subscriptions.begin(subscription)
    this.#endIfNothingOwed()
  }

  *#answerBatch(messages: readonly unknown[], owed: Owed): Generator<void, Answer | Promise<Answer>> {
    const { batchEntriesMax } = this.#context.bounds
    if (messages.length === 0) return errorText(null, invalidRequest('the batch is empty'))
    if (messages.length > batchEntriesMax) return errorText(null, tooManyEntries(messages.length, batchEntriesMax))
    const answers: (Answer | Promise<Answer>)[] = []
    for (const message of messages) {
      answers.push(this.#answer(message, owed))
      yield
    }
    return Promise.all(answers).then((all) => {
      const texts = all.filter((text) => text !== undefined)
      return texts.length === 0 ? undefined : `[${texts.join(',')}]`
    })
  }

  /** @returns the answer, not as a promise where it needs no waiting */
  #answer(message: unknown, owed: Owed): Answer | Promise<Answer> {
    if (!isRequest(message)) return errorText(null, invalidRequest('not a request object of JSON-RPC 2.0'))
    // The params are not kept while the answer takes its time.
    const { id, method, params } = message
    const { service, bounds } = this.#context
    const request = { id, method }
    try {
      this.#refuseTooMany()
      if (owed.deep && valueDeeperThan(params, bounds.paramsDepthMax)) {
        throw paramsInvalid(method, `params are nested more than ${bounds.paramsDepthMax} levels deep.`)
      }
      if (method === 'events.subscribe') return this.#succeed(request, this.#subscribe(params, owed), owed)
      if (method === 'events.unsubscribe') return this.#succeed(request, this.#unsubscribe(params), owed)
    } catch (error) {
      return this.#fail(request, error)
    }
    this.#countInFlight(1)
    return this.#answerTo(request, dispatch(service, method, params, this.#caller), owed)
  }

  #answerTo(request: Asked, result: Promise<unknown>, owed: Owed): Promise<Answer> {
    return (
      result
        .then((value) => this.#succeed(request, value, owed))
        .catch((error: unknown) => this.#fail(request, error))
        // An error whose data is not JSON is a defect like any other.
        .catch((error: unknown) => this.#fail(request, error))
        .finally(() => this.#countInFlight(-1))
    )
  }

  /** @throws RuntimeError `TOO_MANY_REQUESTS` */
  #refuseTooMany(): void {
    const { bounds, load } = this.#context
    const { requestsInFlightMax, requestsInFlightTotalMax } = bounds
    if (this.#requestsInFlight >= requestsInFlightMax) throw tooManyInFlight(requestsInFlightMax)
    if (load.requestsInFlight >= requestsInFlightTotalMax && this.#requestsInFlight >= requestsInFlightMin) {
      throw tooManyInFlightTogether(requestsInFlightTotalMax)
    }
  }

  #countInFlight(by: number): void {
    if (this.#state === 'closed') return
    this.#requestsInFlight += by
    this.#context.load.requestsInFlight += by
  }

  /** It is closed: whatever waits will not be answered. */
  #forgetWaiting(): void {
    this.#context.load.requestsInFlight -= this.#requestsInFlight
    this.#requestsInFlight = 0
    for (const giveUp of this.#waiting) giveUp()
    this.#waiting.clear()
  }

  #succeed({ id }: Asked, result: unknown, owed: Owed): Answer {
    if (id === undefined || this.#state === 'closed') return undefined
    const text = resultText(id, result)
    const bytes = Buffer.byteLength(text)
    if (bytes > owed.bytes) return errorText(id, answerTooLarge(bytes, this.#context.bounds.unreadOutputBytesMax))
    owed.bytes -= bytes
    return text
  }

  #fail({ id, method }: Asked, error: unknown): Answer {
    const known = error instanceof RuntimeError || error instanceof RpcError
    if (!known) this.#context.onInternalError(error, method)
    return id === undefined ? undefined : errorText(id, known ? error : internalError(method))
  }

  #subscribe(params: unknown, owed: Owed): { subscription: string; cursor: string } {
    const { cursor, ...filter } = checkedParams('events.subscribe', params) as EventFilter & { cursor?: string }
    const subscribed = this.#subscriptions.add(filter, cursor)
    owed.subscriptions.push(subscribed.subscription)
    return subscribed
  }

  #unsubscribe(params: unknown): { unsubscribed: boolean } {
    const { subscription } = checkedParams('events.unsubscribe', params) as { subscription: string }
    return { unsubscribed: this.#subscriptions.end(subscription) }
  }

  #send(text: string): void {
    this.#output.send(text, this.#splitter.framing)
  }

  #clientEnded(): void {
    if (this.#state !== 'open') return
    if (this.#isWorking) {
      this.#clientHasEnded = true
      return
    }
    this.#drain()
    // A client that is gone looks like one that only ended its side, until something is written: nothing will do.
    this.#timer ??= setInterval(() => this.#socket.writable && this.#socket.write(Buffer.alloc(0)), probeMs).unref()
  }

  #closeWithin(timeMs: number): void {
    clearInterval(this.#timer)
    this.#timer = setTimeout(() => this.#socket.destroy(), timeMs)
    this.#drain()
  }

  #drain(): void {
    if (this.#state === 'open') this.#state = 'draining'
    this.#subscriptions.endAll()
    this.#endIfNothingOwed()
  }

  #endIfNothingOwed(): void {
    if (this.#state === 'draining' && this.#framesOwed === 0) this.#output.end()
  }
}

/** A request without its params. */
interface Asked {
  id: RpcRequest['id'] | undefined
  method: string
}

interface ParsedFrame {
  message: unknown
  /** Some params in it may be too deep; those that are have been cut, but not to a depth that is allowed. */
  deep: boolean
}

/** The answers to one frame: what they may still use, and what comes after them. */
interface Owed {
  bytes: number
  /** Whether its params need a look for depth. */
  readonly deep: boolean
  /** Begin once the frame is answered, so that no event comes before. */
  readonly subscriptions: string[]
}

/** @throws RpcError the frame is not UTF-8 or not JSON */
function parse(frame: Buffer, paramsDepthMax: number): ParsedFrame {
  if (!isUtf8(frame)) throw parseError('the frame is not UTF-8')
  const text = frame.toString()
  // Each level takes two characters, and one level is the request, or two the batch and the request.
  const deep = text.length > 2 * paramsDepthMax && jsonDepth(text) > paramsDepthMax + 1
  try {
    return { message: JSON.parse(deep ? cutBelow(frame, paramsDepthMax + 2).toString() : text), deep }
  } catch (error) {
    throw parseError((error as Error).message)
  }
}

function internalError(method: string): RpcError {
  return new RpcError(
    standardErrors.internalError.rpc,
    `Internal error: "${method}" met a defect of the supervisor, which has logged it.`
  )
}
