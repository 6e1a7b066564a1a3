/**
 * How a stream of bytes is cut into frames; a frame is the UTF-8 text of one JSON value.
 *
 * - **line** framing: one value per line, ended by `\n` or `\r\n`. Blank lines mean nothing.
 * - **header** framing: `Content-Length: N`, other headers, an empty line, then N bytes, as the Language Server Protocol
 *   does it. Header names are read without regard to case, headers other than `Content-Length` are skipped, and one block
 *   of headers is at most {@link headerBytesMax} bytes. What is no header, or two lengths that differ, break the rules:
 *   two readers could understand such a stream in different ways.
 *
 * The first line of a stream decides: one that starts with a `Content-…:` header makes it header framing.
 *
 * A stream that breaks a rule cannot be brought back into step. The splitter then holds the reason as its `violation`
 * and ignores whatever follows.
 *
 * The piece of a frame that has arrived is held in one buffer that doubles when it is full: each byte is moved a constant
 * number of times on average, however small the chunks are.
 */
import type { RuntimeError } from '../core/errors.ts'
import { parseError, type RpcError } from './json-rpc.ts'
import { frameTooLarge } from './refusals.ts'

export type Framing = 'line' | 'header'

/** Bytes of one block of headers, line ends included. */
export const headerBytesMax = 4 * 1024

