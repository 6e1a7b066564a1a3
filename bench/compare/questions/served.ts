/** `runtime serve` of a store that is there already, killed instead of stopped: for questions about starts. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { monotonicMs } from '../bench-actor.ts'

export const cli = fileURLToPath(new URL('../../../runtime/cli/main.js', import.meta.url))
const lineWithinMs = 300_000

export interface Served {
  startedAtMs: number
  readyAtMs: number
  pid: number
  socket: string
  /** As a crash would. */
  kill(): Promise<void>
}

export async function serve(folder: string): Promise<Served> {
  const startedAtMs = monotonicMs()
  const child = spawn(process.execPath, [cli, 'serve', '--json', '--log-level', 'silent'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const ended = once(child, 'exit')
  const [line] = await Promise.race([once(createInterface(child.stdout), 'line'), ended])
  if (typeof line !== 'string') throw new Error(`The supervisor ended with ${line} before it was ready.`)
  const { pid, socket } = JSON.parse(line) as { pid: number; socket: string }
  return {
    startedAtMs,
    readyAtMs: monotonicMs(),
    pid,
    socket,
    async kill() {
      child.kill('SIGKILL')
      await ended
    }
  }
}

/** The instants at which jobs that call `line` or `hold` have begun, by CLOCK_MONOTONIC. */
export class LineFile {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  read(): number[] {
    return readFileSync(this.#path, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((ns) => Number(BigInt(ns)) / 1e6)
  }

  /** @returns the `count`th of them */
  async untilMs(count: number): Promise<number> {
    for (let waitedMs = 0; waitedMs < lineWithinMs; waitedMs += 5) {
      const atMs = this.read()[count - 1]
      if (atMs !== undefined) return atMs
      await sleep(5)
    }
    throw new Error(`Job ${count} did not start within ${lineWithinMs / 1000} s.`)
  }

  clear(): void {
    writeFileSync(this.#path, '')
  }
}
