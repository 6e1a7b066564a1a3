import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { cliMain, type Started } from '../cli/spawn-cli.ts'
import { TestProject } from '../support/supervisor-process.ts'
import type { Interpreter } from './interpreters.ts'

export interface Served {
  project: TestProject
  pid: number
  signal(signal: NodeJS.Signals): void
  /** Resolves once the log on standard error contains `text`. */
  logged(text: string): Promise<void>
  /** Sends a signal and resolves when the process has ended by it. */
  end(signal: NodeJS.Signals): Started['ended']
  /** Starts another supervisor on the same project. */
  again(): Promise<Served>
}

/**
 * Starts `runtime serve` on the interpreter, over a project of the test.
 *
 * @param files text by path in the project, such as `actors/a.js`
 */
export async function serveOn(
  test: TestContext,
  interpreter: Interpreter,
  files: Record<string, string>
): Promise<Served> {
  const project = new TestProject(test)
  for (const [path, text] of Object.entries(files)) project.write(path, text)
  return serve(project, interpreter)
}

async function serve(project: TestProject, interpreter: Interpreter): Promise<Served> {
  const started = project.startProcess(interpreter.path!, ...interpreter.flags, cliMain, 'serve')
  const first = await Promise.race([started.stdout.said('\n'), started.ended])
  if (first !== undefined) throw new Error(`serve ended with ${first.code ?? first.signal}: ${first.stderr}`)
  const pid = Number(/ pid (\d+) /.exec(started.stdout.text)![1])
  const signal = (name: NodeJS.Signals) => void process.kill(pid, name)
  return {
    project,
    pid,
    signal,
    logged: (text) => started.stderr.said(text),
    end: (name) => {
      signal(name)
      return started.ended
    },
    again: () => serve(project, interpreter)
  }
}

/** Looks every 20 ms: processes of others tell nobody that they end. */
export async function becomes(holds: () => boolean, withinMs: number, what: () => string): Promise<void> {
  for (const untilMs = Date.now() + withinMs; !holds(); await sleep(20)) {
    if (Date.now() > untilMs) throw new Error(`Not within ${withinMs} ms: ${what()}`)
  }
}
