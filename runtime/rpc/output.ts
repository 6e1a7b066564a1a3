/**
 * What is sent on one socket. Texts of one tick leave in one write.
 *
 * A peer that does not read makes its output pile up here. Once more than `unreadBytesMax` of it waits and yet another
 * text comes, the socket is destroyed; so one text may be larger than the bound, and memory stays within the bound and
 * one text. Whoever can do without sending looks at {@link Output.unreadBytes} before, and is told when it shrinks.
 */
import type { Socket } from 'node:net'
import { failPoint } from '../core/fail-points.ts'
import { type Framing, frameText } from './framing.ts'

export class Output {
  readonly #socket: Socket
  readonly #unreadBytesMax: number
  readonly #onRead: () => void
  readonly #onChange: () => void
  #texts: string[] = []
  #waitingBytes = 0

  /**
   * @param onRead called when the system has taken some of what waited
   * @param onChange called when {@link Output.unreadBytes} may have changed
   */
  constructor(socket: Socket, unreadBytesMax: number, onRead: () => void = () => {}, onChange: () => void = () => {}) {
    this.#socket = socket
    this.#unreadBytesMax = unreadBytesMax
    this.#onRead = onRead
    this.#onChange = onChange
  }

  /** What waits here because the peer has not read what was sent before it. */
  get unreadBytes(): number {
    return this.#socket.writableLength + this.#waitingBytes
  }

  /** Sends one JSON value. Does nothing once the socket is destroyed or ended. */
  send(text: string, framing: Framing): void {
    if (!this.#socket.writable) return
    if (this.unreadBytes > this.#unreadBytesMax) {
      this.#texts = []
      this.#socket.destroy()
      return
    }
    if (this.#texts.length === 0) process.nextTick(() => this.#flush())
    const framed = frameText(text, framing)
    this.#texts.push(framed)
    this.#waitingBytes += Buffer.byteLength(framed)
  }

  /** Sends what waits, then ends this side of the connection. */
  end(): void {
    this.#flush()
    this.#socket.end()
  }

  #flush(): void {
    if (this.#texts.length === 0) return
    const bytes = Buffer.from(this.#texts.join(''))
    this.#texts = []
    this.#waitingBytes = 0
    if (!this.#socket.writable) return
    failPoint('answer.ready')
    this.#socket.write(bytes, (error) => {
      if (error) return
      this.#onChange()
      this.#onRead()
    })
    failPoint('answer.written')
    this.#onChange()
  }
}
