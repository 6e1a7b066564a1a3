/**
 * Where a command speaks. Standard output carries the answer: text for people, or with `--json` exactly one JSON value
 * (events and exported documents: one a line). Everything else goes to standard error: notes and progress for people, which `--json` silences,
 * notices beside the answer, one object a line with `--json`, and errors, which `--json` turns into one object
 * `{"error":{"code","message","data"}}`.
 */
import type { WriteStream } from 'node:tty'
import { RuntimeError } from '../core/errors.ts'
import { RpcError } from '../rpc/json-rpc.ts'
import type { Look } from './text/look.ts'
import { block } from './text/printable.ts'

/** A stream that may be a terminal; `process.stdout`, or a buffer in tests. */
export type TextStream = Pick<WriteStream, 'write'> &
  Partial<Pick<WriteStream, 'isTTY' | 'columns' | 'hasColors' | 'once'>>

export interface Streams {
  stdout: TextStream
  stderr: TextStream
}

export class Output {
  readonly json: boolean
  readonly #stdout: TextStream
  readonly #stderr: TextStream

  constructor(json: boolean, { stdout, stderr }: Streams) {
    this.json = json
    this.#stdout = stdout
    this.#stderr = stderr
  }

  /** The answer of the command: `value` for programs, `asText` of it for people. */
  answer(value: unknown, asText: (look: Look) => string): void {
    const text = this.json ? JSON.stringify(value ?? null) : asText(lookOf(this.#stdout))
    this.#stdout.write(`${text}\n`)
  }

  /** One value of an answer that is many, as JSON on a line. Resolves once there is room for the next. */
  async line(value: unknown): Promise<void> {
    const hasRoom = this.#stdout.write(`${JSON.stringify(value)}\n`)
    if (!hasRoom && this.#stdout.once !== undefined) {
      await new Promise<void>((resolve) => this.#stdout.once?.('drain', resolve))
    }
  }

  /** One line on standard error, for people only. */
  note(asText: (look: Look) => string): void {
    if (!this.json) this.#stderr.write(`${asText(lookOf(this.#stderr))}\n`)
  }

  /** One line on standard error about the answer: an object for programs, its text for people. */
  notice(value: object, asText: (look: Look) => string): void {
    this.#stderr.write(`${this.json ? JSON.stringify(value) : asText(lookOf(this.#stderr))}\n`)
  }

  /** A line that says how far it is; on a terminal the next one takes its place. */
  progress(text: string): void {
    if (this.json) return
    if (this.#stderr.isTTY) this.#stderr.write(`\r\u001b[2K${text.slice(0, (this.#stderr.columns ?? 80) - 1)}`)
    else this.#stderr.write(`${text}\n`)
  }

  /** Takes the progress line away; whatever is printed next starts on a line of its own. */
  clearProgress(): void {
    if (!this.json && this.#stderr.isTTY) this.#stderr.write('\r\u001b[2K')
  }

  /** Why the command failed. An error of neither class is a defect of ours: only its stack helps. */
  error(error: unknown): void {
    if (error instanceof RuntimeError) {
      this.#sayError({ code: error.code, message: error.message, data: error.data })
      return
    }
    if (error instanceof RpcError) {
      this.#sayError({ code: 'RPC', message: error.message, data: { rpcCode: error.rpcCode } })
      return
    }
    if (['EMFILE', 'ENFILE'].includes((error as NodeJS.ErrnoException).code ?? '')) {
      const message = `Cannot open any more files (${(error as NodeJS.ErrnoException).code}): ${(error as Error).message}. Raise the limit, for example with "ulimit -n 1024".`
      this.#sayError({ code: 'NO_DESCRIPTORS', message, data: {} })
      return
    }
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#sayError({ code: 'INTERNAL', message: `This is a defect of actor-runtime: ${stack}`, data: {} })
  }

  /** What is wrong with the command line. */
  usageError(message: string): void {
    this.#sayError({ code: 'USAGE', message: `${message} See --help.`, data: {} })
  }

  #sayError(error: { code: string; message: string; data: object }): void {
    this.clearProgress()
    const text = this.json ? JSON.stringify({ error }) : `runtime: ${block(error.message)}`
    this.#stderr.write(`${text}\n`)
  }
}

function lookOf(stream: TextStream): Look {
  const terminal = stream.isTTY === true
  return {
    // hasColors honours NO_COLOR, FORCE_COLOR and what the terminal can do.
    colours: terminal && stream.hasColors?.() === true,
    columns: terminal ? (stream.columns ?? 80) : null,
    nowMs: Date.now()
  }
}
