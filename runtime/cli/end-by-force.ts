/**
 * The end of a process that may be unable to end. After a storage error `process.exit` can hang in the store's own
 * clean-up, and user code in an inline pool can hold the only thread; no timer of this process fires then. So a child
 * waits outside and kills it. The child ends by itself when this process does: the channel between them closes.
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { ownEnvironment } from '../core/own-environment.ts'
import type { ExitCode } from './exit-code.ts'

const killerEntry = fileURLToPath(new URL('./killer.js', import.meta.url))

/** Kills this process with SIGKILL unless it has ended within `delayMs`. */
export function killAfter(delayMs: number): void {
  const child = fork(killerEntry, [String(process.pid), String(delayMs)], {
    execArgv: [],
    env: ownEnvironment(),
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    // A signal to the group of this process must not end the one that waits for it.
    detached: true
  })
  child.on('error', () => process.kill(process.pid, 'SIGKILL'))
  child.unref()
  child.channel?.unref?.()
}

/** Ends this process with `code`, or by SIGKILL after `delayMs` where it cannot. Never returns. */
export function exitByForce(code: ExitCode, delayMs: number): never {
  killAfter(delayMs)
  process.exit(code)
}
