/**
 * A project of a test, in a temporary folder, and supervisors that serve it: real processes of the built command line,
 * which can be killed, asked to stop and started again on the same files. Nothing of it outlives the test.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { cliMain, type Started, startProcess } from '../cli/spawn-cli.ts'
import { temporaryFolder } from './temporary-folder.ts'

type Ended = Awaited<Started['ended']>

export class TestProject {
  readonly folder: string
  readonly socketPath: string
  /** Variables that the processes started from now on get, besides PATH and HOME. */
  environment: Readonly<Record<string, string>> = {}
  readonly #test: TestContext
  readonly #started: Started[] = []

  /** @param on see {@link temporaryFolder} */
  constructor(test: TestContext, on: 'disk' | 'memory' = 'disk') {
    this.#test = test
    // Hooks run in the order of their registration: nothing may write any more when the folder is removed.
    test.after(() => this.#killAll())
    this.folder = temporaryFolder(test, on)
    this.socketPath = join(this.folder, '.runtime', 'runtime.sock')
  }

  /** Writes a file of the project, such as `actors/a.js`. */
  write(path: string, text: string): string {
    const file = join(this.folder, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
    return file
  }

  /** Starts `runtime serve` and resolves at its ready line. */
  async serve(...args: string[]): Promise<SupervisorProcess> {
    const spawnedAtMs = Date.now()
    const started = this.start('serve', ...args)
    const first = await Promise.race([started.stdout.said('\n'), started.ended])
    if (first !== undefined) throw new Error(`serve ended with ${first.code ?? first.signal}: ${first.stderr}`)
    return new SupervisorProcess(started, spawnedAtMs)
  }

  /** Starts a command in the folder of the project. */
  start(...args: string[]): Started {
    return this.startProcess(process.execPath, cliMain, ...args)
  }

  /** Starts any program in the folder of the project. */
  startProcess(command: string, ...args: string[]): Started {
    const started = startProcess(this.#test, this.folder, command, args, this.environment)
    this.#started.push(started)
    return started
  }

  /** Runs a command to its end. */
  run(...args: string[]): Promise<Ended> {
    const started = this.start(...args)
    started.process.stdin.end()
    return started.ended
  }

  async #killAll(): Promise<void> {
    for (const { process } of this.#started) process.kill('SIGKILL')
    await Promise.all(this.#started.map(({ ended }) => ended))
  }
}

export class SupervisorProcess {
  readonly pid: number
  /** Just before the process was spawned. */
  readonly spawnedAtMs: number
  readonly ended: Promise<Ended>
  readonly #started: Started

  constructor(started: Started, spawnedAtMs: number) {
    this.#started = started
    this.pid = started.process.pid!
    this.spawnedAtMs = spawnedAtMs
    this.ended = started.ended
  }

  /** Sends a signal and resolves when the process has ended by it. */
  end(signal: NodeJS.Signals): Promise<Ended> {
    this.signal(signal)
    return this.ended
  }

  signal(signal: NodeJS.Signals): void {
    this.#started.process.kill(signal)
  }

  /** Resolves once the log on standard error contains `text`. */
  logged(text: string): Promise<void> {
    return this.#started.stderr.said(text)
  }
}
