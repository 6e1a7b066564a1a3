import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

export type Request =
  /** Becomes another user, for good. */
  | { type: 'user'; id: number }
  | { type: 'open'; directory: string }
  /** Key and value in hex. `thenDie`: SIGKILL to itself in the turn in which the promise resolves. */
  | { type: 'put'; key: string; value: string; thenDie?: boolean }
  | { type: 'close' }

export type Answer =
  | { type: 'up'; pid: number }
  | { type: 'opened'; tag: string; unclean: boolean }
  | { type: 'done' }
  | { type: 'refused'; code: string; message: string; pid: number }

const program = fileURLToPath(new URL('./owner-program.js', import.meta.url))

/** Another process that opens data directories. */
export class OwnerProcess {
  readonly pid: number
  readonly #child: ChildProcess

  /** @param parent shell text that starts `"$@"`; for a parent that is not this process */
  static async start(test: TestContext, parent?: string): Promise<OwnerProcess> {
    const own = [process.execPath, program]
    const [command, ...rest] = parent === undefined ? own : ['bash', '-c', parent, 'bash', ...own]
    const child = spawn(command!, rest, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    test.after(() => child.kill('SIGKILL'))
    const [up] = (await once(child, 'message')) as [Answer & { type: 'up' }]
    return new OwnerProcess(child, up.pid)
  }

  private constructor(child: ChildProcess, pid: number) {
    this.#child = child
    this.pid = pid
  }

  async ask(request: Request): Promise<Answer> {
    const died = new AbortController()
    const onExit = (code: number | null, signal: string | null) => died.abort(new Error(`it ended: ${signal ?? code}`))
    this.#child.once('exit', onExit)
    this.#child.send(request)
    const [answer] = (await once(this.#child, 'message', { signal: died.signal })) as [Answer]
    this.#child.off('exit', onExit)
    return answer
  }

  open(directory: string): Promise<Answer> {
    return this.ask({ type: 'open', directory })
  }

  put(key: Buffer, value: Buffer): Promise<Answer> {
    return this.ask({ type: 'put', key: key.toString('hex'), value: value.toString('hex') })
  }

  /** Resolves when it is dead, by its own hand right after the commit was acknowledged. */
  async putAndDie(key: Buffer, value: Buffer): Promise<void> {
    const exited = once(this.#child, 'exit')
    this.#child.send({ type: 'put', key: key.toString('hex'), value: value.toString('hex'), thenDie: true })
    await exited
  }

  /** SIGKILL; resolves when the kernel has ended it. */
  async kill(): Promise<void> {
    const exited = once(this.#child, 'exit')
    process.kill(this.pid, 'SIGKILL')
    await exited
  }
}
