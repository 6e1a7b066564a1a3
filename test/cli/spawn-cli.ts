import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

/** The built command line. */
export const cliMain = fileURLToPath(new URL('../../runtime/cli/main.js', import.meta.url))

interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

/** What a stream has said since it was opened, and the wait for more of it. */
class Heard {
  text = ''
  readonly #more = new EventEmitter()

  constructor(stream: Readable) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      this.text += chunk
      this.#more.emit('more')
    })
  }

  /** Resolves once the stream has said `wanted`, be it long ago. */
  async said(wanted: string): Promise<void> {
    while (!this.text.includes(wanted)) await once(this.#more, 'more')
  }
}

export interface Started {
  process: ChildProcessByStdio<Writable, Readable, Readable>
  stdout: Heard
  stderr: Heard
  ended: Promise<Ended>
}

/** Starts the built command line as a process of its own, in `folder`, without the caller's environment of this project. */
export function startCli(
  test: TestContext,
  folder: string,
  args: readonly string[],
  { script = cliMain }: { script?: string } = {}
): Started {
  return startProcess(test, folder, process.execPath, [script, ...args])
}

/** As {@link startCli}, for any program. */
export function startProcess(
  test: TestContext,
  folder: string,
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {}
): Started {
  const { PATH = '', HOME = '' } = process.env
  const child = spawn(command, args, { cwd: folder, env: { PATH, HOME, ...environment }, stdio: 'pipe' })
  test.after(() => child.kill('SIGKILL'))
  const stdout = new Heard(child.stdout)
  const stderr = new Heard(child.stderr)
  // `close` comes after the last output, `exit` may come before it.
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, stdout: stdout.text, stderr: stderr.text }))
  })
  return { process: child, stdout, stderr, ended }
}
