/**
 * A real `runtime serve` that is killed and started again on the same files, and clients that find it again: whoever loses
 * the connection waits for the next life.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, openSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { connect } from '../../runtime/client/connect.ts'
import type { Runtime } from '../../runtime/core/api.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { hostsOf } from '../../test/isolation/process-tree.ts'

const main = fileURLToPath(new URL('../../runtime/cli/main.js', import.meta.url))
const connectAgainMs = 20

export class Supervisor {
  readonly folder: string
  readonly socketPath: string
  /** Counts the starts. */
  life = 0
  startedAtMs = 0
  /** An end that nobody asked for. */
  readonly died: Promise<never>
  readonly #log: number
  #reject!: (error: Error) => void
  #process!: ChildProcess
  #isKilled = false

  constructor(folder: string, files: Readonly<Record<string, string>>) {
    this.folder = folder
    this.socketPath = join(folder, '.runtime', 'runtime.sock')
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), text)
    }
    this.#log = openSync(join(folder, 'serve.log'), 'a')
    this.died = new Promise((_, reject) => {
      this.#reject = reject
    })
    this.died.catch(() => {})
    process.once('exit', () => this.#process?.kill('SIGKILL'))
  }

  get pid(): number {
    return this.#process.pid!
  }

  get hosts(): number[] {
    return hostsOf(this.pid)
  }

  /** Resolves when it accepts connections. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, [main, 'serve', '--json', '--log-level', 'warn'], {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', this.#log]
    })
    this.#process = child
    this.#isKilled = false
    child.once('exit', (code, signal) => {
      const isExpected = this.#isKilled || this.#process !== child
      if (!isExpected) this.#reject(new Error(`The supervisor ended by itself with ${code ?? signal}: see serve.log.`))
    })
    await Promise.race([once(createInterface(child.stdout!), 'line'), this.died])
    this.life++
    this.startedAtMs = performance.now()
  }

  async kill(): Promise<void> {
    this.#isKilled = true
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await ended
  }

  /** Asks it to stop, and waits for that. */
  async stop(): Promise<void> {
    this.#isKilled = true
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGTERM')
    await ended
  }
}

/** A connection that is made anew in each life. */
export class Link {
  readonly #socketPath: string
  #runtime: Promise<Runtime> | undefined
  #isClosed = false

  constructor(socketPath: string) {
    this.#socketPath = socketPath
  }

  /**
   * @param call is made again where the connection ends under it: what it asks for must bear that
   * @returns its answer, and whether it took more than one
   */
  async call<T>(call: (runtime: Runtime) => Promise<T>, onRepeat: () => void = () => {}): Promise<T> {
    for (;;) {
      this.#runtime ??= this.#open()
      const opening = this.#runtime
      try {
        return await call(await opening)
      } catch (error) {
        if (this.#isClosed || !isDisconnected(error)) throw error
        if (this.#runtime === opening) this.#runtime = undefined
        onRepeat()
      }
    }
  }

  async #open(): Promise<Runtime> {
    for (;;) {
      try {
        return await connect(this.#socketPath)
      } catch (error) {
        if (this.#isClosed || !isDisconnected(error)) throw error
        await sleep(connectAgainMs)
      }
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await (await this.#runtime?.catch(() => undefined))?.stop()
  }
}

export function isDisconnected(error: unknown): boolean {
  return hasCode(error, 'NOT_CONNECTED')
}

export function hasCode(error: unknown, code: string): boolean {
  return error instanceof RuntimeError && error.code === code
}
