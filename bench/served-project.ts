/** A project in a temporary folder, served by a real `runtime serve`, for benchmarks that look at its processes. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { connect } from '../runtime/client/connect.ts'
import type { Runtime } from '../runtime/core/api.ts'

const main = fileURLToPath(new URL('../runtime/cli/main.js', import.meta.url))

export interface ServedProject {
  folder: string
  /** Of the supervisor. */
  pid: number
  runtime: Runtime
  /** Stops the supervisor without waiting for its jobs, and removes the folder. */
  stop(options?: { keepFolder?: boolean }): Promise<void>
}

/**
 * @param files text by path, such as `actors/bench.js` and `config/runtime.yaml`
 * @param folder where there may be a store already; default: a new one
 */
export async function serveProject(
  files: Readonly<Record<string, string>>,
  folder = mkdtempSync(join(tmpdir(), 'bench-'))
): Promise<ServedProject> {
  for (const part of ['actors', 'config']) mkdirSync(join(folder, part), { recursive: true })
  for (const [path, text] of Object.entries(files)) writeFileSync(join(folder, path), text)
  const supervisor = spawn(process.execPath, [main, 'serve', '--json', '--log-level', 'silent'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const ended = once(supervisor, 'exit')
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      supervisor.kill('SIGKILL')
      process.exit(1)
    })
  }
  const [line] = await Promise.race([once(createInterface(supervisor.stdout), 'line'), ended])
  if (typeof line !== 'string') throw new Error(`The supervisor did not start in ${folder}: it ended with ${line}.`)
  const { pid, socket } = JSON.parse(line) as { pid: number; socket: string }
  const runtime = await connect(socket)
  return {
    folder,
    pid,
    runtime,
    async stop({ keepFolder = false } = {}) {
      await runtime.shutdown({ deadline: 0 })
      await ended
      await runtime.stop()
      if (!keepFolder) rmSync(folder, { recursive: true })
    }
  }
}

/** @throws Error unless the text is a whole number from `min` */
export function wholeNumber(option: string, text: string, min = 1): number {
  const number = Number(text)
  if (Number.isInteger(number) && number >= min) return number
  throw new Error(`${option}: expected a whole number from ${min}, got ${JSON.stringify(text)}.`)
}
