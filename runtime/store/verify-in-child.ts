import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { ownEnvironment } from '../core/own-environment.ts'
import type { Progress, Verification } from './verification.ts'

/** A reader that says nothing for so long is caught in damage. */
const silenceMsMax = 60_000

/** Reads records; the queue has one that also knows what they mean. */
const verifierDefault = new URL('./verify.js', import.meta.url)

interface Options {
  /** Program of the child, which takes arguments and sends messages as `verify.ts` does. */
  verifier?: URL | undefined
  /** After which it stops reading; 0: never. */
  timeMs: number
  /** A supervisor may be writing. */
  isLive?: boolean
  tell?: (progress: Progress) => void
}

/**
 * Looks through a store in another process, so that nothing in the file can end this one.
 *
 * @param storePath folder of the store
 */
export async function verifyInChild(
  storePath: string,
  { verifier = verifierDefault, timeMs, isLive = false, tell = () => {} }: Options
): Promise<Verification> {
  const child = fork(fileURLToPath(verifier), [storePath, String(timeMs), isLive ? 'live' : 'still'], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    execArgv: [],
    env: ownEnvironment()
  })
  const closed = once(child, 'close')
  const silence = setTimeout(() => child.kill('SIGKILL'), silenceMsMax)
  const verification = await new Promise<Verification>((resolve) => {
    child.on('message', (message: Progress | Verification) => {
      silence.refresh()
      if ('pagesTotal' in message) tell(message)
      else resolve(message)
    })
    child.once('error', (error) => resolve(unreadable(error.message)))
    // Not `exit`, which may come before the message.
    child.once('close', (code, signal) => resolve(unreadable(signal ?? `exit code ${code}`)))
  })
  clearTimeout(silence)
  child.kill('SIGKILL')
  // What it reads is not freed for as long as LMDB takes it for alive, which it finds out when the store is opened.
  await closed
  return verification
}

function unreadable(how: string): Verification {
  const structure = `ends the process that reads it (${how})`
  return {
    entries: 0,
    jobs: 0,
    bytes: 0,
    structure,
    damaged: 0,
    damagedKeys: [],
    setAside: { count: 0, records: [] },
    complete: false,
    disagreements: 0,
    disagreeing: []
  }
}
