/**
 * The end of a process that may be unable to end. After a storage error `process.exit` can hang in the store's own
 * clean-up, and user code in an inline pool can hold the only thread; no timer of this process fires then. So a child
 * waits outside and kills it. The child ends by itself when this process does: the pipe between them closes.
 */
import { spawn } from 'node:child_process'
import type { ExitCode } from './exit-code.ts'

const killer = `
process.stdin.on('end', () => process.exit()).resume()
setTimeout(() => process.kill(Number(process.argv[1]), 'SIGKILL'), Number(process.argv[2]))
`

/** Kills this process with SIGKILL unless it has ended within `delayMs`. */
export function killAfter(delayMs: number): void {
  const child = spawn(process.execPath, ['-e', killer, String(process.pid), String(delayMs)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    // A signal to the group of this process must not end the one that waits for it.
    detached: true
  })
  child.on('error', () => process.kill(process.pid, 'SIGKILL'))
  child.unref()
  ;(child.stdin as unknown as { unref(): void }).unref()
}

/** Ends this process with `code`, or by SIGKILL after `delayMs` where it cannot. Never returns. */
export function exitByForce(code: ExitCode, delayMs: number): never {
  killAfter(delayMs)
  process.exit(code)
}