const lineFeed = 0x0a
const contentHeader = /^content-[a-z]+[ \t]*:/i
const anyHeader = /^[\w!#$%&'*+.^`|~-]+[ \t]*:/
const contentLength = /^content-length[ \t]*:(.*)$/i

export class FrameSplitter {
  readonly #frameBytesMax: number
  readonly #held: HeldBytes
  #framing: Framing | undefined
  /** Header framing: bytes of headers read since the last frame. */
  #headerBytes = 0
  /** Header framing: what the headers read so far announce. */
  #announcedBytes: number | undefined
  /** Header framing: the headers are complete, so that many bytes follow. */
  #bodyBytes: number | undefined
  #violation: RuntimeError | RpcError | undefined

  /** @param frameBytesMax largest frame; beyond, the violation is `FRAME_TOO_LARGE` */
  constructor(frameBytesMax: number) {
    this.#frameBytesMax = frameBytesMax
    // One more for the carriage return.
    this.#held = new HeldBytes(frameBytesMax + 1)
  }

  /** How to answer: as the stream is framed, by lines until that is known. */
  get framing(): Framing {
    return this.#framing ?? 'line'
  }

  /** Why the stream cannot be read on; undefined as long as it can. Frames before the violation are good. */
  get violation(): RuntimeError | RpcError | undefined {
    return this.#violation
  }

  /** Bytes of memory that the piece of a frame takes which has arrived. */
  get heldBytes(): number {
    return this.#held.capacity
  }

  /** A frame, or its headers, have begun and are not complete. */
  get isWithinFrame(): boolean {
    return this.#held.length > 0 || this.#headerBytes > 0
  }

  /** Forgets the piece of a frame that has arrived; for a stream that is not read on. */
  forget(): void {
    this.#held.take(Buffer.alloc(0))
  }

  /** @returns the frames that are complete with this chunk, in order. They share memory with `chunk`. */
  push(chunk: Buffer): Buffer[] {
    const frames: Buffer[] = []
    let at = 0
    while (at < chunk.length && this.#violation === undefined) {
      at = this.#bodyBytes === undefined ? this.#takeLine(chunk, at, frames) : this.#takeBody(chunk, at, frames)
    }
    return frames
  }

  /** @returns where to read on in `chunk` */
  #takeLine(chunk: Buffer, at: number, frames: Buffer[]): number {
    const end = chunk.indexOf(lineFeed, at)
    const piece = chunk.subarray(at, end === -1 ? chunk.length : end)
    const bytesMax = this.#framing === 'header' ? headerBytesMax : this.#frameBytesMax
    // One more for the carriage return.
    if (this.#held.length + piece.length > bytesMax + 1) {
      this.#violation = this.#framing === 'header' ? headersTooLong() : frameTooLarge(this.#frameBytesMax)
    } else if (end === -1) {
      this.#held.add(piece)
    } else {
      this.#endLine(withoutCarriageReturn(this.#held.take(piece)), frames)
    }
    return end === -1 ? chunk.length : end + 1
  }

  #endLine(line: Buffer, frames: Buffer[]): void {
    if (this.#framing === undefined && !isBlank(line)) {
      this.#framing = contentHeader.test(line.toString('latin1', 0, 64)) ? 'header' : 'line'
    }
    if (this.#framing === 'header') this.#endHeader(line, frames)
    else if (line.length > this.#frameBytesMax) this.#violation = frameTooLarge(this.#frameBytesMax)
    else if (!isBlank(line)) frames.push(line)
  }

  #endHeader(line: Buffer, frames: Buffer[]): void {
    this.#headerBytes += line.length + 2
    if (this.#headerBytes > headerBytesMax) this.#violation = headersTooLong()
    else if (line.length > 0) this.#readHeader(line.toString('latin1'))
    else if (this.#announcedBytes === undefined) {
      this.#violation = parseError('the headers name no Content-Length')
    } else if (this.#announcedBytes > this.#frameBytesMax) this.#violation = frameTooLarge(this.#frameBytesMax)
    else {
      this.#bodyBytes = this.#announcedBytes
      if (this.#bodyBytes === 0) this.#endBody(Buffer.alloc(0), frames)
    }
  }

  #readHeader(line: string): void {
    if (!anyHeader.test(line)) {
      this.#violation = parseError('a line between frames is no header')
      return
    }
    const value = contentLength.exec(line)?.[1]?.trim()
    if (value === undefined) return
    const bytes = Number(value)
    if (!/^\d{1,15}$/.test(value)) this.#violation = parseError('Content-Length is not a number of bytes')
    else if (this.#announcedBytes === undefined) this.#announcedBytes = bytes
    else if (this.#announcedBytes !== bytes) this.#violation = parseError('the headers name two Content-Lengths')
  }

  #takeBody(chunk: Buffer, at: number, frames: Buffer[]): number {
    const missing = this.#bodyBytes! - this.#held.length
    const piece = chunk.subarray(at, at + missing)
    if (piece.length < missing) this.#held.add(piece)
    else this.#endBody(this.#held.take(piece), frames)
    return at + piece.length
  }

  #endBody(body: Buffer, frames: Buffer[]): void {
    frames.push(body)
    this.#headerBytes = 0
    this.#announcedBytes = undefined
    this.#bodyBytes = undefined
  }
}

/** @returns `text`, one JSON value without line ends, as a frame */
export function frameText(text: string, framing: Framing): string {
  return framing === 'line' ? `${text}\n` : `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`
}

/** The piece of a line or body that has arrived. */
class HeldBytes {
  readonly #bytesMax: number
  #bytes = Buffer.alloc(0)
  #length = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get length(): number {
    return this.#length
  }

  get capacity(): number {
    return this.#bytes.length
  }

  add(piece: Buffer): void {
    const length = this.#length + piece.length
    if (length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, Math.min(this.#bytes.length * 2, this.#bytesMax), 1024))
      this.#bytes.copy(larger, 0, 0, this.#length)
      this.#bytes = larger
    }
    piece.copy(this.#bytes, this.#length)
    this.#length = length
  }

  /** @returns everything held with `last` behind it; nothing is held afterwards */
  take(last: Buffer): Buffer {
    if (this.#length === 0) return last
    this.add(last)
    const whole = this.#bytes.subarray(0, this.#length)
    this.#bytes = Buffer.alloc(0)
    this.#length = 0
    return whole
  }
}

function withoutCarriageReturn(line: Buffer): Buffer {
  return line.at(-1) === 0x0d ? line.subarray(0, -1) : line
}

function isBlank(line: Buffer): boolean {
  return line.every((byte) => byte === 0x20 || byte === 0x09)
}

function headersTooLong(): RpcError {
  return parseError(`the headers are longer than ${headerBytesMax} bytes`)
}
