/** A server of a peer, started by the benchmark on a spare port with fresh data, and stopped after the run. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'

export interface Server {
  host: string
  port: number
  pid: number
  /** Its data. */
  folder: string
}

export interface RunningServer extends Server {
  stop(): Promise<void>
}

/** @returns the first of the programs that there is, with its path; undefined where there is none */
export function findProgram(name: string, folders: readonly string[] = []): string | undefined {
  const path = (process.env.PATH ?? '').split(delimiter).filter(Boolean)
  return [...folders, ...path].map((folder) => join(folder, name)).find((file) => existsSync(file))
}

export async function sparePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('No spare port was found.')
  return address.port
}

/** What it writes goes nowhere, unless it ends early: then its last lines are part of the error. */
export function startServer(command: string, args: readonly string[], isReady: (output: string) => boolean) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  return new Promise<ChildProcess>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-20_000)
      if (isReady(output)) resolve(child)
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`${command} ended with ${code} before it was ready:\n${output}`)))
  })
}

export async function stopServer(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill(signal)
  await once(child, 'exit')
}

export function versionOf(command: string): string {
  return execFileSync(command, ['--version'], { encoding: 'utf8' }).trim()
}
